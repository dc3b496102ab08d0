"""/: the fleet, worst first. The query is the view's state: `/?q=team=search&state=leak&sort=-goroutines&page=2` can be passed on.

A script that asks with `HX-Request` gets only what changes: the same table, without the frame around it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.routing import Route

from parkwarden.model import words
from parkwarden.model.words import NEVER_S
from parkwarden.run.board.fleet import STATES, Query, ServiceRow, joined

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from parkwarden.web.desk import Desk

SPARK_WIDTH, SPARK_HEIGHT = 96, 22
"""Of a row's picture, in SVG units (pixels)."""

COLUMNS = (
    ("state", "state", ""),
    ("service", "service", ""),
    ("goroutines", "goroutines", "r"),
    ("", "worst site", ""),
    ("time-left", "time left", ""),
    ("growth", "growth", "r"),
    ("memory", "heap in use", "r"),
    ("version", "version", ""),
    ("instances", "instances", "r"),
)
"""What a column sorts by ("" = it does not), its head, its class."""


def routes(desk: Desk) -> list[BaseRoute]:
    async def fleet(request: Request) -> Response:
        query = Query.of(request.query_params.multi_items())
        return desk.part(
            request,
            "fleet.html",
            page=desk.fleet.page(query),
            query=query,
            states=STATES,
            columns=COLUMNS,
            joined=joined,
            spark=spark,
            spark_words=spark_words,
            left_words=left_words,
        )

    return [Route("/", fleet)]


def spark(values: Sequence[float]) -> str:
    """Numbers as SVG path data from 0 to the largest, gaps left open; what hardly moves lies in the middle (as in words.sparkline).
    "" where there is nothing to draw."""
    known = [v for v in values if v == v]
    if len(known) < 2:
        return ""
    top, step = max(known) or 1.0, SPARK_WIDTH / (len(values) - 1)
    if top <= 1.25 * min(known):
        top *= 2
    out, pen = [], "M"
    for i, value in enumerate(values):
        if math.isnan(value):
            pen = "M"
            continue
        out.append(f"{pen}{i * step:.0f} {SPARK_HEIGHT - 1 - value / top * (SPARK_HEIGHT - 2):.1f}")
        pen = "L"
    return "".join(out)


def spark_words(row: ServiceRow) -> str:
    """The picture in words."""
    known = [v for v in row.spark if v == v]
    if len(known) < 2:
        return ""
    each = "" if row.instances == 1 else " per instance"
    ends = f"{words.count(known[0])} to {words.count(known[-1])}{each} in {words.seconds(row.spark_s)}"
    return f"{ends}, at most {words.count(max(known))}"


def left_words(row: ServiceRow) -> str:
    """`41 min (25-70)`: until the nearest limit, with its interval; "" where none is near."""
    left = row.time_left
    if left is None or row.left_s is None or row.left_s >= NEVER_S:
        return ""
    gone = left.seconds - row.left_s
    return words.within(row.left_s, max(left.low_s - gone, 0.0), left.high_s - gone)
