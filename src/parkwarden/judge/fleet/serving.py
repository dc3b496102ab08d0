"""Which sites serve a client right now: their goroutines live as long as the client waits, which may be a minute.

net/http runs the handler on the connection's goroutine (`(*conn).serve`; HTTP/2 and gRPC start one per stream) and, while it runs, a
second one that reads in the background to see the client go (`(*connReader).backgroundRead`, net/http/server.go, Go 1.8-1.27). So where
more goroutines stand in handlers than such readers exist, some clients have gone and their handlers have not.
A hijacked connection (websocket) has no such reader and a living client: where the stack names one, nothing is said of its client.
"""

from __future__ import annotations

from parkwarden.model import Site
from parkwarden.stacks.holders import HTTP2_SERVER

SERVERS = (
    "net/http.(*conn).serve",
    *(f"{prefix}runHandler" for prefix in HTTP2_SERVER),
    "google.golang.org/grpc.(*Server).handleStream",
    "google.golang.org/grpc.(*Server).processUnaryRPC",
    "google.golang.org/grpc.(*Server).processStreamingRPC",
)
"""Functions at the root of a goroutine that answers one request."""

READER = "net/http.(*connReader).backgroundRead"
"""One for each HTTP/1 request in progress whose client is still there."""

HIJACKED = ("websocket", "hijack")
"""In a frame's function (lower case): the connection is no longer net/http's."""


def serves(site: Site) -> bool:
    """Whether goroutines of this site are inside a handler of a request."""
    return any(frame.function.startswith(SERVERS) for frame in site.frames[-6:])


def http1(site: Site) -> bool:
    """Whether these requests have a background reader each while their client waits."""
    functions = [frame.function for frame in site.frames]
    plain = any(function.startswith(SERVERS[0]) for function in functions)
    return plain and not any(word in function.lower() for function in functions for word in HIJACKED)


def reads(site: Site) -> bool:
    """Whether this is the site of the background readers."""
    return any(frame.function.startswith(READER) for frame in site.frames)


IDLE = ("net/http.(*conn).readRequest", "bufio.(*Reader).Peek", "net/http.(*connReader).Read")
"""A connection's goroutine between two requests (net/http/server.go: serve, readRequest)."""

WRITES = (
    "net.(*conn).Write",
    "net.(*netFD).Write",
    "internal/poll.(*FD).Write",
    "internal/poll.(*FD).Writev",
    "internal/poll.(*FD).SendFile",
)
"""Blocked in a write: the client does not read."""

ALONE = 0.8
"""Share of a site's goroutines that must have no client any more: the others may be young."""


def idle(site: Site) -> bool:
    """Whether these connections wait for their next request: no handler is under way."""
    return any(frame.function in IDLE for frame in site.frames) and not writes(site)


def writes(site: Site) -> bool:
    """Whether they are blocked in a write."""
    return any(frame.function in WRITES for frame in site.frames)
