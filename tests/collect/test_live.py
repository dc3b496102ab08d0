"""Live services that behave and that do not: real servers on the loopback, each misbehaving in one way."""

from __future__ import annotations

import asyncio
import gzip
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from parkwarden.collect import limits
from parkwarden.collect.live import LiveBag, LiveOptions, look, look_sync
from parkwarden.model import Kind, UnreachableError, UsageError

Handler = Callable[[str, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

DUMP = b"goroutine 1 [running]:\nmain.main()\n\t/src/main.go:7 +0x1d\n\n"
INDEX = b"<td>%d</td><td><a href='goroutine?debug=1'>goroutine</a></td>"
QUICK = LiveOptions(interval_s=0, endpoint_timeout_s=0.6, total_timeout_s=4)


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[str]:
    """A raw server that hands each request's target to `handler`; yields its base URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await handler(head.split(b" ", 2)[1].decode(), reader, writer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with running:
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}"


def answer(body: bytes, status: str = "200 OK", extra: str = "", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\nConnection: close\r\n{extra}\r\n".encode() + body


def pages(table: dict[str, bytes]) -> Handler:
    """A handler that answers whole responses by path and 404 for the rest."""

    async def handle(target: str, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(table.get(target.split("?")[0], answer(b"no", "404 Not Found")))

    return handle


def ask(handler: Handler, path: str = "", options: LiveOptions = QUICK) -> LiveBag:
    async def run() -> LiveBag:
        async with server(handler) as base:
            return await look(base + path, options=options)

    return asyncio.run(run())


def notes(bag: LiveBag) -> dict[str, str]:
    return {cost.what: cost.note for cost in bag.costs}


def test_one_endpoint_by_its_full_url() -> None:
    """What was named is asked, whatever it costs, and nothing else is."""
    bag = ask(pages({"/debug/pprof/goroutine": answer(DUMP)}), "/debug/pprof/goroutine?debug=2")
    assert [a.kind for a in bag.artefacts] == [Kind.GOROUTINE_DUMP]
    assert [c.what for c in bag.costs] == ["goroutine"]
    assert bag.costs[0].bytes == len(DUMP)
    assert bag.artefacts[0].taken_at is not None
    assert list(bag.bodies.values()) == [DUMP]


@pytest.mark.parametrize("path", ["", "/", "/debug/pprof", "/debug/pprof/", "/debug"])
def test_every_spelling_of_a_base(path: str) -> None:
    """With or without the path, the same things are asked, the dear ones last."""
    asked: list[str] = []
    table = pages({"/debug/pprof/": answer(INDEX % 1), "/debug/pprof/goroutine": answer(DUMP)})

    async def handle(target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(target)
        await table(target, reader, writer)

    bag = ask(handle, path)
    assert asked[0] == "/debug/pprof/"
    assert asked[1] == "/debug/pprof/goroutine"
    assert asked[-1] == "/debug/pprof/goroutine?debug=2"
    assert notes(bag)["heap"] == "not there"
    assert bag.goroutines == 1


def test_where_no_census_names_ids_two_text_dumps_do(data: Path) -> None:
    """Survivors and births take ids at two looks: of Go before 1.23, or while somebody else is tracing, dumps tell them."""
    table = {"/debug/pprof/": answer(INDEX % 1), "/debug/pprof/goroutine": answer(DUMP)}
    dumps = [c.what for c in ask(pages(table)).costs].count("goroutine?debug=2")
    named = table | {"/debug/pprof/trace": answer((data / "trace" / "1.27" / "sample.trace").read_bytes())}
    spared = [c.what for c in ask(pages(named)).costs].count("goroutine?debug=2")
    assert (dumps, spared) == (2, 1)
    many = ask(pages({"/debug/pprof/": answer(INDEX % 50_000), "/debug/vars": answer(DUMP)}))
    assert [c.note.split(":")[0] for c in many.costs if c.what == "goroutine?debug=2"] == ["not asked"]


@pytest.mark.parametrize(("looks", "profiles"), [(0, 2), (2, 2), (5, 5)])
def test_goroutine_profiles_are_spread_over_the_interval(looks: int, profiles: int) -> None:
    """As many profiles as asked for, never fewer than the two that growth needs; the other looks come once."""
    table = {"/debug/pprof/": answer(INDEX % 1), "/debug/pprof/goroutine": answer(DUMP), "/debug/vars": answer(b"{}")}
    asked = [c.what for c in ask(pages(table), options=LiveOptions(interval_s=0, looks=looks)).costs]
    assert asked.count("goroutine") == profiles
    assert asked.count("vars") == 1


def test_dear_looks_are_refused_above_their_limits() -> None:
    """Many goroutines: no text dump and no leak profile, and the price list says at which named limit; --any-size asks."""
    rows = INDEX % 50_000 + b"<td>0</td><td><a href='goroutineleak?debug=1'>"
    table = {"/debug/pprof/": answer(rows), "/debug/vars": answer(DUMP)}
    bag = ask(pages(table))
    assert "TEXT_DUMP_MAX_GOROUTINES" in notes(bag)["goroutine?debug=2"]
    assert "LEAK_PROFILE_MAX_GOROUTINES" in notes(bag)["goroutineleak"]
    forced = ask(pages(table), options=LiveOptions(interval_s=0, any_size=True))
    assert notes(forced)["goroutine?debug=2"] == "not there"
    forbidden = ask(pages(table), options=LiveOptions(interval_s=0, census=False, leak_profile=False, text_dump=False))
    assert [notes(forbidden)[w] for w in ("trace", "goroutineleak", "goroutine?debug=2")] == [
        "not asked: switched off"
    ] * 3


def test_credentials_are_sent_and_never_shown() -> None:
    """A password in the URL is basic auth; it is in no name, no price and no error."""
    seen: list[str] = []

    async def run() -> tuple[LiveBag, str]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(answer(DUMP))
            writer.close()

        running = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = running.sockets[0].getsockname()[1]
        async with running:
            bag = await look(f"http://me:hunter2@127.0.0.1:{port}/debug/pprof/goroutine?debug=2", options=QUICK)
        try:
            await look(f"http://me:hunter2@127.0.0.1:{port}/", options=QUICK)
        except UnreachableError as error:
            return bag, repr(error) + error.message + error.hint
        return bag, ""

    bag, error = asyncio.run(run())
    assert "Authorization: Basic" in seen[0]
    assert error
    assert "hunter2" not in repr(bag) + error


def test_an_endless_body_is_cut_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came is read, with a problem; memory stays where it was."""
    monkeypatch.setattr(limits, "MAX_BODY_BYTES", {"debug=2": 2 << 20})

    async def handle(_target: str, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + DUMP)
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bag = ask(handle, "/debug/pprof/goroutine?debug=2", LiveOptions(endpoint_timeout_s=10))
    assert bag.artefacts[0].problems[0].code == "too-large"
    assert bag.artefacts[0].snapshot is not None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


def test_a_slow_drip_ends_at_the_time_limit() -> None:
    """One byte now and then keeps no one waiting for ever; what came is read."""

    async def handle(_target: str, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + DUMP)
        while True:
            writer.write(b"\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    began = time.monotonic()
    bag = ask(handle, "/debug/pprof/goroutine?debug=2")
    assert time.monotonic() - began < 3
    assert bag.artefacts[0].problems[0].code == "truncated"
    assert bag.artefacts[0].kind is Kind.GOROUTINE_DUMP


def test_a_lying_length_is_a_truncated_answer() -> None:
    """Fewer bytes than announced: what came is read and the loss told."""
    bag = ask(pages({"/debug/pprof/goroutine": answer(DUMP, length=10**12)}), "/debug/pprof/goroutine?debug=2")
    assert bag.artefacts[0].problems[0].code == "truncated"
    assert bag.artefacts[0].snapshot is not None


def test_a_compressed_bomb_ends_at_the_ratio() -> None:
    """A gzip of zeros is not unpacked by the HTTP client but within unpack's limits."""
    body = gzip.compress(bytes(200 << 20), 9)
    table = {"/debug/pprof/heap": answer(body, extra="Content-Encoding: gzip\r\n")}
    bag = ask(pages(table), "/debug/pprof/heap", LiveOptions())
    assert bag.artefacts[0].problems[0].code == "decompression-bomb"


def test_redirects_stay_on_the_host() -> None:
    """A redirect within the server is followed, in a circle ends at its limit, elsewhere is refused."""
    table = {
        "/debug/pprof/heap": answer(b"", "302 Found", "Location: /moved\r\n"),
        "/moved": answer(DUMP),
        "/debug/pprof/block": answer(b"", "302 Found", "Location: /debug/pprof/block\r\n"),
        "/debug/pprof/mutex": answer(b"", "302 Found", "Location: http://169.254.169.254/secret\r\n"),
        "/debug/pprof/allocs": answer(b"", "302 Found", "Location: http://[bad\r\n"),
    }
    assert ask(pages(table), "/debug/pprof/heap").artefacts[0].kind is Kind.GOROUTINE_DUMP
    for path, words in (("block", "MAX_REDIRECTS"), ("mutex", "not asked for"), ("allocs", "no HTTP")):
        with pytest.raises(Exception, match=words):
            ask(pages(table), f"/debug/pprof/{path}")


def test_garbage_and_silence_are_errors_with_a_next_step() -> None:
    """A server that speaks no HTTP, closes at once or says nothing: an error that says what to look at."""

    async def garbage(_target: str, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\x01SSH-2.0-nonsense\r\n" * 50)

    async def close(_target: str, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def silent(_target: str, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def headers(_target: str, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-A: b\r\n" * 1000)
            await writer.drain()

    for handler in (garbage, close, silent, headers):
        with pytest.raises(UnreachableError) as error:
            ask(handler, "/debug/pprof/heap")
        assert error.value.code in ("bad-answer", "timeout")
        assert error.value.hint


def test_a_server_without_debug_endpoints_says_so() -> None:
    """It answers, but there is nothing of Go's: the hint names the import."""
    with pytest.raises(UnreachableError, match="debug endpoint") as error:
        ask(pages({}))
    assert "net/http/pprof" in error.value.hint
    assert error.value.exit_code == 4


def test_refused_and_impossible_targets() -> None:
    """Nobody listens, no such name, TLS against a plain port, no URL: each its own error."""
    with pytest.raises(UnreachableError, match="no connection"):
        look_sync("http://127.0.0.1:1", options=QUICK)
    for text in ("ftp://host", "http://", "http://h:99999", "http://[::1"):
        with pytest.raises(UsageError):
            look_sync(text)

    async def run() -> None:
        async with server(pages({})) as base:
            await look(base.replace("http:", "https:"), options=QUICK)

    with pytest.raises(UnreachableError) as error:
        asyncio.run(run())
    assert error.value.code in ("tls", "connection-failed", "bad-answer", "timeout")


def test_a_unix_socket(tmp_path: Path) -> None:
    """Debug ports are often put on a socket nobody else can reach."""
    path = str(tmp_path / "s")

    async def run() -> LiveBag:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(answer(DUMP) if b"debug=2" in head or b"/goroutine " in head else answer(INDEX % 1))
            writer.close()

        async with await asyncio.start_unix_server(serve, path):
            return await look(f"unix:{path}", options=QUICK)

    bag = asyncio.run(run())
    assert bag.url == f"unix:{path}"
    assert Kind.GOROUTINE_DUMP in [a.kind for a in bag.artefacts]


def test_looks_are_never_two_at_once_and_all_end_in_time() -> None:
    """The whole ladder against a server that answers nothing but the index: it ends at the total limit, one by one."""
    open_now = most = 0

    async def handle(target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most
        if target == "/debug/pprof/":
            writer.write(answer(INDEX % 5))
            return
        if target == "/debug/vars":
            writer.write(answer(DUMP))
            return
        open_now += 1
        most = max(most, open_now)
        try:
            await reader.read()
        finally:
            open_now -= 1

    began = time.monotonic()
    bag = ask(handle, options=LiveOptions(interval_s=0, endpoint_timeout_s=0.3, total_timeout_s=1.5))
    assert time.monotonic() - began < 3
    assert most == 1
    assert "LOOK_TIMEOUT_S" in bag.costs[-1].note


def test_cancelling_closes_the_connection() -> None:
    """Ctrl-C in the middle of a look leaves no connection and no task behind."""

    async def run() -> int:
        gone = asyncio.Event()

        async def handle(_target: str, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await reader.read()
            gone.set()

        async with server(handle) as base:
            task = asyncio.create_task(look(base, options=LiveOptions()))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(gone.wait(), 2)
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) <= 2
