"""Asking targets over HTTP/1.1: one `Client` per target, one kept connection, answers bounded in bytes and time.

`Client.ask(path, limit, timeout_s)` gives an `Answer`, whatever its status, or raises `FetchError` with a stable code and a
sanitised text. The parser is llhttp (Node's, through the library httptools) on an asyncio Protocol: half of aiohttp's CPU
per answer, and every bound is ours to set (docs/decisions/0005-scraping.md). What the other side may do, and what it costs it:

- hang, drip, never end: one deadline per answer, from connecting to the last byte;
- lie about its length, send a bomb: `limit` bytes, of the body and of what a gzip unpacks to; the fleet's `Room` bounds all bodies together;
- wrap nothing into much (headers, trailers, a chunk for every byte): MAX_HEAD_BYTES, and a FRAMING-th of the body;
- redirect: followed on the same scheme, host and port only, MAX_REDIRECTS times;
- close kept connections between two questions: asked once more on a fresh one.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import re
import zlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from parkwarden.collect import limits

if TYPE_CHECKING:
    import ssl

    from parkwarden.model.instance import Auth, Target

MAX_HEAD_BYTES = 64 << 10
"""Status line and headers of an answer; Go itself refuses requests beyond 1 MB, answers here have 300 bytes."""
FRAMING = 4
"""One byte of wrapping (chunk sizes, trailers) is taken for so many of the body, beyond MAX_HEAD_BYTES: Go's chunks are 2 kB and more."""
FREE_BYTES = 256 << 10
"""Of each body that takes no part of the Room: a page of /metrics has 10 kB."""
ROOM_BYTES = 384 << 20
"""All answers under way together, beyond FREE_BYTES each: three traces at their limit, whatever many targets send at once."""
MAX_TEXT = 160
"""Characters of an error's text."""

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9a-zA-Z-]{1,128}")
_PATH = re.compile(r"[!-~]{1,4096}\Z")


class FetchError(Exception):
    """No usable answer. Codes: timeout, connection-failed, no-such-host, tls, connection-lost, bad-answer, too-large, truncated,
    no-room, redirected-away, bad-url, bad-credentials."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(code)
        self.code = code
        self.text = clean(text)


def clean(text: str) -> str:
    """A text fit to print anywhere: ASCII, one line, bounded."""
    return ascii(text)[1:-1][:MAX_TEXT]


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is unpacked if it came with Content-Encoding gzip; `wire` the bytes that came."""

    status: int
    body: bytes
    wire: int
    truncated: bool = False
    """Only where asked with `part=True`: the rest was not read."""


class Room:
    """Bytes that answers under way may hold, over all targets."""

    __slots__ = ("left",)

    def __init__(self, size: int = ROOM_BYTES) -> None:
        self.left = size


class TlsContexts:
    """One TLS identity, one context: made when first used and again when one of its files changed. Raises FetchError."""

    def __init__(self) -> None:
        self._made: dict[object, ssl.SSLContext] = {}

    def get(self, auth: Auth | None) -> ssl.SSLContext:
        import ssl

        files = (auth.ca_file, auth.cert_file, auth.key_file) if auth else ("", "", "")
        verify = auth.verify if auth else True
        try:
            key = (files, verify, tuple(os.stat(f).st_mtime_ns for f in files if f))
            made = self._made.get(key)
            if made is None:
                for old in [k for k in self._made if k[:2] == key[:2]]:  # type: ignore[index]
                    del self._made[old]
                made = ssl.create_default_context(cafile=files[0] or None)
                if not verify:
                    made.check_hostname = False
                    made.verify_mode = ssl.CERT_NONE
                if files[1]:
                    made.load_cert_chain(files[1], files[2] or None)
                self._made[key] = made
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            what = getattr(error, "strerror", None) or type(error).__name__
            raise FetchError("bad-credentials", f"the certificates cannot be used: {what}") from None
        return made


NAME_FRESH_S = 60.0
"""How long an answer of the name service is used; after that it is still used when a new question fails."""
MAX_NAMES = 50_000
SLOW_LOOKUPS = 2
"""Names under way whose last lookup failed. uvloop has four threads for all lookups: a dead zone must not take them all."""


class Names:
    """Host names to addresses, each asked for once at a time and remembered, over all targets."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, list[str]]] = {}
        self._asking: dict[str, asyncio.Task[list[str]]] = {}
        self._failed: set[str] = set()
        self._slow = asyncio.Semaphore(SLOW_LOOKUPS)

    async def get(self, host: str) -> list[str]:
        """Addresses, at least one. Raises OSError."""
        loop = asyncio.get_running_loop()
        known = self._known.get(host)
        if known is not None and loop.time() - known[0] < NAME_FRESH_S:
            return known[1]
        task = self._asking.get(host)
        if task is None:
            task = self._asking[host] = loop.create_task(self._ask(host))
            task.add_done_callback(lambda done: self._asked(host, done))
        try:
            return await asyncio.shield(task)
        except OSError:
            if known is not None:
                return known[1]
            raise

    def _asked(self, host: str, done: asyncio.Task[list[str]]) -> None:
        del self._asking[host]
        if done.cancelled() or done.exception() is not None:
            self._failed.add(host)
            return
        self._failed.discard(host)
        if len(self._known) >= MAX_NAMES or len(self._failed) >= MAX_NAMES:
            self._known.clear()
            self._failed.clear()
        self._known[host] = (asyncio.get_running_loop().time(), done.result())

    async def _ask(self, host: str) -> list[str]:
        import socket

        if host in self._failed:
            async with self._slow:
                found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        else:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))[:MAX_ADDRESSES]


MAX_ADDRESSES = 4
"""Addresses of one name that are tried, one after the other."""


class _Link(asyncio.Protocol):
    """One connection; one question at a time. The parser's callbacks are its methods."""

    __slots__ = ("_answer", "_body", "_encoding", "_ended", "_headed", "_held", "_length", "_limit", "_parser", "_part", "_room", "_size",
                 "_transport", "_wire", "claimed", "fresh", "location", "open", "touched")  # fmt: skip

    def __init__(self, room: Room) -> None:
        import httptools

        self._parser = httptools.HttpResponseParser(self)
        self._room = room
        self._transport: Any = None
        self._answer: asyncio.Future[Answer] | None = None
        self._held = 0
        self.open = False
        self.claimed = False
        """Whether a question, with its redirects, is under way."""
        self.fresh = True
        """Whether nothing was asked over it yet."""
        self.touched = False
        """Whether anything came since the question."""

    async def ask(self, question: bytes, limit: int, part: bool, timeout_s: float) -> Answer:
        """Raises FetchError; the connection is open afterwards only if it can be used again."""
        self._body = bytearray()  # not a list of chunks: those of two bytes would take twenty times their size
        self._size = self._wire = 0
        self._headed = False
        self._length: int | None = None
        self._limit = limit
        self._part = part
        self._encoding = self.location = b""
        self._ended = False
        self.touched = False
        loop = asyncio.get_running_loop()
        self._answer = loop.create_future()
        timer = loop.call_later(timeout_s, self._fail, "timeout", f"no whole answer within {timeout_s:.3g} s")
        self._transport.write(question)
        try:
            return await self._answer
        finally:
            timer.cancel()
            if not self._ended:
                self.close()
            self._answer = None
            self._body = bytearray()
            self._room.left += self._held
            self._held = 0

    def close(self) -> None:
        """Drop the connection at once, without waiting for the other side."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, code: str, text: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(FetchError(code, text))

    def _finish(self, truncated: bool = False) -> None:
        if self._answer is None or self._answer.done():
            return
        body = bytes(self._body)
        wire = len(body)
        if self._encoding and body:
            try:
                body = unzip(body, self._encoding, self._limit)
            except FetchError as error:
                self._answer.set_exception(error)
                return
        self._answer.set_result(Answer(self._parser.get_status_code(), body, wire, truncated))

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.open = True

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.close()  # nobody asked: whatever it is, it is no answer
            return
        self.touched = True
        self._wire += len(data)
        try:
            self._parser.feed_data(data)
        except Exception as error:  # httptools' own errors, and those of the callbacks
            self._fail("bad-answer", f"what it answers is no HTTP ({type(error).__name__})")
        if self._wire - self._size > MAX_HEAD_BYTES + self._size // FRAMING:
            self._fail("bad-answer", "its wrapping does not end" if self._headed else "the headers do not end")

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        if self._answer is None or self._answer.done():
            return
        if self._headed and self._length is None and not error:
            self._finish()  # a body without a length ends with the connection (RFC 9112, 6.3)
        elif self.touched:
            self._fail("truncated", f"the connection broke after {self._size:,} bytes of the body")
        else:
            self._fail("connection-lost", "the connection was closed without an answer")

    # llhttp's side

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-length":
            self._length = int(value) if len(value) < 20 and value.isdigit() else 0
            if self._length > self._limit and not self._part:
                self._fail("too-large", f"{self._length:,} bytes are announced, the limit is {self._limit:,}")
        elif name == b"transfer-encoding":
            self._length = -1  # the parser knows the end
        elif name == b"content-encoding" and value.lower() != b"identity":
            self._encoding = value.lower()
        elif name == b"location":
            self.location = value

    def on_headers_complete(self) -> None:
        if self._parser.get_status_code() >= 200:
            self._headed = True

    def on_body(self, body: bytes) -> None:
        if self._answer is None or self._answer.done():
            return
        size = self._size = self._size + len(body)
        if size > self._limit:
            if self._part:
                self._body += body
                self._finish(truncated=True)
            else:
                self._fail("too-large", f"more than {self._limit:,} bytes")
            return
        if size > FREE_BYTES:
            more = size - FREE_BYTES - self._held
            if more > self._room.left:
                self._fail("no-room", "too many large answers are under way")
                return
            self._held += more
            self._room.left -= more
        self._body += body

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:
            return  # 1xx: the answer is still to come
        self._ended = self._parser.should_keep_alive()
        self._finish()


def unzip(body: bytes, encoding: bytes, limit: int) -> bytes:
    """A gzip unpacked up to `limit` bytes (as an encoding we do not ask for it). Raises FetchError."""
    if encoding not in (b"gzip", b"x-gzip"):
        raise FetchError("bad-answer", "its encoding was not asked for")
    unpacker = zlib.decompressobj(31)
    try:
        out = unpacker.decompress(body, limit + 1)
    except zlib.error:
        raise FetchError("bad-answer", "its gzip is damaged") from None
    if len(out) > limit:
        raise FetchError("too-large", f"more than {limit:,} bytes unpacked")
    return out


class Client:
    """Asks one target. `ask` uses the kept connection; `ask_apart` opens one of its own, so that a long look delays no reading."""

    __slots__ = (
        "_address",
        "_auth",
        "_contexts",
        "_head",
        "_link",
        "_names",
        "_prefix",
        "_room",
        "_tls",
        "_unix",
        "host",
    )

    def __init__(
        self, target: Target, room: Room, contexts: TlsContexts, names: Names, headers: Mapping[str, str] | None = None
    ) -> None:
        """`headers` go with every question. Raises FetchError for a URL, credentials or headers that cannot be used."""
        self._room = room
        self._contexts = contexts
        self._names = names
        self._auth = target.auth
        self._link: _Link | None = None
        self._unix = ""
        self._prefix = ""
        self._tls = False
        self._address = ("", 0)
        if target.url.startswith("unix:"):
            self._unix = "/" + target.url[5:].lstrip("/")
            self.host = "localhost"
        else:
            self._parse(target.url)
        lines = [f"Host: {self.host}", "User-Agent: parkwarden", "Accept: text/plain;version=0.0.4,*/*;q=0.1",
                 "Accept-Encoding: identity"]  # fmt: skip
        lines += _credentials(target.auth)
        for name, value in (headers or {}).items():
            if not _HEADER.fullmatch(name) or not value.isascii() or not value.isprintable():
                raise FetchError("bad-credentials", f"the header {name} holds what no header may")
            lines.append(f"{name}: {value}")
        self._head = (" HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def _parse(self, text: str) -> None:
        try:
            url = urlsplit(text)
            host, port = url.hostname, url.port
        except ValueError:
            host = port = None
            url = urlsplit("")
        if not host or not _PATH.match(text) or url.scheme not in ("http", "https"):
            raise FetchError(
                "bad-url", "not the URL of a service: http://host:port, https://host/prefix, unix:/path.sock"
            )
        self._tls = url.scheme == "https"
        self._address = (host, port or (443 if self._tls else 80))
        self.host = f"[{host}]" if ":" in host else host
        if port:
            self.host += f":{port}"
        self._prefix = url.path.rstrip("/")

    async def ask(self, path: str, limit: int, timeout_s: float, *, part: bool = False) -> Answer:
        """GET of a path below the target's URL. `part`: an answer beyond `limit` is cut instead of refused. Raises FetchError."""
        link = self._link
        if link is None or not link.open:
            fresh = await self._connect(timeout_s)
            if self._link is not link:  # somebody else connected meanwhile
                return await self._once(fresh, path, limit, timeout_s, part)
            self._link = link = fresh
        if link.claimed:  # a look asks for the index while a reading is under way, or the other way round
            return await self.ask_apart(path, limit, timeout_s, part=part)
        link.claimed = True
        try:
            return await self._follow(link, path, limit, timeout_s, part)
        except FetchError as error:
            # a kept connection may have been closed by the other side just before: no answer to this question
            if error.code != "connection-lost" or link.touched or link.fresh:
                raise
        finally:
            link.claimed = link.fresh = False
        self._link = None
        return await self.ask(path, limit, timeout_s, part=part)

    async def ask_apart(self, path: str, limit: int, timeout_s: float, *, part: bool = False) -> Answer:
        """`ask` over a connection of its own, closed afterwards."""
        return await self._once(await self._connect(timeout_s), path, limit, timeout_s, part)

    async def _once(self, link: _Link, path: str, limit: int, timeout_s: float, part: bool) -> Answer:
        try:
            return await self._follow(link, path, limit, timeout_s, part)
        finally:
            link.close()

    def close(self) -> None:
        """Close the kept connection; the client may be used again."""
        if self._link is not None:
            self._link.close()
            self._link = None

    async def _connect(self, timeout_s: float) -> _Link:
        loop = asyncio.get_running_loop()
        context = self._contexts.get(self._auth) if self._tls else None
        make = lambda: _Link(self._room)  # noqa: E731
        try:
            async with asyncio.timeout(min(timeout_s, limits.CONNECT_TIMEOUT_S)):
                if self._unix:
                    return (await loop.create_unix_connection(make, self._unix))[1]
                return await self._dial(make, context)
        except TimeoutError:
            raise FetchError(
                "timeout", f"no connection within {min(timeout_s, limits.CONNECT_TIMEOUT_S):.3g} s"
            ) from None
        except (OSError, ValueError) as error:  # ssl.SSLError and socket.gaierror are OSErrors
            raise _explained(error) from None

    async def _dial(self, make: Callable[[], _Link], context: ssl.SSLContext | None) -> _Link:
        host, port = self._address
        name = host if context else None
        addresses = [host] if _is_address(host) else await self._names.get(host)
        for address in addresses[:-1]:
            with contextlib.suppress(OSError):
                return (
                    await asyncio.get_running_loop().create_connection(
                        make, address, port, ssl=context, server_hostname=name
                    )
                )[1]
        return (
            await asyncio.get_running_loop().create_connection(
                make, addresses[-1], port, ssl=context, server_hostname=name
            )
        )[1]

    async def _follow(self, link: _Link, path: str, limit: int, timeout_s: float, part: bool) -> Answer:
        path = self._prefix + path
        for _ in range(limits.MAX_REDIRECTS + 1):
            if not _PATH.match(path):
                raise FetchError("bad-url", "the path holds what no path may")
            answer = await link.ask(b"GET " + path.encode() + self._head, limit, part, timeout_s)
            if answer.status not in (301, 302, 303, 307, 308):
                return answer
            path = self._redirected(path, link.location.decode("latin-1"))
            if not link.open:
                raise FetchError("redirected-away", "redirected, and the connection closed")
        raise FetchError("redirected-away", f"more than {limits.MAX_REDIRECTS} redirects")

    def _redirected(self, path: str, location: str) -> str:
        """The path a redirect leads to, on the same scheme, host and port: another host was not asked for."""
        base = f"{'https' if self._tls else 'http'}://{self.host}"
        try:
            to = urljoin(base + path, location) if location else ""
        except ValueError:  # `http://[`
            to = ""
        if not to.startswith(base + "/"):
            raise FetchError("redirected-away", f"redirected to {clean(to)[:80] or 'nowhere'}, which was not asked for")
        return to[len(base) :].partition("#")[0]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _credentials(auth: Auth | None) -> list[str]:
    if auth is None:
        return []
    if auth.bearer is not None:
        word = f"Bearer {auth.bearer.reveal()}"
    elif auth.user or auth.password is not None:
        password = auth.password.reveal() if auth.password else ""
        word = "Basic " + b64encode(f"{auth.user}:{password}".encode()).decode()
    else:
        return []
    if not word.isascii() or not word.isprintable():
        raise FetchError("bad-credentials", "the token holds what no header may")
    return [f"Authorization: {word}"]


def _explained(error: Exception) -> FetchError:
    import socket
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return FetchError("tls", f"its certificate is not trusted: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return FetchError("tls", f"no secure connection: {error.reason or type(error).__name__}")
    if isinstance(error, socket.gaierror):
        return FetchError("no-such-host", "its host name is not known")
    return FetchError("connection-failed", getattr(error, "strerror", None) or type(error).__name__)
