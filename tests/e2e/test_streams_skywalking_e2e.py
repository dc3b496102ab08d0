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

import pytest

from parkwarden.protos import skywalking_paths as paths
from parkwarden.protos import skywalking_pb2 as pb
from parkwarden.run.lab import running
from tests.collect.streams.skywalking.agent import FakeAgent, log, meters, segment
from tests.e2e.test_watch_e2e import get, leak
from tests.e2e.watching import Watching, watching

pytestmark = pytest.mark.e2e

METERS_S, POLL_S = 1.0, 3.0
"""An agent's intervals, which are 20 s otherwise: the test has a minute."""
FOUND_S = 50.0
"""From the leak to an incident with its line."""


def config(folder: Path) -> Path:
    file = folder / "parkwarden.yaml"
    file.write_text(
        f"""
receive:
  skywalking: {{listen: 127.0.0.1:0, token: {{env: PW_AGENTS}}}}
  labels: {{env: test}}
web: {{listen: 127.0.0.1:0}}
store: {{folder: {folder / "data"}}}
"""
    )
    return file


def address_of(watch: Watching) -> str:
    told = watch.wait(lambda: watch.said("info", "skywalking: grpc://"), 20)[0]["text"]
    return re.findall(r"grpc://(\S+)", told)[0]


def incident(watch: Watching, line: str) -> dict[str, Any] | None:
    """An incident that names this line and has its evidence."""
    for row in json.loads(get(f"{watch.pages()}/api/v1/incidents"))["incidents"]:
        if line in json.dumps(row):
            return dict(json.loads(get(f"{watch.pages()}/api/v1/incidents/{row['id']}")))
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


def test_a_leak_is_found_and_named_through_the_agent_alone(tmp_path: Path) -> None:
    """Its meters show it, its profiles (which only the suspicion asked for) name the line, its segments are evidence of the incident; the
    agent's breaks and new connections cost nothing."""
    with (
        running("shop", []) as shop,
        watching(config(tmp_path), {"PW_AGENTS": "agents-word-0123456789"}) as watch,
        reporting(address_of(watch), shop.url) as agent,
    ):
        time.sleep(15)
        began = leak(shop.url)
        row = watch.wait(lambda: incident(watch, "leaks.go:"), FOUND_S)
        print("named after", time.time() - began)
        watch.wait(lambda: watch.said("capture", "segments"), 10)
        metrics = get(f"{watch.pages()}/metrics")
        kinds = {item["kind"] for item in json.loads(get(f"{watch.pages()}/api/v1/evidence"))["items"]}
        assert watch.stop() == 130
    assert agent.errors == []
    assert "main.(*leak).quote" in json.dumps(row)
    assert {"goroutine-profile", "segments"} <= kinds
    assert 'parkwarden_stream_instances{stream="skywalking"} 1.0' in metrics
    assert re.search(r'parkwarden_stream_points_total\{outcome="profile",stream="skywalking"\} [1-9]', metrics)
