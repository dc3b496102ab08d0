"""/limits: what breaks first, of every service, nearest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from parkwarden.model import words
from parkwarden.run.board.limits import BYTES, NAMES, Headroom, Headrooms
from parkwarden.web.desk import MAX_QUERY, Desk

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

PAGE = 200
"""Rows of one page; what is further from its limit is found by searching."""


def routes(desk: Desk) -> list[BaseRoute]:
    async def limits(request: Request) -> Response:
        wanted = request.query_params.get("q", "")[:MAX_QUERY]
        rows = Headrooms(desk.host, wanted)
        return desk.part(
            request,
            "limits.html",
            rows=rows.part(0, PAGE),
            total=len(rows),
            query=wanted,
            names=NAMES,
            amount=amount,
            left=left,
        )

    return [Route("/limits", limits)]


def amount(row: Headroom, value: float | None) -> str:
    """Bytes or pieces in words."""
    if value is None:
        return "?"
    return words.size(value) if row.limit in BYTES else words.count(value)


def left(row: Headroom) -> str:
    """`41 min (25-70)`, "" where no end is seen."""
    if row.left_s is None:
        return ""
    low = row.left_s if row.low_s is None else row.low_s
    return words.within(row.left_s, low, words.NEVER_S if row.high_s is None else row.high_s)
