"""Connections and requests in hand, by goroutines' frames."""

from __future__ import annotations

import pytest

from parkwarden.model import Frame, Snapshot, Source, Stack, make_snapshot
from parkwarden.stacks.served import STALLED_MIN, served

SERVE = "net/http.(*conn).serve"
HANDLER = "net/http.serverHandler.ServeHTTP"
READ = ("internal/poll.runtime_pollWait", "internal/poll.(*FD).Read", "net.(*conn).Read")


def of(*stacks: tuple[str, ...], count: tuple[int, ...] = (), wait_min: tuple[int, ...] | None = None) -> Snapshot:
    return make_snapshot(
        Source.PROFILE if wait_min is None else Source.DUMP,
        [Stack(tuple(Frame(name) for name in names)) for names in stacks],
        list(range(len(stacks))),
        count=list(count) or None,
        wait_min=wait_min,
    )


def test_connections_and_requests_of_http() -> None:
    """40 requests in a handler and 5 idle connections: 45 connections, 40 requests; their helpers are no more of either."""
    snapshot = of(
        ("runtime.gopark", "main.hold", HANDLER, SERVE),
        (*READ, "net/http.(*connReader).Read", "bufio.(*Reader).Peek", SERVE),
        (*READ, "net/http.(*connReader).backgroundRead"),
        ("main.work",),
        count=(40, 5, 40, 7),
    )
    told = served(snapshot)
    assert (told.connections, told.requests, told.stalled) == (45, 40, None)


def test_our_own_look_is_not_counted() -> None:
    """Whoever asks for the profile is a request too, and is left out."""
    ours = ("runtime/pprof.writeGoroutine", "net/http/pprof.handler.ServeHTTP", HANDLER, SERVE)
    told = served(of(ours, ("main.hold", HANDLER, SERVE)))
    assert (told.connections, told.requests) == (1, 1)


@pytest.mark.parametrize(
    "prefix",
    ["net/http/internal/http2.(*serverConn).", "net/http.(*http2serverConn).", "golang.org/x/net/http2.(*serverConn)."],
)
def test_http2_has_a_goroutine_per_connection_and_per_request(prefix: str) -> None:
    """One connection's serve loop below net/http's own, and its streams' handlers, in bundled, internal and x/net shape."""
    told = served(of((f"{prefix}serve", SERVE), ("main.hold", HANDLER, f"{prefix}runHandler"), count=(2, 30)))
    assert (told.connections, told.requests) == (2, 30)


def test_grpc_streams_are_requests() -> None:
    """handleStream runs one call."""
    assert served(of(("main.call", "google.golang.org/grpc.(*Server).handleStream"), count=(9,))).requests == 9


def test_minutes_in_io_wait_say_that_no_deadline_is_in_force() -> None:
    """Reads of a connection for two minutes and longer count; listeners, a client's idle connections and background reads may wait."""
    stacks = (
        (*READ, "main.serve"),
        (*READ, "main.other"),
        ("internal/poll.(*FD).Accept", "net.(*netFD).accept", "net/http.(*Server).Serve"),
        (*READ, "net/http.(*persistConn).readLoop"),
        (*READ, "net/http.(*connReader).backgroundRead"),
        ("runtime.gopark", "main.wait"),
    )
    waits = (STALLED_MIN, STALLED_MIN - 1, 60, 60, 60, 60)
    assert served(of(*stacks, count=(3, 4, 1, 1, 1, 1), wait_min=waits)).stalled == 3
