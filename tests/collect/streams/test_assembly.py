"""Points become readings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parkwarden.collect.streams.assembly import LINGER_S, SAME_S
from tests.collect.streams.world import NOON, World, instance


def world() -> World:
    made = World()
    made.roll.seen("otlp", instance())
    return made


def test_pieces_of_one_time_are_one_reading() -> None:
    """Whole numbers become whole, request totals of several series are added, what is no field or no number is counted."""
    w = world()
    w.assembly.tell("a:1", NOON - 5, {"goroutines": 12.0, "requests_total": 3.0})
    w.assembly.tell(
        "a:1", NOON - 5 + SAME_S / 2, {"cpu_s": 1.5, "requests_total": 4.0, "heap_inuse": -1.0, "beauty": 1.0}
    )
    w.assembly.tell("a:1", NOON, {"goroutines": float("inf")})
    assert [vars(r) for r in w.readings()] == [{"goroutines": 12, "requests_total": 7, "cpu_s": 1.5, "at": NOON - 5}]
    w.assembly.flush(everything=True)
    assert len(w.readings()) == 1
    assert w.points == {"taken": 3, "unusable": 3}


def test_a_reading_waits_for_its_pieces_but_not_for_ever() -> None:
    """It is handed over LINGER_S after its first piece; a piece that comes then is late."""
    w = world()
    w.assembly.tell("a:1", NOON, {"goroutines": 12.0})
    w.assembly.flush()
    assert w.readings() == []
    w.now += LINGER_S
    w.assembly.flush()
    assert len(w.readings()) == 1
    w.assembly.tell("a:1", NOON, {"open_fds": 3.0})
    w.assembly.tell("a:1", NOON + 5, {"open_fds": 3.0})
    w.assembly.tell("a:1", NOON + 1, {"open_fds": 3.0})
    assert w.points["late"] == 2


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["goroutines", "open_fds", "cpu_s"])), max_size=40))
def test_nothing_is_lost_or_told_twice(pieces: list[tuple[int, str]]) -> None:
    """Whatever the order: each value is taken, late, or overwritten by another of the same time; readings rise in time."""
    w = world()
    for step, name in pieces:
        w.assembly.tell("a:1", NOON - 100 + step, {name: 1.0})
    w.assembly.flush(everything=True)
    times = [r.at for r in w.readings()]
    assert times == sorted(set(times))  # type: ignore[type-var]
    told = sum(len(vars(r)) - 1 for r in w.readings())
    assert told == w.points["taken"]
    assert told + w.points["late"] <= len(pieces)
    assert bool(told) == bool(pieces)
