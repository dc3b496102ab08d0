"""How many connections and requests a service has in hand, by its goroutines' frames. Pure.

A connection of net/http is one goroutine in `(*conn).serve`; a request on it runs below `serverHandler.ServeHTTP`. HTTP/2 has a goroutine
per connection (`(*serverConn).serve`) and one per request (`runHandler`), gRPC one per stream. Sources, Go 1.21-1.27: net/http/server.go:
conn.serve, net/http/internal/http2 (h2_bundle.go before 1.27), golang.org/x/net/http2, google.golang.org/grpc/server.go: handleStream.
"""

from __future__ import annotations

from dataclasses import dataclass

from parkwarden.model import Snapshot
from parkwarden.model.stack import Stack
from parkwarden.stacks.holders import HTTP2_SERVER

_CONNECTIONS = frozenset(("net/http.(*conn).serve", *(f"{prefix}serve" for prefix in HTTP2_SERVER)))
_REQUESTS = frozenset(
    (
        "net/http.serverHandler.ServeHTTP",
        *(f"{prefix}runHandler" for prefix in HTTP2_SERVER),
        "google.golang.org/grpc.(*Server).handleStream",
    )
)
_OURS = ("runtime/pprof.", "net/http/pprof.")
"""Whoever asks for a profile is a request too."""
STALLED_MIN = 2
"""Minutes in IO wait that say that no deadline is in force; Go's dumps tell them as a lower bound."""
_IO = "internal/poll.(*FD)."
_MAY_WAIT = (
    ".Accept", ".accept", "net/http.(*persistConn).readLoop", "net/http.(*connReader).backgroundRead", "clientConnReadLoop", "serverConn).readFrames",
)  # fmt: skip
"""Reads that wait long where all is well: listeners, idle connections kept by a client (closed by a timer), the server's look whether the client of a
running handler is still there, HTTP/2's frames."""


@dataclass(frozen=True, slots=True)
class Served:
    """Counts at one time, without our own look."""

    connections: int
    requests: int
    stalled: int | None
    """Goroutines in IO wait for STALLED_MIN or longer; None where waiting times are not told."""


def served(snapshot: Snapshot) -> Served:
    """What a snapshot of all goroutines tells."""
    connections = requests = 0
    kinds = [_kind(stack) for stack in snapshot.stacks]
    for stack, count in zip(snapshot.stack.tolist(), snapshot.count.tolist(), strict=True):
        connection, request = kinds[stack]
        connections += connection * count
        requests += request * count
    return Served(connections, requests, _stalled(snapshot))


def _kind(stack: Stack) -> tuple[bool, bool]:
    functions = [frame.function for frame in stack.frames]
    if any(name.startswith(_OURS) for name in functions):
        return False, False
    connection = any(name in _CONNECTIONS for name in functions)
    request = any(name in _REQUESTS for name in functions)
    return connection, request


def _stalled(snapshot: Snapshot) -> int | None:
    told = snapshot.wait_min >= 0
    if not told.any():
        return None
    waiting = [_waits(stack) for stack in snapshot.stacks]
    long = snapshot.wait_min >= STALLED_MIN
    rows = zip(snapshot.stack[long].tolist(), snapshot.count[long].tolist(), strict=True)
    return sum(int(count) for stack, count in rows if waiting[stack])


def _waits(stack: Stack) -> bool:
    functions = [frame.function for frame in stack.frames]
    reads = any(name.startswith(_IO) for name in functions)
    return reads and not any(may in name for name in functions for may in _MAY_WAIT)
