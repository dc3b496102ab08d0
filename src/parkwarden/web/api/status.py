"""/api/v1/status and /api/v1/findings: how the watch is, and what it finds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from parkwarden.model import Report
from parkwarden.report.json import report_to_json
from parkwarden.run.status import WatchStatus
from parkwarden.web.api.openapi import Call, Operation, Paged, Reply

SCHEMA = "parkwarden.status/1"

MAX_FILTER = 500
"""Characters of a filter's text."""


class Findings(Paged):
    """Which findings."""

    service: str = Field("", max_length=MAX_FILTER, description="Of this service.")


async def status(call: Call) -> Reply:
    return Reply(as_json(call.desk.host.status(), call.desk.host.now()))


async def findings(call: Call) -> Reply:
    tick = call.desk.host.tick()
    found = [one for one in tick.findings if call.query.service in ("", one.service)]
    at = datetime.fromtimestamp(tick.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Reply(report_to_json(Report(generated_at=at, inputs=[], findings=list(call.cut(found)))), total=len(found))


def as_json(now: WatchStatus, at: float) -> dict[str, Any]:
    """`parkwarden.status/1` (docs/schema/status-1.json) as plain JSON values; details of trouble are in the log."""
    return {
        "schema": SCHEMA,
        "at": at,
        "started_at": now.started_at,
        "last_tick_at": now.last_tick_at,
        "tick_s": now.tick_s,
        "ticks": now.ticks,
        "targets": dict(now.targets),
        "targets_left_out": now.targets_left_out,
        "streams": dict(now.stream_instances),
        "instance_restarts": now.instance_restarts,
        "suspicions": now.suspicions,
        "findings": dict(now.findings),
        "incidents": len(now.incidents),
        "outbox_waiting": now.outbox_waiting,
        "evidence_kept": now.evidence_kept,
        "evidence_bytes": now.evidence_bytes,
        "dropped": dict(now.dropped),
        "ready": not now.troubles,
        "troubles": sorted(now.troubles),
    }


OPERATIONS = (
    Operation(
        method="GET", path="/status", id="getStatus", summary="How the watch is doing.", family="status",
        answer=status, schema="status-1",
    ),
    Operation(
        method="GET", path="/findings", id="listFindings", summary="What the last judgement found, worst first.",
        family="findings", answer=findings, query=Findings, schema="report-1",
    ),
)  # fmt: skip
