"""Targets that a stream tells of: looked at on suspicion as if they were ours, never read, and let go of again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import uvloop

from parkwarden.collect.fleet import collector as module
from parkwarden.collect.fleet.collector import HELD_S, Collector
from parkwarden.model import Gone, Read, Reading, SiteCounts, Started, Target
from tests.collect.fleet.servers import Server, pages, serving
from tests.collect.fleet.test_collector import INDEX, PROFILE, QUICK, Seen

LAST = Reading(goroutines=900)


@asynccontextmanager
async def adopting() -> AsyncIterator[tuple[Collector, Seen, Server, list[float]]]:
    """A collector without targets, a server that has pprof, and seconds by which its clock is ahead."""
    seen, ahead = Seen(), [0.0]
    table = {"/debug/pprof/": INDEX, "/debug/pprof/goroutine": PROFILE}
    collector = Collector(
        QUICK, seen.events.append, seen.captures.append, monotonic=lambda: time.monotonic() + ahead[0]
    )
    task = asyncio.create_task(collector.run())
    await asyncio.sleep(0)
    async with serving(pages(table)) as server:
        try:
            yield collector, seen, server, ahead
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def test_a_suspect_that_others_tell_of_is_looked_at() -> None:
    """Profiles of it become events and evidence; it is never read, never announced, and is none of the targets."""

    async def work() -> None:
        async with adopting() as (collector, seen, server, _):
            target = Target(id="a:1", url=server.url, labels={"service": "shop"})
            collector.suspect("a:1", "goroutine-trend")
            assert collector.adopt(target, LAST)
            assert collector.adopt(target, LAST)
            collector.suspect("a:1", "goroutine-trend")
            await seen.until(lambda: bool(seen.captures))
            assert {e.instance for e in seen.of(SiteCounts)} == {"a:1"}
            assert (seen.captures[0].service, seen.captures[0].why) == ("shop", "goroutine-trend")
            assert not seen.of(Read)
            assert not seen.of(Started)
            assert "/metrics" not in server.asked
            assert (collector.status(), collector.watches("a:1"), collector.counters.suspicions) == ([], False, 1)

    uvloop.run(work())


def test_one_whose_suspicion_is_over_is_let_go() -> None:
    """HELD_S after its last suspicion nothing is left of it; nobody says that it is gone, since it is not."""

    async def work() -> None:
        async with adopting() as (collector, seen, server, ahead):
            collector.adopt(Target(id="a:1", url=server.url), LAST)
            collector.last_chance("a:1", "memory-limit", 10.0)
            await seen.until(lambda: bool(seen.captures))
            ahead[0] = HELD_S + 1
            collector._release_over()  # what its timer does
            assert not collector._adopted
            assert collector._releasing is None
            collector.adopt(Target(id="b:1", url=server.url), LAST)
            assert collector._releasing is not None
            assert not seen.of(Gone)

    uvloop.run(work())


def test_another_life_or_address_begins_anew() -> None:
    """What was planned for the process that died is of no use to the next; one that became a target of ours is that."""

    async def work() -> None:
        async with adopting() as (collector, _, server, _):
            target = Target(id="a:1", url=server.url, start_time=100.0)
            collector.adopt(target, LAST)
            first = collector._adopted["a:1"]
            collector.adopt(replace(target, start_time=900.0), LAST)
            assert collector._adopted["a:1"] is not first
            collector.set_targets([target])
            assert not collector._adopted
            assert not collector.adopt(target, LAST)

    uvloop.run(work())


def test_a_storm_of_suspicions_adopts_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a fleet under suspicion is a detector gone wrong: MAX_ADOPTED connections, not 50,000."""
    monkeypatch.setattr(module, "MAX_ADOPTED", 2)

    async def work() -> None:
        async with adopting() as (collector, _, server, _):
            taken = [collector.adopt(Target(id=f"{n}", url=server.url), LAST) for n in range(4)]
            assert taken == [True, True, False, False]

    uvloop.run(work())
