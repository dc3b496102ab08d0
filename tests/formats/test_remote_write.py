"""Remote-write messages, both versions."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.formats import remote_write
from parkwarden.formats.remote_write import WriteMessage, read
from parkwarden.model.errors import FormatError, LimitError
from tests.formats.remote_writes import STALE_BITS, Series, part, sample, version_1, version_2

SEED = 99
TEXT = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=8)
SERIES = st.lists(
    st.tuples(
        st.dictionaries(st.one_of(st.just("__name__"), TEXT), TEXT, max_size=4),
        st.lists(st.tuples(st.integers(-(2**62), 2**62), st.floats(allow_nan=False)), max_size=3),
    ),
    max_size=5,
)


@given(SERIES)
def test_both_versions_tell_the_same(series: list[Series]) -> None:
    """Any labels and samples come back from either version; a label set's hash is the same in both and leaves the name out."""
    one, two = read(version_1(series), 1, SEED), read(version_2(series), 2, SEED)
    for found in (one, two):
        assert [found.labels(i) for i in range(len(series))] == [labels for labels, _ in series]
        assert [found.name(i).decode() for i in range(len(series))] == [
            labels.get("__name__", "") for labels, _ in series
        ]
        told = [pair for _, samples in series for pair in samples]
        assert found.times.tolist() == [at / 1000.0 for at, _ in told]
        assert found.values.tolist() == [value for _, value in told]
        assert not found.stale.any()
    assert one.hashes.tolist() == two.hashes.tolist()
    bare = {frozenset((k, v) for k, v in labels.items() if k != "__name__") for labels, _ in series}
    assert len(bare) == len(set(one.hashes.tolist()))


def test_a_stale_marker_is_told_apart() -> None:
    """Prometheus' own NaN says that a series has ended; any other NaN is a value."""
    body = part(
        1, part(1, part(1, b"a") + part(2, b"b")) + part(2, sample(1, STALE_BITS)) + part(2, sample(2, math.nan))
    )
    found = read(body, 1, SEED)
    assert found.stale.tolist() == [True, False]


def test_histograms_and_exemplars_are_counted() -> None:
    """What is not read is told as received, by either version's numbers."""
    assert (lambda f: (f.histograms, f.exemplars))(
        read(part(1, part(3, b"") + part(4, b"") + part(4, b"")), 1, SEED)
    ) == (2, 1)
    assert (lambda f: (f.histograms, f.exemplars))(
        read(part(5, part(3, b"") + part(4, b"") + part(4, b"")), 2, SEED)
    ) == (1, 2)


def test_a_message_has_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """More series, samples or symbols than any sender packs into one message are refused."""
    series: list[Series] = [({"a": str(i)}, [(i, 1.0)]) for i in range(3)]
    for name, version, body in (
        ("MAX_SERIES", 1, version_1(series)),
        ("MAX_POINTS", 1, version_1(series)),
        ("MAX_SYMBOLS", 2, version_2(series)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(remote_write, name, 2)
            with pytest.raises(LimitError):
                read(body, version, SEED)


@given(
    st.sampled_from([1, 2]),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4),
    st.integers(0, 200),
)
def test_damaged_messages_raise_only_what_is_said(version: int, changes: list[tuple[int, int]], end: int) -> None:
    """Bytes changed or cut off: a message whose labels can be asked for, or a typed error."""
    series: list[Series] = [
        ({"__name__": "go_goroutines", "instance": "a:1"}, [(1, 2.0), (3, 4.0)]),
        ({"job": "x"}, [(5, 6.0)]),
    ]
    data = bytearray((version_1 if version == 1 else version_2)(series)[: end or None])
    for at, byte in changes:
        if at < len(data):
            data[at] = byte
    found: Any = None
    try:
        found = read(bytes(data), version, SEED)
    except FormatError as error:
        found = error.code
    if isinstance(found, WriteMessage):
        assert all(isinstance(found.labels(i), dict) for i in range(len(found.hashes)))
    else:
        assert found == "not-remote-write"


@given(st.binary(max_size=200), st.sampled_from([1, 2]))
def test_any_bytes_are_survived(data: bytes, version: int) -> None:
    """Whatever comes: a message or a typed error."""
    found: Any = None
    try:
        found = read(data, version, SEED)
    except FormatError as error:
        found = error
    assert found is not None
