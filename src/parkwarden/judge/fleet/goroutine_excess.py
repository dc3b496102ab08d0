"""PW504 goroutine-excess: many more goroutines than the processors could ever serve. A reason to look, not an accusation.

What it watches: goroutines against GOMAXPROCS x 100. Why: evidence is cheapest while the crowd is still small enough to be written down;
this is the map's trigger for saving some (A3).

Input: column `goroutines`, limit `gomaxprocs`. Verdicts: `suspect`, with low confidence, when the newest count is > 100 per processor,
strictly; `unknown` where one of the two is not told or the newest reading is older than `max_age_s`. Never `leak`: ten thousand idle
websockets are a healthy service.

Cost of being wrong: one look, within its budget. Blind spots: a leak in a process that is small. Example: GOMAXPROCS 4: 400 is ok, 401 is
looked at. Source: the A3 rule of the house's map.
"""

from __future__ import annotations

from dataclasses import dataclass

from parkwarden.aggregate.windows import Windows
from parkwarden.judge.fleet.judged import Judged, scan
from parkwarden.model import Signal

NAME = "goroutine-excess"
CODE = "PW504"
NUMBERS = ("goroutines", "gomaxprocs")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcessRule:
    """Thresholds of goroutine-excess."""

    per_processor: float = 100.0
    """Goroutines per GOMAXPROCS, to be passed. Lower: looks are spent on healthy services; higher: the first evidence is saved later."""
    max_age_s: float = 30.0
    """A reading older than this says nothing about now."""


def judge(windows: Windows, now: float, rule: ExcessRule) -> Judged:
    """Verdicts and NUMBERS for every row."""
    params = (now, rule.per_processor, rule.max_age_s)
    return scan(NAME, "excess", windows, ("goroutines", "gomaxprocs"), params, NUMBERS)


def signals(windows: Windows, judged: Judged) -> list[Signal]:
    """A Signal per suspect row."""
    return [
        judged.suspicion(
            windows,
            row,
            code=CODE,
            confidence=0.15,
            text=f"{n['goroutines']:,.0f} goroutines on {n['gomaxprocs']:.0f} processors: worth a look",
            count=int(n["goroutines"]),
            numbers=n,
        )
        for row, n in judged.found()
    ]
