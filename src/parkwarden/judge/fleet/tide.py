"""Load told apart from leak: by which factor the load of an instance grew over a span, and how surely that is known.

The load is requests per second where the instance tells them. Else it is what the process's other sites have in common: the weighted median of
their log ratios, each weighted by how exactly its own is known (jitter from look to look, and Poisson's wander of what stays longer),
shrunk towards "no change" by one site's worth of doubt. Many small sites say together what none of them says alone.
`Growth.least` and `.most` are the ends of a confidence interval: who vetoes asks for the least, who explains a rise away grants the most.
Where neither is told, the day itself is allowed for: `unseen` is the growth any healthy day may bring.

If wrong    without tide, `least` passes 1.25 in none of 1,000 simulated spans (tests), where the quartile of floors used before did in one of five.
Blind       sites that do not follow the load (people who come in the morning whatever the requests are).
Source      weighted median, F. Y. Edgeworth 1888; its standard error pi/2 times the mean's variance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from parkwarden.aggregate.sites import FLOORS, LEVELS_S, SiteTable

Floats = npt.NDArray[np.float64]

BUSY = 2.0
"""Goroutines from which on another site is a witness."""
WITNESSES = 4
"""Other busy sites that must be told for their median to speak."""
BESIDE = 0.1
"""Part of the span on either side of a moment over which the load at that moment is averaged: more blurs a rise, less is noise."""
SPREAD = 0.07
"""Sites differ by so much in how they follow the load (log), at least: no site's ratio counts as more exact."""
SIGMAS = 2.0
"""Of the interval: 1 in 40 either way."""
REQUESTS_ERR = 0.04
"""Error of a ratio of requests per second (log): the wobble within an hour."""
NOTHING_WEIGHT = 1.0 / 0.3**2
"""Weight of the witness who says "no change": as a site of eight goroutines would."""
UNSEEN_PER_H = 0.25
"""Share by which a healthy day lifts load within an hour, at its steepest (a swing of 1 : 3 over the day rises 18 % an hour)."""
UNSEEN_MOST = 2.0
"""And at most within a day: a night at a third of the noon."""

FLANK_LEVEL = 2
FLANK_LENGTH_S = LEVELS_S[FLANK_LEVEL]
FLANK_SLOTS = (9, 15)
"""Hours that a flank is looked for in: three and five. A day's tide comes in for twelve at most, its steep part for six."""
FLANK_LEAST = 3
"""Slots told below which nothing is said of a flank."""
FLANK_ERR = 0.02
"""Error of one slot's log load at least, whatever the rest says."""
FLANK_CORRELATED = 2.0
"""The wobble of an hour lasts for three slots: so much less do they say than as many independent ones."""
FLANK_SIGMAS = 2.0
TRAFFIC = (0.3, 3.0)
"""Variance from look to look over the mean: a crowd of short visits has 1 (Poisson); who stays has less, batches have more, and neither tells the load."""
FLANK_PER_H = 0.04
"""Growth an hour that is a tide coming in: a day that swings by a fifth rises by 5 % an hour at its steepest."""
FLANK_STEEP = 0.12
"""Growth an hour of the best guess, from which on a tide is not ruled out however unsure the guess is: what a day of 1 : 3 has on its flank."""
FLANK_BLIND = 0.08
"""Error of the guess, an hour, from which on nothing is known: the first hour and a half of a watch."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Growth of the load over a span as a factor, 1 = none: estimate and interval. All NaN where nothing tells."""

    least: float
    about: float
    most: float


def told(table: SiteTable) -> bool:
    """Whether the instance tells its requests."""
    return not bool(np.isnan(table.load).all())


def factor(table: SiteTable, row: int, since: float, now: float) -> float:
    """What the load surely grew by from about `since` until now; NaN where nothing tells. For vetoes."""
    return growth(table, since, now, row).least


def growth(table: SiteTable, since: float, now: float, row: int | None = None) -> Growth:
    """Growth of the load from about `since` until now, by all sites but `row`."""
    level, first, beside = _window(since, now)
    return _between(
        table, level, slice(max(first - beside, 0), max(first + beside, 0) + 1), slice(-1 - 2 * beside, None), row
    )


def surge(table: SiteTable, since: float, now: float, row: int | None = None) -> float:
    """What the load surely grew by at its highest between `since` and now: who came then may still be here. NaN where nothing tells."""
    level, first, beside = _window(since, now)
    width = 1 + 2 * beside
    before = slice(
        max(first - 3 * width, 0), max(first - beside, 0) + 1
    )  # what grows may have been seen to only within the burst
    ends = range(FLOORS, max(first + beside + width, width), -width)
    found = [_between(table, level, before, slice(end - width, end), row).least for end in ends]
    return float(np.fmax.reduce(found)) if found else math.nan


def _window(since: float, now: float) -> tuple[int, int, int]:
    """Level whose slots reach back far enough, the slot of `since`, slots on either side to average."""
    level = next((i for i, s in enumerate(LEVELS_S) if (FLOORS - 3) * s >= now - since), len(LEVELS_S) - 1)
    first = FLOORS - 1 - int((now - since) // LEVELS_S[level])
    return level, first, int((now - since) * BESIDE // LEVELS_S[level])


def _between(table: SiteTable, level: int, before: slice, after: slice, row: int | None) -> Growth:
    """Growth of the load from some slots of a level to others, by all sites but `row`."""
    early, late = _told_mean(table.load[level, before]), _told_mean(table.load[level, after])
    if early is not None and late is not None:
        return _interval(math.log((late + 1e-3) / (early + 1e-3)), REQUESTS_ERR)
    if not (table.told[level, before].any() and table.told[level, after].any()):
        return Growth(math.nan, math.nan, math.nan)
    early_of, early_looks = _mean(table, level, before)
    late_of, late_looks = _mean(table, level, after)
    busy = (early_of >= BUSY) & (late_of > 0) & (table.jitter > 0)
    if row is not None:
        busy[row] = False
    traffic = busy & (table.jitter > TRAFFIC[0] * early_of) & (table.jitter < TRAFFIC[1] * late_of)
    busy = traffic if traffic.sum() >= WITNESSES else busy  # who stays follows the load only after as long as it stays
    if busy.sum() < WITNESSES:
        return Growth(math.nan, math.nan, math.nan)
    a, b, jitter = early_of[busy], late_of[busy], table.jitter[busy].astype(np.float64)
    stays = np.maximum(np.minimum(a, b) - jitter, 0.0)
    noise = (jitter / early_looks + stays) / a**2 + (jitter / late_looks + stays) / b**2
    weights = np.append(1.0 / (noise + SPREAD**2), NOTHING_WEIGHT)
    ratios = np.append(np.log(b / a), 0.0)
    order = np.argsort(ratios)
    heard = np.cumsum(weights[order])
    middle = float(ratios[order][np.searchsorted(heard, heard[-1] / 2)])
    return _interval(middle, math.sqrt(math.pi / 2 / heard[-1]))


def _told_mean(load: npt.NDArray[np.float32]) -> float | None:
    """Mean of what was told, None where nothing was; np.nanmean's sum without its checks, which cost more than the mean of a few values."""
    told = ~np.isnan(load)
    n = int(np.count_nonzero(told))
    return float(np.float32(float(np.where(told, load, np.float32(0)).sum()) / n)) if n else None


def unseen(span_s: float) -> float:
    """Growth of load a healthy day may bring within a span, as a factor."""
    return 1.0 + min(UNSEEN_PER_H * span_s / 3600.0, UNSEEN_MOST)


def _interval(log: float, err: float) -> Growth:
    return Growth(math.exp(log - SIGMAS * err), math.exp(log), math.exp(log + SIGMAS * err))


def _mean(table: SiteTable, level: int, slots: slice) -> tuple[Floats, int]:
    """Mean of each row over some slots, and the looks in it."""
    weights = table.weights[level, slots]
    looks = max(int(weights.sum()), 1)
    mean: Floats = (table.means[level, :, slots] @ weights) / looks
    return mean, looks


@dataclass(frozen=True, slots=True)
class Flank:
    """How the load goes: growth per hour (log, least squares) over the hours before now, and its standard error. NaN where nothing tells."""

    per_h: float
    error: float
    slots: int
    """Slots in which the load was looked at, told or not."""

    @property
    def over(self) -> bool:
        """Whether no tide comes in, as far as can be known; where nothing tells the load, nothing says that it rises."""
        if math.isnan(self.per_h):
            return self.slots >= FLANK_LEAST
        return not self.rising and self.per_h < FLANK_STEEP and self.error < FLANK_BLIND

    @property
    def rising(self) -> bool:
        """Whether a tide comes in, as far as is known: more likely than not it rises by a tide's least."""
        return self.per_h - FLANK_SIGMAS * self.error > 0 and self.per_h >= FLANK_PER_H


def calm(table: SiteTable, row: int | None = None) -> bool:
    """Whether the load surely does not rise like a tide: the upper end (one sigma) of its slope over the longest window of a flank."""
    slope = _slope(_log_load(table, row, FLANK_LEVEL), FLANK_SLOTS[-1], FLANK_SLOTS[-1])
    return slope.per_h + slope.error < FLANK_PER_H


def flank(table: SiteTable, row: int | None = None) -> Flank:
    """How the load went in the last hours, in time slots of twenty minutes; of the windows of `FLANK_SLOTS` the one that is surest of a rise."""
    series = _log_load(table, row, FLANK_LEVEL)
    looked = int((table.weights[FLANK_LEVEL] > 0).sum())
    best = Flank(math.nan, math.nan, looked)
    for slots in FLANK_SLOTS:
        found = _slope(series, slots, looked)
        if math.isnan(best.per_h) or found.per_h / found.error > best.per_h / best.error:
            best = found
    return best


def _slope(series: Floats, slots: int, looked: int) -> Flank:
    """Least squares over the last so many slots of `FLANK_LENGTH_S`."""
    known = ~np.isnan(series[-slots:])
    if known.sum() < FLANK_LEAST:
        return Flank(math.nan, math.nan, looked)
    x = (np.arange(slots)[known] - slots) * FLANK_LENGTH_S / 3600.0
    y = series[-slots:][known]
    x, y = x - x.mean(), y - y.mean()
    per_h = float((x @ y) / (x @ x))
    rest = y - per_h * x
    scatter = max(math.sqrt(float(rest @ rest) / (len(x) - 2)), FLANK_ERR)
    return Flank(per_h, scatter * math.sqrt(FLANK_CORRELATED / float(x @ x)), looked)


def high_water(table: SiteTable, row: int, since: float, now: float) -> float:
    """The most a crowd of hours may have grown by with the load from `since` until now, as a factor: from the lowest load of as long a time
    before `since` (it may still have been on its way up) to the highest after. NaN where nothing tells."""
    span = now - since
    level = next((i for i, s in enumerate(LEVELS_S) if i and FLOORS * s >= 2 * span), len(LEVELS_S) - 1)
    series = _log_load(table, row, level)
    slots = max(int(span // LEVELS_S[level]), 1)
    before, after = series[-2 * slots - 1 : -slots] if slots < FLOORS else series[:1], series[-slots:]
    if np.isnan(before).all() or np.isnan(after).all():
        return math.nan
    return math.exp(max(float(np.nanmax(after) - np.nanmin(before)), 0.0))


def _log_load(table: SiteTable, row: int | None, level: int) -> Floats:
    """Log of the load by slots of a level, up to a constant; NaN where not told."""
    load = table.load[level].astype(np.float64)
    if (~np.isnan(load)).sum() >= FLANK_LEAST:
        logs: Floats = np.log(load + 1e-3)
        return logs
    told = table.weights[level] > 0
    means = table.means[level].astype(np.float64)
    whole = means[:, told].mean(axis=1) if told.any() else np.zeros(len(means))
    busy = (whole >= BUSY) & (table.jitter > TRAFFIC[0] * whole) & (table.jitter < TRAFFIC[1] * whole)
    if row is not None:
        busy[row] = False
    out = np.full(FLOORS, math.nan)
    if busy.sum() < WITNESSES:
        return out
    mean = whole[busy]
    stays = np.maximum(mean - table.jitter[busy], 0.0)
    weights = 1.0 / ((table.jitter[busy] * 60.0 / LEVELS_S[level] + stays) / mean**2 + SPREAD**2)
    ratios = np.log((means[busy][:, told] + 0.5) / (mean[:, None] + 0.5))
    order = np.argsort(ratios, axis=0)
    heard = np.cumsum(weights[order], axis=0)
    middle = (heard < heard[-1] / 2).sum(axis=0)
    out[told] = np.take_along_axis(ratios, np.take_along_axis(order, middle[None], axis=0), axis=0)[0]
    return out
