"""/traces/{bag}/{name}: an execution trace over time: who was made where, who was in which state, what was waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.routing import Route

from parkwarden.report.trace_view import trace_view
from parkwarden.report.view import Limits
from parkwarden.web.uploads import patiently, told_busy

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from parkwarden.run.board.traces import OpenedTrace
    from parkwarden.web.desk import Desk

LIMITS = Limits(rows=40)
"""What is cut where; two screens of `go` statements and of waits."""

PROBLEMS = 20
"""Problems of reading that are listed."""

PAINTS = 12
"""Colours of trace.css; what comes after them has the last one's."""


def routes(desk: Desk) -> list[BaseRoute]:
    async def trace(request: Request) -> Response:
        with told_busy():
            reading = desk.traces.get(request.path_params["bag"], request.path_params["name"])
            opened = await patiently(request, reading)
        return desk.page(request, "trace.html", **_view(opened))

    return [Route("/traces/{bag}/{name:path}", trace)]


def _view(opened: OpenedTrace) -> dict[str, Any]:
    case, line = opened.bag.case, opened.timeline
    told = trace_view(opened.name, opened.trace, case.user_modules, LIMITS)
    about = opened.view()
    first = opened.trace.creations
    return {
        "bag": opened.bag,
        "trace": opened.trace,
        "told": told,
        "line": line,
        "alive": int(line.counts[-1].sum()),
        "stops": opened.stops,
        "rows": opened.rows(),
        "in_states": opened.in_states(),
        "made_legend": [
            {"paint": _paint(i), "at": one["at"], "mine": one["mine"], "when": (first[i].first_s, first[i].last_s)}
            for i, one in enumerate(told["creations"][: opened.drawn])
        ],
        "others": len(first) - opened.drawn,
        "state_legend": [{"paint": _paint(i), "name": name} for i, name in enumerate(about["states"])],
        "problems": opened.artefact.problems[:PROBLEMS],
        "problems_total": len(opened.artefact.problems),
        "data": {
            "tiles": f"/api/v1/traces/{quote(opened.bag.id, safe='')}/tiles?name={quote(opened.name, safe='')}",
            "first": opened.tile(0, 0),
            **{key: about[key] for key in ("duration_s", "levels", "tile_bins", "bin_s")},
        },
    }


def _paint(i: int) -> int:
    return min(i, PAINTS)
