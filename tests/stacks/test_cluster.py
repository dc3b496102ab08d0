"""Clusters: counts, merging, and everything told about them, against slow and plain counting."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from parkwarden.model import Frame, Mark, Snapshot, Source, Stack, make_snapshot
from parkwarden.stacks.cluster import MAX_LEADERS, SAMPLE_GOIDS, clusters, count_pairs
from parkwarden.stacks.normalise import site_of

MAIN = Frame("main.main", "/a/main.go", 99)


def _chain(leaf: str, line: int = 1, middle: int = 8, odd: str = "") -> Stack:
    """leaf <- m0 <- ... <- main, one of the middle functions replaced by `odd`."""
    frames = [Frame(f"main.m{i}", "/a/m.go", 10 + i) for i in range(middle)]
    if odd:
        frames[middle // 2] = Frame(odd, "/a/odd.go", 5)
    return Stack((Frame(leaf, "/a/leaf.go", line), *frames, MAIN))


def _rows(n: int, of: int) -> np.ndarray:
    return np.arange(n) % of


LEAVES = [_chain(f"main.leaf{i}", 10 * i + 1, middle=2) for i in range(5)]

SNAPSHOTS = st.integers(0, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 4), min_size=n, max_size=n),
        st.lists(st.integers(0, 2), min_size=n, max_size=n),
        st.lists(st.integers(1, 9), min_size=n, max_size=n),
        st.lists(st.integers(0, 5), min_size=n, max_size=n),
        st.lists(st.integers(-1, 7), min_size=n, max_size=n),
        st.permutations(range(1, n + 1)),
        st.lists(st.integers(0, 3), min_size=n, max_size=n),
    )
)
STATES = ["chan receive", "select", ""]


def _snapshot(columns: tuple[list[int], ...]) -> Snapshot:
    stack, state, count, arg0, wait, goid, label = columns
    return make_snapshot(
        Source.DUMP,
        LEAVES,
        stack,
        states=STATES,
        state=state,
        count=count,
        arg0=arg0,
        wait_min=wait,
        goid=goid,
        labels=[{}, {"a": "1"}, {"a": "2"}, {"a": "1", "b": "x"}],
        label=label,
        taken_at=1000.0,
    )


@settings(max_examples=60)
@given(SNAPSHOTS, st.randoms())
def test_columns_agree_with_plain_counting_in_any_row_order(columns: tuple[list[int], ...], rng: object) -> None:
    """Counts sum to the total, and each number is what a loop over the goroutines would find; order does not matter."""
    snapshot = _snapshot(columns)
    found = clusters([snapshot])
    assert sum(c.count for c in found) == snapshot.total
    order = list(range(snapshot.rows))
    rng.shuffle(order)  # type: ignore[attr-defined]
    shuffled = _snapshot(tuple([column[i] for i in order] for column in columns))
    assert clusters([shuffled]) == found
    by_id = {c.site.id: c for c in found}
    rows = list(zip(*columns, strict=True))
    for i, stack in enumerate(LEAVES):
        mine = [row for row in rows if row[0] == i]
        if not mine:
            assert site_of(stack).id not in by_id
            continue
        c = by_id[site_of(stack).id]
        assert c.count == sum(row[2] for row in mine)
        assert abs(c.share - c.count / snapshot.total) < 1e-12
        expected: Counter[str] = Counter()
        labels: Counter[tuple[str, str]] = Counter()
        for row in mine:
            expected[STATES[row[1]]] += row[2]
            labels.update(dict.fromkeys(snapshot.labels[row[6]].items(), row[2]))
        assert c.states == expected
        assert c.labels == labels
        assert c.objects == len({row[3] for row in mine if row[3]})
        assert c.goids == tuple(sorted(row[5] for row in mine)[:SAMPLE_GOIDS])
        told = [row[4] for row in mine if row[4] >= 0]
        if told:
            assert c.wait_min == (min(told) if len(told) == len(mine) else 0, max(told))
        else:
            assert c.wait_min is None
        assert c.mean_depth == 4


def test_order_is_most_first_then_by_id() -> None:
    """The report's order does not depend on the input's."""
    snapshot = make_snapshot(Source.PROFILE, LEAVES, [0, 1, 2, 3], count=[5, 9, 5, 1])
    found = clusters([snapshot])
    assert [c.count for c in found] == [9, 5, 5, 1]
    assert found[1].site.id < found[2].site.id


def test_same_line_and_alike_chain_is_one_cluster() -> None:
    """One helper more or another on a long way does not make another leak."""
    stacks = [_chain("main.leaf"), _chain("main.leaf", odd="main.other")]
    (cluster,) = clusters([make_snapshot(Source.PROFILE, stacks, [0, 1], count=[70, 30])])
    assert cluster.count == 100
    assert cluster.members == tuple(sorted(site_of(s).id for s in stacks))
    assert cluster.site.id == min(cluster.members)  # both hold a quarter of the larger one


def test_two_handlers_that_share_a_helper_stay_apart() -> None:
    """Short chains with another function in the middle have other culprits."""
    serve = Frame("net/http.(*conn).serve", "net/http/server.go", 2000)
    stacks = [
        Stack((Frame("main.wait", "/a/w.go", 3), Frame(name, "/a/h.go", 7), serve))
        for name in ("main.buy", "main.sell")
    ]
    assert len(clusters([make_snapshot(Source.PROFILE, stacks, [0, 1], count=[70, 30])])) == 2


def test_different_blocked_lines_merge_only_within_one_loop() -> None:
    """Near lines of one function with equal callers and reasons are one retry loop; far lines and other reasons are not."""
    near = [_chain("main.loop", 20), _chain("main.loop", 24)]
    far = [_chain("main.loop", 20), _chain("main.loop", 200)]
    receive = ["chan receive", "IO wait", "runnable"]

    def count(stacks: list[Stack], state: list[int]) -> int:
        return len(clusters([make_snapshot(Source.DUMP, stacks, [0, 1], states=receive, state=state)]))

    assert count(near, [0, 0]) == 1
    assert count(near, [0, 1]) == 2
    assert count(near, [0, 2]) == 1  # just started, or woken and on its way to the same wait
    assert count(far, [0, 0]) == 2


def test_cluster_is_named_by_a_member_with_a_fair_share() -> None:
    """A rare member with a small id does not name the cluster; two that swap ranks do not rename it."""
    a, b = sorted([_chain("main.leaf"), _chain("main.leaf", odd="main.other")], key=lambda s: site_of(s).id)
    rare = clusters([make_snapshot(Source.PROFILE, [a, b], [0, 1], count=[1, 1000])])
    assert rare[0].site.id == site_of(b).id
    names = {
        clusters([make_snapshot(Source.PROFILE, [a, b], [0, 1], count=count)])[0].site.id
        for count in ([60, 40], [40, 60])
    }
    assert names == {site_of(a).id}


def test_cut_stack_joins_the_whole_one() -> None:
    """A recursion deeper than Go prints loses its entry function in a profile, not in a dump: one cluster still."""
    leaf, call = Frame("main.leaf", "/a/a.go", 1), Frame("main.walk", "/a/a.go", 9)
    middle = tuple(Frame(f"main.m{i}", "/a/m.go", i) for i in range(6))
    dump = make_snapshot(Source.DUMP, [Stack((leaf, *middle, *[call] * 92, MAIN), None, 1000)], [0])
    profile = make_snapshot(Source.PROFILE, [Stack((leaf, *middle, *[call] * 121))], [0])
    (cluster,) = clusters([dump, profile])
    assert cluster.counts == (1, 1)


def test_profile_dump_and_census_count_alike() -> None:
    """What one artefact does not tell (state, ids) is taken from the latest that does; counts line up."""
    stack = _chain("main.leaf")
    raw = Stack(
        (Frame("runtime.gopark", "runtime/proc.go", 1), Frame("runtime.chanrecv", "runtime/chan.go", 1), *stack.frames)
    )
    dump = make_snapshot(
        Source.DUMP, [stack], [0, 0], states=["chan receive"], goid=[7, 5], wait_min=[3, -1], taken_at=0.0
    )
    text = make_snapshot(Source.PROFILE, [stack], [0], count=[3], taken_at=60.0)
    census = make_snapshot(Source.CENSUS, [raw], [0] * 4, states=["waiting"], goid=[5, 7, 8, 9], taken_at=120.0)
    profile = make_snapshot(Source.PROFILE, [raw], [0], count=[5], taken_at=180.0)
    (cluster,) = clusters([dump, text, census, profile])
    assert cluster.counts == (2, 3, 4, 5)
    assert cluster.site.wait_reason == "chan receive"
    assert cluster.states == Counter({"chan receive": 5})
    assert cluster.blocking_points == Counter({"chanrecv": 5})
    assert cluster.wait_min == (0, 3)
    assert cluster.goids == (5, 7, 8, 9)
    assert cluster.stayed == 2
    assert cluster.since == 0.0
    assert cluster.growth_per_min == 1.0


def test_created_by_is_told_by_who_knows_it() -> None:
    """Creators are not in the id; the most frequent one is shown, profiles without one do not hide it."""
    stack = _chain("main.leaf")
    by = Frame("main.start", "/a/s.go", 3)
    snapshot = make_snapshot(Source.DUMP, [stack, replace(stack, created_by=by)], [0, 1], count=[9, 1])
    (cluster,) = clusters([snapshot])
    assert cluster.site.created_by == by
    assert cluster.count == 10


def test_leaked_is_the_most_that_any_witness_proves() -> None:
    """Marks in a dump and leak profiles tell of the same goroutines: the greatest number, never the sum."""
    stack = _chain("main.leaf")
    leak = make_snapshot(Source.LEAK_PROFILE, [stack], [0], count=[4], marks=[Mark.LEAKED])
    less = make_snapshot(Source.LEAK_PROFILE, [stack], [0], count=[2], marks=[Mark.LEAKED])
    dump = make_snapshot(Source.DUMP, [stack], [0] * 6, marks=[Mark.LEAKED] * 3 + [0, 0, Mark.DAMAGED])
    (cluster,) = clusters([dump], [leak, less])
    assert (cluster.count, cluster.counts, cluster.leaked, cluster.damaged) == (6, (6,), 4, 1)
    (alone,) = clusters([], [less, leak])
    assert (alone.count, alone.counts, alone.leaked) == (4, (), 4)


def test_the_runtimes_own_goroutines_are_left_out() -> None:
    """Traces show the garbage collector's workers, runtime.NumGoroutine and profiles do not count them."""
    system = Stack((Frame("runtime.gopark", "p.go", 1), Frame("runtime.bgsweep", "s.go", 1)))
    unknown = Stack(())
    found = clusters([make_snapshot(Source.CENSUS, [system, LEAVES[0], unknown], [0, 1, 2], goid=[2, 9, 10])])
    assert sorted(c.site.function for c in found) == ["", "main.leaf0"]


def test_module_entropy_tells_one_package_from_many() -> None:
    """0 bits when one module is at fault, the standard library aside; 1 bit for two equal ones."""
    one = Stack((Frame("net.(*conn).Read", "n.go", 1), Frame("github.com/a/b.f", "f.go", 1)))
    two = Stack((Frame("github.com/a/b.f", "f.go", 1), Frame("github.com/c/d.g", "g.go", 2)))
    found = clusters([make_snapshot(Source.PROFILE, [one, two], [0, 1])])
    assert sorted(c.module_entropy for c in found) == [0.0, 1.0]


def test_since_is_the_time_from_which_on_it_never_fell() -> None:
    """A dip starts the clock anew; what fell in the last look has no since."""

    def since(*numbers: int) -> float | None:
        looks = [
            make_snapshot(Source.PROFILE, LEAVES[:2], [0, 1], count=[n, 1], taken_at=60.0 * i) if n
            else make_snapshot(Source.PROFILE, LEAVES[:2], [1], taken_at=60.0 * i)
            for i, n in enumerate(numbers)
        ]  # fmt: skip
        return next(c.since for c in clusters(looks) if c.site.function == "main.leaf0")

    assert since(1, 2, 3) == 0.0
    assert since(5, 2, 3, 3) == 60.0
    assert since(0, 0, 3, 4) == 120.0
    assert since(5, 4) is None
    assert since(5) is None


def test_growth_is_not_bent_by_one_odd_look() -> None:
    """Median of slopes: one burst in ten looks does not change the rate."""
    numbers = [10, 20, 30, 4000, 50, 60, 70, 80, 90, 100]
    looks = [
        make_snapshot(Source.PROFILE, LEAVES[:1], [0], count=[n], taken_at=60.0 * i) for i, n in enumerate(numbers)
    ]
    assert clusters(looks)[0].growth_per_min == 10.0
    assert clusters([replace(look, taken_at=None) for look in looks])[0].growth_per_min is None


def test_extreme_ids_and_addresses_are_counted_too() -> None:
    """Ids and addresses beyond the packed range (hostile or 5-level paging) take the slower way to the same answer."""
    snapshot = make_snapshot(
        Source.DUMP, LEAVES[:1], [0] * 4, goid=[2**62, 5, 2**63 - 1, 7], arg0=[-1, -1, 2**62, 0xC000000000]
    )
    (cluster,) = clusters([snapshot])
    assert cluster.goids == (5, 7, 2**62, 2**63 - 1)
    assert cluster.objects == 3


def test_pairs_are_counted_alike_densely_and_sorted() -> None:
    """A pair table too large to lay out is sorted instead."""
    first, second, weights = np.array([0, 2, 2, 0]), np.array([1, 9, 9, 1]), np.array([1, 2, 3, 4])
    dense = count_pairs(first, second, 3, 10, weights)
    sparse = count_pairs(first, second, 3, 10**9, weights)
    assert [a.tolist() for a in dense] == [a.tolist() for a in sparse] == [[0, 2], [1, 9], [5, 5]]


def test_no_snapshots_no_clusters() -> None:
    """Nothing in, nothing out; an empty dump too."""
    assert clusters([]) == []
    assert clusters([make_snapshot(Source.DUMP, [], [])]) == []


def test_hundred_thousand_rows_cost_milliseconds() -> None:
    """The work per goroutine is columns: 100,000 rows stay far below what a Python loop over them would take."""
    n = 100_000
    stacks = [_chain(f"main.leaf{i}", 7 * i + 1) for i in range(24)]
    snapshot = make_snapshot(
        Source.DUMP,
        stacks,
        _rows(n, 24),
        states=["select"],
        goid=np.arange(n, 0, -1),
        arg0=_rows(n, 777) + 0xC000000000,
    )
    clusters([snapshot])
    best = min(_timed(snapshot) for _ in range(5))
    assert best < 0.1, f"{best:.3f} s; 0.02 s where it was written"


def _timed(snapshot: Snapshot) -> float:
    begin = time.perf_counter()
    clusters([snapshot])
    return time.perf_counter() - begin


def test_many_distinct_chains_in_one_bucket_stay_linear() -> None:
    """Chains are compared with at most MAX_LEADERS others, however many share leaf and entry."""
    rng = np.random.default_rng(7)
    size = 20 * MAX_LEADERS
    stacks = [
        Stack(
            (
                Frame("main.leaf", "/a/leaf.go", 1),
                *(Frame(f"main.f{i}", "/a/f.go", i) for i in rng.integers(0, 5000, 12).tolist()),
                MAIN,
            )
        )
        for _ in range(size)
    ]
    found = clusters([make_snapshot(Source.DUMP, stacks, range(size))])
    assert sum(c.count for c in found) == size


def test_a_stale_word_is_no_object() -> None:
    """Go prints `?` behind an argument that may be stale: such words tell nothing of what is waited on."""
    snapshot = make_snapshot(
        Source.DUMP,
        LEAVES[:1],
        [0] * 4,
        arg0=[0xB0, 0x2A, 0xC000000000, 0xC000000000],
        marks=[Mark.ARG0_UNSURE] * 2 + [0] * 2,
    )
    (cluster,) = clusters([snapshot])
    assert cluster.objects == 1
