"""http: kept connections, credentials, redirects, and every way an answer can be none."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
from base64 import b64encode
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from parkwarden.collect.fleet.http import FREE_BYTES, Answer, Client, FetchError, Names, Room, TlsContexts, clean
from parkwarden.model.instance import Auth, Secret, Target
from tests.collect.fleet.servers import (
    PAGE,
    Handler,
    always,
    answer,
    drips,
    endless,
    endless_head,
    hangs,
    pages,
    serving,
    wrapped,
)

LIMIT = 1 << 20


def client(url: str, room: Room | None = None, auth: Auth | None = None) -> Client:
    return Client(Target(id="t", url=url, auth=auth), room or Room(), TlsContexts(), Names())


def run(work: Coroutine[Any, Any, None]) -> None:
    """On the loop the collector runs on."""
    uvloop.run(work)


async def ask(
    handler: Handler, *, limit: int = LIMIT, timeout_s: float = 5.0, room: Room | None = None, part: bool = False
) -> Answer:
    """One question to one server."""
    async with serving(handler) as server:
        one = client(server.url, room)
        try:
            return await one.ask("/metrics", limit, timeout_s, part=part)
        finally:
            one.close()


def test_one_connection_for_many_questions() -> None:
    """Readings go over one kept connection; a look apart opens its own and closes it."""

    async def work() -> None:
        async with serving(pages({"/metrics": PAGE})) as server:
            one = client(server.url)
            for _ in range(5):
                assert (await one.ask("/metrics", LIMIT, 5)).body == PAGE
            assert (await one.ask("/nothing", LIMIT, 5)).status == 404
            assert server.connections == 1
            assert (await one.ask_apart("/metrics", LIMIT, 5)).body == PAGE
            assert server.connections == 2
            one.close()

    run(work())


def test_a_kept_connection_that_was_closed_meanwhile_is_opened_again() -> None:
    """A server may close an idle connection at any time: that is no failure of the next question."""
    told = 0

    async def once(_path: str, writer: asyncio.StreamWriter) -> None:
        nonlocal told
        told += 1
        writer.write(answer(PAGE))
        await writer.drain()
        writer.close()

    async def work() -> None:
        async with serving(once) as server:
            one = client(server.url)
            for _ in range(3):
                assert (await one.ask("/metrics", LIMIT, 5)).body == PAGE
            assert (server.connections, told) == (3, 3)
            one.close()

    run(work())


def test_two_questions_at_once_never_share_a_connection() -> None:
    """A look's question beside a reading's: each gets its own answer, in whichever order they come."""

    async def slowly(path: str, writer: asyncio.StreamWriter) -> None:
        if path == "/slow":
            await asyncio.sleep(0.05)
        writer.write(answer(path.encode()))

    async def work() -> None:
        async with serving(slowly) as server:
            one = client(server.url)
            await one.ask("/first", LIMIT, 5)
            found = await asyncio.gather(*[one.ask(path, LIMIT, 5) for path in ("/slow", "/b", "/slow", "/d")])
            assert [a.body for a in found] == [b"/slow", b"/b", b"/slow", b"/d"]
            one.close()

    run(work())


@pytest.mark.parametrize(
    ("handler", "code"),
    [
        (always(answer(PAGE, length=10_000), close=True), "truncated"),
        (always(answer(b"", length=LIMIT + 1)), "too-large"),
        (always(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"), "bad-answer"),
        (always(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n"), "bad-answer"),
        (endless, "too-large"),
        (endless_head, "bad-answer"),
        (wrapped(b"2\r\nxy\r\n" * 1_000), "bad-answer"),
        (wrapped(b"0\r\nX-Trailer: " + b"y" * 100_000), "bad-answer"),
        (wrapped(b"1;ext=" + b"y" * 100_000), "bad-answer"),
        (always(b"SSH-2.0-OpenSSH_9.2\r\n"), "bad-answer"),
        (always(b"\x16\x03\x01\x02\x00" * 100), "bad-answer"),
        (always(b"", close=True), "connection-lost"),
        (always(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), "bad-answer"),
        (always(answer(gzip.compress(bytes(50 << 20)), extra="Content-Encoding: gzip\r\n")), "too-large"),
        (always(answer(b"no gzip", extra="Content-Encoding: gzip\r\n")), "bad-answer"),
        (always(answer(b"x", extra="Content-Encoding: br\r\n")), "bad-answer"),
        (always(answer(b"", "302 Found", "Location: http://169.254.169.254/latest/\r\n")), "redirected-away"),
        (always(answer(b"", "302 Found", "Location: //other.example/metrics\r\n")), "redirected-away"),
        (always(answer(b"", "302 Found")), "redirected-away"),
        (always(answer(b"", "307 Temporary Redirect", "Location: /metrics\r\n")), "redirected-away"),
        (always(answer(b"", "302 Found", "Location: /a\x01b\r\n")), "bad-answer"),
        (always(answer(b"", "302 Found", "Location: http://[\r\n")), "redirected-away"),
    ],
)
def test_what_is_no_answer(handler: Handler, code: str) -> None:
    """Each way of misbehaving has its code, costs a bounded time, and its text is fit to print."""

    async def work() -> None:
        with pytest.raises(FetchError) as caught:
            await ask(handler)
        assert caught.value.code in (code, "bad-url" if code == "bad-answer" else code)
        assert caught.value.text.isascii()
        assert len(caught.value.text) <= 160

    run(work())


@pytest.mark.parametrize("handler", [hangs, drips])
def test_a_target_that_does_not_end_ends_at_the_deadline(handler: Handler) -> None:
    """Neither silence nor a byte now and then holds an answer open."""

    async def work() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(FetchError) as caught:
            await ask(handler, timeout_s=0.15)
        assert caught.value.code == "timeout"
        assert loop.time() - began < 3

    run(work())


def test_bodies_without_a_length_and_other_honest_shapes() -> None:
    """HTTP/1.0 ends with the connection; a 100 comes before the answer; gzip that nobody asked for is unpacked."""

    async def work() -> None:
        assert (await ask(always(b"HTTP/1.0 200 OK\r\n\r\n" + PAGE, close=True))).body == PAGE
        assert (await ask(always(b"HTTP/1.1 100 Continue\r\n\r\n" + answer(PAGE)))).body == PAGE
        zipped = await ask(always(answer(gzip.compress(PAGE), extra="Content-Encoding: gzip\r\n")))
        assert (zipped.body, zipped.wire) == (PAGE, len(gzip.compress(PAGE)))
        cut = await ask(endless, limit=1_000, part=True)
        assert cut.truncated
        assert len(cut.body) >= 1_000
        assert (await ask(always(answer(PAGE) + answer(b"unasked")))).body == PAGE

    run(work())


def test_large_answers_share_one_room() -> None:
    """Beyond what each may have for free, all answers under way together are bounded; what ends gives its part back."""

    async def work() -> None:
        big = answer(b"x" * (FREE_BYTES + 5_000))
        room = Room(1_000)
        with pytest.raises(FetchError) as caught:
            await ask(always(big), room=room)
        assert (caught.value.code, room.left) == ("no-room", 1_000)
        room = Room(10_000)
        for _ in range(3):
            assert len((await ask(always(big), room=room)).body) == FREE_BYTES + 5_000
        assert room.left == 10_000

    run(work())


def test_redirects_on_the_same_host() -> None:
    """/metrics -> /metrics/ and the like are followed."""

    async def moved(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(PAGE) if path == "/new?x=1" else answer(b"", "301 Moved", "Location: /new?x=1#y\r\n"))

    async def work() -> None:
        assert (await ask(moved)).body == PAGE

    run(work())


def test_credentials_go_to_the_target_and_nowhere_else() -> None:
    """Basic and bearer as headers; what no header may hold is refused before anything is sent."""

    async def work() -> None:
        async with serving(pages({"/p/metrics": PAGE})) as server:
            for auth, expected in (
                (Auth(user="me", password=Secret("pw")), b"Basic " + b64encode(b"me:pw")),
                (Auth(bearer=Secret("tok")), b"Bearer tok"),
            ):
                one = client(server.url + "/p", auth=auth)
                assert (await one.ask("/metrics", LIMIT, 5)).body == PAGE
                one.close()
                assert b"\r\nAuthorization: " + expected + b"\r\n" in server.heads[-1]
        with pytest.raises(FetchError) as caught:
            client("http://x", auth=Auth(bearer=Secret("a\r\nX: y")))
        assert (caught.value.code, "X: y" in caught.value.text) == ("bad-credentials", False)

    run(work())


@pytest.mark.parametrize("headers", [{"X-Scope-OrgID": "a\r\nX: y"}, {"X: y\r\nZ": "a"}, {"": "a"}, {"X": "\u00fc"}])
def test_headers_that_are_none(headers: dict[str, str]) -> None:
    """Further headers of a question cannot smuggle others in."""
    with pytest.raises(FetchError) as caught:
        Client(Target(id="t", url="http://127.0.0.1:1"), Room(), TlsContexts(), Names(), headers)
    assert caught.value.code == "bad-credentials"


def test_unix_sockets(tmp_path: Path) -> None:
    """A path in place of host and port."""

    async def work() -> None:
        path = str(tmp_path / "s")
        async with serving(pages({"/metrics": PAGE}), unix=path) as server:
            one = client(server.url)
            assert (await one.ask("/metrics", LIMIT, 5)).body == PAGE
            one.close()

    run(work())


@pytest.mark.parametrize(
    "url", ["", "ftp://x", "http://", "http://a b/", "http://[::1", "http://x:99999", "gopher", "http://x\n:1"]
)
def test_urls_that_are_none(url: str) -> None:
    """They are this target's error, with a code."""
    with pytest.raises(FetchError) as caught:
        client(url)
    assert caught.value.code == "bad-url"


def test_nobody_there() -> None:
    """Refused, unknown and not allowed are told apart, without an exception of the loop's getting through."""

    async def work() -> None:
        for url, code in (
            ("http://127.0.0.1:1", "connection-failed"),
            ("unix:/nowhere.sock", "connection-failed"),
            ("http://nowhere.invalid:1", "no-such-host"),
        ):
            with pytest.raises(FetchError) as caught:
                await client(url).ask("/metrics", LIMIT, 5)
            assert caught.value.code == code
        auth = Auth(ca_file="/nowhere.pem")
        with pytest.raises(FetchError) as caught:
            await client("https://127.0.0.1:1", auth=auth).ask("/metrics", LIMIT, 5)
        assert caught.value.code == "bad-credentials"

    run(work())


def test_nothing_stays_open() -> None:
    """However answers end, no descriptor of ours is left."""

    async def work() -> None:
        for handler in (
            always(answer(PAGE)),
            endless,
            always(b"garbage"),
            always(answer(PAGE, length=9_999), close=True),
        ):
            for _ in range(5):
                with contextlib.suppress(FetchError):
                    await ask(handler, limit=100_000)
        await asyncio.sleep(0)

    before = len(os.listdir("/proc/self/fd"))
    run(work())
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_texts_are_fit_to_print() -> None:
    """What a target put into an error cannot move the cursor or fill the screen."""
    assert clean("a\x1b[2Jb\n\u202e" + "x" * 999) == ("a\\x1b[2Jb\\n\\u202e" + "x" * 999)[:160]


@settings(max_examples=60)
@given(st.binary(max_size=300), st.binary(max_size=60))
def test_any_bytes_are_an_answer_or_an_error(data: bytes, tail: bytes) -> None:
    """Whatever comes back, the outcome is an Answer or a FetchError, and the connection is gone."""

    async def work() -> None:
        for sent in (data, b"HTTP/1.1 200 OK\r\n" + data, answer(tail) + data):
            status = 0
            with contextlib.suppress(FetchError):
                status = (await ask(always(sent, close=True), timeout_s=2.0)).status
            assert 0 <= status < 1_000

    run(work())
