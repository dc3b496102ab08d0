"""A fleet that never was: seeded lives of goroutines at sites, leaking and innocent, as profiles and censuses would show them.

Each shape returns the births and deaths (seconds) of all goroutines at one site; a process is a set of sites, ids are handed
out in the order of births. `python -m tests.judge.fleet.simulate` measures precision, recall and time to verdict.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from parkwarden.aggregate.sites import SiteWindows
from parkwarden.aggregate.windows import Windows
from parkwarden.judge.fleet.places import judge_places
from parkwarden.judge.fleet.rules import Rules
from parkwarden.model import Census, Instance, Reading, SiteCounts, Verdict

HOUR, DAY = 3600.0, 86_400.0
Lives = tuple[np.ndarray, np.ndarray]
Rng = np.random.Generator


def _load(t: np.ndarray | float, swing: float, phase: float) -> np.ndarray:
    return 1 + swing * np.sin(2 * np.pi * (np.asarray(t) + phase) / DAY)


def _arrivals(rng: Rng, per_s: float, begin: float, end: float, swing: float = 0.0, phase: float = 0.0) -> np.ndarray:
    """Poisson arrivals, thinned to follow the day."""
    n = rng.poisson(per_s * (1 + swing) * max(end - begin, 0))
    at = np.sort(rng.uniform(begin, end, n))
    return at[rng.uniform(0, 1 + swing, n) < _load(at, swing, phase)]


@dataclass
class World:
    """One life of one process: when it began, when it ends, and its day."""

    rng: Rng
    begin: float = 0.0
    end: float = DAY
    swing: float = 0.0
    phase: float = 0.0


def queue(w: World, busy: float, life_s: float) -> Lives:
    """Requests: `busy` goroutines at mean load, each for about `life_s`; log-normal service times."""
    at = _arrivals(w.rng, busy / life_s, w.begin, w.end, w.swing, w.phase)
    return at, at + life_s * w.rng.lognormal(-0.5, 1.0, len(at))


def standing(w: World, n: int) -> Lives:
    """A pool or tickers: all born with the process, none leaves."""
    return w.begin + w.rng.uniform(0, 2, n), np.full(n, np.inf)


def filling(w: World, n: int, tau_s: float) -> Lives:
    """A pool that fills up to `n`, ever slower; none leaves."""
    return w.begin + np.sort(w.rng.exponential(tau_s, n)), np.full(n, np.inf)


def crowd(w: World, n: float, life_s: float) -> Lives:
    """Websockets or subscribers: exponential sessions, arrivals follow the day."""
    first = w.rng.poisson(n * float(_load(w.begin, w.swing, w.phase))) if w.begin == 0 else 0
    at = np.concatenate([np.full(first, w.begin), _arrivals(w.rng, n / life_s, w.begin, w.end, w.swing, w.phase)])
    return at, at + w.rng.exponential(life_s, len(at))


def bursts(w: World, n: int, every_s: float, life_s: float) -> Lives:
    """Every now and then `n` goroutines within a minute, gone when their work is."""
    starts = _arrivals(w.rng, 1 / every_s, w.begin, w.end)
    at = np.concatenate([s + w.rng.uniform(0, 60, n) for s in starts] or [np.empty(0)])
    return at, at + w.rng.exponential(life_s, len(at))


def slow_backend(w: World, busy: float, life_s: float, timeout_s: float) -> Lives:
    """Requests that twice a day all hang until their time-out, for ten minutes."""
    at, end = queue(w, busy, life_s)
    for start in w.rng.uniform(w.begin, w.end, 2):
        hit = (at > start) & (at < start + 600)
        end[hit] = at[hit] + timeout_s
    return at, end


def sawtooth(w: World, per_h: float, every_s: float) -> Lives:
    """Waiters for a batch: they pile up until it runs."""
    at = _arrivals(w.rng, per_h / HOUR, w.begin, w.end)
    return at, w.begin + (np.floor((at - w.begin) / every_s) + 1) * every_s


def cron(w: World, n: int, every_s: float, life_s: float) -> Lives:
    """Every hour `n` jobs, each for about `life_s`."""
    starts = np.arange(w.begin + every_s / 2, w.end, every_s)
    at = np.concatenate([s + w.rng.uniform(0, 20, n) for s in starts] or [np.empty(0)])
    return at, at + life_s * w.rng.uniform(0.5, 1.5, len(at))


def long_jobs(w: World, per_h: float, least_s: float, most_s: float) -> Lives:
    """Rare jobs that take hours and do end."""
    at = _arrivals(w.rng, per_h / HOUR, w.begin, w.end)
    return at, at + w.rng.uniform(least_s, most_s, len(at))


def step(w: World, n: int, more: int) -> Lives:
    """A pool that is made larger once, by hand."""
    at = w.begin + w.rng.uniform(0.2, 0.8) * (w.end - w.begin)
    return np.concatenate([np.full(n, w.begin), np.full(more, at)]), np.full(n + more, np.inf)


def peak_pool(w: World, busy: float, life_s: float) -> Lives:
    """A pool that grows to the greatest need so far and never shrinks."""
    at, end = queue(w, busy, life_s)
    need = np.arange(1, len(at) + 1) - np.searchsorted(np.sort(end), at)
    record = need > np.maximum.accumulate(np.concatenate([[0], need[:-1]]))
    return at[record], np.full(int(record.sum()), np.inf)


def leak(w: World, per_h: float, onset: float, busy: float = 0.0, life_s: float = 5.0) -> Lives:
    """Goroutines that never leave, from `onset` on, among `busy` healthy ones; the leak follows the day like all traffic."""
    at = _arrivals(w.rng, per_h / HOUR, onset, w.end, w.swing, w.phase)
    healthy = queue(w, busy, life_s) if busy else (np.empty(0), np.empty(0))
    return np.concatenate([at, healthy[0]]), np.concatenate([np.full(len(at), np.inf), healthy[1]])


INNOCENT: dict[str, Callable[[World], Lives]] = {
    "queue-fast": lambda w: queue(w, w.rng.uniform(2, 40), w.rng.uniform(0.5, 10)),
    "queue-slow": lambda w: queue(w, w.rng.uniform(2, 20), w.rng.uniform(30, 300)),
    "standing": lambda w: standing(w, int(w.rng.integers(1, 60))),
    "filling-fast": lambda w: filling(w, int(w.rng.integers(10, 100)), w.rng.uniform(10, 600)),
    "filling-slow": lambda w: filling(w, int(w.rng.integers(10, 100)), w.rng.uniform(0.3, 3) * HOUR),
    "cache": lambda w: filling(w, int(w.rng.integers(100, 600)), w.rng.uniform(0.3, 2) * HOUR),
    "peak-pool": lambda w: peak_pool(w, w.rng.uniform(5, 30), w.rng.uniform(1, 30)),
    "websockets": lambda w: crowd(w, w.rng.uniform(20, 150), w.rng.uniform(0.2, 2) * HOUR),
    "few-subscribers": lambda w: crowd(w, w.rng.uniform(2, 10), w.rng.uniform(0.5, 4) * HOUR),
    "bursts": lambda w: bursts(w, int(w.rng.integers(20, 300)), w.rng.uniform(0.5, 4) * HOUR, w.rng.uniform(10, 300)),
    "slow-backend": lambda w: slow_backend(w, w.rng.uniform(5, 30), 1.0, w.rng.choice([30.0, 60.0, 120.0])),
    "sawtooth": lambda w: sawtooth(w, w.rng.uniform(30, 300), w.rng.uniform(0.25, 2) * HOUR),
    "cron": lambda w: cron(w, int(w.rng.integers(5, 60)), HOUR, w.rng.uniform(60, 1800)),
    "long-jobs": lambda w: long_jobs(w, w.rng.uniform(1, 8), 0.5 * HOUR, w.rng.uniform(1, 4) * HOUR),
    "step": lambda w: step(w, int(w.rng.integers(5, 50)), int(w.rng.integers(5, 100))),
}
"""Look-alikes by name: everything of these is healthy."""


@dataclass
class Process:
    """Sites of one life, and what looks at it show."""

    sites: dict[str, Lives]
    begin: float
    end: float
    ids: dict[str, np.ndarray] = field(default_factory=dict)
    _births: dict[str, np.ndarray] = field(default_factory=dict)
    _deaths: dict[str, np.ndarray] = field(default_factory=dict)
    _all: np.ndarray = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        births = np.concatenate([b for b, _ in self.sites.values()])
        order = np.argsort(births, kind="stable")
        ids = np.empty(len(births), np.int64)
        ids[order] = 20 + np.arange(len(births))
        self._all = births[order]
        for (name, (b, d)), mine in zip(
            self.sites.items(), np.split(ids, np.cumsum([len(b) for b, _ in self.sites.values()])[:-1]), strict=True
        ):
            self.ids[name], self._births[name], self._deaths[name] = mine, np.sort(b), np.sort(d)

    def counts(self, t: float) -> dict[str, int]:
        """A goroutine profile."""
        found = {}
        for name, births in self._births.items():
            n = int(np.searchsorted(births, t, "right") - np.searchsorted(self._deaths[name], t, "right"))
            if n:
                found[name] = n
        return found

    def census(self, t: float) -> tuple[dict[str, np.ndarray], int]:
        """Ids of all who are there, and the highest id handed out."""
        found = {}
        for name, (b, d) in self.sites.items():
            here = (b <= t) & (d > t)
            if here.any():
                found[name] = np.sort(self.ids[name][here])
        return found, 20 + int(np.searchsorted(self._all, t, "right"))


@dataclass(frozen=True)
class Said:
    """The first time a verdict was reached for a site, in a whole watch."""

    site: str
    detector: str
    verdict: Verdict
    at: float
    text: str


def watch(
    lives: list[Process],
    rules: Rules | None = None,
    *,
    profile_s: float = 60.0,
    census_s: float = 300.0,
    requests: Callable[[float], float] | None = None,
    watch_from: float = 0.0,
) -> list[Said]:
    """Watch one instance through its lives; `census_s` 0 = an older Go without. What was said first, by site, detector and verdict."""
    sites, windows, rules = SiteWindows(), Windows(), rules or Rules()
    first: dict[tuple[str, str, Verdict], Said] = {}
    for number, life in enumerate(lives):
        instance = Instance(id="i", labels={"service": "s", "version": f"v{number // 2}"}, start_time=life.begin)
        sites.started(instance, life.begin)
        windows.started(instance)
        begin = max(life.begin + 7, watch_from)
        for k, t in enumerate(np.arange(begin, life.end, profile_s).tolist()):
            if requests is not None:
                windows.read("i", t, Reading(at=t, requests_total=int(requests(t))))
            sites.counted(SiteCounts(t, "i", life.counts(t)))
            if census_s and int(k * profile_s) % int(census_s) < profile_s:
                ids, highest = life.census(t + 1)
                sites.census(Census(t + 1, "i", ids, highest))
            for s in judge_places(sites, windows, t + 1, rules, ["i"]):
                key = (s.site or "", s.detector, s.verdict)
                if key not in first:
                    first[key] = Said(s.site or "", s.detector, s.verdict, t, s.text)
    return list(first.values())


def healthy(seed: int, hours: float = 24.0, swing: float = 0.5, life_h: float = 24.0, sites: int = 40) -> list[Process]:
    """A process of `sites` innocent sites of all shapes, restarted every `life_h` hours."""
    rng = np.random.default_rng(seed)
    names = list(INNOCENT)
    shapes = [names[i % len(names)] if i < len(names) else names[int(rng.integers(len(names)))] for i in range(sites)]
    phase = float(rng.uniform(0, DAY))
    seeds = rng.integers(1 << 32, size=sites)
    lives = []
    for begin in np.arange(0, hours * HOUR, life_h * HOUR):
        end = min(begin + life_h * HOUR, hours * HOUR)
        made = {}
        for i, shape in enumerate(shapes):
            w = World(np.random.default_rng([int(seeds[i])]), begin, end, swing, phase)  # the same habits in each life
            made[f"{shape}/{i}"] = INNOCENT[shape](w)
        lives.append(Process(made, begin, end))
    return lives


def leaking(
    seed: int, per_h: float, onset: float, hours: float, busy: float = 0.0, swing: float = 0.0
) -> list[Process]:
    """A process of steady traffic (about 300 goroutines) and one site that leaks from `onset` on."""
    rng = np.random.default_rng(seed)
    phase = float(rng.uniform(0, DAY))
    w = World(rng, 0.0, hours * HOUR, swing, phase)
    made = {f"queue/{i}": queue(w, rng.uniform(2, 20), rng.uniform(0.5, 60)) for i in range(20)}
    made |= {f"standing/{i}": standing(w, int(rng.integers(1, 20))) for i in range(8)}
    made["leak"] = leak(w, per_h, onset, busy, rng.uniform(1, 20))
    return [Process(made, 0.0, hours * HOUR)]


def _days(seeds: range, **how: float) -> Iterator[tuple[int, list[Said]]]:
    for seed in seeds:
        life_h = (24.0, 24.0, 6.0)[seed % 3]
        yield seed, watch(healthy(seed, life_h=life_h), **how)  # type: ignore[arg-type]


def main(runs: int = 20) -> None:
    """Print the table that the report and docs/detectors quote."""
    for census_s in (300.0, 0.0):
        wrong: dict[str, int] = {}
        for seed, said in _days(range(runs), census_s=census_s):
            for s in said:
                if s.verdict is Verdict.LEAK:
                    wrong[s.site.split("/")[0] + " " + s.detector] = (
                        wrong.get(s.site.split("/")[0] + " " + s.detector, 0) + 1
                    )
                    print(f"   false: seed {seed} {s.site} {s.detector} at {s.at / HOUR:.1f} h: {s.text}")
        print(
            f"census {census_s:.0f} s: false leaks in {runs} healthy instance-days of 40 sites: {sum(wrong.values())} {wrong}",
            flush=True,
        )
        for per_h, hours in ((360.0, 1.0), (60.0, 3.0), (6.0, 12.0), (1.0, 18.0)):
            for busy, swing in ((0.0, 0.0), (10.0, 0.0), (10.0, 0.5)):
                times, early = [], []
                for seed in range(runs):
                    said = watch(leaking(1000 + seed, per_h, 2 * HOUR, 2 + hours, busy, swing), census_s=census_s)
                    first = [s.at for s in said if s.site == "leak" and s.verdict is Verdict.LEAK]
                    soft = [s.at for s in said if s.site == "leak"]
                    times.append((min(first) - 2 * HOUR) / 60 if first else np.inf)
                    early.append((min(soft) - 2 * HOUR) / 60 if soft else np.inf)
                late = np.quantile(times, 0.95, method="higher")
                print(
                    f"census {census_s:.0f} s, {per_h:.0f}/h busy {busy:.0f} swing {swing}: suspect {np.median(early):.0f} min, "
                    f"leak median {np.median(times):.0f} min, 95 % {late:.0f} min, found {np.isfinite(times).mean():.0%}",
                    flush=True,
                )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
