"""What went wrong, in one shape: a page for people, JSON for programs, in the words of the command line's errors.

JSON, under /api and for whoever asks for it: `{"error": {"code": "no-such-incident", "message": "...", "hint": "..."}}`.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from parkwarden.model.errors import LimitError, ParkwardenError, StoreError, UnreachableError, UsageError
from parkwarden.model.safe import inert
from parkwarden.web.access import is_part

if TYPE_CHECKING:
    from starlette.requests import Request

    from parkwarden.web.desk import Desk

log = structlog.get_logger()

MAX_MESSAGE = 2_000
"""Characters of a message or hint that are shown."""


class WebError(ParkwardenError):
    """What only a request can get wrong. `status` is the answer's; `headers` go with it."""

    status = 400

    def __init__(self, code: str, message: str, *, hint: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(code, message, hint=hint)
        self.headers = headers or {}


class NotFoundError(WebError):
    status = 404


class UnknownVisitorError(WebError):
    """Nobody we know: a token would help."""

    status = 401


class ForbiddenError(WebError):
    """Somebody who may not do this, or not in this way."""

    status = 403


class TooLargeError(WebError):
    status = 413


class TooManyError(WebError):
    """Too often or too many at once."""

    status = 429


def status_of(error: ParkwardenError) -> int:
    """The HTTP status of one of our errors."""
    if isinstance(error, WebError):
        return error.status
    if isinstance(error, StoreError):
        return 503
    if isinstance(error, LimitError):
        return 413
    if isinstance(error, UnreachableError):
        return 502
    if isinstance(error, UsageError):
        if error.code.startswith("no-such-") or error.code.endswith("-unknown"):
            return 404
        return 409 if error.code.endswith("-over") else 422
    return 422


def body_of(error: ParkwardenError) -> dict[str, dict[str, str]]:
    """The one JSON shape of errors."""
    return {
        "error": {
            "code": error.code,
            "message": inert(error.message, MAX_MESSAGE),
            "hint": inert(error.hint, MAX_MESSAGE),
        }
    }


def wants_json(request: Request) -> bool:
    """Whether a program asks: the API, a script of our pages, or who says that it takes JSON and not HTML."""
    accept = request.headers.get("accept", "")
    return (
        request.url.path.startswith("/api/")
        or is_part(request)
        or ("application/json" in accept and "text/html" not in accept)
    )


def answer(desk: Desk, request: Request, error: ParkwardenError) -> Response:
    """The answer to a request that failed so."""
    status = status_of(error)
    headers = error.headers if isinstance(error, WebError) else {}
    if wants_json(request):
        return JSONResponse(body_of(error), status, headers=headers)
    return desk.page(
        request,
        "problem.html",
        status=status,
        headers=headers,
        phrase=HTTPStatus(status).phrase,
        error=error,
        code=status,
    )


def from_http(error: HTTPException, request: Request) -> WebError:
    """Starlette's own refusals (no such route, no such method) in our words."""
    wrapped: WebError
    if error.status_code == 404:
        wrapped = NotFoundError("no-such-page", "there is nothing at this address", hint="/ is the fleet's page")
    elif error.status_code == 405:
        wrapped = WebError("bad-method", f"{request.method[:20]} is not possible here")
    else:
        wrapped = WebError("bad-request", str(error.detail))
    wrapped.status = error.status_code
    wrapped.headers = dict(error.headers or {})
    return wrapped


def internal(request: Request, error: Exception) -> WebError:
    """A bug of ours: told in the log, not to whoever asks."""
    log.error("a page failed", path=request.url.path[:200], exc_info=error)
    told = WebError("internal", "this is a bug of Parkwarden", hint="what happened is in the log of parkwarden watch")
    told.status = 500
    return told
