"""Snapshot: every goroutine of one process at one moment, in columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag, StrEnum
from typing import TYPE_CHECKING, TypeAlias

from parkwarden.model.stack import Frame, Stack

if TYPE_CHECKING:  # the words must be importable without NumPy's 70 ms: `--help` knows them too
    import numpy as np
    import numpy.typing as npt

Ints: TypeAlias = "npt.NDArray[np.int64]"


class Source(StrEnum):
    """What kind of look the snapshot came from; it decides which columns can be filled."""

    DUMP = "dump"  # full text dump: ids, states, wait minutes, labels, created by
    PROFILE = "profile"  # goroutine profile: stacks and counts (labels)
    LEAK_PROFILE = "leak-profile"  # goroutineleak: only what is proven leaked
    CENSUS = "census"  # execution trace: ids, statuses and stacks


class Mark(IntFlag):
    """Per-row bits of `Snapshot.marks`."""

    NONE = 0
    LEAKED = 1  # header says (leaked), or the row comes from a leak profile
    LOCKED = 2  # locked to thread
    BUBBLE = 4  # synctest bubble
    DURABLE = 8  # (durable)
    DAMAGED = 16  # some of this record was lost; what is there is right
    ARG0_UNSURE = 32  # the dump printed `arg0` with `?` (Go 1.18): it may be stale
    RAN = 64  # a census saw it run or change its state while the trace ran: it works, it is not stuck


@dataclass(slots=True, kw_only=True)
class Snapshot:
    """Goroutines as rows; a row of a dump or census is one goroutine, a row of a profile is `count` of them.

    Tables (distinct values, referenced by index): `stacks`, `states` (the producer's own text, "" = not told),
    `labels` (index 0 is always the empty set).
    Columns (shape (n,), int64): `stack`, `state`, `label` index the tables; `count` >= 1; `goid` and `parent`
    (0 = not told); `wait_min` in minutes, a lower bound (-1 = not told); `arg0` the first argument word of the leaf
    frame as the dump printed it, e.g. the lock's address (0 = not told); `marks` bits of `Mark`.
    """

    source: Source
    stacks: list[Stack]
    states: list[str]
    labels: list[dict[str, str]]
    stack: Ints
    state: Ints
    label: Ints
    count: Ints
    goid: Ints
    parent: Ints
    wait_min: Ints
    arg0: Ints
    marks: Ints
    taken_at: float | None = None
    """Unix seconds, None where the artefact does not tell."""
    headers_seen: int = 0
    """Goroutine headers met in the input; `total` short of it is what was lost."""
    ancestors: dict[int, tuple[tuple[int, tuple[Frame, ...]], ...]] = field(default_factory=dict)
    """goid -> ((ancestor goid, its frames leaf first), ...), where GODEBUG=tracebackancestors was on."""

    @property
    def total(self) -> int:
        """Number of goroutines."""
        return int(self.count.sum())

    @property
    def rows(self) -> int:
        return int(self.count.shape[0])


def make_snapshot(
    source: Source,
    stacks: list[Stack],
    stack: npt.ArrayLike,
    *,
    count: npt.ArrayLike | None = None,
    states: list[str] | None = None,
    state: npt.ArrayLike | None = None,
    labels: list[dict[str, str]] | None = None,
    label: npt.ArrayLike | None = None,
    goid: npt.ArrayLike | None = None,
    parent: npt.ArrayLike | None = None,
    wait_min: npt.ArrayLike | None = None,
    arg0: npt.ArrayLike | None = None,
    marks: npt.ArrayLike | None = None,
    taken_at: float | None = None,
    headers_seen: int | None = None,
) -> Snapshot:
    """A Snapshot with the columns the producer did not tell filled by their "not told" value."""
    import numpy as np

    index = np.asarray(stack, dtype=np.int64)
    n = index.shape[0]

    def column(values: npt.ArrayLike | None, missing: int) -> Ints:
        if values is None:
            return np.full(n, missing, dtype=np.int64)
        return np.asarray(values, dtype=np.int64)

    counts = column(count, 1)
    return Snapshot(
        source=source,
        stacks=stacks,
        states=states or [""],
        labels=labels or [{}],
        stack=index,
        state=column(state, 0),
        label=column(label, 0),
        count=counts,
        goid=column(goid, 0),
        parent=column(parent, 0),
        wait_min=column(wait_min, -1),
        arg0=column(arg0, 0),
        marks=column(marks, 0),
        taken_at=taken_at,
        headers_seen=int(counts.sum()) if headers_seen is None else headers_seen,
    )
