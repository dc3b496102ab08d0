"""The services a drill starts: the order desk of lab/instrumented, by how it is instrumented."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from parkwarden.run._drill_tally import LOGS, SEGMENTS, SPANS

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
