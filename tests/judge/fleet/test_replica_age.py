"""Replicas of different age: what depends on age accuses, what does not is silent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from parkwarden.aggregate.sites import SiteWindows
from parkwarden.judge.fleet.replica_age import AgeRule, judge
from parkwarden.model import Instance, SiteCounts, Verdict
from tests.judge.fleet.places_cases import said

NOW = 100_000.0
AGES_H = (1.0, 2.0, 5.0, 9.0, 20.0)


def _fleet(count: Callable[[float], int], ages_h: tuple[float, ...] = AGES_H, version: str = "v1") -> SiteWindows:
    sites = SiteWindows()
    for k, age in enumerate(ages_h):
        start = NOW - age * 3600
        labels = {"service": "pay", "version": version if k % 2 == 0 else "v1"}
        sites.started(Instance(id=f"r{k}", labels=labels, start_time=start), start)
        sites.counted(SiteCounts(NOW - 60, f"r{k}", {"s": count(age), "pool": 30, "noise": 10 + k % 3}))
    return sites


def test_the_older_the_more_is_suspect() -> None:
    """Five in order of age come so by accident once in 120; told at the replica that has most, with its rate."""
    found = said(_fleet(lambda age: int(5 + 6 * age)), NOW, "replica-age")
    assert [(s.site, s.instance, s.verdict) for s in found] == [("s", "r4", Verdict.SUSPECT)]
    assert found[0].rate_per_min == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize(("per_h", "fires"), [(0.5, True), (0.45, False)])
def test_at_the_rise_and_below(per_h: float, fires: bool) -> None:
    """The oldest third has at least 10 more than the youngest; 9 are silent."""
    assert bool(judge(_fleet(lambda age: int(per_h * age)), ("pay", ""), NOW, AgeRule())) == fires


@pytest.mark.parametrize("count", [lambda age: 40, lambda age: int(90 - 3 * age), lambda age: int(min(age * 50, 100))])
def test_what_stands_falls_or_has_filled_is_silent(count: Callable[[float], int]) -> None:
    """The same everywhere, less in the old, or a pool that is full after two hours."""
    assert not judge(_fleet(count), ("pay", ""), NOW, AgeRule())


def test_too_few_too_alike_or_of_several_versions_is_not_judged() -> None:
    """Four replicas, ages within a factor of two, or two versions among five: too little data."""
    grow = lambda age: int(5 + 6 * age)  # noqa: E731
    assert not judge(_fleet(grow, AGES_H[:4]), ("pay", ""), NOW, AgeRule())
    assert not judge(_fleet(grow, (10.0, 11.0, 12.0, 15.0, 19.0)), ("pay", ""), NOW, AgeRule())
    assert not judge(_fleet(grow, version="v2"), ("pay", ""), NOW, AgeRule())


def test_all_lines_alike_is_the_process() -> None:
    """If most busy sites grow with age it is traffic that came back, not this line."""
    sites = _fleet(lambda age: int(5 + 6 * age))
    for k, age in enumerate(AGES_H):
        sites.counted(SiteCounts(NOW - 30, f"r{k}", {f"x{i}": int(10 + 5 * age) for i in range(5)}))
    assert not judge(sites, ("pay", ""), NOW, AgeRule())


def test_a_straight_line_past_the_age_of_full_pools_is_no_filling() -> None:
    """Eight replicas up to 20 h: six an hour goes on; a pool with a time constant of five hours has slowed down; up to three hours nothing is said."""
    ages = (0.5, 1.0, 2.0, 4.0, 7.0, 11.0, 15.0, 20.0)
    rule = AgeRule()

    def line(count: Callable[[float], int], ages_h: tuple[float, ...] = ages) -> list[bool]:
        return [j.line for j in judge(_fleet(count, ages_h), ("pay", ""), NOW, rule)]

    assert line(lambda age: int(5 + 6 * age)) == [True]
    assert line(lambda age: int(100 - 100 * 2.72 ** (-age / 5))) == [False]
    assert line(lambda age: int(5 + 40 * age), tuple(a * 0.15 for a in ages)) == [False]
