"""/api/v1/instances: who is watched, and whether they answer."""

from __future__ import annotations

import math
from typing import Any

from pydantic import Field

from parkwarden.model import Instance
from parkwarden.web.api.openapi import Call, Operation, Paged, Reply

SCHEMA = "parkwarden.instances/1"

MAX_FILTER = 500
"""Characters of a filter's text."""


class Instances(Paged):
    """Which instances."""

    service: str = Field("", max_length=MAX_FILTER, description="Of this service.")
    env: str = Field("", max_length=MAX_FILTER, description="Of this env.")
    blind: bool = Field(False, description="Only those nothing was heard of lately.")


async def instances(call: Call) -> Reply:
    asked: Instances = call.query
    host = call.desk.host
    blind, states = host.tick().blind, host.states()

    def wanted(one: Instance) -> bool:
        return (
            asked.service in ("", one.service) and asked.env in ("", one.env) and (not asked.blind or one.id in blind)
        )

    found = sorted(
        (one for one in host.engine.instances.values() if wanted(one)), key=lambda one: (one.service, one.env, one.id)
    )

    def as_json(one: Instance) -> dict[str, Any]:
        state, restarts = states.get(one.id, ("", 0))
        goroutines = host.engine.windows.last(one.id, "goroutines")
        return {
            "instance": one.id,
            "service": one.service,
            "env": one.env,
            "labels": dict(one.labels),
            "state": str(state),
            "restarts": restarts,
            "started_at": one.start_time,
            "last_news_at": host.engine.last_news.get(one.id),
            "blind_since": blind.get(one.id),
            "goroutines": int(goroutines) if math.isfinite(goroutines) else None,
        }

    told = {"schema": SCHEMA, "at": host.now(), "instances": [as_json(one) for one in call.cut(found)]}
    return Reply(told, total=len(found))


OPERATIONS = (
    Operation(
        method="GET", path="/instances", id="listInstances", summary="Who is watched, and whether they answer.",
        family="instances", answer=instances, query=Instances, schema="instances-1",
    ),
)  # fmt: skip
