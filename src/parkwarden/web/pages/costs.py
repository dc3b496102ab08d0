"""/costs: what our looks cost each service, and what was refused and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from parkwarden.run.board.costs import REASONS, ServiceCosts
from parkwarden.web.desk import MAX_QUERY, Desk

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

PAGE = 200
"""Services of one page, those that were stalled longest."""


def routes(desk: Desk) -> list[BaseRoute]:
    async def costs(request: Request) -> Response:
        wanted = request.query_params.get("q", "")[:MAX_QUERY]
        told = desk.host.costs()
        asked = wanted.lower().split()
        rows = ServiceCosts(
            desk.host, told, lambda service, env: all(word in f"{service}\n{env}".lower() for word in asked)
        )
        fleet = told.fleet
        return desk.part(
            request,
            "costs.html",
            rows=rows.part(0, PAGE),
            total=len(rows),
            query=wanted,
            told=told,
            seconds=max(desk.host.now() - told.since, 0.0),
            looks=fleet.looks.total(),
            stall_s=sum(fleet.stall_seconds.values()),
            bytes=fleet.scrape_bytes + sum(fleet.look_bytes.values()),
            refused=fleet.refusals.most_common(),
            reasons=REASONS,
        )

    return [Route("/costs", costs)]
