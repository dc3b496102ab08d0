"""Snapshots -> site events: what each goroutine does, under the ids of the whole house. Pure.

The ids are those of single sites (stacks/normalise.py), not merged into clusters: a cluster's name may depend on what
else is in the snapshot, a site's never does, so that its counts make a series.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from parkwarden.model.site import Site
from parkwarden.model.snapshot import Ints, Mark, Snapshot, Source
from parkwarden.model.stack import Frame
from parkwarden.stacks.cluster import is_system
from parkwarden.stacks.normalise import forget_names, place, wait_reason

MAX_SITES = 2_000
"""Sites told of one look, those with the most goroutines: real services have dozens; a label or a generated function per
request makes thousands with one goroutine each."""

MAX_NAME = 512
"""Characters of a function's or file's name that are told of a site: Go's longest generic names stay below. Its id is made of the whole."""
MAX_SITE_TEXT = 8 << 10
"""Characters of all its frames, from the leaf on: forty have 5,000. Engine, journal and recordings keep this of each site."""


@dataclass(frozen=True, slots=True)
class Sites:
    """`counts` and `goids` by site id; `named` what the ids stand for; goroutines without a stack are `unknown`."""

    named: dict[str, Site]
    counts: dict[str, int]
    goids: Mapping[str, Ints]
    max_goid: int
    unknown: int
    left_out: int
    total: int
    """Goroutines of the snapshot, whatever they are."""
    ran: Mapping[str, Ints] | None = None
    """Ids among `goids` of those that a census saw do something; None where the look does not tell."""
    leaked: Mapping[str, int] = field(default_factory=dict)
    """Goroutines that a text dump marks as proven leaked, by site."""
    lost: int = 0
    """Goroutines that the look named and that could not be read."""


def sites_of(snapshot: Snapshot) -> Sites:
    """Sites of a profile, leak profile, dump or census. The runtime's own goroutines are left out."""
    index: dict[str, int] = {}
    named: list[Site] = []
    at = np.full(len(snapshot.stacks), -1, dtype=np.int64)
    bare = np.zeros(len(snapshot.stacks), dtype=bool)
    states = _states(snapshot)
    for i, stack in enumerate(snapshot.stacks):
        if not stack.frames:
            bare[i] = True
            continue
        if is_system(stack):
            continue
        site, _depth = place(stack)
        state = states.get(i, "")
        reason = wait_reason(state, stack.frames) if state else site.wait_reason
        known = index.setdefault(site.id, len(named))
        if known == len(named):
            named.append(site if reason == site.wait_reason else replace(site, wait_reason=reason))
        elif site.created_by is not None and named[known].created_by is None:
            named[known] = replace(named[known], created_by=site.created_by)
        at[i] = known
    site_of_row = at[snapshot.stack] if snapshot.rows else np.zeros(0, dtype=np.int64)
    unknown = int(snapshot.count[bare[snapshot.stack]].sum()) if snapshot.rows and bare.any() else 0
    ours = site_of_row >= 0
    totals = np.bincount(site_of_row[ours], weights=snapshot.count[ours], minlength=len(named)).astype(np.int64)
    chosen = np.argsort(-totals, kind="stable")[:MAX_SITES]
    chosen = chosen[totals[chosen] > 0]
    if any(len(name) > MAX_NAME for stack in snapshot.stacks for frame in stack.frames for name in frame[:2]):
        forget_names()
    counts = {named[i].id: int(totals[i]) for i in chosen.tolist()}
    goids, max_goid = _goids(snapshot, site_of_row, named, chosen)
    ran = None
    if snapshot.source is Source.CENSUS and goids:
        working = np.where(snapshot.marks & Mark.RAN, site_of_row, -1)
        ran, _ = _goids(snapshot, working, named, chosen)
    return Sites(
        named={named[i].id: _bounded(named[i]) for i in chosen.tolist()},
        counts=counts,
        goids=goids,
        max_goid=max_goid,
        unknown=unknown,
        left_out=int((totals > 0).sum()) - len(chosen),
        total=snapshot.total,
        ran=ran,
        leaked=_leaked(snapshot, site_of_row, named, chosen) if snapshot.source is Source.DUMP else {},
        lost=max(0, snapshot.headers_seen - snapshot.total),
    )


def _leaked(snapshot: Snapshot, row: Ints, named: list[Site], chosen: Ints) -> dict[str, int]:
    marked = (snapshot.marks & Mark.LEAKED != 0) & (row >= 0)
    counts = np.bincount(row[marked], minlength=len(named))
    return {named[i].id: int(counts[i]) for i in chosen.tolist() if counts[i]}


def _bounded(site: Site) -> Site:
    """The site as it is, or, where its names are made to fill memory and disks, with as much of them as is kept."""
    size = longest = kept = 0
    for frame in (
        Frame(site.function, site.file),
        *site.frames,
    ):  # the first frame counts twice: once for the site's own names
        longest = max(longest, len(frame.function), len(frame.file))
        size += min(len(frame.function), MAX_NAME) + min(len(frame.file), MAX_NAME)
        kept += size <= MAX_SITE_TEXT
    by = site.created_by
    longest = max(longest, len(site.wait_reason), *((len(by.function), len(by.file)) if by is not None else ()))
    if size <= MAX_SITE_TEXT and longest <= MAX_NAME:
        return site
    return replace(
        site,
        wait_reason=site.wait_reason[:MAX_NAME],
        function=site.function[:MAX_NAME],
        file=site.file[:MAX_NAME],
        frames=tuple(_cut(frame) for frame in site.frames[: max(kept - 1, 0)]),
        created_by=None if by is None else _cut(by),
    )


def _cut(frame: Frame) -> Frame:
    return frame._replace(function=frame.function[:MAX_NAME], file=frame.file[:MAX_NAME])


def _states(snapshot: Snapshot) -> dict[int, str]:
    """The state of some goroutine at each stack, one that waits where there is one."""
    if not any(snapshot.states):
        return {}
    found: dict[int, str] = {}
    pairs = np.unique(snapshot.stack * len(snapshot.states) + snapshot.state)
    for pair in pairs.tolist():
        stack, state = divmod(pair, len(snapshot.states))
        text = snapshot.states[state]
        if text and (stack not in found or found[stack] in _PASSING):
            found[stack] = text
    return found


_PASSING = frozenset(["runnable", "running", "waiting", "preempted"])


def _goids(snapshot: Snapshot, row: Ints, named: list[Site], chosen: Ints) -> tuple[dict[str, Ints], int]:
    told = snapshot.goid > 0
    if not told.any():
        return {}, 0
    ours = told & (row >= 0)
    goid, site = snapshot.goid[ours], row[ours]
    order = np.lexsort((goid, site))
    goid, site = goid[order], site[order]
    edges = np.searchsorted(site, np.arange(len(named) + 1))
    out = {named[i].id: goid[edges[i] : edges[i + 1]].copy() for i in chosen.tolist() if edges[i + 1] > edges[i]}
    return out, int(snapshot.goid.max())
