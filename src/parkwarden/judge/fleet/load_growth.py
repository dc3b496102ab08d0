"""The site grows and the load does not.

Watches     sites whose floor rises, against the requests per second of the same instance.
Why         more requests bring more goroutines and take them away again; growth that does not follow the load is not the load's.
Input       what site_floor_growth found (`Rise`), its `factor`: growth of the load over the same span.
Verdicts    `suspect` where the load is told, grew by less than `flat` and the site by more than `growth`. Growth that does follow the load is
            acquitted where it is judged (site_floor_growth, survivors: tide.py), so it makes no signal here.
Parameters  `LoadRule`.
If wrong    load that shifts from cheap to dear requests looks the same; it only adds to what the floor says already.
Blind       instances that tell no requests and have fewer than four other busy sites.
Example     floor 12 -> 30 in 40 min, requests 200/s -> 204/s: suspect.
Source      facts of the field: no public tool divides goroutines by load.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from parkwarden.aggregate.sites import SiteTable
from parkwarden.judge.fleet.site_floor_growth import Rise
from parkwarden.model import Signal, Verdict

NAME = "load-growth"
CODE = "PW514"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRule:
    """Thresholds of growth against load."""

    flat: float = 1.1
    """Growth of the load up to which it counts as steady: the noise of a few minutes of requests. Higher: tides accuse."""
    growth: float = 1.5
    """Growth of the site's floor that accuses then. Lower: noise of small sites accuses."""


def judge(rises: Mapping[int, Rise], rule: LoadRule) -> list[Rise]:
    """Those that rose without the load."""
    return [r for r in rises.values() if r.factor <= rule.flat and r.first + r.rise >= rule.growth * max(r.first, 1.0)]


def signals(table: SiteTable, judged: list[Rise], now: float) -> list[Signal]:
    """What to say about them."""
    names = {row: site for site, row in table.rows.items()}
    return [
        Signal(
            detector=NAME,
            code=CODE,
            at=now,
            instance=table.instance.id,
            site=names[r.row],
            verdict=Verdict.SUSPECT,
            confidence=0.4,
            count=int(table.recent[r.row, -1]),
            rate_per_min=r.per_s * 60,
            since=r.since,
            numbers={
                "load_factor": r.factor,
                "site_factor": (r.first + r.rise) / max(r.first, 1.0),
                "span_s": r.span_s,
            },
            text=f"the site grew {(r.first + r.rise) / max(r.first, 1.0):.1f}-fold while the load went to {r.factor:.0%} of what it was",
        )
        for r in judged
        if r.row in names
    ]
