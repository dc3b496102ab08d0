"""The application: joins the routes of all pages and of the API behind the guard."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import BaseRoute, Route

from parkwarden.web import problems
from parkwarden.web.desk import NAV, Desk
from parkwarden.web.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

MIN_GZIP_BYTES = 1_000
"""Below, an answer fits into one packet anyway."""

GZIP_LEVEL = 5
"""A page of 500 kB takes 5 ms; level 9 takes twice that for a hundredth less."""

MODULES: tuple[str, ...] = (
    "parkwarden.web.status",
    "parkwarden.web.live",
    "parkwarden.web.login",
    "parkwarden.web.api.openapi",
    "parkwarden.web.pages.fleet",
    "parkwarden.web.pages.service",
    "parkwarden.web.pages.incident",
    "parkwarden.web.pages.limits",
    "parkwarden.web.pages.costs",
    "parkwarden.web.pages.explore",
    "parkwarden.web.pages.trace",
)
"""Each has `routes(desk) -> list[BaseRoute]`: every page and every family of API routes."""


def application(desk: Desk, modules: Sequence[str] = MODULES) -> Starlette:
    """The ASGI application over what `desk` shows."""
    assets = desk.assets
    routes: list[BaseRoute] = [
        Route("/static/{hash}/{name:path}", assets.answer),
        Route("/favicon.ico", assets.icon),
    ]
    for name in modules:
        routes += import_module(name).routes(desk)
    paths = {route.path for route in routes if isinstance(route, Route)}
    desk.nav = tuple(entry for entry in NAV if entry[0] in paths)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problems.answer(desk, request, problems.from_http(error, request))

    app = Starlette(
        routes=routes,
        exception_handlers={HTTPException: refused},
        middleware=[
            Middleware(GZipMiddleware, minimum_size=MIN_GZIP_BYTES, compresslevel=GZIP_LEVEL),
            Middleware(Guard, desk=desk),
        ],
    )
    app.router.redirect_slashes = False
    return app
