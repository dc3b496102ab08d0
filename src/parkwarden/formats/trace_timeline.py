"""The timeline of a trace: what the kernels counted per bin, added up to columns from which any range can be told.

Input: a `Scan` made with `timeline=True`, and the texts of its strings. Out: `Timeline`, or None for a trace without
events. Raises nothing; what does not fit (states, creations by bin, ranges) is counted in the scan's state.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from parkwarden.formats._trace_scan import Columns, Scan
from parkwarden.kernels import _trace_layout as layout
from parkwarden.model.timeline import Stop, Timeline

MAX_CREATIONS = 12
"""Creations drawn apart; more colours are not told apart by anybody."""
MAX_STOPS = 50
"""Stops of the world listed, the longest."""

_FIRST = {layout.T_RUNNING: "running", layout.T_RUNNABLE: "runnable", layout.T_SYSCALL: "syscall"}
_WAITING = {layout.T_WAITING: "waiting", layout.T_COROUTINE: "coroutine"}


def build(found: Scan, reason: Callable[[int], str], kind: Callable[[int], str], largest: list[int]) -> Timeline | None:
    """`reason` and `kind` give the text of a wait's reason and of a stop's kind; `largest` are creations, the most first."""
    columns = found.timeline
    if columns is None:
        return None
    end = int(found.state[layout.S_LAST])
    bins = (end >> columns.shift) + 1
    width = 1 << columns.shift
    states = len(columns.reasons)
    counts = np.zeros((bins + 1, states), dtype=np.int64)
    np.cumsum(columns.levels[:bins, :states, 0], axis=0, out=counts[1:])
    spent = np.zeros((bins + 1, states), dtype=np.int64)
    np.cumsum(columns.levels[:bins, :states, 1] + counts[:-1] * width, axis=0, out=spent[1:])
    spent[-1] -= counts[-1] * ((bins << columns.shift) - end)  # the last bin ends with the trace

    names = _FIRST | _WAITING | {i: reason(int(columns.reasons[i])) for i in range(layout.T_REASONS, states)}
    used = [i for i in names if i in _FIRST or spent[-1, i] or counts[:, i].any()]
    order = [i for i in _FIRST if i in used]
    order += sorted((i for i in used if i not in _FIRST), key=lambda i: -int(spent[-1, i]))
    edges = np.minimum(np.arange(bins + 1, dtype=np.int64) * width, end)
    marking, stopped = _ranges(found, columns, end)
    longest = stopped[np.argsort(stopped[:, 1] - stopped[:, 2], kind="stable")[:MAX_STOPS]]
    return Timeline(
        bin_ns=width,
        duration_ns=end,
        states=tuple(names[i] for i in order),
        counts=counts[:, order].astype(np.int32),
        spent=np.ascontiguousarray(spent[:, order]),
        made=_made(columns, bins, largest),
        marking=_up_to(edges, marking),
        stopped=_up_to(edges, stopped),
        collections=marking.shape[0],
        stops=stopped.shape[0],
        longest=tuple(Stop(kind(int(k)), int(b) / 1e9, int(e - b) / 1e9) for k, b, e in longest),
    )


def _made(columns: Columns, bins: int, largest: list[int]) -> npt.NDArray[np.int32]:
    """Shape (bins + 1, K + 1)."""
    shown = largest[:MAX_CREATIONS]
    place = np.full(layout.MAX_SITES, len(shown), dtype=np.int64)
    place[shown] = np.arange(len(shown))
    rows = columns.rows
    site = rows >> layout.T_COUNT_BITS & (1 << layout.T_SITE_BITS) - 1
    made = np.zeros((bins + 1, len(shown) + 1), dtype=np.int64)
    at = rows >> layout.T_COUNT_BITS + layout.T_SITE_BITS
    np.add.at(made, (at + 1, place[site]), rows & (1 << layout.T_COUNT_BITS) - 1)
    return np.cumsum(made, axis=0).astype(np.int32)


def _ranges(found: Scan, columns: Columns, end: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows (kind, begin, end) of marking and of stops, in order; what was still going on ends with the trace."""
    state = found.state
    still = [
        (kind, int(state[since]), end)
        for since, kind in ((layout.S_GC, layout.T_GC), (layout.S_STW, int(state[layout.S_STWKIND])))
        if int(state[since]) >= 0
    ]
    rows = np.concatenate([columns.ranges, np.array(still, dtype=np.int64).reshape(-1, 3)])
    marks = rows[:, 0] == layout.T_GC
    return rows[marks], rows[~marks]


def _up_to(edges: npt.NDArray[np.int64], ranges: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Nanoseconds within the ranges up to each edge; they follow one another."""
    if not ranges.shape[0]:
        return np.zeros(edges.shape[0], dtype=np.int64)
    knots = ranges[:, 1:].reshape(-1)
    passed = np.zeros(knots.shape[0])
    passed[1::2] = np.cumsum(ranges[:, 2] - ranges[:, 1])
    passed[2::2] = passed[1:-1:2]
    return np.interp(edges, knots, passed).astype(np.int64)
