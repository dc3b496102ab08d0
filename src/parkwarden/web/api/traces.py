"""/api/v1/traces: a trace over time, in tiles."""

from __future__ import annotations

import json
from functools import cache
from importlib.metadata import version

from pydantic import Field
from starlette.responses import Response

from parkwarden.run.board.traces import OpenedTrace
from parkwarden.web.api.openapi import Asked, Call, Operation, Reply
from parkwarden.web.uploads import patiently, told_busy

MAX_NAME = 1_000
"""Characters of a trace's name."""

MAX_LEVEL = 30
"""Levels there can be: far more than 2^16 bins need."""


class Which(Asked):
    """One trace of a bag."""

    name: str = Field("", max_length=MAX_NAME, description="Of the trace in its bag; without it the bag's first one.")


class Tile(Which):
    """A part of it, at a zoom."""

    level: int = Field(0, ge=0, le=MAX_LEVEL, description="0: one tile over all; each level has twice as many.")
    index: int = Field(0, ge=0, lt=1 << MAX_LEVEL, description="From 0, in the order of time.")


async def _opened(call: Call) -> OpenedTrace:
    with told_busy():
        return await patiently(call.request, call.desk.traces.get(call.path("bag"), call.query.name))


async def about(call: Call) -> Reply:
    return Reply((await _opened(call)).view())


@cache
def _version() -> str:
    return version("parkwarden")


async def tile(call: Call) -> Response:
    opened = await _opened(call)
    told = opened.tile(call.query.level, call.query.index)
    number = list(opened.bag.traces).index(opened.name)
    tag = f'W/"{_version()}-{opened.bag.id}-{number}-{call.query.level}-{call.query.index}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}  # kept by browsers, used after we said that they may
    if tag in call.request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(json.dumps(told, separators=(",", ":")), headers=headers, media_type="application/json")


_BAG = {"bag": "The id of an opened bag, as in the address of its page."}

OPERATIONS = (
    Operation(
        method="GET", path="/traces/{bag}", id="getTrace", family="traces", answer=about, query=Which, parts=_BAG,
        summary="What an execution trace of a bag holds over time: how to ask for its tiles, and what their rows are.",
        schema="trace-view-1",
    ),
    Operation(
        method="GET", path="/traces/{bag}/tiles", id="getTraceTile", family="traces", answer=tile, query=Tile, parts=_BAG,
        summary="A part of a trace in at most 256 bins: goroutines by state, creations by stack, collections.",
        schema="trace-tile-1",
    ),
)  # fmt: skip
