"""The floor of a site keeps rising: what stays when bursts have gone is more and more.

Watches     each site's floors (least count per time slot of 1, 5, 20 and 60 minutes) and its last looks.
Why         a leak of six an hour drowns in the process's total and in a site's mean; it lifts the site's floor for ever.
Input       `Rows.floors` (levels, rows, FLOORS) and `Rows.recent`; a profile a minute is enough, closer looks only make it faster.
Method      Mann-Kendall's trend test over the last 8, 10, 14 and 24 slots of each length: S = pairs that rise less pairs that fall, with the exact
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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from parkwarden.aggregate.sites import FLOORS, LEVELS_S, NOT_TOLD, Rows, SiteTable
from parkwarden.judge.fleet import kendall, tide
from parkwarden.model import Signal, Verdict

NAME = "site-floor-growth"
CODE = "PW511"

WINDOWS = (8, 10, 14, 24)
"""Time slots per test: 8 is the least whose chance (1 in 40,320) can accuse, 24 is all there is."""
RECENT_WINDOWS = (7, 16)
"""The same over the last looks themselves, for what is fast."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorRule:
    """Thresholds of the floor's growth."""

    suspect_p: float = 3e-4
    """Chance of such a trend in counts without one, per test. Higher: more closer looks for nothing; lower: they come later."""
    leak_p: float = 1e-6
    """The same for `leak`. About 500 independent tests a site and day make 5e-4 at most, before the other floors."""
    suspect_rise: float = 6.0
    """Goroutines the floor must have risen by, whatever the chance: 4 more of something is nobody's night call."""
    leak_rise: float = 12.0
    """The same for `leak`."""
    suspect_wander: float = 2.5
    """Times sqrt(2 x floor) that a stationary queue may wander by between two moments (Poisson)."""
    leak_wander: float = 4.0
    """The same for `leak`."""
    suspect_steady: float = 0.4
    """Rise of the second half over that of the first. A filling pool (exponential) falls below 0.7 when it is two thirds full."""
    leak_steady: float = 0.7
    """The same for `leak`."""
    leak_span_s: float = 840.0
    """Counts alone say leak only after so long: a slow back end piles up goroutines for a time-out or two."""
    leak_pace: float = 0.6
    """The same over the whole rise since the site was last at its bottom: a pool that fills with time constant T has 0.6 at T, 0.37 at 2 T."""
    leak_sudden: float = 3.0
    """Rise of the second half over that of the first, above which it is a jump, not a growth: a hanging back end, a larger pool."""
    warm_up_s: float = 14_400.0
    """Growth that began with the process may be a pool or cache that fills; below `filling_count` it stays suspect for so long."""
    filled_steady: float = 0.9
    """Rise of the second half over that of the first that growth from the start of the process must have for `leak`."""
    settled_s: float = 1800.0
    """Growth that began within the first half hour of a process, or within the first third of its life, began with the process."""
    filling_count: int = 1000
    """Usual pools and crowds that come back after a restart are smaller."""
    tide: float = 1.25
    """Growth of the load, or of the median other site, from which on a rise is believed only where it is clearly more than that."""


@dataclass(frozen=True, slots=True)
class Rise:
    """One row that rose, in the window that says it best."""

    row: int
    leak: bool
    held: bool
    """A leak but for the doubt that it may be filling: enough where an earlier life leaked here."""
    p: float
    rise: float
    span_s: float
    first: float
    since: float
    """When the site was last at its bottom."""
    per_s: float
    """How fast it grows now."""
    factor: float
    """By which the load grew meanwhile, NaN = not told."""
    filling: bool
    rising: bool


@dataclass(frozen=True, slots=True)
class Past:
    """What one row did before its window."""

    onset: float
    """When it was last at its bottom."""
    high: float
    """Its highest floor before that."""
    from_start: bool
    """It has risen since the process began."""
    halves: tuple[float, float]
    """Rise of the first and of the second half of the time since the onset."""


class Known:
    """What was found in one instance's floors, by length of the slots; a length is judged anew when a slot has ended."""

    __slots__ = ("by_level",)

    def __init__(self) -> None:
        self.by_level: dict[int, tuple[tuple[int, int], list[Rise]]] = {}


def judge(rows: Rows, now: float, rule: FloorRule, known: Sequence[Known] | None = None) -> list[dict[int, Rise]]:
    """All rows at once; by table (in the order of `rows.tables`) the rows that rose. `known`: what earlier calls found, one per table."""
    known = known or [Known() for _ in rows.tables]
    if not len(rows):
        return []
    last_now = rows.recent[:, -3:].min(axis=1)
    past: dict[int, Past] = {}
    for level in range(-1, len(LEVELS_S)):
        stamps = [(t.lives, t.looks if level < 1 else t.bucket[level]) for t in rows.tables]
        news = np.array([k.by_level.get(level, (None,))[0] != s for k, s in zip(known, stamps, strict=True)])
        if level < 0:  # looks a minute apart are the slots of a minute: nothing to gain
            close = rows.times[:, -1] - rows.times[:, -RECENT_WINDOWS[0]] < 0.75 * LEVELS_S[0] * (RECENT_WINDOWS[0] - 1)
            for k, apart in zip(known, (~close).tolist(), strict=True):
                if apart:
                    k.by_level.pop(level, None)
            news &= close
        for k, stamp, new in zip(known, stamps, news.tolist(), strict=True):
            if new:
                k.by_level[level] = (stamp, [])
        counts = rows.recent if level < 0 else rows.floors[level] if level == 0 else rows.floors[level][:, :-1]
        told = counts != NOT_TOLD
        least = np.where(told, counts, np.iinfo(np.int32).max).min(axis=1)
        mean = np.where(told, counts, 0).sum(axis=1) / np.maximum(told.sum(axis=1), 1)
        # What rises stands above its own mean, look after look: noise seldom does, and the dear tests are spared
        picked = np.flatnonzero((last_now - least >= rule.suspect_rise) & (last_now >= mean) & news[rows.table])
        if len(picked):
            values = counts[picked].astype(np.float64)
            values[counts[picked] == NOT_TOLD] = np.nan
            for size in RECENT_WINDOWS if level < 0 else WINDOWS:
                _judge_window(rows, picked, values[:, -size:], level, now, rule, known, past)
    found: list[dict[int, Rise]] = []
    for k in known:
        best: dict[int, Rise] = {}
        for _, rises in k.by_level.values():
            for r in rises:
                if r.row not in best or (r.leak, -r.p) > (best[r.row].leak, -best[r.row].p):
                    best[r.row] = r
        found.append(best)
    return found


def _judge_window(
    rows: Rows,
    picked: npt.NDArray[np.int64],
    values: Floats,
    level: int,
    now: float,
    rule: FloorRule,
    known: Sequence[Known],
    past: dict[int, Past],
) -> None:
    """One length of window over the picked rows; what rose is added to `known`."""
    size = values.shape[1]
    third = max(size // 3, 2)
    early, late = _median(values[:, :third]), _median(values[:, -third:])
    ok = np.flatnonzero(late - early >= rule.suspect_rise)  # never where a third was not told
    if not len(ok):
        return
    picked, values, early, late = picked[ok], values[ok], early[ok], late[ok]
    middle = _median(values[:, third:-third])
    steady = (late - middle) / np.maximum(middle - early, 1e-9)
    still = np.nanmin(values[:, -2:], axis=1, initial=np.inf) >= np.fmax(middle, early)
    ok = np.flatnonzero(still & (steady >= rule.suspect_steady) & ((~np.isnan(values)).sum(axis=1) >= 0.75 * size))
    if not len(ok):
        return
    _, _, p = kendall.trend(values[ok])
    for k, chance in zip(ok.tolist(), p.tolist(), strict=True):
        if chance <= rule.suspect_p:
            rise = _judge_row(
                rows, int(picked[k]), level, values[k], (early[k], middle[k], late[k]), chance, now, rule, past
            )
            if rise is not None:
                known[int(rows.table[picked[k]])].by_level[level][1].append(rise)


def _judge_row(
    rows: Rows,
    i: int,
    level: int,
    values: Floats,
    thirds: tuple[float, float, float],
    p: float,
    now: float,
    rule: FloorRule,
    past: dict[int, Past],
) -> Rise | None:
    """What the chance does not say: is it much, is it new, is it not the load, is it no pool that fills."""
    early, middle, late = thirds
    table = rows.tables[int(rows.table[i])]
    times = rows.times[rows.table[i]]
    size = len(values)
    at: Floats = times[-size:] if level < 0 else np.arange(size, dtype=np.float64) * LEVELS_S[level]
    span = size * LEVELS_S[level] if level >= 0 else float(times[-1] - times[-size])
    if i not in past:
        past[i] = _past(rows, i, float(rows.recent[i, -3:].min()), now, rule)
    before = past[i]
    if not span > 0 or late < before.high + rule.suspect_rise:
        return None
    factor = tide.factor(table, int(rows.row[i]), now - span, now)
    grown = tide.unseen(span) if np.isnan(factor) else max(factor, 1.0)
    if span > tide.SIGHT_S and not tide.told(table):
        grown = max(grown, tide.unseen(span))
    excess = late - early - early * (grown - 1)
    wander = np.sqrt(2 * max(early, 0.0))
    if excess < rule.suspect_rise + rule.suspect_wander * wander:
        return None
    young = now - _start(table, now) < rule.warm_up_s
    filling = before.from_start and (
        (young and late < rule.filling_count) or late - middle < rule.filled_steady * (middle - early)
    )
    strong = (
        p <= rule.leak_p
        and excess >= rule.leak_rise + rule.leak_wander * wander
        and _goes_on(middle - early, late - middle, rule.leak_steady)
        and late - middle <= rule.leak_sudden * max(middle - early, 1.0)
        and _goes_on(*before.halves, rule.leak_pace)
        and span >= rule.leak_span_s
        and late >= 1.5 * before.high + rule.leak_rise
        and not factor >= rule.tide
    )
    return Rise(
        row=int(rows.row[i]),
        leak=bool(strong and not filling),
        held=bool(strong and filling),
        p=p,
        rise=float(late - early),
        span_s=span,
        first=float(early),
        since=min(before.onset, now - span / 2),
        per_s=_slope(at, values),
        factor=factor,
        filling=filling,
        rising=bool(factor >= rule.tide),
    )


def _goes_on(before: float, after: float, share: float) -> bool:
    """Whether what came after is no clearly less than `share` of what came before; half a sigma of such counts is forgiven."""
    return after >= share * before - 0.5 * float(np.sqrt(max(before + after, 0.0)))


def _slope(at: Floats, values: Floats) -> float:
    """Median slope between the later half of the values (Theil-Sen), per second: how fast it grows now."""
    later = slice(len(values) // 2, None)
    at, values = at[later], values[later]
    i, j = kendall.pairs(len(values))
    slopes = (values[j] - values[i]) / (at[j] - at[i])
    slopes = slopes[~np.isnan(slopes)]
    return float(np.median(slopes)) if len(slopes) else 0.0


def _median(values: Floats) -> Floats:
    """Median of each row, NaN where less than half is told."""
    told = (~np.isnan(values)).sum(axis=1)
    ordered = np.sort(values, axis=1)  # NaN last
    middle = ordered[np.arange(len(values)), np.maximum(told - 1, 0) // 2]
    return np.where(told * 2 >= values.shape[1], middle, np.nan)


def _past(rows: Rows, i: int, level_now: float, now: float, rule: FloorRule) -> Past:
    """What a row did before.

    The bottom is the least floor of this life plus a tenth of the way up: a sawtooth is there after each tooth, a leak
    before its onset, a filling pool at the start.
    """
    table = rows.tables[int(rows.table[i])]
    ends, floors = _merged(table, rows.floors[:, i])
    if not len(floors):
        return Past(now, 0.0, True, (0.0, 0.0))
    least = float(floors.min())
    bottom = int(np.flatnonzero(floors <= least + max(0.1 * (level_now - least), 1.0))[-1])
    onset = min(float(ends[bottom]), now)
    high = float(floors[: bottom + 1].max())
    if onset > now - FLOORS * LEVELS_S[1]:
        high = max(high, float(rows.peak[i]))
    half = float(np.median(floors[np.argsort(np.abs(ends - (onset + now) / 2), kind="stable")[:3]]))
    halves = half - float(floors[bottom]), level_now - half
    return Past(onset, high, onset - _start(table, now) < max((now - onset) / 2, rule.settled_s), halves)


def _start(table: SiteTable, now: float) -> float:
    """When the process began, or when we began to look where that is not told."""
    start = table.instance.start_time if table.instance.start_time is not None else table.watched_since
    return now if start is None else start


def _merged(table: SiteTable, floors: npt.NDArray[np.int32]) -> tuple[Floats, Floats]:
    """One site's floors of all lengths as one series, of the shortest slots where there are several: ends, floors."""
    until = np.inf
    ends: list[Floats] = []
    merged: list[Floats] = []
    for level, length in enumerate(LEVELS_S):
        end = (table.bucket[level] - np.arange(FLOORS - 2, -2, -1)) * length
        use = (floors[level] != NOT_TOLD) & (end <= until)
        if use.any():
            ends.insert(0, end[use])
            merged.insert(0, floors[level][use].astype(np.float64))
            until = min(until, float(end[use][0]) - length)
    return (np.concatenate(ends), np.concatenate(merged)) if ends else (np.empty(0), np.empty(0))


def signals(table: SiteTable, rises: Mapping[int, Rise], now: float) -> list[Signal]:
    """What to say about the rows that rose."""
    out = []
    names = {row: site for site, row in table.rows.items()}
    for row, r in rises.items():
        if row not in names:
            continue
        count = int(table.recent[row, -1])
        doubt = " (may be filling: it has grown since the process began)" if r.filling else ""
        doubt = doubt or (" (the load rose too)" if r.rising else "")
        out.append(
            Signal(
                detector=NAME,
                code=CODE,
                at=now,
                instance=table.instance.id,
                site=names[row],
                verdict=Verdict.LEAK if r.leak else Verdict.SUSPECT,
                confidence=0.95 if r.leak else 0.35 if doubt else 0.6,
                count=count,
                rate_per_min=r.per_s * 60,
                since=r.since,
                numbers={"p_value": r.p, "rise": r.rise, "span_s": r.span_s, "floor_before": r.first},
                text=f"the floor rose by {r.rise:,.0f} to {count:,} in {_duration(r.span_s)}, chance {r.p:.1g} without a trend{doubt}",
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
