from __future__ import annotations

from collections import Counter

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.formats.otlp_metrics import MAX_PARTS, Message, Point, read_json, read_protobuf
from parkwarden.model import FormatError, LimitError
from tests.collect.streams.otlp.messages import DELTA, SHOP, Request, runtime

NOON = 1_790_000_000.0


def both(request: Request) -> list[Message]:
    return [read_protobuf(request.body()), read_json(request.json())]


def told(message: Message) -> tuple[list[Point], Counter[str]]:
    counts: Counter[str] = Counter()
    return [point for resource in message.resources for point in resource.told(counts)], counts


def values(message: Message) -> dict[str, float]:
    return {point.field: point.value for point in told(message)[0]}


def test_what_the_go_sdk_sends_is_read_by_either_encoding_alike() -> None:
    """Semantic conventions' names become fields, with times in seconds; what no field exists for is counted."""
    for message in both(runtime(NOON, NOON - 60, 412)):
        points, counts = told(message)
        assert message.points == 8
        assert counts == {"no-field": 2}  # allocations, GOGC
        assert {p.field for p in points} == {"sys", "total_alloc", "next_gc", "goroutines", "gomaxprocs"}
        assert {(p.at, p.start) for p in points} == {(NOON, NOON - 60)}
        assert message.resources[0].attributes() == SHOP


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("process.runtime.go.goroutines", "goroutines"),
        ("runtime.go.goroutines", "goroutines"),
        ("go_goroutines", "goroutines"),
        ("runtime.go.mem.heap_inuse", "heap_inuse"),
        ("process.memory.physical_usage", "rss"),
        ("process.open_file_descriptors", "open_fds"),
        ("process_start_time_seconds", "start_time"),
    ],
)
def test_older_names_and_prometheus_names_mean_the_same(name: str, field: str) -> None:
    """Names of old SDKs, of the Prometheus bridge and of the host metrics receiver are known."""
    for message in both(Request(NOON).of().gauge(name, 5)):
        assert values(message) == {field: 5.0}


def test_uptime_is_told_in_its_own_unit() -> None:
    """runtime.uptime is milliseconds, process.uptime seconds."""
    request = Request(NOON).of().sum("runtime.uptime", (60_000, {}))
    assert values(read_protobuf(request.body())) == {"uptime": 60.0}


def test_only_the_states_that_count_are_added() -> None:
    """CPU time is user and system, not the wait of a host's process scraper; go.cpu.time is the collector's share."""
    request = Request(NOON, NOON - 9).of()
    request.sum("process.cpu.time", *[(n, {"state": s}) for n, s in ((1.0, "user"), (2.0, "system"), (4.0, "wait"))])
    request.sum("go.cpu.time", *[(n, {"go.cpu.state": s}) for n, s in ((8.0, "gc"), (16.0, "user"))])
    for message in both(request):
        points, counts = told(message)
        assert sorted((p.field, p.value) for p in points) == [("cpu_s", 1.0), ("cpu_s", 2.0), ("gc_cpu_s", 8.0)]
        assert counts == {"no-field": 2}


def test_histograms_and_summaries_tell_their_count() -> None:
    """Requests are the count of their durations; the same name as a number is something else."""
    request = Request(NOON, NOON - 9).of().histogram("http.server.request.duration", 3, 4)
    request.gauge("http.server.request.duration", 5)
    for message in both(request):
        points, counts = told(message)
        assert [(p.field, p.value) for p in points] == [("requests_total", 3.0), ("requests_total", 4.0)]
        assert points[0].key != points[1].key
        assert counts == {"no-field": 1}


def test_what_says_nothing_costs_itself_and_is_counted_by_why() -> None:
    """No time, no value, NaN, a delta of a level, an ended series, a limit that is none: left out, the others are read."""
    request = Request(NOON).of().gauge("go_goroutines", 7).gauge("go_threads", float("nan"))
    request.sum("go.goroutine.count", (3, {}), monotonic=False, temporality=DELTA)
    request.sum("go.memory.allocated", (3, {}), temporality=0)
    request.gauge("go.memory.limit", 2**63 - 1)
    metrics = request.message.resource_metrics[0].scope_metrics[0].metrics
    metrics.add(name="process_open_fds").gauge.data_points.add(as_int=3)
    metrics.add(name="process_open_fds").gauge.data_points.add(time_unix_nano=5, flags=1)
    metrics.add(name="process_open_fds").gauge.data_points.add(time_unix_nano=5)
    metrics.add(name="process_open_fds")
    for message in both(request):
        points, counts = told(message)
        assert [(p.field, p.value) for p in points] == [("goroutines", 7.0)]
        assert counts == {"malformed": 3, "delta-of-level": 1, "no-value": 2, "no-time": 1, "no-field": 0}


@pytest.mark.parametrize("body", [b"\xff", b"not", b"\x0a\x05x"])
def test_what_is_no_request_is_refused_as_malformed(body: bytes) -> None:
    """Both readers raise FormatError and nothing else."""
    for read in (read_protobuf, read_json):
        with pytest.raises(FormatError):
            read(body)


def test_more_parts_than_any_sender_sends_are_refused() -> None:
    """A message of empty parts costs time and memory by their number: LimitError before they are looked at."""
    with pytest.raises(LimitError):
        read_protobuf(b"\x0a\x00" * (MAX_PARTS + 1))
    with pytest.raises(LimitError):
        read_json(b'{"resourceMetrics":[' + b"{}," * MAX_PARTS + b"{}]}")


def test_json_of_strange_shapes_is_left_out_piece_by_piece() -> None:
    """A list where an object belongs, a number too long for a number, unknown fields: each costs itself."""
    good = {"timeUnixNano": "1790000000000000000", "asInt": "7", "what": {"is": ["this"]}}
    bad = [
        3,
        None,
        {"asInt": "9" * 5000, "timeUnixNano": 1},
        {"asInt": [], "timeUnixNano": 1},
        {"asInt": True, "timeUnixNano": -4},
    ]
    metrics = [
        {"name": "go_goroutines", "gauge": {"dataPoints": [*bad, good]}},
        {"name": 5, "gauge": {}},
        "x",
        {"name": "y", "sum": 4},
    ]
    document = {"resourceMetrics": [{"resource": 4, "scopeMetrics": [{"metrics": metrics}, 3]}, {}, "q"], "new": 1}
    points, counts = told(read_json(orjson.dumps(document)))
    assert [(p.field, p.value, p.at) for p in points] == [("goroutines", 7.0, NOON)]
    assert counts == {"malformed": 2, "no-time": 1, "no-field": 0}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70).filter(lambda n: -(2**63) < n < 2**64) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ("resourceMetrics", "resource", "attributes", "key", "value", "stringValue", "scopeMetrics", "metrics", "name", "gauge",
             "sum", "histogram", "dataPoints", "asInt", "asDouble", "timeUnixNano", "flags", "count", "aggregationTemporality")
        ),
        inner,
        max_size=6,
    ),
    max_leaves=20,
)  # fmt: skip


@given(JSON)
def test_no_json_raises_anything_but_format_errors(document: object) -> None:
    """Whatever the shape, points come or are counted."""
    try:
        message = read_json(orjson.dumps(document))
    except FormatError:
        return
    points, counts = told(message)
    assert len(points) + counts.total() == message.points
    assert all(isinstance(v, str) for resource in message.resources for v in resource.attributes().values())


@given(st.integers(0, 400), st.binary(max_size=4))
def test_damaged_protobuf_raises_nothing_but_format_errors(at: int, bytes_: bytes) -> None:
    """Any bytes over a real message: an error, or points that are all accounted for."""
    body = bytearray(runtime(NOON, NOON - 60, 412).body())
    body[at : at + len(bytes_)] = bytes_
    try:
        message = read_protobuf(bytes(body))
    except FormatError:
        return
    points, counts = told(message)
    assert len(points) + counts.total() == message.points
