"""What stays at a site is more and more: it leaves the levels that its own past, its noise, its load and earlier lives explain.

Watches     each site's mean and floor (least count) per time slot of 1, 5, 20 and 60 minutes, its last looks, its jitter from look to look.
Why         a leak of six an hour drowns in the process's total; it lifts what stays at its site for ever.
Input       `Rows.means`, `Rows.floors` (levels, rows, FLOORS) and `Rows.recent`; a profile a minute is enough, closer looks only make it faster.
Method      Slots are means, clipped to what noise can add to the floor, so that bursts do not count. The onset is when the site was last at its
            bottom; from there on it must rise in order (Mann-Kendall, exact chance), without a jump, in each third of the time by its share
            (a filling pool slows down, a hanging back end jumps, subscribers of a morning come ever faster, then ever slower), and be higher than ever before,
            beyond what chance makes of one tooth of a saw beside another. Nobody who leaks leaves (`leak_fall`), and a young rise does not stand still
            (`leak_stall`: two hangs of a back end do). What rises in the last minutes began when the longer past began to rise: minutes alone see growth begin
            in every lull of a tooth. A burst of load during the rise holds it, over or not (`tide.surge`): who came then may still be here.
            Then its rise must exceed what else explains it, each at its most: its wander (goroutines that stay, beyond what
            jitter shows to be traffic of seconds, are a crowd of n that wanders by sqrt(2 n); the slots before tell it too), the growth of the load at
            the upper end of its confidence interval (tide.py), and a rise that is usual. A site that is known by its jitter as *traffic* (its
            goroutines leave within a minute) has no business to grow: 12 over an hour are news. At other sites people come in the morning, and bring
            the load with them: what grows slower than `morning_per_h` is news only while the load surely stands still (`tide.flank`, `tide.calm`).
Verdicts    `leak`: chance <= `leak_p` over at least `leak_span_s`, all of the above. `suspect`: chance <= `suspect_p` and a smaller rise.
            A site that has risen since the process began may be filling: below `filling_count` it stays suspect for `warm_up_s`, and until a line is
            `line_odds` likelier than a pool that fills, unless an earlier life of the service had less at this age.
Parameters  `FloorRule`.
If wrong    `leak_p` only says that there is a trend. What is left was counted in simulated instance-days of 40 look-alike sites (bench/leakbench/long: every
            shape in every process, each day the first one seen), this detector alone. Before a past that rises, falls, stalls and bursts of load counted, 19 false
            `leak` in 180 days (seed 811: teeth 7, queues in a burst 7, others 5); in the 39 days of the services that had those, 2 were left. That seed
            was tuned on, and its worlds had subscribers whom no load shows (one of the two). Of a seed that was not (813): 0 in 90 such days (below 41 in
            1,000, 95 %), counted before jitter was taken out of the wander. Today's rule, all of the engine: 1 in 162 hostile days; of ordinary ones 2 in 3,411,
            3,000 of them of a seed on which its last conditions were made (9 before), and 3 in 3,000 of one that was not. With censuses these verdicts do not count.
Blind       leaks below about `rise` goroutines; growth that follows load exactly; leaks slower than `morning_per_h` at sites where nothing else happens, as long
            as the load rises or nothing tells it: they look like people who come in the morning.
Example     10 goroutines of seconds, and since an hour one more a minute: suspect after 12 minutes, leak after half an hour.
Source      H. B. Mann 1945, M. G. Kendall 1975; exact distribution of S by the Mahonian numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from parkwarden import kernels
from parkwarden.aggregate.sites import FLOORS, JITTER_LOOKS, LEVELS_S, RECENT, Rows, SiteTable
from parkwarden.judge.fleet import kendall, tide
from parkwarden.model import Signal, Verdict

NAME = "site-floor-growth"
CODE = "PW511"

CLOSE, NEAR, FAR = range(3)
"""Scales: the last looks where they are closer than a minute, slots of a minute, all longer slots as one series."""
LEAST_POINTS = 8
"""Values in a row that can accuse: 8! = 40,320 orders."""
BASE_POINTS = 3
"""Values at its bottom that must have been seen before a rise."""
SCREEN_SIGMAS = 2.0
"""Sigmas by which a row must have risen to be looked at closer: one in 40 of those that stand still."""
CLIP_SIGMAS, CLIP_MORE = 2.5, 4.0
"""A slot's mean counts at most so far above its floor: twenty Poisson counts have their mean 1.9 sigma above their least one."""
JITTER_ERR = (2.0 / JITTER_LOOKS) ** 0.5
"""Relative error of a jitter."""
ELASTICITY = 3.0
"""Percent by which a queue grows with a percent of load: 1 / (1 - share used), at two thirds used."""
TRAFFIC_LEAST = 3.0
"""Goroutines from which on a jitter says something."""
FALL_SIGMAS = 5.0
"""Errors of a value that a fall may be of: between the highest and the lowest of 24 that stand still there are four and a half."""
STALL_SIGMAS = 2.0
"""The same for two values in a row that bring less than their share."""
FELL_SIGMAS = 2.5
"""Errors by which a past value must surpass the base to have been a tooth it fell back from: one in 150, and a past has 60 values."""
CROWD_LEAST = 0.25
"""Share of `crowd_rise` that is asked at once."""
LATE_S = 900.0
"""Time over which the level now is averaged, at most; at least the last three values."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorRule:
    """Thresholds of the floor's growth."""

    suspect_p: float = 3e-4
    """Chance of such a trend in counts without one, per test. Higher: more closer looks for nothing; lower: they come later."""
    leak_p: float = 3e-5
    """The same for `leak`: eight of eight in order. It only says that there is a trend; what the trend may mean is the other conditions' to say."""
    suspect_rise: float = 6.0
    """Goroutines it must have risen by, whatever the chance: 4 more of something is nobody's night call."""
    leak_rise: float = 10.0
    """The same for `leak` at a site of traffic, once it has lasted `calm_s`."""
    hasty_rise: float = 30.0
    """Beyond `leak_rise`, what a rise that has just begun must have: a slow back end, a retry storm."""
    calm_s: float = 2400.0
    """Time within which `hasty_rise` falls to nothing."""
    crowd_rise: float = 8.0
    """Beyond `leak_rise`, what a rise at a site that is not known as traffic must have once it has lasted `crowd_span_s`."""
    crowd_span_s: float = 10_800.0
    """The slower a crowd grows the longer must have been seen that the load does not."""
    morning_per_h: float = 45.0
    """Slower than this a site may grow by the people of a morning (a few hundred within half a day): there the load must surely stand still."""
    unseen_rise: float = 80.0
    """What a site must have risen by where nothing tells the load: so many come in a morning."""
    suspect_wander: float = 1.5
    """Sigmas of its own wander by which a site must have risen."""
    leak_wander: float = 2.6
    """The same for `leak`."""
    traffic: float = 0.5
    """Jitter over count from which on a site counts as traffic: Poisson's noise of goroutines that leave within a minute is 1."""
    suspect_steady: float = 0.4
    """Rise of the last third over that of the two before. A filling pool (exponential) falls below 0.7 when it is half full."""
    leak_steady: float = 0.7
    """The same for `leak`."""
    leak_even: float = 0.6
    """Rise of the first third over that of the two after: who comes in the morning comes slowly at first, a leak begins with its cause."""
    leak_jump: float = 0.4
    """Share of the rise that one value may bring: a larger pool or a cron job comes at once."""
    leak_burst: float = 0.25
    """The same while a rise is younger than `calm_s`: clients that ask again come within a minute."""
    tooth: float = 0.5
    """Share by which a rise must surpass what fell before: the next tooth of a saw may be longer than the last."""
    leak_fall: float = 0.2
    """Share of the rise that may leave again at once: who leaks stays, a tooth falls."""
    leak_stall: float = 0.25
    """Share of their part that two values in a row must bring while a rise is younger than `calm_s`: two hangs of a back end stand still in between."""
    leak_span_s: float = 780.0
    """Counts alone say leak only after so long: a slow back end piles up goroutines for a time-out or two."""
    warm_up_s: float = 14_400.0
    """Growth that began with the process, or with our watch, may be a pool that fills or a tooth of a saw; below `filling_count` it stays suspect for so long."""
    fills_s: float = 10_800.0
    """Growth from the start of the process may be a pool that fills, ever slower, with at most this time constant."""
    line_odds: float = 10_000.0
    """How much likelier a straight line must be than such a filling: 60 an hour show it within five hours, 6 after ten."""
    settled_s: float = 1800.0
    """Growth that began within the first half hour of a process, or within the first fifth of its life, began with the process."""
    filling_count: int = 1000
    """Usual pools and crowds that come back after a restart are smaller."""
    reached: float = 1.5
    """Times what earlier lives reached from which on growth from the start is news."""
    tide: float = 1.1
    """Growth of the load (at the lower end of its interval) from which on sites may rise for their own reasons: until it no longer does, half
    a day at most, they stay suspect. Traffic, too: near saturation a queue grows three- to fivefold with a load of half as much again."""


@dataclass(frozen=True, slots=True)
class Rise:
    """One row that rose, at the scale that says it best."""

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
class Series:
    """The past of one row, oldest first: middles of the slots, values, their standard errors. Of many rows: values and errors a row each."""

    at: Floats
    value: Floats
    err: Floats

    def each(self) -> list[Series]:
        """Of many rows one by one."""
        return [Series(self.at, v, e) for v, e in zip(self.value, self.err, strict=True)]


class Known:
    """What was found in one instance's rows, by scale; a scale is judged anew when it has a new value."""

    __slots__ = ("_found", "_means", "_screens", "_stamps", "by_scale")

    def __init__(self) -> None:
        self.by_scale: dict[int, list[Rise]] = {}
        self._stamps: dict[int, tuple[int, int]] = {}
        self._means: npt.NDArray[np.float32] | None = None
        """The columns that `_screens` walk, marking rows in `_found`: a table that grows has others."""
        self._found = np.empty(0, np.uint8)
        self._screens: dict[int, Callable[[], int]] = {}

    def news(self, table: SiteTable, scale: int) -> bool:
        """Whether there is a new value at this scale; what was found there before is forgotten."""
        if scale == CLOSE and not _is_close(table):  # looks a minute apart are the slots of a minute: nothing to gain
            self._stamps.pop(scale, None)
            self.by_scale.pop(scale, None)
            return False
        stamp = (table.lives, table.bucket[1] if scale == FAR else table.looks)
        if self._stamps.get(scale) == stamp:
            return False
        self._stamps[scale], self.by_scale[scale] = stamp, []
        return True

    def screened(self, table: SiteTable, scale: int, rule: FloorRule) -> npt.NDArray[np.int64]:
        """Which of the table's rows, in the order of `table.order`, may have risen: the last values stand above the first ones, beyond
        what jitter and wander do, and the middle lies between."""
        if table.means is not self._means:
            self._means, self._found = table.means, np.zeros(len(table.recent), np.uint8)
            self._screens = {
                NEAR: _screen(table, 0, 1, rule, self._found),
                FAR: _screen(table, 1, len(LEVELS_S), rule, self._found),
            }
        screen = self._screens[scale] if scale != CLOSE else _screen_recent(table, rule, self._found)
        self._found[:] = 0
        if not screen():
            return np.empty(0, np.int64)
        return np.flatnonzero(self._found[table.order])


def _is_close(table: SiteTable) -> bool:
    return bool(table.times[-1] - table.times[-LEAST_POINTS] < 0.75 * LEVELS_S[0] * (LEAST_POINTS - 1))


def _screen(table: SiteTable, first: int, end: int, rule: FloorRule, found: npt.NDArray[np.uint8]) -> Callable[[], int]:
    """What screens the slots of these levels as they are when it is called."""
    shape = np.array([len(table.recent), first, end, FLOORS], np.int64)
    looks = np.maximum(np.array(LEVELS_S) / 60.0, 1.0)
    return _bound(shape, looks, table.means, table.told.view(np.uint8), table, rule, found)


def _screen_recent(table: SiteTable, rule: FloorRule, found: npt.NDArray[np.uint8]) -> Callable[[], int]:
    """The same of the last looks."""
    shape = np.array([len(table.recent), 0, 1, RECENT], np.int64)
    told = (~np.isnan(table.times)).view(np.uint8)
    return _bound(shape, np.ones(1), table.recent.astype(np.float32), told, table, rule, found)


def _bound(
    shape: npt.NDArray[np.int64],
    looks: Floats,
    column: npt.NDArray[np.float32],
    told: npt.NDArray[np.uint8],
    table: SiteTable,
    rule: FloorRule,
    found: npt.NDArray[np.uint8],
) -> Callable[[], int]:
    limits = np.array([rule.suspect_rise, SCREEN_SIGMAS, LEAST_POINTS], np.float64)
    return kernels.load("site_series")["screen"].bound(shape, looks, column, told, table.jitter, limits, found)


def judge(rows: Rows, now: float, rule: FloorRule, known: Sequence[Known] | None = None) -> list[dict[int, Rise]]:
    """All rows at once; by table (in the order of `rows.tables`) the rows that rose. `known`: what earlier calls found by this rule, one per table."""
    known = known or [Known() for _ in rows.tables]
    begins = np.searchsorted(rows.table, np.arange(len(known))).tolist()
    for table, begin, k in zip(rows.tables, begins, known, strict=True):
        slots: dict[int, _Slots] = {}
        for scale in (CLOSE, NEAR, FAR):
            if not k.news(table, scale):
                continue
            of = begin + k.screened(table, scale, rule)
            if not len(of):
                continue
            trends = _trends(of, _series(rows, of, scale, slots), now, rule, rows.peak[of])
            rising = np.array([t.i for t in trends], np.int64)
            past = _series(rows, rising, FAR, slots).each() if trends and scale != FAR else [t.series for t in trends]
            for trend, old in zip(trends, past, strict=True):
                rise = _judge_row(rows, trend, old, scale, now, rule)
                if rise is not None:
                    k.by_scale[scale].append(rise)
    found: list[dict[int, Rise]] = []
    for k in known:
        best: dict[int, Rise] = {}
        for rises in k.by_scale.values():
            for r in rises:
                if r.row not in best or (r.leak, r.held, -r.p) > (best[r.row].leak, best[r.row].held, -best[r.row].p):
                    best[r.row] = r
        found.append(best)
    return found


@dataclass(frozen=True, slots=True)
class _Slots:
    """The slots of one table at one scale, oldest first: the same for all its rows."""

    at: Floats
    """Middles."""
    looks: Floats
    parts: tuple[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.bool_]], ...]
    """Levels with the slots used of them, and which of these have looks enough to be clipped."""


_NO_SLOTS = _Slots(np.empty(0), np.empty(0), ())


def _slots(table: SiteTable, scale: int) -> _Slots:
    """Slots of longer lengths stand for what lies before the shorter ones."""
    last_at = 0.0 if table.last_at is None else table.last_at
    parts: list[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.bool_]]] = []
    ends: list[Floats] = []
    looks: list[Floats] = []
    until = np.inf
    for level in range(0 if scale == NEAR else 1, 1 if scale == NEAR else len(LEVELS_S)):
        length = LEVELS_S[level]
        end = (table.bucket[level] - np.arange(FLOORS - 2, -2, -1)) * length
        use = np.flatnonzero(table.told[level] & (end <= until))
        if not len(use):
            continue
        end, weight = end[use], table.weights[level, use]
        parts.insert(0, (level, use, weight >= 5))
        ends.insert(0, (end - length + np.minimum(end - length / weight, last_at)) / 2)
        looks.insert(0, weight.astype(np.float64))
        until = float(end[0]) - length
    return _Slots(np.concatenate(ends), np.concatenate(looks), tuple(parts)) if parts else _NO_SLOTS


def _series(rows: Rows, of: npt.NDArray[np.int64], scale: int, known: dict[int, _Slots]) -> Series:
    """Rows of one table at one scale, side by side. `known`: the table's slots by scale."""
    n = int(rows.table[of[0]])
    table = rows.tables[n]
    jitter = table.jitter[rows.row[of], None].astype(np.float64) + 0.25
    if scale == CLOSE:
        use = ~np.isnan(rows.times[n])
        at, value = rows.times[n, use], rows.recent[of[:, None], np.flatnonzero(use)].astype(np.float64)
        err = np.broadcast_to(np.sqrt(jitter), value.shape)
    else:
        slots = known.get(scale) or known.setdefault(scale, _slots(table, scale))
        at, value = slots.at, np.empty((len(of), len(slots.at)))
        begin, there = 0, of[:, None]
        for level, used, clip in slots.parts:
            floor, mean = rows.floors[level][there, used], rows.means[level][there, used].astype(np.float64)
            clipped = np.minimum(mean, floor + CLIP_SIGMAS * np.sqrt(np.maximum(floor, 0)) + CLIP_MORE)
            value[:, begin : begin + len(used)] = np.where(clip, clipped, mean)
            begin += len(used)
        err = np.sqrt(jitter / slots.looks)
    return Series(at, value, err)


@dataclass(frozen=True, slots=True)
class _Growth:
    """From when and how many to how many: `onset` (index) is when the site was last at its bottom, `late` the level at `late_at`."""

    onset: int
    base: float
    late: float
    late_at: float
    late_err: float


@dataclass(frozen=True, slots=True)
class _Trend:
    """A row that rises in order since it was last at its bottom, to where it has not been since the series began."""

    i: int
    series: Series
    growth: _Growth
    chance: float
    high: float
    """Where it had been before."""


def _trends(
    of: npt.NDArray[np.int64], s: Series, now: float, rule: FloorRule, peak: npt.NDArray[np.int32]
) -> list[_Trend]:
    """Which of these rows of one table rise, in order, above all that was before. `peak`: highest that is older than five-minute slots."""
    n = len(s.at)
    if n < LEAST_POINTS:
        return []
    onset = _onsets(s)
    able = np.flatnonzero((n - 1 - onset >= LEAST_POINTS - 1) & (now > s.at[onset]))
    if not len(able):
        return []
    onset, value, err = onset[able], s.value[able], s.err[able]
    base, late, late_at, late_err = _levels(Series(s.at, value, err), onset, rule)
    high = np.where(np.arange(n) <= onset[:, None], value - err, -np.inf).max(axis=1)
    high = np.maximum(high, np.where(s.at[onset] > now - FLOORS * LEVELS_S[1], peak[able], -np.inf))
    new = np.flatnonzero((late - base >= rule.suspect_rise) & (late >= high + rule.suspect_rise))
    if not len(new):
        return []
    asked = value[new, -kendall.MOST :]
    asked[np.arange(asked.shape[1]) < (onset[new] - (n - asked.shape[1]))[:, None]] = np.nan
    _, _, chances = kendall.trend(asked)
    return [
        _Trend(
            int(of[able[k]]),
            Series(s.at, value[k], err[k]),
            _Growth(int(onset[k]), float(base[k]), float(late[k]), float(late_at[k]), float(late_err[k])),
            float(chance),
            float(high[k]),
        )
        for k, chance in zip(new.tolist(), chances.tolist(), strict=True)
        if chance <= rule.suspect_p
    ]


def _levels(s: Series, onset: npt.NDArray[np.int64], rule: FloorRule) -> tuple[Floats, Floats, Floats, Floats]:
    """Of each row: base, level now, when that is, its error. Weighted means as differences of sums."""
    n, row = len(s.at), np.arange(len(onset))
    span = s.at[-1] - s.at[onset]
    begin = np.searchsorted(s.at, s.at[onset] - np.maximum(span, rule.settled_s))
    near = np.minimum(np.searchsorted(s.at, s.at[-1] - np.minimum(span / 6, LATE_S), "right"), n - 2)
    weights = 1 / s.err**2
    sums = np.zeros((3, len(onset), n + 1))
    np.cumsum(np.stack([weights, weights * s.value, weights * (s.at - s.at[0])]), axis=2, out=sums[:, :, 1:])
    heard, told, _ = sums[:, row, onset + 1] - sums[:, row, begin]
    base = told / heard
    heard, told, when = sums[:, row, -1] - sums[:, row, near]
    late = told / heard
    return np.minimum(base, late), late, s.at[0] + when / heard, heard**-0.5


def _judge_row(rows: Rows, trend: _Trend, old: Series, scale: int, now: float, rule: FloorRule) -> Rise | None:
    """Is it much, is it new (beside its `old`, longer past), is it even, is it not the load, is it no pool that fills."""
    i, s, g, chance = trend.i, trend.series, trend.growth, trend.chance
    onset, base, late, rise = g.onset, g.base, g.late, g.late - g.base
    table, row = rows.tables[int(rows.table[i])], int(rows.row[i])
    after = s.at > s.at[onset]
    span = now - float(s.at[onset])
    before = s.value[: onset + 1]
    high, began = trend.high, float(s.at[onset])
    surely = float((before - FELL_SIGMAS * s.err[: onset + 1]).max())
    if scale != FAR:
        past = old.at < s.at[onset]
        high = max(high, float(old.value[past].max(initial=0.0)))
        surely = max(surely, float((old.value - FELL_SIGMAS * old.err)[past].max(initial=0.0)))
        if len(old.at):
            began = min(began, float(old.at[_onsets(Series(old.at, old.value[None], old.err[None]))[0]]))
    if s.at[onset] > now - FLOORS * LEVELS_S[1]:
        surely = max(surely, float(table.peak[row]))
    fell = max(surely - base, 0.0)
    if late < high + rule.suspect_rise:
        return None
    seen = now - (now if table.watched_since is None else table.watched_since)
    jitter = float(table.jitter[row])
    stays = max(base - jitter, 0.0)
    roams = max(float(before.var() - (s.err[: onset + 1] ** 2).mean()), 0.0)  # beyond the jitter, which averages out
    wander = math.sqrt(2 * stays + 2 * g.late_err**2 + roams)
    load = tide.growth(table, s.at[onset], now, row)
    traffic = jitter >= rule.traffic * base and base >= TRAFFIC_LEAST
    if traffic:  # more of the same traffic has more jitter, by whatever law it follows the load
        explained = max((1 + 2 * JITTER_ERR) * jitter - base, 0.0)
        if load.most == load.most:  # a queue before something scarce grows faster than its load
            explained = max(explained, (max(load.most, 1.0) ** ELASTICITY - 1) * base)
    else:  # who stays for hours follows the load of the hours before
        most = tide.high_water(table, row, s.at[onset], now)
        grown = max(most, load.most) if most == most and load.most == load.most else tide.unseen(span)
        if seen < 2 * span:  # what the load did before the watch is not known: they may still be catching up with it
            grown = max(grown, tide.unseen(2 * span - seen))
        explained = (grown - 1) * base
    excess = rise - explained
    if excess < rule.suspect_rise + rule.suspect_wander * wander:
        return None
    thirds = _thirds(s, g)
    if not _goes_on(thirds[0] + thirds[1], 2 * thirds[2], rule.suspect_steady):
        return None
    age = max(now - _start(table, now), seen)
    news = table.aged >= age and late >= rule.reached * float(table.reached[row]) + rule.leak_rise
    rising_s = now - began
    from_start = seen - rising_s < max(rising_s / 4, rule.settled_s) and not news
    line = _line(thirds, max(seen - span, 0.0), seen, rule)
    filling = from_start and (
        (seen < rule.warm_up_s and late < rule.filling_count)
        or (not traffic and base >= TRAFFIC_LEAST and late < rule.filling_count)  # a pool that follows its peaks
        or not line
    )
    filling = filling or (late < float(table.reached[row]) + rule.leak_rise and not line)  # an earlier life had as many
    strong = (
        chance <= rule.leak_p
        and span >= rule.leak_span_s
        and (
            scale == FAR or onset >= BASE_POINTS
        )  # what rises since before the window began is for the next longer scale
        and excess >= _news_from(span, traffic, rule) + rule.leak_wander * wander
        and late >= high + rule.leak_rise + max(rule.leak_wander * math.sqrt(2 * fell), rule.tooth * fell)
        and _even(s, g, thirds, rule)
        and _keeps_on(s, g, span, rule)
        and not (
            load.least >= rule.tide and late < rule.filling_count
        )  # near saturation a queue grows far more than its load
    )
    if strong and span < rule.calm_s and late < rule.filling_count:  # who came in a burst is still here when it is over
        strong = not tide.surge(table, float(s.at[onset]), now, row) >= rule.tide
    if strong and not traffic and late < rule.filling_count:
        strong = not _comes_with_load(table, row, load, base, rise, span, rule)
    return Rise(
        row=row,
        leak=bool(strong and not filling),
        held=bool(strong and filling),
        p=chance,
        rise=rise,
        span_s=span,
        first=base,
        since=float(s.at[onset]),
        per_s=_slope(s.at[after], s.value[after]),
        factor=load.about,
        filling=filling,
        rising=bool(load.least >= rule.tide),
    )


def _average(values: Floats, weights: Floats) -> float:
    """Weighted mean: np.average without its checks, which cost more than the mean of a few values."""
    return float((values * weights).sum() / weights.sum())


def _onsets(s: Series) -> npt.NDArray[np.int64]:
    """When each row was last at its bottom (index)."""
    lowest, row = s.value.argmin(axis=1), np.arange(len(s.value))
    bottom = s.value[row, lowest] + s.err[row, lowest]
    near = bottom + np.maximum(0.02 * (s.value[:, -3:].mean(axis=1) - bottom), 1.0)
    there = s.value <= near[:, None] + s.err
    last: npt.NDArray[np.int64] = there.shape[1] - 1 - there[:, ::-1].argmax(axis=1)
    return last


def _thirds(s: Series, g: _Growth) -> tuple[float, float, float]:
    """Rise of each third of the time since it began: where the line through it all leaves the base, if that was before the onset."""
    onset, after = float(s.at[g.onset]), slice(g.onset, None)
    weights = 1 / s.err[after] ** 2
    at, value = s.at[after] - _average(s.at[after], weights), s.value[after]
    slope = float((weights * at * value).sum() / (weights * at * at).sum())
    middle = _average(value, weights)
    left = onset - at[0] - (middle - g.base) / slope if slope > 0 else onset
    begin = min(onset, max(left, onset - (g.late_at - onset) / 3))
    levels = [g.base]
    for k in (1, 2):
        near = np.argsort(np.abs(s.at - (begin + (g.late_at - begin) * k / 3)), kind="stable")
        near = near[: max(len(value) // 5, 2)]
        levels.append(_average(s.value[near], 1 / s.err[near] ** 2))
    levels.append(g.late)
    return levels[1] - levels[0], levels[2] - levels[1], levels[3] - levels[2]


def _news_from(span: float, traffic: bool, rule: FloorRule) -> float:
    """Rise within such a span that is no accident."""
    hasty = rule.hasty_rise * max(1 - span / rule.calm_s, 0.0)
    return (
        rule.leak_rise
        + hasty
        + (0.0 if traffic else rule.crowd_rise * (CROWD_LEAST + (1 - CROWD_LEAST) * min(span / rule.crowd_span_s, 1.0)))
    )


def _comes_with_load(
    table: SiteTable, row: int, load: tide.Growth, base: float, rise: float, span: float, rule: FloorRule
) -> bool:
    """Whether those who came to a site that is no traffic may be people who bring the load with them: as long as it may be rising."""
    rose = load.about > 1 + tide.FLANK_PER_H * max(span / 3600.0, 1.0)
    if rise >= rule.morning_per_h * span / 3600.0:
        return rose and base >= TRAFFIC_LEAST
    flank = tide.flank(table, row)
    if math.isnan(flank.per_h):
        return rise < rule.unseen_rise
    return rose or flank.rising or not tide.calm(table, row)


def _line(thirds: tuple[float, float, float], begin: float, end: float, rule: FloorRule) -> bool:
    """Whether what has grown from `begin` to `end` (age, seconds) is so much likelier a line than a pool that fills (Poisson, by thirds of the time)."""
    edges = np.linspace(begin, end, 4)
    filled = -np.diff(np.exp(-edges / rule.fills_s))
    odds = float(np.maximum(thirds, 0.0) @ np.log(filled.sum() / filled / 3))
    return odds >= math.log(rule.line_odds)


def _even(s: Series, g: _Growth, thirds: tuple[float, float, float], rule: FloorRule) -> bool:
    """Whether it has risen all the time: neither slowing down, nor only just begun, nor at once."""
    first, second, third = thirds
    rise = first + second + third
    return bool(
        _goes_on(first + second, 2 * third, rule.leak_steady)
        and _goes_on((second + third) / 2, first, rule.leak_even)
        and _goes_on((first + third) / 2, second, rule.leak_even)
        and _goes_on(second, (first + third) / 2, rule.leak_even)
        and np.diff(s.value[g.onset :]).max() <= rule.leak_jump * rise + 3 * float(np.median(s.err[g.onset :]))
    )


def _keeps_on(s: Series, g: _Growth, span: float, rule: FloorRule) -> bool:
    """Whether nobody left and nothing stood still: who leaks stays, and a cause that works keeps working."""
    value, err = s.value[g.onset :], float(np.median(s.err[g.onset :]))
    rise = g.late - g.base
    if span < rule.calm_s and float(np.diff(value).max()) > rule.leak_burst * rise + 2 * err:
        return False
    if float((np.maximum.accumulate(value) - value).max()) > rule.leak_fall * rise + FALL_SIGMAS * err:
        return False
    if span >= rule.calm_s or len(value) < 4:
        return True
    two = 2 * rise / (len(value) - 1)
    return bool((value[2:] - value[:-2]).min() >= rule.leak_stall * two - STALL_SIGMAS * (err * 2**0.5 + two**0.5))


def _goes_on(before: float, after: float, share: float) -> bool:
    """Whether what came after is no clearly less than `share` of what came before; half a sigma of such counts is forgiven."""
    return after >= share * before - 0.5 * float(np.sqrt(max(before + after, 0.0)))


def _slope(at: Floats, values: Floats) -> float:
    """Median slope between the later half of the values (Theil-Sen), per second: how fast it grows now."""
    later = slice(len(values) // 2, None)
    at, values = at[later], values[later]
    i, j = kendall.pairs(len(values))
    slopes = np.sort((values[j] - values[i]) / (at[j] - at[i]))
    return float(slopes[(len(i) - 1) // 2] + slopes[len(i) // 2]) / 2 if len(i) else 0.0


def _start(table: SiteTable, now: float) -> float:
    """When the process began, or when we began to look where that is not told."""
    start = table.instance.start_time if table.instance.start_time is not None else table.watched_since
    return now if start is None else start


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
                text=f"what stays rose by {r.rise:,.0f} to {count:,} in {_duration(r.span_s)}, chance {r.p:.1g} without a trend{doubt}",
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
