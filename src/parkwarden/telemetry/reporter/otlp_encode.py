"""Segments, log records and metric points as OTLP's export requests.

Names follow OpenTelemetry's semantic conventions where there is one: `service.*`, `server.address`, `server.port`. Ids are those
the tracer writes into W3C headers, so that our spans hang where the called say their parents are.
Source: opentelemetry-proto 1.9 (trace, logs, metrics, resource, collector).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from re import ASCII, compile
from typing import Any, Protocol

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as LogMessage
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric, NumberDataPoint
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from parkwarden.telemetry.reporter.gently import gently, text
from parkwarden.telemetry.reporter.records import (
    Item,
    LogRecord,
    MetricKind,
    MetricPoint,
    Severity,
    Signal,
    type_of_value,
)
from parkwarden.telemetry.reporter.target import Origin
from parkwarden.telemetry.segment import FinishedSpan, Ref, Segment, SpanKind, w3c_span_id, w3c_trace_id

SCOPE = "parkwarden"
_W3C_SPAN = compile(r"[0-9a-f]{16}", ASCII)
_KINDS = {
    SpanKind.ENTRY: Span.SPAN_KIND_SERVER,
    SpanKind.EXIT: Span.SPAN_KIND_CLIENT,
    SpanKind.LOCAL: Span.SPAN_KIND_INTERNAL,
}


_RESPONSES: dict[Signal, tuple[Any, str]] = {
    Signal.TRACES: (ExportTraceServiceResponse, "rejected_spans"),
    Signal.LOGS: (ExportLogsServiceResponse, "rejected_log_records"),
    Signal.METRICS: (ExportMetricsServiceResponse, "rejected_data_points"),
}


class Request(Protocol):
    def SerializeToString(self) -> bytes: ...  # noqa: N802


def request_of(signal: Signal, items: Sequence[Item], origin: Origin) -> tuple[Request, int]:
    """The request, and how many items could not be encoded. No items: an empty request, which servers take as well."""
    if signal is Signal.TRACES:
        return _traces([item for item in items if isinstance(item, Segment)], origin)
    if signal is Signal.LOGS:
        return _logs([item for item in items if isinstance(item, LogRecord)], origin)
    return _metrics([item for item in items if isinstance(item, MetricPoint)], origin)


def partial_success(signal: Signal, answer: bytes) -> tuple[int, str]:
    """How many of what was sent the back end will not keep, and what it says to it. Of traces it counts spans."""
    response, field = _RESPONSES[signal]
    try:
        told: Any = response.FromString(answer).partial_success
    except DecodeError:
        return 0, ""
    return max(0, getattr(told, field)), told.error_message


def _traces(segments: Sequence[Segment], origin: Origin) -> tuple[Request, int]:
    request, failed = ExportTraceServiceRequest(), 0
    scopes: dict[tuple[str, str], Any] = {}
    for segment in gently(segments):
        who = segment.service, segment.instance
        if who not in scopes:
            told = request.resource_spans.add()
            _resource(told.resource, origin, *who)
            scopes[who] = told.scope_spans.add()
            scopes[who].scope.name = SCOPE
        spans = scopes[who].spans
        before = len(spans)
        try:
            trace_id = bytes.fromhex(segment.w3c_id or w3c_trace_id(segment.trace_id))
            for span in segment.spans:
                _span(spans.add(), trace_id, segment, span)
        except (ValueError, TypeError, OverflowError):
            del spans[before:]
            failed += 1
    return request, failed


def _span(told: Span, trace_id: bytes, segment: Segment, span: FinishedSpan) -> None:
    told.trace_id = trace_id
    told.span_id = bytes.fromhex(w3c_span_id(segment.segment_id, span.span_id))
    told.name = text(span.name)
    told.kind = _KINDS[span.kind]
    told.start_time_unix_nano = _ns(span.start)
    told.end_time_unix_nano = _ns(span.end)
    refs = list(span.refs)
    if span.parent_id >= 0:
        told.parent_span_id = bytes.fromhex(w3c_span_id(segment.segment_id, span.parent_id))
    elif refs:
        told.parent_span_id = _parent(refs.pop(0))
    for ref in refs:
        link = told.links.add()
        link.trace_id, link.span_id = bytes.fromhex(w3c_trace_id(ref.trace_id)), _parent(ref)
    if span.error:
        told.status.code = Status.STATUS_CODE_ERROR
    if span.peer:
        host, _, port = span.peer.rpartition(":")
        named = bool(host) and port.isascii() and port.isdigit() and len(port) <= 5
        _put(told.attributes, "server.address", host if named else span.peer)
        if named:
            _put(told.attributes, "server.port", int(port))
    for key, value in span.tags:
        _put(told.attributes, key, value)
    if span.unfinished:
        _put(told.attributes, "parkwarden.unfinished", True)
    for log in span.logs:
        event = told.events.add()
        event.time_unix_nano = _ns(log.at)
        fields = dict(log.fields)
        event.name = text(fields.pop("event", "log"))
        for key, value in fields.items():
            _put(event.attributes, key, value)


def _parent(ref: Ref) -> bytes:
    """Of a W3C caller its span's own id, of ours the one we wrote into its headers."""
    if _W3C_SPAN.fullmatch(ref.segment_id):
        return bytes.fromhex(ref.segment_id)
    return bytes.fromhex(w3c_span_id(ref.segment_id, ref.span_id))


def _logs(records: Sequence[LogRecord], origin: Origin) -> tuple[Request, int]:
    request, failed = ExportLogsServiceRequest(), 0
    if not records:
        return request, failed
    told = request.resource_logs.add()
    _resource(told.resource, origin)
    scope = told.scope_logs.add()
    scope.scope.name = SCOPE
    for record in gently(records):
        try:
            scope.log_records.append(_log(record))
        except (ValueError, TypeError, OverflowError):
            failed += 1
    return request, failed


def _log(record: LogRecord) -> LogMessage:
    told = LogMessage(
        time_unix_nano=_ns(record.at),
        observed_time_unix_nano=_ns(record.at),
        severity_number=SeverityNumber.ValueType(min(max(record.severity, 0), 24)),
        severity_text=severity_text(record.severity),
        event_name=text(record.event_name),
    )
    told.body.string_value = text(record.body)
    _all(told.attributes, record.attributes)
    if record.trace_id:
        told.trace_id = bytes.fromhex(w3c_trace_id(record.trace_id))
    if _W3C_SPAN.fullmatch(record.span_id):
        told.span_id = bytes.fromhex(record.span_id)
    return told


def severity_text(severity: int) -> str:
    known = [level for level in Severity if level <= severity]
    return known[-1].name if known else ""


def _metrics(points: Sequence[MetricPoint], origin: Origin) -> tuple[Request, int]:
    request, failed = ExportMetricsServiceRequest(), 0
    if not points:
        return request, failed
    told = request.resource_metrics.add()
    _resource(told.resource, origin)
    scope = told.scope_metrics.add()
    scope.scope.name = SCOPE
    metrics: dict[tuple[str, str, MetricKind], Metric] = {}
    for point in gently(points):
        key = point.name, point.unit, point.kind
        try:
            if key not in metrics:
                metrics[key] = _metric(scope.metrics.add(), point)
            _point(metrics[key], point)
        except (ValueError, TypeError, OverflowError):
            failed += 1
    return request, failed


def _metric(told: Metric, point: MetricPoint) -> Metric:
    told.name, told.unit, told.description = text(point.name), text(point.unit), text(point.description)
    if point.kind is MetricKind.COUNTER:
        told.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        told.sum.is_monotonic = True
    return told


def _point(metric: Metric, point: MetricPoint) -> None:
    number = NumberDataPoint(time_unix_nano=_ns(point.at), as_double=point.value)
    if point.start > 0:
        number.start_time_unix_nano = _ns(point.start)
    _all(number.attributes, point.attributes)
    (metric.sum if point.kind is MetricKind.COUNTER else metric.gauge).data_points.append(number)


def _resource(told: Resource, origin: Origin, service: str = "", instance: str = "") -> None:
    known = {
        "service.name": service or origin.service,
        "service.instance.id": instance or origin.instance,
        "service.namespace": origin.namespace,
        "service.version": origin.version,
    }
    for key, value in known.items():
        if value:
            _put(told.attributes, key, value)
    _all(told.attributes, {key: value for key, value in origin.attributes.items() if key not in known})


def _all(told: Any, attributes: Mapping[str, type_of_value]) -> None:
    for key, value in attributes.items():
        _put(told, key, value)


def _put(told: Any, key: str, value: type_of_value) -> None:
    pair = told.add()
    pair.key = text(key)
    if isinstance(value, str):
        pair.value.string_value = text(value)
    elif isinstance(value, bool):
        pair.value.bool_value = value
    elif isinstance(value, int):
        pair.value.int_value = value
    else:
        pair.value.double_value = value


def _ns(seconds: float) -> int:
    return max(0, int(seconds * 1e9))
