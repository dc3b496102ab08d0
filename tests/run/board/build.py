"""A made-up fleet told to a real engine, event by event, as a recording would tell it."""

from __future__ import annotations

from collections.abc import Iterator

from parkwarden.model import Event, Frame, Instance, Named, Read, Reading, Site, SiteCounts, Started

BEGIN = 1_750_000_000.0
HOUR = 3_600.0
READ_S, LOOK_S = 5.0, 60.0
TEAMS = ("payments", "search", "orders")


def site(name: str, line: int) -> Site:
    """A place of the user's own where goroutines wait."""
    frames = (
        Frame("runtime.gopark", "proc.go", 1),
        Frame(f"shop/{name}.(*Worker).run", f"/src/shop/{name}/worker.go", line),
    )
    by = Frame(f"shop/{name}.Start", f"/src/shop/{name}/start.go", 7)
    return Site(f"{line:016x}", "chan receive", frames[1].function, frames[1].file, line, frames, by)


SITES = [site(f"pool{i}", 40 + i) for i in range(6)]
LEAK = site("leaky", 99)


def instance(i: int, services: int, version: str = "1.0") -> Instance:
    labels = {"service": f"svc-{i % services:04}", "env": "prod", "team": TEAMS[i % services % 3], "version": version}
    return Instance(
        id=f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}:6060", labels=labels, start_time=BEGIN - 600.0 * (i % 97 + 1)
    )


def fleet(
    instances: int,
    services: int,
    minutes: float,
    *,
    leaks: tuple[int, ...] = (0,),
    per_s: float = 8.0,
    read_s: float = READ_S,
) -> Iterator[tuple[float, Event]]:
    """Instances of so many services; those numbered in `leaks` gain `per_s` goroutines a second at `LEAK`."""
    for one in (*SITES, LEAK):
        yield BEGIN, Named(one)
    who = [instance(i, services) for i in range(instances)]
    for one in who:
        yield BEGIN, Started(one, BEGIN)
    steps = int(minutes * 60 / read_s)
    for k in range(steps):
        at = BEGIN + k * read_s
        for i, one in enumerate(who):
            grown = int(per_s * k * read_s) if i in leaks else 0
            n = 60 + (i * 7 + k) % 5 + grown
            heap = (32 << 20) + 4096 * n
            yield (
                at,
                Read(
                    at, one.id, Reading(at=at, goroutines=n, heap_inuse=heap, rss=heap * 2, open_fds=30, max_fds=65536)
                ),
            )
            if (k * read_s + i) % LOOK_S < read_s:
                counts = {s.id: 10 for s in SITES} | ({LEAK.id: grown} if grown else {})
                yield at, SiteCounts(at, one.id, counts)
