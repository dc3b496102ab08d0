"""Time left: the nearest limit, by a slope that spikes cannot bend, with an interval that holds the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from parkwarden.judge.fleet.time_left import TimeLeftRule, sen_slope, time_left


class Readings:
    """Windows as the judge sees them: series of several fields, the last value of each."""

    def __init__(self, **series: object) -> None:
        self.times = np.arange(0.0, 5.0 * 24, 5.0)
        self.fields = {k: np.broadcast_to(np.asarray(v, dtype=float), self.times.shape) for k, v in series.items()}

    def last(self, _instance: str, field: str) -> float:
        return float(self.fields[field][-1]) if field in self.fields else math.nan

    def block(self, _instance: str, fields: list[str], now: float, window_s: float):
        keep = self.times >= now - window_s
        untold = np.full(self.times.shape, math.nan)
        values = [self.fields.get(field, untold)[keep] for field in fields]
        return self.times[keep], np.array(values).reshape(len(fields), int(keep.sum()))


NOW = 115.0
RAMP = np.arange(24.0)


def test_a_line_is_told_to_the_second() -> None:
    """A noiseless line needs no interval: point, low and high are the same, and right."""
    left = time_left(Readings(open_fds=100 + 50 * RAMP, max_fds=10_000.0), "i", NOW, TimeLeftRule())
    assert left is not None
    assert left.limit == "fd-limit"
    assert left.rate_per_s == pytest.approx(10.0)
    assert left.seconds == pytest.approx((10_000 - 1250) / 10.0)
    assert left.low_s == pytest.approx(left.high_s)


def test_the_nearest_limit_is_told() -> None:
    """Memory fills in a minute, files in an hour: memory is the answer."""
    readings = Readings(rss=RAMP * 1e6, mem_limit=35e6, open_fds=RAMP, max_fds=1e5)
    left = time_left(readings, "i", NOW, TimeLeftRule())
    assert left is not None
    assert (left.limit, round(left.seconds)) == ("memory-limit", 60)


@pytest.mark.parametrize("limit", [math.nan, 0.0, float(2**63 - 1)])
def test_no_limit_is_no_time_left(limit: float) -> None:
    """GOMEMLIMIT unset reads as the largest integer: growth towards no limit has no time left."""
    assert time_left(Readings(rss=RAMP * 1e6, mem_limit=limit), "i", NOW, TimeLeftRule()) is None


def test_what_does_not_grow_has_no_time_left() -> None:
    """Flat, falling and purely noisy numbers approach nothing."""
    noise = np.random.default_rng(3).normal(0, 20, 24)
    for threads in (40 + 0 * RAMP, 400 - RAMP, 400 + noise):
        assert time_left(Readings(threads=threads), "i", NOW, TimeLeftRule()) is None


def test_too_few_readings_tell_nothing() -> None:
    """One fewer than min_samples readings have no interval worth telling; exactly as many have."""
    readings = Readings(threads=100 + 10 * RAMP)
    assert time_left(readings, "i", NOW, TimeLeftRule(), since=NOW - 15.1) is None
    assert time_left(readings, "i", NOW, TimeLeftRule(), since=NOW - 20.1) is not None


def test_the_interval_holds_the_truth_nine_times_in_ten() -> None:
    """Over 300 noisy lines the truth lies within the 90 % interval about 90 % of the time."""
    random = np.random.default_rng(11)
    hit = 0
    for _ in range(300):
        readings = Readings(open_fds=200 + 50 * RAMP + random.normal(0, 30, 24), max_fds=20_000.0)
        left = time_left(readings, "i", NOW, TimeLeftRule())
        assert left is not None
        hit += left.low_s <= (20_000 - 200 - 50 * 23) / 10.0 <= left.high_s
    assert 0.84 <= hit / 300 <= 0.97


def test_a_slow_leak_is_told_from_its_own_rate() -> None:
    """Six goroutines an hour do not show in the readings; the budget still has an end."""
    readings = Readings(goroutines=940 + 0 * RAMP)
    left = time_left(readings, "i", NOW, TimeLeftRule(goroutine_budget=1000), rate_per_min=0.1)
    assert left is not None
    assert (left.limit, left.seconds) == ("goroutine-budget", pytest.approx(36_000))
    assert left.low_s < left.seconds < left.high_s


def test_beyond_the_horizon_is_not_told() -> None:
    """Nobody acts on a limit that is years away."""
    readings = Readings(goroutines=10 + 0 * RAMP)
    assert time_left(readings, "i", NOW, TimeLeftRule(goroutine_budget=10**9), rate_per_min=0.1) is None


def test_one_spike_does_not_bend_the_slope() -> None:
    """Sen's slope stands where least squares would be thrown: one reading a thousand times too high."""
    values = 100 + 2.0 * RAMP
    values[12] = 1e5
    slope, low, high = sen_slope(5.0 * RAMP, values)
    assert slope == pytest.approx(0.4)
    assert low <= slope <= high


def test_times_that_do_not_differ_have_no_slope() -> None:
    """A clock that stands still gives no rate, not a division by zero."""
    assert sen_slope(np.zeros(6), np.arange(6.0)) == (0.0, 0.0, 0.0)


def test_the_systems_limit_of_threads_counts_where_it_is_lower() -> None:
    """A cgroup's pids.max comes before Go's own 10,000, a higher one does not."""
    for system, limit in ((1000.0, 1000.0), (1e6, 10_000.0), (math.nan, 10_000.0)):
        left = time_left(Readings(threads=100 + 10 * RAMP, max_threads=system), "i", NOW, TimeLeftRule())
        assert left is not None
        assert left.limit_value == limit


def test_what_the_control_group_counts_comes_before_the_process_s_own() -> None:
    """mem_used is what the kernel holds against the limit; rss and sys stand in for it."""
    readings = Readings(mem_used=RAMP * 2e6, rss=RAMP * 1e6, mem_limit=146e6)
    left = time_left(readings, "i", NOW, TimeLeftRule())
    assert left is not None
    assert left.seconds == pytest.approx(250.0)
