"""How collecting goes: the state of each target, and the counters of all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from parkwarden.model.artefact import LookCost

LOCAL = "local"
"""What looks of the host are called among the looks (`Counters.looks`): the service itself is not asked."""


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
class Counters:
    """Plain numbers since the start, for /metrics. Keys of `looks` are (look, outcome), of `refusals` (look, reason)."""

    scrapes: Counter[str] = field(default_factory=Counter)
    """By outcome: ok, or the code of the error."""
    scrape_bytes: int = 0
    scrape_seconds: float = 0.0
    """Waited for answers, all targets together."""
    restarts: int = 0
    looks: Counter[tuple[str, str]] = field(default_factory=Counter)
    look_seconds: dict[str, float] = field(default_factory=dict)
    look_bytes: Counter[str] = field(default_factory=Counter)
    stall_seconds: dict[str, float] = field(default_factory=dict)
    """Estimated from the number of goroutines (prices.py): a stall cannot be seen from outside."""
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)
    suspicions: int = 0
    sites_left_out: int = 0
    """Sites beyond MAX_SITES of one look, smallest first."""
    untold: int = 0
    """Looks whose answer we could not tell of: a mistake of ours that cost this look."""
