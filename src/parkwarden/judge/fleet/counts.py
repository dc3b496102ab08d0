"""All count detectors over a fleet's readings, in one call per tick."""

from __future__ import annotations

from parkwarden.aggregate.windows import Windows
from parkwarden.judge.fleet import blocked_share, gc_pressure, goroutine_excess, goroutine_trend, heap_jump
from parkwarden.judge.fleet.judged import Judged
from parkwarden.judge.fleet.rules import Rules
from parkwarden.kernels._fleet_layout import SUSPECT
from parkwarden.model import Signal


def judge_counts(windows: Windows, now: float, rules: Rules) -> list[Signal]:
    """Signals (suspect and worse) of the count detectors about every instance, and the triggers for looks among them.

    `now` is in the readings' seconds; readings after it wait for the next tick. What was frozen stays in `windows`, per rule.
    """
    if not windows.count[: windows.size].any():
        return []  # nobody has told a number: recordings of profiles alone need no five walks per tick
    judged = judge_columns(windows, now, rules)
    pressed = judged[gc_pressure.NAME].verdict >= SUSPECT
    return [
        *goroutine_trend.signals(windows, judged[goroutine_trend.NAME], rules.trend, pressed),
        *heap_jump.signals(windows, judged[heap_jump.NAME]),
        *gc_pressure.signals(windows, judged[gc_pressure.NAME]),
        *goroutine_excess.signals(windows, judged[goroutine_excess.NAME]),
        *blocked_share.signals(windows, judged[blocked_share.NAME]),
    ]


def judge_columns(windows: Windows, now: float, rules: Rules) -> dict[str, Judged]:
    """Every count detector's columns by its name: verdicts, causes of unknown, numbers."""
    judged = (
        goroutine_trend.judge(windows, now, rules.trend),
        heap_jump.judge(windows, now, rules.heap),
        gc_pressure.judge(windows, now, rules.gc),
        goroutine_excess.judge(windows, now, rules.excess),
        blocked_share.judge(windows, now, rules.blocked),
    )
    return {j.detector: j for j in judged}
