"""Answers of a Prometheus API: every server's way of writing them, and what is no answer."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.formats import prometheus_api
from parkwarden.formats.prometheus_api import ApiAnswer, read
from parkwarden.model.errors import FormatError, LimitError

SEED = 1234567


def points(answer: ApiAnswer) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
    """(labels, points) of every series."""
    pairs = list(zip(answer.times.tolist(), answer.values.tolist(), strict=True))
    ends = answer.firsts.tolist()
    return [(answer.labels(i), pairs[ends[i] : ends[i + 1]]) for i in range(len(answer.hashes))]


PROMETHEUS = b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","instance":"a:1"},"value":[1790000000.5,"3"]}]}}'
VICTORIA = b"""{"status":"success","isPartial":true,"data":{"resultType":"vector","result":[
  {"metric": {"instance":"a:1","__name__":"up"}, "value": [1790000000, "3"], "group": 1}
]},"stats":{"seriesFetched": "1","executionTimeMsec":2}}"""
THANOS = (
    b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{"instance":"a:1"},"value":[1790000000.5,"3"]},'
    b'{"metric":{"instance":"b:1"},"histogram":[1,{"count":"1","sum":"1","buckets":[[0,"0","1","1"]]}]}],"analysis":{}},"warnings":["store \\"result\\":[ away"]}'
)  # fmt: skip


def test_every_server_is_understood() -> None:
    """Prometheus, VictoriaMetrics (blanks, other keys, partial) and Thanos (warnings, native histograms) tell the same series."""
    one, two, three = (read(body, SEED) for body in (PROMETHEUS, VICTORIA, THANOS))
    assert points(one) == [({"__name__": "up", "instance": "a:1"}, [(1790000000.5, 3.0)])]
    assert points(two)[0][1] == [(1790000000.0, 3.0)]
    assert one.hashes.tolist() == two.hashes.tolist() == three.hashes.tolist()[:1]
    assert points(three)[1] == ({"instance": "b:1"}, [])
    assert one.warnings == ()
    assert "partial" in two.warnings[0]
    assert three.warnings == ('store "result":[ away',)


def test_a_range_has_several_points() -> None:
    """A matrix: each series with its own points."""
    body = b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"1"},"values":[[1,"2"],[3.5,"4e2"]]},{"metric":{},"values":[]}]}}'
    assert points(read(body, SEED)) == [({"a": "1"}, [(1.0, 2.0), (3.5, 400.0)]), ({}, [])]


def test_what_the_server_says_it_cannot_is_data() -> None:
    """An error comes with the server's words; a scalar holds no series."""
    answer = read(b'{"status":"error","errorType":"bad_data","error":"parse\\u001b error"}', SEED)
    assert answer.error == "bad_data: parse\\x1b error"
    scalar = read(
        b'{"status":"success","data":{"resultType":"scalar","result":[1790000000,"1"]}}'.replace(
            b'"result":[', b'"value":['
        ),
        SEED,
    )
    assert len(scalar.hashes) == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not-json"),
        (b"<html>", "not-json"),
        (b"[]", "not-api"),
        (b'{"status":"maybe"}', "not-api"),
        (PROMETHEUS[:-20], "not-series"),
        (PROMETHEUS[:-2], "not-json"),
        (PROMETHEUS.replace(b'"3"', b"3"), "not-series"),
        (PROMETHEUS.replace(b'{"metric"', b'7,{"metric"'), "not-series"),
        (PROMETHEUS + b" " * (prometheus_api.MAX_HEAD + 1), "not-series"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_refused(body: bytes, code: str) -> None:
    """A proxy's page, an answer that breaks off, something else: a typed error."""
    with pytest.raises(FormatError) as caught:
        read(body, SEED)
    assert caught.value.code == code


def test_an_answer_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond MAX_BYTES nothing is looked at."""
    monkeypatch.setattr(prometheus_api, "MAX_BYTES", 10)
    with pytest.raises(LimitError):
        read(PROMETHEUS, SEED)


LABELS = st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=4)
NUMBERS = st.one_of(
    st.integers(-(2**53), 2**53).map(float), st.floats(-1e300, 1e300), st.sampled_from([math.inf, -math.inf, 0.1, 1790000000.25])
)  # fmt: skip


def text_of(value: float) -> str:
    """As Go writes it (strconv.FormatFloat 'f', -1)."""
    return {math.inf: "+Inf", -math.inf: "-Inf"}.get(value) or repr(value)


@given(
    st.lists(st.tuples(LABELS, st.lists(st.tuples(st.integers(0, 2**33), NUMBERS), max_size=3)), max_size=5),
    st.booleans(),
)
def test_what_is_written_is_read(
    series: list[tuple[dict[str, str], list[tuple[int, float]]]], ascii_only: bool
) -> None:
    """Any labels, any numbers: they come back; equal label sets have equal hashes whatever their order and name, others have others."""
    result = [{"metric": labels, "values": [[at, text_of(v)] for at, v in told]} for labels, told in series]
    body = json.dumps(
        {"status": "success", "data": {"resultType": "matrix", "result": result}}, ensure_ascii=ascii_only
    )
    answer = read(body.encode("utf-8", "surrogatepass"), SEED)
    for (labels, told), (read_labels, read_points) in zip(series, points(answer), strict=True):
        if not any("\ud800" <= c <= "\udfff" for c in "".join([*labels, *labels.values()])):
            assert read_labels == labels
        assert [at for at, _ in read_points] == [float(at) for at, _ in told]
        for (_, wanted), (_, got) in zip(told, read_points, strict=True):
            assert got == wanted or math.isclose(got, wanted, rel_tol=1e-14, abs_tol=5e-300)
    bare = [frozenset((k, v) for k, v in labels.items() if k != "__name__") for labels, _ in series]
    again = read(json.dumps({"status": "success", "data": {"result": [
        {"metric": dict(reversed([*labels.items(), *({} if "__name__" in labels else {"__name__": "up"}).items()]))} for labels, _ in series
    ]}}, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"), SEED)  # fmt: skip
    assert again.hashes.tolist() == answer.hashes.tolist()
    assert len(set(bare)) == len(set(answer.hashes.tolist()))


@given(
    st.sampled_from([PROMETHEUS, VICTORIA, THANOS]),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
    st.integers(0, 400),
)
def test_damaged_answers_raise_only_what_is_said(body: bytes, changes: list[tuple[int, int]], end: int) -> None:
    """Bytes changed or cut off: series, or a typed error; labels can be asked for."""
    data = bytearray(body[: end or None])
    for at, byte in changes:
        if at < len(data):
            data[at] = byte
    found: Any = None
    try:
        found = read(bytes(data), SEED)
    except FormatError as error:
        found = error.code
    if isinstance(found, ApiAnswer):
        assert all(isinstance(found.labels(i), dict) for i in range(len(found.hashes)))
    else:
        assert found in ("not-json", "not-api", "not-series")
