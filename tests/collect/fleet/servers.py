"""Raw servers on the loopback, each behaving in one way: what a target may be."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Handler = Callable[[str, asyncio.StreamWriter], Awaitable[None]]
PAGE = b"# HELP go_goroutines x\n# TYPE go_goroutines gauge\ngo_goroutines 7\ngo_memstats_heap_inuse_bytes 4096\nprocess_start_time_seconds 100\n"


def answer(body: bytes, status: str = "200 OK", extra: str = "", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{extra}\r\n".encode() + body


class Server:
    """Counts connections and the paths asked for."""

    def __init__(self) -> None:
        self.url = ""
        self.connections = 0
        self.asked: list[str] = []
        self.heads: list[bytes] = []


@asynccontextmanager
async def serving(handler: Handler, *, unix: str = "") -> AsyncIterator[Server]:
    """A server that hands the path of each request to `handler`; connections are kept until either side closes."""
    server = Server()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1].decode()
                server.asked.append(path)
                server.heads.append(head)
                await handler(path, writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    if unix:
        running = await asyncio.start_unix_server(serve, unix)
        server.url = f"unix:{unix}"
    else:
        running = await asyncio.start_server(serve, "127.0.0.1", 0)
        server.url = f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        running.close()
        for task in list(tasks):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)


def pages(table: dict[str, bytes]) -> Handler:
    """Answers by path, 404 for all others."""

    async def handler(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(table[path]) if path in table else answer(b"", "404 Not Found"))

    return handler


def always(data: bytes, *, close: bool = False) -> Handler:
    """The same bytes whatever is asked."""

    async def handler(_path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        if close:
            writer.close()

    return handler


async def hangs(_path: str, _writer: asyncio.StreamWriter) -> None:
    """Takes the question and never answers."""
    await asyncio.Event().wait()


async def drips(_path: str, writer: asyncio.StreamWriter) -> None:
    """One byte at a time, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"1\r\nx\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def endless(_path: str, writer: asyncio.StreamWriter) -> None:
    """As much as one takes."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await writer.drain()


async def endless_head(_path: str, writer: asyncio.StreamWriter) -> None:
    """Headers without end."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"X-More: " + b"y" * 8000 + b"\r\n")
        await writer.drain()


def wrapped(each: bytes) -> Handler:
    """A chunked body of which only `each`, again and again, comes after its first byte."""

    async def handler(_path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        while not writer.is_closing():
            writer.write(each)
            await writer.drain()

    return handler
