"""Looks -> events: the one way from what a look brought to what the engine is told, for a fleet, a check and files. Pure.

    teller = Teller(emit)
    teller.sites("10.1.2.3:6060", Source.CENSUS, sites_of(snapshot), at)

A goroutine profile makes a `SiteCounts`, a leak profile a `Leaked`, a census or a text dump a `Census`. A census that names hardly any
stacks (Go 1.22 and older) and a dump that lost goroutines make none: whoever they leave out would seem to have ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from parkwarden.collect.fleet.sites import Sites
from parkwarden.model.events import Census, Event, Leaked, Named, SiteCounts
from parkwarden.model.site import Site
from parkwarden.model.snapshot import Source

MAX_NAMED = 200_000
"""Site ids remembered as named; beyond, all are named again when they next occur."""


class Teller:
    """What was told of all instances. `emit` gets every event."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._named: dict[str, bool] = {}  # whether its creator was told
        self._highest: dict[str, int] = {}

    def sites(self, instance: str, source: Source, found: Sites, at: float) -> bool:
        """Tell what a look saw. False if it is a census or a dump that cannot say who is there."""
        if source in (Source.CENSUS, Source.DUMP) and (found.unknown > found.total // 2 or found.lost):
            return False
        self._name(found.named)
        if source is Source.PROFILE:
            self._emit(SiteCounts(at, instance, found.counts))
        elif source is Source.LEAK_PROFILE:
            self._emit(Leaked(at, instance, found.counts))
        elif found.goids:
            highest = self._highest[instance] = max(found.max_goid, self._highest.get(instance, 0))
            self._emit(Census(at, instance, found.goids, highest, found.unknown, found.ran))
            if found.leaked:
                self._emit(Leaked(at, instance, found.leaked))
        return True

    def new_life(self, instance: str) -> None:
        """The process began anew, or is gone: its ids begin anew, too."""
        self._highest.pop(instance, None)

    def _name(self, sites: Mapping[str, Site]) -> None:
        """Name sites at their first occurrence, and once more when a look first tells who creates their goroutines."""
        named = self._named
        for site in sites.values():
            known = named.get(site.id)
            created = site.created_by is not None
            if known is None or (created and not known):
                if len(named) >= MAX_NAMED:
                    named.clear()
                named[site.id] = created
                self._emit(Named(site))
