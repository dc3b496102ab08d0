"""/api/v1/evidence: what was saved when something was found. The same words as `parkwarden evidence`."""

from __future__ import annotations

from pydantic import Field
from starlette.responses import Response

from parkwarden.report.evidence import evidence_to_json
from parkwarden.web.api.openapi import Call, Operation, Paged, Reply
from parkwarden.web.problems import NotFoundError

MAX_FILTER = 500
"""Characters of a filter's text."""

SCHEMA = "evidence-1"


class Evidence(Paged):
    """Which items."""

    service: str = Field("", max_length=MAX_FILTER, description="Of this service.")
    instance: str = Field("", max_length=MAX_FILTER, description="Of this instance.")


async def list_evidence(call: Call) -> Reply:
    asked: Evidence = call.query
    items = await call.desk.host.evidence(service=asked.service or None, instance=asked.instance or None)
    return Reply(evidence_to_json(call.cut(items)), total=len(items))


async def get_evidence(call: Call) -> Reply:
    digest = call.path("digest")
    found = [item for item in await call.desk.host.evidence() if item.digest == digest]
    if not found:
        raise NotFoundError("evidence-unknown", "no evidence has this digest", hint="GET /api/v1/evidence")
    return Reply(evidence_to_json(found))


async def download(call: Call) -> Response:
    item, body = await call.desk.host.evidence_body(call.path("digest"))
    return attachment(item.file or item.kind, body)


def attachment(name: str, body: bytes) -> Response:
    """Bytes for the disk, never for a browser to show: they came from a watched process. `name` is safe (store/evidence)."""
    return Response(
        body, media_type="application/octet-stream", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


_DIGEST = {"digest": "The item's digest, whole."}

OPERATIONS = (
    Operation(
        method="GET", path="/evidence", id="listEvidence", summary="What is kept, newest first.", family="evidence",
        answer=list_evidence, query=Evidence, schema=SCHEMA,
    ),
    Operation(
        method="GET", path="/evidence/{digest}", id="getEvidence", summary="What is known of one item.",
        family="evidence", answer=get_evidence, parts=_DIGEST, schema=SCHEMA,
    ),
    Operation(
        method="GET", path="/evidence/{digest}/body", id="downloadEvidence",
        summary="One item as the field's own tools read it.", family="evidence", answer=download, parts=_DIGEST,
        media="application/octet-stream",
    ),
)  # fmt: skip
