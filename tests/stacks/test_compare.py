"""Snapshots in time: who stayed, came and left, and how fast goroutines are born."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.model import Frame, Snapshot, Source, Stack, make_snapshot
from parkwarden.stacks.compare import compare, spawn_rate_per_min

STACKS = [
    Stack((Frame(f"main.park{i}", "/a/a.go", 50 * i + 1), Frame(f"main.root{i}", "/a/a.go", 9))) for i in range(3)
]


def _look(at: float | None, **sites: list[int]) -> Snapshot:
    """`_look(60.0, s0=[ids...], s2=[ids...])`."""
    rows = [(int(name[1:]), goid) for name, ids in sites.items() for goid in ids]
    return make_snapshot(Source.CENSUS, STACKS, [row[0] for row in rows], goid=[row[1] for row in rows], taken_at=at)


def test_stayed_came_left_and_births() -> None:
    """Ids tell survivors from newcomers, per site; births are ids above the highest of the look before."""
    looks = [_look(0.0, s0=[1, 2, 3], s1=[4]), _look(60.0, s0=[2, 3, 10, 11], s1=[4])]
    leak, pool = compare(looks)
    assert (leak.counts, leak.delta, leak.growth_per_min) == ((3, 4), 1, 1.0)
    assert (leak.stayed, leak.came, leak.left) == (2, 2, 1)
    assert (leak.born, leak.died) == (2, 1)
    assert (leak.stayed_goids, leak.came_goids, leak.left_goids) == ((2, 3), (10, 11), (1,))
    assert leak.births_per_min == 2.0
    assert (pool.stayed, pool.came, pool.left, pool.births_per_min) == (1, 0, 0, 0.0)
    assert spawn_rate_per_min(looks) == 7.0


def test_a_goroutine_that_went_elsewhere_left_its_site() -> None:
    """A pool's worker that waits elsewhere now has not stayed stuck: it left one site and came to the other."""
    changes = {c.cluster.site.function: c for c in compare([_look(0.0, s0=[1]), _look(60.0, s1=[1])])}
    assert (changes["main.park0"].stayed, changes["main.park0"].left, changes["main.park0"].delta) == (0, 1, -1)
    assert (changes["main.park1"].stayed, changes["main.park1"].came) == (0, 1)
    assert [changes[f"main.park{i}"].born for i in (0, 1)] == [changes[f"main.park{i}"].died for i in (0, 1)] == [0, 0]
    assert changes["main.park1"].births_per_min == 0.0  # born earlier


def test_profiles_compare_by_count_only() -> None:
    """Without ids nobody can be followed: None, not 0."""
    looks = [make_snapshot(Source.PROFILE, STACKS, [0], count=[n]) for n in (5, 8)]
    (change,) = compare(looks, [0.0, 120.0])
    assert (change.delta, change.growth_per_min, change.since) == (3, 1.5, 0.0)
    assert (change.stayed, change.came, change.left, change.births_per_min) == (None, None, None, None)
    assert spawn_rate_per_min(looks, [0.0, 120.0]) is None


def test_unknown_times_give_no_rates() -> None:
    """Order alone tells deltas and survivors, not rates."""
    (change,) = compare([_look(None, s0=[1]), _look(None, s0=[1, 2])])
    assert (change.delta, change.stayed, change.growth_per_min, change.births_per_min) == (1, 1, None, None)
    assert spawn_rate_per_min([_look(None, s0=[1]), _look(None, s0=[1, 2])]) is None


def test_fastest_growth_first() -> None:
    """What grows leads, however small; what shrinks is last."""
    looks = [
        _look(0.0, s0=list(range(1, 40)), s1=[50], s2=[60, 61]),
        _look(60.0, s0=list(range(1, 40)), s1=[50, 70, 71], s2=[]),
    ]
    assert [c.cluster.site.function for c in compare(looks)] == ["main.park1", "main.park0", "main.park2"]


def test_one_snapshot_or_none() -> None:
    """One look has no change; none gives nothing; times must match."""
    (change,) = compare([_look(0.0, s0=[1])])
    assert (change.delta, change.stayed, change.since) == (0, None, None)
    assert compare([]) == []
    with pytest.raises(ValueError, match="one time"):
        compare([_look(0.0, s0=[1])], [])


IDS = st.dictionaries(st.integers(1, 60), st.integers(0, 2), max_size=30)


@given(IDS, IDS)
def test_moves_agree_with_sets(before: dict[int, int], after: dict[int, int]) -> None:
    """Stayed, came and left are what set arithmetic over (id, site) says."""
    looks = [
        _look(at, **{f"s{s}": [g for g, of in ids.items() if of == s] for s in range(3)})
        for at, ids in ((0.0, before), (30.0, after))
    ]
    for change in compare(looks):
        s = int(change.cluster.site.function[-1])
        first, last = ({g for g, of in ids.items() if of == s} for ids in (before, after))
        assert change.counts == (len(first), len(last))
        if before and after:
            assert (change.stayed, change.came, change.left) == (
                len(first & last),
                len(last - first),
                len(first - last),
            )
            assert change.cluster.stayed == len(first & last)
