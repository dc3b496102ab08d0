"""What the long ruler measures: services that leak at one site from a known time on, and services that do not.

A `Subject` is one service with one or more replicas, watched on virtual time from 0 on.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from bench.leakbench.long.events import Life, Watched, named, watched
from bench.leakbench.long.worlds import (
    DAY,
    FIRST_DAY,
    HOUR,
    INNOCENT,
    MINUTE,
    TIDAL,
    USUAL,
    Load,
    Rng,
    Shape,
    leak,
    load,
    pulse,
)
from parkwarden.model import Named

LEAK = "leak"
"""Id of the leaking site."""
TARGET_MIN: Mapping[float, Mapping[bool, float | None]] = {
    360.0: {True: 10, False: 15},
    60.0: {True: 15, False: 40},
    6.0: {True: 60, False: 240},
    1.0: {True: 360, False: None},
}
"""Leaks an hour -> (with censuses?) -> median minutes to `leak` that are promised."""
LATE = 3.0
"""A leak must be found before so many times its target in 95 % of the runs."""
NO_TARGET_MIN = 360.0
"""Where nothing is promised a run lasts LATE times as long."""
BASE: Mapping[str, int] = {"queue": 20, "tickers": 8}
"""Sites of each kind that make the 300 goroutines of a usual service."""
LISTED = ("filling-slow", "bursts")
"""Look-alikes that every ordinary service has one site of; where the day shows them its subscribers, too."""
DRAWN = 3
"""And of so many more kinds, drawn from all look-alikes."""
QUIET_S = 1.5 * HOUR
"""Watched before the earliest onset."""
SITES = 40
"""Of a healthy instance."""
TIDAL_SWING, CALM_SWING = (0.4, 0.7), (0.05, 0.4)
"""Of the day's load where subscribers bring it, and where there are none."""
TIDAL_WOBBLE, WOBBLE = (0.03, 0.06), (0.03, 0.15)
"""Of the hours: what would hide the day's rise of some 10 % an hour would make its subscribers unknowable."""
STEADY = ("queue-fast", "queue-slow", "standing")
STEADY_SITES = 16
"""Beside the shapes of a first day: as quiet as can be, so that what is measured is these."""
WAKE_S = (10.0, 60.0)
"""A restart takes so long."""


@dataclass(frozen=True)
class Case:
    """One cell of the table. `load`: flat, told (day swing 0.5, requests told), untold, restarts (flat, every 6 h), start (leaks from its start on) or ongoing (leaked before we came)."""

    per_h: float
    alone: bool
    load: str
    census_s: float

    @property
    def name(self) -> str:
        census = "census" if self.census_s else "counts"
        return f"{census}/{self.per_h:.0f}/{'alone' if self.alone else 'among'}/{self.load}"

    @property
    def target_min(self) -> float | None:
        return None if self.load in SEPARATE else TARGET_MIN[self.per_h][self.census_s > 0]

    @property
    def wait(self) -> str:
        """What the leaking goroutines wait for; "" = as the seed has it, like all sites."""
        return ""

    @property
    def horizon_s(self) -> float:
        """Watched so long after the onset."""
        return LATE * (TARGET_MIN[self.per_h][self.census_s > 0] or NO_TARGET_MIN) * MINUTE


LOADS = ("flat", "told", "untold", "restarts", "start", "ongoing")
SEPARATE = ("start", "ongoing")
"""No promise covers these: who came late cannot tell a leak from a pool that fills, or from a batch that piles up."""


def cases(census_s: float) -> list[Case]:
    """All cells of one mode."""
    return [Case(per_h, alone, how, census_s) for per_h in TARGET_MIN for alone in (True, False) for how in LOADS]


@dataclass
class Subject:
    """One service: its replicas, until when they are watched, since when `LEAK` leaks (None = healthy)."""

    name: str
    instances: list[Watched]
    names: list[Named]
    until: float
    onset: float | None = None

    @property
    def instance_days(self) -> float:
        return len(self.instances) * self.until / DAY


def _rng(seed: int, what: str, run: int) -> Rng:
    return np.random.default_rng([seed, zlib.crc32(what.encode()), run])


def lives(rng: Rng, begin: float, until: float, every_s: float, deploys: float = 0.5) -> list[Life]:
    """Restarts about `every_s` apart (0 = none), a share of them with a new version."""
    found: list[Life] = []
    version = 1
    while True:
        end = begin + every_s * rng.uniform(0.75, 1.25) if every_s else until
        if not found and begin < 0:  # a renewal seen at a random time
            end = rng.uniform(0, 1) * every_s if every_s else until
        found.append(Life(begin, min(end, until), f"v{version}"))
        if end >= until:
            return found
        begin = end + rng.uniform(*WAKE_S)
        version += int(rng.uniform() < deploys)


def leaking(seed: int, case: Case, run: int, onset_within: float = DAY) -> Subject:
    """About 300 goroutines of steady traffic at 28 sites, with noise, and one site that leaks from the onset on."""
    rng = _rng(seed, case.name, run)
    from_start = case.load == "start"
    onset = rng.uniform(QUIET_S, max(onset_within, QUIET_S))
    onset = {"start": QUIET_S, "ongoing": 0.0}.get(case.load, onset)
    until = onset + case.horizon_s
    begin = onset if from_start else -rng.uniform(0, 6 if case.load == "ongoing" else 48) * HOUR
    swing = 0.5 if case.load in ("told", "untold") else 0.0
    traffic = load(rng, min(begin, 0.0), until, swing=swing, wobble=0.08)
    kinds = {f"{kind}/{i}": kind for kind, sites in BASE.items() for i in range(sites)}
    shapes: dict[str, Shape] = {site: USUAL[kind](rng) for site, kind in kinds.items()}
    if from_start:  # watched from before its start: the life before was healthy
        ran = [Life(-1.0, onset - rng.uniform(*WAKE_S), "v1"), Life(onset, until, "v2")]
    else:
        ran = lives(rng, begin, until, 6 * HOUR if case.load == "restarts" else 0.0)
    busy = 0.0 if case.alone else 10.0
    since = begin if case.load == "ongoing" else onset
    shapes[LEAK] = partial(leak, per_h=case.per_h, onset=since, busy=busy, life_s=rng.uniform(5, 20))
    name = f"{case.name}/{run}"
    requests = 20.0 if case.load == "told" else 0.0
    pulses = {site: pulse(rng, kinds.get(site, "queue")) for site in shapes}
    one = watched(
        rng, name, name, ran, shapes, traffic, until=until, census_s=case.census_s, requests_per_s=requests, pulses=pulses,
        stuck=LEAK,
    )  # fmt: skip
    names = named(rng, shapes)
    if case.wait:
        names = [Named(replace(n.site, wait_reason=case.wait)) if n.site.id == LEAK else n for n in names]
    return Subject(name, [one], names, until, onset)


def ordinary(seed: int, census_s: float, run: int, days: float = 1.0) -> Subject:
    """The service that the leaking cases watch, healthy: its usual sites, and of look-alikes those LISTED, its subscribers, and DRAWN others."""
    rng = _rng(seed, "ordinary", run)
    kinds = [kind for kind, sites in BASE.items() for _ in range(sites)] + [*LISTED, *([TIDAL] * _tidal(run))]
    more = [kind for kind in INNOCENT if kind not in kinds and kind != TIDAL]
    kinds += [more[int(i)] for i in rng.choice(len(more), size=DRAWN, replace=False)]
    return _day(rng, "ordinary", run, kinds, census_s, days)


def hostile(seed: int, census_s: float, run: int, days: float = 1.0) -> Subject:
    """A service of SITES look-alikes of all shapes, and nothing else."""
    rng = _rng(seed, "hostile", run)
    kinds = [kind for kind in INNOCENT if _tidal(run) or kind != TIDAL]
    kinds += [kinds[int(i)] for i in rng.integers(len(kinds), size=SITES - len(kinds))]
    return _day(rng, "hostile", run, kinds, census_s, days)


def _tidal(run: int) -> bool:
    """Three of five have subscribers, and a day whose load shows them above its wobble; the load of the others swings less and wobbles more."""
    return run % 5 < 3


def _day(rng: Rng, group: str, run: int, kinds: Sequence[str], census_s: float, days: float) -> Subject:
    """Sites of these kinds under a day's load with its swing, wobble, bursts and steps."""
    swing, wobble = (TIDAL_SWING, TIDAL_WOBBLE) if _tidal(run) else (CALM_SWING, WOBBLE)
    traffic = partial(
        load, swing=rng.uniform(*swing), wobble=rng.uniform(*wobble), bursts_per_day=rng.uniform(0, 4), steps_per_day=rng.uniform(0, 1)
    )  # fmt: skip
    return _service(rng, group, run, {f"{kind}/{i}": kind for i, kind in enumerate(kinds)}, traffic, census_s, days)


def first_day(seed: int, census_s: float, run: int, days: float = 2.0) -> Subject:
    """A small service with one site of each shape that cannot be known on its first day, on a calm day; watched for a second day, on which it can."""
    rng = _rng(seed, "first-day", run)
    kinds = [*FIRST_DAY, *(STEADY[int(i)] for i in rng.integers(len(STEADY), size=STEADY_SITES))]
    names = {f"{kind}/{i}": kind for i, kind in enumerate(kinds)}
    traffic = partial(load, swing=rng.uniform(0, 0.1), wobble=rng.uniform(*WOBBLE))
    return _service(rng, "first-day", run, names, traffic, census_s, days)


def _service(
    rng: Rng, group: str, run: int, kinds: Mapping[str, str], traffic: Callable[..., Load], census_s: float, days: float
) -> Subject:
    """By turns: requests told or not, restarts and deploys every 3-6 h or none, one replica or three."""
    until = days * DAY
    told, hasty = run % 2 == 0, run % 3 == 0
    old = -rng.uniform(0, 48) * HOUR if rng.uniform() < 0.5 else 0.0
    every = rng.uniform(3, 6) * HOUR if hasty else 0.0
    day = traffic(rng, min(old, 0.0) - DAY, until)
    shapes = {site: (USUAL | INNOCENT | FIRST_DAY)[kind](rng) for site, kind in kinds.items()}
    name = f"{group}/{run}"
    pulses = {site: pulse(rng, kind) for site, kind in kinds.items()}
    instances = [
        watched(
            rng, f"{name}.{i}", name, lives(rng, old * rng.uniform(0.2, 1), until, every), shapes, day,
            until=until, census_s=census_s, requests_per_s=50.0 * told, pulses=pulses,
        )
        for i in range(replicas(run))
    ]  # fmt: skip
    return Subject(name, instances, named(rng, shapes), until)


def replicas(run: int) -> int:
    """Instances of a healthy service."""
    return 3 if run % 4 == 3 else 1


def healthy_runs(instances: int) -> Iterator[int]:
    """Runs that have so many instances together."""
    run, done = 0, 0
    while done < instances:
        yield run
        done += replicas(run)
        run += 1


GROUPS: Mapping[str, Callable[[int, float, int, float], Subject]] = {
    "ordinary": ordinary,
    "hostile": hostile,
    "first-day": first_day,
}
"""Healthy services, by what can be known of them."""

__all__ = [
    "GROUPS", "LEAK", "LOADS", "SEPARATE", "SITES", "Case", "Load", "Subject", "cases", "first_day", "healthy_runs", "hostile", "leaking", "lives",
    "ordinary", "replicas",
]  # fmt: skip
