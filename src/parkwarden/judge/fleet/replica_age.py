"""The older the replica, the more goroutines at this line.

Watches     the newest count of each site over all replicas of a service that run one version, against their ages.
Why         replicas share the load; what depends on age and not on load accumulates. One look at a fleet with ages is evidence already.
Input       `SiteWindows`: newest counts, `Instance.start_time`, `version`; replicas looked at within `FRESH_S`.
Method      Kendall's test of count against age, exact; the oldest third must have at least `rise` more than the youngest; the trend must go on among
            the older half (what fills up stops there); and most other sites must not do the same (then it is the whole process: traffic
            that comes back after a restart).
Verdicts    `suspect`. `unknown` (no signal) with fewer than `replicas`, or ages that differ too little. Where the count goes on with age in a straight line, past
            the age at which pools are full (`filled_s`), growth that began with the process is no filling: what another judge held back for that doubt
            alone becomes its `leak`.
Parameters  `AgeRule`.
If wrong    a cache that fills for days looks the same.
Blind       deploys that restart all replicas at once.
Example     ages 1, 2, 5, 9, 20 h with 4, 9, 22, 41, 90 goroutines: chance 1 in 120, suspect.
Source      M. G. Kendall 1938.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from parkwarden.aggregate.sites import SiteTable, SiteWindows
from parkwarden.judge.fleet import kendall
from parkwarden.model import ServiceKey, Signal, Verdict

NAME = "replica-age"
CODE = "PW515"

FRESH_S = 900.0
"""A replica not looked at for longer says nothing about now."""
BEAT_S = 60.0
"""Replicas of one service are compared at most so often: ages do not change within a minute."""
REPLICAS_MAX = 64
"""Replicas compared at once, spread evenly over the ages: 64 give any chance one wants, and exact ones cost their square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeRule:
    """Thresholds of the comparison across replicas."""

    replicas: int = 5
    """Fewer cannot reach the chance: 4 are in order by accident once in 24."""
    age_ratio: float = 2.0
    """The oldest must be so many times as old as the youngest."""
    age_spread_s: float = 600.0
    """And older by so much."""
    p: float = 0.01
    """Chance of such an order. Lower: needs more replicas."""
    rise: float = 10.0
    """Goroutines the oldest third must have more than the youngest."""
    others: float = 0.5
    """Share of the other busy sites that may do the same before it is the process and not the line."""
    line_p: float = 1e-3
    """Chance of the order from which on a straight line ends the doubt that something may be filling: 7 replicas in order."""
    line_steady: float = 0.7
    """Growth per hour among the older replicas over that among the younger. A pool filling with time constant T has 0.37 over 2 T."""
    filled_s: float = 14_400.0
    """The oldest must have passed this age: usual pools and caches are full after four hours."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One site that ages."""

    site: str
    worst: str
    p: float
    replicas: int
    rate_per_min: float
    young: float
    old: float
    count: int
    line: bool
    """It goes on with age in a straight line, past the age at which pools are full."""


def judge(sites: SiteWindows, service: ServiceKey, now: float, rule: AgeRule) -> list[Judged]:
    """Sites of one service whose count goes with the age of the replica."""
    tables = _replicas(sites, service, now)
    if len(tables) < rule.replicas:
        return []
    ages = np.array([now - (t.instance.start_time or 0.0) for t in tables])
    if ages[-1] < rule.age_ratio * max(ages[0], 1.0) or ages[-1] - ages[0] < rule.age_spread_s:
        return []
    names = sorted({site for t in tables for site in t.rows})
    counts = np.zeros((len(names), len(tables)))
    place = {site: i for i, site in enumerate(names)}
    for k, table in enumerate(tables):
        for site, row in table.rows.items():
            counts[place[site], k] = max(int(table.recent[row, -1]), 0)
    third, half = max(len(tables) // 3, 1), len(tables) // 2
    young, old = np.median(counts[:, :third], axis=1), np.median(counts[:, -third:], axis=1)
    busy = np.flatnonzero(counts.max(axis=1) >= rule.rise)
    if not len(busy):
        return []
    _, _, p = kendall.trend(counts[busy])
    s_old, _, _ = kendall.trend(counts[busy][:, half:])
    ageing = (p <= rule.p) & (old[busy] - young[busy] >= rule.rise) & (s_old > 0)
    if ageing.sum() > 1 and ageing.mean() > rule.others:
        return []
    out = []
    for k in np.flatnonzero(ageing).tolist():
        mine = counts[busy[k]]
        rate = _slope(ages, mine) * 60
        worst = int(np.argmax(mine))
        at = busy[k]
        where = tables[worst].instance.id
        line = bool(p[k] <= rule.line_p and ages[-1] >= rule.filled_s and _goes_on(ages, mine, rule.line_steady))
        ends = float(young[at]), float(old[at])
        out.append(Judged(names[at], where, float(p[k]), len(tables), rate, *ends, int(mine[worst]), line))
    return out


def _replicas(sites: SiteWindows, service: ServiceKey, now: float) -> list[SiteTable]:
    """Replicas of the service's commonest version that were looked at lately and tell when they began, youngest first."""
    tables = [sites.tables[i] for i in sites.instances_of(service)]
    tables = [
        t for t in tables if t.instance.start_time is not None and t.last_at is not None and now - t.last_at <= FRESH_S
    ]
    if not tables:
        return []
    version = Counter(t.instance.version for t in tables).most_common(1)[0][0]
    tables = [t for t in tables if t.instance.version == version]
    tables.sort(key=lambda t: (-(t.instance.start_time or 0.0), t.instance.id))
    if len(tables) > REPLICAS_MAX:
        tables = [tables[i] for i in np.linspace(0, len(tables) - 1, REPLICAS_MAX).astype(int).tolist()]
    return tables


def _goes_on(ages: np.ndarray, counts: np.ndarray, share: float) -> bool:
    """Whether the older replicas grow as the younger do, per hour of age; half a sigma of such counts is forgiven."""
    third = max(len(ages) // 3, 1)
    parts = slice(0, third), slice(third, -third), slice(-third, None)
    (a, b, c), (x, y, z) = ([float(np.median(column[part])) for part in parts] for column in (ages, counts))
    if not a < b < c:
        return False
    return bool((z - y) / (c - b) >= share * (y - x) / (b - a) - 0.5 * max(z, 1.0) ** 0.5 / (c - b))


def _slope(ages: np.ndarray, counts: np.ndarray) -> float:
    """Median slope between replicas (Theil-Sen), goroutines per second of age."""
    i, j = np.triu_indices(len(ages), 1)
    apart = ages[j] - ages[i]
    use = apart > 0
    return float(np.median((counts[j] - counts[i])[use] / apart[use])) if use.any() else 0.0


def signals(judged: list[Judged], now: float) -> list[Signal]:
    """What to say: once per site, at the replica that has most."""
    return [
        Signal(
            detector=NAME,
            code=CODE,
            at=now,
            instance=j.worst,
            site=j.site,
            verdict=Verdict.SUSPECT,
            confidence=0.75 if j.p <= 1e-4 else 0.5,
            count=j.count,
            rate_per_min=j.rate_per_min,
            numbers={"p_value": j.p, "replicas": j.replicas, "young_count": j.young, "old_count": j.old},
            text=f"over {j.replicas} replicas of one version the count goes with age, from {j.young:.0f} in the youngest to {j.old:.0f} "
            f"in the oldest, chance {j.p:.1g}",
        )
        for j in judged
    ]
