"""Several snapshots of one process in time: which clusters grew, who stayed, came and left, how fast goroutines are born.

Goroutine ids never come back within a process and are handed out in rising order (runtime/proc.go: newproc1; in batches
of 16 per P: `_GoidCacheBatch`), so ids alone tell survivors from births, and the highest id's growth is the spawn rate.
All snapshots must be of one process: after a restart ids begin anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from parkwarden.model import Snapshot
from parkwarden.model.site import Change
from parkwarden.model.snapshot import Ints
from parkwarden.stacks.cluster import Grouping, common, group, ids_at, of_grouping
from parkwarden.stacks.series import growth_per_min, since

SAMPLE = 8
"""Ids of each kind shown per cluster, oldest first."""


def compare(snapshots: Sequence[Snapshot], times: Sequence[float | None] | None = None) -> list[Change]:
    """Changes per cluster over snapshots in time order, greatest growth first (ties: most goroutines, then id).

    `times` in Unix seconds, one per snapshot; default: each one's `taken_at`. The snapshots may come from different
    kinds of artefact: counts compare always, ids where at least two snapshots name them.
    """
    if not snapshots:
        return []
    when = list(times) if times is not None else [snapshot.taken_at for snapshot in snapshots]
    if len(when) != len(snapshots):
        raise ValueError("one time per snapshot")
    grouping = group(snapshots)
    by_site = {cluster.site.id: cluster for cluster in of_grouping(grouping)}
    growth = growth_per_min(grouping.counts, when) if len(when) > 1 else None
    moves = _moves(grouping)
    births = _births_per_min(grouping, when)
    changes: list[Change] = []
    for i, site in enumerate(grouping.named):
        counts = tuple(grouping.counts[i].tolist())
        stayed, came, left, born, died = moves[i] if moves is not None else (None,) * 5
        cluster = by_site[site.id]
        cluster.growth_per_min = float(growth[i]) if growth is not None else None
        cluster.since = since(counts, when) if len(counts) > 1 else None
        changes.append(
            Change(
                cluster=cluster,
                counts=counts,
                delta=counts[-1] - counts[0],
                growth_per_min=cluster.growth_per_min,
                since=cluster.since,
                stayed=None if stayed is None else int(stayed.size),
                came=None if came is None else int(came.size),
                left=None if left is None else int(left.size),
                born=None if born is None else int(born.size),
                died=None if died is None else int(died.size),
                stayed_goids=() if stayed is None else tuple(stayed[:SAMPLE].tolist()),
                came_goids=() if came is None else tuple(came[:SAMPLE].tolist()),
                left_goids=() if left is None else tuple(left[:SAMPLE].tolist()),
                births_per_min=float(births[i]) if births is not None else None,
            )
        )
    changes.sort(key=lambda c: (-(c.growth_per_min or 0.0), -c.delta, -c.counts[-1], c.cluster.site.id))
    return changes


def spawn_rate_per_min(snapshots: Sequence[Snapshot], times: Sequence[float | None] | None = None) -> float | None:
    """Goroutines started per minute in the whole process: growth of the highest id, None where it cannot be told.

    A lower bound of what ran in between, accurate to a batch of 16 ids per P at each end.
    """
    when = list(times) if times is not None else [snapshot.taken_at for snapshot in snapshots]
    highest = [
        (at, int(snapshot.goid.max()))
        for snapshot, at in zip(snapshots, when, strict=True)
        if at is not None and snapshot.rows and snapshot.goid.any()
    ]
    if len(highest) < 2 or highest[-1][0] <= highest[0][0]:
        return None
    return max(0, highest[-1][1] - highest[0][1]) * 60.0 / (highest[-1][0] - highest[0][0])


def _naming(grouping: Grouping) -> list[int]:
    return [i for i, snapshot in enumerate(grouping.snapshots) if snapshot.goid.any()]


def _moves(grouping: Grouping) -> list[tuple[Ints, ...]] | None:
    """Per cluster the ids that stayed, came, left, were born and died between the first and the last snapshot that name ids."""
    naming = _naming(grouping)
    if len(naming) < 2:
        return None
    first, last = (ids_at(grouping.snapshots[i], grouping.of_stack[i]) for i in (naming[0], naming[-1]))
    here, there = common(first, last), common(last, first)
    size = len(grouping.named)
    new = np.setdiff1d(np.arange(last[0].size), here, assume_unique=True)
    gone = np.setdiff1d(np.arange(first[0].size), there, assume_unique=True)
    born = np.flatnonzero(~np.isin(last[0], first[0], assume_unique=True))
    died = np.flatnonzero(~np.isin(first[0], last[0], assume_unique=True))
    kinds = [_split(last, at, size) for at in (here, new)] + [_split(first, gone, size)]
    kinds += [_split(last, born, size), _split(first, died, size)]
    return list(zip(*kinds, strict=True))


def _split(ids: tuple[Ints, Ints], at: Ints, size: int) -> list[Ints]:
    """The ids at some positions, by cluster, each in rising order."""
    cluster = ids[1][at]
    order = np.argsort(cluster, kind="stable")
    return np.split(ids[0][at][order], np.searchsorted(cluster[order], np.arange(1, size)))


def _births_per_min(
    grouping: Grouping, times: list[float | None]
) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    """Per cluster: ids above the highest of the look before, over all looks that name ids, per minute."""
    naming = [i for i in _naming(grouping) if times[i] is not None]
    born = np.zeros(len(grouping.named))
    span = 0.0
    for before, now in pairwise(naming):
        apart = (times[now] or 0.0) - (times[before] or 0.0)
        if apart <= 0:
            continue
        ids, cluster = ids_at(grouping.snapshots[now], grouping.of_stack[now])
        highest = int(grouping.snapshots[before].goid.max())
        born += np.bincount(cluster[ids > highest], minlength=born.size)
        span += apart
    return born * 60.0 / span if span else None
