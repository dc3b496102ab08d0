"""The raw stacks behind a cluster."""

from __future__ import annotations

from parkwarden.model import Frame, Source, Stack, make_snapshot
from parkwarden.stacks.cluster import group
from parkwarden.stacks.raw import IDS_SHOWN, raw_stacks

CHAIN = tuple(Frame(f"main.f{i}", "/a.go", i) for i in range(8))


def test_distinct_stacks_with_their_goroutines() -> None:
    """Most goroutines first, with states, ids and the longest wait; what is left out is counted."""
    other = (*CHAIN[:3], Frame("main.middleware", "/b.go", 1), *CHAIN[3:])
    snapshot = make_snapshot(
        Source.DUMP,
        [Stack(CHAIN), Stack(other), Stack((Frame("main.elsewhere", "/c.go", 1),))],
        [0] * 20 + [1] * 3 + [2],
        states=["select", "running"],
        state=[0] * 19 + [1] * 4 + [0],
        goid=range(1, 25),
        wait_min=[-1] * 20 + [2, 7, 3] + [-1],
    )
    grouping = group([snapshot])
    cluster = int(grouping.of_stack[0][0])
    first, second = raw_stacks(snapshot, grouping.of_stack[0], cluster, 5)[0]
    assert (first.count, first.states, first.wait_min) == (20, (("select", 19), ("running", 1)), None)
    assert first.goids == tuple(range(1, IDS_SHOWN + 1))
    assert (second.count, second.goids, second.wait_min, second.stack.frames) == (3, (21, 22, 23), 7, other)
    assert raw_stacks(snapshot, grouping.of_stack[0], cluster, 1) == ([first], 1)
