"""A trace over time: who was in which state, who was made where, when the collector ran. In columns, for any range at any width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Stop:
    """One time the whole program stood still."""

    kind: str
    """Why, in Go's words: `GC mark termination`, `start trace`."""
    at_s: float
    """Seconds from the trace's begin."""
    took_s: float


@dataclass(slots=True, kw_only=True)
class Timeline:
    """Sums from the trace's begin to each *edge* between its bins (the last edge is the trace's end).

    What happened between any two edges is the difference of two rows, so no range costs more than another. All times
    in nanoseconds; S states, K creations, B bins.
    """

    bin_ns: int
    """Width of every bin but the last, which ends with the trace."""
    duration_ns: int
    states: tuple[str, ...]
    """`running`, `runnable`, `syscall`, then reasons of waiting, the most time first."""
    counts: npt.NDArray[np.int32]
    """Goroutines in each state at each edge, shape (B + 1, S)."""
    spent: npt.NDArray[np.int64]
    """Nanoseconds that goroutines were in each state, up to each edge, shape (B + 1, S)."""
    made: npt.NDArray[np.int32]
    """Goroutines made up to each edge, shape (B + 1, K + 1): by the trace's first K creations, and by all others."""
    marking: npt.NDArray[np.int64]
    """Nanoseconds in which the collector marked (concurrently) up to each edge, shape (B + 1,)."""
    stopped: npt.NDArray[np.int64]
    """Nanoseconds in which the world stood still, up to each edge, shape (B + 1,)."""
    collections: int
    """Times the collector marked."""
    stops: int
    longest: tuple[Stop, ...]
    """The longest stops, in the order of their duration."""

    @property
    def bins(self) -> int:
        return int(self.counts.shape[0]) - 1

    @property
    def nbytes(self) -> int:
        """Memory of the columns."""
        return sum(int(a.nbytes) for a in (self.counts, self.spent, self.made, self.marking, self.stopped))

    def time_ns(self, edges: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """When edges are."""
        import numpy as np

        return np.minimum(edges * self.bin_ns, self.duration_ns)
