"""One life of an instance: its sites' lives put together, and what looks at it show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from bench.leakbench.long.worlds import Floats, Rng, Shape, World

FIRST_GOID = 20
"""Ids below are the runtime's own and main's."""

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Seen:
    """A census: ids by site, rising; those of them that did something meanwhile; the highest id handed out."""

    goids: dict[str, Ids]
    ran: dict[str, Ids]
    highest: int


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
        return np.asarray(np.interp(t, self._clock, self._unseen), np.int64)

    def counts(self, times: Floats) -> npt.NDArray[np.int64]:
        """Goroutine profiles at `times` (rising): (sites, times)."""
        found = np.empty((len(self.sites), len(times)), np.int64)
        edges = np.searchsorted(self._site, np.arange(len(self.sites) + 1))
        for i, (a, b) in enumerate(pairwise(edges.tolist())):
            came = np.searchsorted(times, self._births[a:b], "left")  # born at a look: there
            left = np.searchsorted(times, self._deaths[a:b], "left")
            steps = np.bincount(came, minlength=len(times) + 1) - np.bincount(left, minlength=len(times) + 1)
            found[i] = np.cumsum(steps)[: len(times)]
        return found

    def censuses(self, times: Floats, rng: Rng, chance: Floats, lasting: Floats) -> list[Seen]:
        """At each of `times` (rising) who is where. `chance[i]` that a goroutine of site i that will end does something while it is looked at.

        Of those that never will (a pool's, a leak's), `lasting[i]`.
        """
        first = np.searchsorted(times, self._births, "left")
        spans = np.searchsorted(times, self._deaths, "left") - first
        seen = np.flatnonzero(spans > 0)
        seen = seen[np.lexsort((self._ids[seen], self._site[seen]))]
        who = np.repeat(seen, spans[seen])
        ends = np.cumsum(spans[seen])
        at = np.arange(len(who)) - np.repeat(ends - spans[seen], spans[seen]) + first[who]
        order = np.argsort(at.astype(np.uint16), kind="stable")  # radix sort; a day has 288 censuses
        who = who[order]
        ids, place = self._ids[who], at[order] * len(self.sites) + self._site[who]
        chances = np.where(np.isinf(self._deaths), lasting[self._site], chance[self._site])
        ran = rng.uniform(0, 1, len(ids)) < chances[who]
        born = FIRST_GOID - 1 + np.searchsorted(self._in_order, times, "right") + self._unseen_at(times)
        found = [Seen({}, {}, highest) for highest in born.tolist()]
        starts = np.flatnonzero(np.diff(place, prepend=-1)).tolist()
        for start, end in pairwise([*starts, len(place)]):
            census, site = divmod(int(place[start]), len(self.sites))
            name, here = self.sites[site], ids[start:end]
            found[census].goids[name] = here
            if chance[site]:
                found[census].ran[name] = here[ran[start:end]]
        return found
