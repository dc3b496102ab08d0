"""/api/v1/services: the fleet as its page shows it, and one service with its pictures' numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from parkwarden.run.board.fleet import MAX_QUERY, STATES, InstanceRow, Query, ServiceRow
from parkwarden.run.board.service import HEAT_SITES, MAX_HEAT_SITES, ServicePage, Services
from parkwarden.web.api.openapi import Asked, Call, Operation, Paged, Reply, refused
from parkwarden.web.problems import NotFoundError

if TYPE_CHECKING:
    from parkwarden.model import TimeLeft

MAX_NAME = 500
"""Characters of a name that is asked for."""

SERVICES, SERVICE = "parkwarden.services/1", "parkwarden.service/1"


class Fleet(Paged):
    """Which services, in which order."""

    q: str = Field("", max_length=MAX_QUERY, description="Words that must all be found; `team=payments` is a label's.")
    state: str = Field("", max_length=100, description="Of these states: `leak,suspect`.")
    sort: str = Field(
        "state",
        max_length=MAX_NAME,
        description="state, service, instances, goroutines, memory, growth, time-left, version or label:NAME; `-` turns it round.",
    )


class OneService(Asked):
    """Of which env, how far back."""

    env: str = Field("", max_length=MAX_NAME, description="The label `env`; empty where it has none.")
    range: Literal["24m", "2h", "8h", "24h", "7d", "30d"] = Field("2h", description="How far back.")
    sites: int = Field(HEAT_SITES, ge=1, le=MAX_HEAT_SITES, description="Sites at most.")


async def list_services(call: Call) -> Reply:
    asked: Fleet = call.query
    states = [one for one in asked.state.split(",") if one]
    if wrong := [one for one in states if one not in STATES]:
        raise refused("bad-query", f"{wrong[0][:40]!r} is no state", hint=f"some of {', '.join(STATES)}")
    query = Query.of([("q", asked.q), ("sort", asked.sort), *(("state", one) for one in states)])
    now, found = call.desk.fleet.found(query)
    rows = call.desk.fleet.rows(now, [int(i) for i in call.cut(found.tolist())], set())
    told = {
        "schema": SERVICES,
        "at": now.at,
        "states": {state.value: n for state, n in now.totals.items()},
        "instances": len(now.roster.ids),
        "services": [service_json(row) for row in rows],
    }
    return Reply(told, total=len(found))


async def get_service(call: Call) -> Reply:
    asked: OneService = call.query
    board = Services(call.desk.host, call.desk.fleet)
    page = await board.page((call.path("service"), asked.env), asked.range, heat_sites=asked.sites)
    if page is None:
        raise NotFoundError(
            "no-such-service", "no service of this name and env is watched", hint="GET /api/v1/services lists them"
        )
    return Reply(page_json(page))


def service_json(row: ServiceRow) -> dict[str, Any]:
    """One row of the fleet as plain JSON values; null = not told."""
    return {
        "service": row.key[0],
        "env": row.key[1],
        "state": row.verdict.value,
        "why": row.why,
        "function": row.function,
        "file": row.file,
        "line": row.line,
        "site": row.site,
        "incident": row.incident.id if row.incident is not None else None,
        "incidents": row.incidents,
        "goroutines": row.goroutines,
        "heap_inuse_bytes": row.memory,
        "growth_per_min": row.growth_per_min,
        "time_left": _left(row.time_left, row.left_s),
        "goroutines_per_instance": [_number(n) for n in row.spark],
        "versions": [{"version": version, "instances": n} for version, n in row.versions],
        "instances": row.instances,
        "blind": row.blind,
        "silent": row.silent,
        "labels": row.labels,
    }


def page_json(page: ServicePage) -> dict[str, Any]:
    """`parkwarden.service/1` (docs/schema/service-1.json) as plain JSON values; null = not told, or nobody looked."""
    assert page.series is not None
    assert page.heat is not None
    assert page.sets is not None
    series, heat, sets = page.series, page.heat, page.sets
    return {
        "schema": SERVICE,
        "at": page.at,
        "since": page.since,
        "service": service_json(page.row),
        "instances": [_instance(one) for one in page.instances],
        "series": {
            "t": series.t.tolist(),
            **{name: _numbers(values) for name, values in series.total.items()},
            "largest": _numbers(series.largest),
            "instances": _numbers(series.instances),
        },
        "marks": [{"at": m.at, "kind": m.kind, "text": m.text, "id": m.id} for m in page.marks],
        "sites": {
            "slot_s": heat.slot_s,
            "t": list(heat.times),
            "all": heat.sites,
            "instances": heat.instances,
            "rows": [
                {
                    "site": row.site,
                    "wait_reason": row.where.wait_reason,
                    **_place(row.culprit),
                    "verdict": row.verdict.value if row.verdict is not None else None,
                    "counts": _numbers(row.counts),
                    "change": row.change,
                }
                for row in heat.rows
            ],
        },
        "threshold_sets": {
            "judged_since": sets.judged_since,
            "sets": [
                {"name": name, "count": rule.count, "share": rule.share, "looks": rule.samples}
                for name, rule in zip(sets.names, sets.rules, strict=True)
            ],
            "rows": [
                {
                    "site": row.site,
                    **_place(row.culprit),
                    "count": row.count,
                    "fires": [{"instances": n, "since": since} for n, since in row.fires],
                }
                for row in sets.rows
            ],
        },
        "replicas": [
            {"instance": r.id, "version": r.version, "age_s": list(r.age_s), "goroutines": list(r.goroutines)}
            for r in page.replicas or ()
        ],
        "trouble": page.trouble,
    }


def _instance(one: InstanceRow) -> dict[str, Any]:
    return {
        "instance": one.id,
        "state": one.state,
        "blind_s": one.blind_s,
        "version": one.version,
        "goroutines": one.goroutines,
        "heap_inuse_bytes": one.memory,
        "age_s": one.age_s,
        "restarts": one.restarts,
        "labels": one.labels,
        "found": one.found,
    }


def _place(culprit: tuple[str, str, int]) -> dict[str, Any]:
    return dict(zip(("function", "file", "line"), culprit, strict=True))


def _left(left: TimeLeft | None, left_s: float | None) -> dict[str, Any] | None:
    if left is None or left_s is None:
        return None
    gone = left.seconds - left_s
    return {
        "limit": left.limit,
        "seconds": left_s,
        "low_s": max(left.low_s - gone, 0.0),
        "high_s": _number(left.high_s - gone),
        "coverage": left.coverage,
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _numbers(values: Iterable[float]) -> list[float | None]:
    return [_number(value) for value in values]


OPERATIONS = (
    Operation(
        method="GET", path="/services", id="listServices", summary="The fleet's services, worst first.", family="fleet",
        answer=list_services, query=Fleet, schema="services-1",
    ),
    Operation(
        method="GET", path="/services/{service:path}", id="getService", family="fleet", answer=get_service, query=OneService,
        summary="One service: numbers over time and what happened, sites over time, two threshold sets, replicas by age.",
        schema="service-1", parts={"service": "The service's name."},
    ),
)  # fmt: skip
