"""/api/v1/limits and /api/v1/costs: what breaks first, and what our looks cost."""

from __future__ import annotations

from pydantic import Field

from parkwarden.run.board import costs as board_costs
from parkwarden.run.board import limits as board_limits
from parkwarden.web.api.openapi import Call, Operation, Paged, Reply

MAX_FILTER = 500
"""Characters of a filter's text."""


class OfService(Paged):
    """Of one service, or of all."""

    service: str = Field("", max_length=MAX_FILTER, description="Of this service.")
    env: str = Field("", max_length=MAX_FILTER, description="Of this env.")

    def takes(self, service: str, env: str) -> bool:
        return self.service in ("", service) and self.env in ("", env)


async def limits(call: Call) -> Reply:
    asked: OfService = call.query
    rows = board_limits.Headrooms(call.desk.host, takes=asked.takes)
    part = rows.part(asked.offset, asked.limit)
    return Reply(board_limits.as_json(part, call.desk.host.now()), total=len(rows))


async def costs(call: Call) -> Reply:
    told = call.desk.host.costs()
    rows = board_costs.ServiceCosts(call.desk.host, told, call.query.takes)
    return Reply(board_costs.as_json(rows.part(call.query.offset, call.query.limit), told), total=len(rows))


OPERATIONS = (
    Operation(
        method="GET", path="/limits", id="listLimits", summary="What breaks first, by service and limit.",
        family="limits and costs", answer=limits, query=OfService, schema="headroom-1",
    ),
    Operation(
        method="GET", path="/costs", id="listCosts", summary="What our looks cost each service, and what was refused.",
        family="limits and costs", answer=costs, query=OfService, schema="costs-1",
    ),
)  # fmt: skip
