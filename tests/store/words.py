"""Incidents and notifications for the tests of the store."""

from __future__ import annotations

from typing import Any

from parkwarden.model import Incident, IncidentState, Notification, Priority, Tell, Verdict

NOW = 1_700_000_000.0


def incident(incident_id: str = "i1", **fields: Any) -> Incident:
    values: dict[str, Any] = {
        "id": incident_id,
        "key": f"key of {incident_id}",
        "state": IncidentState.FIRING,
        "service": "shop",
        "title": "goroutines leak",
        "code": "PW501",
        "detector": "site-floor-growth",
        "verdict": Verdict.LEAK,
        "confidence": 0.9,
        "priority": Priority.P1,
        "last_seen": NOW,
    }
    return Incident(**(values | fields))


def notification(key: str, **fields: Any) -> Notification:
    values: dict[str, Any] = {
        "key": key,
        "incident_id": "i1",
        "channel": "webhook",
        "tell": Tell.FIRING,
        "at": NOW - 1,
        "incident": incident("i1"),
    }
    return Notification(**(values | fields))
