"""Problems of one input, listed up to a limit and counted beyond it."""

from __future__ import annotations

from parkwarden.model import Problem

MAX_PROBLEMS = 100
"""Problems listed per input; beyond, one more says how many there were. A damaged file has thousands of the same kind,
and a report is read by people."""


class Problems:
    """A list of problems that does not grow without bound."""

    def __init__(self) -> None:
        self._kept: list[Problem] = []
        self.count = 0

    def add(self, code: str, where: str, text: str) -> None:
        self.count += 1
        if len(self._kept) < MAX_PROBLEMS:
            self._kept.append(Problem(code, where, text))

    def listed(self) -> list[Problem]:
        """What to show: the first ones, and how many more there were."""
        return _with_rest(self._kept, self.count)


def capped(problems: list[Problem]) -> list[Problem]:
    """The same for a list that is complete already."""
    return _with_rest(problems[:MAX_PROBLEMS], len(problems))


def _with_rest(kept: list[Problem], count: int) -> list[Problem]:
    more = count - len(kept)
    return [*kept, Problem("more-problems", "", f"{more:,} more problems are not listed")] if more > 0 else kept
