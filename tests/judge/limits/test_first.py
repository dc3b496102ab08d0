"""What breaks first: by the trend, under load, and what no number is known of."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from parkwarden.judge.limits import GATEWAY, STREAMING, Basis, Effect, Facts, Look, What, needs, tune
from parkwarden.judge.limits.first import HORIZON_SPANS, KINDS, TIGHT_SPANS
from parkwarden.model import Verdict
from tests.judge.limits.told import GIB, NOW, SETTINGS, facts


def growing(column: str, per_s: float, start: float, *, looks: int = 11, wobble: float = 0.0) -> tuple[Look, ...]:
    """A look a second in which one thing grows."""
    return tuple(
        replace(NOW, at=100.0 + i, **{column: int(start + per_s * i + wobble * (-1) ** i)}) for i in range(looks)
    )


def test_the_first_by_trend_has_its_time_and_interval() -> None:
    """500 descriptors, ten more a second, a limit of 1,024: 52.4 s from the last look on, and an interval that holds it."""
    told = tune(facts({"fd-limit": 1024}, looks=growing("descriptors", 10, 400)), GATEWAY)
    first = told.by_trend
    assert first is not None
    assert first.name == "fd-limit"
    assert first.verdict is Verdict.EXHAUSTING
    assert told.found
    left = first.time_left
    assert left is not None
    assert left.seconds == pytest.approx(52.4)
    assert left.low_s <= left.seconds <= left.high_s


def test_of_two_trends_the_sooner_breaks_first() -> None:
    """Threads that reach their limit in 10 s come before descriptors that take a minute, whatever their shares are."""
    both = tuple(
        replace(look, threads=1000 + 50 * i, user_threads=1008 + 50 * i, group_threads=1000 + 50 * i)
        for i, look in enumerate(growing("descriptors", 10, 900))
    )
    told = tune(facts({"fd-limit": 1600, "go-max-threads": 2000}, looks=both), GATEWAY)
    assert told.by_trend is not None
    assert told.by_trend.name == "go-max-threads"
    names = [one.name for one in told.limits]
    assert names.index("go-max-threads") < names.index("fd-limit")


def test_standing_still_is_no_trend() -> None:
    """Numbers that only wobble approach nothing."""
    told = tune(facts({"fd-limit": 1024}, looks=growing("descriptors", 0, 400, wobble=3)), GATEWAY)
    assert told.by_trend is None
    assert all(one.time_left is None for one in told.limits)


def test_four_looks_are_no_trend() -> None:
    """A slope of fewer than five looks is nobody's."""
    assert tune(facts({"fd-limit": 1024}, looks=growing("descriptors", 10, 400, looks=4)), GATEWAY).by_trend is None
    assert tune(facts({"fd-limit": 1024}, looks=growing("descriptors", 10, 400, looks=5)), GATEWAY).by_trend is not None


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [(HORIZON_SPANS * 10 - 10, Verdict.EXHAUSTING), (HORIZON_SPANS * 10 + 10, Verdict.TIGHT), (TIGHT_SPANS * 10 + 10, Verdict.OK)],
)  # fmt: skip
def test_a_short_look_does_not_reach_far(seconds: float, verdict: Verdict) -> None:
    """Ten seconds foretell an hour with certainty's name, a day as tight, and next week not at all."""
    limit = 500 + 10 * seconds
    told = tune(facts({"fd-limit": limit, "fd-limit-hard": limit}, looks=growing("descriptors", 10, 400)), GATEWAY)
    assert next(one.verdict for one in told.limits if one.name == "fd-limit") is verdict


@pytest.mark.parametrize(
    ("used", "verdict"), [(799, Verdict.OK), (800, Verdict.TIGHT), (999, Verdict.TIGHT), (1000, Verdict.EXHAUSTING)]
)
def test_use_near_a_limit_is_tight(used: int, verdict: Verdict) -> None:
    """80 % of a limit in use is tight, all of it is exhausted."""
    told = tune(facts({"fd-limit": 1000}, now={"descriptors": used}), GATEWAY)
    assert next(one.verdict for one in told.limits if one.name == "fd-limit") is verdict


def test_a_limit_that_slows_never_breaks_first() -> None:
    """GOMEMLIMIT is soft: it is ranked, but what breaks is another one."""
    looks = tuple(replace(look, memory=look.go_memory) for look in growing("go_memory", 50 << 20, 200 << 20))
    told = tune(facts(looks=looks), GATEWAY)
    soft = next(one for one in told.limits if one.name == "gomemlimit")
    assert soft.effect is Effect.SLOWS
    assert soft.time_left is not None
    assert soft.verdict is Verdict.TIGHT
    assert told.by_trend is not None
    assert told.by_trend.name == "memory-limit"


def test_address_space_runs_out_though_memory_does_not() -> None:
    """ulimit -v counts what Go reserves: 64 MiB a second reach 2 GiB long before the memory cgroup's 2 GiB are used."""
    told = tune(facts({"address-space": 2 * GIB}, looks=growing("address_space", 64 << 20, GIB)), GATEWAY)
    assert told.by_trend is not None
    assert told.by_trend.name == "address-space"


def test_root_has_no_process_limit() -> None:
    """What does not bind is not ranked."""
    assert "process-limit" in {one.name for one in tune(facts(), GATEWAY).limits}
    assert "process-limit" not in {one.name for one in tune(facts(root=True), GATEWAY).limits}


def test_the_load_that_a_limit_holds() -> None:
    """206 descriptors of which 6 are a server's own, 100 requests: two each; 1,006 hold 500 requests and no more."""
    limit = {"fd-limit": 1006.0}
    fits, over = tune(facts(limit, load=500), GATEWAY), tune(facts(limit, load=501), GATEWAY)
    assert fits.by_load is not None
    assert fits.by_load.name == "fd-limit"
    assert fits.by_load.requests == pytest.approx(500)
    assert not fits.by_load.passed
    assert over.by_load is not None
    assert over.by_load.passed
    assert over.found


def test_what_others_hold_stays_as_it_is() -> None:
    """Of the user's 1,000 threads 900 are others': they do not grow with this service's load."""
    told = facts({"process-limit": 2048}, load=200, now={"threads": 107, "user_threads": 1007, "group_threads": 107})
    process = next(one for one in tune(told, GATEWAY).limits if one.name == "process-limit")
    assert process.at_load == pytest.approx(7 + 900 + 200 * 1.0)


def test_needs_follow_the_load_where_it_varies() -> None:
    """Three descriptors a request and 40 fixed are found again from looks at different loads, whatever stands beside."""
    looks = tuple(
        replace(NOW, at=float(i), requests=20 + 8 * (i % 5), descriptors=40 + 3 * (20 + 8 * (i % 5))) for i in range(10)
    )
    need = needs(looks, GATEWAY, 2)[What.DESCRIPTORS]
    assert need.basis is Basis.LOAD
    assert (need.each, need.fixed) == (pytest.approx(3.0), pytest.approx(40.0))


def test_a_load_that_stands_still_is_shared_out() -> None:
    """Without variation everything above an idle server's counts as the requests', and is said to be at most that."""
    found = needs((NOW,), GATEWAY, 2)
    assert {need.basis for need in found.values()} == {Basis.SHARE}
    assert found[What.DESCRIPTORS].each == 2.0
    assert found[What.THREADS].each == pytest.approx((12 - 7) / 100)
    assert "at most" in found[What.MEMORY].text


@pytest.mark.parametrize(("requests", "basis"), [(7, Basis.ASSUMED), (8, Basis.SHARE), (None, Basis.ASSUMED)])
def test_few_requests_measure_nothing(requests: int | None, basis: Basis) -> None:
    """Below eight requests the profile's assumption stands in, and is called one."""
    found = needs((replace(NOW, requests=requests),), STREAMING, 2)
    assert found[What.DESCRIPTORS].basis is basis
    if basis is Basis.ASSUMED:
        assert found[What.DESCRIPTORS].each == STREAMING.fds_per_request
        assert "assumed" in found[What.DESCRIPTORS].text


def test_a_connection_is_at_least_one_descriptor() -> None:
    """However few descriptors there are, a request has its connection."""
    assert needs((replace(NOW, descriptors=20),), GATEWAY, 2)[What.DESCRIPTORS].each == 1.0


def test_nothing_told_is_nothing_said() -> None:
    """A page that tells no use and no limit has no first."""
    told = tune(Facts(settings={}, looks=(Look(at=0.0),)), GATEWAY)
    assert told.limits == ()
    assert told.by_trend is None
    assert told.by_load is None
    assert not told.found


def test_a_limit_without_use_is_unknown() -> None:
    """A limit is told though nobody tells how much of it is used."""
    told = tune(facts(now={"descriptors": None}), GATEWAY)
    one = next(limit for limit in told.limits if limit.name == "fd-limit")
    assert (one.verdict, one.share, one.requests) == (Verdict.UNKNOWN, None, None)


def test_every_limit_says_what_happens() -> None:
    """Each that can run out is a setting, and says what passing it does."""
    assert set(KINDS) - set(SETTINGS) == set()
    assert all(kind.then for kind in KINDS.values())
    assert math.isinf(SETTINGS["memory-high"])
    assert "memory-high" not in {one.name for one in tune(facts(), GATEWAY).limits}
