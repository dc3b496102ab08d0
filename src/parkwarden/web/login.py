"""/login and /logout: a token once, a session from then on (`access`)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse
from starlette.routing import Route

from parkwarden.web.access import COOKIE, SESSION_S

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from parkwarden.web.desk import Desk

MAX_NEXT = 2_000
"""Characters of the address to go on to."""


def routes(desk: Desk) -> list[BaseRoute]:
    async def show(request: Request) -> Response:
        where = _next(request.query_params.get("next", ""))
        if desk.visitor(request) is not None:
            return RedirectResponse(where, 303)
        from_elsewhere = request.headers.get("sec-fetch-site") == "cross-site" and "again" not in request.query_params
        return desk.page(request, "login.html", next=where, problem="", again=from_elsewhere)

    async def login(request: Request) -> Response:
        form = await desk.form(request)
        where, now = _next(form.get("next", "")), desk.clock()
        peer = request.client.host if request.client else ""
        wait_s = desk.access.wait_s(peer, now)
        if wait_s > 0:
            problem = f"too many failed attempts: try again in {math.ceil(wait_s)} s"
            headers = {"Retry-After": str(math.ceil(wait_s))}
            return desk.page(
                request, "login.html", status=429, headers=headers, next=where, problem=problem, again=False
            )
        word = desk.access.login(form.get("token", "").strip(), now)
        if word is None:
            desk.access.failed(peer, now)
            problem = "this token is not known here"
            return desk.page(request, "login.html", status=401, next=where, problem=problem, again=False)
        answer = RedirectResponse(where, 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, word, max_age=int(SESSION_S), httponly=True, samesite="strict", secure=secure)
        return answer

    async def logout(request: Request) -> Response:
        visitor = desk.visitor(request)
        if visitor is not None:
            desk.access.logout(visitor)
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    return [
        Route("/login", show),
        Route("/login", login, methods=["POST"]),
        Route("/logout", logout, methods=["POST"]),
    ]


def _next(where: str) -> str:
    """Where to go on: an address of ours, never another site's."""
    ours = where.startswith("/") and not where.startswith(("//", "/\\")) and where.isprintable() and "\\" not in where
    return where[:MAX_NEXT] if ours else "/"
