"""Who serves a client: told by the functions of the stack alone."""

from __future__ import annotations

import pytest

from parkwarden.judge.fleet import serving
from parkwarden.model import Frame, Site


def _site(*functions: str) -> Site:
    frames = tuple(Frame(name, "x.go", 1) for name in functions)
    return Site("id", "select", functions[0], "x.go", 1, frames)


@pytest.mark.parametrize("server", serving.SERVERS)
def test_handlers_serve(server: str) -> None:
    """Every server's root frame makes a handler of what is above it."""
    assert serving.serves(_site("shop.Poll", server))


def test_a_goroutine_of_ones_own_serves_nobody() -> None:
    """A worker that a handler started has no server at its root."""
    assert not serving.serves(_site("shop.work", "shop.Poll.func1"))


def test_a_hijacked_connection_has_no_reader() -> None:
    """Whether the client has gone is told for plain HTTP/1 only."""
    plain = _site("shop.Poll", "net/http.HandlerFunc.ServeHTTP", "net/http.(*conn).serve")
    socket = _site("github.com/gorilla/websocket.(*Conn).ReadMessage", "shop.Chat", "net/http.(*conn).serve")
    assert serving.http1(plain)
    assert not serving.http1(socket)
    assert serving.reads(_site("internal/poll.(*FD).Read", "net/http.(*connReader).backgroundRead"))


def test_between_two_requests_a_connection_is_idle() -> None:
    """No handler is under way, the client may come again; blocked in a write the client is there and does not read."""
    between = _site("internal/poll.(*FD).Read", "bufio.(*Reader).Peek", "net/http.(*conn).serve")
    stuck = _site("internal/poll.(*FD).Write", "net.(*conn).Write", "shop.Send", "net/http.(*conn).serve")
    assert serving.idle(between)
    assert not serving.writes(between)
    assert serving.writes(stuck)
    assert not serving.idle(stuck)
