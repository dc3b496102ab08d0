"""A simulated instance as the events that its watching makes (model/events.py), beat by beat; and as a recording anyone can replay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.leakbench.long.process import Process, Seen
from bench.leakbench.long.worlds import Floats, Load, Rng, Shape, World
from parkwarden.collect.fleet.settings import CollectSettings
from parkwarden.formats.recording import write
from parkwarden.model import Census, Event, Frame, Instance, Named, Read, Reading, Site, SiteCounts, Started

PROFILE_S = 60.0
"""Beat of the goroutine profiles; a reading comes with each."""
FIRST_LOOK_S = 7.0
"""Time of the first look."""
CENSUS_LAG_S = 1.0
"""A census ends so long after the profile of its beat."""
TRACE_S = CollectSettings().census_s
"""A census' trace takes so long: who does something meanwhile is seen to."""
UP_S = 2.0
"""A process answers so long after its begin."""
WAITS = (
    "select",
    "chan receive",
    "chan send",
    "IO wait",
    "sync.Mutex.Lock",
    "sync.WaitGroup.Wait",
    "sleep",
    "semacquire",
)
"""Wait reasons, handed to sites at random: the ruler must not give leaks away by their names."""


def beat(k: int) -> float:
    """Time of the k-th look."""
    return FIRST_LOOK_S + PROFILE_S * k


def beats(until: float) -> int:
    """How many looks come before `until`."""
    return int(np.ceil(max(until - FIRST_LOOK_S, 0.0) / PROFILE_S))


@dataclass(frozen=True)
class Life:
    """When a process ran, and which version."""

    begin: float
    end: float
    version: str


@dataclass
class _Watch:
    """One life as looked at: columns by beat, from beat `first` on."""

    instance: Instance
    first: int
    sites: tuple[str, ...]
    counts: list[list[int]]
    censuses: dict[int, Seen]
    requests: list[int] | None


@dataclass
class Watched:
    """One instance through its lives; `events(k)` is what its k-th look tells."""

    id: str
    seen: list[_Watch] = field(default_factory=list)

    def events(self, k: int) -> Iterator[Event]:
        """In order of time; nothing while no process is up."""
        for seen in self.seen:
            row = k - seen.first
            if 0 <= row < len(seen.counts):
                at = beat(k)
                if row == 0:
                    yield Started(seen.instance, at - 0.5)
                column = seen.counts[row]
                requests = None if seen.requests is None else seen.requests[row]
                yield Read(at, self.id, Reading(at=at, goroutines=sum(column), requests_total=requests))
                yield SiteCounts(at, self.id, {site: n for site, n in zip(seen.sites, column, strict=True) if n})
                if k in seen.censuses:
                    who = seen.censuses[k]
                    yield Census(at + CENSUS_LAG_S, self.id, who.goids, who.highest, ran=who.ran)


def watched(
    rng: Rng,
    name: str,
    service: str,
    lives: Sequence[Life],
    shapes: Mapping[str, Shape],
    load: Load,
    *,
    until: float,
    census_s: float,
    requests_per_s: float = 0.0,
    pulses: Mapping[str, float] | None = None,
    stuck: str = "",
) -> Watched:
    """Simulate the lives and look at them until `until`. `census_s` 0: no censuses; `requests_per_s` 0: requests are not told.

    `pulses`: site -> mean seconds between two things one of its goroutines does; a site that is not in it does nothing while it is looked at, and at `stuck`
    those do nothing that never leave.
    """
    chance = np.array([1 - np.exp(-TRACE_S / (pulses or {}).get(site, np.inf)) for site in shapes])
    lasting = np.array([0.0 if site == stuck else p for site, p in zip(shapes, chance, strict=True)])
    out = Watched(name)
    every = int(census_s / PROFILE_S) if census_s else 0
    for life in lives:
        ks = np.arange(beats(life.begin + UP_S), min(beats(life.end), beats(until)))
        if not len(ks):
            continue
        at = np.asarray(FIRST_LOOK_S + PROFILE_S * ks, np.float64)
        with_census = ks[ks % every == 0] if every else ks[:0]
        census_at = np.asarray(FIRST_LOOK_S + PROFILE_S * with_census + CENSUS_LAG_S, np.float64)
        world = World(rng, life.begin, life.end, load, np.sort(np.concatenate([at, census_at])))
        process = Process(world, shapes)
        labels = {"service": service, "version": life.version}
        out.seen.append(
            _Watch(
                Instance(id=name, labels=labels, start_time=life.begin),
                int(ks[0]),
                process.sites,
                process.counts(at).T.tolist(),
                dict(zip(with_census.tolist(), process.censuses(census_at, rng, chance, lasting), strict=True)),
                _requests(rng, load, life.begin, at, requests_per_s) if requests_per_s else None,
            )
        )
    return out


def _requests(rng: Rng, load: Load, begin: float, at: Floats, per_s: float) -> list[int]:
    """A counter that begins at 0 with the process."""
    served = per_s * np.diff(load.total(at), prepend=load.total(begin))
    return [int(n) for n in np.cumsum(rng.poisson(np.maximum(served, 0)))]


def named(rng: Rng, sites: Iterable[str], waits: Mapping[str, str] | None = None) -> list[Named]:
    """What the site ids stand for: made-up places, none of which says what it is. `waits`: what is waited for at some of them."""
    found = []
    for site in sites:
        package, line = f"shop{int(rng.integers(20))}", int(rng.integers(10, 900))
        frame = Frame(f"example.com/{package}.run{line}", f"{package}/run.go", line)
        made_by = Frame(f"example.com/{package}.Start", f"{package}/run.go", line + 40)
        wait = (waits or {}).get(site) or WAITS[int(rng.integers(len(WAITS)))]
        found.append(Named(Site(site, wait, frame.function, frame.file, frame.line, (frame,), made_by)))
    return found


def save(file: Path, names: Iterable[Named], instances: Sequence[Watched], until: float) -> int:
    """Write a recording (formats/recording, v1); events written."""
    written = 0
    with file.open("wb") as out:
        for name in names:
            out.write(write(name))
        for k in range(beats(until)):
            for event in (e for instance in instances for e in instance.events(k)):
                out.write(write(event))
                written += 1
    return written
