"""A check's answer: did it leak, did it end with the goroutines it began with."""

from __future__ import annotations

from dataclasses import dataclass, field

from parkwarden.model.artefact import LookCost
from parkwarden.model.baseline import Remainder, Standing
from parkwarden.model.finding import Exit, Finding, Report

TOLERANCE = 2
"""Goroutines more than at the beginning that are no leak: a timer's callback, a connection that is about to close."""


@dataclass(slots=True, kw_only=True)
class Subject:
    """The answer about one service, or one pair of files."""

    name: str
    goroutines: int | None = None
    """That stand at the end, without those that looking and idle clients bring; None where none were told."""
    leaks: list[Finding] = field(default_factory=list)
    """What fails the check."""
    known: list[Finding] = field(default_factory=list)
    """Leaks that the baseline has too, no smaller: said, but not failed for."""
    suspects: list[Finding] = field(default_factory=list)
    """Sites that may leak, worst first: said, but not failed for."""
    before: int | None = None
    """Goroutines of the baseline; None where there is none."""
    remainders: list[Remainder] = field(default_factory=list)
    tolerance: int = TOLERANCE
    unreachable: str = ""
    """Why there is no answer."""
    incomplete: str = ""
    """What was lost of the last look: then nothing found is no pass."""
    standing: tuple[Standing, ...] = ()

    @property
    def more(self) -> int:
        """Goroutines that there were not, by where they began."""
        return sum(one.more for one in self.remainders)

    @property
    def clean(self) -> bool:
        """Whether it ended as it began, as far as a baseline tells."""
        return self.more <= self.tolerance

    @property
    def passed(self) -> bool:
        return not self.leaks and self.clean and not self.unreachable and not self.incomplete


@dataclass(slots=True, kw_only=True)
class CheckResult:
    """The whole answer; texts in it are redacted."""

    subjects: list[Subject]
    report: Report
    cost: list[LookCost]
    checked_at: str
    took_s: float
    nothing_readable: bool = False

    @property
    def passed(self) -> bool:
        return all(one.passed for one in self.subjects) and not self.nothing_readable

    @property
    def exit(self) -> Exit:
        """A leak that was found outweighs a service that did not answer."""
        if any(one.leaks or not one.clean for one in self.subjects):
            return Exit.FOUND
        if any(one.unreachable for one in self.subjects):
            return Exit.UNREACHABLE
        damaged = self.nothing_readable or any(one.incomplete for one in self.subjects)
        return Exit.UNREADABLE if damaged else Exit.OK
