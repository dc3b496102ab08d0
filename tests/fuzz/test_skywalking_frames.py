"""Mutated frames of SkyWalking's agents: what a stranger, a broken proxy or a newer agent may send."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections.abc import AsyncIterator
from typing import Any, NoReturn

import grpc
import pytest

from parkwarden.collect.streams.skywalking.receiver import SkyWalkingStream
from parkwarden.protos import skywalking_paths as paths
from parkwarden.protos import skywalking_pb2 as pb
from tests.collect.streams.skywalking.agent import FakeAgent, log, meters, segment
from tests.collect.streams.skywalking.test_receiver import NOON_MS, Receiver, settled
from tests.collect.streams.world import World
from tests.fuzz.mutate import case

SEED = int(os.environ.get("FUZZ_SEED", "1"))
MAX_SECONDS = 2.0
MANY = 1_000


class _AbortedError(Exception):
    """What gRPC's own abort raises."""


class _Call:
    """A call that nobody listens to."""

    async def abort(self, *_: object) -> NoReturn:
        raise _AbortedError

    async def write(self, _message: bytes) -> None:
        return


def _corpus() -> list[tuple[str, bytes]]:
    """One message of each kind, as agents send them."""
    who = {"service": "shop", "serviceInstance": "i-1"}
    pair = [pb.KeyStringValuePair(key="language", value="go")]
    messages: dict[str, Any] = {
        "batch": pb.MeterDataCollection(meterData=meters("shop", "i-1", NOON_MS, {})),
        "meter": meters("shop", "i-1", NOON_MS, {})[0],
        "segment": segment("shop", "i-1", NOON_MS),
        "segments": pb.SegmentCollection(segments=[segment("shop", "i-1", NOON_MS)] * 3),
        "log": log("shop", "i-1", NOON_MS, "text"),
        "properties": pb.InstanceProperties(properties=pair, **who),
        "ping": pb.InstancePingPkg(**who),
        "poll": pb.PprofTaskCommandQuery(lastCommandTime=3, **who),
        "profile": pb.PprofData(metadata=pb.PprofMetaData(taskId="t", contentSize=9, **who), content=b"\x1f\x8b\x08\0"),
    }
    return [(name, message.SerializeToString()) for name, message in messages.items()]


async def _feed(stream: SkyWalkingStream, methods: Any, body: bytes) -> None:
    """One frame into every handler; a refusal is a right answer."""

    async def messages() -> AsyncIterator[bytes]:
        yield body

    for handler in methods.values():
        try:
            if handler.unary_unary is not None:
                await handler.unary_unary(body, _Call())
            elif handler.stream_unary is not None:
                await handler.stream_unary(messages(), _Call())
            else:
                await handler.stream_stream(messages(), _Call())
        except _AbortedError:
            continue


def _run(cases: int) -> float:
    """The slowest case's seconds; evidence is written of what came now and then."""
    there = Receiver(World())
    stream = there.stream
    methods = {path: method for path, method in stream.methods().items() if path.startswith("/skywalking")}
    corpus = _corpus()
    worst = 0.0

    async def main() -> None:
        nonlocal worst
        for number in range(cases):
            _, body = case(corpus, SEED, number)
            began = time.perf_counter()
            await _feed(stream, methods, body)
            there.monotonic += 1.0
            if number % MANY == 0:
                stream._assembly.flush(everything=True)
                for one in list(there.world.roll):
                    stream.suspect(one.id, "goroutine-trend")
                there.world.events.clear()
                there.kept.clear()
            worst = max(worst, time.perf_counter() - began)

    asyncio.run(main())
    assert stream.points["malformed"] > 0
    assert stream.points["segment"] > 0
    return worst


@pytest.mark.e2e
def test_mutated_frames_do_no_harm() -> None:
    """5,000 frames through every handler: no exception, nothing slow."""
    assert _run(5_000) < MAX_SECONDS


@pytest.mark.full
def test_many_mutated_frames_do_no_harm() -> None:
    """50,000 frames (FUZZ_SEED chooses others)."""
    assert _run(50_000) < MAX_SECONDS


@pytest.mark.e2e
def test_noise_on_the_port_leaves_the_agents_alone() -> None:
    """No HTTP/2, half of it, or nothing at all from 200 connections: an agent beside them is answered as ever."""
    there = Receiver(World())
    rng = random.Random(SEED)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    async def script(address: str) -> None:
        host, _, port = address.rpartition(":")
        noisy = []
        for number in range(200):
            one = socket.create_connection((host, int(port)))
            noise = rng.randbytes(rng.randrange(200))
            one.sendall((b"", noise, preface + noise, preface[: number % 24])[number % 4])
            noisy.append(one)
        async with FakeAgent(address) as agent:
            began = time.perf_counter()
            await agent.introduce()
            stream = agent.stream(paths.METER_BATCHES)
            told = meters(agent.service, agent.instance, NOON_MS, {})
            await stream.write(b"\xff" * 1_000)
            await stream.write(pb.MeterDataCollection(meterData=told).SerializeToString())
            await settled(there.stream, malformed=1, no_field=1)
            assert time.perf_counter() - began < MAX_SECONDS
            await agent.beat()
            with pytest.raises(grpc.RpcError):
                await agent.ask(paths.KEEP_ALIVE, b"\xff" * 10)
        for one in noisy:
            one.close()

    there.run(script)
    assert len(there.world.roll) == 1
