"""The floor of a site keeps rising: what stays when bursts have gone is more and more.

Watches     each site's floors (least count per time slot of 1, 5, 20 and 60 minutes) and its last looks.
Why         a leak of six an hour drowns in the process's total and in a site's mean; it lifts the site's floor for ever.
Input       `Rows.floors` (levels, rows, FLOORS) and `Rows.recent`; a profile a minute is enough, closer looks only make it faster.
Method      Mann-Kendall's trend test over the last 8, 12, 16 and 24 slots of each length: S = pairs that rise less pairs that fall, with the exact
            chance of such an S when the order says nothing. Beside it floors in absolute numbers, because counts wander: the rise between the
            first and the last third must pass `rise` + `wander` x sqrt(2 x floor) (a queue of n wanders by sqrt(n)), the second
            half must not be slower than `steady` of the first (a filling pool slows down), the floor must be higher than ever before (a
            daily tide and a sawtooth come back to where they were), and the rise must not be what the load, or the process's other sites, did at the same time.
Verdicts    `leak`: chance <= `leak_p` over at least `leak_span_s`, all floors passed at leak strength. `suspect`: chance <= `suspect_p`.
            A site that has risen since the process began may be filling: below `filling_count` it stays suspect for `warm_up_s`.
Parameters  `FloorRule`.
If wrong    stated per look by `leak_p`; what the simulator measures per site and day is in docs/detectors.
Blind       leaks below about `rise` goroutines; leaks while load rises (judged when it no longer does); growth that follows load exactly.
Example     floors 3 5 6 8 11 12 15 16 per 20 minutes: 28 of 28 pairs rise, suspect after 2 h 40 min.
Source      H. B. Mann 1945, M. G. Kendall 1975; exact distribution of S by the Mahonian numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from parkwarden.aggregate.sites import FLOORS, LEVELS_S, NOT_TOLD, Rows
from parkwarden.model import Signal, Verdict

NAME = "site-floor-growth"
CODE = "PW511"

WINDOWS = (8, 12, 16, 24)
"""Time slots per test: 8 is the least whose chance (1 in 40,320) can accuse, 24 is all there is."""
RECENT_WINDOWS = (6, 10, 16)
"""The same over the last looks themselves, for what is fast."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorRule:
    """Thresholds of the floor's growth."""

    suspect_p: float = 1e-3
    """Chance of such a trend in counts without one, per test. Higher: more closer looks for nothing; lower: they come later."""
    leak_p: float = 1e-6
    """The same for `leak`. About 500 independent tests a site and day make 5e-4 at most, before the other floors."""
    suspect_rise: float = 6.0
    """Goroutines the floor must have risen by, whatever the chance: 4 more of something is nobody's night call."""
    leak_rise: float = 12.0
    suspect_wander: float = 2.5
    """Times sqrt(2 x floor) that a stationary queue may wander by between two moments (Poisson)."""
    leak_wander: float = 4.0
    suspect_steady: float = 0.4
    """Rise of the second half over that of the first. A filling pool (exponential) falls below 0.7 when it is two thirds full."""
    leak_steady: float = 0.7
    leak_span_s: float = 600.0
    """Counts alone say leak only after so long: a slow back end piles up goroutines for a time-out or two."""
    warm_up_s: float = 7200.0
    """Growth that began with the process may be a pool that fills; below `filling_count` it stays suspect for so long."""
    filling_count: int = 100
    """Usual pools are smaller (database/sql, HTTP/1 per host, workers by the core)."""
    tide: float = 1.25
    """Growth of the load, or of the median other site, from which on a rise is believed only where it is clearly more than that."""


@dataclass(slots=True)
class Judged:
    """By row. `level` -1 = the last looks. `p` 1 where nothing rose."""

    suspect: npt.NDArray[np.bool_]
    leak: npt.NDArray[np.bool_]
    p: Floats
    rise: Floats
    span_s: Floats
    first: Floats
    filling: npt.NDArray[np.bool_]
    tide: npt.NDArray[np.bool_]


@lru_cache(maxsize=64)
def tail(n: int) -> Floats:
    """P(S >= s) of Mann-Kendall's S for n values in random order; index (s + m) // 2 with m = n (n - 1) / 2."""
    counts = np.ones(1)
    for k in range(2, n + 1):  # inversions of k values: those of k - 1, and 0..k-1 for the last one
        counts = np.convolve(counts, np.full(k, 1.0 / k))
    return np.minimum(np.cumsum(counts), 1.0)[::-1]


def trend(values: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    """Mann-Kendall of each row (NaN = not told): S, values told, and the chance of an S that high without a trend."""
    upper = np.triu_indices(values.shape[1], 1)
    s = np.nansum(np.sign(values[:, upper[1]] - values[:, upper[0]]), axis=1).astype(np.int64)
    told = (~np.isnan(values)).sum(axis=1)
    p = np.ones(len(values))
    for n in np.unique(told).tolist():
        if n >= 4:
            of = told == n
            pairs = n * (n - 1) // 2
            p[of] = tail(n)[(s[of] + pairs + 1) // 2]
    return s, told, p


def judge(rows: Rows, now: float, rule: FloorRule, load: Floats | None = None) -> Judged:
    """All rows at once. `load` (levels, tables, FLOORS): requests per second per time slot, NaN where not told."""
    n = len(rows)
    flag = np.zeros((4, n), bool)
    out = Judged(flag[0], flag[1], np.ones(n), np.zeros(n), np.zeros(n), np.zeros(n), flag[2], flag[3])
    if not n:
        return out
    last_now = rows.recent[:, -3:].min(axis=1)
    for level in range(-1, len(LEVELS_S)):
        counts = rows.recent if level < 0 else rows.floors[level] if level == 0 else rows.floors[level][:, :-1]
        least = np.where(counts == NOT_TOLD, np.iinfo(np.int32).max, counts).min(axis=1)
        picked = np.flatnonzero(last_now - least >= rule.suspect_rise)
        if len(picked):
            _judge_level(rows, picked, counts, level, now, rule, out, load)
    return out


def _judge_level(
    rows: Rows,
    picked: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int32],
    level: int,
    now: float,
    rule: FloorRule,
    out: Judged,
    load: Floats | None,
) -> None:
    values = counts.astype(np.float64)
    values[counts == NOT_TOLD] = np.nan
    tables = rows.table[picked]
    for size in RECENT_WINDOWS if level < 0 else WINDOWS:
        size = min(size, values.shape[1])
        window = values[:, -size:]
        mine = window[picked]
        third = max(size // 3, 2)
        early, late = _median(mine[:, :third]), _median(mine[:, -third:])
        middle = _median(mine[:, third:-third])
        rise = late - early
        ok = rise >= rule.suspect_rise  # NaN where a third was not told
        if not ok.any():
            continue
        if level < 0:
            span = rows.times[tables, -1] - rows.times[tables, -size]
        else:
            span = np.full(len(picked), size * LEVELS_S[level])
        factor = _others(rows, window, picked, third)
        if load is not None and level >= 0:
            factor = np.fmax(
                factor,
                _growth(
                    load[level][tables][:, -size:] if level == 0 else load[level][tables][:, -size - 1 : -1], third
                ),
            )
        factor = np.where(factor > 1, factor, 1.0)
        excess = rise - early * (factor - 1) * 1.5
        tide = factor >= rule.tide
        _, told, p = trend(mine)
        steady = (late - middle) / np.maximum(middle - early, 1e-9)
        high = late > _highest_before(rows, picked, span, level)
        still = np.nanmin(mine[:, -2:], axis=1, initial=np.inf) >= np.fmax(middle, early)
        base = ok & high & still & (told >= 0.75 * size) & (span > 0)
        wander = np.sqrt(2 * np.maximum(early, 0))
        suspect = base & (p <= rule.suspect_p) & (excess >= rule.suspect_rise + rule.suspect_wander * wander)
        suspect &= steady >= rule.suspect_steady
        began = np.array([t.watched_since or now for t in rows.tables])[tables]
        start = np.array([t.instance.start_time or t.watched_since or now for t in rows.tables])[tables]
        filling = (
            (now - start < rule.warm_up_s)
            & (late < rule.filling_count)
            & (early <= 0.1 * late)
            & (now - span - began < span)
        )
        leak = suspect & (p <= rule.leak_p) & (excess >= rule.leak_rise + rule.leak_wander * wander)
        leak &= (steady >= rule.leak_steady) & (span >= rule.leak_span_s) & ~filling & ~tide
        better = suspect & (
            ~out.suspect[picked] | (leak & ~out.leak[picked]) | ((leak == out.leak[picked]) & (p < out.p[picked]))
        )
        at = picked[better]
        out.suspect[at], out.leak[at] = True, out.leak[at] | leak[better]
        out.p[at], out.rise[at], out.span_s[at] = p[better], rise[better] * size / (size - third), span[better]
        out.first[at], out.filling[at], out.tide[at] = early[better], filling[better], tide[better]


def _median(values: Floats) -> Floats:
    """Median of each row, NaN where less than half is told."""
    told = (~np.isnan(values)).sum(axis=1)
    ordered = np.sort(values, axis=1)  # NaN last
    middle = ordered[np.arange(len(values)), np.maximum(told - 1, 0) // 2]
    return np.where(told * 2 >= values.shape[1], middle, np.nan)


def _growth(values: Floats, third: int) -> Floats:
    """By which factor each row grew from its first third to its last; NaN where not told."""
    early, late = _median(values[:, :third]), _median(values[:, -third:])
    return np.where(early > 0, late / np.maximum(early, 1e-9), np.nan)


def _others(rows: Rows, window: Floats, picked: npt.NDArray[np.int64], third: int) -> Floats:
    """By which factor the median other busy site of each picked row's process grew meanwhile; NaN with fewer than three of them."""
    factor = np.full(len(picked), np.nan)
    for table in np.unique(rows.table[picked]).tolist():
        of = np.flatnonzero(rows.table == table)
        early, late = _median(window[of, :third]), _median(window[of, -third:])
        busy = (early >= 3) & (np.nanmax(window[of], axis=1, initial=0) > np.nanmin(window[of], axis=1, initial=np.inf))
        if busy.sum() < 4:
            continue
        ratios = late[busy] / early[busy]
        mine = rows.table[picked] == table
        factor[mine] = np.nanmedian(ratios)
    return factor


def _highest_before(rows: Rows, picked: npt.NDArray[np.int64], span: Floats, level: int) -> Floats:
    """The highest five-minute floor before the window began."""
    slots = rows.floors[1, picked]
    age = np.arange(FLOORS - 1, -1, -1) * LEVELS_S[1]
    before = np.where(age[None, :] >= span[:, None], slots, 0).max(axis=1)
    return np.maximum(before, rows.peak[picked] if level < 2 else 0).astype(np.float64)


def signals(rows: Rows, judged: Judged, now: float, rule: FloorRule) -> list[Signal]:
    """What to say about the rows that rose."""
    out = []
    for i in np.flatnonzero(judged.suspect).tolist():
        leak, p, span = bool(judged.leak[i]), float(judged.p[i]), float(judged.span_s[i])
        rate = float(judged.rise[i]) / span * 60
        count = int(rows.recent[i, -1])
        doubt = " (may be filling: it has grown since the process began)" if judged.filling[i] else ""
        doubt = doubt or (" (the process's other sites rose too)" if judged.tide[i] else "")
        out.append(
            Signal(
                detector=NAME,
                code=CODE,
                at=now,
                instance=rows.instance(i).id,
                site=rows.sites[i],
                verdict=Verdict.LEAK if leak else Verdict.SUSPECT,
                confidence=0.95 if leak else 0.35 if doubt else 0.6,
                count=count,
                rate_per_min=rate,
                since=now - span,
                numbers={
                    "p_value": p,
                    "rise": float(judged.rise[i]),
                    "span_s": span,
                    "floor_before": float(judged.first[i]),
                },
                text=f"the floor rose by {judged.rise[i]:.0f} to {count} in {_duration(span)}, "
                f"chance {p:.1g} without a trend{doubt}",
            )
        )
    return out


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )
