"""Headers: what the specifications say, and what anybody may send."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.telemetry.carrier import (
    MAX_ENDPOINT,
    MAX_HEADER,
    MAX_NAME,
    extract,
    inject,
    inject_unsampled,
    read_sw8,
    read_traceparent,
    write_sw8,
)
from parkwarden.telemetry.segment import Ref, RefKind, w3c_span_id, w3c_trace_id

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
IDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=100)


def sw8(sample: str = "1", trace: str = "t.1.2", segment: str = "s.1.2", span: str = "3", *rest: str) -> str:
    return "-".join(
        [sample, b64(trace), b64(segment), span, *(b64(text) for text in rest or ("svc", "inst", "/e", "p:1"))]
    )


def b64(text: str) -> str:
    return b64encode(text.encode()).decode()


def test_the_example_of_the_specification_is_read() -> None:
    """sw8 as apache/skywalking's own document gives it."""
    header = "1-TRACEID-SEGMENTID-3-PARENT_SERVICE-PARENT_INSTANCE-PARENT_ENDPOINT-IPPORT"
    texts = ("TRACEID", "SEGMENTID", "PARENT_SERVICE", "PARENT_INSTANCE", "PARENT_ENDPOINT", "IPPORT")
    for text in texts:
        header = header.replace(text, b64(text), 1)
    carrier = read_sw8(header)
    assert carrier.sampled
    assert carrier.ref == Ref(
        RefKind.CROSS_PROCESS, "TRACEID", "SEGMENTID", 3, "PARENT_SERVICE", "PARENT_INSTANCE", "PARENT_ENDPOINT", "IPPORT"
    )  # fmt: skip


@pytest.mark.parametrize(
    "header",
    [
        "garbage",
        "1-%%%-y-0-a-b-c-d",  # what made a Flask host with SkyWalking's Python agent answer 500
        "-".join(sw8().split("-")[:7]),
        sw8() + "-" + b64("more"),
        sw8("2"),
        sw8(""),
        sw8(span="-1"),
        sw8(span="x"),
        sw8(span="１"),
        sw8(span="1_0"),
        sw8(span="2147483648"),
        sw8(trace=""),
        sw8(segment=""),
        sw8(trace="x" * 129),
        sw8(trace="with space"),
        sw8(trace="line\nbreak"),
        "1-" + b64encode(b"\xff\xfe").decode() + "-" + sw8().split("-", 2)[2],
        sw8("1", "t", "s", "3", "a" * 3000, "b", "c", "d"),
    ],
)
def test_a_malformed_sw8_is_absent_and_counted(header: str) -> None:
    """It neither raises nor suppresses: the request is traced as if nobody had sent anything."""
    assert extract({"sw8": header}) == (None, ["sw8"])


@pytest.mark.parametrize(
    "header",
    [
        "garbage",
        PARENT + "-00",
        PARENT.upper(),
        PARENT.replace("00-", "ff-", 1),
        PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        PARENT.replace("00f067aa0ba902b7", "0" * 16),
        PARENT[:-1],
        PARENT + "x" * MAX_HEADER,
    ],
)
def test_a_malformed_traceparent_is_absent_and_counted(header: str) -> None:
    """W3C Trace Context 3.2.2: invalid ids, versions and lengths make the header invalid; its state then counts for nothing."""
    assert extract({"traceparent": header, "tracestate": "a=b"}) == (None, ["traceparent"])


def test_a_later_version_of_traceparent_is_read_as_far_as_it_is_known() -> None:
    """W3C Trace Context 4.3: a higher version may say more behind a dash."""
    assert read_traceparent("cc" + PARENT[2:] + "-what-will-be").ref.segment_id == "00f067aa0ba902b7"


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("03", True), ("02", False)])
def test_the_lowest_flag_is_the_decision(flags: str, sampled: bool) -> None:
    """Of the flags only the lowest bit says sampled."""
    assert read_traceparent(PARENT[:-2] + flags).sampled is sampled


@pytest.mark.parametrize("state", ["a=b", "a=b,,c=d", "rojo=00f067aa0ba902b7,tenant@vendor=x y"])
def test_a_good_state_is_handed_on(state: str) -> None:
    """tracestate goes on as it came."""
    carrier, bad = extract({"traceparent": PARENT, "tracestate": state})
    assert carrier is not None
    assert (carrier.tracestate, bad) == (state, [])


@pytest.mark.parametrize(
    "state", ["nonsense", "A=b", "a=b\r\nx: y", "a=" + "b" * 600, ",".join(f"k{i}=v" for i in range(33))]
)
def test_a_bad_state_is_left_behind(state: str) -> None:
    """A tracestate that is malformed or too long is dropped and counted; its traceparent stands."""
    carrier, bad = extract({"traceparent": PARENT, "tracestate": state})
    assert carrier is not None
    assert (carrier.sampled, carrier.tracestate, bad) == (True, "", ["tracestate"])


def test_where_both_speak_sw8_decides_and_w3c_is_handed_on() -> None:
    """Two valid callers: sw8 knows more, and the W3C trace goes on under its own id."""
    carrier, bad = extract({"sw8": sw8("0"), "traceparent": PARENT, "tracestate": "a=b"})
    assert carrier is not None
    assert not bad
    assert (carrier.sampled, carrier.ref.trace_id, carrier.w3c_id) == (False, "t.1.2", PARENT[3:35])
    assert extract({"sw8": "garbage", "traceparent": PARENT})[0] == read_traceparent(PARENT).__class__(
        True, read_traceparent(PARENT).ref, PARENT[3:35]
    )


@given(IDS, IDS, st.integers(0, 2**31 - 1), st.text(), st.text(), st.text(), st.text())
def test_what_is_written_is_read_again(
    trace: str, segment: str, span: int, service: str, instance: str, endpoint: str, peer: str
) -> None:
    """sw8 written by us is valid, below 2 KB, and says what it was given, cut to the specification's lengths."""
    ref = Ref(RefKind.CROSS_PROCESS, trace, segment, span, service, instance, endpoint, peer)
    headers: dict[str, str] = {}
    inject(headers, ref)
    carrier, bad = extract(headers)
    assert carrier is not None
    assert not bad
    assert (carrier.sampled, carrier.ref.trace_id, carrier.ref.segment_id, carrier.ref.span_id) == (
        True,
        trace,
        segment,
        span,
    )
    assert carrier.ref.service == encodable(service, MAX_NAME)
    assert carrier.ref.endpoint == encodable(endpoint, MAX_ENDPOINT)
    assert carrier.w3c_id == w3c_trace_id(trace)


def encodable(text: str, limit: int) -> str:
    return text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


def test_the_longest_sw8_is_below_its_limit() -> None:
    """Ids and names as long as they may be, three bytes to a character."""
    ref = Ref(RefKind.CROSS_PROCESS, "t" * 128, "s" * 128, 1, "服" * 99, "实" * 99, "端" * 999, "p" * 999)
    assert len(write_sw8(ref)) < MAX_HEADER


def test_who_is_not_sampled_says_so_to_w3c_only() -> None:
    """Unsampled: traceparent with its flag off and no sw8, which today's agents take for a reason to trace."""
    headers: dict[str, str] = {}
    inject_unsampled(headers, "t", "", "a=b")
    assert set(headers) == {"traceparent", "tracestate"}
    assert read_traceparent(headers["traceparent"]).sampled is False


@given(st.text(), st.integers(-1, 400))
def test_ids_for_w3c_are_always_valid(trace: str, span: int) -> None:
    """Whatever a trace is called, what W3C is told is a valid id, and the same each time."""
    header = f"00-{w3c_trace_id(trace)}-{w3c_span_id(trace, span)}-01"
    assert read_traceparent(header).ref.trace_id == w3c_trace_id(trace)
    assert w3c_trace_id(PARENT[3:35]) == PARENT[3:35]


class Odd(Mapping[str, str]):
    """A mapping as a host might have it."""

    def __getitem__(self, name: str) -> str:
        raise RuntimeError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def test_a_copy_of_a_frameworks_headers_is_read() -> None:
    """`dict(request.headers)` has names as `Traceparent`; a trace would be lost without a word."""
    plain = {"sw8": sw8(), "traceparent": PARENT, "tracestate": "a=1", "sw8-correlation": CORRELATION, "sw8-x": "1-"}
    carrier, bad = extract({name.title(): value for name, value in plain.items()})
    assert (carrier, bad) == extract(plain)
    assert carrier is not None
    assert carrier.skip


HOSTILE = st.one_of(
    st.text(), st.binary(), st.integers(), st.lists(st.text()), st.none(), st.just(sw8()), st.just(PARENT)
)


@given(st.dictionaries(st.sampled_from(["sw8", "traceparent", "tracestate"]), HOSTILE))
def test_nothing_anybody_sends_raises(headers: dict[str, str]) -> None:
    """Any header of any type gives a carrier or none, and a list of what was bad."""
    carrier, bad = extract(headers)
    assert set(bad) <= set(headers)
    assert carrier is None or carrier.ref.trace_id


def test_a_mapping_that_raises_is_bad_headers() -> None:
    """The host's mapping may be anything."""
    assert extract(Odd()) == (None, ["sw8", "traceparent", "tracestate"])


CORRELATION = "a2V5:dmFsdWU=,azI=:"


def test_what_goes_along_with_an_sw8_goes_on() -> None:
    """Correlation as it came; whether to analyse; both only beside a valid sw8."""
    more = {"sw8-correlation": CORRELATION, "sw8-x": "1-1700000000000"}
    carrier, bad = extract({"sw8": sw8("1"), **more})
    assert carrier is not None
    assert (carrier.correlation, carrier.skip, bad) == (CORRELATION, True, [])
    headers: dict[str, str] = {}
    inject(headers, carrier.ref, correlation=carrier.correlation, skip=carrier.skip)
    assert (headers["sw8-correlation"], headers["sw8-x"]) == (CORRELATION, "1-")
    carrier, _ = extract({"traceparent": PARENT, **more})
    assert carrier is not None
    assert (carrier.correlation, carrier.skip) == ("", False)
    plain, _ = extract({"sw8": sw8("1"), "sw8-x": "0-"})
    assert plain is not None
    assert not plain.skip


@pytest.mark.parametrize("told", ["x", "a:b:c", "é:b", ":", ",".join(["YQ==:YQ=="] * 4), f"YQ==:{'A' * 2000}"])
def test_a_bad_correlation_is_dropped_and_counted(told: str) -> None:
    """Its sw8 stands."""
    carrier, bad = extract({"sw8": sw8("1"), "sw8-correlation": told})
    assert carrier is not None
    assert (carrier.correlation, bad) == ("", ["sw8-correlation"])
