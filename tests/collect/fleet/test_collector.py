"""collector: lives, looks, budgets and status, over real connections to servers of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
import uvloop

from parkwarden.collect.fleet.collector import Collector, phase_of
from parkwarden.collect.fleet.settings import CollectSettings
from parkwarden.collect.fleet.status import TargetState
from parkwarden.model.capture import Capture
from parkwarden.model.events import Census, Event, Gone, Leaked, Named, Read, SiteCounts, Started
from parkwarden.model.instance import Target
from parkwarden.telemetry import Ring, Tracer
from tests.collect.fleet.servers import PAGE, answer, drips, endless, hangs, pages, serving

QUICK = CollectSettings(interval_s=0.02, timeout_s=0.3, backoff_max_s=0.1, profile_every_s=0, census_every_s=0)
INDEX = b"".join(
    b"<td>9</td><td><a href='%s?debug=1'>x</a>" % p for p in (b"goroutine", b"heap", b"goroutineleak", b"trace")
)
PROFILE = (Path(__file__).parents[2] / "data" / "profile_proto" / "go1.25" / "goroutine.pb.gz").read_bytes()
LEAK = (Path(__file__).parents[2] / "data" / "profile_proto" / "go1.27" / "goroutineleak.pb.gz").read_bytes()
TRACE = (Path(__file__).parents[2] / "data" / "trace" / "1.27" / "sample.trace").read_bytes()

T = TypeVar("T")


class Seen:
    """What a collector told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.captures: list[Capture] = []

    def of(self, kind: type[T]) -> list[T]:
        return [e for e in self.events if isinstance(e, kind)]

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for an event, as long as it takes but not for ever."""
        async with asyncio.timeout(20):
            while not true():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def watching(
    targets: list[Target], settings: CollectSettings = QUICK, tracer: Tracer | None = None
) -> AsyncIterator[tuple[Collector, Seen]]:
    seen = Seen()
    collector = Collector(settings, seen.events.append, seen.captures.append, tracer=tracer)
    collector.set_targets(targets)
    task = asyncio.create_task(collector.run())
    try:
        yield collector, seen
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def page(goroutines: int = 7, start: float = 100.0) -> bytes:
    return PAGE.replace(b" 7\n", b" %d\n" % goroutines).replace(b" 100\n", b" %d\n" % start)


def test_a_life_of_an_instance() -> None:
    """Started with labels and start time before the first reading; a restart and a new version are told; Gone at the end."""

    async def work() -> None:
        table = {"/metrics": page()}
        async with serving(pages(table)) as server:
            target = Target(id="a", url=server.url, labels={"service": "s", "version": "1"})
            async with watching([target]) as (collector, seen):
                await seen.until(lambda: len(seen.of(Read)) > 2)
                (started,) = seen.of(Started)
                assert seen.events[0] is started
                assert (started.instance.id, started.instance.start_time, started.instance.version) == ("a", 100.0, "1")
                assert seen.of(Read)[0].reading.goroutines == 7

                table["/metrics"] = page(start=900)
                await seen.until(lambda: len(seen.of(Started)) == 2)
                assert seen.of(Started)[1].instance.start_time == 900.0
                assert collector.status()[0].restarts == collector.counters.restarts == 1

                collector.set_targets([replace(target, labels={"service": "s", "version": "2"})])
                assert seen.of(Started)[2].instance.version == "2"
                assert seen.of(Started)[2].instance.start_time == 900.0

                collector.set_targets([])
                assert seen.of(Gone)[0].instance == "a"
                assert collector.status() == []
                reads = len(seen.of(Read))
                await asyncio.sleep(0.1)
                assert len(seen.of(Read)) == reads

    uvloop.run(work())


def test_a_restart_without_a_start_time() -> None:
    """Where no start time is told a counter that falls begins a new life, with a start time of its own."""

    async def work() -> None:
        vars_page = b'{"cmdline": ["x"], "goroutines": 5, "memstats": {"HeapInuse": 1, "NumGC": %d}}'
        table = {"/debug/vars": vars_page % 9}
        async with serving(pages(table)) as server, watching([Target(id="a", url=server.url)]) as (_, seen):
            await seen.until(lambda: len(seen.of(Read)) > 1)
            table["/debug/vars"] = vars_page % 2
            await seen.until(lambda: len(seen.of(Started)) == 2)
            first, second = seen.of(Started)
            assert first.instance.start_time is None
            assert second.instance.start_time is not None

    uvloop.run(work())


def test_hostile_targets_cost_only_themselves() -> None:
    """Beside ones that hang, drip, never end or answer rubbish a healthy one is read at its beat; each has its state and error."""

    async def rubbish(_path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"<html>hello</html>"))

    async def work() -> None:
        async with contextlib.AsyncExitStack() as stack:
            good = await stack.enter_async_context(serving(pages({"/metrics": page()})))
            bad = [await stack.enter_async_context(serving(h)) for h in (hangs, drips, endless, rubbish)]
            targets = [
                Target(id="good", url=good.url),
                Target(id="nobody", url="http://127.0.0.1:1"),
                Target(id="url", url="nonsense"),
            ]
            targets += [Target(id=f"bad-{i}-{n}", url=s.url) for i, s in enumerate(bad) for n in range(5)]
            settings = replace(QUICK, max_page_bytes=200_000)
            collector, seen = await stack.enter_async_context(watching(targets, settings))
            await seen.until(
                lambda: len(seen.of(Read)) > 40 and all(s.state is not TargetState.STARTING for s in collector.status())
            )
            states = {s.id: s for s in collector.status()}
            assert states["good"].state is TargetState.UP
            assert states["nobody"].state is states["bad-0-0"].state is TargetState.UNREACHABLE
            assert states["url"].error.startswith("bad-url")
            assert states["bad-3-0"].state is TargetState.FAILING
            assert states["bad-2-0"].error.startswith("too-large")
            assert {r.instance for r in seen.of(Read)} == {"good"}
            times = [r.at for r in seen.of(Read)]
            assert sorted(times) == times

    uvloop.run(work())


def test_a_target_that_comes_back_is_read_again() -> None:
    """After failures the pause is bounded, and what answers then is probed anew."""

    async def work() -> None:
        table: dict[str, bytes] = {}
        async with serving(pages(table)) as server, watching([Target(id="a", url=server.url)]) as (collector, seen):
            await seen.until(lambda: collector.status()[0].failures > 4)
            assert collector.status()[0].state is TargetState.FAILING
            table["/metrics"] = page()
            await seen.until(lambda: bool(seen.of(Read)))
            status = collector.status()[0]
            assert (status.state, status.error, status.failures) == (TargetState.UP, "", 0)

    uvloop.run(work())


def test_suspicion_brings_evidence() -> None:
    """Profile, census, leak profile and heap as the reason asks; sites named before they are used; each look's price shown."""

    async def work() -> None:
        table = {
            "/metrics": page(),
            "/debug/pprof/": INDEX,
            "/debug/pprof/goroutine": PROFILE,
            "/debug/pprof/goroutineleak": LEAK,
            "/debug/pprof/trace?seconds=0.2": TRACE,
            "/debug/pprof/trace?seconds=1": TRACE,
        }
        async with (
            serving(pages(table)) as server,
            watching([Target(id="a", url=server.url, labels={"service": "s"})]) as (collector, seen),
        ):
            collector.suspect("nobody", "x")
            collector.suspect("a", "goroutine-trend")  # not seen yet: there is nothing to look at
            await seen.until(lambda: bool(seen.of(Read)))
            collector.suspect("a", "goroutine-trend")
            collector.suspect("a", "goroutine-trend")
            await seen.until(lambda: len(seen.captures) >= 4)
            assert collector.counters.suspicions == 1
            assert collector.status()[0].close_watch
            assert sorted(c.kind for c in seen.captures[:4]) == [
                "goroutine-profile",
                "goroutineleak-profile",
                "trace",
                "trace",
            ]
            assert {c.why for c in seen.captures} == {"goroutine-trend"}
            assert seen.captures[0].body == PROFILE
            assert (seen.captures[0].service, seen.captures[0].file) == ("s", "goroutine.pb.gz")
            named: set[str] = set()
            for event in seen.events:
                if isinstance(event, Named):
                    named.add(event.site.id)
                if isinstance(event, SiteCounts | Leaked):
                    assert set(event.counts) <= named
                if isinstance(event, Census):
                    assert set(event.goids) <= named
                    assert event.max_goid >= max(int(ids[-1]) for ids in event.goids.values())
            assert seen.of(SiteCounts)
            assert seen.of(Census)
            assert seen.of(Leaked)
            costs = collector.status()[0].looks
            assert {c.what for c in costs} >= {"goroutine", "census", "goroutineleak"}
            assert all(c.took_s is not None for c in costs)
            assert collector.counters.looks["goroutine", "ok"] >= 1
            assert collector.counters.stall_seconds["goroutine"] > 0

    uvloop.run(work())


def test_before_and_after() -> None:
    """The last answer on beat before a suspicion becomes evidence too."""

    async def work() -> None:
        table = {"/metrics": page(), "/debug/pprof/": INDEX, "/debug/pprof/goroutine": PROFILE}
        settings = replace(QUICK, profile_every_s=0.05)
        async with (
            serving(pages(table)) as server,
            watching([Target(id="a", url=server.url)], settings) as (collector, seen),
        ):
            await seen.until(lambda: bool(seen.of(SiteCounts)))
            assert seen.captures == []
            collector.suspect("a", "goroutine-trend")
            await seen.until(lambda: len(seen.captures) >= 2)
            assert [c.why for c in seen.captures[:2]] == ["before goroutine-trend", "goroutine-trend"]

    uvloop.run(work())


def test_answers_to_looks_that_are_none() -> None:
    """Rubbish, a bomb, an old trace and somebody else's trace are outcomes; readings go on."""

    async def handler(path: str, writer: asyncio.StreamWriter) -> None:
        if path == "/metrics":
            writer.write(answer(page()))
        elif path == "/debug/pprof/":
            writer.write(answer(INDEX))
        elif path.startswith("/debug/pprof/trace"):
            writer.write(answer(b"Could not enable tracing: tracing is already enabled\n", "500 Internal Server Error"))
        elif path == "/debug/pprof/goroutineleak":
            writer.write(answer(b"go 1.21 trace\0\0\0"))
        else:
            writer.write(answer(b"\x1f\x8b\x08\x00" + bytes(500)))

    async def work() -> None:
        async with serving(handler) as server, watching([Target(id="a", url=server.url)]) as (collector, seen):
            await seen.until(lambda: bool(seen.of(Read)))
            collector.suspect("a", "goroutine-trend")
            looks = collector.counters.looks
            await seen.until(lambda: looks["trace", "tracing-busy"] > 0 and looks["goroutineleak", "unreadable"] > 0)
            assert looks["goroutine", "unreadable"] > 0
            assert looks["census", "tracing-busy"] > 0
            assert seen.captures == []
            reads = len(seen.of(Read))
            await seen.until(lambda: len(seen.of(Read)) > reads + 3)

    uvloop.run(work())


def test_a_profile_that_takes_too_long_to_look_through_is_refused() -> None:
    """Half a megabyte on the wire that is a million stacks: refused before it is made into objects, and pprof is left alone."""
    one = b"\x12\x0a\x0a\x05\x01\x02\x03\x04\x05\x12\x01\x01"
    crowd = gzip.compress(gzip.decompress(PROFILE) + one * 1_000_000, 1)

    async def work() -> None:
        table = {"/metrics": PAGE, "/debug/pprof/": INDEX, "/debug/pprof/goroutine": crowd}
        async with serving(pages(table)) as server, watching([Target(id="a", url=server.url)]) as (collector, seen):
            await seen.until(lambda: bool(seen.of(Read)))
            collector.suspect("a", "goroutine-trend")
            await seen.until(lambda: collector.counters.looks["goroutine", "too-large"] > 0)
            assert not seen.of(SiteCounts)
            await asyncio.sleep(0.1)
            assert sum(path == "/debug/pprof/goroutine" for path in server.asked) == 1

    uvloop.run(work())


def test_few_replicas_are_watched_closely() -> None:
    """Of many suspected replicas of a service three are looked at; the refusal is counted once, not at each tick."""

    async def work() -> None:
        table = {"/metrics": page(), "/debug/pprof/": INDEX, "/debug/pprof/goroutine": PROFILE}
        async with serving(pages(table)) as server:
            targets = [Target(id=f"i{n}", url=server.url, labels={"service": "s"}) for n in range(6)]
            async with watching(targets) as (collector, seen):
                await seen.until(lambda: len(seen.of(Started)) == 6)
                for _ in range(10):
                    for target in targets:
                        collector.suspect(target.id, "goroutine-trend")
                assert sum(s.close_watch for s in collector.status()) == 3
                assert collector.counters.refusals["goroutine", "replicas-watched"] == 3

    uvloop.run(work())


def test_a_mistake_of_the_one_who_is_told_costs_one_target() -> None:
    """Whoever takes the events may fail over one instance: it is shown as failing, and the others go on."""

    async def work() -> None:
        read: list[str] = []

        def emit(event: Event) -> None:
            if isinstance(event, Read):
                if event.instance == "bad":
                    raise KeyError("secret")
                read.append(event.instance)

        async with serving(pages({"/metrics": page()})) as server:
            collector = Collector(QUICK, emit, lambda capture: None)
            collector.set_targets([Target(id=name, url=server.url) for name in ("bad", "good")])
            task = asyncio.create_task(collector.run())
            await Seen().until(lambda: len(read) > 10 and collector.status()[0].failures > 2)
            bad, good = collector.status()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        assert (bad.state, bad.error) == (TargetState.FAILING, "internal: KeyError while reading or telling")
        assert good.state is TargetState.UP
        assert set(read) == {"good"}

    uvloop.run(work())


def test_nothing_is_left() -> None:
    """After the end no task, no thread's work and no descriptor of the collector remains."""

    async def work() -> None:
        async with serving(pages({"/metrics": page()})) as server, serving(hangs) as hanging:
            targets = [Target(id=f"i{n}", url=server.url) for n in range(20)] + [Target(id="h", url=hanging.url)]
            async with watching(targets) as (_, seen):
                await seen.until(lambda: len(seen.of(Read)) > 40)
        await asyncio.sleep(0.05)
        assert len(asyncio.all_tasks()) == 1

    uvloop.run(work())
    before = len(os.listdir("/proc/self/fd"))
    uvloop.run(work())
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_urls_show_no_password() -> None:
    """What somebody put before the @ of a URL is in no status."""
    collector = Collector(QUICK, lambda event: None, lambda capture: None)
    collector.set_targets([Target(id="a", url="http://me:secret@host:1/x")])
    assert collector.status()[0].url == "http://host:1/x"
    assert "secret" not in repr(collector.status())


def test_places_are_spread_and_kept() -> None:
    """A thousand targets are spread over the interval, at the same place in every process."""
    phases = sorted(phase_of(f"target-{i}") for i in range(1_000))
    assert max(b - a for a, b in itertools.pairwise(phases)) < 0.02
    assert phase_of("a") == phase_of("a") == pytest.approx(0.9090537)


def test_looks_are_spans() -> None:
    """Each with its target as peer, why it was taken and what became of it; where there is no such page that is told, not an error."""

    async def work() -> None:
        spans = Ring()
        tracer = Tracer(spans, service="parkwarden", instance="x")
        table = {"/metrics": page(), "/debug/pprof/": INDEX, "/debug/pprof/goroutine": PROFILE}
        target = Target(id="a", url="", labels={"service": "s"})
        async with (
            serving(pages(table)) as server,
            watching([replace(target, url=server.url)], QUICK, tracer) as (collector, seen),
        ):
            await seen.until(lambda: bool(seen.of(Read)))
            collector.suspect("a", "goroutine-trend")
            await seen.until(lambda: bool(seen.captures))
        found = [span for segment in spans.drain() for span in segment.spans]
        profiles = [span for span in found if span.name == "look goroutine"]
        assert profiles, [span.name for span in found]
        assert profiles[0].peer == "a"
        assert ("outcome", "ok") in profiles[0].tags
        assert not profiles[0].error

    uvloop.run(work())
