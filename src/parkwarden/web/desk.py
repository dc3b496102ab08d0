"""`Desk`: what every page and API route works with: the host, who asks, templates, static files.

    def routes(desk: Desk) -> list[BaseRoute]:
        async def limits(request: Request) -> Response:
            return desk.page(request, "limits.html", rows=rows(desk.host))
        return [Route("/limits", limits)]

The guard (`web/guard.py`) has been there before a route is asked: everybody has a role, and what is not GET comes from an operator. A route
that needs more says `desk.require(request, Role.OPERATOR)`.

In templates every text is made `inert` (control, bidi and invisible characters become visible escapes, MAX_TEXT characters at most) and
escaped, without anybody's doing; `|lines` keeps line ends, `|json_block` writes data for scripts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, Response

from parkwarden.collect.serve import give_time
from parkwarden.model import words as numbers
from parkwarden.model.safe import inert, inert_lines, middle
from parkwarden.report import words
from parkwarden.run.board.dumps import Bags
from parkwarden.run.board.fleet import Fleet
from parkwarden.run.board.traces import Traces
from parkwarden.web.access import CSRF_FIELD, Access, Role, Visitor, is_part
from parkwarden.web.assets import Assets
from parkwarden.web.problems import ForbiddenError, TooLargeError, UnknownVisitorError, WebError

if TYPE_CHECKING:
    from jinja2 import Environment
    from starlette.requests import Request

    from parkwarden.run.board.host import Host

MAX_TEXT = 2_000
"""Characters of one text on a page: the longest we write ourselves (an advice) have some hundred."""

MAX_FORM_BYTES = 64 << 10
"""Of a form: the longest field is a reason of some sentences."""

PACE_BYTES = 256 << 10
"""Of a body within each `serve.EXCHANGE_S`: 17 kB/s, what a bad line brings; slower is somebody who wants to hold a connection."""

MAX_FIELDS = 50
"""Fields of a form."""

MAX_QUERY = 500
"""Characters of one filter or search of a page."""

NAV = (
    ("/", "Fleet", "g f"),
    ("/incidents", "Incidents", "g i"),
    ("/explore", "Explore", "g e"),
    ("/limits", "Limits", "g l"),
    ("/costs", "Costs", "g c"),
)
"""Address, word and keys of the pages every page leads to; those that this desk has."""


class Desk:
    """See the module. `clock` gives Unix seconds for sessions; what pages show is of `host.now()`."""

    def __init__(
        self, host: Host, access: Access, clock: Callable[[], float], *, title: str = "", bags: Bags | None = None
    ) -> None:
        self.host = host
        self.access = access
        self.clock = clock
        self.title = title
        """What this desk shows, where it is not a watch: the name of what was opened."""
        self.bags = Bags(clock) if bags is None else bags
        """What was opened in the explorer."""
        self.traces = Traces(self.bags)
        """Execution traces of it, over time."""
        self.fleet = Fleet(host)
        """The fleet as last judged, which its page, the services' and the API share."""
        self.assets = Assets()
        self.nav: tuple[tuple[str, str, str], ...] = ()
        """Of NAV what has a route; set by `app.application`."""
        self._templates = self._environment()

    def page(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **context: Any,
    ) -> Response:
        """A template as an answer. Templates know `visitor`, `csrf_token`, `here` (the path), `nav`, `desk_title`, `now`, and `context`."""
        return HTMLResponse(self.render(request, template, **context), status, headers=headers)

    def part(self, request: Request, template: str, **context: Any) -> Response:
        """The page `template`, or, for a script of ours, the part of it that changes: the template of that name with `_` before it."""
        wanted = f"_{template}" if is_part(request) else template
        return self.page(request, wanted, headers={"Vary": "HX-Request"}, **context)

    def render(self, request: Request, template: str, **context: Any) -> str:
        visitor = self.visitor(request)
        return self._templates.get_template(template).render(
            visitor=visitor,
            csrf_token=self.access.csrf_token(visitor) if visitor is not None and visitor.key else "",
            may_act=visitor is not None and visitor.may(Role.OPERATOR),
            here=request.url.path,
            nav=self.nav if visitor is not None else (),
            desk_title=self.title,
            now=self.host.now(),
            **context,
        )

    def visitor(self, request: Request) -> Visitor | None:
        """Who asks, as the guard found."""
        found = request.scope.get("parkwarden.visitor")
        return found if isinstance(found, Visitor) else None

    def require(self, request: Request, role: Role) -> Visitor:
        """Who asks, if they may do so much. Raises UnknownVisitorError, ForbiddenError."""
        visitor = self.visitor(request)
        if visitor is None:
            raise UnknownVisitorError(
                "token-needed",
                "this needs a token",
                hint="log in, or send `Authorization: Bearer TOKEN` (web.tokens in the configuration)",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if not visitor.may(role):
            raise ForbiddenError(
                "role-needed",
                f"this needs the role {role.word}, and {visitor.name or 'you'} may only read",
                hint="ask for a token with this role (web.tokens in the configuration)",
            )
        return visitor

    async def form(self, request: Request) -> dict[str, str]:
        """Fields of a form as a browser sends it, the last of each name. Raises WebError, TooLargeError."""
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
            raise WebError("bad-form", "expected a form (application/x-www-form-urlencoded)")
        body = await self.body(request, MAX_FORM_BYTES)
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
        except ValueError:
            raise WebError("bad-form", "this form cannot be read") from None
        return {name: value for name, value in pairs if name != CSRF_FIELD}

    async def body(self, request: Request, limit: int) -> bytes:
        """The body of a request, `limit` bytes at most; it may take its time while it comes. Raises TooLargeError without reading on."""
        told = request.headers.get("content-length", "")
        size, timed = 0, 0
        pieces: list[bytes] = []
        if not (told.isdigit() and int(told[:18]) > limit):
            async for piece in request.stream():
                size += len(piece)
                pieces.append(piece)
                if size > limit:
                    break
                if size - timed >= PACE_BYTES:
                    timed = size
                    give_time(request)
            else:
                return b"".join(pieces)
        raise TooLargeError("too-large", f"more than {numbers.size(limit)} was sent", headers={"Connection": "close"})

    def _environment(self) -> Environment:
        from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

        env = Environment(
            # findings and leak paths look as in the report: its `_parts.html`
            loader=ChoiceLoader([PackageLoader("parkwarden.web"), PackageLoader("parkwarden.report")]),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,  # an update beneath a running watch is the next one's
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_finalize,
        )
        env.filters.update(
            count=numbers.count,
            percent=numbers.percent,
            size=numbers.size,
            seconds=numbers.seconds,
            rate=numbers.rate,
            moment=moment,
            iso=iso,
            segment=segment,
            lines=lines,
            json_block=json_block,
            short_function=words.short_function,
            cut=cut,
            verdict_word=lambda verdict: words.VERDICT_WORDS.get(verdict, str(verdict).upper()),
        )
        env.globals.update(static=self.assets.url)
        return env


def _finalize(value: Any) -> Any:
    """What every `{{ … }}` goes through before it is escaped."""
    return inert(value, MAX_TEXT) if isinstance(value, str) and not isinstance(value, Markup) else value


def moment(at: float) -> str:
    """Unix seconds as `2026-09-21 14:13:20 UTC`, "" for 0 (not yet)."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC" if at else ""


def iso(at: float) -> str:
    """Unix seconds as `2026-09-21T14:13:20Z`, for `<time datetime>`."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}" if at else ""


def segment(text: str) -> str:
    """Any text as one segment of an address, or as a value in its query."""
    return quote(text, safe="")


def lines(text: str, limit: int = 400) -> Markup:
    """A text of several lines, each inert and escaped."""
    return Markup("\n").join(escape(line) for line in inert_lines(text, limit))


def cut(text: str, width: int) -> str:
    """`text` cut in the middle to `width` characters; the whole of it belongs into a `title`."""
    return middle(inert(text, MAX_TEXT), width)


def json_block(data: Any) -> Markup:
    """Data for `<script type="application/json">`: nothing in it can end the block or begin another."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)
