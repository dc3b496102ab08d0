"""What pictures need beside the engine: means over hours in bounded columns, restarts, two threshold sets with since when."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.aggregate.windows import Windows
from parkwarden.model import Gone, Instance, Named, Read, Reading, SiteCounts, Started
from parkwarden.run.board.kept import FIELDS, STALE_S, Kept, Past
from parkwarden.run.engine import Engine
from tests.run.board.build import BEGIN, LEAK


def told(past: Past, windows: Windows, at: float, **numbers: int) -> None:
    for name, n in numbers.items():
        windows.read(name, at, Reading(at=at, goroutines=n, heap_inuse=2 * n))
    past.heed(windows, at)


@given(st.lists(st.floats(1.0, 400.0), min_size=1, max_size=60), st.sampled_from([40.0, math.inf]), st.floats(0, 1e6))
def test_a_picture_is_bounded_and_every_mean_is_of_what_was_told(
    gaps: list[float], longest_s: float, begin: float
) -> None:
    """However time goes: never more than the steps there are, times rise on the grid of the step, and no mean is outside the values told."""
    past, windows, at = Past(longest_s, step_s=5.0, steps=8), Windows(), begin
    for gap in gaps:
        at += gap
        told(past, windows, at, a=int(at))
    times, means = past.series(["a"])
    assert len(times) <= 8
    assert (np.diff(times) > 0).all()
    assert not np.fmod(times, past.step_s).any()
    known = means[0, 0][~np.isnan(means[0, 0])]
    assert len(known)
    assert ((known >= int(begin)) & (known <= at + 1)).all()
    assert math.isinf(longest_s) or past.step_s <= longest_s


def test_two_steps_become_one_weighted_by_their_looks() -> None:
    """A step of three looks counts three times as much as one of a single look; the first step's time is kept."""
    past, windows = Past(math.inf, step_s=10.0, steps=4), Windows()
    for at, n in ((0.0, 10), (3.0, 20), (6.0, 30), (10.0, 60), (20.0, 5), (30.0, 7), (40.0, 9)):
        told(past, windows, at, a=n)
    times, means = past.series(["a"])
    assert past.step_s == 20.0
    assert times.tolist() == [0.0, 20.0, 40.0]
    assert means[0, 0].tolist() == [30.0, 6.0, 9.0]
    assert means[FIELDS.index("heap_inuse"), 0].tolist() == [60.0, 12.0, 18.0]


def test_who_is_silent_leaves_a_gap() -> None:
    """A number stands for STALE_S; then nothing is drawn until it is heard of again. Unknown instances are told nothing of."""
    past, windows = Past(step_s=10.0, steps=60), Windows()
    for k in range(40):
        told(past, windows, 10.0 * k, other=1, **({"a": 5} if k < 5 or k > 30 else {}))
    times, means = past.series(["a", "nobody"])
    there = times[~np.isnan(means[0, 0])]
    silent = np.diff(there).max()
    assert STALE_S < 310.0 - 40.0
    assert 310.0 - 40.0 - 2 * STALE_S - 10.0 <= silent <= 310.0 - 40.0
    assert np.isnan(means[:, 1]).all()


def test_a_row_forgets_who_lived_in_it() -> None:
    """A slot that is given to another instance begins without a past."""
    past, windows = Past(step_s=10.0, steps=6), Windows()
    told(past, windows, 0.0, a=5)
    windows.gone("a")
    told(past, windows, 10.0, b=7)
    assert windows.slots == {"b": 0}
    assert past.series(["b"])[1][0, 0, 0] != 5
    assert np.isnan(past.series(["a"])[1]).all()


def test_a_clock_set_back_begins_anew() -> None:
    """What stands at later times is no past of what comes."""
    past, windows = Past(step_s=10.0, steps=6), Windows()
    told(past, windows, 1_000.0, a=5)
    past.heed(windows, 500.0)
    assert past.series(["a"])[0].tolist() == [500.0]


def fed(kept: Kept, engine: Engine, at: float, n: int) -> None:
    engine.feed(SiteCounts(at, "i", {LEAK.id: n}))
    engine.tick(at)
    kept.heed(engine, at)


def test_each_set_fires_from_its_own_look_on() -> None:
    """B (50 in 70 % of ten looks) fires at the look that makes it seven of ten, A (80 in 50 %) later, and each keeps its since until it ends."""
    kept, engine = Kept(), Engine()
    engine.feed(Named(LEAK))
    engine.feed(Started(Instance(id="i", labels={"service": "s"}), BEGIN))
    counts = [10] * 6 + [60] * 7 + [90] * 5
    for k, n in enumerate(counts):
        fed(kept, engine, BEGIN + 60.0 * k, n)
    since = {name: kept.sets.firing(name, ["i"]).get(LEAK.id, {}).get("i") for name in ("A", "B")}
    assert since == {"B": BEGIN + 60.0 * 12, "A": BEGIN + 60.0 * 17}
    fed(kept, engine, BEGIN + 60.0 * 18, 20)
    assert kept.sets.firing("A", ["i"]) == kept.sets.firing("B", ["i"]) == {}


def test_sets_forget_who_is_gone() -> None:
    """An instance that is no target any more fires under no set, and nothing of it is held."""
    kept, engine = Kept(), Engine()
    engine.feed(Started(Instance(id="i", labels={"service": "s"}), BEGIN))
    for k in range(12):
        fed(kept, engine, BEGIN + 60.0 * k, 90)
    assert kept.sets.firing("A", ["i"])
    engine.feed(Gone(BEGIN + 800.0, "i"))
    kept.heed(engine, BEGIN + 800.0)
    assert kept.sets.firing("A", ["i"]) == {}


@pytest.mark.parametrize("tells_start", [True, False])
def test_a_restart_is_remembered_when_it_was(tells_start: bool) -> None:
    """A new start time is when it restarted; where only the allocation total fell, it is when that was seen."""
    kept, engine = Kept(), Engine()
    start = BEGIN - 100.0 if tells_start else None
    engine.feed(Started(Instance(id="i", labels={"service": "s"}, start_time=start), BEGIN))
    for at, total in ((BEGIN, 100), (BEGIN + 5, 200)):
        engine.feed(Read(at, "i", Reading(at=at, goroutines=1, total_alloc=total)))
        kept.heed(engine, at)
    assert not kept.restarts
    if tells_start:
        engine.feed(Started(Instance(id="i", labels={"service": "s"}, start_time=BEGIN + 7), BEGIN + 10))
    engine.feed(Read(BEGIN + 10, "i", Reading(at=BEGIN + 10, goroutines=1, total_alloc=5)))
    kept.heed(engine, BEGIN + 10)
    kept.heed(engine, BEGIN + 15)
    assert [(one.at, one.instance) for one in kept.restarts] == [(BEGIN + (7 if tells_start else 10), "i")]
