"""Findings, ids and a small world that keeps rows as the store would, for the tests of alerting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from parkwarden.alert.advance import Outcome, advance
from parkwarden.alert.life import remembered
from parkwarden.alert.policy import Policy
from parkwarden.alert.presence import Presence
from parkwarden.model import (
    Act,
    Action,
    Evidence,
    EvidenceItem,
    Finding,
    Frame,
    Grade,
    Incident,
    IncidentState,
    Notification,
    Silence,
    Site,
    TimeLeft,
    Verdict,
)

T0 = 1_700_000_000.0


def site(name: str = "s1", line: int = 42) -> Site:
    frame = Frame("main.(*Hub).wait", "/src/hub.go", line)
    return Site(
        name, "chan receive", frame.function, frame.file, frame.line, (frame,), Frame("main.Serve", "/src/serve.go", 7)
    )


def leak(name: str = "s1", *, service: str = "orders", env: str = "prod", tier: str = "", **fields: Any) -> Finding:
    """A site finding; `verdict`, `confidence` and others by name."""
    labels = {"service": service, "env": env, "version": "v7"} | ({"sla_tier": tier} if tier else {})
    given: dict[str, Any] = {
        "code": "PW104",
        "verdict": Verdict.LEAK,
        "confidence": 0.95,
        "title": "send without receiver: 120 goroutines",
        "pattern": "send-without-receiver",
        "service": service,
        "instances": ("a:6060",),
        "labels": labels,
        "site": site(name),
        "culprit": Frame("main.Serve", "/src/serve.go", 7),
        "count": 120,
        "rate_per_min": 6.0,
        "grade": Grade.YELLOW,
        "since_version": "v7",
        "first_seen": T0 - 300,
        "advice": "Close the channel.",
        "evidence": [Evidence("a:6060", "survivors", "118 of 120 goroutines survived 3 censuses")],
    }
    return Finding(**(given | fields))


def trend(service: str = "orders", **fields: Any) -> Finding:
    """A process-level finding."""
    given: dict[str, Any] = {
        "code": "PW501",
        "pattern": "goroutine-trend",
        "site": None,
        "culprit": None,
        "title": "goroutines grow",
    }
    return leak(service=service, **(given | fields))


def left(seconds: float, low: float | None = None) -> TimeLeft:
    return TimeLeft(
        limit="memory-limit",
        at=T0,
        seconds=seconds,
        low_s=seconds * 0.8 if low is None else low,
        high_s=seconds * 2,
        value=1.0,
        limit_value=2.0,
        rate_per_s=0.1,
    )


@dataclass
class World:
    """Rows kept as a store keeps them: only what an Outcome says has changed."""

    policy: Policy = field(default_factory=lambda: Policy(channels=("hook",), for_s=10.0))
    rows: dict[str, Incident] = field(default_factory=dict)
    sent: list[Notification] = field(default_factory=list)
    silences: list[Silence] = field(default_factory=list)
    now: float = T0
    ids: Any = field(default_factory=lambda: count(1))

    def tick(
        self,
        *findings: Finding,
        after: float = 5.0,
        blind: Presence | Mapping[Any, float] | None = None,
        evidence: Sequence[EvidenceItem] = (),
    ) -> list[Notification]:
        """One tick `after` seconds later; what it told."""
        self.now += after
        out = self.ask(findings, blind or {}, evidence)
        self.commit(out)
        return out.notifications

    def ask(
        self, findings: Iterable[Finding], blind: Presence | Mapping[Any, float], evidence: Sequence[EvidenceItem] = ()
    ) -> Outcome:
        rows = [
            row
            for row in self.rows.values()
            if row.state is not IncidentState.RESOLVED or remembered(row, self.now, self.policy)
        ]
        return advance(
            rows, findings, blind, self.now, self.policy, self.silences, lambda: f"i{next(self.ids)}", evidence=evidence
        )

    def commit(self, out: Outcome) -> None:
        for row in out.changed:
            self.rows[row.id] = row
        keys = [row.key for row in self.rows.values() if row.state is not IncidentState.RESOLVED]
        assert len(keys) == len(set(keys)), "two open incidents with one key"
        self.sent += out.notifications

    def run(self, *findings: Finding, for_s: float, step: float = 5.0, **how: Any) -> list[str]:
        """Many ticks; the tells of all of them in order."""
        told = []
        for _ in range(round(for_s / step)):
            told += [n.tell.value for n in self.tick(*findings, after=step, **how)]
        return told

    @property
    def open(self) -> list[Incident]:
        return [row for row in self.rows.values() if row.state is not IncidentState.RESOLVED]

    def act(self, act: Act, incident_id: str, by: str = "ada", why: str = "") -> None:
        row = self.rows[incident_id]
        self.rows[incident_id] = row.after(Action(act=act, at=self.now, by=by, why=why, incident_id=incident_id))
