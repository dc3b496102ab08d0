"""A fleet that never was: seeded lives of goroutines at sites, leaking and innocent, whatever looks at them.

A *shape* is drawn twice: its habits once per site of a service (how busy, how long-lived), its births and deaths anew in each life of
each process. `World` is one life: its rng, its begin and end, the load of its day, and when it will be looked at. A shape returns `Lives`: births
and deaths (seconds) of all goroutines at one site that any look could see. Who comes and goes between two looks is only counted
(`World.unseen`), because goroutine ids are handed out to them as well: a day of a busy site is 30,000 numbers then, not millions, and
what the looks see has exactly the same distribution (an M/G/infinity queue seen at given times, see `_seen_at_looks`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import numpy.typing as npt

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
SIGMA = 1.0
"""Of the log of service times: the slowest percent takes ten times the median, as usual services' do."""
CONGESTED = 0.75
"""Use of something scarce above which nobody is let in any more: waits are four times as long then."""
GRID_S = 60.0
"""Steps of the load; a burst is no shorter than minutes."""

Floats = npt.NDArray[np.float64]
Lives = tuple[Floats, Floats]
Rng = np.random.Generator
Shape = Callable[["World"], Lives]


@dataclass(frozen=True)
class Load:
    """Traffic as a factor of its mean over time: straight lines between the points of a grid of GRID_S."""

    begin: float
    values: Floats
    morning: float = 0.0
    """A time at which the day's load rises fastest (every DAY again)."""
    swing: float = 0.0
    """Of the day: its load is 1 - swing to 1 + swing times the mean."""

    def __call__(self, t: Floats | float) -> Floats:
        """The factor at time(s) `t`."""
        return np.asarray(np.interp(t, self.begin + GRID_S * np.arange(len(self.values)), self.values))

    def total(self, t: Floats | float) -> Floats:
        """The integral from the begin to `t`, in seconds of mean load."""
        steps = GRID_S * (self.values[1:] + self.values[:-1]) / 2
        grid = self.begin + GRID_S * np.arange(len(self.values))
        return np.asarray(np.interp(t, grid, np.concatenate([[0.0], np.cumsum(steps)])))

    @property
    def top(self) -> float:
        return float(self.values.max())


def load(
    rng: Rng,
    begin: float,
    end: float,
    *,
    swing: float = 0.0,
    wobble: float = 0.0,
    bursts_per_day: float = 0.0,
    steps_per_day: float = 0.0,
) -> Load:
    """A day's traffic: a sine of `swing` at a random phase, an hourly wobble (sd), bursts of 5-20 minutes, steps that stay."""
    t = np.arange(begin, end + 2 * GRID_S, GRID_S)
    morning = rng.uniform(0, DAY)
    values = 1 + swing * np.sin(2 * np.pi * (t - morning) / DAY)
    hours = np.arange(begin - HOUR, end + 2 * HOUR, HOUR)
    values *= np.interp(t, hours, np.exp(wobble * rng.standard_normal(len(hours))))
    for at in rng.uniform(begin, end, rng.poisson(bursts_per_day * (end - begin) / DAY)):
        inside = (t > at) & (t < at + rng.uniform(5, 20) * MINUTE)
        values[inside] *= rng.uniform(1.5, 3)
    for at in rng.uniform(begin, end, rng.poisson(steps_per_day * (end - begin) / DAY)):
        values[t > at] *= rng.uniform(0.7, 1.5)
    return Load(begin, values, morning, swing)


@dataclass
class World:
    """One life of one process: when it began, when it ends, its day's load, and when it is looked at."""

    rng: Rng
    begin: float
    end: float
    load: Load
    looks: Floats
    """Times of all profiles and censuses of this life, rising."""
    unseen: Floats = field(init=False)
    """Goroutines that came and went between looks: [k] before look k, after the look before it."""

    def __post_init__(self) -> None:
        self.unseen = np.zeros(len(self.looks))

    def arrivals(self, per_s: float, begin: float | None = None, *, steady: bool = False) -> Floats:
        """Poisson arrivals from `begin` on, thinned to follow the load (or not: `steady`), in order of time."""
        begin = self.begin if begin is None else max(begin, self.begin)
        top = 1.0 if steady else self.load.top
        n = self.rng.poisson(per_s * top * max(self.end - begin, 0.0))
        gaps = np.cumsum(self.rng.standard_exponential(n + 1))  # uniform order statistics, without sorting
        at: Floats = begin + max(self.end - begin, 0.0) * gaps[:-1] / gaps[-1]
        return at if steady else at[self.rng.uniform(0, top, n) < self.load(at)]


NOBODY: Lives = (np.empty(0), np.empty(0))


def together(*lives: Lives) -> Lives:
    """All of them at one site."""
    return np.concatenate([b for b, _ in lives]), np.concatenate([d for _, d in lives])


def queue(w: World, busy: float, life_s: float, since: float | None = None) -> Lives:
    """Requests: `busy` goroutines at mean load, log-normal service times of mean `life_s`."""
    if len(w.looks) and life_s < np.median(np.diff(w.looks, prepend=w.begin)):
        return _seen_at_looks(w, busy, life_s)
    at = w.arrivals(busy / life_s, since)
    return at, at + life_s * w.rng.lognormal(-(SIGMA**2) / 2, SIGMA, len(at))


def _seen_at_looks(w: World, busy: float, life_s: float) -> Lives:
    """The same queue, but only those whom a look sees, each once.

    Whom a look sees has lived a uniform share of a length-biased service time (renewal theory; a log-normal stays one); who was born before the look before was
    seen by that one, or by none. So each look draws Poisson(busy x load) of them and keeps those born since the look before.
    """
    looks, before = w.looks, np.concatenate([[w.begin], w.looks[:-1]])
    top = w.load.top
    n = w.rng.poisson(busy * top, len(looks))
    look = np.repeat(np.arange(len(looks)), n)
    service = life_s * w.rng.lognormal(SIGMA**2 / 2, SIGMA, len(look))
    birth = looks[look] - w.rng.uniform(0, 1, len(look)) * service
    keep = (birth > before[look]) & (w.rng.uniform(0, top, len(look)) < w.load(birth))
    look, birth, service = look[keep], birth[keep], service[keep]
    all_of_them = w.rng.poisson(busy / life_s * (w.load.total(looks) - w.load.total(before)))
    w.unseen += np.maximum(all_of_them - np.bincount(look, minlength=len(looks)), 0)
    return birth, birth + service


def contended(w: World, busy: float, life_s: float, share: float) -> Lives:
    """A queue before something scarce: service takes longer the more load there is, 1 / (1 - share x load)."""
    at = w.arrivals(busy / life_s)
    took = life_s * w.rng.lognormal(-(SIGMA**2) / 2, SIGMA, len(at))
    return at, at + took / (1 - np.minimum(share * w.load(at), CONGESTED))


def standing(w: World, n: int) -> Lives:
    """A pool or tickers: all born with the process, none leaves."""
    return w.begin + w.rng.uniform(0, 2, n), np.full(n, np.inf)


def filling(w: World, n: int, tau_s: float) -> Lives:
    """A pool that fills up to `n`, ever slower; none leaves."""
    return w.begin + np.sort(w.rng.exponential(tau_s, n)), np.full(n, np.inf)


def crowd(w: World, n: float, life_s: float, back_s: float) -> Lives:
    """Websockets: exponential sessions, arrivals follow the load; after a (re)start all are back within a few `back_s`."""
    first = w.begin + w.rng.exponential(back_s, w.rng.poisson(n * float(w.load(w.begin))))
    at = np.concatenate([first, w.arrivals(n / life_s)])
    return at, at + w.rng.exponential(life_s, len(at))


def subscribers(w: World, n: int, life_s: float, back_s: float) -> Lives:
    """People who bring the load, `n` at its mean: as the day's load rises by a share, so many more come; all stay for about a working day.

    Day's people come while the sine rises, as dense as it is steep; the night's by turns. A restart brings back who was there.
    """
    days = np.arange(np.floor((w.begin - w.load.morning) / DAY) - 1, np.ceil((w.end - w.load.morning) / DAY) + 1)
    tide = w.rng.poisson(2 * n * w.load.swing, len(days))
    morning = w.load.morning + np.repeat(days, tide) * DAY
    rises = DAY / (2 * np.pi) * np.arcsin(w.rng.uniform(-1, 1, len(morning)))
    before = w.begin - 2 * life_s
    night = w.rng.uniform(before, w.end, w.rng.poisson(n * (1 - w.load.swing) / life_s * (w.end - before)))
    return _days(w, np.concatenate([morning + rises, night]), life_s, back_s)


def unseen_subscribers(w: World, n: int, early_s: float, width_s: float, life_s: float, back_s: float) -> Lives:
    """Subscribers who come once a day in any number, whatever the load does."""
    morning = w.load.morning - early_s
    days = np.arange(np.floor((w.begin - morning) / DAY) - 1, np.ceil((w.end - morning) / DAY) + 1)
    at = morning + days[:, None] * DAY + width_s * w.rng.standard_normal((len(days), n))
    return _days(w, at.ravel(), life_s, back_s)


def _days(w: World, at: Floats, life_s: float, back_s: float) -> Lives:
    """Who comes at `at` stays for a working day; those of before the process are back soon after its begin."""
    end = at + np.maximum(life_s * (1 + 0.15 * w.rng.standard_normal(len(at))), MINUTE)
    here = end > w.begin
    at, end = at[here], end[here]
    at = np.where(at < w.begin, w.begin + w.rng.exponential(back_s, len(at)), at)
    return at[at < end], end[at < end]


def bursts(w: World, n: int, every_s: float, life_s: float) -> Lives:
    """Every now and then `n` goroutines within a minute, gone when their work is."""
    starts = w.arrivals(1 / every_s, steady=True)
    at = (starts[:, None] + w.rng.uniform(0, 60, (len(starts), n))).ravel()
    return at, at + w.rng.exponential(life_s, len(at))


def slow_backend(w: World, busy: float, life_s: float, timeout_s: float) -> Lives:
    """Requests that now and then, some twice a day, all hang until their time-out, for ten minutes."""
    parts = [queue(w, busy, life_s)]
    for start in w.rng.uniform(w.begin, w.end, w.rng.poisson(2 * (w.end - w.begin) / DAY)):
        n = w.rng.poisson(busy / life_s * 600 * float(w.load(start)))
        at = start + w.rng.uniform(0, 600, n)
        parts.append((at, at + timeout_s))
    return together(*parts)


def retry_storm(w: World, busy: float, life_s: float, times: float) -> Lives:
    """Requests that once or twice a day come `times` over, because clients ask again: there within a minute or two, for 5-20 minutes, calm within as long."""
    parts = [queue(w, busy, life_s)]
    for start in w.rng.uniform(w.begin, w.end, w.rng.poisson(1.5 * (w.end - w.begin) / DAY)):
        lasts = w.rng.uniform(5, 20) * MINUTE
        n = w.rng.poisson(busy / life_s * (times - 1) * lasts)
        at = start + lasts * w.rng.uniform(0, 1, n) + w.rng.exponential(MINUTE, n)
        parts.append((at, at + life_s * w.rng.uniform(1, 3, n)))
    return together(*parts)


def sawtooth(w: World, per_h: float, every_s: float) -> Lives:
    """Waiters for a batch: they pile up until it runs."""
    at = w.arrivals(per_h / HOUR, steady=True)
    return at, w.begin + (np.floor((at - w.begin) / every_s) + 1) * every_s


def cron(w: World, n: int, every_s: float, life_s: float) -> Lives:
    """Every hour `n` jobs, each for about `life_s`."""
    starts = np.arange(np.ceil(w.begin / every_s) * every_s, w.end, every_s)
    at = (starts[:, None] + w.rng.uniform(0, 20, (len(starts), n))).ravel()
    return at, at + life_s * w.rng.uniform(0.5, 1.5, len(at))


def long_jobs(w: World, per_h: float, least_s: float, most_s: float) -> Lives:
    """Rare jobs that take hours and do end."""
    at = w.arrivals(per_h / HOUR, steady=True)
    return at, at + w.rng.uniform(least_s, most_s, len(at))


def step(w: World, n: int, more: int) -> Lives:
    """A pool that is made larger once, by hand."""
    at = w.begin + w.rng.uniform(0.2, 0.8) * (w.end - w.begin)
    return np.concatenate([np.full(n, w.begin), np.full(more, at)]), np.full(n + more, np.inf)


def peak_pool(w: World, busy: float, life_s: float) -> Lives:
    """A pool that grows to the greatest need so far and never shrinks."""
    at = w.arrivals(busy / life_s)
    end = at + life_s * w.rng.lognormal(-(SIGMA**2) / 2, SIGMA, len(at))
    need = np.arange(1, len(at) + 1) - np.searchsorted(np.sort(end), at)
    record = need > np.maximum.accumulate(np.concatenate([[0], need[:-1]]))
    return at[record], np.full(int(record.sum()), np.inf)


def late(w: World, shape: Shape, at: float) -> Lives:
    """What only begins at `at`, in the life that runs then: a feature is switched on, a customer comes; in later lives from their start on."""
    begin = max(at, w.begin)
    if begin >= w.end:
        return NOBODY
    return shape(replace(w, begin=begin))


def leak(w: World, per_h: float, onset: float, busy: float = 0.0, life_s: float = 5.0) -> Lives:
    """Goroutines that never leave, from `onset` on, among `busy` healthy ones; the leak follows the day like all traffic."""
    at = w.arrivals(per_h / HOUR, onset)
    healthy = queue(w, busy, life_s) if busy else NOBODY
    return together((at, np.full(len(at), np.inf)), healthy)


USUAL: dict[str, Callable[[Rng], Shape]] = {
    "queue": lambda h: partial(queue, busy=h.uniform(2, 20), life_s=h.uniform(0.5, 60)),
    "tickers": lambda h: partial(standing, n=int(h.integers(1, 20))),
}
"""What most sites of a service are, leaking or not."""

INNOCENT: dict[str, Callable[[Rng], Shape]] = {
    "queue-fast": lambda h: partial(queue, busy=h.uniform(2, 40), life_s=h.uniform(0.5, 10)),
    "queue-slow": lambda h: partial(queue, busy=h.uniform(2, 20), life_s=h.uniform(30, 300)),
    "contended": lambda h: partial(contended, busy=h.uniform(2, 15), life_s=h.uniform(10, 120), share=h.uniform(0.2, 0.5)),
    "standing": lambda h: partial(standing, n=int(h.integers(1, 60))),
    "filling-fast": lambda h: partial(filling, n=int(h.integers(10, 100)), tau_s=h.uniform(10, 600)),
    "filling-slow": lambda h: partial(filling, n=int(h.integers(10, 100)), tau_s=h.uniform(0.3, 3) * HOUR),
    "cache": lambda h: partial(filling, n=int(h.integers(100, 600)), tau_s=h.uniform(0.3, 2) * HOUR),
    "peak-pool": lambda h: partial(peak_pool, busy=h.uniform(5, 30), life_s=h.uniform(10, 60)),
    "websockets": lambda h: partial(crowd, n=h.uniform(20, 150), life_s=h.uniform(0.2, 2) * HOUR, back_s=h.uniform(1, 30)),
    "slow-reconnect": lambda h: partial(crowd, n=h.uniform(20, 150), life_s=h.uniform(0.5, 6) * HOUR, back_s=h.uniform(60, 600)),
    "few-subscribers": lambda h: partial(crowd, n=h.uniform(2, 10), life_s=h.uniform(0.5, 4) * HOUR, back_s=h.uniform(1, 30)),
    "daily-subscribers": lambda h: partial(
        subscribers, n=int(h.integers(10, 150)), life_s=h.uniform(6, 10) * HOUR, back_s=h.uniform(1, 300)
    ),
    "bursts": lambda h: partial(bursts, n=int(h.integers(20, 300)), every_s=h.uniform(0.5, 4) * HOUR, life_s=h.uniform(10, 300)),
    "slow-backend": lambda h: partial(slow_backend, busy=h.uniform(5, 30), life_s=1.0, timeout_s=float(h.choice([30.0, 60.0, 120.0, 300.0, 600.0]))),
    "retry-storm": lambda h: partial(retry_storm, busy=h.uniform(3, 20), life_s=h.uniform(1, 20), times=h.uniform(2, 8)),
    "sawtooth": lambda h: partial(sawtooth, per_h=h.uniform(30, 300), every_s=h.uniform(0.25, 2) * HOUR),
    "cron": lambda h: partial(cron, n=int(h.integers(5, 60)), every_s=HOUR, life_s=h.uniform(60, 1800)),
    "long-jobs": lambda h: partial(long_jobs, per_h=h.uniform(1, 8), least_s=0.5 * HOUR, most_s=h.uniform(1, 4) * HOUR),
    "step": lambda h: partial(step, n=int(h.integers(5, 50)), more=int(h.integers(5, 100))),
}  # fmt: skip
"""Look-alikes by name: everything of these is healthy, and something tells: its past, its load, its own traffic. Called with the rng of a site's habits."""

TIDAL = "daily-subscribers"
"""Only where the day swings enough to be seen."""

FIRST_DAY: dict[str, Callable[[Rng], Shape]] = {
    "unseen-subscribers": lambda h: partial(
        unseen_subscribers, n=int(h.integers(10, 150)), early_s=h.uniform(-1, 1) * HOUR, width_s=h.uniform(0.3, 2) * HOUR,
        life_s=h.uniform(6, 10) * HOUR, back_s=h.uniform(1, 300),
    ),
    "late-pool": lambda h: partial(
        late, shape=partial(filling, n=int(h.integers(10, 100)), tau_s=h.uniform(0.3, 3) * HOUR), at=h.uniform(1, 20) * HOUR
    ),
    "late-batch": lambda h: partial(
        late, shape=partial(sawtooth, per_h=h.uniform(30, 300), every_s=h.uniform(0.5, 4) * HOUR), at=h.uniform(1, 20) * HOUR
    ),
    "late-jobs": lambda h: partial(
        late, shape=partial(long_jobs, per_h=h.uniform(1, 8), least_s=0.5 * HOUR, most_s=h.uniform(2, 8) * HOUR),
        at=h.uniform(1, 20) * HOUR,
    ),
}  # fmt: skip
"""Healthy, too, but nobody can know on the first day: they begin to grow in the middle of a life, for the first time, with nothing that tells why, and none
has left yet. Until one does they are a leak of every goroutine at a site, to counts and to censuses alike; and those are to be named within minutes."""

PULSES_S: dict[str, tuple[float, float]] = {
    "websockets": (2, 60), "slow-reconnect": (2, 60), "few-subscribers": (2, 60), "daily-subscribers": (2, 60), "unseen-subscribers": (2, 60),
    "queue-fast": (1, 30), "queue-slow": (1, 120), "contended": (1, 120), "retry-storm": (1, 30), "cron": (0.1, 10), "long-jobs": (0.1, 30), "late-jobs": (0.1, 30),
    "standing": (1, 300), "tickers": (1, 300), "queue": (1, 120), "peak-pool": (10, 120),
}  # fmt: skip
"""Mean seconds between two things that a goroutine does, drawn log-uniformly per site: heartbeats and messages, answers of a back end, work (a pool that grows
to its greatest need is one whose members have something to do). Others (pools that fill and idle, waiters for a batch, what hangs) do nothing at all, like a leak."""


def pulse(rng: Rng, kind: str) -> float:
    """A site's habit: see PULSES_S; infinite for what does nothing."""
    low, high = PULSES_S.get(kind, (np.inf, np.inf))
    return float(low * (high / low) ** rng.uniform()) if np.isfinite(low) else np.inf
