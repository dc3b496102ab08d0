"""Receives messages over HTTP: who may send, how large, packed in what, how many at once. One server per `Listener`.

    server = HttpServer("remote-write", settings.remote_write, [Route("/api/v1/write", take, ("snappy",))], admission, points, tell)
    parts = {"remote-write": server.run}             # binds, tells where it listens, serves until cancelled

A route's `take(message)` is given the unpacked body and answers; it may await, and it should, where its work takes more than some
milliseconds. Everything that is refused is refused in the route's own way (`refusal`): OTLP wants a Status in the sender's encoding,
remote write a line of text. Refused before it is read: without the token 401, another path 404, method 405 or packing 415, a body that is
announced as too large 413, too much under way 429 with Retry-After. While it is read: longer than announced 413, slower than
`serve.EXCHANGE_S` cut off. What was refused is counted in `points` by why, messages as one each.
"""

from __future__ import annotations

import asyncio
import hmac
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from parkwarden.model.listening import split_listen

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from parkwarden.collect.streams.admission import Admission
    from parkwarden.collect.streams.settings import Listener

MAX_BODY = 16 << 20
"""Bytes of a message as it comes. Prometheus sends 0.1 to 1 MB, a Collector's batch of 8,192 points has 2 MB unpacked."""
MAX_UNPACKED = 32 << 20
"""Bytes of a message unpacked: half of what all messages under way may take."""
BUSY_S = 1.0
"""Seconds after which to come back where too much is under way: messages take milliseconds."""
SLOW_UNPACK = 1 << 20
"""Packed bytes from which unpacking is another thread's: below, it takes less than a millisecond or two."""
_STEP = 1 << 20


@dataclass(frozen=True, slots=True)
class Message:
    """What a sender brought. `headers` are by lower-case name; all of it is hostile."""

    body: bytes
    content_type: str
    """Without parameters, in lower case."""
    parameters: str
    """What followed it: `proto=io.prometheus.write.v2.Request`."""
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a message is not taken. `again_s` > 0: the same message may come again, after so many seconds."""

    status: int
    why: str
    """Kebab-case, for the counters."""
    text: str
    again_s: float = 0.0


class RefusedError(Exception):
    """A message is not taken; `take` may raise it, too."""

    def __init__(self, status: int, why: str, text: str, again_s: float = 0.0) -> None:
        super().__init__(text)
        self.refused = Refused(status, why, text, again_s)


def in_words(refused: Refused, content_type: str) -> Response:
    """A refusal as a line of text."""
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(refused.text + "\n", refused.status)


@dataclass(frozen=True, slots=True)
class Route:
    """One path that messages come to (POST). `packings`: the Content-Encodings taken, of `gzip`, `deflate`, `zstd`, `snappy` and `identity`
    (none); "identity" must be named where bare bodies are taken. `refusal(refused, content_type)` is the protocol's way to say no."""

    path: str
    take: Callable[[Message], Awaitable[Response]]
    packings: Sequence[str]
    refusal: Callable[[Refused, str], Response] = in_words


class HttpServer:
    """See the module. `tell(text)` is told where it listens; `setting` is the listener's place in the configuration, for errors."""

    def __init__(
        self,
        setting: str,
        listener: Listener,
        routes: Sequence[Route],
        admission: Admission,
        points: Counter[str],
        tell: Callable[[str], None],
    ) -> None:
        self._setting = setting
        self._listener = listener
        self._routes = {route.path: route for route in routes}
        self._admission = admission
        self._points = points
        self._tell = tell
        self.port = 0
        """Where it listens, once it does: what port 0 became."""

    async def run(self) -> None:
        """Serve until cancelled. Raises UsageError where the address cannot be had."""
        from parkwarden.collect.serve import bind, serve

        listener = self._listener
        host, port = split_listen(listener.listen)
        sock = bind(host, port, f"receive.{self._setting}.listen")
        try:
            self.port = sock.getsockname()[1]
            paths = " ".join(self._routes)
            scheme, at = "https" if listener.cert_file else "http", f"[{host}]" if ":" in host else host
            self._tell(f"{self._setting}: {scheme}://{at}:{self.port} takes {paths}")
            await serve(self._answer, sock, listener.cert_file, listener.key_file, senders=True)
        finally:
            self.port = 0
            sock.close()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.requests import Request

        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        response = await self._respond(request)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        route = self._routes.get(request.url.path)
        kind, _, parameters = request.headers.get("content-type", "").partition(";")
        kind = kind.strip().lower()
        refusal = route.refusal if route is not None else in_words
        try:
            self._let_in(request)
            if route is None:
                raise RefusedError(404, "unknown-path", f"nothing is received here; {' '.join(self._routes)} is")
            if request.method != "POST":
                raise RefusedError(405, "unknown-method", "messages are sent with POST")
            return await self._received(request, route, kind, parameters.strip())
        except RefusedError as error:
            refused = error.refused
        except Exception as error:  # a mistake of ours costs this message, and its sender need not try it again
            refused = Refused(500, "internal", f"{type(error).__name__} while it was read")
        self._points[refused.why] += 1
        response = refusal(refused, kind)
        if refused.again_s:
            response.headers["Retry-After"] = str(max(1, round(refused.again_s)))
        if refused.status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        if refused.status in (401, 408, 413):
            response.headers["Connection"] = "close"  # what is still to come of it is not read
        return response

    def _let_in(self, request: Request) -> None:
        token = self._listener.token
        if token is None:
            return
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(shown.strip().encode(), token.reveal().encode()):
            raise RefusedError(401, "no-token", "send `Authorization: Bearer <the token of this receiver>`")

    async def _received(self, request: Request, route: Route, kind: str, parameters: str) -> Response:
        packing = request.headers.get("content-encoding", "identity").strip().lower()
        if packing not in route.packings:
            raise RefusedError(415, "unknown-encoding", f"Content-Encoding must be one of: {', '.join(route.packings)}")
        length = request.headers.get("content-length", "")
        announced = int(length[:12]) if length.isascii() and length.isdigit() else 0
        if announced > MAX_BODY:
            raise RefusedError(413, "too-large", f"{announced:,} bytes; at most {MAX_BODY:,} are taken")
        with self._admission.room(announced or MAX_BODY) as fits:
            if not fits:
                raise RefusedError(429, "busy", "too much is under way; come back later", BUSY_S)
            packed = await _body(request)
            if len(packed) < SLOW_UNPACK:
                body = unpacked(packed, packing)
            else:
                body = await asyncio.to_thread(unpacked, packed, packing)
        del packed
        with self._admission.room(len(body)) as fits:
            if not fits:
                raise RefusedError(429, "busy", "too much is under way; come back later", BUSY_S)
            return await route.take(Message(body, kind, parameters, request.headers))


async def _body(request: Request) -> bytes:
    from starlette.requests import ClientDisconnect

    data = bytearray()
    try:
        async for chunk in request.stream():
            data += chunk
            if len(data) > MAX_BODY:
                raise RefusedError(413, "too-large", f"more than {MAX_BODY:,} bytes")
    except ClientDisconnect:
        raise RefusedError(400, "broken-off", "the connection ended within the message") from None
    return bytes(data)


def unpacked(data: bytes, packing: str, limit: int = MAX_UNPACKED) -> bytes:
    """A body as it was before it was packed, never more than `limit` bytes of it in memory. Raises RefusedError."""
    if packing == "identity":
        parts: bytes | None = data
    else:
        parts = _UNPACK[packing](data, limit)
    if parts is None:
        raise RefusedError(400, "damaged", f"the body is no {packing}, or damaged")
    if len(parts) > limit:
        raise RefusedError(413, "too-large", f"more than {limit:,} bytes when unpacked")
    return parts


def _snappy(data: bytes, limit: int) -> bytes | None:
    """The block format, which tells its size first (google/snappy, format_description.txt): it is believed only where it is small enough."""
    import cramjam

    size = shift = 0
    for byte in data[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    else:
        return None
    if size > limit:
        raise RefusedError(413, "too-large", f"{size:,} bytes when unpacked; at most {limit:,} are taken")
    try:
        return bytes(cramjam.snappy.decompress_raw(data))
    except cramjam.DecompressionError:
        return None


def _zlib(data: bytes, limit: int, *, bits: int) -> bytes | None:
    """One stream, or several in a row (RFC 1952 2.2)."""
    out = bytearray()
    while data:
        stream = zlib.decompressobj(bits)
        try:
            while not stream.eof and len(out) <= limit:
                part = stream.decompress(data, _STEP)
                data = stream.unconsumed_tail
                out += part
                if not part and not data and not stream.eof:
                    return None  # cut off
        except zlib.error:
            return None
        if len(out) > limit:
            break
        data = stream.unused_data
    return bytes(out)


def _zstd(data: bytes, limit: int) -> bytes | None:
    import zstandard

    try:
        with zstandard.ZstdDecompressor(max_window_size=max(limit, 1 << 20)).stream_reader(
            data, read_across_frames=True
        ) as reader:
            out = bytearray()
            while len(out) <= limit and (part := reader.read(_STEP)):
                out += part
            return bytes(out)
    except (zstandard.ZstdError, MemoryError):
        return None


_UNPACK: dict[str, Callable[[bytes, int], Any]] = {
    "snappy": _snappy,
    "gzip": partial(_zlib, bits=31),
    "deflate": partial(_zlib, bits=15),
    "zstd": _zstd,
}
