"""What Alertmanager is told; the real one is in tests/e2e/test_alerts_e2e.py."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.act.alertmanager import BATCH, AlertmanagerNotifier, labels
from parkwarden.act.notifier import DeliveryError
from parkwarden.act.settings import AlertmanagerSettings
from parkwarden.model import IncidentState, Priority, Tell
from tests.act.build import incident, note


class FakeHttp:
    """Writes pushes down; URLs in `down` fail."""

    def __init__(self, down: Mapping[str, DeliveryError] | None = None) -> None:
        self.pushes: list[tuple[str, list[dict[str, Any]]]] = []
        self.down = down or {}

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        self.pushes.append((url, json.loads(body)))
        for name, error in self.down.items():
            if name in url:
                raise error

    async def close(self) -> None:
        pass


class Rig:
    """A notifier with a fake wire and a clock that is set by hand."""

    def __init__(self, *urls: str, down: Mapping[str, DeliveryError] | None = None) -> None:
        self.now = 1000.0
        self.http = FakeHttp(down)
        settings = AlertmanagerSettings(urls=urls or ("http://a/",), labels={"cluster": "eu"})
        self.notifier = AlertmanagerNotifier("am", settings, lambda: self.now)
        self.notifier._http = self.http  # type: ignore[assignment]

    def send(self, **fields: Any) -> list[dict[str, Any]]:
        asyncio.run(self.notifier.send(note(channel="am", **fields)))
        return self.http.pushes[-1][1]

    def refresh(self, *rows: Any) -> list[dict[str, Any]]:
        before = len(self.http.pushes)
        asyncio.run(self.notifier.refresh(rows))
        return [alert for _, alerts in self.http.pushes[before:] for alert in alerts]


def test_labels_are_an_identity() -> None:
    """No version, no count: labels stay while the incident stays; empty ones are left out."""
    told = labels(incident(), {"cluster": "eu"})
    assert told == {
        "alertname": "send-without-receiver",
        "service": "orders",
        "env": "prod",
        "team": "pay",
        "cluster": "eu",
        "severity": "critical",
        "priority": "P1",
        "incident": "i1",
        "site": "s1",
    }
    assert labels(incident(count=9, labels={"env": "prod", "team": "pay", "version": "v8"}), {"cluster": "eu"}) == told


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=300), max_size=8))
def test_label_names_and_values_are_prometheus_own(odd: dict[str, str]) -> None:
    """Whatever labels a target has: names fit, values are inert, short and never empty."""
    for name, value in labels(incident(labels=odd), {}).items():
        assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name)
        assert value
        assert len(value) <= 1300
        assert value.isprintable()


def test_firing_ends_by_itself_and_resolved_is_over() -> None:
    """endsAt is four minutes ahead while active, the time of resolution after it; startsAt is before it."""
    rig = Rig()
    [alert] = rig.send()
    assert (alert["startsAt"], alert["endsAt"]) == ("1970-01-01T00:01:40.000Z", "1970-01-01T00:20:40.000Z")
    [over] = rig.send(tell=Tell.RESOLVED, revision=2, state=IncidentState.RESOLVED, resolved_at=990.0)
    assert over["endsAt"] == "1970-01-01T00:16:30.000Z"
    assert over["labels"] == alert["labels"]


def test_refresh_repeats_active_and_for_a_while_resolved() -> None:
    """Active ones told to this channel are pushed at each refresh; resolved ones for 15 minutes, then no more."""
    rig = Rig()
    rig.send()
    rig.send(tell=Tell.RESOLVED, state=IncidentState.RESOLVED, resolved_at=1000.0)
    mine = incident("i2", told={"channels": "hook,am"})
    rows = [
        mine,
        incident("i3", told={"channels": "hook"}),
        incident("i4", told={}),
        incident("i5", state=IncidentState.PENDING),
    ]
    assert [a["labels"]["incident"] for a in rig.refresh(*rows)] == ["i2", "i1"]
    rig.now += 901
    [alert] = rig.refresh(*rows)
    assert alert["labels"]["incident"] == "i2"
    assert alert["endsAt"] == "1970-01-01T00:35:41.000Z"


def test_refresh_keeps_links_and_forgets_what_is_gone() -> None:
    """The link and the runbook of the last notification stay; incidents that are no more are not remembered."""
    rig = Rig()
    rig.send()
    [alert] = rig.refresh(incident(told={"channels": "am"}))
    assert alert["annotations"]["runbook"] == "RB-7"
    assert alert["generatorURL"] == "https://pw.example/incidents/i1"
    rig.refresh()
    assert rig.notifier._last == {}


def test_a_raised_priority_ends_the_old_alert() -> None:
    """Labels that change are another alert there: the old one ends in the same push, and again at the next refresh."""
    rig = Rig()
    rig.send()
    old, new = rig.send(revision=2, priority=Priority.P0)
    assert (old["labels"]["priority"], old["endsAt"]) == ("P1", "1970-01-01T00:16:40.000Z")
    assert new["labels"]["priority"] == "P0"
    assert len(rig.refresh(incident(priority=Priority.P0, told={"channels": "am"}))) == 2


def test_every_instance_is_told_and_one_is_enough() -> None:
    """A push goes to all URLs; it failed only if all refused, for good only if none may take it later."""
    away = DeliveryError("b away", retry=True, after_s=9.0)
    no = DeliveryError("a says 400", retry=False)
    rig = Rig("http://a/", "http://b", down={"//b": away})
    rig.send()
    assert [url for url, _ in rig.http.pushes] == ["http://a/api/v2/alerts", "http://b/api/v2/alerts"]
    with pytest.raises(DeliveryError, match="a says 400; b away") as caught:
        Rig("http://a", "http://b", down={"//a": no, "//b": away}).send()
    assert (caught.value.retry, caught.value.after_s) == (True, 9.0)
    with pytest.raises(DeliveryError) as caught:
        Rig("http://a", down={"//a": no}).send()
    assert not caught.value.retry


def test_many_alerts_go_in_batches() -> None:
    """A refresh of hundreds is pushed in pieces of BATCH."""
    rig = Rig()
    rig.refresh(*(incident(f"i{i}", told={"channels": "am"}) for i in range(BATCH + 1)))
    assert [len(alerts) for _, alerts in rig.http.pushes] == [BATCH, 1]
