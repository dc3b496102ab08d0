"""Messages over HTTP: what is refused, in what way, and what is taken."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
import cramjam
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from parkwarden.collect.streams.admission import MAX_UNDER_WAY, Admission
from parkwarden.collect.streams.http_server import (
    MAX_BODY,
    MAX_UNPACKED,
    HttpServer,
    Message,
    RefusedError,
    Route,
    unpacked,
)
from parkwarden.collect.streams.settings import Listener
from parkwarden.model.errors import UsageError
from parkwarden.model.instance import Secret

PACKINGS = ("snappy", "gzip", "deflate", "zstd", "identity")
PACK: dict[str, Callable[[bytes], bytes]] = {
    "snappy": lambda data: bytes(cramjam.snappy.compress_raw(data)),
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
    "identity": lambda data: data,
}


@dataclass
class Receiving:
    url: str
    points: Counter[str]
    admission: Admission
    messages: list[Message] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


@asynccontextmanager
async def receiving(
    listener: Listener | None = None, take: Callable[[Message], Awaitable[Response]] | None = None
) -> AsyncIterator[Receiving]:
    world = Receiving("", Counter(), Admission(lambda: 0.0))

    async def keep(message: Message) -> Response:
        world.messages.append(message)
        return Response(status_code=204)

    route = Route("/in", take or keep, PACKINGS)
    listener = listener or Listener(listen="127.0.0.1:0")
    server = HttpServer("remote_write", listener, [route], world.admission, world.points, world.told.append)
    task = asyncio.ensure_future(server.run())
    try:
        while not server.port and not task.done():
            await asyncio.sleep(0)
        if task.done():
            task.result()
        world.url = f"http://127.0.0.1:{server.port}/in"
        yield world
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_a_message_is_taken_as_it_was_before_it_was_packed() -> None:
    """Every packing a route names is undone, and the address is told once the port is known."""

    async def scene() -> None:
        async with receiving() as world, aiohttp.ClientSession() as session:
            for packing, pack in PACK.items():
                headers = {"Content-Encoding": packing, "Content-Type": "Application/X-Protobuf; proto=a.B"}
                async with session.post(world.url, data=pack(b"hello " * 99), headers=headers) as answer:
                    assert answer.status == 204, packing
            assert [m.body for m in world.messages] == [b"hello " * 99] * len(PACK)
            assert {(m.content_type, m.parameters) for m in world.messages} == {("application/x-protobuf", "proto=a.B")}
            assert world.told == [f"remote_write: {world.url.removesuffix('/in')} takes /in"]
            assert not world.points

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "why"),
    [
        ("POST", "/out", {}, b"", 404, "unknown-path"),
        ("GET", "/in", {}, b"", 405, "unknown-method"),
        ("POST", "/in", {"Content-Encoding": "br"}, b"x", 415, "unknown-encoding"),
        ("POST", "/in", {"Content-Encoding": "gzip"}, b"no gzip", 400, "damaged"),
        ("POST", "/in", {"Content-Encoding": "gzip"}, gzip.compress(b"abc", mtime=0)[:-12], 400, "damaged"),
        ("POST", "/in", {"Content-Encoding": "snappy"}, b"\xff\xff\xff\xff\x0fx", 413, "too-large"),
        ("POST", "/in", {"Content-Encoding": "zstd"}, zstandard.compress(bytes(MAX_UNPACKED + 1)), 413, "too-large"),
        ("POST", "/in", {"Content-Encoding": "gzip"}, gzip.compress(bytes(MAX_UNPACKED + 1), 1), 413, "too-large"),
        ("POST", "/in", {"Content-Length": str(MAX_BODY + 1)}, None, 413, "too-large"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_refused_with_its_status(
    method: str, path: str, headers: dict[str, str], body: bytes | None, status: int, why: str
) -> None:
    """A message that is never going to be taken gets a status that senders do not try again at, and is counted by why."""

    async def scene() -> None:
        async with receiving() as world, aiohttp.ClientSession() as session:
            url = world.url.removesuffix("/in") + path
            if body is None:
                assert await _head_only(world.url, headers) == status
            else:
                async with session.request(method, url, data=body, headers=headers) as answer:
                    assert answer.status == status
                    assert "Retry-After" not in answer.headers
                    assert await answer.text()
            assert world.points == Counter({why: 1})
            assert not world.messages

    asyncio.run(scene())


async def _head_only(url: str, headers: dict[str, str]) -> int:
    """The status of a message of which only the head was sent."""
    port = int(url.split(":")[2].split("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"POST /in HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode())
    line = await reader.readline()
    assert b"connection: close" in (await reader.readuntil(b"\r\n\r\n")).lower()
    writer.close()
    return int(line.split()[1])


def test_without_the_token_nothing_is_read() -> None:
    """Who does not show the token is refused before a byte of the body, whatever they ask for."""

    async def scene() -> None:
        listener = Listener(listen="127.0.0.1:0", token=Secret("a long enough token"))
        async with receiving(listener) as world, aiohttp.ClientSession() as session:
            for shown in (None, "Bearer wrong", "Basic YTpi", "Bearer", "Bearer \u00fc"):
                headers = {"Authorization": shown} if shown else {}
                async with session.post(world.url, data=b"x", headers=headers) as answer:
                    assert answer.status == 401
                    assert answer.headers["WWW-Authenticate"] == "Bearer"
            async with session.post(
                world.url, data=b"x", headers={"Authorization": "bearer a long enough token"}
            ) as answer:
                assert answer.status == 204
            assert world.points == Counter({"no-token": 5})

    asyncio.run(scene())


@pytest.mark.parametrize(
    "broken",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"POST /elsewhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
        b"POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: nine\r\n\r\n",
    ],
)
def test_who_speaks_no_http_does_not_fill_our_log(broken: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Strangers' broken requests are answered or cut off, and cost us no line."""

    async def work() -> None:
        async with receiving() as there:
            host, _, port = there.url.partition("://")[2].partition("/")[0].partition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(broken)
            assert (await reader.read()).startswith(b"HTTP/1.1 4")
            writer.close()

    asyncio.run(work())
    assert caplog.records == []


def test_too_much_under_way_is_refused_politely() -> None:
    """While what is being worked on fills the room, senders are told when to come back; afterwards they are taken again."""

    async def scene() -> None:
        async with receiving() as world, aiohttp.ClientSession() as session:
            with world.admission.room(MAX_UNDER_WAY):
                async with session.post(world.url, data=b"x") as answer:
                    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
            async with session.post(world.url, data=b"x") as answer:
                assert answer.status == 204
            assert world.points == Counter({"busy": 1})

    asyncio.run(scene())


def test_a_route_refuses_and_fails_in_the_same_words() -> None:
    """What a route refuses carries its pause; a mistake of ours is a 500 that says no more than its kind."""
    refusals = [RefusedError(429, "over-limit", "too many points", 12.4), KeyError("secret")]

    async def take(_message: Message) -> Response:
        raise refusals.pop(0)

    async def scene() -> None:
        async with receiving(take=take) as world, aiohttp.ClientSession() as session:
            async with session.post(world.url, data=b"x") as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (429, "12")
            async with session.post(world.url, data=b"x") as answer:
                assert (answer.status, await answer.text()) == (500, "KeyError while it was read\n")
            assert world.points == Counter({"over-limit": 1, "internal": 1})

    asyncio.run(scene())


def test_an_address_in_use_says_which_setting_to_change() -> None:
    """Two receivers on one port: the second one's error names its place in the configuration."""

    async def scene() -> None:
        async with receiving() as world:
            port = world.url.split(":")[2].split("/")[0]
            with pytest.raises(UsageError) as caught:
                async with receiving(Listener(listen=f"127.0.0.1:{port}")):
                    raise AssertionError("it listens twice")
            assert "receive.remote_write.listen" in (caught.value.hint or "")

    asyncio.run(scene())


@given(st.sampled_from(sorted(PACK)), st.binary(max_size=2_000), st.data())
def test_damaged_bytes_are_refused_or_unpacked_within_the_limit(packing: str, data: bytes, draw: st.DataObject) -> None:
    """Whatever a body holds: unpacked within the limit or refused, never another exception."""
    packed = bytearray(PACK[packing](data))
    for _ in range(draw.draw(st.integers(0, 3))):
        if packed:
            packed[draw.draw(st.integers(0, len(packed) - 1))] = draw.draw(st.integers(0, 255))
    with suppress(RefusedError):
        assert len(unpacked(bytes(packed), packing, limit=4_000)) <= 4_000
