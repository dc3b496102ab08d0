"""/services/{service}?env=&range=: one service: numbers over time and what happened, sites over time, replicas by age, two threshold sets.

Scripts ask with `HX-Request` and `parts=series,heat`: only these pictures are made, and only they come back.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from parkwarden.model import words
from parkwarden.model.safe import inert
from parkwarden.run.board.fleet import joined
from parkwarden.run.board.service import (
    HEAT_SITES,
    MAX_HEAT_SITES,
    PARTS,
    RANGES,
    Replica,
    ServicePage,
    Services,
)
from parkwarden.web.access import is_part
from parkwarden.web.pages.fleet import left_words, spark, spark_words
from parkwarden.web.problems import NotFoundError, WebError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from parkwarden.web.desk import Desk

SECTIONS = ("now", "series", "heat", "sets", "replicas", "instances")
"""Parts of the page that are brought up to date each for itself."""

ROWS_IN_WORDS = 24
"""Of a chart's numbers in its table: the text equivalent of a picture needs no 400 rows."""

REAL_FROM_S = 1e8
"""Times below are a recording's own seconds, no dates."""


def routes(desk: Desk) -> list[BaseRoute]:
    board = Services(desk.host, desk.fleet)

    async def service(request: Request) -> Response:
        asked = request.query_params
        key = request.path_params["service"], asked.get("env", "")
        range_ = asked.get("range") or board.usual_range(key)
        if range_ not in RANGES:
            raise WebError("bad-range", f"{range_[:20]!r} is no range", hint=f"one of {', '.join(RANGES)}")
        named = asked.get("parts", "").split(",")
        sections = [one for one in SECTIONS if one in named or not is_part(request)]
        sites = asked.get("sites", "")
        heat_sites = (
            min(int(sites), MAX_HEAT_SITES) if sites.isascii() and sites.isdigit() and len(sites) < 6 else HEAT_SITES
        )
        page = await board.page(key, range_, [one for one in sections if one in PARTS], heat_sites)
        if page is None:
            others = [one.key for one in desk.fleet.picture().roster.services if one.key[0] == key[0]]
            hint = (
                f"there is one of env {', '.join(repr(env) for _, env in others[:5])}"
                if others
                else "/ lists those that are"
            )
            raise NotFoundError("no-such-service", "no service of this name and env is watched", hint=hint)
        return desk.part(
            request,
            "service.html",
            page=page,
            row=page.row,
            sections=sections,
            ranges=RANGES,
            heat_sites=heat_sites,
            more_sites=MAX_HEAT_SITES,
            joined=joined,
            compact=compact,
            clock=page.at >= REAL_FROM_S,
            charts=charts,
            ages=ages,
            rows=rows(page),
            spark=spark,
            spark_words=spark_words,
            left_words=left_words,
            replica_words=replica_words,
        )

    return [Route("/services/{service:path}", service)]


def compact(n: float) -> str:
    """A count in at most four characters: `<1` (a mean), `7`, `950`, `1.2k`, `34k`, `1.2M`."""
    if 0 < n < 0.5:
        return "<1"
    if n < 999.5:
        return f"{n:.0f}"
    for unit in ("k", "M"):
        n /= 1000
        if n < 999.5:
            return f"{n:.1f}{unit}" if n < 9.95 else f"{n:.0f}{unit}"
    return f"{n / 1000:.0f}G"


def charts(page: ServicePage) -> dict[str, Any]:
    """What the scripts draw of the series, as plain JSON values: None = not told."""
    out: dict[str, Any] = {"real": page.at >= REAL_FROM_S, "since": page.since, "until": page.at}
    if page.series is not None:
        one = page.series
        out["t"] = one.t.tolist()
        out |= {name: _plain(values.tolist()) for name, values in one.total.items()}
        out["largest"] = _plain(one.largest.tolist())
        out["marks"] = [{"at": m.at, "kind": m.kind, "text": inert(m.text)} for m in page.marks]
    return out


def ages(page: ServicePage) -> list[dict[str, Any]]:
    """The replicas' lines, likewise."""
    return [
        {"id": inert(r.id), "version": inert(r.version), "age": r.age_s, "n": r.goroutines, "found": r.found}
        for r in page.replicas or ()
        if r.age_s
    ]


def _plain(values: Iterable[float]) -> list[float | None]:
    return [round(v) if math.isfinite(v) else None for v in values]


def rows(page: ServicePage) -> list[tuple[float, list[float | None]]]:
    """The series in a few rows, newest first: time, then instances, goroutines, largest, heap in use, resident memory."""
    if page.series is None or not len(page.series.t):
        return []
    one = page.series
    n = len(one.t)
    picked = sorted({(n - 1) - i * n // ROWS_IN_WORDS for i in range(min(ROWS_IN_WORDS, n))}, reverse=True)
    columns: Sequence[Any] = (
        one.instances,
        one.total["goroutines"],
        one.largest,
        one.total["heap_inuse"],
        one.total["rss"],
    )
    return [(float(one.t[i]), [float(c[i]) if math.isfinite(c[i]) else None for c in columns]) for i in picked]


def replica_words(one: Replica) -> str:
    """`120 at 3 h, 340 at 5 h`."""
    if not one.age_s:
        return "not told"
    ends = dict.fromkeys((0, len(one.age_s) - 1))
    return ", ".join(f"{words.count(one.goroutines[i])} at {words.seconds(one.age_s[i])}" for i in ends)
