"""Flame graph of goroutines: clusters folded into one tree, outermost call first, small enough for a page.

Input: clusters. Output: `Flame`, a tree in columns (parent before child) with the counts of the first and the last look,
so the same graph shows how many there are and how that changed. Goroutines are rooted under the function that started
them ("go main.handle"), because who starts them matters more than where their own stack begins.

Limits: MAX_NODES, MAX_DEPTH; what they cut off is counted in `Flame.left_out` (boxes) and stays in its parent's number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from parkwarden.model import Cluster, Frame
from parkwarden.report.words import NO_STACK

MAX_NODES = 4_000
"""Boxes of one graph. At 1,280 px a box of less than 1/4,000 of the width cannot be seen, and each costs the page bytes."""

MAX_DEPTH = 128
"""Levels drawn. Go prints 100 frames of a stack (runtime/traceback.go: tracebackInnerFrames + OuterFrames); deeper is recursion."""

MAX_CLUSTERS = 5_000
"""Clusters folded one by one, biggest first; the rest is one box. Bounds memory before boxes are pruned."""

STARTED = "go "
"""Before the name of the function whose `go` statement made the goroutines below."""

UNKNOWN_START = "(start not told)"

SMALL = "(smaller clusters)"


@dataclass(slots=True)
class Flame:
    """Columns over boxes; box 0 is the root. `parent[i] < i`. `now` and `before` are goroutines, children included."""

    names: list[str] = field(default_factory=lambda: ["all goroutines"])
    parent: list[int] = field(default_factory=lambda: [-1])
    name: list[int] = field(default_factory=lambda: [0])
    now: list[int] = field(default_factory=lambda: [0])
    before: list[int] = field(default_factory=lambda: [0])
    left_out: int = 0
    """Boxes that MAX_NODES and MAX_DEPTH cut off."""
    compared: bool = False
    """Whether `before` is another look than `now`."""


def build(clusters: Iterable[Cluster], *, max_nodes: int = MAX_NODES, max_depth: int = MAX_DEPTH) -> Flame:
    """The flame graph of `clusters`: `now` from their last look, `before` from their first."""
    flame = Flame()
    index: dict[tuple[int, str], int] = {}
    label: list[str] = [flame.names[0]]
    ranked = sorted(clusters, key=lambda c: -max(c.count, c.counts[0] if c.counts else 0))
    cut = sum(len(cluster.site.frames) for cluster in ranked[MAX_CLUSTERS:])
    for rank, cluster in enumerate(ranked):
        now = cluster.count
        before = cluster.counts[0] if cluster.counts else now
        flame.compared |= len(cluster.counts) > 1
        if now <= 0 and before <= 0:
            continue
        names = _chain(cluster) if rank < MAX_CLUSTERS else [SMALL]
        cut += max(0, len(names) - max_depth)
        at = 0
        flame.now[0] += now
        flame.before[0] += before
        for text in names[:max_depth]:
            child = index.get((at, text))
            if child is None:
                child = index[at, text] = len(label)
                label.append(text)
                flame.parent.append(at)
                flame.now.append(0)
                flame.before.append(0)
            flame.now[child] += now
            flame.before[child] += before
            at = child
    return _pruned(flame, label, max_nodes, cut)


def functions(flame: Flame, limit: int) -> list[tuple[str, int, int]]:
    """The graph as a table: (box's name, `now`, `before`) of all that go through it, greatest first; recursion counts once."""
    now: dict[str, int] = {}
    before: dict[str, int] = {}
    above: list[frozenset[int]] = [frozenset()]
    for i in range(1, len(flame.parent)):
        outer = above[flame.parent[i]]
        name = flame.names[flame.name[i]]
        again = flame.name[i] in outer
        above.append(outer if again else outer | {flame.name[i]})
        if not again:
            now[name] = now.get(name, 0) + flame.now[i]
            before[name] = before.get(name, 0) + flame.before[i]
    ranked = sorted(now, key=lambda name: (-max(now[name], before[name]), name))
    return [(name, now[name], before[name]) for name in ranked[:limit]]


def _chain(cluster: Cluster) -> list[str]:
    site = cluster.site
    start = STARTED + site.created_by.function if site.created_by else UNKNOWN_START
    frames: Sequence[Frame] = site.frames or (Frame(site.function),)
    names = [frame.function or NO_STACK for frame in reversed(frames)]
    if site.wait_reason:
        names.append(f"[{site.wait_reason}]")
    return [start, *names]


def _pruned(flame: Flame, label: list[str], max_nodes: int, cut: int) -> Flame:
    """The biggest `max_nodes` boxes. A parent is never smaller than its child and comes before it, so it stays too."""
    order = range(len(label))
    weight = [max(n, b) for n, b in zip(flame.now, flame.before, strict=True)]
    if len(label) > max_nodes:
        order_kept = sorted(order, key=lambda i: (-weight[i], i))[:max_nodes]
        kept = sorted(order_kept)
    else:
        kept = list(order)
    place = {old: new for new, old in enumerate(kept)}
    names: dict[str, int] = {}
    out = Flame(names=[], parent=[], name=[], now=[], before=[], left_out=len(label) - len(kept) + cut)
    for old in kept:
        out.parent.append(place[flame.parent[old]] if old else -1)
        out.name.append(names.setdefault(label[old], len(names)))
        out.now.append(flame.now[old])
        out.before.append(flame.before[old])
    out.names = list(names)
    out.compared = flame.compared
    return out
