"""Execution traces: goroutines, creations and waits. See _trace_run.py."""

from __future__ import annotations

from parkwarden.kernels import _trace_run


def run(
    data, batches, order, cursors, heap, parked, st, scale, nargs, counts, idtab, sidtab,
    gtab, wtab, waits, ctab, creations, ptab, mtab, bins, ncursors,
):  # fmt: skip
    """All events of one generation in time order: `_trace_run.run` without a timeline."""
    return _trace_run.run(
        data, batches, order, cursors, heap, parked, st, scale, nargs, counts, idtab, sidtab,
        gtab, wtab, waits, ctab, creations, ptab, mtab, bins, None, ncursors,
    )  # fmt: skip


KERNELS = {
    "run": (run, "u8*, i64*, i64*, i64*, i64*, i64*, i64*, f64*" + ", i64*" * 12 + ", i64"),
}
