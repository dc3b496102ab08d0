"""Life tables: births dated by ids, who stays, at which age they leave, bounded by sampling."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from parkwarden.aggregate.life import AGES_S, ANCHORS, TRACKED_PER_SITE, LifeTable


def _census(life: LifeTable, at: float, sites: dict[int, list[int]], highest: int = 0) -> None:
    slots = np.repeat(np.array(list(sites), np.int32), [len(g) for g in sites.values()])
    life.update(at, slots, np.array([g for ids in sites.values() for g in ids], np.int64), highest)


def test_ids_date_births() -> None:
    """Between two censuses ids rise evenly: an id half-way was born half-way, also of a goroutine never seen before."""
    life = LifeTable(start_time=0.0)
    _census(life, 100.0, {0: [1]}, 1000)
    _census(life, 200.0, {0: [1, 1500]}, 2000)
    here = life.present(0)
    assert here.born.tolist() == [0.1, 150.0]
    assert here.since.tolist() == [0.1, 150.0]


def test_one_that_wandered_in_is_here_since_the_last_census() -> None:
    """An old goroutine new at a site came at the last census at the earliest."""
    life = LifeTable(start_time=0.0)
    _census(life, 100.0, {0: [1, 2]}, 1000)
    _census(life, 200.0, {0: [1], 1: [2]}, 1000)
    assert life.present(1).since.tolist() == [100.0]


def test_leavers_are_counted_at_the_age_they_were_last_seen() -> None:
    """Died or wandered off: both left the site, in the class of their age at the last census that saw them."""
    life = LifeTable(start_time=0.0)
    _census(life, 1000.0, {0: [1]}, 100)
    _census(life, 1100.0, {0: [1, 150]}, 200)
    _census(life, 1200.0, {0: [1, 150]}, 300)
    _census(life, 1300.0, {0: [1]}, 400)
    age = 1200.0 - 1050.0
    expected = [0.0] * (len(AGES_S) + 1)
    expected[sum(age >= edge for edge in AGES_S)] = 1.0
    assert life.left[0].tolist() == expected


def test_a_new_life_forgets_who_but_not_how_long() -> None:
    """After a restart nobody is there; the ages at which they used to leave are still known."""
    life = LifeTable(start_time=0.0)
    _census(life, 1000.0, {0: [1, 2, 3]}, 100)
    _census(life, 2000.0, {0: [1]}, 100)
    life.new_life(3000.0)
    assert life.left[0].sum() == 2.0
    assert life.stood[0, :8].tolist() == [3.0] * 8  # three were there when they were ten minutes old
    assert len(life.present(0).goid) == 0
    assert life.censuses == 0


def test_a_crowd_is_sampled_alike_in_every_census() -> None:
    """Above the limit one in 2^n is followed, the same ones each time, and none of them seems to come or go."""
    life = LifeTable(start_time=0.0)
    ids = list(range(10, 5010))
    for k in range(4):
        _census(life, 100.0 * (k + 1), {0: ids}, 6000)
    here = life.present(0)
    assert len(here.goid) <= TRACKED_PER_SITE
    assert 0.7 * len(ids) < len(here.goid) * here.scale < 1.4 * len(ids)
    assert life.left.sum() == 0


def test_memory_of_times_is_bounded_and_reaches_back() -> None:
    """After a thousand censuses the first is still dated, with ANCHORS pairs at most."""
    life = LifeTable(start_time=0.0)
    for k in range(1000):
        _census(life, 300.0 * (k + 1), {0: [1]}, 100 * (k + 1))
    assert len(life._anchor_at) <= ANCHORS
    assert life._anchor_at[0] == 0.0
    assert life.nbytes < 4096


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.dictionaries(st.integers(0, 4), st.lists(st.integers(0, 400), max_size=30, unique=True)), max_size=6)
)
def test_whatever_is_told_it_adds_up(looks: list[dict[int, list[int]]]) -> None:
    """Those present are those of the last census, whatever came before; columns stay parallel and sorted by id."""
    life = LifeTable()
    clean: list[dict[int, list[int]]] = []
    for look in looks:
        seen: set[int] = set()
        clean.append({s: [g for g in ids if not (g in seen or seen.add(g))] for s, ids in look.items()})  # type: ignore[func-returns-value]
    for k, look in enumerate(clean):
        _census(life, 60.0 * (k + 1), look, 0)
    if clean:
        for slot, ids in clean[-1].items():
            assert life.present(slot).goid.tolist() == sorted(ids)
    everybody = life.everybody()
    assert len(everybody.slot) == len(everybody.since) == len(everybody.arrived) == len(everybody.worked)
    assert (life.left >= 0).all()
