"""serve: who reaches our port may neither fill our memory nor keep others from being heard. Real sockets on the loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from parkwarden.collect import serve as module

QUESTION = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def served(*more: Route) -> AsyncIterator[int]:
    """The port our pages are on."""

    async def healthz(request: Request) -> PlainTextResponse:
        await request.body()
        return PlainTextResponse("ok\n")

    socket = module.bind("127.0.0.1", 0)
    application = Starlette(routes=[Route("/healthz", healthz), Route("/", healthz, methods=["POST"]), *more])
    task = asyncio.create_task(module.serve(application, socket))
    try:
        yield socket.getsockname()[1]
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def answered(port: int, data: bytes = QUESTION) -> bytes:
    """What is answered to these bytes, up to the end of the connection or of the first answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.readuntil(b"ok\n"), 5)
    except asyncio.IncompleteReadError as error:
        return error.partial
    except OSError:
        return b""
    finally:
        writer.close()


def test_a_probe_is_heard_while_others_hold_connections_open() -> None:
    """Half a question on more connections than we have: the longest silent makes room for who comes."""

    async def work() -> None:
        async with served() as port:
            held = []
            for _ in range(module.MAX_CONNECTIONS + 20):
                held.append(await asyncio.open_connection("127.0.0.1", port))
                held[-1][1].write(b"GET /healthz HTTP/1.1\r\n")
            assert (await answered(port)).startswith(b"HTTP/1.1 200")
            gone = [reader for reader, _ in held if reader.at_eof() or reader.exception()]
            assert 20 <= len(gone) <= 22
            for _, writer in held:
                writer.close()

    asyncio.run(work())


@pytest.mark.parametrize(
    "slowly", [b"", b"GET /healthz HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n"]
)
def test_who_does_not_get_to_the_point_is_let_go(slowly: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence, a head or a body that drips: each exchange has EXCHANGE_S, whatever comes meanwhile."""
    monkeypatch.setattr(module, "EXCHANGE_S", 0.2)

    async def work() -> None:
        async with served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(slowly)

            async def drip() -> None:
                while slowly:
                    await asyncio.sleep(0.05)
                    writer.write(b"x")

            dripping = asyncio.create_task(drip())
            with suppress(OSError):
                await asyncio.wait_for(reader.read(), 3)
            dripping.cancel()
            writer.close()

    asyncio.run(work())


def test_kept_connections_are_asked_again() -> None:
    """A deadline belongs to one exchange, and two questions in one packet are both answered."""

    async def work() -> None:
        async with served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for times in (1, 2, 1):
                writer.write(QUESTION * times)
                for _ in range(times):
                    assert b" 200 OK" in await asyncio.wait_for(reader.readuntil(b"ok\n"), 5)
            writer.close()

    asyncio.run(work())


def test_headers_have_an_end() -> None:
    """A head beyond MAX_HEAD_BYTES is refused, not kept."""
    head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: " + b"y" * (module.MAX_HEAD_BYTES + 100)

    async def work() -> None:
        async with served() as port:
            assert (await answered(port, head)).startswith(b"HTTP/1.1 400")

    asyncio.run(work())


def test_a_stream_goes_on_and_who_does_not_read_it_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """What gives time for each piece outlives EXCHANGE_S; when its reader stops reading, the connection ends all the same."""
    monkeypatch.setattr(module, "EXCHANGE_S", 0.3)
    ended = asyncio.Event()

    async def stream(request: Request) -> StreamingResponse:
        large = request.query_params.get("large") == "1"

        async def pieces() -> AsyncIterator[bytes]:
            try:
                for n in range(10_000):
                    module.give_time(request)
                    yield b"x" * (1 << 20) if large else b"piece %d\n" % n
                    await asyncio.sleep(0 if large else 0.05)
            finally:
                ended.set()

        return StreamingResponse(pieces())

    async def work() -> None:
        async with served(Route("/stream", stream)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
            told = await asyncio.wait_for(
                reader.readuntil(b"piece 20\n"), 5
            )  # a second: more than three times EXCHANGE_S
            assert told.count(b"piece ") == 21
            writer.close()
            await asyncio.wait_for(ended.wait(), 5)
            ended.clear()
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 10)
            writer.write(b"GET /stream?large=1 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await asyncio.wait_for(ended.wait(), 5)
            writer.close()

    asyncio.run(work())


def test_who_still_listens_when_we_end_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """Ctrl-C with a page open: its stream ends with us, and nothing is said to have gone wrong."""

    async def endless(_request: Request) -> StreamingResponse:
        async def beats() -> AsyncIterator[bytes]:
            while True:
                yield b"beat\n"
                await asyncio.sleep(0.01)

        return StreamingResponse(beats())

    async def late(_request: Request) -> PlainTextResponse:
        await asyncio.Event().wait()
        return PlainTextResponse("never\n")

    async def main() -> bytes:
        async with served(Route("/endless", endless), Route("/late", late)) as port:
            reader, listener = await asyncio.open_connection("127.0.0.1", port)
            listener.write(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            heard = await asyncio.wait_for(reader.readuntil(b"beat\n"), 5)
            _, waiter = await asyncio.open_connection("127.0.0.1", port)
            waiter.write(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
            await answered(port)  # by now both are being answered
            return heard

    assert asyncio.run(main()).endswith(b"beat\n")
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
