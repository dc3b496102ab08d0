"""Laplace's trend test, and how uneven arrivals are."""

from __future__ import annotations

import numpy as np
import pytest

from parkwarden.judge.fleet import laplace


def test_steady_arrivals_have_no_trend_and_slowing_ones_have() -> None:
    """Standard normal for steady arrivals whatever their number; far below where they slow down exponentially."""
    rng = np.random.default_rng(7)
    steady = [laplace.trend(np.sort(rng.uniform(0, 100, 40)), 0.0, 100.0) for _ in range(500)]
    assert np.mean(steady) == pytest.approx(0.0, abs=0.15)
    assert np.std(steady) == pytest.approx(1.0, rel=0.1)
    assert laplace.trend(np.linspace(0, 1, 40) ** 2 * 100, 0.0, 100.0) < -2.3


def test_batches_are_uneven_and_a_slow_change_of_pace_is_not() -> None:
    """Poisson's arrivals have 1, a hundred in one go their own number's order, a pool that fills ever slower stays near 1."""
    rng = np.random.default_rng(7)
    poisson = [laplace.uneven(np.sort(rng.uniform(0, 100, 300)), 0.0, 100.0) for _ in range(200)]
    assert 1.0 <= np.mean(poisson) < 1.2
    batch = np.sort(np.concatenate([rng.uniform(0, 100, 30), np.full(100, 50.0)]))
    assert laplace.uneven(batch, 0.0, 100.0) > 50
    filling = np.sort(np.minimum(rng.exponential(40, 300), 99.0))
    assert laplace.uneven(filling[filling < 99], 0.0, 100.0) < 1.6
