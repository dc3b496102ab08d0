"""The services a drill starts: the order desk of lab/instrumented, by how it is instrumented, or the user's own."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parkwarden.model.errors import ParkwardenError, UnreachableError, UsageError
from parkwarden.run._drill_tally import LOGS, SEGMENTS, SPANS
from parkwarden.run._lab_process import LabProcess, fetch, spawn, start_service

TRUTH_TIMEOUT_S = 2.0
READY_S = 60.0
"""The user's own service may have to warm up."""
READY_POLL_S = 0.1
BACKEND = "{backend}"
"""Stands for the back end's host:port in the command of the user's own service."""


RECURSION = "reporter-recursion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilled:
    """One service as a trial needs it."""

    name: str
    start: Callable[[str, Path], LabProcess]
    """Of the back end's `host:port` and the log's path; it answers when this returns. Its `url` is that of its debug pages."""
    work: Callable[[LabProcess], str]
    """The URL to load."""
    made: Callable[[LabProcess], dict[str, int]] | None = None
    """Telemetry made so far, by signal; None where the service does not tell."""
    said_lines: Callable[[LabProcess], int | None] = lambda _service: None
    """Lines the telemetry has written into the service's log; None where they cannot be told from the service's own."""


METRICS_EVERY_S = 10
"""OpenTelemetry's default of a minute is longer than most drills; SkyWalking's is 20 s. Both are set to this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskKind:
    """How one desk is built, told where to send, and asked what it made."""

    name: str
    title: str
    build: str
    """The folder in lab/instrumented."""
    env: Callable[[str], dict[str, str]]
    """Of the back end's `host:port`."""
    made: Callable[[Mapping[str, Any]], dict[str, int]]
    """Of its /truth: items by signal."""
    prints_orders: bool
    """Whether each order is a line in its own log."""


def desk(kind: DeskKind, program: Path) -> Drilled:
    """The order desk, built."""

    def start(backend: str, log: Path) -> LabProcess:
        return start_service(kind.name, program, log, env=kind.env(backend))

    def said_lines(service: LabProcess) -> int | None:
        with contextlib.suppress(ParkwardenError, OSError):
            own = int(_truth(service)["told"]["logs"]) if kind.prints_orders else 0
            return service.log.read_bytes().count(b"\n") - own
        return None

    return Drilled(
        name=kind.name,
        start=start,
        work=lambda service: f"{service.url}/order?item=7",
        made=lambda service: kind.made(_truth(service)),
        said_lines=said_lines,
    )


def recursion(program: Path) -> Drilled:
    """The lab `reporter-recursion`: an agent that dies of a full queue. To see that a drill sees it."""

    def start(backend: str, log: Path) -> LabProcess:
        return start_service(RECURSION, program, log, ("-backend", f"http://{backend}"))

    return Drilled(name=RECURSION, start=start, work=lambda service: f"{service.url}/orders")


def own_service(command: tuple[str, ...], url: str, debug: str) -> Drilled:
    """The user's own: `command` is started for each trial, `url` is loaded, `debug` has its pprof pages."""
    name = Path(command[0]).name

    def start(backend: str, log: Path) -> LabProcess:
        env = dict(os.environ) | {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{backend}",
            "SW_AGENT_REPORTER_GRPC_BACKEND_SERVICE": backend,
        }
        try:
            service = spawn(name, [part.replace(BACKEND, backend) for part in command], log, debug, env)
        except OSError as error:
            raise UsageError("drill-command", f"{name} cannot be started: {error.strerror}") from error
        try:
            _await(service, url)
        except BaseException:
            service.stop()
            raise
        return service

    return Drilled(name=name, start=start, work=lambda _service: url)


def _await(service: LabProcess, url: str) -> None:
    while time.monotonic() < service.started + READY_S and service.alive:
        with contextlib.suppress(UnreachableError):
            fetch(url, TRUTH_TIMEOUT_S)
            return
        time.sleep(READY_POLL_S)
    how = f"did not answer at {url} within {READY_S:.0f} s" if service.alive else "ended at once"
    raise ParkwardenError("drill-not-ready", f"{service.name} {how}", context=service.said())


def _truth(service: LabProcess) -> dict[str, Any]:
    """What the desk says of itself. Raises UnreachableError."""
    try:
        told = json.loads(service.get("/truth", TRUTH_TIMEOUT_S))
    except ValueError as error:
        raise UnreachableError("drill-no-truth", "the desk's /truth is no JSON") from error
    if not isinstance(told, dict):
        raise UnreachableError("drill-no-truth", "the desk's /truth is no object")
    return told


def _otlp(protocol: str) -> Callable[[str], dict[str, str]]:
    def env(backend: str) -> dict[str, str]:
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{backend}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_METRIC_EXPORT_INTERVAL": str(METRICS_EVERY_S * 1000),
        }

    return env


def _skywalking(backend: str) -> dict[str, str]:
    return {
        "SW_AGENT_NAME": "desk",
        "SW_AGENT_REPORTER_GRPC_BACKEND_SERVICE": backend,
        "SW_AGENT_METER_COLLECT_INTERVAL": str(METRICS_EVERY_S),
    }


def _otel_made(truth: Mapping[str, Any]) -> dict[str, int]:
    return {SPANS: int(truth["told"]["spans"]), LOGS: int(truth["told"]["logs"])}


def _skywalking_made(truth: Mapping[str, Any]) -> dict[str, int]:
    # a request served is a segment, whatever it asked for
    return {SEGMENTS: int(truth["requests"]), LOGS: int(truth["told"]["logs"])}


DESKS = {
    one.name: one
    for one in (
        DeskKind(
            name="otel",
            title="OpenTelemetry Go SDK, OTLP/gRPC",
            build="otel",
            env=_otlp("grpc"),
            made=_otel_made,
            prints_orders=False,
        ),
        DeskKind(
            name="otel-http",
            title="OpenTelemetry Go SDK, OTLP/HTTP",
            build="otel",
            env=_otlp("http/protobuf"),
            made=_otel_made,
            prints_orders=False,
        ),
        DeskKind(
            name="skywalking",
            title="SkyWalking Go agent",
            build="skywalking",
            env=_skywalking,
            made=_skywalking_made,
            prints_orders=True,
        ),
    )
}
