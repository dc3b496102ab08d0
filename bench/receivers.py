"""What receivers hold on one core: `python -m bench.receivers [NAME ...]`.

A receiver runs as in the watch (stream, roll, lives, the engine's windows) in a process of its own that is held to one core; who sends is on
another. Three rounds each: as much as is sent (what the core can), 50,000 points a second (how much of the core that takes), and twice that
with admission as configured (what is refused, and whether what is taken stays at the limit).

Who adds a receiver adds a `Kind`: what makes its stream, and what sends rounds of bodies to its address.
"""

from __future__ import annotations

import asyncio
import gzip
import multiprocessing
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

INSTANCES = 5_000
"""A fleet that reports every second; its points a second are the bodies' size."""
RATE = 50_000
SECONDS = 6.0
BATCH = 800
"""Instances of a message: 8,000 points, a Collector's batch."""


@dataclass(frozen=True)
class Kind:
    """A receiver. `make(world)` gives its stream; `bodies(at, n)` the messages of the fleet's second `n`; `sender(address)` an async context
    whose `send(body)` answers "ok", "refused" (with a time to come back) or what else it was."""

    name: str
    make: Callable[[World], Any]
    bodies: Callable[[float, int], Sequence[tuple[bytes, int]]]
    sender: Callable[[str], Any]
    wide: int = 4
    """Senders at once."""
    taken: Callable[[Mapping[str, int]], int] | None = None
    """Where messages are not answered: points taken by the receiver's own counts."""
    linger_s: float = 0.0
    """How long readings may wait for their pieces after the last message: until then the processor's work is not done."""


@dataclass
class World:
    """What a receiver is given, as in the watch."""

    roll: Any
    admission: Any
    clock: Callable[[], float]
    told: list[str] = field(default_factory=list)


def receiver(name: str, pipe: Connection, points_per_s: int) -> None:
    """The receiving process: tells its address, then, when asked, processor seconds, points, and the longest time its loop was held."""
    os.sched_setaffinity(0, {0})
    import uvloop

    kind = next(kind for kind in KINDS if kind.name == name)
    uvloop.run(_receive(kind, pipe, points_per_s))


async def _receive(kind: Kind, pipe: Connection, points_per_s: int) -> None:
    from parkwarden.collect.streams.admission import Admission
    from parkwarden.collect.streams.roll import Roll
    from parkwarden.judge.fleet.rules import Rules
    from parkwarden.model import Event
    from parkwarden.run.engine import Engine
    from parkwarden.run.lives import Lives

    engine = Engine(Rules())
    lives = Lives(engine)

    def emit(event: Event) -> None:
        lives.heed(event)
        engine.feed(event)

    world = World(Roll(emit, time.time), Admission(time.monotonic, points_per_s=points_per_s), time.time)
    stream = kind.make(world)
    parts = [asyncio.ensure_future(part()) for part in stream.parts().values()]
    while not world.told:
        await asyncio.sleep(0.01)
    address = next(word for text in world.told for word in text.split() if "://" in word)
    longest, before = 0.0, time.process_time()
    pipe.send(address)
    while True:
        await asyncio.sleep(0.005)
        now = time.process_time()  # of ours only: what others do on the machine holds up no sender in production
        longest, before = max(longest, now - before), now
        if pipe.poll():
            if pipe.recv() == "end":
                break
            pipe.send((time.process_time(), dict(stream.points), longest, len(world.roll)))
            longest = 0.0
    for part in parts:
        part.cancel()
    await asyncio.gather(*parts, return_exceptions=True)


async def _announce(kind: Kind, address: str) -> None:
    """The fleet's first second: everybody is new, which is once."""
    async with kind.sender(address) as send:
        for body, _ in kind.bodies(time.time() - SECONDS - 5, -1):
            await send(body)


async def _send(kind: Kind, address: str, rate: float | None) -> tuple[dict[str, int], float]:
    """Points by outcome, and how long it took; `rate` points a second, or as fast as answers come."""
    rounds = [body for n in range(int(SECONDS)) for body in kind.bodies(time.time() - SECONDS - 5, n)]
    if rate is not None and rate > RATE:
        rounds += [
            body for n in range(int(SECONDS), int(2 * SECONDS)) for body in kind.bodies(time.time() - SECONDS - 5, n)
        ]
    points: dict[str, int] = {}
    began, sent = time.perf_counter(), 0
    queue = iter(rounds)

    async def one(send: Callable[[bytes], Awaitable[str]]) -> None:
        nonlocal sent
        for body, size in queue:
            if rate is not None:
                await asyncio.sleep(max(0.0, sent / rate - (time.perf_counter() - began)))
            sent += size
            outcome = await send(body)
            points[outcome] = points.get(outcome, 0) + size

    async with kind.sender(address) as send:
        began = time.perf_counter()
        await asyncio.gather(*(one(send) for _ in range(kind.wide)))
    return points, time.perf_counter() - began


def measure(kind: Kind) -> list[str]:
    """The rows of one receiver."""
    rows = []
    for what, rate, limit in (
        ("all it can", None, 10**9),
        ("50,000/s", RATE, 10**9),
        ("100,000/s, limit 50,000", 2 * RATE, RATE),
    ):
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        process = multiprocessing.get_context("spawn").Process(target=receiver, args=(kind.name, theirs, limit))
        process.start()
        try:
            address = ours.recv()
            asyncio.run(_announce(kind, address))
            ours.send("ask")
            cpu, before, *_ = ours.recv()
            points, took = asyncio.run(_send(kind, address, rate))
            time.sleep(kind.linger_s)
            ours.send("ask")
            cpu_after, counts, longest, instances = ours.recv()
        finally:
            ours.send("end")
            process.join(10)
        if kind.taken is not None:
            sent, ok = sum(points.values()), kind.taken(counts) - kind.taken(before)
            points = {"ok": ok} | ({"refused": sent - ok} if sent > ok else {})
        taken = points.get("ok", 0)
        others = {name: n for name, n in points.items() if name != "ok"}
        rows.append(
            f"{kind.name:<34} {what:<24} {taken / took:>9,.0f} points/s  {(cpu_after - cpu) / took:>5.0%} of the core  "
            f"{taken / max(cpu_after - cpu, 1e-3):>9,.0f} points per processor second  "
            f"loop held {longest * 1000:>4.0f} ms  {instances:,} instances  {others or ''}"
        )
        if counts.get("malformed") or not counts.get("taken"):
            raise RuntimeError(f"{kind.name}: {counts}")
    return rows


# OTLP


def _otlp(transport: str) -> Callable[[World], Any]:
    def make(world: World) -> Any:
        from parkwarden.collect.streams.otlp.receiver import OtlpStream
        from parkwarden.collect.streams.settings import Listener, OtlpReceiver

        settings = OtlpReceiver(**{transport: Listener(listen="127.0.0.1:0")})
        return OtlpStream(settings, {}, world.roll, world.admission, world.clock, world.told.append)

    return make


def otlp_bodies(at: float, n: int, batch: int = BATCH) -> list[tuple[bytes, int]]:
    """Ten points of each instance: the SDK's runtime metrics and two of the process."""
    from tests.collect.streams.otlp.messages import SHOP, Request, runtime_into

    bodies = []
    for first in range(0, INSTANCES, batch):
        request = Request(at + n, at - 3600)
        for i in range(first, min(first + batch, INSTANCES)):
            about: dict[str, str | int] = {
                **SHOP, "service.instance.id": f"shop-{i}", "k8s.namespace.name": "prod", "k8s.pod.name": f"shop-7f9c-{i}",
                "host.name": f"node-{i % 50}", "process.pid": 1, "telemetry.sdk.name": "opentelemetry", "os.type": "linux",
            }  # fmt: skip
            runtime_into(request, 400 + i % 100 + n, about, n + 1)
            request.gauge("process.memory.usage", 90 << 20).gauge("process.unix.file_descriptor.count", 40)
        bodies.append((request.body(), 10 * min(batch, INSTANCES - first)))
    return bodies


class _OtlpGrpc:
    def __init__(self, address: str) -> None:
        self._address = address.split("://")[1]

    async def __aenter__(self) -> Callable[[bytes], Awaitable[str]]:
        import grpc
        from grpc import aio

        from parkwarden.collect.streams.otlp.receiver import METHOD

        self._channel = aio.insecure_channel(self._address)
        call: Any = self._channel.unary_unary(METHOD)

        async def send(body: bytes) -> str:
            try:
                await call(body, timeout=30)
            except aio.AioRpcError as error:
                hinted = "grpc-status-details-bin" in dict(error.trailing_metadata() or ())
                return "refused" if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and hinted else str(error.code())
            return "ok"

        return send

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()


class _Http:
    """Sends over HTTP; `headers` say what a body is."""

    path = "/v1/metrics"
    headers: Mapping[str, str] = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}

    def __init__(self, address: str) -> None:
        self._url = address + self.path

    async def __aenter__(self) -> Callable[[bytes], Awaitable[str]]:
        import aiohttp

        self._session = aiohttp.ClientSession()

        async def send(body: bytes) -> str:
            async with self._session.post(self._url, data=body, headers=self.headers) as answer:
                await answer.read()
                if answer.status // 100 == 2:
                    return "ok"
                return "refused" if answer.status == 429 and "Retry-After" in answer.headers else str(answer.status)

        return send

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()


def _packed(at: float, n: int) -> list[tuple[bytes, int]]:
    return [(gzip.compress(body, 1), size) for body, size in otlp_bodies(at, n)]


def _alone(at: float, n: int) -> list[tuple[bytes, int]]:
    """Each instance sends for itself, as SDKs without a Collector do."""
    return otlp_bodies(at, n, batch=1)


# Prometheus remote write

SAMPLES = 2_000
"""Of a message, as Prometheus sends them (`max_samples_per_send`)."""


def _remote_write(world: World) -> Any:
    from parkwarden.collect.streams.remote_write import RemoteWriteStream
    from parkwarden.collect.streams.settings import Listener

    return RemoteWriteStream(Listener(listen="127.0.0.1:0"), {}, world.roll, world.admission, world.told.append)


def _written(at: float, n: int) -> list[tuple[bytes, int]]:
    """Ten samples of each instance, series by series as they come from a scrape."""
    import cramjam

    from tests.formats.remote_writes import version_1

    bodies = []
    names = [
        "go_goroutines",
        "go_threads",
        "go_memstats_alloc_bytes",
        "go_memstats_heap_inuse_bytes",
        "go_memstats_next_gc_bytes",
        "go_gc_duration_seconds_count",
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
    ]
    each = SAMPLES // len(names)
    for first in range(0, INSTANCES, each):
        series = []
        for i in range(first, first + each):
            about = {
                "instance": f"10.0.{i >> 8}.{i & 255}:6060",
                "job": f"shop-{i % 50}",
                "namespace": "prod",
                "pod": f"shop-7f9c-{i}",
                "cluster": "eu-1",
            }
            value = 400.0 + i % 100 + n
            series += [
                (
                    {**about, "__name__": name},
                    [(round((at + n) * 1000), 1.79e9 if name.startswith("process_start") else value)],
                )
                for name in names
            ]
        bodies.append((bytes(cramjam.snappy.compress_raw(version_1(series))), SAMPLES))
    return bodies


class _RemoteWrite(_Http):
    path = "/api/v1/write"
    headers: Mapping[str, str] = {
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": "snappy",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }


# SkyWalking


def _skywalking(world: World) -> Any:
    from parkwarden.collect.fleet.settings import CollectSettings
    from parkwarden.collect.streams.settings import Listener
    from parkwarden.collect.streams.skywalking.receiver import SkyWalkingStream

    return SkyWalkingStream(
        Listener(listen="127.0.0.1:0"), {}, world.roll, world.admission, CollectSettings(),
        emit=lambda _event: None, keep=lambda _capture: None, tell=world.told.append, clock=world.clock,
    )  # fmt: skip


def _agents(at: float, n: int) -> list[tuple[bytes, int]]:
    """A message of each agent: the runtime's meters, a histogram among them."""
    from parkwarden.protos.skywalking_pb2 import MeterDataCollection
    from tests.collect.streams.skywalking.agent import meters

    size = len(meters("shop", "i", 0, {}))
    told = (
        meters("shop", f"shop-{i}", int((at + n) * 1000), {"goroutines": 400 + i % 100}) for i in range(RATE // size)
    )
    return [(MeterDataCollection(meterData=one).SerializeToString(), size) for one in told]


def _agents_taken(counts: Mapping[str, int]) -> int:
    """Of each message some points are no field of a reading: so many messages were taken."""
    from parkwarden.collect.streams.skywalking.meters import batches
    from tests.collect.streams.skywalking.agent import meters

    message = meters("shop", "i", 0, {})
    (batch,) = batches(message)
    return counts.get("no-field", 0) // batch.unused * len(message)


class _Agents:
    """Endless streams, a message of another agent each: nothing is answered but the end of a stream."""

    def __init__(self, address: str) -> None:
        self._address = address.split("://")[1]

    async def __aenter__(self) -> Callable[[bytes], Awaitable[str]]:
        from grpc import aio

        from parkwarden.protos.skywalking_paths import METER_BATCHES

        self._channel = aio.insecure_channel(self._address)
        method: Any = self._channel.stream_unary(METER_BATCHES)
        self._streams: list[Any] = []

        async def send(body: bytes) -> str:
            stream = self._streams.pop() if self._streams else method()
            try:
                await stream.write(body)
            except (aio.AioRpcError, asyncio.InvalidStateError):  # as an agent, begin a new one
                return "ended"
            self._streams.append(stream)
            return "ok"

        return send

    async def __aexit__(self, *_: object) -> None:
        for stream in self._streams:
            if not stream.done():
                await stream.done_writing()
                await asyncio.wait([asyncio.ensure_future(stream.code())])
        await self._channel.close()


KINDS = [
    Kind("remote write, a Prometheus' messages", _remote_write, _written, _RemoteWrite, linger_s=8.0),
    Kind("OTLP/gRPC, a Collector's batches", _otlp("grpc"), otlp_bodies, _OtlpGrpc),
    Kind("OTLP/HTTP, a Collector's batches", _otlp("http"), _packed, _Http),
    Kind("OTLP/gRPC, an SDK a message", _otlp("grpc"), _alone, _OtlpGrpc, wide=64),
    Kind("SkyWalking, an agent a message", _skywalking, _agents, _Agents, wide=64, taken=_agents_taken),
]


def main() -> None:
    wanted = sys.argv[1:]
    os.sched_setaffinity(0, set(range(1, os.cpu_count() or 2)))
    for kind in KINDS:
        if not wanted or any(word.lower() in kind.name.lower() for word in wanted):
            for row in measure(kind):
                print(row, flush=True)


if __name__ == "__main__":
    main()
