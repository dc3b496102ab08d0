"""Taking a look: one answer of a pprof endpoint, read. Bodies that take long to read go to threads, so that the loop stays alive.

The readers' hot loops are kernels that run without the GIL (kernels/__init__.py); around them is Python that holds it, but hands it over
every few milliseconds (sys.getswitchinterval), which is all a loop with deadlines of seconds needs.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Executor
from dataclasses import dataclass

from parkwarden.collect import limits
from parkwarden.collect.fleet.http import Client, FetchError
from parkwarden.collect.fleet.prices import Look
from parkwarden.collect.fleet.scrape import NOT_THERE
from parkwarden.formats.detect import read_bytes
from parkwarden.model.artefact import Artefact, Kind
from parkwarden.model.errors import ParkwardenError

AT_ONCE_BYTES = 48 << 10
"""Bodies up to this size are read without a change of thread: 5 ms of a profile, 3 ms of a census."""
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


@dataclass(frozen=True, slots=True)
class Taken:
    """What a look brought. `artefact` is None where the answer could not be read: `outcome` then says why."""

    outcome: str
    """ok, not-there, tracing-busy, old-go, unreadable, or the code of a FetchError."""
    took_s: float
    body: bytes = b""
    wire: int = 0
    artefact: Artefact | None = None
    note: str = ""


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
    timeout_s = limits.ENDPOINT_TIMEOUT_S + seconds
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
    try:
        if len(answer.body) <= AT_ONCE_BYTES:
            found = read_bytes(answer.body, look.value)
        else:
            found = await asyncio.get_running_loop().run_in_executor(pool, read_bytes, answer.body, look.value)
    except ParkwardenError as error:
        outcome = "old-go" if error.code == "trace-v1" else "unreadable"
        return Taken(outcome, took_s, answer.body, answer.wire, note=error.message)
    artefact = next((a for a in found if a.kind is KINDS[look]), None)
    if artefact is None:
        old = any(p.code == "trace-v1" for a in found for p in a.problems)
        return Taken("old-go" if old else "unreadable", took_s, answer.body, answer.wire, note="not what was asked for")
    return Taken("ok", took_s, answer.body, answer.wire, artefact)
