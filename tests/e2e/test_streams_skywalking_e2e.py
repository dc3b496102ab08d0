"""A watch that knows a service from its SkyWalking agent alone: no target, no page, no port of the service."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from parkwarden.collect.limits import quiet
from parkwarden.collect.streams.grpc_server import serve, unary
from parkwarden.collect.streams.settings import Listener
from parkwarden.model.errors import UnreachableError
from parkwarden.protos import skywalking_paths as paths
from parkwarden.protos import skywalking_pb2 as pb
from parkwarden.run._desk_build import build_desk
from parkwarden.run._lab_process import start_service
from parkwarden.run.lab import running
from tests.collect.streams.skywalking.agent import FakeAgent, log, meters, segment
from tests.e2e.test_collect_e2e import certificates
from tests.e2e.test_watch_e2e import get, leak
from tests.e2e.watching import Watching, watching

pytestmark = pytest.mark.e2e

METERS_S, POLL_S = 1.0, 1.5
"""An agent's intervals, which are 20 s otherwise: the test has a minute."""
FOUND_S = 150.0
"""From the leak to an incident with its line: half a minute, on a machine that others use, too, much longer."""


def config(folder: Path) -> Path:
    file = folder / "parkwarden.yaml"
    file.write_text(
        f"""
receive:
  skywalking: {{listen: 127.0.0.1:0, token: {{env: PW_AGENTS}}}}
  labels: {{env: test}}
collect: {{close_every_s: 2}}
web: {{listen: 127.0.0.1:0}}
store: {{folder: {folder / "data"}}}
"""
    )
    return file


def address_of(watch: Watching) -> str:
    told = watch.wait(lambda: watch.said("info", "skywalking: grpc://"))[0]["text"]
    return re.findall(r"grpc://(\S+)", told)[0]


def incident(watch: Watching, line: str) -> dict[str, Any] | None:
    """An incident of which this is told."""
    for row in json.loads(get(f"{watch.pages()}/api/v1/incidents"))["incidents"]:
        if line in json.dumps(row):
            return dict(row)
    return None


class _Agent(threading.Thread):
    """The scripted agent beside a real Go program: its numbers and profiles are the program's."""

    def __init__(self, address: str, program: str) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._program = program
        self._over = threading.Event()
        self.errors: list[BaseException] = []
        self.words: list[int] = []

    def run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as error:
            self.errors.append(error)

    def _numbers(self) -> dict[str, float]:
        page = get(f"{self._program}/metrics")
        found = dict(re.findall(r"^(go_[a-z_]+) (\S+)$", page, re.M))
        names = {"goroutines": "go_goroutines", "total_alloc": "go_memstats_alloc_bytes_total"}
        names |= {"heap_alloc": "go_memstats_alloc_bytes", "sys": "go_memstats_sys_bytes"}
        return {field: float(found[name]) for field, name in names.items() if name in found}

    def _profile(self, event: str) -> bytes:
        with urllib.request.urlopen(f"{self._program}/debug/pprof/{event}", timeout=10) as answer:
            return bytes(answer.read())

    async def _live(self) -> None:
        while not self._over.is_set():  # each connection breaks after a while, and a new one goes on
            async with FakeAgent(
                self._address, profile=self._profile, metadata=[("authentication", "agents-word-0123456789")]
            ) as agent:
                await agent.introduce()
                batches, segments, logs = (
                    agent.stream(path) for path in (paths.METER_BATCHES, paths.SEGMENTS, paths.LOGS)
                )
                polled = 0.0
                until = time.monotonic() + 15
                while not self._over.is_set() and time.monotonic() < until:
                    now_ms = int(time.time() * 1000)
                    numbers = await asyncio.to_thread(self._numbers)
                    told = meters(agent.service, agent.instance, now_ms, numbers)
                    await batches.write(pb.MeterDataCollection(meterData=told).SerializeToString())
                    await segments.write(segment(agent.service, agent.instance, now_ms).SerializeToString())
                    await logs.write(log(agent.service, agent.instance, now_ms, "no quote in time").SerializeToString())
                    if time.monotonic() - polled >= POLL_S:
                        polled = time.monotonic()
                        await agent.beat()
                    await asyncio.sleep(METERS_S)
                self.words += agent.words

    def end(self) -> None:
        self._over.set()
        self.join(20)


@contextlib.contextmanager
def reporting(address: str, program: str) -> Iterator[_Agent]:
    agent = _Agent(address, program)
    agent.start()
    try:
        yield agent
    finally:
        agent.end()


def kinds_of(row: dict[str, Any], watch: Watching) -> set[str]:
    """Kinds of an incident's evidence."""
    items = json.loads(get(f"{watch.pages()}/api/v1/evidence"))["items"]
    return {item["kind"] for item in items if item["digest"] in row["evidence"]}


def test_a_leak_is_found_and_named_through_the_agent_alone(tmp_path: Path) -> None:
    """Its meters show it, its profiles (which only the suspicion asked for) name the line, its segments are evidence of the incident; the
    agent's breaks and new connections cost nothing."""
    env = {"PW_AGENTS": "agents-word-0123456789"}
    with (
        running("shop", []) as shop,
        watching(config(tmp_path), env) as watch,
        reporting(address_of(watch), shop.url) as agent,
    ):
        time.sleep(8)
        began = leak(shop.url, per_s=100)
        row = watch.wait(lambda: incident(watch, "leaks.go:"), FOUND_S)
        print("named after", time.time() - began)

        def complete() -> bool:
            row = incident(watch, "leaks.go:")
            return row is not None and {"goroutine-profile", "segments"} <= kinds_of(row, watch)

        watch.wait(complete, 120)
        metrics = get(f"{watch.pages()}/metrics")
        assert watch.stop() == 130
    assert agent.errors == []
    assert "main.(*leak).quote" in json.dumps(row)
    assert 'parkwarden_stream_instances{stream="skywalking"} 1.0' in metrics
    assert re.search(r'parkwarden_stream_points_total\{outcome="profile",stream="skywalking"\} [1-9]', metrics)


def test_senders_that_speak_tls_are_taken_and_the_others_are_not(tmp_path: Path) -> None:
    """With a certificate the port speaks TLS only, as Collectors and agents with a CA do."""
    certificates(tmp_path)
    listener = Listener(
        listen="127.0.0.1:0", cert_file=str(tmp_path / "server.pem"), key_file=str(tmp_path / "server.key")
    )
    credentials = grpc.ssl_channel_credentials((tmp_path / "ca.pem").read_bytes())

    async def echo(body: bytes, _call: object) -> bytes:
        return body

    async def main() -> None:
        bound: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        server = asyncio.create_task(
            serve(listener, {"/t.S/echo": unary(echo)}, setting="skywalking", bound=bound.set_result)
        )
        address = await bound
        async with aio.secure_channel(address, credentials) as channel:
            assert await channel.unary_unary("/t.S/echo")(b"hello", timeout=10) == b"hello"
        async with aio.insecure_channel(address) as channel:
            with pytest.raises(aio.AioRpcError) as refused:
                await channel.unary_unary("/t.S/echo")(b"hello", timeout=10)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        server.cancel()
        await asyncio.wait([server])

    asyncio.run(main())


@pytest.mark.full
def test_a_fleet_that_comes_back_at_once_is_taken(tmp_path: Path) -> None:
    """A thousand agents after our restart: gRPC's core would turn many of their first calls away at random, beyond a thousand that wait."""
    fleet = 1_000

    async def one(address: str, number: int) -> None:
        async with FakeAgent(
            address, "fleet", f"i-{number}", metadata=[("authentication", "agents-word-0123456789")]
        ) as agent:
            await agent.introduce()
            streams = [agent.stream(path) for path in (paths.METER_BATCHES, paths.SEGMENTS, paths.LOGS)]
            for _ in range(2):
                at_ms = int(time.time() * 1000)
                told = meters(agent.service, agent.instance, at_ms, {})
                await streams[0].write(pb.MeterDataCollection(meterData=told).SerializeToString())
                await streams[1].write(segment(agent.service, agent.instance, at_ms).SerializeToString())
                await agent.beat()
                await asyncio.sleep(5)
            assert not any(stream.done() for stream in streams)

    async def all_of_them(address: str) -> None:
        await asyncio.gather(*(one(address, number) for number in range(fleet)))

    with watching(config(tmp_path), {"PW_AGENTS": "agents-word-0123456789"}) as watch:
        asyncio.run(all_of_them(address_of(watch)))
        metrics = get(f"{watch.pages()}/metrics")
        assert watch.stop() == 130
    assert f'parkwarden_stream_instances{{stream="skywalking"}} {fleet}.0' in metrics
    assert f'outcome="segment",stream="skywalking"}} {2 * fleet}.0' in metrics


@pytest.mark.full
def test_the_real_agent_s_service_is_known_and_its_leak_is_found(tmp_path: Path) -> None:
    """skywalking-go 0.6.0, woven into a service by its toolexec: its runtime meters become readings, its properties labels, its segments evidence,
    and a planted leak is found. Release 0.6.0 has no pprof tasks, so that the line is not named through it, and it is said why."""
    try:
        program = build_desk("skywalking", tmp_path, quiet)
    except UnreachableError as error:
        pytest.skip(f"no Go modules here: {error}")
    with watching(config(tmp_path), {"PW_AGENTS": "agents-word-0123456789"}) as watch:
        env = {
            "SW_AGENT_REPORTER_GRPC_BACKEND_SERVICE": address_of(watch),
            "SW_AGENT_REPORTER_GRPC_AUTHENTICATION": "agents-word-0123456789",
            "SW_AGENT_NAME": "desk",
            "SW_AGENT_INSTANCE_NAME": "desk-1",
            "SW_AGENT_METER_COLLECT_INTERVAL": "2",
        }
        service = start_service("desk", program, tmp_path / "desk.log", env=env)
        try:
            for number in range(20):
                get(f"{service.url}/order?item={number}")
                time.sleep(0.5)
            get(f"{service.url}/leak/start?per_s=50")
            found = watch.wait(lambda: incident(watch, "goroutines rise by"), 60)
            row = json.loads(get(f"{watch.pages()}/api/v1/instances"))["instances"][0]
            told = get(f"{service.url}/metrics")
            watch.wait(lambda: watch.said("capture", "segments"))
            watch.wait(lambda: watch.said("info", "does not ask for pprof tasks"))
            metrics = get(f"{watch.pages()}/metrics")
        finally:
            service.stop()
        assert watch.stop() == 130
    assert (row["instance"], row["labels"]["service"], row["labels"]["env"]) == ("desk/desk-1", "desk", "test")
    assert row["labels"]["pid"] == str(service.process.pid)
    goroutines = float(re.findall(r"^go_goroutines (\S+)$", told, re.M)[0])
    assert abs(row["goroutines"] - goroutines) <= 50 * 8  # a report each 2 s, its pieces waited for
    assert found["service"] == "desk"
    assert 'outcome="malformed"' not in metrics
    assert re.search(r'outcome="segment",stream="skywalking"\} [1-9]', metrics)
