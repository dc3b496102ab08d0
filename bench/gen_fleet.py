"""A day of a fleet as a recording: instances beside each other, each a set of queues that follow the day.

Every site is a queue without limit: arrivals by a load that swings 1 : 3 over the day, exponential stays; some are pools that stand still. One
instance in fifty leaks six an hour at one site, on top of its traffic. Readings every 5 s, all sites a minute, a census every 5 minutes
if asked for; each instance has its own place in the beat, as `parkwarden watch` has it. Seeded, so a day is always the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard

from parkwarden.formats.recording import write
from parkwarden.model import Census, Event, Instance, Named, Read, Reading, Site, SiteCounts, Started

READ_S, LOOK_S, CENSUS_S = 5.0, 60.0, 300.0
SITES = 40
POOLS = 8
"""Of the sites; they stand still."""
LEAKS_EVERY = 50
LEAK_PER_H = 6.0
EPOCH = 1_750_000_000.0
SERVICES = 10
"""Whose replicas the instances are, in turn."""
_HOUR = 3600.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Leak:
    """What one instance in LEAKS_EVERY gains, and from which hour on."""

    per_h: float = LEAK_PER_H
    from_h: float = 2.0


@dataclass(frozen=True)
class Life:
    """One instance: when each goroutine came and went at which site (ids rise with `born`), and its place in the beat."""

    name: str
    phase: float
    born: Floats
    died: Floats
    site: npt.NDArray[np.int64]

    def present(self, at: float) -> npt.NDArray[np.int64]:
        """Indices of those who are there."""
        until = int(np.searchsorted(self.born, at, side="right"))
        return np.flatnonzero(self.died[:until] > at)


def _life(i: int, seconds: float, rng: np.random.Generator, leak: Leak) -> Life:
    born, died, site = [], [], []
    for s in range(SITES):
        if s < POOLS:
            b = np.full(int(rng.integers(1, 17)), -1.0)
            d = np.full(len(b), np.inf)
        else:
            crowd, stay = rng.uniform(1, 16), rng.choice([10.0, 20.0, 40.0, 80.0])
            b = np.sort(rng.uniform(-10 * stay, seconds, rng.poisson(crowd / stay * (seconds + 10 * stay))))
            load = 1.0 + 0.5 * np.sin(2 * np.pi * (b / 86_400.0 - 0.25))
            b = b[rng.uniform(0, 1.5, len(b)) < load]
            d = b + rng.exponential(stay, len(b))
        if s == SITES - 1 and i % LEAKS_EVERY == 0:
            begin, hours = leak.from_h * _HOUR, max(seconds / _HOUR - leak.from_h, 0)
            leaked = np.sort(rng.uniform(begin, max(seconds, begin), rng.poisson(leak.per_h * hours)))
            b, d = np.concatenate([b, leaked]), np.concatenate([d, np.full(len(leaked), np.inf)])
        born.append(b)
        died.append(d)
        site.append(np.full(len(b), s))
    all_born = np.concatenate(born)
    order = np.argsort(all_born, kind="stable")
    died_, site_ = np.concatenate(died)[order], np.concatenate(site)[order]
    return Life(f"10.0.{i // 250}.{i % 250}:6060", float(rng.uniform(0, READ_S)), all_born[order], died_, site_)


def _readings(life: Life, hours: float, seed: int) -> Iterator[tuple[float, Event]]:
    times = np.arange(life.phase, hours * _HOUR, READ_S)
    there = np.searchsorted(life.born, times, side="right") - np.searchsorted(np.sort(life.died), times, side="right")
    rng = np.random.default_rng(seed)
    heap = (64 << 20) + (rng.random(len(times)) * (8 << 20)).astype(np.int64) + there * 8192
    cpu = np.cumsum(rng.random(len(times)) * 2)
    requests = np.cumsum(rng.poisson(500, len(times)))
    columns = (times + EPOCH, there, heap, np.arange(len(times)) // 3, cpu, requests)
    for at, n, inuse, cycles, cpu_s, total in zip(*(c.tolist() for c in columns), strict=True):
        reading = Reading(
            at=at, goroutines=n, heap_inuse=inuse, heap_alloc=inuse - 4096, total_alloc=total * 2048, sys=inuse * 2, next_gc=128 << 20,
            num_gc=cycles, gc_cpu_s=round(cpu_s * 0.03, 6), cpu_s=round(cpu_s, 6), open_fds=40, max_fds=65536, threads=14,
            requests_total=total, rss=inuse + (20 << 20), gomaxprocs=4,
        )  # fmt: skip
        yield at, Read(at, life.name, reading)


def _looks(life: Life, hours: float, censuses: bool, names: list[str], i: int) -> Iterator[tuple[float, Event]]:
    """Profiles, and censuses between them."""
    begin = life.phase + READ_S * (i % 12)
    looks = [(begin + k * LOOK_S, False) for k in range(int(hours * _HOUR / LOOK_S))]
    if censuses:
        looks += [
            (begin + READ_S / 2 + LOOK_S * (i % 5) + k * CENSUS_S, True) for k in range(int(hours * _HOUR / CENSUS_S))
        ]
    for at, census in sorted(looks):
        there = life.present(at)
        site = life.site[there]
        if not census:
            counts = np.bincount(site, minlength=SITES).tolist()
            yield at + EPOCH, SiteCounts(at + EPOCH, life.name, {s: n for s, n in zip(names, counts, strict=True) if n})
            continue
        goids = {names[s]: there[site == s] * 3 + 20 for s in np.unique(site).tolist()}
        highest = int(np.searchsorted(life.born, at, side="right")) * 3 + 20
        yield at + EPOCH, Census(at + EPOCH, life.name, goids, highest)


def events(
    instances: int,
    hours: float,
    *,
    censuses: bool = True,
    readings: bool = True,
    seed: int = 1,
    services: int = SERVICES,
    leak: Leak = Leak(),
    first: int = 0,
) -> Iterator[Event]:
    """The fleet's events in time order. `first`: the number of its first instance, where it is a part of a larger one."""
    from heapq import merge

    names = [f"{s * 2654435761 % (1 << 32):08x}{s:08x}" for s in range(SITES)]
    for s, name in enumerate(names):
        yield Named(
            Site(
                name,
                "select" if s % 2 else "chan receive",
                f"shop/pool{s}.(*Worker).run",
                f"/src/shop/pool{s}/worker.go",
                40 + s,
                (),
            )
        )
    streams = []
    for i in range(first, first + instances):
        life = _life(i, hours * _HOUR, np.random.default_rng((seed, i)), leak)
        labels = {"service": f"svc-{i % services}", "env": "prod", "version": "1.0"}
        yield Started(Instance(id=life.name, labels=labels, start_time=EPOCH - 86_400.0 - 600.0 * i), EPOCH)
        if readings:
            streams.append(_readings(life, hours, i))
        streams.append(_looks(life, hours, censuses, names, i))
    for _, event in merge(*streams, key=lambda item: item[0]):
        yield event


def recorded(file: Path, instances: int, hours: float, **how: Any) -> Path:
    """The same as a recording, written once; zstd as `parkwarden record` does it. `how`: as `events` takes it."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        with part.open("wb") as sink, zstandard.ZstdCompressor(level=3).stream_writer(sink) as packed:
            for event in events(instances, hours, **how):
                packed.write(write(event))
        part.rename(file)
    return file
