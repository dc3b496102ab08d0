"""Survivors: births without deaths accuse, everything that has one without the other does not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from parkwarden.judge.fleet import survivors, tide
from parkwarden.judge.fleet.survivors import SurvivorRule
from parkwarden.model import Census, Instance, Verdict
from tests.judge.fleet.places_cases import censuses, said

BEAT = 300.0
LATER = 8 * 3600.0
"""Watching begins so long after the process: nothing is filling any more."""
QUIET = 7200.0
"""And so long before the first of the leaks."""


def _looks(n: int, lives: list[tuple[float, float]], other: int = 5) -> dict[float, dict[str, list[int]]]:
    """`n` censuses; ids are seconds since the start (one birth a second elsewhere); a life is (born, died)."""
    looks = {}
    for k in range(n):
        at = LATER + BEAT * k
        ids = [int(born) for born, died in lives if born < at < died]
        looks[at] = {"s": ids, "pool": list(range(1, 1 + other))}
    return looks


def _leak(n: int, every_s: float, onset: float) -> list[tuple[float, float]]:
    return [(onset + every_s * k, 1e12) for k in range(n)]


def test_four_who_stay_are_suspect_three_are_not() -> None:
    """Three are an accident: four is the least number of survivors that is worth a closer look."""
    for n, fires in ((4, True), (3, False)):
        lives = _leak(n, 290.0, LATER + QUIET + 10)
        found = [
            s for s in said(censuses(_looks(26 + n, lives)), LATER + BEAT * (25 + n), "survivors") if s.site == "s"
        ]
        assert bool(found) == fires
        if fires:
            assert found[0].numbers["survivors"] == 4


def test_a_dozen_who_stay_are_a_leak() -> None:
    """12 an hour for an hour after two quiet ones, nobody left: leak, with rate, count and the time it began."""
    lives = _leak(30, 300.0, LATER + QUIET + 10)
    found = said(censuses(_looks(40, lives)), LATER + 39 * BEAT, "survivors")
    assert [(s.site, s.verdict) for s in found] == [("s", Verdict.LEAK)]
    assert found[0].rate_per_min == pytest.approx(0.2, rel=0.1)
    assert found[0].since == pytest.approx(LATER + QUIET + 10, abs=300)
    assert found[0].numbers["odds"] >= SurvivorRule().leak_odds


def test_the_rate_is_of_the_time_the_judged_were_born_in() -> None:
    """Three a minute beside healthy ones of seven minutes: judged by those of ten minutes and older, who were not born until now."""
    begin = LATER + QUIET
    healthy = [(LATER + 30.0 * k, LATER + 30.0 * k + 420.0) for k in range(360)]
    looks = _looks(31, [*healthy, *_leak(200, 20.0, begin + 7.0)])
    [found] = [s for s in said(censuses(looks), LATER + 30 * BEAT, "survivors") if s.site == "s"]
    assert found.numbers["age_s"] == 600.0
    assert found.rate_per_min == pytest.approx(3.0, rel=0.1)


def test_a_fresh_watch_asks_for_more() -> None:
    """What comes every 75 s forty minutes into a watch waits for a census more than what comes later: long requests come in clusters."""
    for quiet, more, verdict in ((2400.0, 3, Verdict.SUSPECT), (2400.0, 4, Verdict.LEAK), (6000.0, 3, Verdict.LEAK)):
        looks = int(quiet / BEAT) + more
        sites = censuses(_looks(looks, _leak(60, 75.0, LATER + quiet + 10)))
        found = [s for s in said(sites, LATER + (looks - 1) * BEAT, "survivors") if s.site == "s"]
        assert [s.verdict for s in found] == [verdict]
        assert found[0].numbers["odds"] >= SurvivorRule().leak_odds


def test_a_leak_older_than_the_watch_is_told_by_its_ids() -> None:
    """Sixty that came one by one through all the eight hours before, and go on: dates of birth say so within two hours."""
    lives = _leak(100, 480.0, 1800.0 + 60)
    found = said(censuses(_looks(27, lives)), LATER + 26 * BEAT, "survivors")
    assert [(s.site, s.verdict) for s in found] == [("s", Verdict.LEAK)]


def test_a_heap_that_waited_before_the_watch_may_wait_for_its_batch() -> None:
    """What began to pile up shortly before the watch is suspect until it is older than usual batches are apart."""
    lives = _leak(300, 60.0, LATER - 1200)
    early = said(censuses(_looks(12, lives)), LATER + 11 * BEAT, "survivors")
    late = said(censuses(_looks(36, lives)), LATER + 35 * BEAT, "survivors")
    assert [s.verdict for s in (*early, *late)] == [Verdict.SUSPECT, Verdict.LEAK]


def test_a_standing_pool_has_no_births() -> None:
    """60 who were there from the first look on are nobody's survivors."""
    lives = [(float(k + 1), 1e12) for k in range(60)]
    assert not said(censuses(_looks(30, lives)), LATER + 29 * BEAT, "survivors")


def test_a_crowd_with_departures_at_every_age_is_innocent() -> None:
    """One comes and one leaves every five minutes, each after two hours: as many leave as come."""
    lives = [(LATER - 7200 + 250.0 * k, LATER + 250.0 * k) for k in range(100)]
    found = said(censuses(_looks(40, lives)), LATER + 39 * BEAT, "survivors")
    assert not [s for s in found if s.site == "s"]


def test_a_batch_counts_once() -> None:
    """60 who came within seconds are one event, however long they stay."""
    lives = [(LATER + 1000.0 + k / 10, 1e12) for k in range(60)]
    assert not said(censuses(_looks(20, lives)), LATER + 19 * BEAT, "survivors")


def test_a_pool_that_has_filled_is_forgiven() -> None:
    """Ever slower until nobody came any more: no leak while it fills, nothing once it has."""
    lives = [(LATER + 20 + 900.0 * x, 1e12) for x in [-math.log(1 - k / 41) for k in range(1, 41)]]
    looks = _looks(60, lives)
    sites = censuses(looks)
    assert not said(sites, LATER + 59 * BEAT, "survivors")


def test_growth_from_the_start_of_the_process_stays_suspect_for_a_while() -> None:
    """What has come since the process began may be a pool: suspect, not leak, within the warm-up; as steady after hours it is a leak."""
    lives = _leak(400, 100.0, LATER + 10)
    for n, verdict in ((36, Verdict.SUSPECT), (60, Verdict.LEAK)):
        sites = censuses(_looks(n, lives))
        sites.tables["a"].instance = Instance(id="a", labels={"service": "pay"}, start_time=LATER - 60)
        assert [s.verdict for s in said(sites, LATER + (n - 1) * BEAT, "survivors")] == [verdict]


def test_one_census_knows_nothing() -> None:
    """Too little data is no verdict."""
    assert not said(censuses(_looks(1, _leak(50, 1.0, 100.0))), LATER, "survivors")


def test_people_who_leave_after_hours_are_no_leak() -> None:
    """Growth since the process began, as straight as a leak's, but of those who stood for hours some go: suspect at most, until nobody does."""
    here = _leak(200, 240.0, 60.0)
    for leaves, leak in ((True, False), (False, True)):
        lives = [(b, LATER + 200.0 + 31 * k if leaves and k % 8 == 0 else d) for k, (b, d) in enumerate(here)]
        found = said(censuses(_looks(36, lives)), LATER + 35 * BEAT, "survivors")
        assert (Verdict.LEAK in [s.verdict for s in found if s.site == "s"]) is leak


def test_growth_that_went_on_before_the_watch_did_not_begin_with_it() -> None:
    """A process of an hour whose pool fills at a pace that falls: what comes while we watch, on top of what came before, is no news."""
    start = LATER - 3600
    lives = [(start - 5400 * math.log(1 - k / 61), 1e12) for k in range(1, 61)]
    for n in (20, 30):
        sites = censuses(_looks(n, lives))
        sites.tables["a"].instance = Instance(id="a", labels={"service": "pay"}, start_time=start)
        assert Verdict.LEAK not in [s.verdict for s in said(sites, LATER + (n - 1) * BEAT, "survivors")]


def test_what_an_earlier_life_had_at_that_age_is_nothing_new() -> None:
    """A dozen who stay, late in a second life: a leak, unless the first life had as many who stayed, and it may be a pool of that size that came late."""
    lives = _leak(12, 300.0, LATER + QUIET + 10)
    for before, verdict in ((0, Verdict.LEAK), (40, Verdict.SUSPECT)):
        looks = {LATER - 40000.0 + BEAT * k: {"s": list(range(1, 1 + before)), "pool": [50]} for k in range(30)}
        sites = censuses(looks)
        sites.started(Instance(id="a", labels={"service": "pay"}, start_time=60.0))
        for at, ids in _looks(38, lives).items():
            sites.census(Census(at, "a", {site: np.array(who, np.int64) for site, who in ids.items()}, int(at)))
        assert [s.verdict for s in said(sites, LATER + 37 * BEAT, "survivors") if s.site == "s"] == [verdict]


def test_a_tide_brings_no_more_than_a_crowd() -> None:
    """Who comes so fast beside the load's slope that a day's whole rise would bring over 500 is not brought by it; nothing is said where the slope is not known."""
    rule = SurvivorRule()

    def too_many(per_h: float, slope: float, error: float = 0.03) -> bool:
        return survivors._too_many(tide.Flank(slope, error, 12), per_h, rule)

    assert too_many(60.0, 0.1)
    assert not too_many(6.0, 0.1)
    assert too_many(32.0, 0.125)
    assert not too_many(31.25, 0.125), "2 x 31.25 / 0.125 = 500: at most what a tide may bring"
    assert not too_many(60.0, 0.1, error=tide.FLANK_BLIND)
    assert not too_many(60.0, math.nan, error=math.nan)
    assert not too_many(60.0, -0.1), "where the load falls the flank is over anyway"
