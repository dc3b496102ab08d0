"""`parkwarden.alert/1`: a notification as JSON, for webhooks and standard output (docs/schema/alert-1.json).

Names of a watched process stand in it as they are (JSON makes them inert by itself); `text` holds what people read. Numbers that
are none are null, times are Unix seconds.
"""

from __future__ import annotations

import json
import math
from typing import Any

from parkwarden.alert.text import plain, title
from parkwarden.model import Incident, Notification
from parkwarden.store.codec import clean

SCHEMA = "parkwarden.alert/1"


def payload(n: Notification) -> dict[str, Any]:
    """The notification as plain JSON values."""
    return {
        "schema": SCHEMA,
        "key": n.key,
        "tell": n.tell.value,
        "at": n.at,
        "channel": n.channel,
        "news": [clean(news) for news in n.news],
        "runbook": n.runbook,
        "evidence_url": n.evidence_url,
        "text": {"title": title(n), "body": plain(n)},
        "incident": incident_json(n.incident),
    }


def encoded(n: Notification) -> bytes:
    """The payload as one line of ASCII."""
    return json.dumps(payload(n), ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


def incident_json(row: Incident) -> dict[str, Any]:
    """An incident as plain JSON values, as the schema's `incident` says."""
    return {
        "id": row.id,
        "revision": row.revision,
        "state": row.state.value,
        "priority": row.priority.value,
        "service": clean(row.service),
        "env": clean(row.env),
        "labels": {clean(name): clean(value) for name, value in row.labels.items()},
        "title": clean(row.title),
        "code": row.code,
        "detector": row.detector,
        "verdict": row.verdict.value,
        "confidence": _number(row.confidence),
        "grade": row.grade.value,
        "line": clean(row.line),
        "site_id": row.site_id,
        "instances": [clean(name) for name in row.instances],
        "since": _time(row.since),
        "since_version": clean(row.since_version),
        "rate_per_min": _number(row.rate_per_min),
        "count": row.count,
        "time_left": None
        if row.time_left_s is None
        else {
            "limit": row.limit,
            "seconds": _number(row.time_left_s),
            "low_s": _number(row.time_left_low_s),
            "high_s": _number(row.time_left_high_s),
        },
        "advice": clean(row.advice),
        "why": [clean(why) for why in row.why],
        "evidence": list(row.evidence),
        "happened": [
            {"at": _number(one.at), "instance": clean(one.instance), "text": clean(one.text)} for one in row.happened
        ],
        "firing_since": _time(row.firing_since),
        "no_data_since": _time(row.no_data_since),
        "resolved_at": _time(row.resolved_at),
        "acknowledged_by": clean(row.acknowledged_by) if row.acknowledged else "",
        "acknowledged_at": _time(row.acknowledged_at) if row.acknowledged else None,
        "acknowledged_why": clean(row.acknowledged_why) if row.acknowledged else "",
        "closed_by": clean(row.closed_by) if row.closed else "",
        "closed_at": _time(row.closed_at) if row.closed else None,
        "closed_why": clean(row.closed_why) if row.closed else "",
    }


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _time(at: float) -> float | None:
    return _number(at) or None
