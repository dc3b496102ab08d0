"""Frames and stacks: where a goroutine is, in Go's own words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

ELIDED_UNKNOWN = -1
"""`Stack.elided` when frames are missing but the producer did not say how many."""


class Frame(NamedTuple):
    """One call: Go's own function name (`main.(*T).m.func1`), source file as the producer wrote it, 1-based line.

    `file` is "" and `line` 0 where the producer did not tell.
    """

    function: str
    file: str = ""
    line: int = 0

    @property
    def spot(self) -> str:
        """`price.go:42`: enough to recognise it in a sentence."""
        return f"{self.file.rsplit('/', 1)[-1]}:{self.line}"


@dataclass(frozen=True, slots=True)
class Stack:
    """Frames leaf first (the innermost call is `frames[0]`), as Go prints them.

    `created_by` is the frame holding the `go` statement, None where the artefact does not tell (profiles, the
    old goroutines of a trace, the main goroutine). `elided` counts frames the producer left out in the middle.
    """

    frames: tuple[Frame, ...]
    created_by: Frame | None = None
    elided: int = 0
