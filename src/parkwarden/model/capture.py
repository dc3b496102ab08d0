"""Captures: bytes a look at a live instance brought, with why it was taken and what it cost."""

from __future__ import annotations

from dataclasses import dataclass

SEGMENTS = "segments"
"""Kind of a text that says what an instance was doing: requests, warnings."""
LAST_CHANCE = "last chance before"
"""Begins the reason of a capture taken because a limit was near; the limit's name follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """One answer worth keeping as evidence, as it came (not yet redacted, not yet compressed)."""

    instance: str
    service: str
    kind: str
    """Kind of artefact (`model.Kind` value), or SEGMENTS."""
    at: float
    body: bytes
    why: str
    """Detector that asked for it, or `on beat`."""
    site_ids: tuple[str, ...] = ()
    file: str = ""
    """Name it opens under in the field's own tools."""
    took_s: float = 0.0
