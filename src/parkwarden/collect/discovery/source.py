"""What every source of targets is: a name, what it last found, what went wrong, counted."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from parkwarden.model.artefact import Problem
from parkwarden.model.instance import Target

Publish: TypeAlias = Callable[[str, Sequence[Target]], None]
"""`publish(name, targets)`: all targets of the source of that name, each time they change."""

MAX_PROBLEMS = 20
"""Problems of one source kept for showing; those beyond are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """How a source is, for people: doctor and the web page."""

    name: str
    targets: int
    healthy: bool
    """The last attempt brought the whole set."""
    last_success: float | None
    """Unix seconds; None = not once yet."""
    failures: int
    """Attempts that failed since the start."""
    problems: tuple[Problem, ...]
    problems_dropped: int


class Source(ABC):
    """Base of the discoveries. `run(publish)` never ends with an error of the outside: that is a problem, and the last
    good targets stay."""

    def __init__(
        self,
        name: str,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.sleep = sleep
        self.now = now
        self.failures = 0
        self.last_success: float | None = None
        self.healthy = False
        self._problems: list[Problem] = []
        self._dropped = 0
        self._targets: list[Target] | None = None

    @abstractmethod
    async def run(self, publish: Publish) -> None:
        """Publish now and on every change, until cancelled; returns only where nothing can change any more."""

    def problem(self, code: str, where: str, text: str) -> None:
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(Problem(code, where, text))
        else:
            self._dropped += 1

    def attempt(self) -> None:
        """A new attempt begins: what the last one complained of is forgotten."""
        self._problems.clear()
        self._dropped = 0

    def published(self, publish: Publish, targets: Sequence[Target], *, whole: bool = True) -> None:
        """The attempt brought a set, perhaps with problems; tell it if it is another one than before. Not `whole`: a part of it could
        not be asked (yet), so that who is missing in it is not gone."""
        self.healthy = whole and not self._problems
        if whole:
            self.last_success = self.now()
        if self._targets is None or list(targets) != self._targets:
            self._targets = list(targets)
            publish(self.name, tuple(targets))

    def failed(self, code: str, where: str, text: str) -> None:
        """The attempt brought nothing: the last good set stays."""
        self.problem(code, where, text)
        self.failures += 1
        self.healthy = False

    def status(self) -> SourceStatus:
        return SourceStatus(
            name=self.name,
            targets=len(self._targets or ()),
            healthy=self.healthy,
            last_success=self.last_success,
            failures=self.failures,
            problems=tuple(self._problems),
            problems_dropped=self._dropped,
        )
