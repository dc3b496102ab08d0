"""What goes over the wire is what was handed in, in the back end's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from parkwarden.telemetry import FinishedSpan, Ref, RefKind, Segment, SpanKind, SpanLog
from parkwarden.telemetry.reporter import LogRecord, MetricKind, MetricPoint, Origin, Signal
from parkwarden.telemetry.reporter.otlp import grpc_delay, http_delay
from parkwarden.telemetry.reporter.otlp_encode import partial_success, request_of
from parkwarden.telemetry.reporter.skywalking_encode import log_of, messages_of, meter_name, properties_of, segment_of
from parkwarden.telemetry.segment import w3c_span_id, w3c_trace_id
from tests.telemetry.reporter.things import point, segment

ORIGIN = Origin("shop", "shop-1", "team", "1.2", {"host.name": "h", "cores": 2, "spot": True})
W3C = Ref(RefKind.CROSS_PROCESS, "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 0)
OURS = Ref(RefKind.CROSS_THREAD, "t", "parent", 3, "cart", "cart-1", "GET /", "shop:80")


def traced(*refs: Ref) -> Segment:
    root = FinishedSpan(
        0, -1, SpanKind.ENTRY, "GET /cart", "", 10.0, 12.5, True, (("http.route", "/cart"),),
        (SpanLog(11.0, (("event", "error"), ("error.kind", "KeyError"))),), refs, True,
    )  # fmt: skip
    call = FinishedSpan(1, 0, SpanKind.EXIT, "SELECT", "db:5432", 10.5, 11.5, False, (("db.system", "pg"),), (), ())
    return Segment("t", "seg", "shop", "shop-2", (call, root), True)


def test_a_segment_becomes_spans_that_hang_where_headers_say() -> None:
    """Ids are those written into W3C headers; the first ref is the parent, others are links."""
    request, failed = request_of(Signal.TRACES, [traced(W3C, OURS)], ORIGIN)
    [told] = ExportTraceServiceRequest.FromString(request).resource_spans
    assert failed == 0
    resource = {pair.key: pair.value for pair in told.resource.attributes}
    assert resource["service.name"].string_value == "shop"
    assert resource["service.instance.id"].string_value == "shop-2"
    assert (resource["cores"].int_value, resource["spot"].bool_value) == (2, True)
    call, root = told.scope_spans[0].spans
    assert {span.trace_id.hex() for span in (call, root)} == {w3c_trace_id("t")}
    assert call.parent_span_id == root.span_id == bytes.fromhex(w3c_span_id("seg", 0))
    assert root.parent_span_id.hex() == W3C.segment_id
    assert [link.span_id.hex() for link in root.links] == [w3c_span_id("parent", 3)]
    assert (root.kind, call.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT)
    assert (root.start_time_unix_nano, root.end_time_unix_nano) == (10 * 10**9, 12_500_000_000)
    assert root.status.code == Status.STATUS_CODE_ERROR
    assert root.events[0].name == "error"
    of_call = {pair.key: pair.value for pair in call.attributes}
    assert (of_call["server.address"].string_value, of_call["server.port"].int_value) == ("db", 5432)


def test_logs_and_points_become_otlps() -> None:
    """Severity, event name, trace; gauges and cumulative counters, one metric for all points of a name."""
    record = LogRecord(5.0, 17, "parkwarden.incident", "leak", {"n": 3, "f": 0.5, "b": True}, "t", "00f067aa0ba902b7")
    request, _ = request_of(Signal.LOGS, [record], ORIGIN)
    told = ExportLogsServiceRequest.FromString(request).resource_logs[0].scope_logs[0].log_records[0]
    assert (told.severity_number, told.severity_text, told.event_name) == (17, "ERROR", "parkwarden.incident")
    assert (told.trace_id.hex(), told.span_id.hex()) == (w3c_trace_id("t"), record.span_id)
    assert {pair.key: pair.value.WhichOneof("value") for pair in told.attributes} == {
        "n": "int_value", "f": "double_value", "b": "bool_value",
    }  # fmt: skip
    counter = MetricPoint("looks", "{look}", MetricKind.COUNTER, 3.0, 9.0, 1.0, {"kind": "heap"}, "Looks taken")
    request, _ = request_of(Signal.METRICS, [point(1.0), counter, point(2.0)], ORIGIN)
    gauge, total = ExportMetricsServiceRequest.FromString(request).resource_metrics[0].scope_metrics[0].metrics
    assert [number.as_double for number in gauge.gauge.data_points] == [1.0, 2.0]
    assert (total.sum.is_monotonic, total.sum.aggregation_temporality) == (True, 2)
    assert total.sum.data_points[0].start_time_unix_nano == 10**9


def test_a_segment_becomes_skywalkings() -> None:
    """Refs, kinds, layers by tags, milliseconds; the root keeps its -1."""
    told = segment_of(traced(OURS), ORIGIN)
    call, root = told.spans
    assert (told.traceId, told.traceSegmentId, told.serviceInstance, told.isSizeLimited) == ("t", "seg", "shop-2", True)
    assert (root.parentSpanId, root.spanType, root.spanLayer, root.isError) == (-1, 0, 3, True)
    assert (call.parentSpanId, call.spanType, call.spanLayer, call.peer) == (0, 1, 1, "db:5432")
    assert (root.startTime, root.endTime, root.logs[0].time) == (10_000, 12_500, 11_000)
    ref = root.refs[0]
    assert (ref.refType, ref.parentTraceSegmentId, ref.parentSpanId, ref.parentService) == (1, "parent", 3, "cart")
    assert ref.networkAddressUsedAtPeer == "shop:80"


def test_logs_points_and_properties_become_skywalkings() -> None:
    """LEVEL as its agents write it; only the first meter says whose it is; names its server can read."""
    told = log_of(LogRecord(5.0, 13, "e", "x", {"b": True}, "t"), ORIGIN)
    assert (told.timestamp, told.body.text.text, told.traceContext.traceId) == (5000, "x", "t")
    assert {(tag.key, tag.value) for tag in told.tags.data} == {("LEVEL", "WARN"), ("event.name", "e"), ("b", "true")}
    [message], failed = messages_of([point(1.0), point(2.0)], ORIGIN)
    assert failed == 0
    assert message.count(b"shop-1") == 1
    assert meter_name("go.goroutine.count") == "go_goroutine_count"
    assert b"python" in properties_of(ORIGIN)


@given(st.lists(st.tuples(st.text(max_size=400), st.text(max_size=300), st.text(max_size=300)), max_size=4))
def test_spans_written_by_hand_are_what_protobuf_reads(told: list[tuple[str, str, str]]) -> None:
    """Names, tags and peers of any length and letters, of several services: all come out as they went in."""
    segments = [
        Segment("t", f"s{number}", service, "", (FinishedSpan(
            0, -1, SpanKind.LOCAL, name, "", 1.0, 2.0, False, ((name, value), ("key", value)), (), (),
        ),))
        for number, (service, name, value) in enumerate(told)
    ]  # fmt: skip
    request, failed = request_of(Signal.TRACES, segments, ORIGIN)
    assert failed == 0
    read = [
        (one.resource.attributes[0].value.string_value, span)
        for one in ExportTraceServiceRequest.FromString(request).resource_spans
        for span in one.scope_spans[0].spans
    ]
    assert sorted(
        (service, span.span_id.hex(), span.name, *((pair.key, pair.value.string_value) for pair in span.attributes))
        for service, span in read
    ) == sorted(
        (_read(service) or "shop", w3c_span_id(f"s{number}", 0), _read(name), (_read(name), _read(value)), ("key", _read(value)))
        for number, (service, name, value) in enumerate(told)
    )  # fmt: skip


def _read(told: str) -> str:
    return told.encode("utf-8", "replace").decode()


@given(st.text(), st.text(), st.floats() | st.integers() | st.booleans() | st.text(), st.floats())
def test_anything_is_encoded_or_counted(name: str, body: str, value: float | str, number: float) -> None:
    """Lone surrogates, infinities, times before 1970: nothing raises, nothing vanishes."""
    items = {
        Signal.TRACES: [Segment(name, body, name, body, segment().spans)],
        Signal.LOGS: [LogRecord(number, 9, name, body, {name: value}, body, body)],
        Signal.METRICS: [MetricPoint(name, body, MetricKind.GAUGE, number, number, 0.0, {name: value})],
    }
    for signal, told in items.items():
        request, failed = request_of(signal, told, ORIGIN)
        assert failed in (0, 1)
        assert request or failed
        messages, failed = messages_of(told, ORIGIN)
        assert len(messages) + failed == 1


@pytest.mark.parametrize("signal", list(Signal))
def test_no_items_make_an_empty_request(signal: Signal) -> None:
    """The probe: valid, and with nothing in it."""
    assert request_of(signal, [], ORIGIN) == (b"", 0)


@given(st.binary(max_size=40))
def test_answers_may_be_anything(answer: bytes) -> None:
    """A back end's answers and details are read without raising."""
    for signal in Signal:
        assert partial_success(signal, answer)[0] >= 0
    assert (grpc_delay(answer) or 0.0) >= 0.0


@given(st.text(max_size=40))
def test_retry_after_may_be_anything(told: str) -> None:
    """Seconds, a date, or nonsense."""
    assert (http_delay(told, 0.0) or 0.0) >= 0.0
    assert http_delay("7", 0.0) == 7.0
    assert http_delay("Thu, 01 Jan 1970 00:01:00 GMT", 10.0) == 50.0
