"""The OTLP stream as its senders see it: gRPC's own client and HTTP, over the loopback."""

from __future__ import annotations

import asyncio
import gzip
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import grpc
import orjson
import pytest
from grpc import aio
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from parkwarden.collect.streams.admission import Admission
from parkwarden.collect.streams.otlp.receiver import JSON, MAX_MESSAGE, METHOD, PATH, PROTOBUF, OtlpStream, Taken
from parkwarden.collect.streams.settings import Listener, OtlpReceiver
from parkwarden.formats.otlp_metrics import MAX_PARTS, read_protobuf
from parkwarden.model import Started
from parkwarden.protos.rpc_status_pb2 import RetryInfo, Status
from tests.collect.streams.otlp.messages import DELTA, SHOP, Request, runtime, runtime_into
from tests.collect.streams.world import NOON, World

ANY = Listener(listen="127.0.0.1:0")


class Receiving:
    """A stream and its world; `flush` has what came become events."""

    def __init__(self, points_per_s: int = 1_000_000) -> None:
        self.world = World()
        self.monotonic = 0.0
        self.told: list[str] = []
        self.stream = OtlpStream(
            OtlpReceiver(grpc=ANY, http=ANY),
            {"sla_tier": "gold"},
            self.world.roll,
            Admission(lambda: self.monotonic, points_per_s=points_per_s),
            lambda: self.world.now,
            self.told.append,
            lambda: self.monotonic,
        )

    def take(self, request: Request) -> Taken:
        async def main() -> Taken:
            return await self.stream.take(request.body(), read_protobuf)

        return asyncio.run(main())

    def flush(self) -> None:
        self.stream._assembly.flush(everything=True)


@asynccontextmanager
async def serving(here: Receiving) -> AsyncIterator[tuple[str, str]]:
    """Addresses of the gRPC and the HTTP receiver."""
    parts = [asyncio.ensure_future(part()) for part in here.stream.parts().values()]
    try:
        while len(here.told) < 2:
            await asyncio.sleep(0.001)
        found = {text.split("://")[0].split()[-1]: text.split("://")[1].split()[0] for text in here.told}
        yield found["grpc"], f"http://{found['http']}{PATH}"
    finally:
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)


def over_grpc(here: Receiving, body: bytes, method: str = METHOD) -> bytes | aio.AioRpcError:
    async def main() -> bytes | aio.AioRpcError:
        async with serving(here) as (address, _), aio.insecure_channel(address) as channel:
            call: Callable[..., Awaitable[bytes]] = channel.unary_unary(method)
            try:
                return await call(body, timeout=10)
            except aio.AioRpcError as error:
                return error

    return asyncio.run(main())


def over_http(
    here: Receiving, body: bytes, kind: str = PROTOBUF, path: str = "", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    async def main() -> tuple[int, dict[str, str], bytes]:
        async with serving(here) as (_, url), aiohttp.ClientSession() as session:
            known = {"Content-Type": kind, **{k.replace("_", "-"): v for k, v in headers.items()}}
            async with session.post(url.replace(PATH, path or PATH), data=body, headers=known) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.read()

    return asyncio.run(main())


def test_an_sdks_metrics_become_readings_over_grpc() -> None:
    """The instance is announced with its labels, the numbers of a time are one reading, and the answer is empty: all was taken."""
    here = Receiving()
    assert over_grpc(here, runtime(NOON, NOON - 60, 412).body()) == b""
    here.flush()
    started = next(e for e in here.world.events if isinstance(e, Started))
    assert started.instance.id == "shop/shop-1"
    assert started.instance.labels["sla_tier"] == "gold"
    (reading,) = here.world.readings()
    assert (reading.goroutines, reading.gomaxprocs, reading.sys, reading.total_alloc) == (412, 8, 8 << 20, 1 << 20)
    assert (reading.at, reading.start_time) == (NOON, NOON - 60)
    assert +here.stream.points == {"taken": 6, "no-field": 2}


@pytest.mark.parametrize("kind", [PROTOBUF, JSON])
@pytest.mark.parametrize("packed", [False, True])
def test_metrics_become_readings_over_http_in_either_encoding(kind: str, packed: bool) -> None:
    """The answer comes in the encoding of the question."""
    here = Receiving()
    request = runtime(NOON, NOON - 60, 412)
    body = request.json() if kind == JSON else request.body()
    headers = {"Content_Encoding": "gzip"} if packed else {}
    status, answered, answer = over_http(here, gzip.compress(body) if packed else body, kind, **headers)
    assert (status, answered["content-type"]) == (200, kind)
    assert answer == (b"{}" if kind == JSON else b"")
    here.flush()
    assert [r.goroutines for r in here.world.readings()] == [412]


def test_points_that_cannot_be_taken_are_told_as_partial_success() -> None:
    """How many and why, in either encoding; the others are taken. What we merely have no use for is no mistake of the sender's."""
    for kind, read in ((PROTOBUF, ExportMetricsServiceResponse.FromString), (JSON, orjson.loads)):
        here = Receiving()
        request = runtime(NOON, NOON - 60, 412).sum("go.goroutine.count", (1, {}), temporality=DELTA, monotonic=False)
        request.of({}).gauge("go_goroutines", 5)
        status, _, answer = over_http(here, request.json() if kind == JSON else request.body(), kind)
        told = read(answer)
        assert status == 200
        if isinstance(told, dict):
            assert told["partialSuccess"]["rejectedDataPoints"] == "2"
        else:
            assert told.partial_success.rejected_data_points == 2
            assert "service.instance.id" in told.partial_success.error_message
        here.flush()
        assert [r.goroutines for r in here.world.readings()] == [412]
        assert here.stream.points["no-instance"] == here.stream.points["delta-of-level"] == 1


def test_what_is_no_message_is_refused_for_good() -> None:
    """INVALID_ARGUMENT and 400 with a Status in the sender's encoding: neither is sent again."""
    refused = over_grpc(Receiving(), b"\xff\xff")
    assert isinstance(refused, aio.AioRpcError)
    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    status, headers, body = over_http(Receiving(), b"\xff\xff")
    assert (status, headers["content-type"], Status.FromString(body).code) == (400, PROTOBUF, 3)
    status, headers, body = over_http(Receiving(), b"{", JSON)
    assert (status, headers["content-type"], orjson.loads(body)["code"]) == (400, JSON, 3)
    assert "retry-after" not in headers


def test_beyond_the_rate_senders_are_told_when_to_come_back() -> None:
    """RESOURCE_EXHAUSTED with RetryInfo, 429 with Retry-After; nothing of the message was taken."""
    here = Receiving(points_per_s=4)
    assert here.take(runtime(NOON, NOON - 60, 412)).again_s == 0.0
    refused = over_grpc(here, runtime(NOON + 5, NOON - 60, 412).body())
    assert isinstance(refused, aio.AioRpcError)
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    details = dict(refused.trailing_metadata() or ())["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    assert RetryInfo.FromString(Status.FromString(details).details[0].value).retry_delay.seconds >= 1
    here.told.clear()
    status, headers, _ = over_http(here, runtime(NOON + 5, NOON - 60, 412).body())
    assert status == 429
    assert int(headers["retry-after"]) >= 1
    assert here.stream.points["over-limit"] == 16
    here.monotonic += 10
    assert here.take(runtime(NOON + 5, NOON - 60, 412)).again_s == 0.0


def test_what_is_too_large_is_refused_for_good() -> None:
    """Bytes and parts are bounded; the refusal carries no time to come back."""
    here = Receiving()
    status, headers, _ = over_http(here, gzip.compress(b"\0" * (MAX_MESSAGE + 1)), Content_Encoding="gzip")
    assert status == 413
    assert "retry-after" not in headers
    here.told.clear()
    empty = Request(NOON).of()
    for _ in range(MAX_PARTS):
        empty.message.resource_metrics[0].scope_metrics[0].metrics.add()
    refused = over_grpc(here, empty.body())
    assert isinstance(refused, aio.AioRpcError)
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "grpc-status-details-bin" not in dict(refused.trailing_metadata() or ())


def test_other_signals_and_kinds_are_unknown_here() -> None:
    """Traces and logs are UNIMPLEMENTED and 404, other types 415: a Collector says so once and drops them."""
    refused = over_grpc(Receiving(), b"", METHOD.replace("metrics", "trace").replace("Metrics", "Trace"))
    assert isinstance(refused, aio.AioRpcError)
    assert refused.code() is grpc.StatusCode.UNIMPLEMENTED
    assert over_http(Receiving(), b"", path="/v1/traces")[0] == 404
    assert over_http(Receiving(), b"", "text/plain")[0] == 415


def test_a_restart_is_another_life_and_a_silent_instance_is_forgotten() -> None:
    """Sums that began later and fell: Started again with its time. After an hour nothing of it is kept."""
    here = Receiving()
    for n, (at, start) in enumerate(((0, -60), (10, -60), (20, 15))):
        here.world.now = NOON + at
        here.take(runtime(NOON + at, NOON + start, 100, n=5 - 2 * n))
        here.flush()
    starts = [e.instance.start_time for e in here.world.events if isinstance(e, Started)]
    assert starts[-1] == NOON + 15
    here.world.now += 4000
    here.world.roll.tidy()
    for stream, name in here.world.forgotten:
        assert stream == "otlp"
        here.stream.gone(name)
    assert not here.stream._series


def test_an_instance_begins_with_a_number_of_go() -> None:
    """Process metrics alone, and those of other languages, are nobody's; of a known instance they are taken."""
    here = Receiving()
    process = Request(NOON).of().gauge("process.memory.usage", 5)
    assert here.take(process) == Taken()
    assert here.take(Request(NOON).of(telemetry__sdk__language="java").gauge("go_goroutines", 5)) == Taken()
    here.flush()
    assert not here.world.events
    assert here.stream.points["not-go"] == 2
    here.take(runtime(NOON, NOON - 60, 7))
    here.take(process)
    here.flush()
    assert [(r.goroutines, r.rss) for r in here.world.readings()] == [(7, 5)]


def test_two_programs_in_one_place_are_two_instances() -> None:
    """A pod with two Go containers that both send: the second carries its service in its name."""
    here = Receiving()
    pod: dict[str, str | int] = {"k8s.namespace.name": "prod", "k8s.pod.name": "web-0"}
    here.take(runtime(NOON, NOON - 60, 7, {**pod, "service.name": "shop"}))
    here.take(runtime(NOON, NOON - 60, 8, {**pod, "service.name": "mesh"}))
    here.flush()
    assert [i.id for i in here.world.roll] == ["prod/web-0", "prod/web-0/mesh"]


def test_a_target_of_our_own_goes_before_what_is_sent_of_it() -> None:
    """Nothing is rejected, nothing taken: its readings are ours."""
    here = Receiving()
    here.world.direct.add("10.1.2.3:6060")
    assert here.take(runtime(NOON, NOON - 60, 7, {**SHOP, "service.instance.id": "10.1.2.3:6060"})) == Taken()
    here.flush()
    assert not here.world.events
    assert here.stream.points["not-taken"] == 6


def test_many_resources_of_one_message_do_not_hold_the_loop() -> None:
    """Others have their turn while a large message is read."""
    here = Receiving()
    request = Request(NOON, NOON - 60)
    for n in range(500):
        runtime_into(request, n, {**SHOP, "service.instance.id": f"shop-{n}"})
    turns = itertools.count()

    async def main() -> None:
        async def other() -> None:
            while True:
                next(turns)
                await asyncio.sleep(0)

        task = asyncio.ensure_future(other())
        await here.stream.take(request.body(), read_protobuf)
        task.cancel()

    asyncio.run(main())
    assert next(turns) >= 3
    here.flush()
    assert len(here.world.readings()) == 500
