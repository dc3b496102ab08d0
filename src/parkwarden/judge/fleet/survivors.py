"""Goroutines keep coming to a site, and those that have stayed for a while never leave.

Watches     the life table of each instance (aggregate/life.py), fed by censuses.
Why         what leaks never dies. A standing pool has no births, a burst no survivors, a crowd of websockets has departures at every age, a
            filling pool slows down: each has a life table of its own, where counts look the same.
Input       who is at the site since when, and how many left at which age (`LifeTable.left`); censuses minutes or hours apart (seconds: close_look.py).
Method      For each age A of `AGES_S` from the least that counts on: graduates are goroutines that reached A at the site while we watched and were seen in
            two censuses, leavers those who left after having been seen so old, in all we remember of the site. What came in one go counts once. Two stories
            are weighed (settled.py): a crowd that has settled, whatever its rate and stay, and arrivals that began some time and of
            whom nobody leaves. Besides, leavers may be at most `leavers_share` of the graduates; arrivals must still go on, must not slow
            down (Laplace's trend test), must come from several intervals between censuses, and must not have come with the tide (tide.py): of a rising load
            only the part of the watch counts in which it stood still, and what stood there may not have grown merely as the load may have.
            The least age follows the beat: four censuses, at most `min_age_s`; where a client is being served (serving.py), `min_age_s` always.
            Who comes so slowly that it may be people waits for the load to stop rising, unless at the load's slope a whole day would bring over `tide_crowd`.
            Survivors that were seen to run are at work: leaks that tick exist, but they must last for `working_s`, and come in a line.
            Who stayed for as long as the older half of the survivors and left makes them people who stay for hours.
Verdicts    `leak`: odds >= `leak_odds` (`fresh_odds` in the first `fresh_s` of a watch), nothing in doubt. `suspect`: odds >= `suspect_odds`. `unknown`: fewer than two censuses.
            Growth that began with the process, went on before the watch no slower, or is no more than an earlier life had (`LifeTable.stood`) may be a filling
            pool: suspect until a straight line is `line_odds` likelier than a pool that takes `fills_s`, of batches and of what came after a long silence, too.
            Growth that began before the watch may be a heap that waits for its batch: suspect until it is `heap_s` old.
Parameters  `SurvivorRule`.
If wrong    a settled crowd, whatever its rate and stay and however often one looks, is accused in less than 1 of `leak_odds` site histories (Ville's
            inequality; 1 of 100 where 20 was asked, tests/judge/fleet/test_settled.py), and only before anybody of it has ever left. What is no settled crowd was
            counted (docs/accuracy.md): 3 false in 3,000 simulated first days of ordinary services before more was asked of a fresh watch, none of these after it;
            1 in 591 of a seed looked at afterwards; 1 in 162 of hostile services of 40 look-alikes.
Blind       Go before 1.23 above 500 goroutines (no ids); leaks whose goroutines wander between lines; fewer than 4 survivors.
Example     5 came within 50 minutes, one by one, after two quiet hours, none of them left: over 100 times likelier than a settled crowd, leak.
Source      settled.py; P.-S. Laplace 1773 (trend of a point process), D. R. Cox & P. A. W. Lewis 1966.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from parkwarden.aggregate.life import AGES_S, Everybody
from parkwarden.aggregate.sites import SiteTable
from parkwarden.judge.fleet import laplace, serving, tide
from parkwarden.judge.fleet.settled import log_odds, log_odds_young
from parkwarden.model import Signal, Verdict
from parkwarden.model.words import seconds

if TYPE_CHECKING:
    from parkwarden.aggregate.sites import SiteWindows

FRESH_S = 1800.0
"""A census older than this says nothing about now: six beats of five minutes were missed."""

AGES_TRIED = 3
"""Ages at which a site is judged, from the first on at which few enough left: with each the graduates are fewer, and the odds with them."""

TIDE_S = 3600.0
"""A tide takes hours: where nobody stood before, a shorter growth of the load below `SURGE` makes no heap from nothing."""
BURST_S = 1800.0
"""The load is compared over no less: within a burst of a quarter of an hour it does not rise, and pools have grown by it."""
SURGE = 2.0
"""Growth of the load within minutes that may bring what never was there."""
WITNESSED_S = 4 * 3600.0
"""Beyond this other sites are no witness of the load: over hours some fill, some drain."""
FEW = 3
"""Survivors that came while we watched, without which dates of birth from before say nothing about now; and who stood there, that make a past."""
GAP_P = 1e-3
"""Chance that steady arrivals leave so long a gap anywhere, below which they are not one line."""
BATCHED = 2.0
"""Unevenness from which on goroutines come in batches, as a pool's with each new peak: steady ones are below in 99 of 100."""
SLOWER = 3.0
"""Times faster than before the watch must they come for growth to have begun with it."""

CUTS = 3
"""How often the watch is halved to find a part of it without a tide."""

Floats = npt.NDArray[np.float64]

NAME = "survivors"
CODE = "PW512"


@dataclass(frozen=True, slots=True, kw_only=True)
class SurvivorRule:
    """Thresholds of the survivors."""

    suspect_odds: float = 3.0
    """How much likelier growth must be than a settled crowd. Lower: more closer looks for nothing."""
    leak_odds: float = 45.0
    """The same for `leak`: 4 or 5 survivors within an hour or 6 within six, after some quiet hours. Higher: safer and later (each doubling costs
    about half a survivor)."""
    fresh_odds: float = 1000.0
    """The same while the watch is younger than `fresh_s`: how old a healthy one may get there has hardly been seen, and slow requests come in clusters."""
    fresh_s: float = 5400.0
    """By then a site's rare long requests have shown themselves."""
    growth: float = 0.5
    """Survivors that must have come for each that stood there before: a pool that grows to the greatest need so far is at its limit most of the time."""
    unseen_odds: float = 100.0
    """Where growth was not seen to begin, dates of birth must be so many times likelier: pools that follow their peaks have such dates."""
    odds_each: float = 0.2
    """Log odds asked more for each further survivor: of a leak each triples them; where dozens came and the odds are still low, a pool grows with its day."""
    odds_most: float = 12.0
    """But at most so much."""
    odds_left: float = 1.0
    """And for each who left at that age: the slowest of a queue's requests look like survivors now and then; a leak is as likely at the next age, of which nobody leaves."""
    young_odds: float = 8.0
    """The same against a crowd that began with the watch and stays `heap_s` on average without having lost anybody yet."""
    working_s: float = 9000.0
    """Where survivors were seen to run they may be people with something to say to: suspect for so long. Leaks that tick wait for it."""
    working_count: int = 30
    """And until so many have stayed: a few who stay for hours are subscribers."""
    least: int = 4
    """Survivors (each batch one) below which nothing is said: four are an accident."""
    intervals: int = 3
    """Intervals between censuses in which survivors must have come: a batch falls into one, at worst two."""
    batch: float = 20.0
    """So many between two looks, and as many as stayed, are a batch; below, healthy traffic of the site makes such steps."""
    apart: float = 0.6
    """And which lie so far apart, in beats: a burst takes a minute."""
    crowd: int = 7
    """Survivors from which on two intervals are enough: what spreads so evenly over both is no batch."""
    min_age_s: float = 120.0
    """Nobody younger is a survivor where censuses are minutes apart or a client waits: requests end with their time-out, 30 or 60 s."""
    beats: float = 4.0
    """The least age in beats of the censuses: who is gone after fewer was seen too seldom to say when."""
    leavers_share: float = 0.25
    """Leavers per graduate that a leak may have: its site has other traffic, and sampling errs."""
    old_leavers: float = 1.5
    """Leavers as old as the older half of the survivors, from which on they are people who stay for hours: of a leak nobody so old leaves."""
    old_leavers_share: float = 0.02
    """The same per survivor: somebody is counted as gone who only was elsewhere in that moment."""
    suspect_slowing: float = -2.3
    """Laplace's U (standard normal where arrivals are steady) below which arrivals slow down: 1 in 100."""
    leak_slowing: float = -1.3
    """The same for `leak`: 1 in 10 of steady leaks waits for the next census; a pool two thirds full has -2."""
    stopped_p: float = 0.02
    """Chance of so long a time without arrivals since the last, where they go on: below, they have stopped."""
    fills_s: float = 10_800.0
    """Growth that began with the process may be a pool or cache that fills, ever slower, with at most this time constant."""
    line_odds: float = 300.0
    """How much likelier a straight line must be than such a filling: 360 an hour show it after about an hour and a half, 60 after three, 6 after seven."""
    heap_s: float = 9000.0
    """Growth that began before the watch may be a heap that waits for its batch (every hour, every two): it stays suspect until it is so old."""
    settled_s: float = 1800.0
    """Growth that began within the first half hour of a process, or a quarter of its own length after it, began with the process."""
    settled_gaps: float = 5.0
    """Or within so many of its own mean gaps between arrivals: a slow filling may begin late."""
    filling_count: int = 1000
    """Usual heaps that wait for a batch are smaller."""
    hang_per_h: float = 1800.0
    """What comes so fast may be all requests of a site that hang on a slow back end: suspect until `hang_s` old."""
    hang_s: float = 660.0
    """Usual time-outs are ten minutes at most."""
    people_per_h: float = 240.0
    """No crowd of people comes to one process faster for long. What comes more slowly is suspect while the load rises, or as long as nobody can know."""
    tide_crowd: float = 500.0
    """What a day's whole tide may bring to one process where nobody stood; who comes faster beside the load's slope than that is not brought by it."""
    tide: float = 1.25
    """Growth of the load from which on more goroutines are no proof: pools grow with the tide."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One row that is suspect or worse."""

    row: int
    leak: bool
    held: bool
    """A leak but for the doubt that it may be filling: enough where an earlier life leaked here."""
    odds: float
    """How much likelier growth is than a settled crowd."""
    age_s: float
    survivors: int
    """Scaled: how many there are."""
    leavers: float
    since: float
    rate_per_min: float
    filling: bool
    steady: bool
    """Neither filling nor slowing down nor with the load: only the odds may be lacking."""


@dataclass(frozen=True, slots=True)
class _Watch:
    """What is the same for all sites of one instance."""

    first: float
    """Watched since."""
    previous: float
    last: float
    gap: float
    start: float
    """The process's, as told, as its ids say, or the first census."""
    rule: SurvivorRule

    @property
    def least_age(self) -> float:
        return min(self.rule.beats * self.gap, self.rule.min_age_s)

    def until(self, old: float) -> float:
        """Who is so old and was seen twice was born before."""
        return min(self.last - old, self.previous)


def knows(table: SiteTable, now: float) -> bool:
    """Whether censuses are taken there: then who stays is known, and counts alone accuse nobody."""
    life = table.life
    return life.censuses >= 3 and life.last_at is not None and now - life.last_at < FRESH_S


def judge(table: SiteTable, now: float, rule: SurvivorRule, sites: SiteWindows | None = None) -> list[Judged]:
    """All rows of one instance that are suspect or worse. `sites` says what they are; without it nobody is known to serve a client."""
    life = table.life
    if life.first_at is None or life.last_at is None or life.previous_at is None:
        return []
    began = life.began_at if table.instance.start_time is None else table.instance.start_time
    # looks that are suddenly dense after a long watch see no more of the past than the watch did
    gap = max(life.gap_s, (life.last_at - life.first_at) / 100)
    watch = _Watch(life.first_at, life.previous_at, life.last_at, gap, life.first_at if began is None else began, rule)
    everybody = life.everybody()
    seen_twice = (everybody.arrived < watch.last) & (watch.last - everybody.since >= watch.least_age)
    came = np.bincount(everybody.slot[seen_twice & (everybody.since > watch.first - watch.least_age)])
    many = np.flatnonzero((came >= FEW) & _going(everybody, len(came), watch))
    if not len(many):
        return []
    gone = np.cumsum(life.left[many, ::-1], axis=1)[:, ::-1] / life.scales()[many, None]
    names = {row: name for name, row in table.rows.items()} if sites is not None else {}
    out = []
    for row, left in zip(many.tolist(), gone, strict=True):
        least = watch.least_age
        if sites is not None and row in names and least < rule.min_age_s and _client_waits(table, row, names, sites):
            least = rule.min_age_s
        mine = everybody.slot == row
        judged = _judge_row(table, row, _of(everybody, mine), left, watch, least)
        if judged is not None:
            out.append(judged)
    return out


def _going(everybody: Everybody, sites: int, watch: _Watch) -> npt.NDArray[np.bool_]:
    """By site: not so long without arrivals that `_stopped` must say so; one pass over all, since most crowds are full."""
    aged = (watch.last - everybody.since >= watch.least_age) & (everybody.slot < sites)
    newest, oldest = np.full(sites, -np.inf), np.full(sites, np.inf)
    np.maximum.at(newest, everybody.slot[aged], everybody.since[aged])
    np.minimum.at(oldest, everybody.slot[aged], everybody.since[aged])
    until = watch.last - watch.least_age
    going: npt.NDArray[np.bool_] = (newest - oldest) ** (watch.rule.least - 1) >= watch.rule.stopped_p * (
        until - oldest
    ) ** (watch.rule.least - 1)
    return going


def _of(everybody: Everybody, rows: npt.NDArray[np.bool_]) -> Everybody:
    return Everybody(everybody.slot[rows], everybody.since[rows], everybody.arrived[rows], everybody.worked[rows])


def _client_waits(table: SiteTable, row: int, names: dict[int, str], sites: SiteWindows) -> bool:
    """Whether goroutines of this site answer clients who are still there."""
    site = sites.site(names[row])
    if not serving.serves(site):
        return False
    if not serving.http1(site):
        return True
    readers = sum(int(table.recent[r, -1]) for r, name in names.items() if serving.reads(sites.site(name)))
    return int(table.recent[row, -1]) <= readers


def _judge_row(
    table: SiteTable, row: int, here: Everybody, left: npt.NDArray[np.floating], watch: _Watch, least: float
) -> Judged | None:
    """The best case against one site, over the ages at which its healthy goroutines may be gone."""
    rule = watch.rule
    age = watch.last - here.since
    twice = here.arrived < watch.last
    best: Judged | None = None
    tried = 0
    for i, old in enumerate(AGES_S):
        if old < least:
            continue
        grown = twice & (age >= old)
        if tried == AGES_TRIED or int(grown.sum()) < rule.least:
            break
        leavers = float(left[i + 1])
        came = int((grown & (here.since > watch.first - old)).sum())
        if leavers > rule.leavers_share * (came + leavers):
            continue
        tried += 1
        halfway = int(np.searchsorted(AGES_S, float(np.median(age[grown])), side="right"))
        case = _case(table, row, here, grown, leavers, old, watch, left_old=float(left[max(halfway, i + 1)]))
        if case is not None and (best is None or (case.leak, case.held, case.odds) > (best.leak, best.held, best.odds)):
            best = case
        if best is not None and best.leak:
            break
    return best


@dataclass(frozen=True, slots=True)
class _Heap:
    """Survivors of one age at one site: those who came while we watched, on top of those who stood there before; each batch is one."""

    births: Floats
    everyone: Floats
    """The same with all of each batch."""
    until: float
    """Who is so old was born before."""
    standing: int
    """Batches that stood there before, and how many goroutines they were."""
    before: int
    odds: float
    came: int
    """Of the births, those while we watched."""

    @property
    def begin(self) -> float:
        return float(self.births[0])

    def uneven(self) -> float:
        """Variance of their numbers over time, in Poisson's."""
        return laplace.uneven(self.everyone, self.begin, self.until)

    def slowing(self) -> float:
        """Laplace's U of all but the first, which begins the time they are tested over; batches count as the less the larger they are."""
        return laplace.trend(self.everyone[1:], self.begin, self.until, self.uneven())


def _case(
    table: SiteTable,
    row: int,
    here: Everybody,
    grown: npt.NDArray[np.bool_],
    leavers: float,
    old: float,
    watch: _Watch,
    left_old: float,
) -> Judged | None:
    """The case at one age: odds first, then the doubts. `left_old`: who left older than half of the survivors are."""
    rule = watch.rule
    since = np.sort(here.since[grown])
    heap = _heap(since, leavers, old, watch.first, watch)
    if heap is None or heap.odds < math.log(rule.suspect_odds):
        return None
    first, begin, slowing = heap, heap.begin, heap.slowing()
    if slowing < rule.suspect_slowing or _stopped(here, heap.births, watch):
        return None
    tide_s = _still_since(table, row, begin, heap.standing, watch)
    if tide_s is None:
        return None
    if tide_s > begin:
        heap = _heap(since, leavers, old, tide_s, watch)
        if heap is None or heap.odds < math.log(rule.suspect_odds):
            return None
        slowing = min(slowing, heap.slowing())
        if slowing < rule.suspect_slowing or _stopped(here, heap.births, watch):
            return None
    if len(heap.births) < rule.growth * heap.before:
        return None
    # seen once is enough to say that they go on coming
    aged = (watch.last - here.since >= watch.least_age) & (here.since >= heap.begin)
    intervals = len(np.unique(here.arrived[aged]))
    came = np.sort(here.since[aged])
    if intervals < 2 or (
        intervals < rule.intervals
        and (len(_clumps(came, watch.least_age)) < rule.crowd or came[-1] - came[0] < rule.apart * watch.gap)
    ):
        return None
    scale = int(table.life.scales()[row])
    count = int((since >= heap.begin).sum()) * scale
    if _at_once(table, row, begin, count, rule):
        return None
    working = bool(here.worked[grown].any())
    more = min(rule.odds_each * (heap.came - rule.least), rule.odds_most) + rule.odds_left * leavers
    asked = rule.fresh_odds if watch.last - watch.first < rule.fresh_s else rule.leak_odds
    enough = heap.odds >= math.log(asked) + more
    strong = bool(slowing >= rule.leak_slowing) and not _explained(table, row, since, begin, watch)
    span = max(watch.previous - heap.begin, 1e-9)
    per_h = (count - scale) / span * 3600.0
    known = len(since) * scale <= float(table.life.stood[row, AGES_S.index(old) + 1])
    whole = _whole(first, since, old, watch)
    filling = (_new(whole, watch) or known or working) and not _line(_since_the_gap(whole), slowing, rule)
    filling = filling or left_old > max(rule.old_leavers, rule.old_leavers_share * len(since))
    filling = filling or _doubtful(table, row, watch, begin=begin, count=count, per_h=per_h, working=working)
    return Judged(
        row=row,
        leak=enough and strong and not filling,
        held=enough and strong and filling,
        odds=math.exp(min(heap.odds, 200.0)),
        age_s=old,
        survivors=count,
        leavers=leavers * scale,
        since=begin,
        rate_per_min=(count - scale) / max(min(watch.previous, watch.last - old) - heap.begin, 1e-9) * 60,
        filling=filling,
        steady=strong and not filling,
    )


def _whole(heap: _Heap, since: Floats, old: float, watch: _Watch) -> _Heap:
    """The heap with those who stood there before, where they had come one by one, no slower, and until we watched: its growth was not seen to begin."""
    edge = watch.first - old
    before = _clumps(since[since <= edge], old)
    if heap.standing < FEW or len(before) < FEW:
        return heap
    pace = len(heap.births) / max(heap.until - edge, 1e-9)
    went_on = (edge - float(before[-1])) * pace <= FEW
    if not went_on or (len(before) - 1) * SLOWER < pace * float(before[-1] - before[0]):
        return heap
    return replace(heap, births=_clumps(since, old), everyone=since)


def _since_the_gap(whole: _Heap) -> _Heap:
    """Only who came after the longest time without arrivals, where it is longer than those of one line are: it is two stories then, the later is on trial."""
    births = whole.births
    gaps = np.diff(births)
    k = int(gaps.argmax())
    share = float(gaps[k]) / max(whole.until - whole.begin, 1e-9)
    if len(births) - k - 1 < FEW or len(gaps) * (1.0 - share) ** len(gaps) >= GAP_P:
        return whole
    return replace(whole, births=births[k + 1 :], everyone=whole.everyone[whole.everyone >= births[k + 1]])


def _new(whole: _Heap, watch: _Watch) -> bool:
    """Whether growth may have begun with the process: soon after it, by the clock, by its own length, or by its own pace."""
    gap = (float(whole.births[-1]) - whole.begin) / (len(whole.births) - 1)
    soon = max((watch.last - whole.begin) / 4, watch.rule.settled_s, watch.rule.settled_gaps * gap)
    return whole.begin - watch.start < soon


def _doubtful(
    table: SiteTable, row: int, watch: _Watch, *, begin: float, count: int, per_h: float, working: bool
) -> bool:
    """Whether it may be a heap that waits for its batch, people who came to stay, or requests that hang."""
    rule = watch.rule
    length = watch.last - begin
    if per_h >= rule.hang_per_h and length < rule.hang_s:
        return True  # whoever hangs on a slow back end leaves with its time-out
    if count >= rule.filling_count:
        return False
    if begin - watch.first < max(length / 4, rule.settled_s) and length < rule.heap_s:
        return True  # its growth was not seen to begin
    if working and (length < rule.working_s or count < rule.working_count):
        return True
    # who comes in the morning stays for hours: while the load rises, or as long as nobody knows, it may be they
    flank = tide.flank(table, row)
    return per_h < rule.people_per_h and not flank.over and not _too_many(flank, per_h, rule)


def _too_many(flank: tide.Flank, per_h: float, rule: SurvivorRule) -> bool:
    """Whether they come so much faster than the load rises that a whole day's tide would bring a crowd no process has."""
    known = flank.error < tide.FLANK_BLIND and flank.per_h > 0
    return known and per_h / flank.per_h * tide.UNSEEN_MOST > rule.tide_crowd


def _heap(since: Floats, leavers: float, old: float, first: float, watch: _Watch) -> _Heap | None:
    """Who (`since`, rising) came since `first`, weighed against who stood there; or, where that says more, all of them by their dates of birth."""
    until = watch.until(old)
    edge = first - old  # who was born later reached the age while we watched
    grown = int(np.searchsorted(since, edge, "right"))
    came = since[grown:]
    births, standing = _clumps(came, old), len(_clumps(since[:grown], old))
    watched = until - edge
    best: _Heap | None = None
    if len(births) >= watch.rule.least:
        exposure = float((until - births).sum()) + standing * watched
        span = until - float(births[0])
        told = {"span_s": span, "watch_s": watched, "exposure_s": exposure}
        odds = log_odds(standing, len(births), leavers, **told)
        # odds of two stories side by side: each limit is met where the lesser excess is
        young = log_odds_young(len(births), leavers, **told, stay_s=watch.rule.heap_s)
        odds = min(odds, young + math.log(watch.rule.leak_odds / watch.rule.young_odds))
        best = _Heap(births, came, until, standing, grown, odds, len(births))
    if standing and watch.start < watch.first and first == watch.first and len(births) >= FEW:
        every = _clumps(since, old)
        if len(every) >= watch.rule.least:
            odds = log_odds(
                0,
                len(every),
                leavers,
                span_s=until - every[0],
                watch_s=watched,
                exposure_s=float((until - every).sum()),
                onset_s=until - watch.start,
            )
            # crowds in which all stay equally long have ages as even as these: of them the coin speaks, who came while nobody left
            odds = min(odds, len(births) * math.log(2.0) - math.log(watch.rule.unseen_odds))
            if best is None or odds > best.odds:
                best = _Heap(every, since, until, 0, 0, odds, len(births))
    return best


def _clumps(births: Floats, old: float) -> Floats:
    """The first of each batch (`births` rise): what came within a 24th of the age judged, or a 64th of it all, came together."""
    if len(births) < 2:
        return births
    width = max((births[-1] - births[0]) / 64, old / 24)
    firsts = np.floor((births - births[0]) / width)
    apart: Floats = births[np.concatenate([[True], firsts[1:] > firsts[:-1]])]
    return apart


def _still_since(table: SiteTable, row: int, begin: float, standing: int, watch: _Watch) -> float | None:
    """Since when (at the earliest `begin`) the load has not grown by more than a tide may explain; None: it still does."""
    since = begin
    for _ in range(CUTS + 1):
        factor = tide.factor(table, row, min(since, watch.last - BURST_S), watch.last)
        sudden = not standing and watch.last - since < TIDE_S and factor < SURGE
        if sudden or not factor >= watch.rule.tide:
            return since
        since = (since + watch.last) / 2
    return None


def _explained(table: SiteTable, row: int, since: Floats, begin: float, watch: _Watch) -> bool:
    """Whether all that stands there grew no more, from its first tenth on, than the load did, or, where nobody tells it, a healthy day may bring."""
    length = watch.last - begin
    early = int((since <= begin + length / 10).sum())
    most = tide.growth(table, begin, watch.last, row).most
    if math.isnan(most) or (length > WITNESSED_S and not tide.told(table)):
        most = max(tide.unseen(length), 1.0 if math.isnan(most) else most)
    return len(since) < early * most


def _at_once(table: SiteTable, row: int, begin: float, count: int, rule: SurvivorRule) -> bool:
    """Whether most came between two looks: ids are dated by the census, and a batch that is most of what was born meanwhile looks spread over all of it."""
    since = table.times >= begin
    steps = np.diff(table.recent[row, since].astype(np.float64))
    return bool(len(steps)) and float(steps.max()) >= max(rule.batch, count)


def _stopped(here: Everybody, births: Floats, watch: _Watch) -> bool:
    """Whether nobody of the least age that counts is as young as steady arrivals would make one."""
    until = watch.last - watch.least_age
    newest = float(here.since[here.since <= until].max())
    silent = (until - newest) / max(until - float(births[0]), 1e-9)
    return bool((1.0 - silent) ** (len(births) - 1) < watch.rule.stopped_p)


def _line(heap: _Heap, slowing: float, rule: SurvivorRule) -> bool:
    """Whether growth since the process began is a straight line, where a pool that fills would have bent by now."""
    if slowing < rule.leak_slowing:
        return False
    bend, uneven = (heap.until - heap.begin) / rule.fills_s, heap.uneven()
    each = math.log(-math.expm1(-bend) / bend)
    odds = float(((heap.everyone - heap.begin) / rule.fills_s + each).sum()) / uneven
    if uneven >= BATCHED:  # a few late batches are no line, however many they are
        odds = min(odds, float(((heap.births - heap.begin) / rule.fills_s + each).sum()))
    return odds >= math.log(rule.line_odds)


def signals(table: SiteTable, judged: list[Judged], now: float) -> list[Signal]:
    """What to say about them."""
    names = {row: site for site, row in table.rows.items()}
    out = []
    for j in judged:
        if j.row not in names:
            continue
        doubt = (
            " (may be filling: it began with the process or before the watch, or the load is rising)"
            if j.filling
            else ""
        )
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
                    "odds": j.odds,
                    "survivors": j.survivors,
                    "leavers": j.leavers,
                    "age_s": j.age_s,
                },
                text=f"{j.survivors:,} goroutines have come and stayed for over {seconds(j.age_s)}, {leavers}, "
                f"{min(j.odds, 1e9):,.0f} times likelier than in a crowd that has settled{doubt}",
            )
        )
    return out
