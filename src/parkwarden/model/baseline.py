"""Baselines: which goroutines a process has when all is well, and what it has more of later."""

from __future__ import annotations

from dataclasses import dataclass, field

from parkwarden.model.stack import Frame

BASELINE_SCHEMA = "parkwarden.baseline/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Goroutines that stand at one site. `start` is the function they began in: it stands for the creator where `created_by`
    is not told (profiles, censuses)."""

    site_id: str
    start: str
    function: str
    file: str
    line: int
    wait_reason: str
    count: int
    created_by: Frame | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What one process had, by site. `subject` is a service's URL without credentials, or a file's name."""

    subject: str
    standing: tuple[Standing, ...]

    @property
    def goroutines(self) -> int:
        return sum(one.count for one in self.standing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remainder:
    """More goroutines that began in one function than there were: `sites` are where the new ones stand, as (site, how many it
    had before), greatest growth first."""

    start: str
    before: int
    now: int
    sites: tuple[tuple[Standing, int], ...] = field(default=())

    @property
    def more(self) -> int:
        return self.now - self.before
