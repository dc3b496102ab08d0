"""The odds of growth against a settled crowd: they keep their promise, and they find what grows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from parkwarden.judge.fleet.settled import log_odds

HOUR = 3600.0


def test_five_after_quiet_hours_are_a_hundred_times_likelier() -> None:
    """Five within fifty minutes after two hours, or six within six hours: about the odds that a leak asks for."""
    fast = log_odds(0, 5, 0, span_s=0.83 * HOUR, watch_s=2.92 * HOUR, exposure_s=2.2 * HOUR)
    slow = log_odds(0, 6, 0, span_s=5.3 * HOUR, watch_s=7.5 * HOUR, exposure_s=16.5 * HOUR)
    assert math.exp(fast) == pytest.approx(160, rel=0.1)
    assert math.exp(slow) == pytest.approx(69, rel=0.1)


def test_as_many_leaving_as_coming_is_no_growth() -> None:
    """Ten came, ten left, ten stand: a settled crowd is likelier."""
    assert log_odds(10, 10, 10, span_s=HOUR, watch_s=HOUR, exposure_s=10 * HOUR) < 0


def test_one_who_came_says_nothing() -> None:
    """A rate takes two."""
    assert log_odds(0, 1, 0, span_s=HOUR, watch_s=HOUR, exposure_s=HOUR) == -math.inf


def test_the_unit_of_time_does_not_matter() -> None:
    """The same story in hours and in milliseconds has the same odds."""
    told = {"span_s": 1.0, "watch_s": 3.0, "exposure_s": 4.0}
    short = {k: v * 1e-3 for k, v in told.items()}
    assert log_odds(2, 6, 1, **told) == pytest.approx(log_odds(2, 6, 1, **short))


def test_a_settled_crowd_is_accused_less_often_than_promised() -> None:
    """Crowds of many rates and stays, looked at 40 times each: odds of 20 are ever reached in less than one of 20 (by 1 or 2 of 100)."""
    rng = np.random.default_rng(7)
    accused = histories = 0
    for _ in range(150):
        rate, stay = math.exp(rng.uniform(-1, 2.5)), math.exp(rng.uniform(-1.5, 1.5))
        births = np.sort(rng.uniform(-12 * stay, 10.0, rng.poisson(rate * (10.0 + 12 * stay))))
        ends = births + rng.exponential(stay, len(births))
        births, ends = births[ends > 0], ends[ends > 0]
        there, histories = int((births <= 0).sum()), histories + 1
        for now in np.linspace(0.25, 10.0, 40):
            seen = births <= now
            gone = int((seen & (ends <= now)).sum())
            came = int((seen & (births > 0)).sum())
            exposure = float((np.minimum(ends, now) - np.maximum(births, 0))[seen].sum())
            if came < 2:
                continue
            first = float(births[seen & (births > 0)][0])
            odds = log_odds(there, came, gone, span_s=now - first, watch_s=now, exposure_s=exposure)
            if odds > math.log(20):
                accused += 1
                break
    assert accused / histories < 1 / 20
