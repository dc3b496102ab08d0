"""What happened, as the engine is told: the same words live, in a journal and in a recording (format v1).

Times are Unix seconds (or a recording's own virtual seconds); `instance` is `Instance.id`. Events come in time order per
instance; a `Started` of a known id with another start time is a new life.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from parkwarden.model.artefact import Reading
from parkwarden.model.instance import Instance
from parkwarden.model.site import Site
from parkwarden.model.snapshot import Ints


@dataclass(frozen=True, slots=True)
class Started:
    """An instance is there: first seen, seen again after a restart, or with new labels (a deploy)."""

    instance: Instance
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """What a site id stands for; comes before the id is used. `blocked_share`-like facts are not here: a site is a place."""

    site: Site


@dataclass(frozen=True, slots=True)
class Read:
    """The cheap numbers; `reading.at` is `at`."""

    at: float
    instance: str
    reading: Reading


@dataclass(frozen=True, slots=True)
class SiteCounts:
    """All sites of one goroutine profile: site id -> goroutines; a site that is absent has 0."""

    at: float
    instance: str
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Census:
    """All goroutines of one census: site id -> goroutine ids (int64, rising). `max_goid` is the highest id handed out.

    `unknown` counts goroutines whose stack the trace did not tell (golang/go#65634). `ran` are the ids among them that did
    something (any change of state) while the trace ran, by site: who works is not stuck. None where that is not told (a text dump).
    """

    at: float
    instance: str
    goids: Mapping[str, Ints]
    max_goid: int
    unknown: int = 0
    ran: Mapping[str, Ints] | None = None


@dataclass(frozen=True, slots=True)
class Leaked:
    """A leak profile: site id -> goroutines the runtime proved leaked; an empty one says "asked, none proven"."""

    at: float
    instance: str
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Open file descriptors by kind (`model.descriptors.KINDS`); a kind that is absent has 0."""

    at: float
    instance: str
    kinds: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Gone:
    """An instance is no longer a target (scaled down, removed from discovery): not a failure, not a recovery."""

    at: float
    instance: str


Event: TypeAlias = Started | Named | Read | SiteCounts | Census | Leaked | Descriptors | Gone


def time_of(event: Event, before: float) -> float:
    """The event's own time, or `before` where it has none."""
    if isinstance(event, Named) or event.at is None:
        return before
    return event.at
