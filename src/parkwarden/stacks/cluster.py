"""Snapshots -> clusters: goroutines at one site together, near-equal call chains merged, over all snapshots at once.

Work per goroutine is columns only (bincount, sorts); work per distinct stack is `site_of`; call chains are compared per
distinct site within buckets of (blocked function, entry function), each with at most `MAX_LEADERS` others.

When two sites are one cluster:
- same blocked line, and the functions of the chains are alike (`MIN_SIMILARITY` of their Indel similarity): one differs
  by a middleware or a helper on the way, or by the lines they call from; or
- blocked at lines near each other (`NEAR_LINES`) of the same function for the same reason (or one of them on its way
  there: runnable, running), with callers equal to the line: one loop, seen at two of its places. Other blocked lines are never merged: the line is the verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log2

import numpy as np

from parkwarden.model import Cluster, Frame, Mark, Site, Snapshot, Stack
from parkwarden.model.snapshot import Ints
from parkwarden.stacks.modules import is_runtime_function, short_module_of
from parkwarden.stacks.names import clean_frame
from parkwarden.stacks.normalise import blocking_point, place, wait_reason
from parkwarden.stacks.series import growth_per_min, since

MIN_SIMILARITY = 0.85
"""Of two chains' functions, Indel similarity. 0.85 lets one function in seven or more differ, and keeps two handlers
of five frames apart that only share their leaf: those have different culprits."""

NEAR_LINES = 10
"""How far apart in lines two waits of one loop may be."""

MAX_LEADERS = 64
"""Chains of one bucket that others are compared with, most frequent first. Keeps the work linear in distinct stacks:
50,000 chains under one handler cost 50,000 x 64 comparisons of about 0.1 us."""

MAX_COMPARED = 256
"""Frames compared of a chain, from the leaf; Go shows 128 in profiles and 100 in dumps."""

DEEP = 100
"""From this many raw frames on the producer may have cut the stack (dumps keep 100, profiles and traces 128 frames), so
its entry function is not trusted to tell two chains apart."""

ID_SHARE = 0.25
"""A cluster is named after the least site id among members with this share of the largest one's count: a name that
does not change when two members swap ranks."""

SAMPLE_GOIDS = 8
TOP_LABELS = 8
MAX_DENSE = 1 << 22
"""Cells of a pair table counted densely (32 MB); beyond that pairs are sorted instead."""

_GOID_BITS, _ADDRESS_BITS = 43, 48
"""A goroutine id of 43 bits would take a million new goroutines a second for three months; user addresses have 48."""


@dataclass(slots=True)
class Grouping:
    """Which cluster each stack of each snapshot belongs to.

    `of_stack[i]` (shape (stacks of snapshot i,)) gives indices into `members` (sites of each cluster), -1 for system
    goroutines; `snapshots` are those grouped, leak profiles after `looks` of them.
    """

    snapshots: list[Snapshot]
    looks: int
    of_stack: list[Ints]
    members: list[list[Site]]
    counts: Ints
    """Shape (clusters, snapshots)."""
    named: list[Site]
    """The member each cluster is named after, with its most frequent wait reason and creator."""
    rows: list[list[tuple[int, str, int]]]
    """Per snapshot (stack, wait reason, goroutines) that occur."""
    depths: list[dict[int, int]]
    """Per snapshot the depth of each stack in use, recursion not folded."""
    entropy: list[float]


def clusters(snapshots: Sequence[Snapshot], leaks: Sequence[Snapshot] = ()) -> list[Cluster]:
    """Clusters over snapshots in time order, most goroutines in the last one first, ties by id.

    `leaks` are leak profiles: they add `leaked` (the most that any of them, or a `(leaked)` mark, tells), not counts; if
    they are all there is, the proven ones are the count. States, waits, labels, ids and objects of a cluster are those
    of the latest snapshot that tells them. The runtime's own goroutines (garbage collector, ...), which only traces
    show, are left out, as runtime.NumGoroutine does.
    """
    return of_grouping(group(snapshots, leaks))


def group(snapshots: Sequence[Snapshot], leaks: Sequence[Snapshot] = ()) -> Grouping:
    """Sites of all snapshots' stacks, merged into clusters."""
    everything = [*snapshots, *leaks]
    sites: list[Site] = []
    index: dict[str, int] = {}
    deep: set[int] = set()
    of_stack: list[Ints] = []
    every_row = [_rows_of(snapshot) for snapshot in everything]
    depths: list[dict[int, int]] = []
    for snapshot, rows in zip(everything, every_row, strict=True):
        depth: dict[int, int] = {}
        at = np.full(len(snapshot.stacks), -1, dtype=np.int64)
        for i in dict.fromkeys([row[0] for row in rows]):
            stack = snapshot.stacks[i]
            if is_system(stack):
                continue
            site, depth[i] = place(stack)
            known = index.setdefault(site.id, len(sites))
            if known == len(sites):
                sites.append(site)
            if len(stack.frames) >= DEEP or stack.elided:
                deep.add(known)
            at[i] = known
        of_stack.append(at)
        depths.append(depth)
    told = _reasons_and_creators(everything, of_stack, every_row, sites)
    totals = [sum(reasons.values()) for reasons, _ in told]
    sites = [_with_told(site, told[i]) for i, site in enumerate(sites)]
    groups = _merge(sites, totals, deep)
    of_site = np.full(len(sites) + 1, -1, dtype=np.int64)  # the last cell answers for -1
    named: list[Site] = []
    for number, members in enumerate(groups):
        of_site[members] = number
        if len(members) == 1:
            named.append(sites[members[0]])
            continue
        name = min((i for i in members if totals[i] >= ID_SHARE * totals[members[0]]), key=lambda i: sites[i].id)
        reasons, creators = Counter[str](), Counter[Frame]()
        for i in members:
            reasons.update(told[i][0])
            creators.update(told[i][1])
        named.append(_with_told(sites[name], (reasons, creators)))
    of_stack = [of_site[at] for at in of_stack]
    counts = np.zeros((len(groups), len(everything)), dtype=np.int64)
    for i, (at, rows) in enumerate(zip(of_stack, every_row, strict=True)):
        where = at.tolist()
        for of, _reason, number in rows:
            if where[of] >= 0:
                counts[where[of], i] += number
    return Grouping(
        snapshots=everything,
        looks=len(snapshots),
        of_stack=of_stack,
        members=[[sites[i] for i in members] for members in groups],
        counts=counts,
        named=named,
        rows=every_row,
        depths=depths,
        entropy=[_entropy([(sites[i].frames, totals[i]) for i in members]) for members in groups],
    )


def is_system(stack: Stack) -> bool:
    """Whether a goroutine is the runtime's own: nothing but runtime frames from a runtime entry (proc.go:
    isSystemGoroutine). Stacks without frames are not: their site is unknown."""
    frames = stack.frames
    return (
        bool(frames)
        and is_runtime_function(frames[0].function)
        and frames[-1].function != "runtime.main"
        and all(is_runtime_function(frame.function) for frame in frames)
    )


def _rows_of(snapshot: Snapshot) -> list[tuple[int, str, int]]:
    stack, state, number = count_pairs(
        snapshot.stack, snapshot.state, len(snapshot.stacks), len(snapshot.states), snapshot.count
    )
    stacks, states = snapshot.stacks, snapshot.states
    return [
        (i, wait_reason(states[j], stacks[i].frames), n)
        for i, j, n in zip(stack.tolist(), state.tolist(), number.tolist(), strict=True)
    ]


def count_pairs(first: Ints, second: Ints, firsts: int, seconds: int, weights: Ints) -> tuple[Ints, Ints, Ints]:
    """Distinct (first, second) index pairs and the sum of `weights` of each, in order of the pairs."""
    if not first.size:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, empty
    key = first * seconds + second
    if firsts * seconds <= max(MAX_DENSE, 4 * key.size):
        # float64 sums are exact below 2^53 goroutines
        dense = np.bincount(key, weights=weights, minlength=0)
        found = np.flatnonzero(dense)
        sums = dense[found].astype(np.int64)
    else:
        found, inverse = np.unique(key, return_inverse=True)
        sums = np.bincount(inverse, weights=weights).astype(np.int64)
    return found // seconds, found % seconds, sums


_Told = tuple[dict[str, int], dict[Frame, int]]


def _reasons_and_creators(
    snapshots: list[Snapshot], of_stack: list[Ints], every_row: list[list[tuple[int, str, int]]], sites: list[Site]
) -> list[_Told]:
    """Per site: wait reasons and creating frames with the goroutines (over all snapshots) that tell them."""
    told: list[_Told] = [({}, {}) for _ in sites]
    for snapshot, at, rows in zip(snapshots, of_stack, every_row, strict=True):
        where = at.tolist()
        for stack, reason, number in rows:
            site = where[stack]
            if site < 0:
                continue
            reasons, creators = told[site]
            reasons[reason] = reasons.get(reason, 0) + number
            by = snapshot.stacks[stack].created_by
            if by is not None:
                clean = clean_frame(by)
                creators[clean] = creators.get(clean, 0) + number
    return told


def _with_told(site: Site, told: _Told) -> Site:
    """The site with the most frequent reason and creator that are told at all; ties by name, never by row order."""
    reasons, creators = told
    if len(reasons) == 1 and not creators and site.wait_reason in reasons:
        return site
    known = [(-number, reason) for reason, number in reasons.items() if reason and reason not in _VAGUE]
    reason = min(known)[1] if known else min(((-n, r) for r, n in reasons.items() if r), default=(0, ""))[1]
    by = min(((-number, frame) for frame, number in creators.items()), default=(0, None))[1]
    if reason == site.wait_reason and by == site.created_by:
        return site
    return replace(site, wait_reason=reason, created_by=by)


_VAGUE = frozenset(["waiting", "runnable", "running", "preempted"])
"""Told by traces or in passing: a word that says what is waited for goes first."""


def _merge(sites: list[Site], totals: list[int], deep: set[int]) -> list[list[int]]:
    """Site indices by cluster, each led by its most frequent site."""
    buckets: dict[tuple[str, str], list[int]] = {}
    for i, site in enumerate(sites):
        entry = "" if i in deep or not site.frames else site.frames[-1].function
        buckets.setdefault((site.function, entry), []).append(i)
    groups: list[list[int]] = []
    for members in buckets.values():
        if len(members) == 1:
            groups.append(members)
        else:
            members.sort(key=lambda i: (-totals[i], sites[i].id))
            groups.extend(_merge_bucket(sites, members))
    return groups


def _merge_bucket(sites: list[Site], members: list[int]) -> list[list[int]]:
    """Greedy: each site, most frequent first, joins the most similar leader or leads a group of its own."""
    from rapidfuzz import process  # imported where a bucket needs it: 30 ms
    from rapidfuzz.distance import Indel

    letters: dict[str, str] = {}
    groups: list[list[int]] = []
    leaders: dict[tuple[str, int], tuple[list[str], list[list[int]]]] = {}
    near: dict[tuple[str, tuple[Frame, ...]], list[tuple[Site, list[int]]]] = {}
    for i in members:
        site = sites[i]
        # One letter per function (Indel works on any code points); a million functions in one bucket would share some.
        chain = "".join(
            [letters.setdefault(f.function, chr(0x100 + len(letters) % 1_000_000)) for f in site.frames[:MAX_COMPARED]]
        )
        chains, led = leaders.setdefault((site.file, site.line), ([], []))
        alike = process.extractOne(chain, chains, scorer=Indel.normalized_similarity, score_cutoff=MIN_SIMILARITY)
        if alike is not None:
            led[alike[2]].append(i)
            continue
        blocked = next((n for n, f in enumerate(site.frames) if f.function == site.function), 0)
        loops = near.setdefault((chain[:blocked], site.frames[blocked + 1 :]), [])
        loop = next((g for other, g in loops[:MAX_LEADERS] if _is_one_loop(site, other)), None)
        if loop is not None:
            loop.append(i)
            continue
        mine = [i]
        groups.append(mine)
        loops.append((site, mine))
        if len(chains) < MAX_LEADERS:
            chains.append(chain)
            led.append(mine)
    return groups


def _is_one_loop(one: Site, other: Site) -> bool:
    """Whether two lines of one function are near, and what is told of their waits does not differ."""
    if abs(one.line - other.line) > NEAR_LINES:
        return False
    reasons = {one.wait_reason, other.wait_reason} - _VAGUE - {""}
    return len(reasons) < 2


def of_grouping(grouping: Grouping) -> list[Cluster]:
    """Clusters of a grouping, with everything the snapshots tell about each."""
    looks = grouping.snapshots[: grouping.looks]
    times = [snapshot.taken_at for snapshot in looks]
    counts = grouping.counts[:, : grouping.looks]
    last = counts[:, -1] if grouping.looks else grouping.counts.max(axis=1, initial=0)
    total = int(last.sum())
    growth = growth_per_min(counts, times) if grouping.looks > 1 else None
    leaked = grouping.counts[:, grouping.looks :].max(axis=1, initial=0)
    rows = counts.tolist()
    out = [
        Cluster(
            site=site,
            count=int(last[i]),
            share=int(last[i]) / total if total else 0.0,
            counts=tuple(rows[i]),
            members=tuple(sorted(member.id for member in grouping.members[i])),
            leaked=int(leaked[i]),
            since=since(rows[i], times) if grouping.looks > 1 else None,
            growth_per_min=float(growth[i]) if growth is not None else None,
            module_entropy=grouping.entropy[i],
        )
        for i, site in enumerate(grouping.named)
    ]
    told = looks or grouping.snapshots
    for i, snapshot in enumerate(told):
        _tell_stacks(out, grouping.of_stack[i], grouping.rows[i], grouping.depths[i])
        _tell_rows(out, snapshot, grouping.of_stack[i])
    _tell_stayed(out, looks, grouping.of_stack)
    out.sort(key=lambda cluster: (-cluster.count, -max(cluster.counts, default=0), cluster.site.id))
    return out


def _tell_stacks(out: list[Cluster], of_stack: Ints, rows: list[tuple[int, str, int]], depths: dict[int, int]) -> None:
    """States, blocking points and depth: what follows from distinct stacks. Later snapshots overwrite."""
    where = of_stack.tolist()
    states: dict[int, dict[str, int]] = {}
    depth: dict[int, int] = {}
    for stack, reason, number in rows:
        cluster = where[stack]
        if cluster < 0:
            continue
        seen = states.setdefault(cluster, {})
        seen[reason] = seen.get(reason, 0) + number
        depth[cluster] = depth.get(cluster, 0) + number * depths[stack]
    for cluster, reasons in states.items():
        to = out[cluster]
        to.mean_depth = depth[cluster] / sum(reasons.values())
        if to.states and reasons.keys() == {""}:
            continue  # an earlier look told more
        to.states.clear()
        to.states.update(dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))))
        to.blocking_points.clear()
        for reason, number in to.states.items():
            if reason:
                to.blocking_points[blocking_point(reason)] += number


def _entropy(chains: list[tuple[tuple[Frame, ...], int]]) -> float:
    """Shannon entropy in bits over the modules of chains' frames, each weighted by its goroutines.

    The standard library, which is on every stack, is left out.
    """
    modules: dict[str, int] = {}
    for frames, number in chains:
        for module in [short_module_of(frame.function) for frame in frames]:
            modules[module] = modules.get(module, 0) + number
    modules.pop("std", None)
    modules.pop("", None)
    if len(modules) < 2:
        return 0.0
    numbers = sorted(modules.values())
    total = sum(numbers)
    return max(0.0, log2(total) - sum([n * log2(n) for n in numbers]) / total)


def _tell_rows(out: list[Cluster], snapshot: Snapshot, of_stack: Ints) -> None:
    """Waits, labels, ids, objects and marks: columns. Later snapshots overwrite what earlier ones told."""
    row = of_stack[snapshot.stack] if snapshot.rows else np.zeros(0, dtype=np.int64)
    size = len(out)
    ours = row >= 0
    marks = snapshot.marks
    if marks.any():
        for mark, column in ((Mark.LEAKED, "leaked"), (Mark.DAMAGED, "damaged")):
            has = ours & (marks & int(mark) != 0)
            if has.any():
                sums = np.bincount(row[has], weights=snapshot.count[has], minlength=size).astype(np.int64)
                for i in np.flatnonzero(sums).tolist():
                    setattr(out[i], column, max(getattr(out[i], column), int(sums[i])))
    waits = ours & (snapshot.wait_min >= 0)
    if waits.any():
        least = np.full(size, np.iinfo(np.int64).max)
        most = np.full(size, -1)
        np.minimum.at(least, row[waits], snapshot.wait_min[waits])
        np.maximum.at(most, row[waits], snapshot.wait_min[waits])
        # Go tells a wait from one minute on: who tells none among others that do has waited less.
        least[np.bincount(row[ours & ~waits], minlength=size) > 0] = 0
        for i in np.flatnonzero(most >= 0).tolist():
            out[i].wait_min = (int(least[i]), int(most[i]))
    if snapshot.label.any():
        _tell_labels(out, snapshot, row)
    ids = ours & (snapshot.goid > 0)
    if ids.any():
        start, end, goids = _by_cluster(row[ids], snapshot.goid[ids], size, _GOID_BITS)
        for i in np.flatnonzero(end > start).tolist():
            out[i].goids = tuple(goids[start[i] : min(end[i], start[i] + SAMPLE_GOIDS)].tolist())
    # a stale word is no lock: runtime_SemacquireMutex is printed with whatever its registers were
    addresses = ours & (snapshot.arg0 != 0) & (snapshot.marks & int(Mark.ARG0_UNSURE) == 0)
    if addresses.any():
        start, end, values = _by_cluster(row[addresses], snapshot.arg0[addresses], size, _ADDRESS_BITS)
        fresh = np.ones(values.size, dtype=np.int64)
        fresh[1:] = values[1:] != values[:-1]
        fresh[start[end > start]] = 1
        before = np.concatenate(([0], np.cumsum(fresh)))
        for i in np.flatnonzero(end > start).tolist():
            out[i].objects = int(before[end[i]] - before[start[i]])


def _by_cluster(row: Ints, value: Ints, size: int, bits: int) -> tuple[Ints, Ints, Ints]:
    """(start, end) of each cluster in the values sorted by cluster and value."""
    if size < 1 << (63 - bits) and int(value.min()) >= 0 and int(value.max()) < 1 << bits:
        key = np.sort((row << bits) | value)  # one sort of plain integers: SIMD in NumPy 2
        cluster, values = key >> bits, key & ((1 << bits) - 1)
    else:
        order = np.lexsort((value, row))
        cluster, values = row[order], value[order]
    edges = np.searchsorted(cluster, np.arange(size + 1))
    return edges[:-1], edges[1:], values


def _tell_labels(out: list[Cluster], snapshot: Snapshot, row: Ints) -> None:
    """Most frequent label pairs of each cluster."""
    cluster, label, number = count_pairs(
        row[row >= 0], snapshot.label[row >= 0], len(out), len(snapshot.labels), snapshot.count[row >= 0]
    )
    found: dict[int, Counter[tuple[str, str]]] = {}
    for i, of, n in zip(cluster.tolist(), label.tolist(), number.tolist(), strict=True):
        if of:
            counter = found.setdefault(i, Counter())
            for item in snapshot.labels[of].items():
                counter[item] += n
    for i, counter in found.items():
        best = sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:TOP_LABELS]
        out[i].labels = Counter(dict(best))


def _tell_stayed(out: list[Cluster], looks: Sequence[Snapshot], of_stack: list[Ints]) -> None:
    """How many ids of the last snapshot that names ids were at the same cluster in the first one that does."""
    naming = [i for i, snapshot in enumerate(looks) if snapshot.goid.any()]
    if len(naming) < 2:
        return
    first, last = ids_at(looks[naming[0]], of_stack[naming[0]]), ids_at(looks[naming[-1]], of_stack[naming[-1]])
    stayed = common(first, last)
    numbers = np.bincount(last[1][stayed], minlength=len(out))
    for i, cluster in enumerate(out):
        cluster.stayed = int(numbers[i])


def ids_at(snapshot: Snapshot, of_stack: Ints) -> tuple[Ints, Ints]:
    """Goroutine ids in rising order, and the cluster of each; rows without an id or of the runtime left out."""
    row = of_stack[snapshot.stack]
    told = (snapshot.goid > 0) & (row >= 0)
    ids, at = np.unique(snapshot.goid[told], return_index=True)
    return ids, row[told][at]


def common(first: tuple[Ints, Ints], last: tuple[Ints, Ints]) -> Ints:
    """Positions in `last` of the ids that are in `first` too, at the same cluster."""
    if not first[0].size or not last[0].size:
        return np.zeros(0, dtype=np.int64)
    at = np.minimum(np.searchsorted(first[0], last[0]), first[0].size - 1)
    return np.flatnonzero((first[0][at] == last[0]) & (first[1][at] == last[1]))
