"""How collecting goes: the state of each target, and the counters of all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from parkwarden.model.artefact import LookCost
from parkwarden.model.instance import ServiceKey

LOCAL = "local"
"""What looks of the host are called among the looks (`Counters.looks`): the service itself is not asked."""


MAX_SERVICES = 5_000
"""Services whose costs are kept apart: 3 kB each; those that come after are written down together."""

OTHERS: ServiceKey = ("", "")
"""The book of all services beyond MAX_SERVICES."""


class TargetState(StrEnum):
    """In the order of getting worse."""

    STARTING = "starting"  # not asked yet
    UP = "up"
    SLOW = "slow"  # answers, but takes more than half of its time
    FAILING = "failing"  # answers, but nothing that can be read
    UNREACHABLE = "unreachable"  # does not answer


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetStatus:
    """One target, for people. Times are Unix seconds; texts are sanitised."""

    id: str
    service: str
    env: str
    url: str
    state: TargetState
    since: float
    took_s: float
    """The last reading, or the last try."""
    error: str = ""
    interval_s: float = 0.0
    """Between readings now: what is set, or more where its pages are very large."""
    failures: int = 0
    """In a row."""
    sources: tuple[str, ...] = ()
    """What the readings come from, cheapest sufficient first."""
    missing: tuple[str, ...] = ()
    """Numbers no source tells, of those the judges want."""
    go_version: str = ""
    """As its pages tell it, "" where none does."""
    goroutines: int | None = None
    """By the last reading."""
    impossible: tuple[tuple[str, str], ...] = ()
    """Looks that this target can never be taken, with the reason: (census, old-go), (goroutineleak, not-there)."""
    restarts: int = 0
    close_watch: bool = False
    looks: tuple[LookCost, ...] = ()
    """The last looks with their price, oldest first."""
    stall_s_hour: float = 0.0
    """Estimated stall that looks caused it within the last hour."""
    refused: str = ""
    """Why the last look that was wanted was not taken, "" if all were."""


@dataclass(slots=True)
class Spent:
    """What looking cost since the start. Keys of `looks` are (look, outcome), of `refusals` (look, reason)."""

    scrapes: Counter[str] = field(default_factory=Counter)
    """Readings by outcome: ok, or the code of the error."""
    scrape_bytes: int = 0
    scrape_seconds: float = 0.0
    """Waited for answers, all targets together."""
    looks: Counter[tuple[str, str]] = field(default_factory=Counter)
    look_seconds: dict[str, float] = field(default_factory=dict)
    look_bytes: Counter[str] = field(default_factory=Counter)
    stall_seconds: dict[str, float] = field(default_factory=dict)
    """Estimated from the number of goroutines (prices.py): a stall cannot be seen from outside."""
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)

    def read(self, outcome: str) -> None:
        self.scrapes[outcome] += 1

    def waited(self, took_s: float, size: int) -> None:
        self.scrape_seconds += took_s
        self.scrape_bytes += size

    def looked(self, look: str, outcome: str, took_s: float, size: int = 0, stall_s: float = 0.0) -> None:
        self.looks[look, outcome] += 1
        self.look_seconds[look] = self.look_seconds.get(look, 0.0) + took_s
        self.look_bytes[look] += size
        self.stall_seconds[look] = self.stall_seconds.get(look, 0.0) + stall_s

    def refused(self, look: str, reason: str) -> None:
        self.refusals[look, reason] += 1


@dataclass(slots=True)
class Counters(Spent):
    """Plain numbers since the start over the whole fleet, for /metrics; and what each service of it cost."""

    restarts: int = 0
    suspicions: int = 0
    sites_left_out: int = 0
    """Sites beyond MAX_SITES of one look, smallest first."""
    untold: int = 0
    """Looks whose answer we could not tell of: a mistake of ours that cost this look."""
    services: dict[ServiceKey, Spent] = field(default_factory=dict)

    def books(self, service: ServiceKey) -> tuple[Spent, Spent]:
        """Where what a look at this service costs is written down: the fleet's book and its own, or that of OTHERS."""
        if service not in self.services and len(self.services) >= MAX_SERVICES:
            service = OTHERS
        return self, self.services.setdefault(service, Spent())
