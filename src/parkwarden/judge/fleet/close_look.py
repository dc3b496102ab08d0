"""Half a minute of censuses seconds apart: goroutines that come in a straight line to a site and of which nobody old ever leaves.

Watches     every goroutine that the censuses of a close look saw (aggregate/close.py): births, departures by age, who worked.
Why         in a close look nearly every process is young, so "it may be filling since it began" cannot be the last word. A pool's births slow down
            or stop, and its members work; traffic leaves; a leak does neither.
Input       at least `least_looks` censuses at most 15 s apart since the first look at this life; 1,000 s at most, then survivors judge.
Method      Leaving: for each age from which on few left, the stay that all older than it were exposed to is weighed against lives that end: of
            the length of the watch on average, or going on as those that did end suggest (their hazard shortly before that age, falling with
            age as 1/t; few departures count less). Younger ones may leave as they like. The exposed time is only what we watched. The odds rise
            as e^(exposure / watch).
            Coming: dates of birth follow from the ids, those from before the watch too. Births must go on, must not slow down (Laplace's U, its
            variance scaled by how uneven they are) and come at many times. Where a crew of one go stands, only who came while we watched counts.
            Working: who ran after its first census, or was elsewhere and came back, works. Workers who share what there is to do are
            another each time, and each runs the less the more they are; each leak runs for itself. Workers are accused only where it is always the
            same who run (clocks in step with our censuses), where all run or nobody, where runs rise with their number, or where `line` of them came in
            a line that no filling pool draws; where nobody tells who works, `line_untold`. Who is found elsewhere at times does something
            there that takes its time: such are accused as a line only.
            Nobody idles at a lock, in a send, a write or an Accept, or for a group to end: those cannot be a pool without work, and `stuck_odds` do.
            Sleepers that never woke may wake: they are suspects for a minute. Goroutines whose client waits (serving.py) are suspects: as
            many handlers must have lost theirs as are said to stay.
Verdicts    `leak`; `suspect` with one of these doubts or with odds between `suspect_odds` and `leak_odds`.
Parameters  `CloseRule`.
If wrong    simulated sites of 0.8 and 3 arrivals a second, 160 of each kind of life, no work told (in brackets where nobody idles):
            exponential lives of 8 and 20 s accused 4 of 320 (10), uniform ones up to 40 s none, of 10-60 s 4 of 160 (7), log-normal ones (median 10 s,
            sigma 0.5 and 1) 8 of 320 (15), Pareto's of index 1.5 4 of 160 (8); lives like the look's length: exponential of 60 s 14 of 160 (22), four in five
            of 4 s and one of 40 s 17 (24), Pareto's whose mean is infinite 15 (22), one in ten of 60-90 s 75 (84). Such cannot be told in half a minute.
            Pools of 3-20 members that fill in a line beyond the end, jobs taken in turn, at random or by who was last: where nobody was seen to work
            all are accused (192 of 1,080, most with a job every two seconds); of the others 12 of 606, by clocks none; with batches of jobs
            as large as the pool 67 of 282. Pools that fill more and more slowly: with 50 members and more and half the look as time
            constant 1 of 180. Recorded checks of look-alikes: docs/accuracy.md.
            A leak of 0.2 a second, process 3-15 s old: found in 54 of 80 alone (74), in 47 (58) beside 0.8 a second that stay 5-20 s.
Blind       what comes more seldom than about six times in the look and the process's life before; processes whose goroutines nobody can name
            (Go before 1.23 above 10,000).
Example     30 s at a process of 13 s: 9 came, one every five seconds, none worked, none left in 170 goroutine-seconds: 280 times, leak.
Source      E. L. Kaplan & P. Meier 1958 (censored, left-truncated lives); P.-S. Laplace 1773; D. R. Cox & P. A. W. Lewis 1966.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from parkwarden.aggregate.close import LONGEST_S, CloseLook, Rows
from parkwarden.judge.fleet import laplace, serving
from parkwarden.model import Signal, Site, Verdict

if TYPE_CHECKING:
    from parkwarden.aggregate.sites import SiteTable, SiteWindows

Floats = npt.NDArray[np.float64]

NAME = "close-look"
CODE = "PW517"

QUANTILES = (0.5, 0.8, 0.9, 0.95, 0.99, 1.0)
"""Ages tried: those by which so many of the departed had left."""
BINS = 16
"""Parts of the time of births by which their unevenness is told."""
FEW_LEFT = 5
"""Departures from which on a site's own hazard is known well enough to be the null."""
LATELY = (0.5, 0.7)
"""Parts of the age judged from which on departures tell the hazard there; earlier ones dilute it by those who were not yet due."""
LONGEST_LIVES = 4.0
"""Mean life in lengths of the look that the null may have at most: what stays for longer is not told from what stays for ever."""
CREW = 0.2
"""Times per goroutine at which a crew may have been hired."""
ALL = 0.9
"""Share that runs in one census where something is told to all of them."""
OFTEN = 3
"""Censuses from which on it is told of one goroutine whether it runs always or never."""
ALWAYS = 0.8
"""Share of the censuses in which one runs whose clock keeps step with them; who does not while it is there, runs in as few."""
ASTRAY = 0.02
"""Chance that one in step with the censuses, or never in it, does otherwise once: a clock drifts, a trace is short."""
TOGETHER = 8
"""Goroutines that ran just when another did, from which on they were told the same: nine once, or five twice."""
REGULAR = 0.33
"""Least variance, in Poisson's, that the numbers who run are believed to have: tickers are more regular than chance."""
PEERS = "IO wait"
"""Wait reason of those who wait for somebody outside: clients come for seconds and for hours, at one line."""
IDLE = ("chan receive", "select", "sync.Cond.Wait", "IO wait", "sleep")
"""Waits of workers without work: nobody idles at a lock, in a send or write, or for a group to end."""
ACCEPTS = "internal/poll.(*FD).Accept"
"""Who accepts connections was started once, with its server: no pool fills with them."""
ASLEEP = ("sleep",)
"""Wait reasons that end by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseRule:
    """Thresholds of the close look."""

    suspect_odds: float = 3.0
    """How much likelier staying for ever must be than lives that end. Lower: more is told that is nothing."""
    leak_odds: float = 20.0
    """The same for `leak`. Each doubling costs about one and a half goroutines."""
    stuck_odds: float = 10.0
    """The same where nobody idles (a lock, a send, a write, a group to end): who waits there waits for somebody's mistake or for a short time."""
    least: int = 5
    """Goroutines (each batch one) below which nothing is said."""
    least_known: int = 3
    """The same where `known` departures tell how long the others stay."""
    known: int = 10
    """Departures from which on they are known."""
    least_looks: int = 5
    """Censuses before anything is said."""
    oldest_s: float = 20.0
    """Nobody is accused before one of them is so old: most time-outs of requests have passed."""
    leavers_share: float = 0.05
    """Leavers per survivor that a leak may have beyond the age judged: somebody moves on, somebody is told to end."""
    growth: float = 0.5
    """Those that came while we watched per one that stood there in one go."""
    slowing: float = -2.0
    """Laplace's U (standard normal where arrivals are steady) below which arrivals slow down: 1 in 44 of steady leaks stays a suspect."""
    stopped_p: float = 0.01
    """Chance of so long a time without arrivals, where they go on: below, they have stopped and nothing is said."""
    working_share: float = 0.02
    """Share of them seen to work from which on they are workers."""
    line: int = 100
    """Workers that must have come in a line."""
    line_untold: int = 25
    """The same where nobody tells who works (text dumps): beyond, most pools of a process have their size."""
    filling_odds: float = 20.0
    """How much likelier a line must be there than a pool that fills with the time of the look as its time constant."""
    asleep_s: float = 60.0
    """So old must one be who sleeps and was never seen to wake."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One row that is suspect or worse."""

    row: int
    leak: bool
    odds: float
    age_s: float
    survivors: int
    leavers: int
    since: float
    rate_per_min: float
    steady: bool
    """Only the odds may be lacking."""
    why: str
    """The doubt, empty where there is none."""


@dataclass(frozen=True, slots=True)
class _Births:
    """Survivors in order of birth, from the first that counts to when one could have been born to be one."""

    at: Floats
    until: float
    standing: int
    apart: int
    """Times at which some came: a batch is one."""
    slowing: float
    stopped: bool

    @property
    def span(self) -> float:
        return max(self.until - float(self.at[0]), 1e-9)


def judges(table: SiteTable) -> bool:
    """Whether this instance is looked at closely, so that this judge and not the survivors' speaks."""
    close = table.close
    return close is not None and len(close.at) > 1 and close.at[-1] - close.at[0] <= LONGEST_S


def judge(table: SiteTable, rule: CloseRule, sites: SiteWindows) -> list[Judged]:
    """All rows of one instance that are suspect or worse."""
    close = table.close
    if close is None or len(close.at) < rule.least_looks:
        return []
    rows = close.rows()
    live = np.bincount(rows.slot[~rows.gone], minlength=len(close.scales()))
    came = np.bincount(rows.slot[~rows.gone & (rows.first > close.at[0])], minlength=len(live))
    names = {row: sites.site(name) for name, row in table.rows.items()}
    out = []
    for slot in np.flatnonzero((live >= rule.least) & (came > 0)).tolist():
        if slot not in names or serving.reads(names[slot]):
            continue  # the reader beside a handler is its shadow
        judged = _judge_row(close, slot, rows.of(rows.slot == slot), names[slot], rule)
        if judged is not None:
            out.append(judged)
    clients = _Clients(names, live * close.scales(), out)
    return [_doubted(j, "a client may be waiting for each") if j.leak and clients.wait(j.row) else j for j in out]


def _doubted(judged: Judged, why: str) -> Judged:
    return replace(judged, leak=False, steady=False, why=why)


class _Clients:
    """Which sites answer clients who are still there."""

    def __init__(self, names: dict[int, Site], counts: npt.NDArray[np.int64], judged: list[Judged]) -> None:
        self._names = names
        here = {slot: site for slot, site in names.items() if slot < len(counts) and counts[slot]}
        readers = sum(int(counts[slot]) for slot, site in here.items() if serving.reads(site))
        handlers = sum(
            int(counts[slot]) for slot, site in here.items() if serving.http1(site) and not serving.idle(site)
        )
        self._without = handlers - readers
        """Handlers whose client has gone."""
        plain = [j for j in judged if serving.http1(names[j.row]) and not serving.idle(names[j.row])]
        self._staying = sum(j.survivors for j in plain)
        """Handlers of which it is said that they stay: the young ones beside them may all have theirs."""

    def wait(self, slot: int) -> bool:
        site = self._names[slot]
        if not serving.serves(site) or serving.writes(site):
            return False
        if serving.idle(site) or not serving.http1(site):
            return True
        return self._without < serving.ALONE * self._staying


def _judge_row(close: CloseLook, slot: int, here: Rows, site: Site, rule: CloseRule) -> Judged | None:
    """The best case against one site, over the ages at which its healthy goroutines may be gone."""
    gap = close.gap_s
    least_age = 2 * gap
    left = here.last[here.gone] - here.born[here.gone] + gap / 2
    ages = (
        {least_age} | {max(float(a) + gap / 2, least_age) for a in np.quantile(left, QUANTILES)}
        if len(left)
        else {least_age}
    )
    best: Judged | None = None
    for old in sorted(ages):
        case = _case(close, slot, here, site, old, rule)
        if case is not None and (best is None or (case.leak, case.odds) > (best.leak, best.odds)):
            best = case
    return best


def _case(close: CloseLook, slot: int, here: Rows, site: Site, old: float, rule: CloseRule) -> Judged | None:
    end = close.at[-1]
    age = end - here.born
    grown = ~here.gone & (age >= old)
    transit = int(here.gone.sum())
    least = rule.least_known if transit >= rule.known else rule.least
    if int(grown.sum()) < least:
        return None
    log_odds, leavers = _staying(close, here, old)
    if leavers > rule.leavers_share * (grown.sum() + leavers) or log_odds < math.log(rule.suspect_odds):
        return None
    births = _births(here, grown, close, old, least, rule)
    if births is None:
        return None
    scale = int(close.scales()[slot])
    oldest = end - float(births.at[0])
    doubt = ""
    if oldest < rule.oldest_s:
        doubt = "younger than many a time-out"
    elif births.slowing < rule.slowing:
        doubt = "fewer and fewer come, it may be filling"
    else:
        # a pool that lets go is not filling: where many leave young, those who stay are none
        lets_go = transit - leavers >= max(rule.known, len(births.at)) and site.wait_reason != PEERS
        doubt = "" if lets_go else _at_work(close, slot, site, here, grown, births, rule)
        wakes = here.worked[grown].any() or (here.runs > 1).any()
        if not doubt and site.wait_reason in ASLEEP and not wakes and oldest < rule.asleep_s:
            doubt = "they sleep and may wake"
    enough = log_odds >= math.log(rule.leak_odds if _may_idle(site) else rule.stuck_odds)
    return Judged(
        row=slot,
        leak=enough and not doubt,
        odds=math.exp(min(log_odds, 200.0)),
        age_s=old,
        survivors=len(births.at) * scale,
        leavers=leavers * scale,
        since=float(births.at[0]),
        rate_per_min=(len(births.at) - 1) * scale / births.span * 60,
        steady=not doubt,
        why=doubt,
    )


def _staying(close: CloseLook, here: Rows, old: float) -> tuple[float, int]:
    """Log of how much likelier staying for ever is than lives that end, of those older than `old`; and how many of them left."""
    gap, end = close.gap_s, close.at[-1]
    enter = here.first - here.born
    leave = np.where(here.gone, here.last + gap / 2, end) - here.born
    told = np.maximum(leave - np.maximum(enter, old), 0.0)
    hazard = 1.0 / (end - close.at[0])
    if int(here.gone.sum()) >= FEW_LEFT:  # the site's own habit is better than ours
        own = float(here.gone.sum()) / float((leave - enter).sum())
        hazard = min(hazard, max(own, hazard / LONGEST_LIVES))
    expected = float(told.sum()) * hazard
    left = here.gone & (leave > old)
    beyond = leave > np.maximum(enter, old)
    faded = float(np.log(leave[beyond] / np.maximum(enter, old)[beyond]).sum())
    for lately in LATELY:
        before = float((here.gone & (leave > old * lately) & ~left).sum())
        exposed = float(np.maximum(np.minimum(leave, old) - np.maximum(enter, old * lately), 0.0).sum())
        hazard = (
            before / max(exposed, gap) * before / (before + 1)
        )  # few may be chance: one counts half, nine nine tenths
        expected = max(expected, hazard * old * faded)
    leavers = int(left.sum())
    if leavers >= expected:
        return -math.inf, leavers
    return expected - leavers + (leavers * math.log(leavers / expected) if leavers else 0.0), leavers


def _births(
    here: Rows, grown: npt.NDArray[np.bool_], close: CloseLook, old: float, least: int, rule: CloseRule
) -> _Births | None:
    """The line of births that goes on to the end: of all, or of those who came while we watched on top of a crew; None where there is none."""
    end, until = close.at[-1], close.at[-1] - old
    born = np.sort(here.born[grown])
    newest = float(here.born[~here.gone].max())
    best = None
    for begin in (-math.inf, close.at[0] - old):
        mine = born[born > begin]
        standing = len(born) - len(mine)
        if len(mine) < least or len(mine) < rule.growth * standing:
            continue
        if standing and _apart(born[:standing], close.gap_s / 8) > max(2, standing * CREW):
            continue  # those before came in a line, too: it is all one line, or none
        line = _line(mine, until, standing, close, rule)
        ended = _stopped(newest, float(mine[0]), end - close.gap_s, line.apart, rule)
        if line.stopped or ended or line.apart < least:
            continue
        if best is None or (best.slowing < rule.slowing <= line.slowing):
            best = line
    return best


def _line(born: Floats, until: float, standing: int, close: CloseLook, rule: CloseRule) -> _Births:
    first = float(born[0])
    span = max(until - first, 1e-9)
    apart = _apart(born, max(span / 64, close.gap_s / 8))
    rest = np.minimum(born[1:], until)
    parts = np.histogram(rest, bins=BINS, range=(first, until))[0]
    uneven = max(1.0, float(parts.var(ddof=1)) / max(float(parts.mean()), 1e-9)) if len(rest) >= 2 * BINS else 1.0
    slowing = laplace.trend(rest, first, until, uneven)
    return _Births(born, until, standing, apart, slowing, _stopped(float(born[-1]), first, until, apart, rule))


def _apart(born: Floats, width: float) -> int:
    """At how many times they came."""
    return len(np.unique(np.floor((born - born[0]) / width)))


def _stopped(last: float, first: float, until: float, apart: int, rule: CloseRule) -> bool:
    """Whether so long a time without arrivals at the end says that they have stopped."""
    silent = min(max(until - last, 0.0) / max(until - first, 1e-9), 1 - 1e-12)
    return apart * math.log1p(-silent) < math.log(rule.stopped_p)


def _may_idle(site: Site) -> bool:
    """Whether this is a place where workers wait for work."""
    return site.wait_reason in IDLE and not serving.writes(site) and all(f.function != ACCEPTS for f in site.frames)


def _at_work(
    close: CloseLook, slot: int, site: Site, here: Rows, grown: npt.NDArray[np.bool_], births: _Births, rule: CloseRule
) -> str:
    """The doubt that they are workers; empty where they are none, or each works for itself."""
    if close.told_ran and here.worked[grown].mean() <= rule.working_share:
        return ""
    n = len(births.at)
    if not close.told_ran and (n >= rule.line_untold or not _may_idle(site)):
        return ""
    x = np.clip((births.at - births.at[0]) / births.span, 0.0, 1.0)
    bend = float(x.sum()) + n * math.log(-math.expm1(-1.0))  # line against e^-x
    if n >= rule.line and bend >= math.log(rule.filling_odds):
        return ""
    work = "they work" if close.told_ran else "they may work, nobody tells"
    if here.back[grown].mean() > rule.working_share:
        return work  # what is told to each, or each tells itself, takes no time
    told = [(ran[slot], there[slot]) for ran, there in close.worked if slot < len(ran)]
    runs = np.array(told, float).reshape(-1, 2)
    if _news_for_all(runs) or (n >= 2 * rule.least and _each_for_itself(runs, rule)):
        return ""
    if site.wait_reason != PEERS and int(close.scales()[slot]) == 1 and _own_clocks(here, runs, rule):
        return ""
    return work


def _news_for_all(runs: Floats) -> bool:
    """Whether something is told to all of them at once, and never to some only. `runs` (censuses, 2): how many ran, of how many."""
    ran, there = runs[:, 0], runs[:, 1]
    all_of = (ran > 0) & (ran >= ALL * there)
    some = (ran > 0) & ~all_of
    return bool((ran == 0).any() and not some.any() and (there[all_of] - 1).sum() >= TOGETHER)


def _own_clocks(here: Rows, runs: Floats, rule: CloseRule) -> bool:
    """Whether it is always the same who run: a clock of one's own that keeps step with ours. Whoever takes the next piece of work is
    another each time (Go's channels, conditions and locks wake who has waited longest). All of them always or never, or each that or with a share
    of its own (Jeffreys' prior), against anybody, who is granted how many run."""
    of, ran = here.told.astype(np.float64), here.runs.astype(np.float64)
    often = of >= OFTEN
    if not (often & (ran >= ALWAYS * of)).any() or int((often & (ran <= (1 - ALWAYS) * of)).sum()) < 2:
        return False
    always = ran * math.log1p(-ASTRAY) + (of - ran) * math.log(ASTRAY)
    never = ran * math.log(ASTRAY) + (of - ran) * math.log1p(-ASTRAY)
    in_step = np.logaddexp(always, never) - math.log(2)
    share = [math.lgamma(r + 0.5) + math.lgamma(m - r + 0.5) - math.lgamma(m + 1) for r, m in zip(ran, of, strict=True)]
    drifting = np.logaddexp(in_step, np.array(share) - math.log(math.pi)) - math.log(2)
    own = max(float(in_step.sum()), float(drifting.sum())) - math.log(2)
    anybody = -sum(math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k, n in runs.tolist())
    return own - anybody >= math.log(rule.filling_odds)


def _each_for_itself(runs: Floats, rule: CloseRule) -> bool:
    """Whether those at work do not share it: the more they are, the more run. `runs` as above."""
    ran, there = runs[:, 0], np.maximum(runs[:, 1], 1.0)
    if not ran.sum():
        return False
    share = there / there.sum()
    expected = ran.sum() * share
    uneven = max(REGULAR, float(((ran - expected) ** 2 / expected).sum()) / max(len(runs) - 1, 1))
    return float((ran * np.log(share * len(runs))).sum()) / uneven >= math.log(rule.filling_odds)


def signals(table: SiteTable, judged: list[Judged], now: float) -> list[Signal]:
    """What to say about them."""
    names = {row: site for site, row in table.rows.items()}
    out = []
    for j in judged:
        if j.row not in names:
            continue
        left = "none of them left" if not j.leavers else f"{j.leavers} left"
        out.append(
            Signal(
                detector=NAME,
                code=CODE,
                at=now,
                instance=table.instance.id,
                site=names[j.row],
                verdict=Verdict.LEAK if j.leak else Verdict.SUSPECT,
                confidence=0.97 if j.leak else 0.35 if j.why else 0.55,
                count=int(table.recent[j.row, -1]),
                rate_per_min=j.rate_per_min,
                since=j.since,
                numbers={"odds": j.odds, "survivors": j.survivors, "leavers": j.leavers, "age_s": j.age_s},
                text=f"{j.survivors} goroutines have come one after another and stayed for over {j.age_s:.0f} s, {left}, "
                f"{min(j.odds, 1e9):,.0f} times likelier than lives that end" + (f" (but: {j.why})" if j.why else ""),
            )
        )
    return out
