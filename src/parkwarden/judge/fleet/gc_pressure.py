"""PW503 gc-pressure: the garbage collector takes more than its share of the processor.

What it watches: seconds of CPU the collector took against all the process took, between the first and the last reading of the window.
Why: leaked goroutines hold stacks and what hangs on them; the collector walks it all each cycle. A co-signal of a leak, and a warning of
its own.

Input: columns `gc_cpu_s`, `cpu_s` (cumulative seconds), `num_gc` (cycles), `gc_cpu_fraction`. Both seconds should be of one family
(`/cpu/classes/gc/total` and `/cpu/classes/total`, or the process's CPU seconds, which are fewer: then the share is of what was used).

Verdicts: `suspect` when at least one collection ran in the window and the share is > 0.15, strictly, *and* the collector took at least
`min_gc_cores` of one processor: an idle process collects every two minutes and does little else. Where the seconds are not told,
`gc_cpu_fraction` is used, which is an average since the process began (numbers: `fallback` = 1, and the text warns). Never `leak`.
`unknown`: numbers not told, too short a span, a hole, a counter that fell.

Cost of being wrong: a line in a report; nobody is woken by this alone. Blind spots: the runtime brings its CPU classes up to date at the end
of a cycle only, so a share over few cycles is coarse; the fallback hardly moves in a process that has run for days.
Example: 18 s of 120 s of CPU is 0.15 and fine; 19 s is not.
Source: runtime/metrics `/cpu/classes/gc/total:cpu-seconds`; runtime/mstats.go GCCPUFraction.
"""

from __future__ import annotations

from dataclasses import dataclass

from parkwarden.aggregate.windows import Windows
from parkwarden.judge.fleet.judged import Judged, scan
from parkwarden.kernels._fleet_layout import AVERAGE
from parkwarden.model import Signal

NAME = "gc-pressure"
CODE = "PW503"
NUMBERS = ("gc_cpu_share", "gc_cycles", "source", "span_s", "gc_cpu_s", "cpu_s")
"""`source` is 1 where the share comes from deltas, 2 where it is the average since the process began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GcPressureRule:
    """Thresholds of gc-pressure."""

    window_s: float = 120.0
    """The goroutine trend's window: the two are read together."""
    gc_share: float = 0.15
    """Of CPU, to be passed. The pacer aims at 0.25 of GOMAXPROCS *during* a cycle; over a window 0.15 means it runs most of the time. Lower:
    busy allocators fire; higher: only a process in distress does."""
    min_gc_cores: float = 0.01
    """Processors the collector must take at least: 1.2 s in 120 s. Lower: idle processes, which do nothing else, fire."""
    min_span_s: float = 25.0
    """Seconds between the readings compared; as for the trend."""
    max_gap_s: float = 30.0
    """A hole this long begins the window anew; as for the trend."""


def judge(windows: Windows, now: float, rule: GcPressureRule) -> Judged:
    """Verdicts and NUMBERS for every row."""
    params = (now, rule.window_s, rule.min_span_s, rule.max_gap_s, rule.gc_share, rule.min_gc_cores)
    fields = ("gc_cpu_s", "cpu_s", "num_gc", "gc_cpu_fraction")
    return scan(NAME, "gc", windows, fields, params, NUMBERS)


def signals(windows: Windows, judged: Judged) -> list[Signal]:
    """A Signal per suspect row."""
    return [_signal(windows, judged, row, n) for row, n in judged.found()]


def _signal(windows: Windows, judged: Judged, row: int, n: dict[str, float]) -> Signal:
    average = n.pop("source") == AVERAGE
    share = n["gc_cpu_share"]
    if average:
        text = (
            f"garbage collection took {share:.0%} of CPU on average since the process began (its share of late is not told: "
            f"this number hardly moves)"
        )
    else:
        text = f"garbage collection took {share:.0%} of CPU over {n['span_s']:.0f} s ({n['gc_cpu_s']:.1f} s of {n['cpu_s']:.1f} s)"
    if "gc_cycles" in n:
        text += f", {n['gc_cycles']:.0f} collections in {n['span_s']:.0f} s"
    return judged.suspicion(
        windows,
        row,
        code=CODE,
        confidence=0.2 if average else 0.4,
        text=text,
        numbers={**n, "fallback": float(average)},
    )
