"""The one call over all site judges: only news are judged, the rest stands; look-alikes and leaks of the simulator."""

from __future__ import annotations

import numpy as np
import pytest

from bench.leakbench.long.cases import Case, Subject, leaking
from bench.leakbench.long.events import Life, named, watched
from bench.leakbench.long.judges import Parkwarden
from bench.leakbench.long.run import judge
from bench.leakbench.long.worlds import HOUR, INNOCENT, MINUTE, load
from parkwarden.aggregate.sites import SiteWindows
from parkwarden.aggregate.windows import Windows
from parkwarden.judge.fleet.places import judge_places
from parkwarden.judge.fleet.rules import Rules
from parkwarden.model import Census, Instance, SiteCounts, Verdict
from tests.judge.fleet.places_cases import fed


def test_what_has_no_news_stands() -> None:
    """Signals of an instance outside `changed` are those of last time; with its news they are renewed."""
    sites, windows, rules = fed(lambda t: {"s": 90}, 60.0, 601.0), Windows(), Rules()
    before = judge_places(sites, windows, 601.0, rules)
    assert before
    sites.counted(SiteCounts(660.0, "a", {}))
    assert judge_places(sites, windows, 661.0, rules, changed=[]) == before
    assert judge_places(sites, windows, 662.0, rules, changed=["a"]) == []
    assert judge_places(sites, windows, 663.0, rules, changed=["unknown"]) == []


def test_nothing_is_said_of_the_gone() -> None:
    """An instance that is no target any more takes its signals with it."""
    sites = fed(lambda t: {"s": 90}, 60.0, 601.0)
    assert judge_places(sites, Windows(), 601.0, Rules())
    sites.gone("a")
    assert judge_places(sites, Windows(), 602.0, Rules()) == []


def test_nothing_known_nothing_said() -> None:
    """An empty fleet, an instance without looks and one with an empty profile are judged without ado."""
    sites = SiteWindows()
    assert judge_places(sites, Windows(), 1.0, Rules()) == []
    sites.started(Instance(id="a"), 1.0)
    sites.counted(SiteCounts(2.0, "a", {}))
    sites.census(Census(3.0, "a", {}, 0))
    sites.census(Census(4.0, "a", {"s": np.empty(0, np.int64)}, 5))
    assert judge_places(sites, Windows(), 5.0, Rules()) == []


def test_a_restart_ends_what_was_said() -> None:
    """A new life has no leak yet, even before its first look."""
    sites = fed(lambda t: {"s": 90}, 60.0, 601.0)
    assert judge_places(sites, Windows(), 601.0, Rules())
    sites.started(Instance(id="a", labels={"service": "pay"}, start_time=700.0), 700.0)
    assert judge_places(sites, Windows(), 701.0, Rules()) == []


@pytest.mark.parametrize("census_s", [300.0, 0.0])
@pytest.mark.parametrize(("per_h", "within_min"), [(360.0, 20.0), (60.0, 60.0)])
def test_planted_leaks_are_found(per_h: float, within_min: float, census_s: float) -> None:
    """A leak among its site's own traffic in a process of 29 sites: `leak` in time, and nobody else accused."""
    subject = leaking(7, Case(per_h, alone=False, load="flat", census_s=census_s), 0, onset_within=2 * HOUR)
    (outcome,) = judge([subject], Parkwarden, ours=True)
    assert outcome.leak_s is not None
    assert outcome.leak_s <= within_min * MINUTE
    assert outcome.false == []


@pytest.mark.parametrize("census_s", [300.0, 0.0])
def test_look_alikes_are_not_accused(census_s: float) -> None:
    """Six hours of one process, from its start on, with the innocent shapes of the long ruler: no `leak`.

    Without the day's subscribers: for six hours of a steady load nobody can tell those who come in the morning from a leak.
    """
    rng = np.random.default_rng(11)
    shapes = {kind: habits(rng) for kind, habits in INNOCENT.items() if kind != "daily-subscribers"}
    traffic = load(rng, 0.0, 6 * HOUR)
    lives = [Life(0.0, 6 * HOUR, "v1")]
    one = watched(rng, "i", "s", lives, shapes, traffic, until=6 * HOUR, census_s=census_s)
    (outcome,) = judge([Subject("healthy", [one], named(rng, shapes), 6 * HOUR)], Parkwarden, ours=True)
    assert outcome.false == []


@pytest.mark.parametrize(("known", "verdict"), [(True, Verdict.LEAK), (False, Verdict.SUSPECT)])
def test_an_earlier_life_that_leaked_here_is_remembered(known: bool, verdict: Verdict) -> None:
    """Growth from the start may be a pool that fills; where the life before was judged a leak at this site it is the leak again."""
    sites = fed(lambda t: {"s": 5}, 60.0, 600.0)
    if known:
        sites.judged_leak("a", "s", 600.0)
    sites.started(Instance(id="a", labels={"service": "pay"}, start_time=1000.0), 1000.0)
    worst = Verdict.OK
    for at in np.arange(1060.0, 1060.0 + 2 * HOUR, 60.0).tolist():
        fed(lambda t: {"s": int((t - 1000) / 60)}, at, at + 1, sites=sites)
        for s in judge_places(sites, Windows(), at, Rules()):
            worst = max(worst, s.verdict, key=lambda v: v.rank)
    assert worst is verdict


@pytest.mark.parametrize(
    ("ages_h", "verdict"), [((0.2,), Verdict.SUSPECT), ((0.2, 1, 2, 3, 5, 8, 12, 20), Verdict.LEAK)]
)
def test_replicas_of_different_age_end_the_doubt_of_filling(ages_h: tuple[float, ...], verdict: Verdict) -> None:
    """Sixty an hour since the process began may be a filling pool in one process; where older replicas have gone on so for a day, it is not."""
    sites, windows, rules, began = SiteWindows(), Windows(), Rules(), 100_000.0
    births: dict[str, np.ndarray] = {}
    rng = np.random.default_rng(3)
    for k, age in enumerate(ages_h):
        start = began - age * HOUR
        instance = Instance(id=f"r{k}", labels={"service": "pay", "version": "v1"}, start_time=start)
        sites.started(instance, start)
        windows.started(instance)
        births[instance.id] = np.sort(start + rng.uniform(0, age * HOUR + 1800, int(60 * (age + 0.5))))
    said = set()
    for t in np.arange(began, began + 1800, 60.0).tolist():
        for name, born in births.items():
            goids = 20 + np.flatnonzero(born <= t).astype(np.int64)
            idle = np.arange(1, 11, dtype=np.int64)
            sites.counted(SiteCounts(t, name, {"s": len(goids), "pool": 10}))
            if (t - began) % 300 < 60:
                sites.census(Census(t + 1, name, {"s": goids, "pool": idle}, 20 + len(goids)))
        said |= {(s.site, s.instance, s.verdict) for s in judge_places(sites, windows, t + 2, rules)}
    assert max((v for site, name, v in said if (site, name) == ("s", "r0")), key=lambda v: v.rank) is verdict
    assert {site for site, _, v in said if v is Verdict.LEAK} <= {"s"}
