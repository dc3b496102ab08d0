"""Mann-Kendall's trend test with exact chances, for a few values and many rows at once.

S = pairs that rise less pairs that fall. In random order (and without ties) the number of falling pairs is distributed by the
Mahonian numbers; with ties S is smaller, so the chance stated is not too small.

Source: H. B. Mann 1945; M. G. Kendall 1975; P. A. MacMahon 1913.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MOST = 48
"""Values at most whose chances are told exactly: the tail of n takes n^3 steps once, and 48 in order are one in 10^61."""


@lru_cache(maxsize=64)
def tail(n: int) -> Floats:
    """P(S >= s) of Mann-Kendall's S for n values in random order; index (s + m) // 2 with m = n (n - 1) / 2."""
    counts = np.ones(1)
    for k in range(2, n + 1):  # inversions of k values: those of k - 1, and 0..k-1 for the last one
        counts = np.convolve(counts, np.full(k, 1.0 / k))
    return np.minimum(np.cumsum(counts), 1.0)[::-1]


@lru_cache(maxsize=64)
def pairs(n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """All i < j below n, kept: they are asked for again and again."""
    return np.triu_indices(n, 1)


def trend(values: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    """Mann-Kendall of each row (NaN = not told): S, values told, and the chance of an S that high without a trend."""
    upper = pairs(values.shape[1])
    s = np.nansum(np.sign(values[:, upper[1]] - values[:, upper[0]]), axis=1).astype(np.int64)
    told = (~np.isnan(values)).sum(axis=1)
    p = np.ones(len(values))
    for n in np.unique(told).tolist():
        if n >= 4:
            of = told == n
            most = n * (n - 1) // 2
            p[of] = tail(n)[(s[of] + most + 1) // 2]
    return s, told, p


def chance(values: Floats) -> float:
    """The chance alone, of one series of at least four values, all told."""
    i, j = pairs(len(values))
    s = int(np.sign(values[j] - values[i]).sum())
    return float(tail(len(values))[(s + len(i) + 1) // 2])
