"""What one concurrent request takes - descriptors, threads, bytes - measured from the present.

Two ways, the better first. *over load*: where the number of requests in flight varied between the looks, the robust slope (Sen) of the use
over the requests is what one of them takes, and the rest is fixed. *share*: where it stood still, everything above what an idle Go server
has is counted as theirs - too much if the service also holds something else, and said so. Where hardly any request runs nothing can be
measured: the profile's own assumption stands in, and is called one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from parkwarden.judge.fleet.time_left import MAX_PAIRS_FROM, sen_slope
from parkwarden.judge.limits.facts import Look, Profile

MIN_REQUESTS = 8
"""Requests in flight from which their share says something: with fewer, a log file more is half a descriptor each."""

MIN_LOOKS = 5
"""Looks a slope is taken from; as the fleet's own time left wants."""

MIN_SPREAD = 5
"""Requests by which the load must vary, and MIN_SPREAD_SHARE of the most, to tell what one takes from what noise does."""
MIN_SPREAD_SHARE = 0.2

IDLE_DESCRIPTORS = 6
"""Of a Go server that serves nobody: standard input, output and error, epoll, its eventfd (runtime/netpoll_epoll.go), one listener."""

IDLE_THREADS = 5
"""Beside GOMAXPROCS: sysmon, signals, template and the spare ones that any short system call leaves behind."""

IDLE_HEAP = 1 << 20
"""Heap in use and stacks of a Go server that serves nobody: 1.1 MiB with net/http, expvar and pprof (Go 1.27.3, measured)."""

CONNECTION_BYTES = 40 << 10
"""One net/http connection: two bufio buffers of 4 KiB (net/http/server.go), two goroutines with stacks of 2-8 KiB, request and headers;
assumed where nothing was measured, and doubled for the heap's growth between collections."""


class Basis(StrEnum):
    """What a need rests on, best first."""

    LOAD = "over load"
    SHARE = "share"
    ASSUMED = "assumed"


class What(StrEnum):
    """What runs out, each named for the column of `Look` that tells it."""

    DESCRIPTORS = "descriptors"
    THREADS = "threads"
    MEMORY = "memory"


_LEAST = {What.DESCRIPTORS: 1.0, What.THREADS: 0.0, What.MEMORY: float(CONNECTION_BYTES)}
"""Of one request, however little was seen: its connection. Requests that wait for the network hold no thread."""


@dataclass(frozen=True, slots=True)
class Need:
    """`fixed` whatever the load, `each` per concurrent request (never negative); `text` says how that is known."""

    what: What
    fixed: float
    each: float
    basis: Basis
    text: str

    def at(self, requests: float) -> float:
        """What so many concurrent requests take."""
        return self.fixed + self.each * requests


def needs(looks: Sequence[Look], profile: Profile, gomaxprocs: float | None) -> dict[What, Need]:
    """A need for each of what the looks tell; what they do not tell has none."""
    assumed = {
        What.DESCRIPTORS: profile.fds_per_request,
        What.THREADS: 0.0,
        What.MEMORY: 2.0 * CONNECTION_BYTES,
    }
    idle = {
        What.DESCRIPTORS: float(IDLE_DESCRIPTORS),
        What.THREADS: IDLE_THREADS + (gomaxprocs or 1.0),
        What.MEMORY: float(IDLE_HEAP),
    }
    found = {}
    for what in What:
        need = (
            _over_load(what, looks) or _share(what, looks[-1], idle[what]) or _assumed(what, looks[-1], assumed[what])
        )
        if need is not None:
            found[what] = need
    return found


def _over_load(what: What, looks: Sequence[Look]) -> Need | None:
    pairs = [
        (look.requests, used)
        for look in looks
        if look.requests is not None and (used := getattr(look, what.value)) is not None
    ]
    pairs = sorted(pairs[-MAX_PAIRS_FROM:])
    if len(pairs) < MIN_LOOKS:
        return None
    requests, used = np.array(pairs, dtype=np.float64).T
    spread = float(requests[-1] - requests[0])
    if spread < max(MIN_SPREAD, MIN_SPREAD_SHARE * float(requests[-1])):
        return None
    each, low, _ = sen_slope(requests, used)
    if low <= 0:
        return None  # it does not follow the load: memory between two collections, threads that are never given back
    fixed = max(float(np.median(used - each * requests)), 0.0)
    text = f"measured: load went from {requests[0]:,.0f} to {requests[-1]:,.0f} requests meanwhile"
    return Need(what, fixed, each, Basis.LOAD, text)


def _share(what: What, now: Look, idle: float) -> Need | None:
    used: float | None = getattr(now, what.value)
    if used is None or now.requests is None or now.requests < MIN_REQUESTS:
        return None
    theirs = used
    if what is What.MEMORY:
        if now.heap is None:
            return None
        theirs = float(now.heap)  # the rest of the process (code, runtime, caches given back) does not grow with load
    each = max(theirs - idle, 0.0) / now.requests
    least = _LEAST[what]
    text = f"at most: everything above an idle server's shared among the {now.requests:,} requests in flight"
    if each < least:
        each = least
        text = "at least: what any connection takes; no more was seen"
    return Need(what, max(used - each * now.requests, 0.0), each, Basis.SHARE, text)


def _assumed(what: What, now: Look, each: float) -> Need | None:
    used: float | None = getattr(now, what.value)
    if used is None:
        return None
    served = (
        f"{now.requests:,} requests in flight are too few to measure"
        if now.requests is not None
        else "requests in flight are not told"
    )
    return Need(what, float(used), each, Basis.ASSUMED, f"assumed: {served}")
