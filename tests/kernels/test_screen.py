"""The screen of the floor's growth: the kernel marks whom the same arithmetic in NumPy marks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from parkwarden import kernels

LIMITS = np.array([6.0, 2.0, 8.0])


def marked(
    column: npt.NDArray[np.float32],
    told: npt.NDArray[np.bool_],
    jitter: npt.NDArray[np.float32],
    first: int,
    end: int,
    looks: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_]:
    """`screen` in plain NumPy, a row and a level at a time."""
    out = np.zeros(column.shape[1], bool)
    slots = column.shape[2]
    third = slots // 3
    for level in range(first, end):
        there = told[level]
        if there.sum() < LIMITS[2]:
            continue
        parts = [slice(0, third), slice(third, slots - third), slice(slots - 3, slots)]
        for row in range(column.shape[1]):
            means = [float(column[level, row, p][there[p]].mean(dtype=float)) if there[p].any() else 0.0 for p in parts]
            base = means[0] if there[parts[0]].any() else means[1]
            noise = float(jitter[row]) + 0.25
            sigma = np.sqrt(2 * max(base - noise, 0.0) + 0.5 * noise / looks[level])
            rise = means[2] - base
            out[row] |= (
                means[2] >= LIMITS[0] and rise >= LIMITS[0] + LIMITS[1] * sigma and means[2] >= means[1] + 0.2 * rise
            )
    return out


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("slots", "first", "end"), [(24, 0, 1), (24, 1, 4), (16, 0, 1)])
def test_the_kernel_marks_whom_numpy_marks(seed: int, slots: int, first: int, end: int) -> None:
    """Crowds that stand, rise and fall, with gaps in what is told, at one level or the best of several; rows that did not rise stay 0."""
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 50))
    slope = rng.normal(0.0, 1.0, (4, rows, 1)) * np.arange(slots)
    column = rng.poisson(np.maximum(10.0 + slope, 0.0)).astype(np.float32)
    told = rng.random((4, slots)) < 0.8
    jitter = rng.uniform(0.0, 20.0, rows).astype(np.float32)
    looks = np.array([1.0, 5.0, 20.0, 60.0])
    found = np.zeros(rows, np.uint8)
    shape = np.array([rows, first, end, slots], np.int64)
    count = kernels.load("site_series")["screen"](shape, looks, column, told.view(np.uint8), jitter, LIMITS, found)
    expected = marked(column, told, jitter, first, end, looks)
    assert found.astype(bool).tolist() == expected.tolist()
    assert count == expected.sum()
    assert set(found.tolist()) <= {0, 1}
