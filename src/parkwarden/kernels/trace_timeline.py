"""Execution traces: goroutines, creations and waits, and who is in which state over time. See _trace_run.py."""

from __future__ import annotations

from parkwarden.kernels import _trace_run


def run(
    data, batches, order, cursors, heap, parked, st, scale, nargs, counts, idtab, sidtab,
    gtab, wtab, waits, ctab, creations, ptab, mtab, bins, levels, reasons, rows, ranges, ncursors,
):  # fmt: skip
    """All events of one generation in time order: `_trace_run.run` with a timeline."""
    return _trace_run.run(
        data, batches, order, cursors, heap, parked, st, scale, nargs, counts, idtab, sidtab,
        gtab, wtab, waits, ctab, creations, ptab, mtab, bins, (levels, reasons, rows, ranges), ncursors,
    )  # fmt: skip


KERNELS = {
    "run": (run, "u8*, i64*, i64*, i64*, i64*, i64*, i64*, f64*" + ", i64*" * 16 + ", i64"),
}
