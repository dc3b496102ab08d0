"""An outbox in memory, as run/outbox and store/state behave, and notifications to put into it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from parkwarden.model import Incident, IncidentState, Notification, Priority, Tell, Verdict
from parkwarden.store.state import Queued


def incident(incident_id: str = "i1", **fields: Any) -> Incident:
    given: dict[str, Any] = {
        "key": f'["orders", "prod", "site", "{incident_id}"]',
        "state": IncidentState.FIRING,
        "service": "orders",
        "title": "send without receiver: 120 goroutines",
        "code": "PW104",
        "detector": "send-without-receiver",
        "verdict": Verdict.LEAK,
        "confidence": 0.95,
        "priority": Priority.P1,
        "labels": {"service": "orders", "env": "prod", "team": "pay", "version": "v7"},
        "line": "main.Serve /src/serve.go:7",
        "site_id": "s1",
        "instances": ("a:6060",),
        "firing_since": 100.0,
        "since": 50.0,
        "since_version": "v7",
        "revision": 1,
    }
    return Incident(id=incident_id, **(given | fields))


def note(
    incident_id: str = "i1", revision: int = 1, channel: str = "hook", at: float = 0.0, **fields: Any
) -> Notification:
    tell = fields.pop("tell", Tell.FIRING)
    return Notification(
        key=f"{incident_id}.{revision}.{channel}",
        incident_id=incident_id,
        channel=channel,
        tell=tell,
        at=at,
        incident=incident(incident_id, revision=revision, told={"channels": channel}, **fields),
        runbook="RB-7",
        evidence_url="https://pw.example/incidents/i1",
    )


class FakeOutbox:
    """Notifications by key; what was delivered or parked is kept to be looked at."""

    def __init__(self, *notes: Notification) -> None:
        self.rows = {n.key: Queued(notification=n, next_at=n.at) for n in notes}

    async def due(self, now: float, limit: int = 100, channel: str | None = None) -> list[Queued]:
        found = [
            q
            for q in self.rows.values()
            if q.delivered_at is None
            and not q.parked
            and q.next_at <= now
            and (channel is None or q.notification.channel == channel)
        ]
        return sorted(found, key=lambda q: (q.next_at, q.notification.key))[:limit]

    async def delivered(self, key: str, at: float) -> None:
        self.rows[key] = replace(self.rows[key], delivered_at=at)

    async def failed(self, key: str, at: float, error: str, next_at: float | None) -> None:
        row = replace(self.rows[key], attempts=self.rows[key].attempts + 1, error=error)
        self.rows[key] = replace(row, parked=True) if next_at is None else replace(row, next_at=next_at)

    @property
    def done(self) -> list[str]:
        rows = [q for q in self.rows.values() if q.delivered_at is not None]
        return [q.notification.key for q in sorted(rows, key=lambda q: q.delivered_at or 0)]
