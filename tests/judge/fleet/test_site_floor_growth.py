"""The floor's growth: what leaks is found, what passes, slows down or follows the load is not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from parkwarden.aggregate.windows import Windows
from parkwarden.judge.fleet import kendall
from parkwarden.judge.fleet.places import judge_places
from parkwarden.judge.fleet.rules import Rules
from parkwarden.judge.fleet.site_floor_growth import FloorRule
from parkwarden.model import Instance, Reading, SiteCounts, Verdict
from tests.judge.fleet.places_cases import fed, said

HOUR = 3600.0


def _verdicts(counts: object, hours: float, start: float | None = -86_400.0) -> dict[Verdict, float]:
    """First time (minutes) of each verdict about `s` in a watch of so many hours, looked at every minute."""
    first: dict[Verdict, float] = {}
    sites = None
    for at in np.arange(60.0, hours * HOUR, 60.0).tolist():
        sites = fed(counts, at, at + 1, start=start, sites=sites)  # type: ignore[arg-type]
        for signal in said(sites, at, "site-floor-growth"):
            first.setdefault(signal.verdict, at / 60)
    return first


def _noise(at: float, n: float) -> int:
    return int(np.random.default_rng([int(at), 5]).poisson(n))


@pytest.mark.parametrize(("per_h", "within_min"), [(360, 16), (60, 50), (6, 300)])
def test_a_leak_among_traffic_is_found(per_h: float, within_min: float) -> None:
    """A leak that begins after an hour among ten healthy goroutines is `leak` within the stated time, `suspect` before (nothing tells the load here: a day's tide is allowed for)."""
    found = _verdicts(lambda t: {"s": _noise(t, 10) + int(max(t - HOUR, 0) * per_h / HOUR)}, 1 + 1.2 * within_min / 60)
    assert found[Verdict.LEAK] - 60 <= within_min
    assert 60 <= found[Verdict.SUSPECT] <= found[Verdict.LEAK]


def test_a_fast_leak_is_suspect_within_the_first_looks() -> None:
    """50 a second, looked at every 5 s: suspect with the sixth or so look that rises, a minute or less after the first."""
    sites = fed(lambda t: {"s": 10}, 60.0, 600.0)
    for k in range(12):
        at = 600.0 + 5 * k
        sites.counted(SiteCounts(at, "a", {"s": 10 + 250 * k}))
        found = said(sites, at, "site-floor-growth")
        if found:
            break
    assert found[0].verdict is Verdict.SUSPECT
    assert k <= 8
    assert found[0].rate_per_min == pytest.approx(3000, rel=0.5)


INNOCENT = {
    "standing": lambda t: 40,
    "noise": lambda t: _noise(t, 30),
    "burst": lambda t: _noise(t, 10) + (300 if 3.5 * HOUR < t < 3.7 * HOUR else 0),
    "hourly bursts": lambda t: _noise(t, 10) + (200 if t % HOUR < 240 else 0),
    "step": lambda t: 20 if t < 3 * HOUR else 60,
    "pool that fills in minutes": lambda t: int(80 * (1 - math.exp(-max(t - HOUR, 0) / 120))),
    "warm-up": lambda t: int(90 * (1 - math.exp(-t / (0.7 * HOUR)))),
    "sawtooth": lambda t: int((t % (0.9 * HOUR)) / 60),
}


@pytest.mark.parametrize("shape", INNOCENT)
def test_look_alikes_are_no_leak(shape: str) -> None:
    """What stands, passes, steps, slows down or falls back is never `leak`; process and watch begin together."""
    found = _verdicts(lambda t: {"s": INNOCENT[shape](t)}, 7.0, start=0.0)
    assert Verdict.LEAK not in found


@pytest.mark.parametrize(("swaps", "fires"), [((), True), ((4,), True), ((1, 3, 5, 7), False)])
def test_many_pairs_that_fall_are_no_trend(swaps: tuple[int, ...], fires: bool) -> None:
    """Nine slots: with one pair that falls the chance of such an order is 2e-5, with four it is above 3e-4: silent."""
    order = list(range(10))
    for k in swaps:
        order[k], order[k + 1] = order[k + 1], order[k]
    sites = fed(lambda t: {"s": 10 * order[int(t // 60) - 1]}, 60.0, 60.0 * 11)
    assert bool(said(sites, 660.0, "site-floor-growth")) == fires


@pytest.mark.parametrize(("rise", "fires"), [(1, True), (0, False)])
def test_an_absolute_floor_stands_beside_the_chance(rise: int, fires: bool) -> None:
    """However regular, growth below `suspect_rise` is silent: the thirds of the window must be 6 apart."""
    sites = fed(lambda t: {"s": int(t // 60) * rise}, 60.0, 60.0 * 25)
    assert bool(said(sites, 1500.0, "site-floor-growth")) == fires


def test_growth_that_follows_the_load_is_no_leak() -> None:
    """Requests told, fivefold within the hour: the site that grows with them is not accused; with steady requests it is."""
    for swing, leak in ((4.0, False), (0.0, True)):
        windows, total, worst = Windows(), 0.0, Verdict.OK
        windows.started(Instance(id="a", start_time=-86_400.0))
        sites = None
        for at in np.arange(60.0, 4 * HOUR, 60.0).tolist():
            share = min(max(at - HOUR, 0) / HOUR, 1.0)
            total += 60 * 100 * (1 + swing * share)
            windows.read("a", at, Reading(at=at, requests_total=int(total)))
            sites = fed(lambda t, s=share: {"s": int(40 * (1 + 4 * s))}, at, at + 1, start=-86_400.0, sites=sites)  # type: ignore[misc]
            for s in judge_places(sites, windows, at, Rules()):
                if s.detector == "site-floor-growth" and s.verdict.rank > worst.rank:
                    worst = s.verdict
        assert (worst is Verdict.LEAK) == leak


def test_chances_are_exact() -> None:
    """S of n values in random order: 1/n! for all rising, one half around nothing, NaN not counted."""
    _, told, p = kendall.trend(np.array([[1.0, 2, 3, 4, 5], [5.0, 4, 3, 2, 1], [1.0, math.nan, 2, 3, 4]]))
    assert told.tolist() == [5, 5, 4]
    assert p == pytest.approx([1 / 120, 1.0, 1 / 24])


def test_chances_hold_in_noise() -> None:
    """Of 20,000 windows of pure noise, about p say p."""
    values = np.random.default_rng(3).normal(size=(20_000, 10))
    _, _, p = kendall.trend(values)
    for level in (0.1, 0.01):
        assert 0.5 * level < (p <= level).mean() <= 1.1 * level  # S is discrete: never above, seldom at the level


def _lives(first: float, leak_per_min: float) -> Verdict:
    """A life of four hours with up to `first` goroutines at the site, a restart, and 150 minutes that rise from the start."""
    sites = fed(lambda t: {"s": int(min(t / 60, first))}, 60.0, 4 * HOUR)
    sites.started(Instance(id="a", labels={"service": "pay"}, start_time=5 * HOUR), 5 * HOUR)
    worst = Verdict.OK
    for at in np.arange(5 * HOUR + 60, 7.5 * HOUR, 60.0).tolist():
        fed(lambda t: {"s": int((t - 5 * HOUR) / 60 * leak_per_min)}, at, at + 1, sites=sites)
        for signal in said(sites, at, "site-floor-growth"):
            worst = max(worst, signal.verdict, key=lambda v: v.rank)
    return worst


@pytest.mark.parametrize(("first", "verdict"), [(5.0, Verdict.LEAK), (150.0, Verdict.SUSPECT)])
def test_what_earlier_lives_reached_is_no_news(first: float, verdict: Verdict) -> None:
    """Growth since the start is a leak where an older life never had as much, and may be a pool that fills where it had."""
    assert _lives(first, 1.0) is verdict


def test_a_leak_of_one_a_minute_is_told_within_the_hour() -> None:
    """Beside goroutines of seconds, whose jitter tells them, and beside a crowd that stays: faster than people come in a morning."""
    for beside in (lambda t: _noise(t, 10), lambda t: 10):
        found = _verdicts(lambda t, n=beside: {"s": n(t) + int(max(t - 2 * HOUR, 0) / 60)}, 3.5)  # type: ignore[misc]
        assert found[Verdict.LEAK] - 120 <= 50


def test_where_nothing_tells_the_load_a_morning_is_allowed_for() -> None:
    """Twenty an hour at a site without traffic and without witnesses: suspect within hours, a leak only when more came than people do."""
    found = _verdicts(lambda t: {"s": 10 + int(max(t - 2 * HOUR, 0) / 180)}, 8.0)
    assert found[Verdict.SUSPECT] <= 4 * 60
    assert found[Verdict.LEAK] >= 2 * 60 + FloorRule().unseen_rise * 3


def test_a_tooth_is_no_leak_whichever_minutes_are_looked_at() -> None:
    """Waiters for the first batch of a process pile up for 100 minutes, as unevenly as people come: some twenty minutes of it begin with a
    lull and look as if growth had begun in the middle of the life; it began with the process."""
    for seed in range(4):
        born = np.sort(np.random.default_rng(seed).uniform(0, 100 * 60, 470))
        found = _verdicts(lambda t, b=born: {"s": int(np.searchsorted(b, t))}, 1.6, start=0.0)  # type: ignore[misc]
        assert Verdict.LEAK not in found
        assert Verdict.SUSPECT in found


def _after_calm(risen: list[int]) -> dict[Verdict, float]:
    """Two hours of ten to twenty goroutines, then these counts."""
    return _verdicts(lambda t: {"s": _noise(t, 15) + ([0] * 120 + risen)[int(t // 60) - 1]}, 2 + len(risen) / 60)


def test_two_hangs_of_a_back_end_stand_still_in_between() -> None:
    """Requests that hang until their time-out stop growing when the first ones give up, though the next hang begins at once; a leak goes on."""
    hangs = [760, 1510, 2300, 3050, 3880, 3880, 3890, 4700, 5600, 6260, 6300, 6330, 6340, 6340]
    assert Verdict.LEAK not in _after_calm(hangs)
    assert Verdict.LEAK in _after_calm([480 * k for k in range(1, 15)])


def test_who_leaks_does_not_leave() -> None:
    """Sixty an hour is a leak within the hour; where twelve of each fifteen leave again at once it is not."""
    assert Verdict.LEAK in _after_calm(list(range(60)))
    assert Verdict.LEAK not in _after_calm([k // 15 * 3 + k % 15 * 2 for k in range(60)])


def test_those_of_a_burst_are_no_leak_when_it_is_over() -> None:
    """A queue near saturation grows fivefold in ten minutes of twice the load and is slow to empty: no leak; without the burst it would be."""
    rng = np.random.default_rng(9)

    def busy(load: float) -> dict[Verdict, float]:
        def counts(t: float) -> dict[str, int]:
            since = t - 2 * HOUR
            others = {f"q{k}": int(rng.poisson(12 * (load if 0 <= since < 900 else 1.0))) for k in range(8)}
            return others | {"s": _noise(t, 12) + int(min(max(since, 0.0), 1080.0) / 13)}

        return _verdicts(counts, 2.4)

    assert Verdict.LEAK not in busy(2.0)
    assert Verdict.LEAK in busy(1.0)
