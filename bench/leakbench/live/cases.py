"""What is measured: leaks of each kind at each rate, packed a few to a service by seed, and look-alikes in a few sizes each.

A case is a text that service/ understands: items parted by `;`. Times are seconds, rates per second.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

RATES = (0.2, 1.0, 5.0, 20.0, 50.0)

KINDS = {
    "chan-send": 50.0, "chan-receive": 50.0, "chan-range": 50.0, "nil-channel": 50.0, "select-no-exit": 50.0,
    "select-ticker": 50.0, "context-lost": 50.0, "pipeline": 50.0, "global-channel": 50.0, "semaphore": 50.0,
    "subscriber-quiet": 50.0, "subscriber-busy": 50.0, "mutex": 50.0, "rwmutex": 50.0, "waitgroup": 50.0, "cond": 50.0,
    "global-mutex": 50.0, "global-waitgroup": 50.0, "ticker-range": 50.0, "sleep-loop": 50.0, "constructor": 50.0,
    "io-read": 20.0, "io-write": 20.0, "accept": 20.0, "io-copy": 5.0, "child-pipe": 1.0, "http-body": 20.0,
    "handler": 20.0,
}  # fmt: skip
"""Kinds of leaks, and the highest rate at which each is asked for: connections and child processes are dear."""

SITES_PER_SERVICE = 3
"""Leaks in one process: real services have several, and a ruler of 130 sites stays an hour's work."""

COMPANY = ("", "", "pool-warmup n=60 rate=3", "cron n=20 every=8 min=1 max=5", "subscribers rate=3 min=2 max=20",
           "sockets n=40 day=120 min=5 max=30", "burst n=150 every=9 min=1 max=5", "conn-pool n=40 rate=2",
           "long-poll rate=1 min=10 max=40", "slow-backend rate=2 min=8 max=8")  # fmt: skip
"""What is innocent and goes on in the same service; two in ten have none."""

MIXES = {"alone": "", "slow": " mix=0.8 min=5 max=20", "fast": " mix=5 min=0.2 max=2"}
"""Healthy traffic at the leaking site itself: none, ten goroutines of 5-20 s, five of about a second."""

LOOKALIKES = (
    "like pool-warmup n=60 rate=3 jobs=20", "like pool-warmup n=20 rate=1 jobs=50", "like pool-warmup n=200 rate=20 jobs=100",
    "like burst n=500 every=20 min=2 max=12", "like burst n=100 every=7 min=1 max=6", "like burst n=300 every=600 after=20 min=10 max=40",
    "like standing n=500 jobs=2", "like standing n=30 jobs=0.2", "like parked n=300", "like signals n=40",
    "like cron n=30 every=10 min=1 max=8", "like cron n=10 every=5 min=0.5 max=3",
    "like contended n=60 hold=0.01", "like contended n=8 hold=0.1",
    "like queue-at-lock rate=10 min=2 max=9", "like queue-at-lock rate=3 min=5 max=15",
    "like conn-pool n=50 rate=2", "like conn-pool n=20 rate=0.5 use=4", "like conn-pool n=200 rate=10 use=200",
    "like transport n=50 rate=2 min=1 max=8", "like transport n=25 rate=0.5 min=0.1 max=2",
    "like retry rate=2 min=5 max=30", "like retry rate=10 min=1 max=10",
    "like afterfunc rate=10 min=1 max=30", "like errgroup n=60 every=3 min=0.5 max=3", "like errgroup n=200 every=10 min=2 max=8",
    "like graceful n=20 min=5 max=40", "like graceful n=100 min=2 max=10",
    "like slow-backend rate=3 min=10 max=10", "like slow-backend rate=1 min=30 max=30",
    "like janitor rate=3 min=20 max=20", "like janitor rate=1 min=45 max=45", "like janitor rate=10 min=5 max=60",
    "like subscribers rate=2 min=2 max=40 events=2", "like subscribers rate=5 min=1 max=10 events=0.1",
    "like long-poll rate=2 min=25 max=60", "like long-poll rate=5 min=25 max=25", "like long-poll rate=1 min=60 max=60",
    "like ramp from=1 to=30 over=60 min=1 max=4", "like ramp from=2 to=10 over=30 min=3 max=6",
    "like sse rate=2 min=5 max=40", "like sse rate=0.5 min=20 max=60",
    "like day n=60 day=90 min=5 max=30", "like day n=200 day=150 min=10 max=60",
    "like sockets n=60 day=90 min=5 max=30 talk=3", "like sockets n=150 day=200 min=15 max=90 talk=20",
    "like idle-conns n=100 rate=3", "like idle-conns n=400 rate=40",
)  # fmt: skip

HEALING = " min=2 max=12"
"""Every kind of leak also as healthy traffic: the same code, but each goroutine ends."""


@dataclass(frozen=True, slots=True)
class Planted:
    """One leaking site of a case."""

    kind: str
    rate: float
    mixed: str
    """Which of MIXES goes through the same line."""


@dataclass(frozen=True, slots=True)
class Case:
    """One service: `text` is its -case; `planted` its leaks, empty for look-alikes."""

    name: str
    text: str
    planted: tuple[Planted, ...] = ()


def leaks(seed: int, rates: Sequence[float] = RATES) -> Iterator[Case]:
    """Each kind at each rate it is asked for, once; which share a service and which have healthy traffic is drawn."""
    draw = random.Random(seed)
    sites = [(kind, rate) for kind, most in KINDS.items() for rate in rates if rate <= most]
    draw.shuffle(sites)
    while sites:
        together: list[tuple[str, float]] = []
        for one in list(sites):
            if len(together) < SITES_PER_SERVICE and one[0] not in {kind for kind, _rate in together}:
                together.append(one)
                sites.remove(one)
        yield _leaking(together, draw)


def _leaking(sites: list[tuple[str, float]], draw: random.Random) -> Case:
    items, planted = [], []
    for kind, rate in sites:
        mixed = draw.choice(list(MIXES))
        items.append(f"leak {kind} rate={rate:g}{MIXES[mixed]}")
        planted.append(Planted(kind, rate, mixed))
    if company := draw.choice(COMPANY):
        items.append(f"like {company}")
    return Case(" + ".join(f"{kind} {rate:g}/s" for kind, rate in sites), " ; ".join(items), tuple(planted))


def innocents(seed: int) -> Iterator[Case]:
    """Each look-alike alone in its service, then healing twins of the leaks, three to a service."""
    for text in LOOKALIKES:
        yield Case(text.removeprefix("like "), text)
    draw = random.Random(seed)
    kinds = [kind for kind in KINDS if kind != "nil-channel"]
    draw.shuffle(kinds)
    for first in range(0, len(kinds), SITES_PER_SERVICE):
        some = kinds[first : first + SITES_PER_SERVICE]
        items = [f"heal {kind} rate={min(draw.choice(RATES[1:4]), KINDS[kind]):g}{HEALING}" for kind in some]
        yield Case("healing " + ", ".join(some), " ; ".join(items))
