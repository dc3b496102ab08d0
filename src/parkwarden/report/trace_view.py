"""What templates show of an execution trace's sums: the HTML report and the page of a trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parkwarden.model import Frame
from parkwarden.model.artefact import Trace
from parkwarden.report import words
from parkwarden.report.safe import inert
from parkwarden.report.view import Limits, frame_view, mine_view
from parkwarden.stacks.normalise import blocked_frame


def trace_view(name: str, trace: Trace, user_modules: Sequence[str], limits: Limits) -> dict[str, Any]:
    """A trace in rows: `go` statements by goroutines created, waits by time, creations over time as bars of 1000 x 100."""
    bins = [int(n) for n in trace.created_per_s]
    columns = min(len(bins), 200)
    summed = [sum(bins[i * len(bins) // columns : (i + 1) * len(bins) // columns]) for i in range(columns)]
    top = max(summed, default=0) or 1
    width = 1000 / columns if columns else 0
    creations = sorted(trace.creations, key=lambda one: -one.count)
    waits = sorted(trace.waits, key=lambda one: -one.total_s)
    return {
        "name": inert(name, 120),
        "duration": words.seconds(trace.duration_s),
        "created": words.count(trace.created),
        "ended": words.count(trace.ended),
        "peak": f"{top * columns / trace.duration_s:,.0f}" if columns and trace.duration_s > 0 else "0",
        "bars": [
            (round(i * width, 2), round(max(width - 1, width * 0.8), 2), round(98 * n / top, 2), words.count(n))
            for i, n in enumerate(summed)
        ],
        "creations": [
            {
                "count": words.count(one.count),
                "per_s": f"{one.count / trace.duration_s:,.1f}" if trace.duration_s > 0 else "",
                "peak": f"{one.peak_per_s:,.0f}",
                "alive": words.count(one.alive),
                "kept": one.count > 0 and one.alive * 2 > one.count,
                "at": frame_view(one.stack.frames[0] if one.stack.frames else Frame(""), limits),
                "start": frame_view(one.start, limits),
                "mine": mine_view(one.stack.frames, user_modules, limits),
            }
            for one in creations[: limits.rows]
        ],
        "creations_total": len(creations),
        "waits": [
            {
                "total": words.seconds(one.total_s),
                "reason": inert(one.reason, 60),
                "count": words.count(one.count),
                "max": words.seconds(one.max_s),
                "open": words.count(one.open),
                "at": frame_view(blocked_frame(one.stack.frames) if one.stack.frames else Frame(""), limits),
                "mine": mine_view(one.stack.frames, user_modules, limits),
            }
            for one in waits[: limits.rows]
        ],
        "waits_total": len(waits),
    }
