"""Goroutines keep coming to a site, and those that have stayed for a while never leave.

Watches     the life table of each instance (aggregate/life.py), fed by censuses.
Why         what leaks never dies. A standing pool has no births, a burst no survivors, a crowd of websockets has departures at every age, a
            filling pool slows down: each has a life table of its own, where counts look the same.
Input       who is at the site since when, and how many left at which age (`LifeTable.left`); censuses at any distance.
Method      For each age A of `AGES_S` from `min_age_s` on: graduates G are goroutines that a census saw at the site at age A or more and that came while we watched;
            leavers L are those who left after having been seen so old, in all we remember of the site. In a crowd that stands still as many leave as graduate, so
            the chance of at most L leavers among G + 2 L such events is a coin's: Binomial(G + 2 L, 1/2). Goroutines that came in one go
            (a batch) count once. Where nothing graduated for a longer time before, the chance that it all falls into the last part of
            the watch is taken in (G - 1 times that part, at least `least_share`). On top: the arrivals must not slow down (Laplace's trend test), must still go on, and come
            from at least two intervals between censuses; leavers may be at most `leavers_share` of the graduates.
Verdicts    `leak`: chance <= `leak_p`, no slowing down. `suspect`: chance <= `suspect_p`. `unknown`: fewer than two censuses.
            Growth that began with the process may be a filling pool: below `filling_count` it stays suspect for `warm_up_s`.
Parameters  `SurvivorRule`.
If wrong    rare, long jobs (hours) that began while we watched look like this until the first of them ends; from then on its age is known
            and counts against a verdict, also after a restart.
Blind       Go before 1.23 (no census with stacks); leaks whose goroutines wander between lines; fewer than 5 survivors.
Example     12 came within 70 minutes, one by one, none of them left: 2^-12, leak.
Source      sign test; P.-S. Laplace 1773 (trend of a point process), D. R. Cox & P. A. W. Lewis 1966.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from parkwarden.aggregate.life import AGES_S
from parkwarden.aggregate.sites import SiteTable
from parkwarden.judge.fleet import tide
from parkwarden.model import Signal, Verdict

FRESH_S = 1800.0
"""A census older than this says nothing about now: six beats of five minutes were missed."""

Floats = npt.NDArray[np.float64]

NAME = "survivors"
CODE = "PW512"


@dataclass(frozen=True, slots=True, kw_only=True)
class SurvivorRule:
    """Thresholds of the survivors."""

    suspect_p: float = 0.04
    """Chance of so few leavers in a crowd that stands still: 5 survivors. Higher: more closer looks for nothing."""
    leak_p: float = 3e-4
    """The same for `leak`: 12 survivors, or 7 where the site was quiet as long before. Lower: safer and later (each halving
    costs one more survivor, ten minutes at 6 an hour)."""
    min_age_s: float = 120.0
    """Nobody younger is a survivor: requests that wait for a slow back end end with their time-out, 30 or 60 s."""
    leavers_share: float = 0.1
    """Leavers per graduate that a leak may have: its site has other traffic, and sampling errs."""
    least_share: float = 0.5
    """A long quiet time before counts at most so much: days without anything do not prove that a batch is a leak."""
    suspect_slowing: float = -2.3
    """Laplace's U (standard normal where arrivals are steady) below which arrivals slow down: 1 in 100."""
    leak_slowing: float = -1.3
    """The same for `leak`: 1 in 10 of steady leaks waits for the next census; a pool two thirds full has -2."""
    gaps: float = 5.0
    """Mean gaps between arrivals without one, after which they have stopped (e^-5 where they have not)."""
    warm_up_s: float = 14_400.0
    """Growth that began with the process may be a pool or cache that fills; below `filling_count` it stays suspect for so long."""
    settled_s: float = 1800.0
    """Growth that began within the first half hour of a process, or within the first third of its life, began with the process."""
    filling_count: int = 1000
    """Usual pools and crowds that come back after a restart are smaller."""
    filled_slowing: float = -0.5
    """Laplace's U that growth from the start of the process must have for `leak`: a pool that fills with a time constant of the watch has -2."""
    tide: float = 1.25
    """Growth of the load since the first survivor came, from which on more goroutines are no proof: pools grow with the tide."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One row that is suspect or worse."""

    row: int
    leak: bool
    held: bool
    """A leak but for the doubt that it may be filling: enough where an earlier life leaked here."""
    p: float
    age_s: float
    survivors: int
    """Scaled: how many there are."""
    leavers: float
    since: float
    rate_per_min: float
    filling: bool
    steady: bool
    """Neither filling nor slowing down nor with the load: only the chance may be lacking."""
    quiet: float
    """Part of the watch in which it all happened, 0..1."""


def coin(events: int, at_most: int) -> float:
    """P(Binomial(events, 1/2) <= at_most)."""
    return sum(math.comb(events, k) for k in range(at_most + 1)) / 2.0**events


def knows(table: SiteTable, now: float) -> bool:
    """Whether censuses are taken there: then who stays is known, and counts alone accuse nobody."""
    life = table.life
    return life.censuses >= 3 and life.last_at is not None and now - life.last_at < FRESH_S


def judge(table: SiteTable, now: float, rule: SurvivorRule) -> list[Judged]:
    """All rows of one instance that are suspect or worse."""
    life = table.life
    if life.censuses < 2 or life.last_at is None or life.first_at is None:
        return []
    everybody = life.everybody()
    slot, since, arrived = everybody.slot, everybody.since, everybody.arrived
    graduated = (arrived > life.first_at) & (arrived < life.last_at) & (life.last_at - since >= rule.min_age_s)
    if not graduated.any():
        return []
    many = np.flatnonzero(np.bincount(slot[graduated]) >= math.floor(-math.log2(rule.suspect_p)))
    out = []
    for row in many.tolist():
        mine = (slot == row) & (arrived > life.first_at)
        judged = _judge_row(table, row, since[mine], arrived[mine], now, rule)
        if judged is not None:
            out.append(judged)
    return out


def _judge_row(
    table: SiteTable, row: int, since: Floats, arrived: Floats, now: float, rule: SurvivorRule
) -> Judged | None:
    """The best case against one site, over the ages at which its healthy goroutines may be gone."""
    life = table.life
    # a recording's own time may begin at 0: only None is "not told"
    last = now if life.last_at is None else life.last_at
    first = now if life.first_at is None else life.first_at
    if len(np.unique(arrived)) < 2:
        return None
    left = life.left[row]
    scale = int(life.scales()[row])
    best: Judged | None = None
    for i, age in enumerate(AGES_S):
        if age < rule.min_age_s:
            continue
        grown = (last - since >= age) & (arrived < last)
        count = int(grown.sum())
        leavers = float(left[i + 1 :].sum()) / scale
        if count < 2:
            break
        if leavers > rule.leavers_share * (count + leavers):
            continue
        births = since[grown]
        begin, end = float(births.min()), float(births.max())
        span = max(end - begin, 1e-9)
        clumps = len(np.unique(np.floor((births - begin) / max(span / 32, age / 8))))
        share = min(
            1.0, max(rule.least_share, span * (clumps + 1) / max(clumps - 1, 1) / max(last - age - first, 1e-9))
        )
        rounded = math.ceil(leavers)
        p = coin(clumps + 2 * rounded, rounded) * share ** (clumps - 1)
        if p > rule.suspect_p or (best is not None and best.leak):
            continue
        until = last - age
        old = since[(last - since >= rule.min_age_s) & (arrived < last)]
        slowing = min(_laplace(births, first, until), _laplace(old, first, last - rule.min_age_s))
        gap = span / max(clumps - 1, 1)
        stopped = until - end > rule.gaps * gap or last - rule.min_age_s - float(old.max()) > rule.gaps * gap
        if slowing < rule.suspect_slowing or stopped:
            continue
        start = table.instance.start_time if table.instance.start_time is not None else first
        from_start = begin - start < max(span / 2, rule.settled_s)
        filling = from_start and (
            slowing < rule.filled_slowing or (now - start < rule.warm_up_s and count * scale < rule.filling_count)
        )
        strong = slowing >= rule.leak_slowing and not tide.factor(table, row, begin, last) >= rule.tide
        steady = strong and not filling
        leak = steady and p <= rule.leak_p
        held = strong and filling and p <= rule.leak_p
        rate = (count - 1) * scale / span * 60 if count > 1 else 0.0
        if best is None or leak or p < best.p:
            best = Judged(row, leak, held, p, age, count * scale, leavers * scale, begin, rate, filling, steady, share)
    return best


def _laplace(births: Floats, begin: float, end: float) -> float:
    """Laplace's trend test: standard normal for steady arrivals in (begin, end), negative where they slow down."""
    spread = max(end - begin, 1e-9) / math.sqrt(12 * len(births))
    return (float(births.mean()) - (begin + end) / 2) / spread


def signals(table: SiteTable, judged: list[Judged], now: float) -> list[Signal]:
    """What to say about them."""
    names = {row: site for site, row in table.rows.items()}
    out = []
    for j in judged:
        if j.row not in names:
            continue
        doubt = " (may be filling: it has grown since the process began)" if j.filling else ""
        count = int(table.recent[j.row, -1])
        leavers = "none of them left" if j.leavers < 0.5 else f"{j.leavers:.0f} left"
        out.append(
            Signal(
                detector=NAME,
                code=CODE,
                at=now,
                instance=table.instance.id,
                site=names[j.row],
                verdict=Verdict.LEAK if j.leak else Verdict.SUSPECT,
                confidence=0.97 if j.leak else 0.35 if doubt else 0.6,
                count=count,
                rate_per_min=j.rate_per_min,
                since=j.since,
                numbers={
                    "p_value": j.p,
                    "survivors": j.survivors,
                    "leavers": j.leavers,
                    "age_s": j.age_s,
                    "watch_share": j.quiet,
                },
                text=f"{j.survivors} goroutines have come and stayed for over {j.age_s / 60:.0f} min, {leavers}, "
                f"chance {j.p:.1g} in a crowd that stands still{doubt}",
            )
        )
    return out
