"""Counts over time: growth that one odd snapshot cannot bend, and since when a count has not fallen back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

ALL_PAIRS_UP_TO = 8
"""Up to this many snapshots every pair gives a slope; with more, those half the series apart (Theil's incomplete
method), so the work stays linear in the number of snapshots."""


def growth_per_min(counts: npt.NDArray[np.int64], times: Sequence[float | None]) -> npt.NDArray[np.float64] | None:
    """Theil-Sen slope per row of `counts` (shape (clusters, snapshots)), in goroutines a minute.

    `times` in seconds, in order. None where fewer than two snapshots have different times.
    Source: P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", 1968.
    """
    told = [i for i, at in enumerate(times) if at is not None]
    at = np.array([times[i] for i in told], dtype=np.float64)
    values = counts[:, told].astype(np.float64)
    size = len(told)
    if size <= ALL_PAIRS_UP_TO:
        first, second = np.triu_indices(size, 1)
    else:
        first = np.arange(size - size // 2)
        second = first + size // 2
    apart = at[second] - at[first]
    usable = apart > 0
    if not usable.any():
        return None
    first, second, apart = first[usable], second[usable], apart[usable]
    slopes = (values[:, second] - values[:, first]) / apart
    return np.median(slopes, axis=1) * 60.0


def since(counts: Sequence[int], times: Sequence[float | None]) -> float | None:
    """Time of the first snapshot from which on the count never fell back; None where that is the last one, or unknown.

    Snapshots before the first goroutine of its kind do not count.
    """
    start = len(counts) - 1
    while start > 0 and counts[start - 1] <= counts[start] and counts[start - 1] > 0:
        start -= 1
    return times[start] if start < len(counts) - 1 else None
