"""PW505 blocked-share: of a process's goroutines, suddenly many more wait. A reason to look, not an accusation.

What it watches: the share of goroutines that are blocked, against its own running mean. Why: when a lock is never given back or a
peer stops answering, the crowd behind it stands still before its number says anything (A3).

Input: column `blocked_share` (0..1). It comes from the page where the page says it (`Reading.blocked`, from Go 1.26's
`/sched/goroutines/waiting:goroutines`), else from the wait reasons of a goroutine profile's or census's sites, which the engine hands to
`Windows.blocked` and which travel with the next reading. Cadence: any, from 5 s (page) to `max_age_s` (profile beat).

Verdicts: `suspect`, with low confidence, when the share is more than `jump` above the mean and that is at least `min_extra`
goroutines; the mean is frozen from then on until the share falls back half-way, or for `hold_s`. `unknown`: not told, fewer than
`min_samples` before, or nothing for `max_age_s`. Never `leak`: a quiet night blocks everybody.

Cost of being wrong: one look, within its budget. Blind spots: a share that was high from the start; a slow drift (the mean follows it).
Example: half of 400 blocked for minutes, then 90 %: suspect. Source: the A3 rule of the house's map.
"""

from __future__ import annotations

from dataclasses import dataclass

from parkwarden.aggregate.windows import Windows
from parkwarden.judge.fleet.judged import Judged, scan
from parkwarden.model import Signal

NAME = "blocked-share"
CODE = "PW505"
NUMBERS = ("blocked_share", "base_share", "extra", "since_s")
"""`extra` is how many goroutines more are blocked than the mean share would have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedRule:
    """Thresholds of blocked-share."""

    jump: float = 0.2
    """Rise of the share (0..1) above its mean, to be passed. Lower: the ebb and flow of traffic fires; higher: only a standstill does."""
    min_extra: float = 50.0
    """Goroutines that are blocked beyond the mean, at least: the absolute floor. Lower: processes with a handful of goroutines fire."""
    min_samples: int = 3
    """Shares seen before one can jump."""
    max_age_s: float = 150.0
    """A share older than this says nothing about now, and a hole as long begins the mean anew: two and a half beats of the profile."""
    mean_s: float = 300.0
    """Time constant of the running mean. Longer: slow drifts look like jumps; shorter: a jump in two steps is learnt as normal."""
    hold_s: float = 900.0
    """How long a share that stays up is told; as for the trend."""


def judge(windows: Windows, now: float, rule: BlockedRule) -> Judged:
    """Verdicts and NUMBERS for every row."""
    params = (now, rule.jump, rule.min_extra, rule.min_samples, rule.max_age_s, rule.mean_s, rule.hold_s)
    fields = ("blocked_share", "goroutines")
    return scan(NAME, "blocked", windows, fields, params, NUMBERS, ((NAME, rule), 5))


def signals(windows: Windows, judged: Judged) -> list[Signal]:
    """A Signal per suspect row."""
    return [
        judged.suspicion(
            windows,
            row,
            code=CODE,
            confidence=0.2,
            text=f"{n['blocked_share']:.0%} of goroutines are blocked, {n['base_share']:.0%} before ({n['extra']:,.0f} more): worth a look",
            since=n["since_s"],
            count=int(n["extra"]),
            numbers=n,
        )
        for row, n in judged.found()
    ]
