"""Small fleets for the tests of site judges: one instance fed with counts or censuses at a steady beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from parkwarden.aggregate.sites import SiteWindows
from parkwarden.aggregate.windows import Windows
from parkwarden.judge.fleet.places import judge_places
from parkwarden.judge.fleet.rules import Rules
from parkwarden.model import Census, Instance, Signal, SiteCounts


def fed(
    counts: Callable[[float], Mapping[str, int]],
    begin: float,
    end: float,
    beat_s: float = 60.0,
    start: float | None = 0.0,
    sites: SiteWindows | None = None,
) -> SiteWindows:
    """One instance `a` of service `pay`, looked at every `beat_s` from `begin` until `end`."""
    if sites is None:
        sites = SiteWindows()
        sites.started(Instance(id="a", labels={"service": "pay"}, start_time=start), start)
    for at in np.arange(begin, end, beat_s).tolist():
        sites.counted(SiteCounts(at, "a", counts(at)))
    return sites


def censuses(looks: Mapping[float, Mapping[str, list[int]]], per_s: float = 1.0, start: float = 0.0) -> SiteWindows:
    """One instance whose ids rise by `per_s`; each look is site -> ids."""
    sites = SiteWindows()
    sites.started(Instance(id="a", labels={"service": "pay"}, start_time=start), start)
    for at, goids in looks.items():
        ids = {site: np.array(sorted(of), np.int64) for site, of in goids.items()}
        sites.census(Census(at, "a", ids, int((at - start) * per_s)))
    return sites


def said(sites: SiteWindows, now: float, detector: str, rules: Rules | None = None) -> list[Signal]:
    """Signals of one detector."""
    return [s for s in judge_places(sites, Windows(), now, rules or Rules()) if s.detector == detector]
