"""/incidents: what is wrong, most urgent first; /incidents/{id}: one incident to hand on, and what people do about it.

Forms work without script: they POST, and the answer sends the browser to the page as it is afterwards. What was done is written down
before the answer. A script that asks with `HX-Request` gets only what changes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse
from starlette.routing import Route

from parkwarden.model import Incident, IncidentState, Priority, words
from parkwarden.report.view import Limits, finding_view, prose
from parkwarden.run.board.incident import WIDTH, opened_with, shown
from parkwarden.run.board.incidents import OPEN, Filter, is_over, listed
from parkwarden.run.incidents import MAX_NAME, MAX_REASON
from parkwarden.web.access import Role
from parkwarden.web.api.evidence import attachment
from parkwarden.web.api.openapi import who
from parkwarden.web.desk import MAX_QUERY, Desk
from parkwarden.web.problems import NotFoundError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

PAGE = 100
"""Incidents of one page: what is more is found by searching."""

STATES = (
    (OPEN, "open"),
    *((state.value, state.value.replace("-", " ")) for state in IncidentState),
    ("", "all that are kept"),
)
"""Of the filter: value and word."""

SILENCES = (("30m", "30 minutes"), ("2h", "2 hours"), ("8h", "8 hours"), ("1d", "a day"), ("7d", "a week"))
"""How long somebody may silence an incident with one choice; the command line takes any duration up to 90 days."""


def routes(desk: Desk) -> list[BaseRoute]:
    async def index(request: Request) -> Response:
        asked = {name: value[:MAX_QUERY] for name, value in request.query_params.items()}
        wanted = Filter(
            state=asked.get("state", OPEN),
            priority=asked.get("priority", ""),
            service=asked.get("service", ""),
            env=asked.get("env", ""),
            words=asked.get("q", ""),
        )
        rows = await listed(desk.host, wanted)
        first = min(_number(asked.get("from", "")), len(rows))
        return desk.part(
            request,
            "incidents.html",
            rows=rows[first : first + PAGE],
            total=len(rows),
            first=first,
            before=_turned(request, first - PAGE) if first > 0 else "",
            after=_turned(request, first + PAGE) if first + PAGE < len(rows) else "",
            wanted=wanted,
            states=STATES,
            priorities=[priority.value for priority in Priority],
            silences=await desk.host.silences(),
            is_over=is_over,
            aside=aside,
            left=left_now,
        )

    async def one(request: Request) -> Response:
        row = await _found(desk, request)
        found = await shown(desk.host, row)
        return desk.part(
            request,
            "incident.html",
            row=row,
            found=found,
            finding=finding_view(found.finding, Limits()) if found.finding is not None else None,
            advice=prose(row.advice),
            over=is_over(row),
            picture_width=WIDTH,
            opened_with=opened_with,
            silences=SILENCES,
            explorer=any(url == "/explore" for url, _, _ in desk.nav),
            max_name=MAX_NAME,
            max_reason=MAX_REASON,
        )

    async def acknowledge(request: Request) -> Response:
        form = await desk.form(request)
        await desk.host.acknowledge(_id(request), _by(desk, request, form), form.get("why", ""))
        return _back(request)

    async def resolve(request: Request) -> Response:
        form = await desk.form(request)
        await desk.host.resolve(_id(request), _by(desk, request, form), form.get("why", ""))
        return _back(request)

    async def silence(request: Request) -> Response:
        form = await desk.form(request)
        by, why = _by(desk, request, form), form.get("why", "")
        await desk.host.silence([f"incident={(await _found(desk, request)).id}"], by, why, form.get("for", "2h"))
        return _back(request)

    async def unsilence(request: Request) -> Response:
        form = await desk.form(request)
        await desk.host.unsilence(form.get("silence", ""), _by(desk, request, form), form.get("why", ""))
        return _back(request)

    async def evidence(request: Request) -> Response:
        row = await _found(desk, request)
        digest = request.path_params["digest"]
        if digest not in row.evidence:
            raise NotFoundError(
                "evidence-unknown", "this incident has no such evidence", hint="its page lists what it has"
            )
        item, body = await desk.host.evidence_body(digest)
        return attachment(item.file or item.kind, body)

    here = "/incidents/{id}"
    return [
        Route("/incidents", index),
        Route(here, one),
        Route(f"{here}/acknowledge", acknowledge, methods=["POST"]),
        Route(f"{here}/resolve", resolve, methods=["POST"]),
        Route(f"{here}/silence", silence, methods=["POST"]),
        Route(f"{here}/unsilence", unsilence, methods=["POST"]),
        Route(f"{here}/evidence/{{digest}}", evidence),
    ]


def aside(row: Incident) -> str:
    """Who cares, beside how it is; "" = nobody yet."""
    if row.acknowledged:
        return f"acknowledged by {row.acknowledged_by or 'somebody'}"
    if row.closed:
        return f"resolved by {row.closed_by or 'somebody'}"
    if is_over(row):
        return ""
    return "silenced" if row.silenced_until else "explained by another" if row.inhibited_by else ""


def left_now(row: Incident, now: float) -> str:
    """Its time left at `now` in words, "" where no end is seen or it is over."""
    if row.time_left_s is None or is_over(row) or not math.isfinite(row.time_left_s):
        return ""
    return words.seconds(max(row.time_left_s - max(now - row.last_seen, 0.0), 0.0))


async def _found(desk: Desk, request: Request) -> Incident:
    row = await desk.host.incident(_id(request))
    if row is None:
        raise NotFoundError("no-such-incident", "no incident has this id", hint="/incidents lists those that are kept")
    return row


def _id(request: Request) -> str:
    return str(request.path_params["id"])


def _by(desk: Desk, request: Request, form: dict[str, str]) -> str:
    return who(desk.require(request, Role.OPERATOR), form.get("by", ""))


def _back(request: Request) -> Response:
    """To the page of what was acted on: the same address without its last word."""
    return RedirectResponse(request.url.path.rpartition("/")[0], 303)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _turned(request: Request, first: int) -> Any:
    return request.url.include_query_params(**{"from": max(first, 0)}).query
