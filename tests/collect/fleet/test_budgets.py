"""budgets: what is refused, until when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parkwarden.collect.fleet.budgets import HOUR_S, WAIT, Budgets
from parkwarden.collect.fleet.prices import Look
from parkwarden.collect.fleet.settings import CollectSettings

SETTINGS = CollectSettings(
    captures_at_once=3, dear_per_instance_hour=2, dear_per_service_hour=3, close_per_service=2, stall_s_per_hour=1.0
)


def look(
    budgets: Budgets, now: float, instance: str, kind: Look = Look.LEAK, price: float = 0.01, service: str = "s"
) -> str:
    """Take a look at once, from begin to end; the refusal if there is one."""
    reason = budgets.refusal(now, instance, service, kind, price)
    if not reason:
        budgets.began(now, instance, service, kind, price)
        budgets.ended(instance, service, kind)
    return reason


def test_one_look_per_instance_and_so_many_over_the_fleet() -> None:
    """What is busy is a reason to wait, not to give up."""
    budgets = Budgets(SETTINGS)
    for instance in "abc":
        assert budgets.refusal(0, instance, instance, Look.PROFILE, 0.0) == ""
        budgets.began(0, instance, instance, Look.PROFILE, 0.0)
    assert budgets.refusal(0, "a", "a", Look.PROFILE, 0.0) == "instance-busy"
    assert budgets.refusal(0, "d", "d", Look.PROFILE, 0.0) == "fleet-busy"
    assert {"instance-busy", "fleet-busy", "service-busy", "fleet-budget"} == WAIT
    budgets.ended("a", "a", Look.PROFILE)
    assert budgets.refusal(0, "d", "d", Look.PROFILE, 0.0) == ""


def test_beats_leave_places_to_suspicions() -> None:
    """A quarter of the places is not for beats, however many of them hang."""
    budgets = Budgets(replace(SETTINGS, captures_at_once=8))
    for i in range(6):
        assert budgets.refusal(0, f"i{i}", "s", Look.PROFILE, 0.0, on_beat=True) == ""
        budgets.began(0, f"i{i}", "s", Look.PROFILE, 0.0)
    assert budgets.refusal(0, "x", "s", Look.PROFILE, 0.0, on_beat=True) == "fleet-busy"
    assert budgets.refusal(0, "x", "s", Look.PROFILE, 0.0) == ""


def test_what_comes_on_beat_is_not_dear() -> None:
    """Text dumps of small processes on beat leave the dear looks to suspicions; their stall is paid all the same."""
    budgets = Budgets(SETTINGS)
    for now in range(10):
        assert budgets.refusal(now, "a", "s", Look.DUMP, 0.01, on_beat=True) == ""
        budgets.began(now, "a", "s", Look.DUMP, 0.01, on_beat=True)
        budgets.ended("a", "s", Look.DUMP, on_beat=True)
    assert budgets.stall_s_hour(10, "a") == pytest.approx(0.1)
    assert look(budgets, 10, "a", Look.DUMP) == ""


def test_one_dear_look_at_a_time_among_replicas() -> None:
    """Cheap ones go on beside it."""
    budgets = Budgets(SETTINGS)
    budgets.began(0, "a", "s", Look.LEAK, 0.01)
    assert budgets.refusal(0, "b", "s", Look.DUMP, 0.01) == "service-busy"
    assert budgets.refusal(0, "b", "s", Look.CENSUS, 0.01) == ""
    budgets.ended("a", "s", Look.LEAK)
    assert budgets.refusal(0, "b", "s", Look.DUMP, 0.01) == ""


def test_dear_looks_per_hour() -> None:
    """So many per instance, so many per service; an hour later again."""
    budgets = Budgets(SETTINGS)
    assert [look(budgets, 0, "a"), look(budgets, 10, "a"), look(budgets, 20, "a")] == ["", "", "instance-budget"]
    assert [look(budgets, 30, "b"), look(budgets, 40, "b")] == ["", "service-budget"]
    assert look(budgets, 50, "b", Look.CENSUS) == ""
    assert look(budgets, 3601, "a") == ""


def test_stall_per_hour() -> None:
    """A look that would pass the instance's stall budget is refused, a cheaper one is not."""
    budgets = Budgets(SETTINGS)
    assert look(budgets, 0, "a", Look.PROFILE, 0.9) == ""
    assert look(budgets, 1, "a", Look.PROFILE, 0.2) == "stall-budget"
    assert look(budgets, 2, "a", Look.PROFILE, 0.05) == ""
    assert budgets.stall_s_hour(3, "a") == pytest.approx(0.95)
    assert budgets.stall_s_hour(3700, "a") == 0.0


def test_close_watch_of_few_replicas() -> None:
    """Two of them at once; one that is watched already goes on, another may when one is through."""
    budgets = Budgets(replace(SETTINGS, close_watch_s=60))
    assert budgets.close_watch(0, "a", "s")
    assert budgets.close_watch(10, "b", "s")
    assert not budgets.close_watch(20, "c", "s")
    assert budgets.close_watch(20, "a", "s")
    assert budgets.close_watch(20, "x", "other")
    assert budgets.close_watch(75, "c", "s")


def test_what_is_gone_leaves_nothing() -> None:
    """Instances and services that come and go do not pile up: an hour after their last look nothing is known of them."""
    budgets = Budgets(SETTINGS)
    for i in range(100):
        look(budgets, i, f"i{i}", service=f"s{i}")
        assert budgets.close_watch(i, f"i{i}", f"s{i}")
    budgets.tidy(100 + HOUR_S)
    assert (budgets._stall, budgets._dear, budgets._services, budgets._busy) == ({}, {}, {}, set())


def test_going_and_coming_back_is_no_way_round_a_budget() -> None:
    """A discovery that drops and finds a target at every refresh does not have it looked at anew each time."""
    budgets = Budgets(replace(SETTINGS, dear_per_instance_hour=2))
    taken = 0
    for i in range(50):
        taken += look(budgets, i * 10.0, "a", Look.DUMP) == ""
        budgets.tidy(i * 10.0 + 5)
    assert taken == 2


def test_a_storm_of_suspicions_is_no_storm_of_looks() -> None:
    """Over the whole fleet only so many dear looks begin in a minute; the next one waits, cheap ones do not."""
    budgets = Budgets(replace(SETTINGS, dear_per_minute=2))
    assert [look(budgets, float(n), f"i{n}", service=f"s{n}") for n in range(2)] == ["", ""]
    assert look(budgets, 59.0, "i9", service="s9") == "fleet-budget"
    assert look(budgets, 59.0, "i9", Look.PROFILE, service="s9") == ""
    assert look(budgets, 61.0, "i9", service="s9") == ""
