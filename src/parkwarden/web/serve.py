"""Serves an ASGI application inside a loop that is already running, and stops with its task."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

import uvicorn

from parkwarden.model.errors import UsageError

if TYPE_CHECKING:
    from starlette.applications import Starlette

MAX_CONNECTIONS = 128
"""Open requests at once: our pages are for a scraper and a few people."""

KEEP_ALIVE_S = 75
"""Longer than a usual scrape interval, so that scrapers need not connect anew."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises UsageError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise UsageError(
            "address-in-use",
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            hint="choose another with web.listen in the configuration or --listen HOST:PORT (port 0 takes any free one)",
        ) from None
    return sock


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: Ctrl-C is the watch's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(application: Starlette, sock: socket.socket, cert_file: str = "", key_file: str = "") -> None:
    """Serve until cancelled; over TLS where there is a certificate."""
    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=2,
        lifespan="off",
        server_header=False,
        ssl_certfile=cert_file or None,
        ssl_keyfile=key_file or None,
    )
    await _Server(config).serve(sockets=[sock])
