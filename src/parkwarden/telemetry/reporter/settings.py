"""A reporter's bounds and times, with their reasons."""

from __future__ import annotations

from dataclasses import dataclass

MAX_ITEM_BYTES = 256 * 1024
"""What one item may weigh; beyond it is dropped as too large. Ten times the largest ordinary segment (300 spans with tags)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReporterSettings:
    queue_items: int = 10_000
    """Items kept while the back end does not take them: a minute of a service of 150 requests a second."""
    queue_bytes: int = 8 * 1024 * 1024
    """What they may weigh in memory (an estimate on the high side)."""
    batch_items: int = 512
    """Items of a call at most (OpenTelemetry's default)."""
    batch_bytes: int = 1024 * 1024
    """What they may weigh; encoded they are about a quarter of it. gRPC servers take 4 MiB by default."""
    linger_s: float = 1.0
    """How long an item waits for company. Events wait for none."""
    call_s: float = 5.0
    """Deadline of a call, connecting included. A back end that needs longer is as good as away; nothing is retried within it."""
    backoff_s: float = 1.0
    """First pause after a failed call; each further one doubles it (with a fifth of chance, so that a fleet does not come back at once)."""
    backoff_max_s: float = 30.0
    """Longest pause: how late a back end that is well again is noticed. Also what a back end may ask for at most."""
    absent_s: float = 300.0
    """How long a signal that the back end does not implement is not offered again."""
    close_s: float = 1.0
    """Time `close` takes at most to get rid of what is queued. With the interpreter's own end, on a busy machine, it stays below 2 s."""
    close_down_s: float = 0.3
    """The same where the last call failed: one more chance, not the whole wait."""
    lines_per_minute: int = 6
    """Lines the reporter logs about itself."""
