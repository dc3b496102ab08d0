"""expvar: real /debug/vars pages, other variables, hostile JSON."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.formats import expvar
from parkwarden.model import FormatError, Kind, LimitError


@pytest.mark.parametrize("version", ["go1.21", "go1.25", "go1.27"])
def test_real_pages(data: Path, version: str) -> None:
    """memstats and the program's name are read; there is no number of goroutines in MemStats."""
    page = (data / "expvar" / version / "vars.json").read_bytes()
    assert expvar.sniff(page[:64])
    artefact = expvar.read(page)
    assert artefact.kind is Kind.EXPVAR
    assert artefact.reading is not None
    assert artefact.reading.heap_inuse is not None
    assert artefact.reading.heap_inuse > 8 << 20
    assert artefact.reading.goroutines is None
    assert artefact.reading.num_gc is not None
    assert artefact.build is not None
    assert artefact.build.binary == "./goldens"
    assert artefact.problems == []


def test_published_goroutines_are_found_and_others_counted() -> None:
    """A usual name is used, at the top or one level down; what is not used is said."""
    artefact = expvar.read(b'{"memstats": {"NumGC": 3}, "app": {"NumGoroutine": 41}, "x": 1}')
    assert artefact.reading is not None
    assert (artefact.reading.goroutines, artefact.reading.num_gc) == (41, 3)
    assert [(p.code, p.text[:1]) for p in artefact.problems] == [("ignored-variables", "2")]


def test_bad_values_cost_themselves() -> None:
    """Text, negative and endless numbers are not told, and counted."""
    artefact = expvar.read(
        b'{"memstats":{"Sys":' + b"9" * 5000 + b',"NumGC":-1,"NextGC":"x","HeapInuse":7,"GCCPUFraction":NaN}}'
    )
    assert artefact.reading is not None
    assert (artefact.reading.sys, artefact.reading.num_gc, artefact.reading.heap_inuse) == (None, None, 7)
    assert artefact.reading.gc_cpu_fraction is None
    assert artefact.lost == 3


def test_hostile_json_ends_in_typed_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deep nesting and size pass named limits; brackets inside strings are not nesting."""
    with pytest.raises(LimitError):
        expvar.read(b'{"memstats":' + b"[" * 200_000)
    assert expvar.read(b'{"memstats":{},"s":"' + b"[" * 5000 + b'"}').records == 2
    for other in (b"[]", b"{}", b"{", b'"memstats"'):
        with pytest.raises(FormatError):
            expvar.read(other)
    monkeypatch.setattr(expvar, "MAX_BYTES", 3)
    with pytest.raises(LimitError):
        expvar.read(b'{"memstats":{}}')


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reader(junk: bytes) -> None:
    """Anything gives an artefact or a typed error."""
    try:
        codes = [p.code for p in expvar.read(b'{"memstats":{"Sys":1},' + junk + b"}").problems]
    except (FormatError, LimitError) as error:
        codes = [error.code]
    assert set(codes) <= {"not-expvar", "expvar-too-deep", "ignored-variables", "no-memstats", "not-a-number"}
