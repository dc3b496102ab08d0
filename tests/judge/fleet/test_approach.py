"""The way to a limit: an interval that holds the truth, change points, growth that stopped, teeth that bend nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from parkwarden.judge.fleet.approach import approach

Floats = npt.NDArray[np.float64]
LIMIT = 1000.0
RUNS = 200
TOLD_AT = (0.3, 0.5, 0.7, 0.85)
"""Parts of the time to the end at which the truth is asked for."""
WINDOW = 128


def line(t: Floats, rate: float, rng: np.random.Generator) -> Floats:
    """A leak of one size, and traffic that comes and goes."""
    return 50 + rate * t + rng.normal(0, 0.01 * LIMIT, len(t))


def correlated(t: Floats, rate: float, rng: np.random.Generator) -> Floats:
    """The same, with traffic that remembers the last minute."""
    noise = np.zeros(len(t))
    for i in range(1, len(t)):
        noise[i] = 0.9 * noise[i - 1] + rng.normal(0, 0.004 * LIMIT)
    return 50 + rate * t + noise


def chance(t: Floats, rate: float, rng: np.random.Generator) -> Floats:
    """Leaks one by one at chance times: what accumulates wanders."""
    return 50 + np.cumsum(rng.poisson(rate * 5, len(t))).astype(float)


def wavering(t: Floats, rate: float, rng: np.random.Generator) -> Floats:
    """The rate itself drifts as its load does."""
    return 50 + np.cumsum(rate * 5 * np.exp(np.cumsum(rng.normal(0, 0.01, len(t)))))


def teeth(t: Floats, rate: float, rng: np.random.Generator) -> Floats:
    """A collector's saw tooth of any period on top of growth."""
    tooth = (t / rng.uniform(15, 120) + rng.uniform()) % 1
    return 0.05 * LIMIT + rate * t + 0.12 * LIMIT * tooth + rng.normal(0, 0.004 * LIMIT, len(t))


def heap(t: Floats, rate: float, rng: np.random.Generator) -> Floats:
    """Live memory grows, garbage comes as well, each collection begins at twice what was live: a staircase."""
    held = goal = 0.05 * LIMIT
    top, goal, out, garbage = 0.0, 2 * goal, np.empty(len(t)), rng.uniform(0.5, 6) * rate
    for i, at in enumerate(t):
        live = 0.05 * LIMIT + rate / 2 * at
        held += (rate / 2 + garbage) * 5
        if held >= goal:
            held, goal = live, 2 * live
        top = max(top * 0.9995, held)
        out[i] = top
    return out + rng.normal(0, 0.002 * LIMIT, len(t))


@pytest.mark.parametrize(
    ("kind", "peaks"),
    [(line, False), (correlated, False), (chance, False), (wavering, False), (teeth, True), (heap, True)],
)
def test_the_interval_holds_the_truth_nine_times_in_ten(
    kind: Callable[[Floats, float, np.random.Generator], Floats], peaks: bool
) -> None:
    """Over 200 seeded runs, told at four times before the end, at least 90 % of the intervals hold when the limit was first met."""
    rng = np.random.default_rng(7)
    held = asked = 0
    for _ in range(RUNS):
        n = int(rng.integers(60, 260))
        t = np.arange(int(1.6 * n) + 20) * 5.0
        values = kind(t, LIMIT / (n * 5), rng)
        met = np.flatnonzero(values >= LIMIT)
        if not len(met):
            continue
        for part in TOLD_AT:
            i = int(met[0] * part)
            window = slice(max(0, i + 1 - WINDOW), i + 1)
            if i < 8:
                continue
            way = approach(t[window], values[window], LIMIT, t[i], peaks=peaks, grain=2.0 if peaks else 1.0)
            assert way is not None
            asked += 1
            held += way.low_s - 5 <= t[met[0]] - t[i] <= way.high_s + 5
    assert asked > 3 * RUNS
    assert held / asked >= 0.9


def told(values: Floats, peaks: bool = False, grain: float = 1.0):
    t = np.arange(len(values)) * 5.0
    way = approach(t, values, LIMIT, t[-1], peaks=peaks, grain=grain)
    assert way is not None
    return way


def test_a_step_is_no_slope_and_what_comes_after_counts() -> None:
    """A pool that fills in one go: the line after the step is flat, although the window rose by half."""
    values = np.concatenate([np.full(60, 100.0), np.full(60, 600.0)]) + np.random.default_rng(1).normal(0, 3, 120)
    way = told(values)
    assert not way.sure
    assert way.since >= 295.0


def test_growth_that_stopped_is_no_growth() -> None:
    """Ten minutes up and two minutes flat: it does not arrive."""
    values = np.concatenate([100 + 5.0 * np.arange(90), np.full(30, 545.0)]) + np.random.default_rng(2).normal(
        0, 3, 120
    )
    assert not told(values).sure


def test_growth_that_began_late_is_told_from_its_begin() -> None:
    """A level and then a line: the slope is the line's, not the window's."""
    values = np.concatenate([np.full(60, 200.0), 200 + 5.0 * np.arange(60)]) + np.random.default_rng(3).normal(
        0, 2, 120
    )
    way = told(values)
    assert way.rate_per_s == pytest.approx(1.0, rel=0.1)
    assert way.low_s <= (LIMIT - 495) / 1.0 <= way.high_s


def test_teeth_that_do_not_grow_bend_nothing() -> None:
    """A saw tooth between 0.3 and 0.6 of the limit, of any period and phase, never surely grows much."""
    rng = np.random.default_rng(4)
    for _ in range(50):
        t = np.arange(128) * 5.0
        values = 300 + 300 * ((t / rng.uniform(15, 120) + rng.uniform()) % 1)
        way = told(values, peaks=True, grain=2.0)
        assert not way.sure or way.high_s > 3600


def test_a_spike_moves_neither_slope_nor_level() -> None:
    """One reading ten times too high is a burst."""
    values = 100 + 1.0 * np.arange(120.0)
    values[70] = 950.0
    assert told(values).rate_per_s == pytest.approx(0.2, rel=0.02)


def test_a_filling_pool_is_slowing_and_a_line_is_not() -> None:
    """What slows down may end below the limit; a straight line does not slow down."""
    x = np.arange(60.0)
    rng = np.random.default_rng(5)
    assert told(600 * (1 - np.exp(-x / 40)) + rng.normal(0, 2, 60)).slowing
    assert not told(100 + 8 * x + rng.normal(0, 2, 60)).slowing


def test_noise_alone_hardly_ever_grows() -> None:
    """Standing traffic of any memory: surely growing in fewer than one window of ten, and then it never arrives within the hour."""
    rng = np.random.default_rng(6)
    sure = soon = 0
    for _ in range(200):
        values = correlated(np.arange(128) * 5.0, 0.0, rng) + 300
        way = told(values)
        sure += way.sure
        soon += way.sure and way.low_s < 3600
    assert sure <= 20
    assert soon == 0


def test_too_few_readings_are_no_way() -> None:
    """Four readings have no line worth the name, five have one."""
    t = np.arange(5.0)
    assert approach(t[:4], t[:4], LIMIT, 3.0, peaks=False, grain=1.0) is None
    assert approach(t, t, LIMIT, 4.0, peaks=False, grain=1.0) is not None


def test_numbers_at_the_limit_have_no_time_left() -> None:
    """Beyond the limit nothing is negative: it is now."""
    way = told(900 + 5.0 * np.arange(60))
    assert (way.seconds, way.low_s, way.high_s) == (0.0, 0.0, 0.0)
    assert math.isfinite(way.rate_per_s)
