"""/events: what happens reaches who listens, and listening is bounded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from parkwarden.collect.serve import bind, serve
from parkwarden.web import live as module
from tests.web.board import TOKENS, Board, a_board, bearer


class Stream:
    """One who listens, through ASGI, on the application's loop."""

    def __init__(self, board: Board, headers: dict[str, str]) -> None:
        self._board = board
        self._scope = {
            "type": "http", "method": "GET", "path": "/events", "query_string": b"", "http_version": "1.1", "scheme": "http", "asgi": {"version": "3.0"},
            "headers": [(b"host", b"127.0.0.1"), *((k.lower().encode(), v.encode()) for k, v in headers.items())], "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 9870), "root_path": "",
        }  # fmt: skip
        self.status = 0
        self.text = ""
        self.gone = asyncio.Event()
        self._news = asyncio.Event()

    async def run(self) -> None:
        await self._board.app(self._scope, self._receive, self._send)

    async def until(self, what: Callable[[], Any]) -> None:
        """Wait for a piece after which `what` is true."""
        while not what():
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 5)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Data of all events of this name so far."""
        blocks = [block.split("\n") for block in self.text.split("\n\n")]
        return [json.loads(block[1].removeprefix("data: ")) for block in blocks if block[0] == f"event: {name}"]

    async def _receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.status = message.get("status", self.status)
        self.text += message.get("body", b"").decode()
        self._news.set()


@asynccontextmanager
async def listening(board: Board, headers: dict[str, str] | None = None) -> AsyncIterator[Stream]:
    stream = Stream(board, headers or {})
    task = asyncio.create_task(stream.run())
    try:
        await stream.until(lambda: stream.status)
        yield stream
    finally:
        stream.gone.set()
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)


async def beat(board: Board) -> None:
    board.wall, board.steady = board.wall + 5.0, board.steady + 5.0
    await board.watch._judge(board.watch.clock.now())


def test_beats_and_incidents_are_told(board: Board) -> None:
    """A beat at once and with each judgement; an incident when it begins and when somebody takes it on, not at each beat."""

    async def work() -> None:
        async with listening(board) as stream:
            await stream.until(lambda: stream.events("beat"))
            for _ in range(12):
                board.leaked += 250
                now = board.watch.clock.now() + 5.0
                for event in board.heard(now):
                    board.watch._event(event)
                await beat(board)
                await asyncio.sleep(0)
            await stream.until(lambda: stream.events("incident"))
            rising = [one["n"] for one in stream.events("beat")]
            assert rising == sorted(set(rising))
            row = board.firing()
            assert [one["id"] for one in stream.events("incident")][-1] == row.id
            assert [one["before"] for one in stream.events("incident")][:2] == [None, "pending"]
            assert stream.events("incident")[-1]["service"] == "shop"
            told = len(stream.events("incident"))
            await beat(board)
            await board.host.acknowledge(row.id, "eva", "mine")
            await stream.until(lambda: stream.events("incident")[told:])
            assert stream.events("incident")[-1]["acknowledged"] is True

    board.call(work)


def test_streams_are_bounded(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond MAX_STREAMS the next one is told to come back; who goes makes room."""
    monkeypatch.setattr(module, "MAX_STREAMS", 2)

    async def work() -> None:
        async with listening(board) as one:
            async with listening(board) as two, listening(board) as three:
                assert [one.status, two.status, three.status] == [200, 200, 429]
            async with listening(board) as four:
                assert four.status == 200

    board.call(work)


def test_asking_for_the_head_opens_no_stream(board: Board) -> None:
    """HEAD is answered at once and counts for nothing."""
    answer = board.client.head("/events")
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_who_is_not_known_any_more_hears_no_more(tmp_path: Path) -> None:
    """A session that ended ends its stream with the next beat; a Bearer token's goes on."""

    async def work(board: Board) -> None:
        word = board.desk.access.login("viewer-token-0123456", board.watch.clock.now())
        async with (
            listening(board, {"Cookie": f"parkwarden-session={word}"}) as theirs,
            listening(board, bearer("viewer")) as program,
        ):
            for stream in (theirs, program):
                await stream.until(lambda stream=stream: stream.events("beat"))
            (session,) = board.desk.access._sessions.values()
            board.desk.access.logout(session.visitor)
            await beat(board)
            await program.until(lambda: len(program.events("beat")) == 2)
            assert len(theirs.events("beat")) == 1

    with a_board(tmp_path, TOKENS) as board:
        board.call(work, board)


def test_a_stream_has_an_end_and_a_pulse(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without events a comment comes every QUIET_S; after STREAM_S the stream is over, and a browser connects anew."""
    monkeypatch.setattr(module, "QUIET_S", 0.02)
    monkeypatch.setattr(module, "STREAM_S", 0.2)

    async def work() -> None:
        stream = Stream(board, {})
        await asyncio.wait_for(stream.run(), 5)
        assert stream.text.count(": quiet\n\n") > 2
        assert stream.text.startswith(f"retry: {module.RETRY_MS}\n\n")

    board.call(work)


def test_streams_that_come_and_go_leave_nothing(board: Board) -> None:
    """Over real sockets, closed in the middle: no task, no descriptor, no waiter and no place in the count stays behind."""
    rounds = 3 * module.MAX_STREAMS

    async def listen_and_leave(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await asyncio.wait_for(reader.readuntil(b"event: beat"), 5)
        writer.transport.abort()

    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0

    async def work() -> None:
        sock = bind("127.0.0.1", 0)
        server = asyncio.create_task(serve(board.app, sock))
        port = sock.getsockname()[1]
        await listen_and_leave(port)
        await asyncio.sleep(0.1)
        tasks, files = len(asyncio.all_tasks()), open_files()
        for _ in range(rounds):
            await listen_and_leave(port)
        await beat(board)
        for _ in range(50):
            if (len(asyncio.all_tasks()), open_files()) == (tasks, files):
                break
            await asyncio.sleep(0.1)
        assert (len(asyncio.all_tasks()), open_files()) == (tasks, files)
        server.cancel()
        with suppress(asyncio.CancelledError):
            await server

    board.call(work)
