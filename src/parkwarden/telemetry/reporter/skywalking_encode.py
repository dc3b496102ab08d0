"""Segments, log records and metric points as SkyWalking's messages. Times are milliseconds.

Source: apache/skywalking-data-collect-protocol (Tracing, Logging, Meter, Management); values of layer and component as
SkyWalking's own Python agent uses them.
"""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Iterable, Sequence

from parkwarden.protos import skywalking_pb2 as pb
from parkwarden.telemetry.reporter.gently import gently, text
from parkwarden.telemetry.reporter.otlp_encode import severity_text
from parkwarden.telemetry.reporter.records import Item, LogRecord, MetricPoint, type_of_value
from parkwarden.telemetry.reporter.target import Origin
from parkwarden.telemetry.segment import FinishedSpan, Ref, RefKind, Segment, SpanKind

COMPONENT = 7000
"""component-libraries.yml: Python, without saying what of it."""
LAYER = "GENERAL"
_KINDS = {SpanKind.ENTRY: pb.SpanType.Entry, SpanKind.EXIT: pb.SpanType.Exit, SpanKind.LOCAL: pb.SpanType.Local}
_REFS = {RefKind.CROSS_PROCESS: pb.RefType.CrossProcess, RefKind.CROSS_THREAD: pb.RefType.CrossThread}
_LAYERS = {
    "http": pb.SpanLayer.Http,
    "url": pb.SpanLayer.Http,
    "db": pb.SpanLayer.Database,
    "rpc": pb.SpanLayer.RPCFramework,
    "messaging": pb.SpanLayer.MQ,
    "mq": pb.SpanLayer.MQ,
    "cache": pb.SpanLayer.Cache,
}
"""What a span's tags begin with says which layer it is of."""


def messages_of(items: Sequence[Item], origin: Origin) -> tuple[list[bytes], int]:
    """Serialized messages of one signal, and how many items could not be encoded. Points become one MeterDataCollection."""
    found: list[bytes] = []
    meters = pb.MeterDataCollection()
    failed = 0
    for item in gently(items):
        try:
            if isinstance(item, Segment):
                found.append(segment_of(item, origin).SerializeToString())
            elif isinstance(item, LogRecord):
                found.append(log_of(item, origin).SerializeToString())
            else:
                meters.meterData.append(meter_of(item, origin, first=not meters.meterData))
        except (ValueError, TypeError, OverflowError):
            failed += 1
    if meters.meterData:
        found.append(meters.SerializeToString())
    return found, failed


def segment_of(segment: Segment, origin: Origin) -> pb.SegmentObject:
    told = pb.SegmentObject(
        traceId=text(segment.trace_id),
        traceSegmentId=text(segment.segment_id),
        service=text(segment.service or origin.service),
        serviceInstance=text(segment.instance or origin.instance),
        isSizeLimited=segment.size_limited,
    )
    for span in segment.spans:
        _span(told.spans.add(skipAnalysis=segment.skip_analysis), span)
    return told


def _span(told: pb.SpanObject, span: FinishedSpan) -> None:
    told.spanId, told.parentSpanId = span.span_id, span.parent_id
    told.startTime, told.endTime = _ms(span.start), _ms(span.end)
    told.operationName, told.peer = text(span.name), text(span.peer)
    told.spanType, told.componentId, told.isError = _KINDS[span.kind], COMPONENT, span.error
    told.spanLayer = _layer(span.tags)
    for ref in span.refs:
        _ref(told.refs.add(), ref)
    _pairs(told.tags, span.tags)
    if span.unfinished:
        told.tags.add(key="parkwarden.unfinished", value="true")
    for log in span.logs:
        _pairs(told.logs.add(time=_ms(log.at)).data, log.fields)


def _layer(tags: Iterable[tuple[str, str]]) -> pb.SpanLayer:
    for key, _ in tags:
        found = _LAYERS.get(key.partition(".")[0])
        if found is not None:
            return found
    return pb.SpanLayer.Unknown


def _ref(told: pb.SegmentReference, ref: Ref) -> None:
    told.refType = _REFS[ref.kind]
    told.traceId, told.parentTraceSegmentId, told.parentSpanId = text(ref.trace_id), text(ref.segment_id), ref.span_id
    told.parentService, told.parentServiceInstance = text(ref.service), text(ref.instance)
    told.parentEndpoint, told.networkAddressUsedAtPeer = text(ref.endpoint), text(ref.peer)


def log_of(record: LogRecord, origin: Origin) -> pb.LogData:
    told = pb.LogData(
        timestamp=_ms(record.at),
        service=text(origin.service),
        serviceInstance=text(origin.instance),
        body=pb.LogDataBody(type="TEXT", text=pb.TextLog(text=text(record.body))),
        layer=LAYER,
    )
    if record.trace_id:
        told.traceContext.traceId, told.traceContext.traceSegmentId, told.traceContext.spanId = (
            text(record.trace_id),
            "N/A",
            -1,
        )
    told.tags.data.add(key="LEVEL", value=severity_text(record.severity))
    if record.event_name:
        told.tags.data.add(key="event.name", value=text(record.event_name))
    _pairs(told.tags.data, ((key, _said(value)) for key, value in record.attributes.items()))
    return told


def meter_of(point: MetricPoint, origin: Origin, first: bool) -> pb.MeterData:
    """Only the first of a collection says whose it is, and all of a collection are of its time."""
    told = pb.MeterData(singleValue=pb.MeterSingleValue(name=meter_name(point.name), value=point.value))
    for key, value in point.attributes.items():
        told.singleValue.labels.add(name=meter_name(key), value=text(_said(value)))
    if first:
        told.service, told.serviceInstance, told.timestamp = text(origin.service), text(origin.instance), _ms(point.at)
    return told


def meter_name(name: str) -> str:
    """The analysis language of its server reads letters, digits and underscores."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)


def properties_of(origin: Origin) -> bytes:
    told = pb.InstanceProperties(service=text(origin.service), serviceInstance=text(origin.instance), layer=LAYER)
    known = {
        "language": "python", "Process No.": str(os.getpid()), "hostname": socket.gethostname(),
        "OS Name": platform.system(), "version": origin.version, "namespace": origin.namespace,
    }  # fmt: skip
    _pairs(told.properties, ((key, value) for key, value in known.items() if value))
    _pairs(told.properties, ((key, _said(value)) for key, value in origin.attributes.items()))
    return told.SerializeToString()


def ping_of(origin: Origin) -> bytes:
    return pb.InstancePingPkg(
        service=text(origin.service), serviceInstance=text(origin.instance), layer=LAYER
    ).SerializeToString()


def _pairs(told: object, pairs: Iterable[tuple[str, str]]) -> None:
    for key, value in pairs:
        told.add(key=text(key), value=text(value))  # type: ignore[attr-defined]


def _said(value: type_of_value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _ms(seconds: float) -> int:
    return max(0, int(seconds * 1000))
