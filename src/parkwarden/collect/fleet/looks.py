"""Taking a look: one answer of a pprof endpoint, read. Bodies that take long to read go to threads, so that the loop stays alive.

The readers' hot loops are kernels that run without the GIL (kernels/__init__.py); around them is Python that holds it, but hands it over
every few milliseconds (sys.getswitchinterval), which is all a loop with deadlines of seconds needs.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Executor
from dataclasses import dataclass

from parkwarden import kernels
from parkwarden.collect import limits
from parkwarden.collect.fleet.http import Client, FetchError, unzip
from parkwarden.collect.fleet.prices import DEAR, Look
from parkwarden.collect.fleet.scrape import NOT_THERE
from parkwarden.collect.fleet.sites import Sites, sites_of
from parkwarden.formats import goroutine_dump, profile_proto, trace
from parkwarden.model.artefact import Artefact, Kind
from parkwarden.model.errors import LimitError, ParkwardenError

AT_ONCE_BYTES = 48 << 10
"""Bodies up to this size are read without a change of thread: 5 ms of a profile, 3 ms of a census."""
CHEAP_TIMEOUT_S = 10.0
"""One answer to a look that is no dear one, from connecting to its last byte: the goroutine profile of 100,000 takes 0.5 s."""
MAX_UNPACKED = 16 << 20
"""Bytes that a gzipped profile may unpack to: heap profiles of large services have 5 MB, a hundred thousand label sets 8."""
MAX_ROWS = 200_000
"""Samples, locations, functions, lines and strings of a profile, each: made into objects they take half a kilobyte and 10 us apiece."""
MAX_UNPACKED_AT_ONCE = 4 << 20
"""The same for what is read without a change of thread: profiles unpack to 3 to 10 times their size, bombs to 1,000 times."""
MAX_BODY_BYTES = {
    Look.PROFILE: 8 << 20,
    Look.CENSUS: 32 << 20,
    Look.HEAP: 16 << 20,
    Look.TRACE: 64 << 20,
    Look.LEAK: 8 << 20,
    Look.DUMP: 16 << 20,
}
"""Of one answer: a census of 500,000 goroutines has 10 MB, a text dump 0.5 kB for each goroutine of the few it is taken of."""
KINDS = {
    Look.PROFILE: Kind.GOROUTINE_PROFILE,
    Look.CENSUS: Kind.TRACE,
    Look.HEAP: Kind.HEAP_PROFILE,
    Look.TRACE: Kind.TRACE,
    Look.LEAK: Kind.GOROUTINELEAK_PROFILE,
    Look.DUMP: Kind.GOROUTINE_DUMP,
}
_FILES = {
    Look.PROFILE: "goroutine.pb.gz",
    Look.CENSUS: "census.trace",
    Look.HEAP: "heap.pb.gz",
    Look.TRACE: "trace.trace",
    Look.LEAK: "goroutineleak.pb.gz",
    Look.DUMP: "goroutine-debug2.txt",
}


NO_ANSWER = frozenset(
    ["timeout", "connection-failed", "connection-lost", "no-such-host", "tls", "truncated", "too-large", "bad-answer"]
)
"""Outcomes after which pprof is left alone for a while: nothing came, or more than anybody should have to look through."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a look brought. `artefact` is None where the answer could not be read: `outcome` then says why."""

    outcome: str
    """ok, not-there, tracing-busy, old-go, unreadable, or the code of a FetchError."""
    took_s: float
    body: bytes = b""
    wire: int = 0
    artefact: Artefact | None = None
    sites: Sites | None = None
    """What its snapshot says, found where the answer was read: beside the loop if it is large."""
    note: str = ""


KERNELS = ("profile_wire", "trace_scan", "trace_tables", "dump_scan")
"""What reading looks takes."""


def warm() -> None:
    """Load KERNELS: 50 ms, or seconds of compiling after an upgrade, which no loop should wait for."""
    for name in KERNELS:
        kernels.load(name)


def file_name(look: Look) -> str:
    """The name an answer opens under in the field's own tools."""
    return _FILES[look]


def path_of(look: Look, pprof_path: str, seconds: float) -> str:
    if look in (Look.CENSUS, Look.TRACE):
        return f"{pprof_path}/trace?seconds={seconds:g}"
    return f"{pprof_path}/{look.value}"


async def take(client: Client, look: Look, pprof_path: str, seconds: float, pool: Executor) -> Taken:
    """Ask and read. Never raises but for cancellation: what goes wrong is the outcome."""
    began = time.monotonic()
    timeout_s = (limits.ENDPOINT_TIMEOUT_S if look in DEAR else CHEAP_TIMEOUT_S) + seconds
    try:
        answer = await client.ask_apart(path_of(look, pprof_path, seconds), MAX_BODY_BYTES[look], timeout_s)
    except FetchError as error:
        return Taken(error.code, time.monotonic() - began, note=error.text)
    took_s = time.monotonic() - began
    if answer.status != 200:
        outcome = "not-there" if answer.status in NOT_THERE else "status"
        if look in (Look.CENSUS, Look.TRACE) and b"Could not enable tracing" in answer.body[:500]:
            outcome = "tracing-busy"  # net/http/pprof/pprof.go: Trace
        return Taken(outcome, took_s, wire=answer.wire, note=f"status {answer.status}")
    body = answer.body
    try:
        if len(body) <= AT_ONCE_BYTES:
            artefact, sites = understood(look, body, MAX_UNPACKED_AT_ONCE)
        else:
            loop = asyncio.get_running_loop()
            artefact, sites = await loop.run_in_executor(pool, understood, look, body, MAX_UNPACKED)
    except FetchError as error:
        outcome = error.code if error.code == "too-large" else "unreadable"
        return Taken(outcome, took_s, body, answer.wire, note=error.text)
    except LimitError as error:
        return Taken("too-large", took_s, body, answer.wire, note=error.code)
    except ParkwardenError as error:
        return Taken("old-go" if error.code == "trace-v1" else "unreadable", took_s, body, answer.wire, note=error.code)
    except Exception as error:  # a reader's mistake about hostile bytes costs this look, not the fleet
        return Taken("unreadable", took_s, body, answer.wire, note=f"{type(error).__name__} while reading")
    return Taken("ok", took_s, body, answer.wire, artefact, sites)


def understood(look: Look, body: bytes, limit: int) -> tuple[Artefact, Sites | None]:
    """What a look's answer says, unpacked to at most `limit` bytes. Raises ParkwardenError, FetchError."""
    artefact = _read(look, body, limit)
    return artefact, sites_of(artefact.snapshot) if artefact.snapshot is not None else None


def _read(look: Look, body: bytes, limit: int) -> Artefact:
    """The answer, read as what was asked for. Raises ParkwardenError, FetchError."""
    if look in (Look.CENSUS, Look.TRACE):
        return trace.read(body, look.value)
    if look is Look.DUMP:
        return goroutine_dump.read(body, look.value)
    plain = unzip(body, b"gzip", limit) if body.startswith(b"\x1f\x8b") else body
    artefact = profile_proto.read(plain, look.value, max_rows=MAX_ROWS)
    if artefact.kind is not KINDS[look]:
        raise FetchError("not-asked-for", f"a {artefact.kind.value} came")
    return artefact
