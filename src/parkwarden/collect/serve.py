"""Serves an ASGI application inside a loop that is already running, and stops with its task: our pages, and receivers of what others send.

Whoever reaches the port may open connections before any token is asked for: so their number, their headers and their time are bounded,
and a newcomer goes before who has been silent longest: a health probe is heard while somebody holds all the others open.

An exchange that takes longer (live events, a large upload) asks for its time piece by piece: `give_time(request)` after each piece that
went out or came in. Whoever stops reading or sending is let go EXCHANGE_S later all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from parkwarden.model.errors import UsageError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

MAX_CONNECTIONS = 128
"""Open at once, where nothing else is said: our pages are for a scraper and a few people."""

MAX_SENDERS = 512
"""Open at once where senders come: an SDK keeps one open, a Collector or a Prometheus up to 200; half of the usual limit of open files."""

MAX_HEAD_BYTES = 16 << 10
"""Of a request: browsers with many cookies send 8 kB."""

EXCHANGE_S = 15.0
"""From a connection, or the first byte of a question, to the last byte of its answer; ours take milliseconds."""

KEEP_ALIVE_S = 75
"""Longer than a usual scrape interval, so that scrapers need not connect anew."""


_GIVE_TIME = "parkwarden.give_time"
WEB_OPTION = " or --listen HOST:PORT"


def give_time(request: Request) -> None:
    """Another EXCHANGE_S for this exchange, from now: a piece of it was done."""
    go_on = request.scope.get("state", {}).get(_GIVE_TIME)
    if go_on is not None:  # another server's exchange has its own bounds
        go_on()


def bind(host: str, port: int, setting: str = "web.listen") -> socket.socket:
    """A listening socket. Raises UsageError where the address cannot be had; `setting` is where another can be chosen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(MAX_CONNECTIONS)  # who is told of the address may come at once, before the first page is ready
    except OSError as error:
        sock.close()
        raise UsageError(
            "address-in-use",
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            hint=f"choose another with {setting} in the configuration{WEB_OPTION if setting == 'web.listen' else ''} (port 0 takes any free one)",
        ) from None
    return sock


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: Ctrl-C is the watch's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Connection(H11Protocol):
    """One of at most `most`, with EXCHANGE_S for each exchange; h11 rather than httptools, which takes headers without end."""

    most = MAX_CONNECTIONS
    _deadline: asyncio.TimerHandle | None = None
    since = 0.0
    """When its present exchange began, or the last one ended."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.app_state = {**self.app_state, _GIVE_TIME: self._go_on}
        super().connection_made(transport)
        self._begin()
        if len(self.connections) > self.most:
            oldest = min(self.connections, key=lambda one: getattr(one, "since", 0.0))
            self.connections.discard(oldest)
            oldest.transport.abort()

    def data_received(self, data: bytes) -> None:
        self._begin()
        super().data_received(data)

    def on_response_complete(self) -> None:
        self._end()
        super().on_response_complete()
        if not self.cycle.response_complete:  # the next question came with the last one
            self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def _begin(self) -> None:
        if self._deadline is None:
            self.since = self.loop.time()
            self._deadline = self.loop.call_later(EXCHANGE_S, self.transport.abort)

    def _go_on(self) -> None:
        if self._deadline is not None:
            self._end()
            self._begin()

    def _end(self) -> None:
        self.since = self.loop.time()
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _SendersConnection(_Connection):
    most = MAX_SENDERS


def _of_ours(record: logging.LogRecord) -> bool:
    """Whether a line of uvicorn's log is about us: whoever reaches the port could fill our log with a line for each broken request."""
    error = record.exc_info[1] if record.exc_info else None
    return record.levelno >= logging.ERROR and not isinstance(error, h11.ProtocolError)


async def serve(
    application: ASGIApp, sock: socket.socket, cert_file: str = "", key_file: str = "", *, senders: bool = False
) -> None:
    """Serve until cancelled, `senders` where many keep a connection each; over TLS where there is a certificate. Then every connection ends, whatever it was at."""

    async def until_we_end(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(asyncio.CancelledError):  # nobody is left to be told, and nothing went wrong
            await application(scope, receive, send)

    logging.getLogger("uvicorn.error").addFilter(_of_ours)
    config = uvicorn.Config(
        until_we_end,
        log_config=None,
        access_log=False,
        http=_SendersConnection if senders else _Connection,
        ws="none",
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=2,
        lifespan="off",
        server_header=False,
        ssl_certfile=cert_file or None,
        ssl_keyfile=key_file or None,
    )
    server = _Server(config)
    try:
        await server.serve(sockets=[sock])
    finally:
        for connection in list(server.server_state.connections):
            connection.transport.abort()
