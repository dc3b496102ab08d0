"""What the watch tells other systems of itself, through reporters: incidents and findings as events, its numbers, its traces.

    outflow = made(config.telemetry, clock)
    tracer = Tracer(outflow.sink(ring), ...)
    outflow.beat(now, changed, findings, status)     # after what changed was committed

Nothing here waits: what a reporter is handed it keeps within its bounds, and gives up by value (docs/telemetry.md). An incident is told
whenever what people would act on changed, not whenever it was seen again.
"""

from __future__ import annotations

import asyncio
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from parkwarden.model import Finding, Incident, IncidentState, Verdict
from parkwarden.model.safe import inert
from parkwarden.run.numbers import families
from parkwarden.telemetry.reporter import (
    LogRecord,
    MetricKind,
    MetricPoint,
    Origin,
    OtlpGrpc,
    OtlpHttp,
    Reporter,
    Severity,
    SkyWalkingGrpc,
    Spool,
    Target,
)

if TYPE_CHECKING:
    from parkwarden.run.status import WatchStatus
    from parkwarden.telemetry import Segment, Sink
    from parkwarden.telemetry.reporter.records import type_of_value
    from parkwarden.telemetry.settings import Backend, TelemetrySettings

HELD_S = 600.0
"""A finding that comes back within this time is the one that was told; one that flickers is not told at every beat."""
MAX_HELD = 10_000
"""Findings and incidents remembered as told; beyond, the oldest are told again."""
MAX_NAMED = 10
"""Instances named in an event."""
MAX_INCIDENTS = 200
"""Open incidents with metrics of their own, the worst first: a series each."""

UNITS = {"seconds": "s", "bytes": "By"}
"""By a name's last word. Counts have none: of a gauge in "1" a Collector's Prometheus exporter makes a `_ratio`."""

NAME = "parkwarden"


def made(settings: TelemetrySettings, clock: Callable[[], float]) -> Outflow:
    """The reporters of a configuration; none of them connects yet."""
    origin = Origin(NAME, settings.instance or platform.node(), version=_version())
    reporters: dict[str, Reporter] = {}
    if settings.otlp.url:
        transport = OtlpGrpc if settings.otlp.protocol == "grpc" else OtlpHttp
        reporters["otlp"] = Reporter(transport(target_of(settings.otlp), origin), spool=_spool(settings, "otlp"))
    if settings.skywalking.url:
        skywalking = SkyWalkingGrpc(target_of(settings.skywalking), origin)
        reporters["skywalking"] = Reporter(skywalking, spool=_spool(settings, "skywalking"))
    return Outflow(settings, reporters, clock())


def _spool(settings: TelemetrySettings, name: str) -> Spool | None:
    """A folder for each back end: what one of them has not got the other one has."""
    return Spool(Path(settings.spool) / name) if settings.spool else None


def target_of(backend: Backend) -> Target:
    """Where a back end is. The configuration was checked: its URL has host and port."""
    url = urlsplit(backend.url)
    return Target(
        host=url.hostname or "",
        port=url.port or 0,
        path=url.path,
        tls=url.scheme == "https",
        ca_file=backend.ca_file,
        cert_file=backend.cert_file,
        key_file=backend.key_file,
        headers={name.lower(): secret.reveal() for name, secret in backend.headers.items()},
    )


class Outflow:
    """See the module. Used on one loop."""

    def __init__(self, settings: TelemetrySettings, reporters: Mapping[str, Reporter], began: float) -> None:
        self._settings = settings
        self._reporters = reporters
        self._began = began
        self._counted = 0.0
        self._incidents: dict[str, tuple[object, ...]] = {}
        """Id -> what was last told of it."""
        self._findings: dict[tuple[str, str, str, str], tuple[float, Verdict]] = {}
        """What a finding is about -> when it was last there, and as what."""

    def sink(self, beside: Sink) -> Sink:
        """Where a tracer's segments go: to `beside`, and to the back ends."""
        return _All([beside, *self._reporters.values()]) if self._settings.traces else beside

    def beat(
        self, now: float, changed: Sequence[Incident], findings: Sequence[Finding], status: Callable[[], WatchStatus]
    ) -> None:
        """One beat is over."""
        if self._settings.logs:
            for record in [*self._of_incidents(now, changed), *self._of_findings(now, findings)]:
                for reporter in self._reporters.values():
                    reporter.log(record)
        if self._settings.metrics and not 0 <= now - self._counted < self._settings.metrics_every_s:
            self._counted = now
            points = list(points_of(status(), self._began, now))
            for reporter in self._reporters.values():
                reporter.metrics(points)

    async def close(self) -> None:
        """Give the back ends a last chance, all at once: a second at most."""
        await asyncio.gather(*(asyncio.to_thread(reporter.close) for reporter in self._reporters.values()))

    def items(self) -> Counter[tuple[str, str, str]]:
        """(back end, signal, outcome) -> items since the start: `sent`, and what was dropped by why."""
        found: Counter[tuple[str, str, str]] = Counter()
        for name, reporter in self._reporters.items():
            account = reporter.account()
            found.update({(name, str(signal), "sent"): tally.items for signal, tally in account.sent.items()})
            found.update({(name, str(s), str(why)): tally.items for (s, why), tally in account.dropped.items()})
        return found

    def troubles(self) -> dict[str, str]:
        """Back ends that do not take what we tell."""
        accounts = {name: reporter.account() for name, reporter in self._reporters.items()}
        return {f"telemetry {name}": a.trouble for name, a in accounts.items() if not a.healthy and a.trouble}

    def _of_incidents(self, now: float, changed: Iterable[Incident]) -> Iterator[LogRecord]:
        for incident in changed:
            if incident.state is IncidentState.PENDING:
                continue
            told = (
                incident.state, incident.verdict, incident.priority, incident.line, incident.limit,
                incident.acknowledged, incident.evidence[:1],
            )  # fmt: skip
            if self._incidents.get(incident.id) == told:
                continue
            self._incidents.pop(incident.id, None)  # the newest last
            self._incidents[incident.id] = told
            while len(self._incidents) > MAX_HELD:
                del self._incidents[next(iter(self._incidents))]
            yield incident_event(incident, now)

    def _of_findings(self, now: float, findings: Iterable[Finding]) -> Iterator[LogRecord]:
        for finding in findings:
            if finding.verdict.rank < Verdict.SUSPECT.rank:
                continue
            about = (
                finding.code,
                finding.service or "",
                finding.labels.get("env", ""),
                finding.site.id if finding.site is not None else finding.instance or "",
            )
            known = self._findings.pop(about, None)
            self._findings[about] = (now, finding.verdict)
            if known is None or known[1] is not finding.verdict:
                yield finding_event(finding, now)
        for about, (at, _) in list(self._findings.items()):  # the oldest first
            if 0 <= now - at <= HELD_S and len(self._findings) <= MAX_HELD:
                break
            del self._findings[about]


class _All:
    """Several sinks as one."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = sinks

    def take(self, segment: Segment) -> None:
        for sink in self._sinks:
            sink.take(segment)


def incident_event(incident: Incident, now: float) -> LogRecord:
    """What an incident is now, as an event called `parkwarden.incident`."""
    over = incident.state is IncidentState.RESOLVED
    severity = Severity.INFO if over else Severity.ERROR if incident.verdict.certain else Severity.WARN
    attributes: dict[str, type_of_value | None] = {
        "incident.id": incident.id,
        "incident.state": str(incident.state),
        "priority": str(incident.priority),
        "verdict": str(incident.verdict),
        "confidence": incident.confidence,
        "code": incident.code,
        "detector": incident.detector,
        "grade": str(incident.grade),
        "service": incident.service,
        "env": incident.env,
        "line": incident.line,
        "site": incident.site_id,
        "count": incident.count,
        "rate_per_min": incident.rate_per_min,
        "limit": incident.limit,
        "time_left_s": incident.time_left_s,
        "since": incident.since or None,
        "instances": ", ".join(incident.instances[:MAX_NAMED]),
        "instances.count": len(incident.instances),
        "evidence": ", ".join(incident.evidence[:MAX_NAMED]),
        "acknowledged_by": incident.acknowledged_by if incident.acknowledged else "",
        "advice": incident.advice,
    }
    return LogRecord(now, severity, "parkwarden.incident", inert(incident.title, 2_000), _told(attributes))


def finding_event(finding: Finding, now: float) -> LogRecord:
    """What a judge says now, as an event called `parkwarden.finding`."""
    severity = Severity.ERROR if finding.verdict.certain else Severity.WARN
    site, culprit = finding.site, finding.culprit
    attributes: dict[str, type_of_value | None] = {
        "verdict": str(finding.verdict),
        "confidence": finding.confidence,
        "code": finding.code,
        "detector": finding.pattern or finding.code,
        "grade": str(finding.grade),
        "service": finding.service or "",
        "env": finding.labels.get("env", ""),
        "line": f"{culprit.function} {culprit.file}:{culprit.line}" if culprit is not None else "",
        "site": site.id if site is not None else "",
        "count": finding.count,
        "rate_per_min": finding.rate_per_min,
        "instances": ", ".join((finding.instances or (finding.instance or "",))[:MAX_NAMED]),
        "advice": finding.advice,
    }
    return LogRecord(now, severity, "parkwarden.finding", inert(finding.title, 2_000), _told(attributes))


def _told(attributes: Mapping[str, type_of_value | None]) -> dict[str, type_of_value]:
    """Without what is not known, under our name."""
    return {
        f"{NAME}.{name}": inert(value, 2_000) if isinstance(value, str) else value
        for name, value in attributes.items()
        if value is not None and value != ""
    }


def points_of(status: WatchStatus, began: float, now: float) -> Iterator[MetricPoint]:
    """Our numbers as on /metrics, under OpenTelemetry's kind of names: parkwarden_stream_points_total is `parkwarden.stream_points`.
    Of open incidents count, growth and time left: `parkwarden.incident.*`."""
    for family in families(status):
        kind = MetricKind.COUNTER if family.counter else MetricKind.GAUGE
        name = family.name.replace("_", ".", 1)
        unit = UNITS.get(name.rpartition("_")[2], "")
        for labels, value in family.samples:
            attributes = dict(zip(family.labels, labels, strict=True))
            yield MetricPoint(name, unit, kind, float(value), now, began, attributes, family.text)
    worst = sorted(status.incidents, key=lambda i: (i.priority, -i.verdict.rank, i.since))
    for incident in worst[:MAX_INCIDENTS]:
        about = {
            "incident": incident.id,
            "service": incident.service,
            "env": incident.env,
            "detector": incident.detector,
        }
        for name, unit, number, text in (
            ("count", "{goroutine}", incident.count, "Goroutines, or whatever it counts, at the site."),
            ("growth", "{goroutine}/min", incident.rate_per_min, "How fast it grows."),
            ("time_left", "s", incident.time_left_s, "Until the nearest limit."),
        ):
            if number is not None:
                full = f"{NAME}.incident.{name}"
                yield MetricPoint(full, unit, MetricKind.GAUGE, float(number), now, 0.0, about, text)


def _version() -> str:
    try:
        return version(NAME)
    except PackageNotFoundError:  # run from a checkout
        return ""
