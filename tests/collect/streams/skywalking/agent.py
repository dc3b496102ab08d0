"""A scripted SkyWalking agent: what apache/skywalking-go does on the wire, from its facts, without a Go service around it.

Endless streams (nothing is half-closed), only the first meter of a batch named, the root span last, `N/A` where there is no trace, a poll
for configuration, profile and pprof tasks at the agent's interval, a profile in pieces of 1 MiB after the receiver's word.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from grpc import aio

from parkwarden.protos import skywalking_paths as paths
from parkwarden.protos import skywalking_pb2 as pb

PIECE = 1 << 20
EMPTY = b""
HISTOGRAM = (-math.inf, 0.0, 1_000.0, 1_000_000.0)

Runtime = Mapping[str, float]
"""By our fields: goroutines, total_alloc, num_gc, heap_alloc, sys ..."""


def meters(service: str, instance: str, at_ms: int, runtime: Runtime) -> list[pb.MeterData]:
    """A batch as an agent sends it: 29 gauges and a histogram, the first of them named."""
    single = {
        "live_goroutines_num": runtime.get("goroutines", 10),
        "os_threads_num": 2,
        "heap_alloc_size": runtime.get("total_alloc", 1 << 20),
        "heap_alloc_objects": 1_000,
        "heap_frees": 1_000,
        "heap_frees_objects": 100,
        "gc_heap_goal": 4 << 20,
        "gc_heap_objects": 900,
        "memory_total": runtime.get("sys", 10 << 20),
        "cgo_calls": 1,
        "gc_heap_tiny_allocs": 1,
        "gc_limiter_last_enabled": 0,
        "gc_stack_starting_size": 2_048,
        "memory_metadata_other": 1,
        "memory_os_stacks": 0,
        "memory_other": 1,
        "memory_profiling_buckets": 1,
    }
    kinds = {"free": 1 << 20, "objects": runtime.get("heap_alloc", 1 << 20), "released": 0, "stacks": 65_536}
    kinds |= {"unused": 1 << 16}
    labelled = [
        ("memory_heap_labeled", kind, value) for kind, value in (kinds | {"total": sum(kinds.values())}).items()
    ]
    labelled += [("gc_count_labeled", kind, runtime.get("num_gc", 3)) for kind in ("automatic", "forced", "total")]
    labelled += [(f"metadata_{of}_labeled", kind, 1) for of in ("mcache", "mspan") for kind in ("free", "inuse")]
    out = [_single(name, value) for name, value in single.items()]
    out += [_single(name, value, kind) for name, kind, value in labelled]
    values = [
        pb.MeterBucketValue(bucket=0 if math.isinf(low) else low, count=n, isNegativeInfinity=math.isinf(low))
        for n, low in enumerate(HISTOGRAM)
    ]
    out.append(pb.MeterData(histogram=pb.MeterHistogram(name="instance_golang_sched_latencies", values=values)))
    out[0].service, out[0].serviceInstance, out[0].timestamp = service, instance, at_ms
    return out


def _single(name: str, value: float, kind: str = "") -> pb.MeterData:
    labels = [pb.Label(name="type", value=kind)] if kind else []
    return pb.MeterData(singleValue=pb.MeterSingleValue(name=f"instance_golang_{name}", labels=labels, value=value))


_numbers = itertools.count(1)


def segment(
    service: str, instance: str, at_ms: int, *, name: str = "GET:/order", error: bool = False
) -> pb.SegmentObject:
    """One request with a call to another service: the child first, the root last, as they end."""
    number = next(_numbers)
    trace, own = f"{uuid.uuid4().hex}.1.{number}", f"{uuid.uuid4().hex}.1.{number}"
    exit_span = pb.SpanObject(
        spanId=1, parentSpanId=0, startTime=at_ms + 1, endTime=at_ms + 9, operationName="/price", peer="127.0.0.1:81",
        spanType=pb.Exit, spanLayer=pb.Http, componentId=5005, isError=error,
    )  # fmt: skip
    ref = pb.SegmentReference(traceId=trace, parentTraceSegmentId="gone", parentService="front")
    root = pb.SpanObject(
        spanId=0, parentSpanId=-1, startTime=at_ms, endTime=at_ms + 12, operationName=name, spanType=pb.Entry,
        spanLayer=pb.Http, componentId=5004, refs=[ref], tags=[pb.KeyStringValuePair(key="status_code", value="200")],
    )  # fmt: skip
    return pb.SegmentObject(
        traceId=trace, traceSegmentId=own, spans=[exit_span, root], service=service, serviceInstance=instance
    )


def log(service: str, instance: str, at_ms: int, text: str, level: str = "ERROR") -> pb.LogData:
    """A log record outside of any request."""
    return pb.LogData(
        timestamp=at_ms, service=service, serviceInstance=instance, layer="GENERAL",
        body=pb.LogDataBody(type="TEXT", text=pb.TextLog(text=text)),
        traceContext=pb.TraceContext(traceId="N/A", traceSegmentId="N/A", spanId=-1),
        tags=pb.LogTags(data=[pb.KeyStringValuePair(key="LEVEL", value=level)]),
    )  # fmt: skip


class FakeAgent:
    """One agent. `profile(event)` gives the bytes of a pprof task's profile."""

    def __init__(
        self,
        address: str,
        service: str = "shop",
        instance: str = "i-1@10.1.2.3",
        *,
        profile: Callable[[str], bytes] = lambda _event: b"",
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.service = service
        self.instance = instance
        self._address = address
        self._profile = profile
        self._metadata = tuple(metadata)
        self._last_ms = 0
        self.tasks: list[dict[str, str]] = []
        """Arguments of the tasks it was given."""
        self.words: list[int] = []
        """What the receiver said to profiles."""

    async def __aenter__(self) -> FakeAgent:
        alone = [("grpc.use_local_subchannel_pool", 1)]  # a connection of its own, as agents have
        self._channel = aio.insecure_channel(self._address, options=alone)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    def stream(self, path: str) -> aio.StreamUnaryCall[bytes, bytes]:
        """An endless stream: write to it, and never end it."""
        return self._channel.stream_unary(path)(metadata=self._metadata)  # type: ignore[return-value]

    async def ask(self, path: str, body: bytes) -> bytes:
        answer: bytes = await self._channel.unary_unary(path)(body, metadata=self._metadata)
        return answer

    async def introduce(self, language: str = "go", pid: str = "4711") -> None:
        """Properties, as at the start."""
        told = {"Process No.": pid, "hostname": "host-1", "language": language, "OS Name": "linux", "ipv4": "10.1.2.3"}
        pairs = [pb.KeyStringValuePair(key=key, value=value) for key, value in told.items()]
        body = pb.InstanceProperties(service=self.service, serviceInstance=self.instance, properties=pairs)
        await self.ask(paths.PROPERTIES, body.SerializeToString())

    async def beat(self) -> None:
        """What it asks every 20 s; a pprof task is done at once."""
        ping = pb.InstancePingPkg(service=self.service, serviceInstance=self.instance)
        await self.ask(paths.KEEP_ALIVE, ping.SerializeToString())
        plain = self._channel.unary_unary(paths.CONFIGURATION)  # without showing a token, as the agent does
        assert await plain(pb.ConfigurationSyncRequest(service=self.service).SerializeToString()) == EMPTY
        query = pb.ProfileTaskCommandQuery(service=self.service, serviceInstance=self.instance)
        assert await self.ask(paths.PROFILE_TASKS, query.SerializeToString()) == EMPTY
        await self.poll()

    async def poll(self) -> None:
        query = pb.PprofTaskCommandQuery(
            service=self.service, serviceInstance=self.instance, lastCommandTime=self._last_ms
        )
        commands = pb.Commands.FromString(await self.ask(paths.PPROF_TASKS, query.SerializeToString())).commands
        if commands and commands[0].command == "PprofTaskQuery":
            args = {pair.key: pair.value for pair in commands[0].args}
            assert int(args["CreateTime"]) > self._last_ms
            self._last_ms = int(args["CreateTime"])
            self.tasks.append(args)
            await self.bring(args["TaskId"], await asyncio.to_thread(self._profile, args["Events"]))

    async def bring(self, task_id: str, content: bytes, *, size: int | None = None) -> int:
        """Send a profile; the receiver's word."""
        call = self._channel.stream_stream(paths.PPROF_COLLECT)(metadata=self._metadata)
        told = pb.PprofMetaData(
            service=self.service, serviceInstance=self.instance, taskId=task_id,
            type=pb.PPROF_PROFILING_SUCCESS, contentSize=len(content) if size is None else size,
        )  # fmt: skip
        await call.write(pb.PprofData(metadata=told).SerializeToString())
        word = pb.PprofCollectionResponse.FromString(await call.read()).status
        self.words.append(word)
        if word == pb.PPROF_PROFILING_SUCCESS:
            for at in range(0, len(content), PIECE):
                await call.write(pb.PprofData(content=content[at : at + PIECE]).SerializeToString())
            await call.done_writing()
            while await call.read() is not aio.EOF:
                pass
        return word


async def bodies(*messages: pb.MeterData | pb.SegmentObject | pb.LogData) -> AsyncIterator[bytes]:
    for message in messages:
        yield message.SerializeToString()
