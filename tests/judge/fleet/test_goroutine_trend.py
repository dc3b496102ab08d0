"""goroutine-trend (A1): standard deviation > 30 and slope > 5/s over 120 s; what fired keeps its base line."""

from __future__ import annotations

import math

import numpy as np
import pytest

from parkwarden.aggregate.windows import Windows
from parkwarden.judge.fleet import goroutine_trend as trend
from parkwarden.judge.fleet.counts import judge_counts
from parkwarden.judge.fleet.goroutine_trend import TrendRule
from parkwarden.judge.fleet.rules import Rules
from parkwarden.model import Instance, Reading, Signal, Verdict
from tests.judge.fleet.rings import one, ramp

RULE = TrendRule()


def verdict(windows: Windows, now: float, rule: TrendRule = RULE) -> tuple[Verdict, str]:
    return trend.judge(windows, now, rule).verdict_of(0)


def told(windows: Windows, now: float, rule: TrendRule = RULE) -> Signal:
    (signal,) = trend.signals(windows, trend.judge(windows, now, rule), rule)
    return signal


@pytest.mark.parametrize(("per_s", "expected"), [(5.0, Verdict.OK), (5.2, Verdict.SUSPECT), (4.8, Verdict.OK)])
@pytest.mark.parametrize("begin", [0.0, 1.7e9])
def test_slope_at_its_number_and_a_step_above(per_s: float, expected: Verdict, begin: float) -> None:
    """Exactly 5/s is ok (strictly above fires), at small and at Unix times: one goroutine more per sample decides."""
    assert verdict(*one(begin=begin, goroutines=ramp(24, per_s)))[0] is expected


def test_sigma_at_its_number_and_a_step_above() -> None:
    """Two levels 60 apart have a standard deviation of exactly 30: ok; 62 apart fire. The slope is far above its own number."""
    steep = TrendRule(min_span_s=5.0)
    for height, expected in ((60, Verdict.OK), (62, Verdict.SUSPECT)):
        windows, now = one(every_s=1.0, goroutines=[300] * 5 + [300 + height] * 5)
        judged = trend.judge(windows, now, steep)
        assert judged["slope_per_s"][0] > 5.0
        assert judged.verdict_of(0)[0] is expected


def test_numbers_are_the_textbooks() -> None:
    """Standard deviation of the population, least-squares slope, r squared, over (now - 120 s, now]."""
    rng = np.random.default_rng(7)
    values = np.round(500 + 7 * np.arange(60) + rng.normal(0, 40, 60))
    windows, now = one(goroutines=values.tolist())
    judged = trend.judge(windows, now, RULE)
    last = values[-24:]
    times = 5.0 * np.arange(24)
    assert judged["samples"][0] == 24
    assert judged["sigma"][0] == pytest.approx(np.std(last), rel=1e-12)
    assert judged["slope_per_s"][0] == pytest.approx(np.polyfit(times, last, 1)[0], rel=1e-9)
    assert judged["fit"][0] == pytest.approx(np.corrcoef(times, last)[0, 1] ** 2, rel=1e-9)


def test_a_fast_leak_is_told_as_soon_as_the_rule_allows() -> None:
    """50/s after a long quiet time: by arithmetic the slope passes 5/s after 23.5 s, and the next sample tells it."""
    windows = Windows()
    rules = Rules()
    first = math.inf
    for i in range(200):
        t = 5.0 * i
        windows.read("a", t, Reading(goroutines=int(300 + 50 * max(0.0, t - 500.0))))
        if any(s.code == trend.CODE for s in judge_counts(windows, t, rules)):
            first = min(first, t)
    assert first == 525.0


def test_six_samples_are_enough_and_five_are_not() -> None:
    """A process that leaks from its first second is told after 25 s; before, it is unknown, not ok."""
    assert verdict(*one(goroutines=ramp(6, 50)))[0] is Verdict.SUSPECT
    assert verdict(*one(goroutines=ramp(5, 50))) == (Verdict.UNKNOWN, "too few samples")


def test_many_samples_in_a_short_time_are_too_short() -> None:
    """By time, not by sample number."""
    assert verdict(*one(every_s=1.0, goroutines=ramp(25, 50, every_s=1.0))) == (Verdict.UNKNOWN, "too short a span")
    assert verdict(*one(every_s=1.0, goroutines=ramp(26, 50, every_s=1.0)))[0] is Verdict.SUSPECT


@pytest.mark.parametrize("every_s", [1.0, 2.5, 5.0, 10.0, 20.0])
def test_any_cadence(every_s: float) -> None:
    """The same leak is seen at every cadence the window has six samples of; a slower one than the rule at none."""
    n = int(240 / every_s)
    assert verdict(*one(every_s=every_s, goroutines=ramp(n, 6, every_s=every_s)))[0] is Verdict.SUSPECT
    assert verdict(*one(every_s=every_s, goroutines=ramp(n, 4, every_s=every_s)))[0] is Verdict.OK


def test_no_data_is_unknown_with_a_cause() -> None:
    """Nothing read, nothing told, nothing of late, a hole, a restart, a stepped clock: each has its words."""
    windows = Windows()
    windows.started(Instance(id="a"))
    assert verdict(windows, 0.0) == (Verdict.UNKNOWN, "no reading yet")
    windows, now = one(heap_inuse=[1] * 24)
    assert verdict(windows, now) == (Verdict.UNKNOWN, "the number is not told")
    windows, now = one(goroutines=ramp(24, 50))
    assert verdict(windows, now + 31.0) == (Verdict.UNKNOWN, "a gap in the readings")
    assert verdict(windows, now + 1000.0) == (Verdict.UNKNOWN, "a gap in the readings")
    assert verdict(windows, -1.0) == (Verdict.UNKNOWN, "the clock stepped")
    for i in range(3):
        windows.read("a", now + 31.0 + 5 * i, Reading(goroutines=9000))
    assert verdict(windows, now + 41.0) == (Verdict.UNKNOWN, "a gap in the readings")
    windows.started(Instance(id="a", start_time=1.0))
    windows.started(Instance(id="a", start_time=9.0))
    windows.read("a", 2.0, Reading(goroutines=5))
    assert verdict(windows, 2.0) == (Verdict.UNKNOWN, "restarted a moment ago")


def test_a_hole_begins_the_window_anew() -> None:
    """Two levels either side of a hole are no rise; behind it, six samples judge again."""
    windows, now = one(goroutines=[300] * 10)
    for i in range(6):
        windows.read("a", now + 40 + 5 * i, Reading(goroutines=5000))
    assert verdict(windows, now + 65) == (Verdict.OK, "")


def test_a_single_lost_answer_is_no_hole() -> None:
    """Samples that were not told are stepped over."""
    values: list[float | None] = list(ramp(24, 6))
    values[7] = values[15] = None
    windows, now = one(goroutines=values)
    assert trend.judge(windows, now, RULE)["samples"][0] == 22
    assert verdict(windows, now)[0] is Verdict.SUSPECT


def test_onset_and_rate() -> None:
    """`since` is where the level ended and the line began, the rate that of the line, not thinned by the quiet time before."""
    windows, now = one(begin=1000.0, goroutines=ramp(60, 50, flat=52))
    signal = told(windows, now)
    assert signal.since == pytest.approx(1260.0, abs=0.1)
    assert signal.rate_per_min == pytest.approx(3000.0, rel=0.01)
    assert (signal.count, signal.site, signal.verdict) == (2050, None, Verdict.SUSPECT)
    assert signal.numbers["base"] == pytest.approx(300)


def test_onset_under_noise() -> None:
    """With noise of 10 goroutines the onset of 20/s is found within two samples."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        values = np.round(np.array(ramp(90, 20, flat=70)) + rng.normal(0, 10, 90))
        windows, now = one(goroutines=values.tolist())
        since = told(windows, now).since
        assert since is not None
        assert abs(since - 350.0) <= 10.0


def test_what_stopped_growing_is_not_learnt_as_normal() -> None:
    """The leak stops at 4,300: the rule's own window forgets it, the frozen base line does not, for hold_s; confidence sinks."""
    windows = Windows()
    heard: dict[float, Signal] = {}
    for i in range(300):
        t = 5.0 * i
        windows.read("a", t, Reading(goroutines=int(300 + 50 * min(max(0.0, t - 120.0), 80.0))))
        for signal in trend.signals(windows, trend.judge(windows, t, RULE), RULE):
            heard[t] = signal
    assert min(heard) == 145.0
    assert {s.since for s in heard.values()} == {120.0}
    assert max(heard) == 290.0 + RULE.hold_s
    assert heard[1100.0].confidence < heard[600.0].confidence < heard[200.0].confidence
    assert "stay at 4,300" in heard[1100.0].text


def test_a_burst_is_let_go_when_it_leaves() -> None:
    """Back at the old level (within a fifth of the rise), the suspicion ends with the rule's own window and a second burst has its own onset."""
    windows = Windows()
    shape = (
        [300] * 24 + [300 + 250 * i for i in range(1, 9)] + [2300] * 6 + [690] * 30 + [690 + 250 * i for i in range(9)]
    )
    heard = {}
    for i, value in enumerate(shape):
        windows.read("a", 5.0 * i, Reading(goroutines=value))
        for signal in trend.signals(windows, trend.judge(windows, 5.0 * i, RULE), RULE):
            heard[5.0 * i] = signal.since
    assert 5.0 * 37 in heard
    quiet = [t for t in (5.0 * i for i in range(38, 68)) if t not in heard]
    assert quiet[0] <= 5.0 * 38 + 30.0  # the window itself still leans for some samples
    assert quiet == [quiet[0] + 5.0 * i for i in range(len(quiet))]
    assert heard[5.0 * (len(shape) - 1)] == pytest.approx(5.0 * 68, abs=10.0)


def test_two_rules_have_two_memories() -> None:
    """Side by side over the same data, one rule's frozen base line is not the other's."""
    windows, now = one(goroutines=ramp(24, 6))
    strict = TrendRule(slope_per_s=7.0)
    assert verdict(windows, now)[0] is Verdict.SUSPECT
    assert verdict(windows, now, strict)[0] is Verdict.OK


def test_a_restart_forgets_the_frozen_base_line() -> None:
    """A new life is innocent."""
    windows, now = one(goroutines=ramp(24, 50))
    assert verdict(windows, now)[0] is Verdict.SUSPECT
    windows.started(Instance(id="a", start_time=1.0))
    windows.started(Instance(id="a", start_time=now + 1))
    for i in range(24):
        windows.read("a", now + 5.0 + 5.0 * i, Reading(goroutines=400))
    assert verdict(windows, now + 120.0)[0] is Verdict.OK


def test_gc_pressure_raises_confidence_and_is_no_condition() -> None:
    """The same rise with and without it."""
    quiet, now = one(goroutines=ramp(24, 6), num_gc=range(24), gc_cpu_s=[i * 0.1 for i in range(24)], cpu_s=range(24))
    pressed, _ = one(goroutines=ramp(24, 6), num_gc=range(24), gc_cpu_s=[i * 0.2 for i in range(24)], cpu_s=range(24))
    (without,) = judge_counts(quiet, now, Rules())
    with_it = {s.detector: s for s in judge_counts(pressed, now, Rules())}
    assert set(with_it) == {"goroutine-trend", "gc-pressure"}
    assert with_it["goroutine-trend"].confidence == pytest.approx(without.confidence + 0.1)
