"""Points become readings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parkwarden.collect.streams.assembly import LINGER_S, SAME_S, Assembly
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


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["goroutines", "open_fds", "cpu_s"])), max_size=40, unique=True
    )
)
def test_shards_may_be_apart(pieces: list[tuple[int, str]]) -> None:
    """Where several times are open at once, pieces of four readings may come in any order: nothing is late, each is told once, in order."""
    w = World()
    w.roll.seen("remote-write", instance())
    assembly = Assembly(w.roll, w.points, lambda: w.now, linger_s=6.0, times=4)
    for step, name in pieces:
        assembly.tell("a:1", NOON - 100 + 5 * step, {name: 1.0})
    w.now += 5.9
    assembly.flush()
    assert w.readings() == []
    w.now += 0.2
    assembly.flush()
    assert w.points["late"] == 0
    told = [(int(r.at - NOON + 100) // 5, name) for r in w.readings() for name in vars(r) if name != "at" and r.at]
    assert sorted(told) == sorted(pieces)
    assert [step for step, _ in told] == sorted(step for step, _ in told)


def test_what_lingers_can_be_handed_over_in_turns() -> None:
    """A fleet that reports at the full minute is not handed over in one go, if that is asked for."""
    world = World()
    for n in range(5):
        world.roll.seen("otlp", instance(f"a:{n}"))
        world.assembly.tell(f"a:{n}", NOON, {"goroutines": n})
    world.now += LINGER_S
    turns = 0
    while world.assembly.flush(most=2):
        turns += 1
    assert turns == 2
    assert len(world.readings()) == 5
