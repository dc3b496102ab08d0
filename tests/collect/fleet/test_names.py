"""http.Names: each name asked once at a time, remembered, and used stale when the name service fails."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from parkwarden.collect.fleet.http import MAX_ADDRESSES, NAME_FRESH_S, SLOW_LOOKUPS, Names


class Service:
    """A name service put in the loop's place; `now` is the loop's clock."""

    def __init__(self) -> None:
        self.loop: Any = asyncio.get_running_loop()
        self.loop.getaddrinfo = self.lookup
        self.asked: list[str] = []
        self.down = False
        self.under_way = 0
        self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.ahead = 0.0
        clock = self.loop.time
        self.loop.time = lambda: clock() + self.ahead

    async def lookup(self, host: str, _port: object, **_: object) -> list[tuple[object, ...]]:
        self.asked.append(host)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.gate.wait()
        self.under_way -= 1
        if self.down:
            raise socket.gaierror(-2, "Name or service not known")
        return [(2, 1, 6, "", (f"10.0.0.{i}", 0)) for i in (1, 1, 2, 3, 4, 5)]


def test_one_lookup_for_all_who_ask() -> None:
    """Twenty targets of one host ask once, and later ones not at all until the answer is old."""

    async def work() -> None:
        service, names = Service(), Names()
        found = await asyncio.gather(*[names.get("a") for _ in range(20)])
        assert found == [["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]] * 20
        assert len(found[0]) == MAX_ADDRESSES
        await names.get("a")
        assert service.asked == ["a"]
        service.ahead = NAME_FRESH_S + 1
        await names.get("a")
        assert service.asked == ["a", "a"]

    asyncio.run(work())


def test_an_old_answer_is_better_than_none() -> None:
    """While the name service is down what was known is still used; what never was is an error."""

    async def work() -> None:
        service, names = Service(), Names()
        known = await names.get("a")
        service.down = True
        service.ahead = NAME_FRESH_S + 1
        assert await names.get("a") == known
        with pytest.raises(OSError, match="not known"):
            await names.get("b")

    asyncio.run(work())


def test_a_dead_zone_does_not_take_all_lookups() -> None:
    """Names that failed before are asked two at a time, so that others find a free thread."""

    async def work() -> None:
        service, names = Service(), Names()
        service.down = True
        hosts = [f"dead-{i}" for i in range(10)]
        await asyncio.gather(*[names.get(h) for h in hosts], return_exceptions=True)
        service.most = 0
        service.gate.clear()
        tasks = [asyncio.create_task(names.get(h)) for h in hosts]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert service.most == SLOW_LOOKUPS
        service.gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert service.most == SLOW_LOOKUPS

    asyncio.run(work())


def test_whoever_gives_up_waiting_does_not_spoil_it_for_others() -> None:
    """A lookup goes on when the one who asked first runs out of time."""

    async def work() -> None:
        service, names = Service(), Names()
        service.gate.clear()
        first, second = asyncio.create_task(names.get("a")), asyncio.create_task(names.get("a"))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        service.gate.set()
        assert (await second)[0] == "10.0.0.1"

    asyncio.run(work())
