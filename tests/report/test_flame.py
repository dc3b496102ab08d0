"""The flame graph is a true, bounded summary of the clusters."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from parkwarden.model import Cluster, Frame
from parkwarden.report import flame
from tests.report import samples


def cluster(names: list[str], now: int, before: int) -> Cluster:
    frames = tuple(Frame(name, "f.go", 1) for name in names)
    return Cluster(site=samples.site(1, "select", frames), count=now, share=0.0, counts=(before, now), members=("s",))


def test_calls_are_rooted_under_who_started_them() -> None:
    """Outermost first: root, `go` creator, outer frames ... blocked frame, wait state."""
    graph = flame.build(samples.clusters(1))
    names = [graph.names[i] for i in graph.name]
    assert names == ["all goroutines", "go " + samples.NEW_WHEEL.function, samples.RUN.function, "[select]"]
    assert graph.parent == [-1, 0, 1, 2]
    assert graph.now == [18_412] * 4
    assert graph.compared


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from("abcd"), min_size=1, max_size=9), st.integers(0, 50), st.integers(0, 50)),
        max_size=30,
    ),
    st.integers(2, 40),
)
@settings(deadline=None)
def test_numbers_add_up(rows: list[tuple[list[str], int, int]], limit: int) -> None:
    """The root holds everybody; no box is bigger than its caller; parents come first; the limit holds and is told."""
    clusters = [cluster(*row) for row in rows]
    whole = flame.build(clusters)
    graph = flame.build(clusters, max_nodes=limit, max_depth=5)
    assert len(graph.parent) <= limit
    assert graph.now[0] == sum(c.count for c in clusters)
    assert graph.before[0] == sum(c.counts[0] for c in clusters)
    for i, parent in enumerate(graph.parent[1:], 1):
        assert 0 <= parent < i
        assert graph.now[i] <= graph.now[parent]
        assert graph.before[i] <= graph.before[parent]
    assert (graph.left_out > 0) or len(graph.parent) == len(whole.parent)


def test_empty_case_has_only_a_root() -> None:
    """Nothing in, one empty box out."""
    assert flame.build([]).now == [0]


def test_many_clusters_stay_bounded() -> None:
    """Beyond MAX_CLUSTERS the rest is one box, still counted."""
    clusters = [cluster([f"f{i}"], 1, 1) for i in range(flame.MAX_CLUSTERS + 50)]
    graph = flame.build(clusters)
    assert graph.now[0] == flame.MAX_CLUSTERS + 50
    assert len(graph.parent) <= flame.MAX_NODES
    assert graph.left_out > 0
