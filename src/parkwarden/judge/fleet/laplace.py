"""Laplace's trend test of arrivals: do they slow down?

Source: P.-S. Laplace 1773; D. R. Cox & P. A. W. Lewis, The Statistical Analysis of Series of Events, 1966.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

BINS = 64
"""Parts of the time by which the unevenness of arrivals is told."""


def uneven(births: npt.NDArray[np.float64], begin: float, end: float) -> float:
    """Variance in Poisson's of some births, none before `begin`, at least 1: batches raise it, a rate that changes slowly does not.

    Source: successive differences, J. von Neumann 1941.
    """
    part = ((births - begin) * (BINS / max(end - begin, 1e-9))).astype(np.int64)
    parts = np.bincount(np.minimum(part, BINS - 1), minlength=BINS)
    steps = parts[1:] - parts[:-1]
    return max(1.0, float(steps @ steps) / (BINS - 1) / 2 * BINS / len(births))


def trend(births: npt.NDArray[np.float64], begin: float, end: float, uneven: float = 1.0) -> float:
    """Standard normal for steady arrivals in (begin, end), negative where they slow down. `uneven`: variance in Poisson's, where they come in clumps."""
    spread = max(end - begin, 1e-9) / math.sqrt(12 * len(births) / uneven)
    return (float(births.mean()) - (begin + end) / 2) / spread
