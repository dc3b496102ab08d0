"""Proposals: together they hold every rule, whatever was in force."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from parkwarden.judge.limits import (
    GATEWAY,
    PRESETS,
    STREAMING,
    Facts,
    Look,
    Profile,
    Severity,
    What,
    custom,
    needs,
    proposed_server,
    tune,
)
from parkwarden.judge.limits.facts import SETTINGS
from parkwarden.judge.limits.proposals import TIMEOUTS, propose
from parkwarden.judge.limits.rules import breaches
from tests.judge.limits.told import GIB, NOW, facts


def values(told: Facts, profile: Profile = GATEWAY) -> dict[str, float]:
    return {one.name: one.value for one in tune(told, profile).proposals}


def test_the_presets_are_proposed_as_they_are() -> None:
    """Where they hold the load the map's numbers come out: process limit, SetMaxThreads, timeouts."""
    gateway, streaming = values(facts()), values(facts(), STREAMING)
    assert [gateway[n] for n in ("process-limit", "go-max-threads", *TIMEOUTS)] == [2048, 1536, 10, 30, 30, 30]
    assert [streaming[n] for n in ("process-limit", "go-max-threads", *TIMEOUTS)] == [4096, 3072, 10, 0, 0, 15]


def test_what_is_enough_is_kept() -> None:
    """Limits that hold the load and fit together are left as they are."""
    told = tune(facts(load=500), GATEWAY)
    assert [one.name for one in told.proposals if one.changes] == []


def test_the_load_sets_descriptors_and_memory() -> None:
    """10,000 requests of two descriptors and a quarter of room; memory grows with them, GOMEMLIMIT is 90 % of it."""
    wanted = values(facts({"fd-limit": 1024, "memory-limit": GIB}, load=10_000))
    assert wanted["fd-limit"] == 32_768
    assert wanted["memory-limit"] > 10 * GIB
    assert 0.89 < wanted["gomemlimit"] / wanted["memory-limit"] <= 0.9


def test_threads_that_the_load_takes_raise_the_profile() -> None:
    """A service whose requests each hold a thread gets more than the preset, and the reason says so."""
    told = facts(load=4000, now={"threads": 107, "user_threads": 115, "group_threads": 107})
    found = {one.name: one for one in tune(told, GATEWAY).proposals}
    assert found["go-max-threads"].value > 4000
    assert found["process-limit"].value >= found["go-max-threads"].value / 0.75
    assert "raised from the profile's 1,536" in found["go-max-threads"].why


def test_callers_that_keep_connections_longer_move_the_idle_timeout() -> None:
    """The server must be the later one to close: a balancer's 60 s make 65 s."""
    assert proposed_server(GATEWAY, 60.0).idle_s == 65.0
    assert proposed_server(GATEWAY, None).idle_s == 30.0
    assert proposed_server(GATEWAY, 10.0).idle_s == 30.0


def test_gogc_off_is_kept_only_where_it_holds() -> None:
    """GOGC=off with a GOMEMLIMIT is somebody's decision; without one it is put back."""
    assert math.isinf(values(facts({"gogc": math.inf}))["gogc"])
    assert values(facts({"gogc": math.inf, "gomemlimit": math.inf}))["gogc"] == 100


def maybe(low: float, high: float) -> st.SearchStrategy[float | None]:
    return st.one_of(st.none(), st.just(math.inf), st.integers(int(low), int(high)).map(float))


anything = st.fixed_dictionaries(
    {
        "process-limit": maybe(10, 200_000),
        "pids-limit": maybe(10, 200_000),
        "threads-system": st.none(),
        "go-max-threads": maybe(10, 100_000),
        "fd-limit": maybe(20, 1 << 20),
        "fd-limit-hard": st.none(),
        "memory-limit": maybe(1 << 20, 1 << 40),
        "gomemlimit": maybe(1 << 20, 1 << 40),
        "address-space": maybe(1 << 30, 1 << 40),
        "gogc": maybe(1, 1000),
        "cpus": maybe(1, 128),
        "gomaxprocs": maybe(1, 256),
    }
)
use = st.fixed_dictionaries(
    {
        "descriptors": st.one_of(st.none(), st.integers(3, 100_000)),
        "threads": st.one_of(st.none(), st.integers(1, 20_000)),
        "memory": st.one_of(st.none(), st.integers(1 << 20, 1 << 36)),
        "heap": st.one_of(st.none(), st.integers(1 << 20, 1 << 36)),
        "requests": st.one_of(st.none(), st.integers(0, 20_000)),
    }
)
profiles = st.one_of(
    st.sampled_from([*PRESETS.values()]), st.integers(4, 100_000).map(lambda n: custom(process_limit=n))
)


@settings(max_examples=100, deadline=None)
@given(
    anything,
    use,
    profiles,
    st.one_of(st.none(), st.integers(1, 100_000)),
    st.sampled_from([(1, 21), (1, 27)]),
    st.integers(0, 5000),
)
def test_proposals_put_in_force_hold_every_rule(
    told: dict[str, float | None],
    used: dict[str, int | None],
    profile: Profile,
    load: int | None,
    go: tuple[int, int],
    others: int,
) -> None:
    """Whatever was in force and in use: with all proposed values no rule breaks and none is at risk."""
    threads = used["threads"] or 1
    now = replace(NOW, **used, user_threads=threads + others, group_threads=threads, next_gc=None)
    given_facts = facts(told, looks=(now,), load=load, go=go)
    found = needs(given_facts.looks, profile, 2)
    proposals = propose(given_facts, profile, found)
    proposed = {one.name: one.value for one in proposals if one.name in SETTINGS}
    after = given_facts.with_values(proposed, servers=(proposed_server(profile, None),))
    left = [
        one for one in breaches(after, profile, found) if one.severity is not Severity.NOTE and one.rule != "user-wide"
    ]
    assert left == []


def test_of_nothing_told_the_profile_is_proposed() -> None:
    """A remote page that tells nothing gets the profile's numbers and an assumption, and no memory."""
    found = {one.name: one for one in propose(Facts(settings={}, looks=(Look(at=0.0),)), GATEWAY, {})}
    assert (found["process-limit"].value, found["go-max-threads"].value) == (2048, 1536)
    assert "memory-limit" not in found
    assert "assumed" in found["fd-limit"].why
    assert What.MEMORY not in needs((Look(at=0.0),), GATEWAY, None)
