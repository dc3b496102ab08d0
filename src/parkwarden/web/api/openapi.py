"""The REST API: operations, the routes they make, and the OpenAPI 3.1 document that says what they are.

A family of operations is a module with `OPERATIONS`, named in FAMILIES:

    async def listed(call: Call) -> Reply:
        rows = await call.desk.host.evidence(service=call.query.service or None)
        return Reply(evidence(call.cut(rows)), total=len(rows))

    OPERATIONS = (
        Operation(method="GET", path="/evidence", id="listEvidence", summary="What is kept, newest first.", family="evidence",
                  answer=listed, query=Evidence, schema="evidence-1"),
    )

What comes in is checked against `query` and `body` (pydantic models; anything unknown in them is refused), what goes out is JSON of a
schema in docs/schema: for the same thing the same as the command line's `--format json`. Lists are cut by `limit` and `offset`; headers say
how many there are (`X-Total-Count`) and where the next ones are (`Link`). Errors have one shape (`web/problems`). Who may: whoever may
read may GET, all else is an operator's; the guard sees to it (`web/guard`).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from parkwarden.model.errors import UsageError
from parkwarden.web.access import Role
from parkwarden.web.problems import WebError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from parkwarden.web.access import Visitor
    from parkwarden.web.desk import Desk

BASE = "/api/v1"

FAMILIES: tuple[str, ...] = (
    "parkwarden.web.api.status",
    "parkwarden.web.api.fleet",
    "parkwarden.web.api.instances",
    "parkwarden.web.api.incidents",
    "parkwarden.web.api.evidence",
    "parkwarden.web.api.limits",
    "parkwarden.web.api.traces",
    "parkwarden.web.api.explore",
)
"""Modules with OPERATIONS, in the order of the page."""

MAX_JSON_BYTES = 64 << 10
"""Of a request's body: a reason of a thousand characters and twenty matchers have 16 kB."""

MAX_LIMIT = 1_000
"""Things in one answer: 3 kB each make 3 MB."""

MAX_OFFSET = 1_000_000
"""Nobody turns so many pages; what is meant is a filter."""

T = TypeVar("T")


class Asked(BaseModel):
    """Fields of a query or of a body; a field nobody knows is refused: it is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Paged(Asked):
    """A part of a list."""

    limit: int = Field(default=100, ge=1, le=MAX_LIMIT, description="How many at most.")
    offset: int = Field(default=0, ge=0, le=MAX_OFFSET, description="How many to pass over.")


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the desk, what was asked, who asks."""

    desk: Desk
    request: Request
    query: Any
    body: Any
    visitor: Visitor

    def path(self, name: str) -> str:
        """A part of the address, as it was before it was quoted."""
        return str(self.request.path_params[name])

    def cut(self, rows: Sequence[T]) -> Sequence[T]:
        """The part of a list that was asked for."""
        return rows[self.query.offset : self.query.offset + self.query.limit]


@dataclass(frozen=True, slots=True)
class Reply:
    """`data`: plain JSON values, or JSON that is text already. `total`: of a list, how many there are in all."""

    data: Any
    total: int | None = None
    status: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What may be asked. `path` is below BASE (`{name:path}` where slashes belong to a name); `schema` the name of the answer's schema, "" where it is bytes of the type `media`."""

    method: str
    path: str
    id: str
    summary: str
    family: str
    answer: Callable[[Call], Awaitable[Reply | Response]]
    schema: str = ""
    query: type[Asked] | None = None
    body: type[Asked] | None = None
    form: Mapping[str, Any] | None = None
    """The schema of a multipart form, which `answer` reads by itself, piece by piece."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """What the `{names}` in the path are."""
    status: int = 200
    media: str = "application/json"
    max_bytes: int = MAX_JSON_BYTES
    """Of a body."""

    @property
    def address(self) -> str:
        """The path as people and the document know it."""
        return self.path.replace(":path}", "}")

    @property
    def role(self) -> Role:
        return Role.VIEWER if self.method == "GET" else Role.OPERATOR

    @property
    def paged(self) -> bool:
        return self.query is not None and issubclass(self.query, Paged)


@cache
def operations() -> tuple[Operation, ...]:
    """All operations, family by family."""
    return tuple(one for name in FAMILIES for one in import_module(name).OPERATIONS)


def routes(desk: Desk) -> list[BaseRoute]:
    """A route for each address, the document at /api/v1/openapi.json and a page of it at /api."""

    async def openapi(_request: Request) -> Response:
        return JSONResponse(document())

    async def page(request: Request) -> Response:
        return desk.page(request, "api.html", document=document(), base=BASE, readable=_readable())

    made: list[BaseRoute] = [Route("/api", page), Route(f"{BASE}/openapi.json", openapi)]
    paths: dict[str, dict[str, Operation]] = {}
    for one in operations():
        paths.setdefault(one.path, {})[one.method] = one
    return made + [
        Route(BASE + path, _endpoint(desk, methods), methods=list(methods)) for path, methods in paths.items()
    ]


def _endpoint(desk: Desk, methods: Mapping[str, Operation]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        asked = methods["GET" if request.method == "HEAD" else request.method]
        visitor = desk.require(request, asked.role)
        call = Call(desk, request, _query(asked, request), await _body(asked, desk, request), visitor)
        reply = await asked.answer(call)
        return reply if isinstance(reply, Response) else _response(reply, asked, call)

    return endpoint


def _query(asked: Operation, request: Request) -> Asked | None:
    if len(request.query_params.multi_items()) > len(request.query_params):
        raise refused("bad-query", "a parameter is given twice")
    return _checked("bad-query", lambda: (asked.query or Asked).model_validate(dict(request.query_params)))


async def _body(asked: Operation, desk: Desk, request: Request) -> Asked | None:
    if asked.body is None:
        return None
    model = asked.body
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    raw = await desk.body(request, asked.max_bytes)
    if kind != "application/json":
        raise refused("bad-body", "expected JSON (Content-Type: application/json)")
    return _checked("bad-body", lambda: model.model_validate_json(raw, strict=True))


def _checked(code: str, read: Callable[[], Asked]) -> Asked:
    try:
        return read()
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise refused(code, f"{where}: {first['msg']}" if where else first["msg"]) from None


def refused(
    code: str, message: str, hint: str = "what may be asked is at /api, for programs at /api/v1/openapi.json"
) -> WebError:
    """What was asked is not understood, or out of bounds: 422."""
    error = WebError(code, message, hint=hint)
    error.status = 422
    return error


def _response(reply: Reply, asked: Operation, call: Call) -> Response:
    headers = {}
    if reply.total is not None and asked.paged:
        headers["X-Total-Count"] = str(reply.total)
        following = call.query.offset + call.query.limit
        if following < min(reply.total, MAX_OFFSET + 1):
            query = urlencode({**dict(call.request.query_params), "limit": call.query.limit, "offset": following})
            headers["Link"] = f'<{quote(call.request.url.path, safe="/")}?{query}>; rel="next"'
    text = reply.data if isinstance(reply.data, str) else json.dumps(reply.data, allow_nan=False, separators=(",", ":"))
    return Response(text, reply.status, headers, "application/json")


def signed(call: Call, by: str) -> str:
    """Who acts: the token's name, with the name given beside it where one token is several people's. Raises UsageError for nobody."""
    return who(call.visitor, by)


def who(visitor: Visitor, by: str) -> str:
    """See `signed`."""
    given = " ".join(by.split())
    if not visitor.name:
        if not given:
            raise UsageError("no-name", "who does this has no name", hint="say who you are: others will ask")
        return given
    return visitor.name if given in ("", visitor.name) else f"{given} ({visitor.name})"


# ---- the document


ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "What went wrong: a stable code, one sentence, the next step.",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "hint"],
            "additionalProperties": False,
            "properties": {name: {"type": "string"} for name in ("code", "message", "hint")},
        }
    },
}

_ERRORS = {
    "400": "Not what is expected here.",
    "401": "Nobody we know: a token is needed.",
    "403": "Somebody who may not do this, or not in this way.",
    "404": "There is no such thing.",
    "405": "Not possible at this address.",
    "409": "Too late: it is over.",
    "413": "More was sent than is read.",
    "422": "Not understood, or out of bounds.",
    "429": "Too many at once; `Retry-After` says when.",
    "503": "What is kept cannot be read or written now.",
}


@cache
def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    schemas: dict[str, Any] = {"Error": ERROR_SCHEMA}
    paths: dict[str, dict[str, Any]] = {}
    for one in operations():
        if one.schema:
            schemas |= _components(one.schema)
        paths.setdefault(BASE + one.address, {})[one.method.lower()] = _described(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Parkwarden",
            "version": version("parkwarden"),
            "description": "What `parkwarden watch` knows and does. Viewers may GET; what changes something is an operator's.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "web.tokens in the configuration."},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "parkwarden-session",
                    "description": "A browser's, from /login; what changes something also needs X-CSRF-Token.",
                },
            },
            "responses": {
                code: {
                    "description": text,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
                for code, text in _ERRORS.items()
            },
        },
    }


def _described(one: Operation) -> dict[str, Any]:
    codes = {"401", "403", "405", "422", "503"}
    codes |= {"404"} if one.parts or one.body else set()
    codes |= {"409", "413"} if one.body else set()
    codes |= {"400", "413", "429"} if one.form else set()
    codes |= {"429"} if "bag" in one.parts else set()  # some of it is made when first asked for, in line with uploads
    right: dict[str, Any] = {"description": one.summary, "content": {one.media: {"schema": _answer_schema(one)}}}
    if one.paged:
        right["headers"] = {
            "X-Total-Count": {"description": "How many there are in all.", "schema": {"type": "integer"}},
            "Link": {"description": 'Where the next ones are (`rel="next"`).', "schema": {"type": "string"}},
        }
    told: dict[str, Any] = {
        "operationId": one.id,
        "summary": one.summary,
        "tags": [one.family],
        "description": f"Needs the role {one.role.word}.",
        "parameters": _parameters(one),
        "responses": {
            str(one.status): right,
            **{code: {"$ref": f"#/components/responses/{code}"} for code in sorted(codes)},
        },
    }
    if one.body is not None:
        schema = one.body.model_json_schema()
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if one.form is not None:
        told["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": one.form}}}
    return told


def _answer_schema(one: Operation) -> dict[str, Any]:
    if one.schema:
        return {"$ref": f"#/components/schemas/{one.schema}"}
    return {"type": "string", "contentMediaType": one.media}


def _parameters(one: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": text,
            "schema": {"type": "string", "minLength": 1},
        }
        for name, text in one.parts.items()
    ]
    schema = one.query.model_json_schema() if one.query is not None else {}
    for name, about in schema.get("properties", {}).items():
        about = {key: value for key, value in about.items() if key != "title"}
        text = about.pop("description", "")
        found.append(
            {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", ()),
                "description": text,
                "schema": about,
            }
        )
    return found


def _components(name: str) -> dict[str, Any]:
    """A schema of docs/schema as components: itself, and its definitions beside it."""
    schema = json.loads((_schemas() / f"{name}.json").read_text())
    inner = schema.pop("$defs", {})
    for key in ("$schema", "$id"):
        schema.pop(key, None)
    named = {name: schema} | {f"{name}.{key}": value for key, value in inner.items()}
    moved = json.loads(json.dumps(named).replace('"#/$defs/', f'"#/components/schemas/{name}.'))
    return dict(moved)


def _schemas() -> Path:
    """The checkout's docs/schema, else the wheel's."""
    here = Path(__file__).resolve().parent
    checkout = here.parents[3] / "docs" / "schema"
    return checkout if (checkout / "incidents-1.json").exists() else here / "schema"


def _readable() -> list[tuple[str, list[Operation]]]:
    """Operations by family, for the page."""
    families: dict[str, list[Operation]] = {}
    for one in operations():
        families.setdefault(one.family, []).append(one)
    return list(families.items())
