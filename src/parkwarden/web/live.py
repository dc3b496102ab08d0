"""GET /events: what happens, as server-sent events, so that pages need not be loaded anew.

    event: beat       data: {"at": Unix seconds, "n": 17}            something was judged, or somebody did something
    event: incident   data: {"id": "…", "state": "firing", "before": "pending", …}   an incident began (before: null) or changed; `gone` when
                                                                     it is forgotten

The first `beat` comes at once. Streams are bounded in number and in length, and end when who listens is no longer known; a browser then
connects anew by itself. Who does not read loses the connection: time is given for one piece at a time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from parkwarden.collect.serve import give_time
from parkwarden.model.safe import inert
from parkwarden.web.problems import TooManyError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import Receive, Scope, Send

    from parkwarden.model import Incident
    from parkwarden.web.desk import Desk

MAX_STREAMS = 64
"""Event streams at once, half of the connections there are: the other half is for pages. A hidden tab closes its own."""

STREAM_S = 3600.0
"""Life of one stream: nobody is listened for for ever, and a browser connects anew within seconds."""

QUIET_S = 10.0
"""A comment is sent after so long without an event, so that proxies and we notice who has gone."""

MAX_NAME = 200
"""Characters of a service's name or a title in an event."""

_TYPE = "text/event-stream"

RETRY_MS = 3_000
"""What a browser is told to wait before it connects anew."""


def routes(desk: Desk) -> list[BaseRoute]:
    streams = 0

    async def events(request: Request) -> Response:
        nonlocal streams
        if request.method == "HEAD":
            return Response(media_type=_TYPE)
        if streams >= MAX_STREAMS:
            raise TooManyError(
                "too-many-streams",
                f"{MAX_STREAMS} pages listen already",
                hint="close some, or load the page anew to see what is new",
                headers={"Retry-After": "30"},
            )
        streams += 1
        return _Stream(_events(desk, request), ended)

    def ended() -> None:
        nonlocal streams
        streams -= 1

    return [Route("/events", events)]


class _Stream(StreamingResponse):
    """Says when it is over, however it ends."""

    def __init__(self, pieces: AsyncIterator[str], ended: Callable[[], None]) -> None:
        super().__init__(
            pieces,
            media_type=_TYPE,
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()


async def _events(desk: Desk, request: Request) -> AsyncIterator[str]:
    """The stream's text, piece by piece."""
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + STREAM_S
    told = {row.id: row for row in desk.host.incidents()}
    rung = await desk.host.changed(-1, 0.0)
    yield f"retry: {RETRY_MS}\n\n{_event('beat', {'at': desk.host.now(), 'n': rung})}"
    while loop.time() < ends_at:
        give_time(request)
        before, rung = rung, await desk.host.changed(rung, QUIET_S)
        if desk.access.visitor(request, desk.clock()) is None:
            return
        give_time(request)
        if rung == before:
            yield ": quiet\n\n"
            continue
        now = {row.id: row for row in desk.host.incidents()}
        changes = [
            _event("incident", _said(row, told.get(key))) for key, row in now.items() if _news(row, told.get(key))
        ]
        changes += [_event("incident", {"id": key, "state": "gone"}) for key in told.keys() - now.keys()]
        told = now
        yield "".join([*changes, _event("beat", {"at": desk.host.now(), "n": rung})])


def _news(row: Incident, before: Incident | None) -> bool:
    """Whether a list of incidents is out of date: numbers that go on are told by the beat."""
    if before is None:
        return True
    return any(
        getattr(row, name) != getattr(before, name) for name in ("state", "priority", "revision", "acknowledged")
    )


def _said(row: Incident, before: Incident | None) -> dict[str, Any]:
    """An incident in short: what a list or a message needs."""
    return {
        "id": row.id,
        "state": row.state.value,
        "before": None if before is None else before.state.value,
        "priority": row.priority.value,
        "revision": row.revision,
        "acknowledged": row.acknowledged,
        "service": inert(row.service, MAX_NAME),
        "title": inert(row.title, MAX_NAME),
    }


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
