"""/costs: what our looks cost each service, and what was refused and why."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from starlette.routing import Route

from parkwarden.run.board.costs import REASONS, service_costs

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from parkwarden.web.desk import Desk

PAGE = 200
"""Services of one page, those that were stalled longest."""

MAX_QUERY = 500
"""Characters of a search."""


def routes(desk: Desk) -> list[BaseRoute]:
    async def costs(request: Request) -> Response:
        wanted = request.query_params.get("q", "")[:MAX_QUERY]
        told = desk.host.costs()
        every = service_costs(desk.host, told)
        asked = wanted.lower().split()
        rows = [row for row in every if all(word in f"{row.service}\n{row.env}".lower() for word in asked)]
        refused = Counter[tuple[str, str]]()
        for row in rows:
            for one in row.refused:
                refused[one.look, one.reason] += one.times
        return desk.page(
            request,
            "_costs.html" if "hx-request" in request.headers else "costs.html",
            headers={"Vary": "HX-Request"},
            rows=rows[:PAGE],
            total=len(rows),
            query=wanted,
            told=told,
            seconds=max(desk.host.now() - told.since, 0.0),
            looks=sum(row.taken for row in rows),
            stall_s=sum(row.stall_s for row in rows),
            bytes=sum(row.bytes for row in rows),
            refused=refused.most_common(),
            reasons=REASONS,
        )

    return [Route("/costs", costs)]
