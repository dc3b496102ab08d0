from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from parkwarden.model import Finding, Grade, Incident, IncidentState, Priority, Verdict
from parkwarden.model.instance import Secret
from parkwarden.run.backends import Backend as Place
from parkwarden.run.backends import Fault
from parkwarden.run.outflow import HELD_S, Outflow, made, points_of, target_of
from parkwarden.run.status import WatchStatus
from parkwarden.telemetry import Ring, Segment
from parkwarden.telemetry.reporter import Account, LogRecord, MetricKind, MetricPoint, Severity
from parkwarden.telemetry.settings import Backend, OtlpBackend, TelemetrySettings

NOON = 1_790_000_000.0


class Recorder:
    """Takes what a reporter takes."""

    def __init__(self) -> None:
        self.logs: list[LogRecord] = []
        self.points: list[MetricPoint] = []
        self.segments: list[Segment] = []

    def log(self, record: LogRecord) -> None:
        self.logs.append(record)

    def metrics(self, points: Iterable[MetricPoint]) -> None:
        self.points += points

    def take(self, segment: Segment) -> None:
        self.segments.append(segment)

    def account(self) -> Account:
        return Account({}, {}, {}, {}, healthy=False, trouble="refused")

    def close(self) -> None:
        pass


def outflow(**settings: object) -> tuple[Outflow, Recorder]:
    recorder = Recorder()
    return Outflow(TelemetrySettings(**settings), {"otlp": recorder}, NOON - 60), recorder  # type: ignore[arg-type, dict-item]


def incident(state: IncidentState = IncidentState.FIRING, **fields: object) -> Incident:
    known: dict[str, object] = {
        "id": "i1", "key": "k", "service": "shop", "title": "goroutines leak", "code": "goroutine-leak", "detector": "site-floor-growth",
        "verdict": Verdict.LEAK, "confidence": 0.9, "priority": Priority.P1, "labels": {"env": "prod"}, "line": "main.f a.go:7",
        "count": 512, "rate_per_min": 12.5,
    }  # fmt: skip
    return Incident(state=state, **(known | fields))  # type: ignore[arg-type]


def finding(verdict: Verdict = Verdict.LEAK, instance: str = "a:1") -> Finding:
    return Finding(
        code="goroutine-leak",
        verdict=verdict,
        confidence=0.9,
        title="goroutines \x1b[31mleak",
        service="shop",
        instance=instance,
        grade=Grade.RED,
    )


def test_an_incident_is_told_when_what_people_act_on_changed_and_only_then() -> None:
    """Firing, another line, resolved: an event each; seen again and pending: none."""
    out, told = outflow()
    for row in (
        incident(IncidentState.PENDING),
        incident(),
        incident(last_seen=NOON + 5, count=600),
        incident(line="main.g b.go:9"),
        incident(IncidentState.RESOLVED, line="main.g b.go:9"),
    ):
        out.beat(NOON, [row], [], lambda: WatchStatus(started_at=NOON))
    assert [(r.event_name, r.severity, r.attributes["parkwarden.incident.state"]) for r in told.logs] == [
        ("parkwarden.incident", Severity.ERROR, "firing"),
        ("parkwarden.incident", Severity.ERROR, "firing"),
        ("parkwarden.incident", Severity.INFO, "resolved"),
    ]
    first = told.logs[0].attributes
    assert first["parkwarden.line"] == "main.f a.go:7"
    assert first["parkwarden.count"] == 512
    assert "parkwarden.limit" not in first


def test_a_finding_is_told_once_per_verdict_and_again_after_it_was_gone() -> None:
    """One that flickers is not told at every beat; hostile text is inert."""
    out, told = outflow(metrics=False)
    suspect, leak = finding(Verdict.SUSPECT), finding()
    for at, found in (
        (0, [suspect]),
        (5, [suspect]),
        (10, []),
        (15, [leak]),
        (20, [finding(Verdict.OK)]),
        (20 + HELD_S, []),
        (25 + HELD_S, [leak]),
    ):
        out.beat(NOON + at, [], found, lambda: WatchStatus(started_at=NOON))
    assert [r.attributes["parkwarden.verdict"] for r in told.logs] == ["suspect", "leak", "leak"]
    assert told.logs[0].body.isprintable()
    assert not told.points


def test_numbers_are_reported_so_often_and_under_dotted_names() -> None:
    """Counters begin with the watch, labels are attributes, open incidents have numbers of their own."""
    out, told = outflow(metrics_every_s=15.0, logs=False)
    status = WatchStatus(started_at=NOON, ticks=7, incidents=[incident(time_left_s=90.0)])
    status.stream_points["otlp", "taken"] = 412
    for at in (0.0, 5.0, 14.9, 15.0):
        out.beat(NOON + at, [], [], lambda: status)
    assert {p.at for p in told.points} == {NOON, NOON + 15}
    by_name = {p.name: p for p in told.points}
    points = by_name["parkwarden.stream_points"]
    assert (points.kind, points.value, points.start) == (MetricKind.COUNTER, 412, NOON - 60)
    assert points.attributes == {"stream": "otlp", "outcome": "taken"}
    assert by_name["parkwarden.incident.time_left"].value == 90.0
    assert by_name["parkwarden.incident.count"].attributes["service"] == "shop"
    assert not told.logs


def test_numbers_are_those_of_the_metrics_page() -> None:
    """Every family of /metrics is reported: a number is not told in one place only."""
    units = {p.name: p.unit for p in points_of(WatchStatus(started_at=NOON), NOON, NOON)}
    told = {
        "parkwarden.ticks": "",
        "parkwarden.tick_seconds": "s",
        "parkwarden.outbox_waiting": "",
        "parkwarden.scrape_bytes": "By",
    }
    assert told.items() <= units.items()


def test_traces_go_to_the_ring_and_to_the_back_ends_unless_switched_off() -> None:
    """The ring has them in either case."""
    for wanted in (True, False):
        out, told = outflow(traces=wanted)
        ring = Ring()
        out.sink(ring).take(Segment("t", "s", "parkwarden", "h", ()))
        assert len(ring) == 1
        assert len(told.segments) == wanted


def test_a_back_end_that_does_not_take_it_is_a_trouble() -> None:
    """Shown on /readyz under its name."""
    assert outflow()[0].troubles() == {"telemetry otlp": "refused"}


def test_a_url_becomes_an_address_with_its_headers() -> None:
    """Scheme says TLS; header names go in lower case, their values are revealed to the call only."""
    backend = OtlpBackend(
        url="https://collector:4318/otel", headers={"Authorization": Secret("Bearer x")}, protocol="http"
    )
    target = target_of(backend)
    assert (target.host, target.port, target.path, target.tls) == ("collector", 4318, "/otel", True)
    assert target.headers == {"authorization": "Bearer x"}
    assert "Bearer" not in repr(target)
    assert not target_of(Backend(url="http://[::1]:4317")).tls


def test_all_back_ends_are_closed_at_once() -> None:
    """The time for closing is each reporter's, not the sum of them."""
    both = threading.Barrier(2, timeout=10)

    class Closing(Recorder):
        def close(self) -> None:
            both.wait()

    reporters = {name: Closing() for name in ("otlp", "skywalking")}
    asyncio.run(Outflow(TelemetrySettings(), reporters, NOON).close())  # type: ignore[arg-type]
    assert not both.broken


def test_what_a_watch_could_not_tell_the_next_one_does(tmp_path: Path) -> None:
    """`telemetry.spool`: an incident told while the back end is away outlives the watch, in a folder of that back end's own."""
    with Place(Fault.REFUSED) as away:
        settings = TelemetrySettings(otlp=OtlpBackend(url=f"http://{away.address}"), spool=str(tmp_path), metrics=False)
        first = made(settings, lambda: NOON)
        first.beat(NOON, [incident()], [], lambda: WatchStatus(started_at=NOON))
        asyncio.run(first.close())
    assert [path.parent.name for path in tmp_path.rglob("*.spool")] == ["otlp"]
    came, bodies = threading.Event(), list[bytes]()

    def take(path: str, message: bytes) -> None:
        bodies.append(message)
        if b"goroutines leak" in message:
            came.set()

    with Place(Fault.HEALTHY, take=take) as there:
        again = made(replace(settings, otlp=OtlpBackend(url=f"http://{there.address}")), lambda: NOON)
        again.beat(NOON, [incident(id="i2", title="another one")], [], lambda: WatchStatus(started_at=NOON))
        assert came.wait(20.0), bodies
        asyncio.run(again.close())
    assert not list(tmp_path.rglob("*.spool"))
