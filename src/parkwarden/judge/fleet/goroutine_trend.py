"""PW501 goroutine-trend: the number of goroutines of one process rises, fast and in a line.

What it watches: the goroutine count of each instance over the last 120 s. Why: a fast leak (tens a second) ends a service in minutes to
hours, and the count is the cheapest number there is; it tells that something happens, the sites tell where.

Input: column `goroutines` (count), times in seconds, at any cadence; the rule works by time, never by sample number. Reaching further
back than a hole of `max_gap_s` is not done: the window begins behind the hole.

Verdicts: `suspect` when the standard deviation (of the population) is > 30 **and** the least-squares slope is > 5 a second, both
strictly; and as long afterwards as the count stays up: the level before the rise is frozen when the rule first fires, so that a leak that
has stopped growing is not learnt as normal. It is let go when the count falls back to that level plus `release_share` of the rise, or
after `hold_s`. Never `leak`: a total cannot tell a leak from load; sites, survivors and the leak profile can. `unknown` with a cause when
fewer than `min_samples`, less than `min_span_s`, a hole at the end, or a process that has just restarted leaves too little.
GC pressure (PW503) raises confidence; it is no condition.

Cost of being wrong: a false one costs a look at the ladder's next rung (a goroutine profile); a missed one is found later by its site.
Blind spots: leaks below 5/s (site-floor-growth and survivors see them); a rise hidden by an equal fall elsewhere in the process; start-up
crowds within the first minute look the same, and are let go when they leave.

Example: 300 goroutines, then 50 more every second: the slope over 120 s passes 5/s 23.5 s after the first, by arithmetic.
Source: the A1 rule of the house's map; prometheus `stddev_over_time(go_goroutines[2m]) > 30 and deriv(go_goroutines[2m]) > 5`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from parkwarden.aggregate.windows import Windows
from parkwarden.judge.fleet.judged import Judged, scan
from parkwarden.model import Signal

NAME = "goroutine-trend"
CODE = "PW501"
NUMBERS = (
    "sigma", "slope_per_s", "fit", "samples", "span_s", "goroutines", "base", "since_s", "held_s", "peak", "newest_s",
)  # fmt: skip
"""`fit` is r squared of the line; `held_s` seconds since the rule itself last fired (0 = it fires now)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendRule:
    """Thresholds of goroutine-trend."""

    window_s: float = 120.0
    """How far back, seconds. Longer: slower leaks pass the slope but fast ones are told later (a leak of r/s needs window * s with
    3s^2 - 2s^3 = slope/r); shorter: every burst fires."""
    sigma: float = 30.0
    """Standard deviation, goroutines, to be passed. The absolute floor beside the slope: lower, and a handful of workers starting counts."""
    slope_per_s: float = 5.0
    """Goroutines a second, to be passed. Lower: every morning's load fires; higher: leaks of hundreds a minute stay unseen here."""
    min_samples: int = 6
    """Samples in the window. Fewer make any two spikes a line; more delay the first verdict after a restart."""
    min_span_s: float = 25.0
    """Seconds between first and last sample: six samples at 5 s. Shorter: a service's start-up crowd fires each time."""
    max_gap_s: float = 30.0
    """A hole this long begins the window anew: six missed beats. Longer: a line is drawn through what nobody saw."""
    release_share: float = 0.2
    """Of the rise that may remain when the suspicion is let go (but no less than `sigma`). Lower: crowds that leave a few behind stay
    suspected; higher: a leak that recycles part of its crowd is let go."""
    hold_s: float = 900.0
    """How long a level that no longer rises stays suspected: three beats of the census (5 min), after which the sites have had their
    say. Longer: every step up in load stays on the list; shorter: a leak that paused is forgotten."""


def judge(windows: Windows, now: float, rule: TrendRule) -> Judged:
    """Verdicts and NUMBERS for every row."""
    params = (now, rule.window_s, rule.min_samples, rule.min_span_s, rule.max_gap_s, rule.sigma, rule.slope_per_s,
              rule.release_share, rule.hold_s)  # fmt: skip
    return scan(NAME, "trend", windows, ("goroutines",), params, NUMBERS, ((NAME, rule), 4))


def signals(
    windows: Windows, judged: Judged, rule: TrendRule, pressed: npt.NDArray[np.bool_] | None = None
) -> list[Signal]:
    """A Signal per suspect row; `pressed` says per row whether GC pressure was seen too."""
    return [
        _signal(windows, judged, row, n, rule, pressed is not None and bool(pressed[row])) for row, n in judged.found()
    ]


def _signal(windows: Windows, judged: Judged, row: int, n: dict[str, float], rule: TrendRule, pressed: bool) -> Signal:
    rate = n["slope_per_s"]
    if n["held_s"] == 0.0:
        risen_s = n["newest_s"] - n["since_s"]
        if 0.0 < risen_s < n["span_s"]:  # the window still holds time before the rise, which thins its slope
            rate = (n["goroutines"] - n["base"]) / risen_s
        confidence = 0.35 + 0.25 * min(n["span_s"] / rule.window_s, 1.0) + 0.15 * n["fit"] + (0.1 if pressed else 0.0)
        text = (
            f"goroutines rise by {rate:,.1f}/s, from {n['base']:,.0f} to {n['goroutines']:,.0f} (over {n['span_s']:.0f} s: slope "
            f"{n['slope_per_s']:,.1f}/s, standard deviation {n['sigma']:,.0f})"
        )
        if pressed:
            text += "; the garbage collector is under pressure too"
    else:
        confidence = 0.1 + 0.3 * max(0.0, 1.0 - n["held_s"] / rule.hold_s)
        text = (
            f"goroutines rose from {n['base']:,.0f} and stay at {n['goroutines']:,.0f}, "
            f"{n['held_s']:.0f} s after the rise ended"
        )
    return judged.suspicion(
        windows,
        row,
        code=CODE,
        confidence=confidence,
        text=text,
        rate_per_min=rate * 60.0,
        since=n["since_s"],
        count=int(n["goroutines"]),
        numbers={**n, "gc_pressure": float(pressed)},
    )
