"""Load told apart from leak: by which factor the load of an instance grew over a span.

The load is requests per second where the instance tells them, else what the upper quartile of the process's other busy sites did: a
tide lifts all that have to do with it, and not the standing ones. Where neither is told, the day itself is allowed for: `unseen` is the growth any healthy day may bring.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from parkwarden.aggregate.sites import FLOORS, LEVELS_S, NOT_TOLD, SiteTable

Floats = npt.NDArray[np.float64]

BUSY = 5.0
"""Goroutines from which on another site counts as busy: below, one more is a third more."""
WITNESSES = 4
"""Other busy sites that must be told for their quartile to speak."""
UNSEEN_PER_H = 0.25
"""Share by which a healthy day lifts load within an hour, at its steepest (a swing of 1 : 3 over the day rises 18 % an hour)."""
UNSEEN_MOST = 2.0
"""And at most within a day: a night at a third of the noon."""

SIGHT_S = 4 * 3600.0
"""Beyond this other sites are no witness of the load: over hours some fill, some drain, and their quartile says little."""


def told(table: SiteTable) -> bool:
    """Whether the instance tells its requests."""
    return not bool(np.isnan(table.load).all())


def factor(table: SiteTable, row: int, since: float, now: float) -> float:
    """Growth of the load from about `since` until now, 1 = none; NaN where nothing tells."""
    level = next((i for i, s in enumerate(LEVELS_S) if (FLOORS - 3) * s >= now - since), len(LEVELS_S) - 1)
    first = FLOORS - 1 - int((now - since) // LEVELS_S[level])
    before = slice(max(first - 2, 0), max(first + 3, 1))
    load = table.load[level]
    if not np.isnan(load[before]).all() and not np.isnan(load[-5:]).all():
        early, late = float(np.nanmean(load[before])), float(np.nanmean(load[-5:]))
        return late / early if early > 0 else 1.0 if late == 0 else np.inf
    floors = table.floors[level]
    if not (table.told[level, before].any() and table.told[level, -5:].any()):
        return np.nan
    early_floors = _mean(floors[:, before])
    late_floors = _mean(floors[:, -5:])
    busy = (early_floors >= BUSY) & (floors.max(axis=1) > _least(floors))
    busy[row] = False
    if busy.sum() < WITNESSES:
        return np.nan
    return float(np.quantile(late_floors[busy] / early_floors[busy], 0.75))


def unseen(span_s: float) -> float:
    """Growth of load a healthy day may bring within a span, as a factor."""
    return 1.0 + min(UNSEEN_PER_H * span_s / 3600.0, UNSEEN_MOST)


def _mean(floors: npt.NDArray[np.int32]) -> Floats:
    told = floors != NOT_TOLD
    mean: Floats = np.where(told, floors, 0).sum(axis=1) / np.maximum(told.sum(axis=1), 1)
    return mean


def _least(floors: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    least: npt.NDArray[np.int32] = np.where(floors == NOT_TOLD, np.iinfo(np.int32).max, floors).min(axis=1)
    return least
