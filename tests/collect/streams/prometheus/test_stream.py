"""A Prometheus that is asked: over real HTTP, by a server that answers as Prometheus does from a handful of series."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from parkwarden.collect.streams.prometheus import stream as module
from parkwarden.collect.streams.prometheus.settings import PprofAddresses, PrometheusSource
from parkwarden.collect.streams.prometheus.stream import PrometheusStream
from parkwarden.model import Auth, Reading, Secret, Started, Target
from tests.collect.fleet.servers import Server, answer, serving
from tests.collect.streams.world import NOON, World

JOB = {"job": "shop"}


@dataclass
class Looks:
    """Stands for the collector."""

    adopted: list[Target] = field(default_factory=list)
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def adopt(self, target: Target, last: Reading | None) -> bool:
        assert last is not None
        self.adopted.append(target)
        return True

    def suspect(self, instance_id: str, why: str) -> None:
        self.asked.append((instance_id, why))

    def last_chance(self, instance_id: str, limit: str, low_s: float) -> None:
        self.asked.append((instance_id, limit, f"{low_s:g}"))


@dataclass
class Prometheus:
    """Scrapes at `scraped_every` seconds; `series`: metric -> instance -> value at a time."""

    world: World
    instances: tuple[str, ...] = ("a:1", "b:1")
    newer: str = ""
    """Who tells the runtime's own names only."""
    scraped_every: float = 15.0
    failing: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """Words of a query -> status and body instead of an answer."""
    warnings: tuple[str, ...] = ()
    queries: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    url: str = ""
    server: Server | None = None

    async def handle(self, path: str, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(path)
        form = {name: told[0] for name, told in parse_qs(parts.query).items()}
        if parts.path.endswith("/targets"):
            active = [
                {"labels": {"instance": n, **JOB}, "scrapeUrl": f"http://{n.replace(':', '.pod:')}/metrics"}
                for n in self.instances
            ]
            writer.write(answer(json.dumps({"status": "success", "data": {"activeTargets": active}}).encode()))
            return
        query = form["query"]
        self.queries.append(f"{parts.path.rpartition('/')[2]} {query}")
        for words, (status, body) in self.failing.items():
            if words in self.queries[-1]:
                writer.write(answer(body, status))
                return
        if parts.path.endswith("query_range"):
            start, end, step = (float(form[name]) for name in ("start", "end", "step"))
            times = [start + i * step for i in range(int((end - start) / step + 1e-6) + 1)]
            rows = [{"metric": m, "values": [[t, self.value(query, t)] for t in times]} for m in self.metrics(query)]
        else:
            at = float(form["time"])
            rows = [{"metric": m, "value": [at, self.value(query, at)]} for m in self.metrics(query)]
        told: dict[str, Any] = {"status": "success", "data": {"resultType": "vector", "result": rows}}
        writer.write(answer(json.dumps(told | ({"warnings": self.warnings} if self.warnings else {})).encode()))

    def metrics(self, query: str) -> list[dict[str, str]]:
        if query.startswith("count("):
            return [{}] if self.newer else []
        if query.startswith("sum by"):
            return [{"instance": name} for name in self.instances]
        known = re.search(r"go_goroutines|process_open_fds|go_info", query)
        more = {"version": "go1.27.3"} if "go_info" in query else {}
        there = [name for name in self.instances if name != self.newer or "go_sched_goroutines_goroutines" in query]
        return [{"instance": name, **JOB, **more} for name in there] if known else []

    def value(self, query: str, at: float) -> str:
        scraped = at - at % self.scraped_every
        return repr(scraped if "timestamp" in query else scraped - NOON + 500 if "goroutines" in query else 7)


@asynccontextmanager
async def asked(
    world: World | None = None, known: tuple[str, ...] = (), **settings: Any
) -> AsyncIterator[tuple[PrometheusStream, Prometheus, World, Looks]]:
    """A stream that runs, asking a Prometheus every 20 ms."""
    world, looks = world or World(), Looks()
    there = Prometheus(world)
    async with serving(there.handle) as server:
        there.url, there.server = server.url, server
        source = PrometheusSource(**{"url": server.url, "interval_s": 0.02, "backfill_s": 0.0, **settings})
        stream = PrometheusStream(
            "prometheus[0]",
            source,
            world.roll,
            lambda: world.now,
            known=known.__contains__,
            looks=looks,
            tell=there.told.append,
        )
        ((_, part),) = stream.parts().items()
        task = asyncio.ensure_future(part())
        try:
            yield stream, there, world, looks
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def until(true: Any) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.005)


def test_a_fleet_is_read_by_questions() -> None:
    """Each scrape is one reading per instance, with its time, however often it is seen; who they are comes from the labels; the question is as
    the configuration says, with its token, tenant and parameters."""

    async def work() -> None:
        settings = {
            "selector": '{env="prod"}',
            "tenant": "blue",
            "params": {"dedup": "true"},
            "auth": Auth(bearer=Secret("word")),
        }
        async with asked(**settings) as (stream, there, world, _):
            await until(lambda: len(there.queries) > 60)
            assert {r.at for r in world.readings()} == {NOON - 1 - (NOON - 1) % 15}
            assert len(world.readings("a:1")) == len(world.readings("b:1")) == 1
            world.now += 15
            await until(lambda: len(world.readings("b:1")) > 1)
            assert [(r.goroutines, r.open_fds, r.go_version) for r in world.readings("a:1")][1] == (
                world.readings("a:1")[1].goroutines,
                7,
                "go1.27.3",
            )
            assert {e.instance.service for e in world.events if isinstance(e, Started)} == {"shop"}
            assert 'query timestamp(go_goroutines{env="prod"})' in there.queries
            assert 'query sum by (instance) (http_requests_total{env="prod"})' in there.queries
            assert there.server is not None
            head = there.server.heads[0].decode()
            assert "Authorization: Bearer word" in head
            assert "X-Scope-OrgID: blue" in head
            assert "dedup=true" in head
            assert stream.trouble == ""
            assert there.told == [f"prometheus[0]: 2 instances of {there.url}, asked every 20 ms"]

    asyncio.run(work())


def test_who_tells_the_runtime_s_own_names_only_is_met(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether somebody is there who has no `go_goroutines` is asked now and then; both names are asked for only while that is so."""
    monkeypatch.setattr(module, "SELDOM_TICKS", 3)

    async def work() -> None:
        async with asked(selector='{env="prod"}') as (_stream, there, world, _):
            both = 'query go_goroutines{env="prod"} or go_sched_goroutines_goroutines{env="prod"}'
            await until(lambda: there.queries.count('query go_goroutines{env="prod"}') > 1)
            assert both not in there.queries
            there.newer, there.instances = "c:1", ("a:1", "c:1")
            await until(lambda: world.readings("c:1"))
            assert both in there.queries
            assert world.readings("c:1")[0].goroutines

    asyncio.run(work())


def test_room_is_made_before_a_fleet_is_told() -> None:
    """As many places as there are new instances, once; not again while nobody new is there."""

    async def work() -> None:
        async with asked() as (_stream, there, world, _):
            await until(lambda: len(there.queries) > 60)
            assert world.room == [2]
            there.instances = ("a:1", "b:1", "c:1")
            await until(lambda: "c:1" in world.roll)
            assert world.room == [2, 1]

    asyncio.run(work())


def test_what_nobody_tells_is_asked_for_seldom() -> None:
    """A metric without series is asked for again after SELDOM_TICKS only; what can stand in for it is asked for instead."""

    async def work() -> None:
        async with asked() as (_, there, _, _):
            await until(lambda: there.queries.count("query timestamp(go_goroutines{})") >= 5)
            assert there.queries.count("query go_threads{}") == 1
            assert there.queries.count("query process_open_fds{}") >= 4
            assert (
                there.queries.count("query go_memstats_sys_bytes{}") >= 3
            )  # in place of resident memory, which nobody tells

    asyncio.run(work())


def test_the_past_fills_the_windows_once() -> None:
    """At the start the scrapes of the last half hour come in order, before the present; those who are known already are not told of twice."""

    async def work() -> None:
        async with asked(known=("b:1",), backfill_s=300.0, interval_s=5.0) as (_, there, world, _):
            await until(lambda: any(q.startswith("query go_info") for q in there.queries))
            await until(lambda: bool(world.readings("a:1")))
            times = [r.at or 0.0 for r in world.readings("a:1")]
            assert times == sorted(set(times))
            assert len(times) >= 19
            assert [r.goroutines for r in world.readings("a:1")] == [int(at - NOON + 500) for at in times]
            assert len(world.readings("b:1")) <= 1

    asyncio.run(work())


@pytest.mark.parametrize(
    ("words", "status", "body", "trouble", "reads"),
    [
        ("open_fds", "503 Service Unavailable", b"upstream", r"1 of \d+ questions failed: status 503: upstream", True),
        ("timestamp", "401 Unauthorized", b"", r"it does not let us in \(status 401\)", False),
        ("timestamp", "200 OK", b"<html>a login page", "The API's answer is no JSON.", False),
        ("timestamp", "422 Unprocessable Entity", b'{"status":"error","errorType":"execution","error":"too many samples"}', "execution: too many samples", False),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_told_and_gets_over(words: str, status: str, body: bytes, trouble: str, reads: bool) -> None:
    """A question that fails costs its field, the scrape times cost the tick; the trouble says which in the server's words, and goes when it does."""

    async def work() -> None:
        async with asked() as (stream, there, world, _):
            there.failing[words] = status, body
            await until(lambda: stream.trouble)
            assert re.match(trouble, stream.trouble)
            assert bool(world.readings()) is reads
            there.failing.clear()
            await until(lambda: not stream.trouble and world.readings())

    asyncio.run(work())


def test_partial_answers_and_empty_ones_are_troubles() -> None:
    """Warnings are told while the rest is read; a selector that finds nobody says so."""

    async def work() -> None:
        async with asked() as (stream, there, world, _):
            there.warnings = ("store eu-2 is away",)
            await until(lambda: "store eu-2 is away" in stream.trouble)
            assert world.readings()
        async with asked() as (stream, there, _, _):
            there.instances = ()
            await until(lambda: "is `selector` right?" in stream.trouble)

    asyncio.run(work())


@pytest.mark.parametrize(
    "failure",
    [
        ("400 Bad Request", b'{"status":"error","errorType":"bad_data","error":"too many points"}'),
        ("nonsense", b""),  # whatever else keeps an answer from coming whole: a time-out, a connection that breaks
    ],
)
def test_a_server_that_does_not_tell_of_the_past_tells_of_the_present(failure: tuple[str, bytes]) -> None:
    """Range queries that are refused, or that break, cost the past."""

    async def work() -> None:
        async with asked(backfill_s=300.0) as (stream, there, world, _):
            there.failing["query_range"] = failure
            await until(lambda: world.readings())
            assert len(world.readings("a:1")) == 1
            assert stream.trouble == ""

    asyncio.run(work())


@pytest.mark.parametrize(
    ("pprof", "url"),
    [
        (PprofAddresses(), "http://a:1"),
        (PprofAddresses(scheme="https", port=6060), "https://a:6060"),
        (PprofAddresses(where="targets"), "http://a.pod:1"),
        (PprofAddresses(where="targets", port=6060), "http://a.pod:6060"),
        (PprofAddresses(where="off"), ""),
    ],
)
def test_a_suspect_is_looked_at_where_it_is(pprof: PprofAddresses, url: str) -> None:
    """By its `instance` label or as Prometheus reaches it, on the port of pprof; not at all where that is switched off."""

    async def work() -> None:
        async with asked(pprof=pprof) as (stream, _, world, looks):
            await until(lambda: world.readings("a:1"))
            assert not stream.suspect("nobody", "x")
            if not url:
                assert not stream.suspect("a:1", "goroutine-trend")
                return
            await until(lambda: stream.suspect("a:1", "goroutine-trend"))
            assert stream.last_chance("a:1", "memory-limit", 60.0)
            assert {(t.id, t.url, t.labels["service"]) for t in looks.adopted} == {("a:1", url, "shop")}
            assert looks.asked == [("a:1", "goroutine-trend"), ("a:1", "memory-limit", "60")]

    asyncio.run(work())


def test_a_large_fleet_is_told_a_piece_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Telling stops for others on the loop after HOLD_S."""
    monkeypatch.setattr(module, "HOLD_S", 0.0)

    async def work() -> None:
        async with asked() as (_, there, world, _):
            there.instances = tuple(f"{n}:1" for n in range(50))
            await until(lambda: len(world.readings()) >= 10)
            assert 0 < len(world.readings()) <= 52

    asyncio.run(work())
