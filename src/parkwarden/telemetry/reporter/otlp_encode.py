"""Segments, log records and metric points as OTLP's export requests.

Names follow OpenTelemetry's semantic conventions where there is one: `service.*`, `server.address`, `server.port`. Ids are those
the tracer writes into W3C headers, so that our spans hang where the called say their parents are.
Source: opentelemetry-proto 1.9 (trace, logs, metrics, resource, collector).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from re import ASCII, compile
from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
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
KEPT, MAX_KEPT = 512, 64
"""Encoded attributes that are remembered, and their characters at most: routes, methods, peers are few and the same."""

_RESOURCE_SPANS, _RESOURCE, _SCOPE_SPANS, _SCOPE, _NAME, _SPAN = 0x0A, 0x0A, 0x12, 0x0A, 0x0A, 0x12
_SPAN_NAME, _ATTRIBUTE, _KEY, _VALUE, _STRING = 0x2A, 0x4A, 0x0A, 0x12, 0x0A
_TRACE_ID, _SPAN_ID, _PARENT_ID = b"\x0a\x10", b"\x12\x08", b"\x22\x08"
"""Tags as they stand on the wire (number << 3 | wire type), of ids with their lengths."""
_TIMES = Struct("<BQBQ").pack
"""Begin and end, each behind its tag."""
_KINDS = {
    kind: Span(kind=of).SerializeToString()
    for kind, of in (
        (SpanKind.ENTRY, Span.SPAN_KIND_SERVER),
        (SpanKind.EXIT, Span.SPAN_KIND_CLIENT),
        (SpanKind.LOCAL, Span.SPAN_KIND_INTERNAL),
    )
}


_RESPONSES: dict[Signal, tuple[Any, str]] = {
    Signal.TRACES: (ExportTraceServiceResponse, "rejected_spans"),
    Signal.LOGS: (ExportLogsServiceResponse, "rejected_log_records"),
    Signal.METRICS: (ExportMetricsServiceResponse, "rejected_data_points"),
}


def request_of(signal: Signal, items: Sequence[Item], origin: Origin) -> tuple[bytes, int]:
    """The request, serialized, and how many items could not be encoded. No items: an empty request, which servers take as well."""
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


def _traces(segments: Sequence[Segment], origin: Origin) -> tuple[bytes, int]:
    """Its common parts are written by hand: of a busy host these are most of what we cost, and this takes half of protobuf's time."""
    failed = 0
    told: dict[tuple[str, str], list[bytes]] = {}
    for segment in gently(segments):
        try:
            spans = _spans(segment)
        except (ValueError, TypeError, OverflowError, AttributeError, StructError):
            failed += 1
            continue
        told.setdefault((segment.service, segment.instance), []).append(spans)
    request = b""
    for who, bodies in told.items():
        resource = Resource()
        _resource(resource, origin, *who)
        scope = _field(_SCOPE, _field(_NAME, SCOPE.encode())) + b"".join(bodies)
        request += _field(
            _RESOURCE_SPANS, _field(_RESOURCE, resource.SerializeToString()) + _field(_SCOPE_SPANS, scope)
        )
    return request, failed


def _spans(segment: Segment) -> bytes:
    """A segment's part of a ScopeSpans."""
    trace_id = _TRACE_ID + bytes.fromhex(segment.w3c_id or w3c_trace_id(segment.trace_id))
    found = b""
    for span in segment.spans:
        name = (_short_name if len(span.name) <= MAX_KEPT else _long_name)(span.name, span.kind)
        times = _TIMES(0x39, _ns(span.start), 0x41, _ns(span.end))
        told = [trace_id, _SPAN_ID, _span_id(segment, span.span_id), name, times]
        links: tuple[Ref, ...] = ()
        if span.parent_id >= 0:
            told += _PARENT_ID, _span_id(segment, span.parent_id)
            links = span.refs
        elif span.refs:
            told += _PARENT_ID, _parent(span.refs[0])
            links = span.refs[1:]
        if span.peer:
            told.append(_peer(span.peer))
        for key, value in span.tags:
            told.append(_tag(key, value))
        if span.error or span.unfinished or links or span.logs:
            told.append(_rare(span, links))
        found += _field(_SPAN, b"".join(told))
    return found


def _rare(span: FinishedSpan, links: Sequence[Ref]) -> bytes:
    """What few spans have: a message's parts, serialized one after the other, are the message."""
    told = Span()
    for ref in links:
        link = told.links.add()
        link.trace_id, link.span_id = bytes.fromhex(w3c_trace_id(ref.trace_id)), _parent(ref)
    if span.error:
        told.status.code = Status.STATUS_CODE_ERROR
    if span.unfinished:
        _put(told.attributes, "parkwarden.unfinished", True)
    for log in span.logs:
        event = told.events.add()
        event.time_unix_nano = _ns(log.at)
        fields = dict(log.fields)
        event.name = text(fields.pop("event", "log"))
        for key, value in fields.items():
            _put(event.attributes, key, value)
    return told.SerializeToString()


def _long_name(name: str, kind: SpanKind) -> bytes:
    return _field(_SPAN_NAME, _utf8(name)) + _KINDS[kind]


_short_name = lru_cache(KEPT)(_long_name)


def _tag(key: str, value: str) -> bytes:
    return _short_tag(key, value) if len(key) + len(value) <= MAX_KEPT else _long_tag(key, value)


def _long_tag(key: str, value: str) -> bytes:
    return _field(_ATTRIBUTE, _field(_KEY, _utf8(key)) + _field(_VALUE, _field(_STRING, _utf8(value))))


_short_tag = lru_cache(KEPT)(_long_tag)


def _peer(peer: str) -> bytes:
    return _short_peer(peer) if len(peer) <= MAX_KEPT else _long_peer(peer)


def _long_peer(peer: str) -> bytes:
    host, _, port = peer.rpartition(":")
    named = bool(host) and port.isascii() and port.isdigit() and len(port) <= 5
    told = Span()
    _put(told.attributes, "server.address", host if named else peer)
    if named:
        _put(told.attributes, "server.port", int(port))
    return told.SerializeToString()


_short_peer = lru_cache(KEPT)(_long_peer)


def _span_id(segment: Segment, span_id: int) -> bytes:
    return bytes.fromhex(w3c_span_id(segment.segment_id, span_id))


def _field(tag: int, data: bytes) -> bytes:
    """A length-delimited field; `tag` as it stands on the wire."""
    size = len(data)
    if size < 0x80:
        return bytes((tag, size)) + data
    told = bytearray((tag,))
    while size >= 0x80:
        told.append(size & 0x7F | 0x80)
        size >>= 7
    told.append(size)
    return bytes(told) + data


def _utf8(value: str) -> bytes:
    """Lone surrogates become question marks."""
    return value.encode("utf-8", "replace")


def _parent(ref: Ref) -> bytes:
    """Of a W3C caller its span's own id, of ours the one we wrote into its headers."""
    if _W3C_SPAN.fullmatch(ref.segment_id):
        return bytes.fromhex(ref.segment_id)
    return bytes.fromhex(w3c_span_id(ref.segment_id, ref.span_id))


def _logs(records: Sequence[LogRecord], origin: Origin) -> tuple[bytes, int]:
    request, failed = ExportLogsServiceRequest(), 0
    if not records:
        return b"", 0
    told = request.resource_logs.add()
    _resource(told.resource, origin)
    scope = told.scope_logs.add()
    scope.scope.name = SCOPE
    for record in gently(records):
        try:
            scope.log_records.append(_log(record))
        except (ValueError, TypeError, OverflowError):
            failed += 1
    return request.SerializeToString(), failed


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


def _metrics(points: Sequence[MetricPoint], origin: Origin) -> tuple[bytes, int]:
    request, failed = ExportMetricsServiceRequest(), 0
    if not points:
        return b"", 0
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
    return request.SerializeToString(), failed


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
