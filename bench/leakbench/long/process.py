"""One life of an instance: its sites' lives put together, and what looks at it show."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from bench.leakbench.long.worlds import Floats, Shape, World

FIRST_GOID = 20
"""Ids below are the runtime's own and main's."""

Ids = npt.NDArray[np.int64]


class Process:
    """Sites of one life. Ids are handed out in the order of births, over all sites, those included that no look sees."""

    def __init__(self, world: World, shapes: Mapping[str, Shape]) -> None:
        made = [shape(world) for shape in shapes.values()]
        self.begin, self.end = world.begin, world.end
        self.sites = tuple(shapes)
        self._births = np.concatenate([b for b, _ in made])
        self._deaths = np.concatenate([d for _, d in made])
        self._site = np.repeat(np.arange(len(made)), [len(b) for b, _ in made])
        self._clock = np.concatenate([[world.begin], world.looks])
        self._unseen = np.concatenate([[0.0], np.cumsum(world.unseen)])
        order = np.argsort(self._births, kind="stable")
        self._in_order = self._births[order]
        self._ids = np.empty(len(order), np.int64)
        self._ids[order] = FIRST_GOID + np.arange(len(order)) + self._unseen_at(self._in_order)

    def _unseen_at(self, t: Floats) -> Ids:
        return np.interp(t, self._clock, self._unseen).astype(np.int64)

    def counts(self, times: Floats) -> npt.NDArray[np.int64]:
        """Goroutine profiles at `times` (rising): (sites, times)."""
        found = np.empty((len(self.sites), len(times)), np.int64)
        edges = np.searchsorted(self._site, np.arange(len(self.sites) + 1))
        for i, (a, b) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
            came = np.searchsorted(times, self._births[a:b], "left")  # born at a look: there
            left = np.searchsorted(times, self._deaths[a:b], "left")
            steps = np.bincount(came, minlength=len(times) + 1) - np.bincount(left, minlength=len(times) + 1)
            found[i] = np.cumsum(steps)[: len(times)]
        return found

    def censuses(self, times: Floats) -> list[tuple[dict[str, Ids], int]]:
        """At each of `times` (rising): ids by site, rising, and the highest id handed out."""
        first = np.searchsorted(times, self._births, "left")
        spans = np.maximum(np.searchsorted(times, self._deaths, "left") - first, 0)
        who = np.repeat(np.arange(len(spans)), spans)
        at = np.arange(len(who)) - np.repeat(np.cumsum(spans) - spans, spans) + first[who]
        place = at * len(self.sites) + self._site[who]
        order = np.lexsort((self._ids[who], place))
        ids, place = self._ids[who][order], place[order]
        starts = np.flatnonzero(np.diff(place, prepend=-1)).tolist()
        found: list[dict[str, Ids]] = [{} for _ in times]
        for start, end in pairwise([*starts, len(place)]):
            census, site = divmod(int(place[start]), len(self.sites))
            found[census][self.sites[site]] = ids[start:end]
        born = np.searchsorted(self._in_order, times, "right") + self._unseen_at(times)
        return list(zip(found, (FIRST_GOID - 1 + born).tolist(), strict=True))
