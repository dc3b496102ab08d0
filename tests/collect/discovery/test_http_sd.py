"""Targets from a URL: asked again and again, and a failure keeps the last good ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from aiohttp import web

from parkwarden.collect.discovery import http_sd
from parkwarden.collect.discovery.http_sd import HttpDiscovery
from parkwarden.collect.discovery.settings import HttpSd
from parkwarden.model.instance import Auth, Secret, Target

GOOD = '[{"targets": ["a:1"], "labels": {"env": "prod"}}]'


class Server:
    """A discovery server; `answer` is what it says next."""

    def __init__(self) -> None:
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] = self.good
        self.asked: list[dict[str, str]] = []

    async def good(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("If-None-Match") == '"1"':
            return web.Response(status=304)
        return web.Response(text=GOOD, headers={"ETag": '"1"'})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append({k.lower(): v for k, v in request.headers.items()})
        return await self.answer(request)


def story(tell: Callable[[Server, HttpDiscovery, list[Sequence[Target]]], Awaitable[None]], **settings: Any) -> None:
    async def whole() -> None:
        server = Server()
        runner = web.ServerRunner(web.Server(server.handle), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        source = HttpDiscovery(HttpSd(url=f"http://127.0.0.1:{port}/sd?team=a", **settings))
        try:
            await tell(server, source, [])
        finally:
            await runner.cleanup()

    asyncio.run(whole())


def test_an_unchanged_answer_costs_nothing() -> None:
    """The ETag goes back, 304 changes nothing; who we are is shown, and Prometheus's header."""

    async def tell(server: Server, source: HttpDiscovery, heard: list[Sequence[Target]]) -> None:
        for _ in range(3):
            await source.ask(lambda _n, t: heard.append(t))
        assert [[t.id for t in targets] for targets in heard] == [["a:1"]]
        assert source.status().healthy
        assert [a.get("if-none-match") for a in server.asked] == [None, '"1"', '"1"']
        assert server.asked[0]["authorization"] == "Bearer word"
        assert server.asked[0]["x-prometheus-refresh-interval-seconds"] == "60"

    story(tell, server_auth=Auth(bearer=Secret("word")))


async def broken(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=500, text="word")


async def no_json(_request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>word")


async def elsewhere(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/word"})


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 65_536)


async def silent(_request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


async def lying(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000000"})
    await response.prepare(request)
    await response.write(b"[")
    assert request.transport is not None
    request.transport.close()
    return response


@pytest.mark.parametrize(
    ("answer", "code"),
    [(broken, "bad-status"), (no_json, "not-json"), (elsewhere, "bad-status"), (endless, "too-large"), (silent, "timeout"), (lying, "bad-answer")],
)  # fmt: skip
def test_a_failure_keeps_the_last_good_targets(answer: Any, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told in our words without anything of the answer; the next good answer counts, whatever its ETag."""
    monkeypatch.setattr(http_sd, "MAX_BYTES", 1 << 20)

    async def tell(server: Server, source: HttpDiscovery, heard: list[Sequence[Target]]) -> None:
        await source.ask(lambda _n, t: heard.append(t))
        server.answer = answer
        await source.ask(lambda _n, t: heard.append(t))
        status = source.status()
        assert [p.code for p in status.problems] == [code]
        assert (status.healthy, status.failures, status.targets) == (False, 1, 1)
        assert "word" not in repr(status)
        server.answer = server.good
        await source.ask(lambda _n, t: heard.append(t))
        assert source.status().healthy
        assert server.asked[-1].get("if-none-match") is None
        assert len(heard) == 1

    story(tell, timeout_s=0.3)


def test_failures_are_asked_again_sooner_then_later() -> None:
    """5 s, 10 s, 20 s ... up to the interval: a server that restarts is back soon, a dead one is not hammered."""

    async def tell(server: Server, source: HttpDiscovery, _heard: list[Sequence[Target]]) -> None:
        server.answer = broken
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 6:
                server.answer = server.good
            if len(waits) == 8:
                raise asyncio.CancelledError

        source.sleep = sleep
        with pytest.raises(asyncio.CancelledError):
            await source.run(lambda _n, _t: None)
        assert waits == [5, 10, 20, 40, 60, 60, 60, 60]

    story(tell)


def test_nobody_there() -> None:
    """A refused connection is a problem, before any success nothing is published."""
    source = HttpDiscovery(HttpSd(url="http://127.0.0.1:1/"))
    heard: list[Sequence[Target]] = []
    asyncio.run(source.ask(lambda _n, t: heard.append(t)))
    assert source.status().problems[0].code == "connection-failed"
    assert source.status().last_success is None
    assert heard == []


def test_a_server_names_no_sockets_of_ours() -> None:
    """`unix:` addresses (a container engine's socket) are problems, the others are targets."""

    async def tell(server: Server, source: HttpDiscovery, heard: list[Sequence[Target]]) -> None:
        async def sockets(_request: web.Request) -> web.StreamResponse:
            return web.Response(text='[{"targets": ["unix:/var/run/docker.sock", "file:///etc/passwd", "a:1"]}]')

        server.answer = sockets
        await source.ask(lambda _n, t: heard.append(t))
        assert [[t.id for t in targets] for targets in heard] == [["a:1"]]
        assert [p.code for p in source.status().problems] == ["bad-address"] * 2

    story(tell)
