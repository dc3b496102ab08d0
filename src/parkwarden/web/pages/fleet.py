"""/: the services that are watched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from parkwarden.web.desk import Desk


def routes(desk: Desk) -> list[BaseRoute]:
    async def fleet(request: Request) -> Response:
        services: dict[tuple[str, str], int] = {}
        for instance in desk.host.engine.instances.values():
            services[instance.service_key] = services.get(instance.service_key, 0) + 1
        return desk.page(request, "fleet.html", services=sorted(services.items()))

    return [Route("/", fleet)]
