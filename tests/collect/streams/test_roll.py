"""Who streams tell of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parkwarden.collect.streams import roll as roll_module
from parkwarden.collect.streams.roll import FORGET_S, MAX_AHEAD_S
from parkwarden.model import Gone, Read, Reading, Started
from tests.collect.streams.world import NOON, World, instance


def test_an_instance_is_announced_once_and_again_when_it_changed() -> None:
    """Labels told again and again are no news; a new version is, and keeps the start time that was known."""
    world = World()
    first = instance(version="1")
    assert world.roll.seen("otlp", first)
    assert world.roll.seen("otlp", instance(version="1"))
    assert world.events == [Started(first, NOON)]
    world.roll.read(first.id, NOON, Reading(goroutines=3, start_time=NOON - 60))
    assert world.roll.seen("otlp", instance(version="2"))
    last = world.events[-1]
    assert isinstance(last, Started)
    assert (last.instance.version, last.instance.start_time) == ("2", NOON - 60)


def test_a_new_one_is_announced_in_its_life() -> None:
    """A stream that knows the start time only from the reading says so at once: one announcement, not two; later words do not take it away."""
    world = World()
    who = instance()
    for step in range(2):
        assert world.roll.seen("prometheus[0]", who, NOON - 60)
        assert world.roll.read("a:1", NOON - 10 + step, Reading(goroutines=3, start_time=NOON - 60))
    assert world.roll.seen("prometheus[0]", instance(), NOON - 60)
    assert [e.instance.start_time for e in world.events if isinstance(e, Started)] == [NOON - 60]


def test_who_told_first_goes_on_telling() -> None:
    """Two streams about one instance would mix two clocks in one window; a direct target goes before all."""
    world = World()
    assert world.roll.seen("otlp", instance())
    assert not world.roll.seen("remote-write", instance())
    world.direct.add("a:1")
    assert not world.roll.seen("otlp", instance())
    assert "a:1" not in world.roll
    assert world.forgotten == [("otlp", "a:1")]  # what its stream kept of it would stay for ever
    assert world.roll.refused == {"other-stream": 1, "direct-target": 1}


def test_who_was_known_before_our_restart_belongs_to_the_first_that_tells() -> None:
    """Windows come back from the journal; which stream they are from is not written there."""
    world = World()
    world.roll.resumed(instance())
    assert world.roll.seen("skywalking", instance())
    assert world.roll.stream_of("a:1") == "skywalking"
    assert world.events == []


def test_times_are_the_senders_but_not_of_the_future() -> None:
    """A sender that lags fills windows in order; one that leads is believed to our now; out of order or far ahead is refused."""
    world = World()
    world.roll.seen("otlp", instance())
    assert world.roll.read("a:1", NOON - 300, Reading(goroutines=1))
    assert world.roll.read("a:1", NOON + MAX_AHEAD_S, Reading(goroutines=2))
    assert not world.roll.read("a:1", NOON - 1, Reading(goroutines=3))
    assert not world.roll.read("a:1", NOON + MAX_AHEAD_S + 1, Reading(goroutines=4))
    assert not world.roll.read("a:1", float("nan"), Reading(goroutines=5))
    assert not world.roll.read("b:1", NOON, Reading(goroutines=6))
    assert [(e.at, e.reading.goroutines) for e in world.events if isinstance(e, Read)] == [(NOON - 300, 1), (NOON, 2)]
    assert world.roll.refused == {"not-newer": 1, "in-the-future": 2, "unknown-instance": 1}


def test_a_restart_is_a_new_life() -> None:
    """Another start time, or a total that fell where no start time is told."""
    world = World()
    world.roll.seen("otlp", instance())
    for at, reading in (
        (NOON - 30, Reading(goroutines=9, start_time=NOON - 100, num_gc=5)),
        (NOON - 20, Reading(goroutines=2, start_time=NOON - 25, num_gc=1)),
        (NOON - 10, Reading(goroutines=2, num_gc=0)),
    ):
        assert world.roll.read("a:1", at, reading)
    lives = [e.instance.start_time for e in world.events if isinstance(e, Started)]
    assert lives == [None, NOON - 100, NOON - 25, NOON - 10]
    assert world.roll.restarts == 2


def test_the_silent_are_forgotten_and_the_stream_hears_of_it() -> None:
    """After FORGET_S without a word, by our clock."""
    world = World()
    world.roll.seen("otlp", instance())
    world.roll.read("a:1", NOON - 3000, Reading(goroutines=1))
    world.now += FORGET_S
    world.roll.tidy()
    assert "a:1" in world.roll
    world.now += 1
    world.roll.tidy()
    assert world.events[-1] == Gone(world.now, "a:1")
    assert world.forgotten == [("otlp", "a:1")]
    assert len(world.roll) == 0


def test_a_sign_of_life_keeps_an_instance_though_it_tells_no_numbers() -> None:
    """SkyWalking's agents say that they are there; who is not known is no reason for anything."""
    world = World()
    world.roll.seen("skywalking", instance())
    world.now += FORGET_S
    world.roll.hear("a:1")
    world.roll.hear("b:1")
    world.now += FORGET_S
    world.roll.tidy()
    assert [one.id for one in world.roll] == ["a:1"]


def test_room_is_asked_for_those_who_are_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is known needs none, and nobody beyond what is taken gets any."""
    monkeypatch.setattr(roll_module, "MAX_INSTANCES", 3)
    world = World()
    world.roll.seen("otlp", instance("a:1"))
    world.roll.expect([instance("a:1")])
    world.roll.expect([instance(f"{name}:1") for name in "abcdef"])
    assert world.room == [2]


def test_a_flood_of_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may send can make up instances: beyond the limit they are refused and counted, and who is known goes on."""
    monkeypatch.setattr(roll_module, "MAX_INSTANCES", 2)
    world = World()
    assert [world.roll.seen("otlp", instance(f"{n}")) for n in range(4)] == [True, True, False, False]
    assert world.roll.seen("otlp", instance("1"))
    assert world.roll.refused == {"too-many-instances": 2}


def test_who_restarted_while_we_were_away_begins_a_new_life() -> None:
    """Known from before a restart of ours: the same start time goes on, another one is another life, told before its first reading."""
    for start, lives in ((100.4, 0), (900.0, 1)):
        w = World()
        w.roll.resumed(replace(instance(), start_time=100.0))
        assert w.roll.seen("prometheus[0]", instance())
        assert w.roll.read("a:1", NOON, Reading(goroutines=3, start_time=start))
        started = [e for e in w.events if isinstance(e, Started)]
        assert [e.instance.start_time for e in started] == [900.0] * lives
        assert isinstance(w.events[-1], Read)
