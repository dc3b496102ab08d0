"""Alertmanager, API v2: `POST /api/v2/alerts` to every instance of the cluster.

An alert's labels are its identity there, so they hold only what rarely changes; when one does (a priority raised, a line named) the
alert under the old labels is ended in the same push. What is active is pushed again every minute with `endsAt` four minutes
ahead, what was resolved for 15 minutes: a lost push repairs itself, and if we die every alert ends by itself.

One instance that takes a push is enough: the next refresh brings it to the others.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from parkwarden.act.http import Http
from parkwarden.act.notifier import DeliveryError
from parkwarden.act.settings import AlertmanagerSettings, Pace
from parkwarden.alert.text import moment, plain, time_left, title
from parkwarden.model import Incident, IncidentState, Notification, Priority, Tell
from parkwarden.model.safe import inert

BATCH = 256
"""Alerts in one push, as Prometheus does."""

MAX_LABEL = 200
MAX_KNOWN = 20_000
"""Incidents whose last labels are remembered: twice as many as may be open."""

SEVERITY = {Priority.P0: "critical", Priority.P1: "critical", Priority.P2: "warning", Priority.P3: "info"}

_OUTSIDE = re.compile(r"[^a-zA-Z0-9_]")

Alert = dict[str, Any]


class AlertmanagerNotifier:
    """See the module."""

    def __init__(self, name: str, settings: AlertmanagerSettings, clock: Callable[[], float]) -> None:
        self.name = name
        self.pace: Pace = settings.pace
        self.refresh_s = settings.resend_s
        self._settings = settings
        self._clock = clock
        self._http = Http(settings.auth, settings.pace.timeout_s)
        self._last: dict[str, Alert] = {}
        """What was pushed last of each incident, by its id."""
        self._ended: list[Alert] = []
        """Alerts that are over and pushed again for `resolved_s`."""

    async def send(self, n: Notification) -> None:
        now = self._clock()
        row = n.incident
        over = n.tell is Tell.RESOLVED
        alert = self._alert(row, now, over, n)
        ended = self._replaced(row.id, alert, now)
        await self._push([*ended, alert])
        self._ended += [*ended, alert] if over else ended
        self._remember(row.id, None if over else alert)

    async def refresh(self, incidents: Sequence[Incident]) -> None:
        """Push what is active of these and was told to this channel, and what is over since a short while."""
        now = self._clock()
        active = [
            row for row in incidents if row.state.active and self.name in str(row.told.get("channels", "")).split(",")
        ]
        self._ended = [a for a in self._ended if now - _unix(a["endsAt"]) < self._settings.resolved_s]
        alerts = []
        for row in active:
            alert = self._alert(row, now, False, None)
            known = self._last.get(row.id)
            if known is not None:
                alert["annotations"] = alert["annotations"] | {
                    name: known["annotations"][name] for name in ("runbook", "evidence") if name in known["annotations"]
                }
                alert |= {"generatorURL": known["generatorURL"]} if "generatorURL" in known else {}
            self._ended += self._replaced(row.id, alert, now)
            self._remember(row.id, alert)
            alerts.append(alert)
        live = {row.id for row in active}
        for gone in [incident_id for incident_id in self._last if incident_id not in live]:
            del self._last[gone]  # silenced to its end, or pruned: it ends by itself
        alerts += self._ended[-MAX_KNOWN:]
        for start in range(0, len(alerts), BATCH):
            await self._push(alerts[start : start + BATCH])

    async def close(self) -> None:
        await self._http.close()

    def _replaced(self, incident_id: str, alert: Alert, now: float) -> list[Alert]:
        """The alert under the labels it had before, ended; none if they are the same."""
        known = self._last.get(incident_id)
        if known is None or known["labels"] == alert["labels"]:
            return []
        return [known | {"endsAt": _rfc3339(now)}]

    def _remember(self, incident_id: str, alert: Alert | None) -> None:
        self._last.pop(incident_id, None)
        if alert is not None:
            self._last[incident_id] = alert
            while len(self._last) > MAX_KNOWN:
                del self._last[next(iter(self._last))]

    def _alert(self, row: Incident, now: float, over: bool, n: Notification | None) -> Alert:
        begun = row.firing_since or row.pending_since or now
        ends = (row.resolved_at or now) if over else now + self._settings.keep_s
        told = n or Notification(key="", incident_id=row.id, channel=self.name, tell=_tell(row), at=now, incident=row)
        alert: Alert = {
            "labels": labels(row, self._settings.labels),
            "annotations": _annotations(told),
            "startsAt": _rfc3339(min(begun, ends - 0.001)),
            "endsAt": _rfc3339(ends),
        }
        if told.evidence_url:
            alert["generatorURL"] = told.evidence_url
        return alert

    async def _push(self, alerts: Sequence[Alert]) -> None:
        body = json.dumps(alerts, ensure_ascii=True, allow_nan=False).encode()
        urls = [f"{url.rstrip('/')}/api/v2/alerts" for url in self._settings.urls]
        headers = {"Content-Type": "application/json"}
        answers = await asyncio.gather(*(self._http.post(url, body, headers) for url in urls), return_exceptions=True)
        failures = []
        for answer in answers:
            if isinstance(answer, DeliveryError):
                failures.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
        if failures and len(failures) == len(urls):
            retry = [f for f in failures if f.retry]
            waits = [f.after_s for f in failures if f.after_s is not None]
            text = "; ".join(str(f) for f in failures)
            raise DeliveryError(text, retry=bool(retry), after_s=min(waits, default=None))


def labels(row: Incident, further: dict[str, str] | Any) -> dict[str, str]:
    """An alert's identity: no version, no count, nothing else that moves; names as Prometheus allows them, no empty values."""
    own = {
        "alertname": row.detector or row.code,
        "service": row.service,
        "env": row.env,
        "severity": SEVERITY[row.priority],
        "priority": row.priority.value,
        "incident": row.id,
        "site": row.site_id,
    }
    carried = {name: value for name, value in row.labels.items() if name not in ("version", "instance")}
    named = {_label_name(name): inert(str(value), MAX_LABEL) for name, value in {**carried, **further, **own}.items()}
    return {name: value for name, value in named.items() if name and value}


def _annotations(n: Notification) -> dict[str, str]:
    row = n.incident
    found = {
        "summary": title(n),
        "description": plain(n),
        "line": inert(row.line),
        "version": inert(row.since_version),
        "time_left": inert(time_left(row)),
        "since": moment(row.since) if row.since else "",
        "state": "acknowledged" if row.acknowledged else row.state.value,
        "runbook": n.runbook,
        "evidence": n.evidence_url,
    }
    return {name: value for name, value in found.items() if value}


def _tell(row: Incident) -> Tell:
    return {IncidentState.NO_DATA: Tell.NO_DATA, IncidentState.FLAPPING: Tell.FLAPPING}.get(row.state, Tell.FIRING)


def _label_name(name: str) -> str:
    name = _OUTSIDE.sub("_", name)[:MAX_LABEL]
    return f"_{name}" if name[:1].isdigit() else name


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
