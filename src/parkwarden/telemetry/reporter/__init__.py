"""Bringing segments, log records and metric points to a back end, without ever harming the host. See docs/telemetry.md."""

from parkwarden.telemetry.reporter.otlp import OtlpGrpc, OtlpHttp
from parkwarden.telemetry.reporter.records import (
    Account,
    LogRecord,
    MetricKind,
    MetricPoint,
    Reason,
    Severity,
    Signal,
    Tally,
)
from parkwarden.telemetry.reporter.reporter import Reporter
from parkwarden.telemetry.reporter.settings import ReporterSettings
from parkwarden.telemetry.reporter.skywalking import SkyWalkingGrpc
from parkwarden.telemetry.reporter.spool import Spool
from parkwarden.telemetry.reporter.target import Origin, Target
from parkwarden.telemetry.reporter.transport import Ending, Outcome, Transport

__all__ = [
    "Account",
    "Ending",
    "LogRecord",
    "MetricKind",
    "MetricPoint",
    "Origin",
    "OtlpGrpc",
    "OtlpHttp",
    "Outcome",
    "Reason",
    "Reporter",
    "ReporterSettings",
    "Severity",
    "Signal",
    "SkyWalkingGrpc",
    "Spool",
    "Tally",
    "Target",
    "Transport",
]
