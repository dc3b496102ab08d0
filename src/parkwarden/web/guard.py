"""Stands before every route: who asks, may they, did our own page ask, and the headers that keep a browser from being used against us.

What is not said to be public needs a role, what is not GET or HEAD needs an operator and, without a Bearer token, a CSRF token: a route
that nobody thought about is closed. Errors of all routes become answers here (`problems`).
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from parkwarden.model.errors import ParkwardenError
from parkwarden.web import problems
from parkwarden.web.access import CSRF_FIELD, CSRF_HEADER, Role, Visitor, is_browser, same_origin, to_loopback
from parkwarden.web.desk import MAX_FIELDS, MAX_FORM_BYTES, Desk

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PUBLIC = frozenset(("/healthz", "/readyz", "/login", "/favicon.ico"))
"""Answered to everybody: health probes carry no token, and who logs in has no session yet."""
PUBLIC_FOLDER = "/static/"
ANY_HOST = frozenset(("/healthz", "/readyz"))
"""Answered whatever name was asked for: a probe asks by the pod's address, and learns nothing but how we are."""

FOR_ALL = frozenset(("/logout",))
"""What a viewer may change: only that they are here."""

READING = frozenset(("GET", "HEAD"))

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""On every answer. Referrers stay within: without any, browsers send `Origin: null` with our own forms."""


class Guard:
    """See the module; an ASGI middleware around the router."""

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self._app = app
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # the server's start and stop; there are no websockets
            await self._app(scope, receive, send)
            return
        started = False

        async def told(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add_headers(message)
            await send(message)

        request = Request(scope, receive)
        try:
            receive = await self._admitted(request, receive)
            await self._app(scope, receive, told)
        except Exception as error:
            if started:  # half an answer cannot be taken back: the connection ends, and the log says why
                raise
            await self._answer(Request(scope), error)(scope, receive, told)

    async def _admitted(self, request: Request, receive: Receive) -> Receive:
        """Raises unless this request may go on; what the route is to read the body from."""
        desk, path = self._desk, request.url.path
        if desk.access.open and path not in ANY_HOST and not to_loopback(request):
            raise problems.ForbiddenError(
                "bad-host",
                "this address is not one that we answer to without a token",
                hint="ask for 127.0.0.1 or localhost, or set web.token in the configuration",
            )
        visitor = desk.access.visitor(request, desk.clock())
        request.scope["parkwarden.visitor"] = visitor
        if path in PUBLIC or path.startswith(PUBLIC_FOLDER):
            if request.method not in READING and not same_origin(request):
                raise _cross_site()
            return receive
        reads = request.method in READING
        visitor = desk.require(request, Role.VIEWER if reads or path in FOR_ALL else Role.OPERATOR)
        return receive if reads else await self._may_change(request, visitor, receive)

    async def _may_change(self, request: Request, visitor: Visitor, receive: Receive) -> Receive:
        """Bearer tokens are sent by nobody's mistake; for all else our own page must have asked."""
        access = self._desk.access
        if not visitor.key or (access.open and not is_browser(request)):
            return receive
        if not same_origin(request):
            raise _cross_site()
        word = request.headers.get(CSRF_HEADER, "")
        if not word and "x-www-form-urlencoded" in request.headers.get("content-type", ""):
            body = await self._desk.body(request, MAX_FORM_BYTES)
            word = _field(body)
            receive = _again(body, receive)
        if not access.csrf_right(visitor, word):
            raise problems.ForbiddenError(
                "csrf-token",
                "this did not come from a page of ours, or from an old one",
                hint="reload the page and try again",
            )
        return receive

    def _answer(self, request: Request, error: Exception) -> Response:
        if not isinstance(error, ParkwardenError):
            error = problems.internal(request, error)
        if isinstance(error, problems.UnknownVisitorError) and _is_navigation(request):
            where = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?next={quote(where, safe='/')}", 303)
        return problems.answer(self._desk, request, error)


def _cross_site() -> problems.ForbiddenError:
    return problems.ForbiddenError("cross-site", "another site's page asked for this", hint="do it on our own page")


def _is_navigation(request: Request) -> bool:
    """Whether a person's browser wants to show a page."""
    return (
        request.method == "GET"
        and "text/html" in request.headers.get("accept", "")
        and not problems.wants_json(request)
    )


def _field(body: bytes) -> str:
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=MAX_FIELDS)).get(CSRF_FIELD, "")
    except ValueError:
        return ""


def _again(body: bytes, receive: Receive) -> Receive:
    """The body that was read, once more."""
    waiting: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> MutableMapping[str, Any]:
        return waiting.pop() if waiting else await receive()

    return replay


def _add_headers(message: Message) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers[name] = value
    headers.setdefault("Cache-Control", "no-store")
