"""Timelines of real traces of every Go since 1.22: every goroutine in one state at every edge, every nanosecond once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkwarden.formats import _trace_scan, trace
from parkwarden.formats.trace_timeline import MAX_CREATIONS
from parkwarden.kernels import _trace_layout as layout
from parkwarden.model.artefact import Trace
from parkwarden.model.timeline import Timeline

DATA = Path(__file__).parents[1] / "data" / "trace"
VERSIONS = ["1.22", "1.23", "1.24", "1.25", "1.26", "1.27"]
HEADER = b"go 1.26 trace\0\0\0"


def sample(version: str) -> bytes:
    return (DATA / version / "sample.trace").read_bytes()


def timeline(data: bytes) -> tuple[Trace, Timeline]:
    found = trace.read(data, timeline=True).trace
    assert found is not None
    assert found.timeline is not None
    return found, found.timeline


@pytest.mark.parametrize("version", VERSIONS)
def test_a_timeline_is_made_only_when_asked_for_and_changes_nothing_else(version: str) -> None:
    """`trace` and `diagnose` do not pay for what only the page shows, and both say the same."""
    plain = trace.read(sample(version)).trace
    found, _ = timeline(sample(version))
    assert plain is not None
    assert plain.timeline is None
    assert (plain.creations, plain.waits, plain.events) == (found.creations, found.waits, found.events)


@pytest.mark.parametrize("version", VERSIONS)
def test_at_every_edge_each_living_goroutine_is_in_one_state(version: str) -> None:
    """The sum over states rises with births and falls with deaths, and ends as the census; no state is ever below 0."""
    found, line = timeline(sample(version))
    assert found.census is not None
    assert (line.counts >= 0).all()
    alive = line.counts.sum(axis=1)
    assert alive[-1] == found.census.total
    before = int(alive[-1]) - found.created + found.ended
    assert alive[0] == 0
    assert alive[1] >= before - found.ended
    born = np.diff(line.made.sum(axis=1))
    assert (np.diff(alive)[1:] <= born[1:]).all()  # what comes to be in a bin was made in it
    ends = {s: int(n) for s, n in zip(line.states, line.counts[-1], strict=True) if n}
    states = [found.census.states[i] for i in found.census.state.tolist()]
    assert ends == {s: states.count(s) for s in set(states)}


@pytest.mark.parametrize("version", VERSIONS)
def test_time_in_states_is_that_of_the_waits(version: str) -> None:
    """Waits are summed by stack elsewhere: both say how long goroutines waited, to the nanosecond."""
    found, line = timeline(sample(version))
    spent = dict(zip(line.states, line.spent[-1].tolist(), strict=True))
    for state in line.states[3:]:
        assert spent[state] == pytest.approx(sum(w.total_s for w in found.waits if w.reason == state) * 1e9, abs=50)
    assert spent["syscall"] == pytest.approx(sum(w.total_s for w in found.waits if w.reason == "syscall") * 1e9, abs=50)
    assert spent["running"] > 0


@pytest.mark.parametrize("version", VERSIONS)
def test_creations_are_counted_by_those_listed_first(version: str) -> None:
    """Column i of `made` is creation i of the trace, the last column all others; first and last are in their bins."""
    found, line = timeline(sample(version))
    assert line.made.shape == (line.bins + 1, min(len(found.creations), MAX_CREATIONS) + 1)
    assert line.made[-1].sum() == found.created
    for i, creation in enumerate(found.creations[:MAX_CREATIONS]):
        assert line.made[-1, i] == creation.count
        per_bin = np.flatnonzero(np.diff(line.made[:, i]))
        assert per_bin[0] == int(creation.first_s * 1e9) // line.bin_ns
        assert per_bin[-1] == int(creation.last_s * 1e9) // line.bin_ns


@pytest.mark.parametrize("version", VERSIONS)
def test_edges_are_fine_and_end_with_the_trace(version: str) -> None:
    """At least 2^15 bins; the last one is cut where the trace ends; memory is what the columns take."""
    found, line = timeline(sample(version))
    assert layout.T_BINS // 2 <= line.bins <= layout.T_BINS
    times = line.time_ns(np.arange(line.bins + 1))
    assert (np.diff(times) > 0).all()
    assert times[-1] == line.duration_ns == round(found.duration_s * 1e9)
    assert line.nbytes < 24 << 20


def test_stops_and_collections_are_known() -> None:
    """The start of a trace stops the world, and is said so in Go's words."""
    _, line = timeline(sample("1.27"))
    assert [stop.kind for stop in line.longest] == ["start trace"]
    assert line.stops == 1
    assert line.stopped[-1] == round(line.longest[0].took_s * 1e9) > 0
    assert line.collections == 0


def _uvarint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _batch(data: bytes, *, gen: int = 1, thread: int = 7, time: int = 1000) -> bytes:
    return bytes([1]) + b"".join(map(_uvarint, (gen, thread, time, len(data)))) + data


def _event(*values: int) -> bytes:
    return bytes(values[:1]) + b"".join(map(_uvarint, values[1:]))


def _trace(*events: bytes) -> bytes:
    """A generation of one thread, a tick a nanosecond: GoStatus of goroutine 1 (running) first."""
    strings = bytes([4]) + _event(5, 1, 4) + b"nap " + _event(5, 2, 4) + b"stop"
    return (
        HEADER
        + _batch(bytes([50]) + _event(8, 1_000_000_000) + _event(51, 0, 0, 0, 0))
        + _batch(_event(25, 0, 1, 7, 2) + b"".join(events))
        + _batch(strings)
        + b"\x34"
    )


def test_a_known_life_is_counted_to_the_nanosecond() -> None:
    """Goroutine 1 runs 100 ns, makes goroutine 2 and naps; 2 starts 50 ns later, wakes 1 after 30 ns and ends 20 ns on."""
    found, line = timeline(
        _trace(
            _event(14, 100, 2, 0, 0),
            _event(20, 0, 1, 0),
            _event(16, 50, 2, 1),
            _event(21, 30, 1, 1, 0),
            _event(17, 20),
            _event(16, 10, 1, 2),
            _event(17, 5),
        )
    )
    assert line.duration_ns == 215
    spent = dict(zip(line.states, line.spent[-1].tolist(), strict=True))
    assert spent == {"running": 100 + 50 + 5, "runnable": 50 + 30, "syscall": 0, "nap ": 80}
    assert line.bin_ns == 2
    at = {t: line.counts[t // 2].tolist() for t in (98, 120, 178, 190, 204)}
    assert at == {98: [1, 0, 0, 0], 120: [0, 1, 0, 1], 178: [1, 0, 0, 1], 190: [1, 1, 0, 0], 204: [0, 1, 0, 0]}
    assert found.ended == 2


def test_ranges_without_begin_or_end_reach_to_the_trace_s() -> None:
    """A collection already running began before the trace, one still running ends with it; an end twice is damage."""
    _, line = timeline(_trace(_event(30, 40, 1), _event(30, 10, 1), _event(26, 50, 2, 0), _event(27, 25), _event(29, 75, 2, 0), _event(38, 100, 5)))  # fmt: skip
    assert (line.duration_ns, line.collections, line.stops) == (300, 2, 1)
    assert line.marking[-1] == 40 + 100
    assert line.stopped[-1] == 25
    assert (line.longest[0].kind, line.longest[0].at_s) == ("stop", pytest.approx(1e-7))
    assert line.marking[line.bins // 2] == 40


def test_a_collection_mentioned_again_does_not_begin_before_the_trace() -> None:
    """`GCActive` behind an end (damage, or clocks) is a collection from then on: time is never counted twice."""
    _, line = timeline(_trace(_event(30, 40, 1), _event(28, 20, 2), _event(30, 100, 2), _event(38, 10, 5)))
    assert (line.collections, int(line.marking[-1])) == (2, 140)


@pytest.mark.parametrize("version", ["1.22", "1.27"])
def test_folded_bins_are_those_of_wider_ones(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events behind the last bin make bins twice as wide as often as it takes, and no number is other than before."""
    _, line = timeline(sample(version))
    draw = _trace_scan._Tables.draw
    monkeypatch.setattr(_trace_scan._Tables, "draw", lambda self, span: draw(self, span / 37))
    _, folded = timeline(sample(version))
    assert folded.bin_ns == line.bin_ns
    for name in ("counts", "spent", "made"):
        assert np.array_equal(getattr(folded, name), getattr(line, name)), name
    monkeypatch.setattr(_trace_scan._Tables, "draw", lambda self, span: draw(self, span * 8))
    _, wide = timeline(sample(version))
    assert wide.bin_ns == 8 * line.bin_ns
    assert np.array_equal(wide.counts[:-1], line.counts[:-1:8])
    assert np.array_equal(wide.spent[:-1], line.spent[:-1:8])
    assert np.array_equal(wide.spent[-1], line.spent[-1])


def test_rows_of_creations_grow() -> None:
    """More bins with creations than there were rows for."""
    found, line = timeline(_trace(*(_event(14, 10, n, 0, 0) for n in range(2, 8002))))
    assert line.made[-1].sum() == found.created == 8000
    assert line.counts[-1].sum() == 8001


def test_reasons_beyond_those_told_apart_are_waiting() -> None:
    """A trace with 60 reasons: 27 have their column, the others are `waiting`, which is said; nobody is lost."""
    strings = b"".join(_event(5, i, 5) + b"why%02d" % i for i in range(1, 61))
    naps = b"".join(_event(14, 5, i + 1, 0, 0) + _event(20, 5, i, 0) + _event(16, 5, i + 1, 1) for i in range(1, 61))
    raw = (
        HEADER
        + _batch(bytes([50]) + _event(8, 1_000_000_000) + _event(51, 0, 0, 0, 0))
        + _batch(_event(25, 0, 1, 7, 2) + naps)
        + _batch(bytes([4]) + strings)
        + b"\x34"
    )
    artefact = trace.read(raw, timeline=True)
    assert artefact.trace is not None
    line = artefact.trace.timeline
    assert line is not None
    assert len(line.states) == 3 + 27 + 1
    assert line.counts[-1].sum() == 61
    assert line.counts[-1, line.states.index("waiting")] == 60 - 27
    assert any(p.text.startswith("33 waits by stack are only `waiting`") for p in artefact.problems)
    assert not any("timeline" in p.text for p in trace.read(raw).problems)


def test_a_trace_of_one_moment_is_drawn() -> None:
    """A single event: no time goes by, and nothing is divided by it."""
    _, line = timeline(_trace())
    assert line.duration_ns == 0
    assert line.counts[-1].sum() == 1
    assert line.spent[-1].sum() == 0


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_damage_keeps_every_state_at_or_above_zero(data: st.DataObject) -> None:
    """Whatever bytes are wrong: nobody leaves a state that nobody entered, and the end is the census."""
    raw = bytearray(sample(data.draw(st.sampled_from(VERSIONS))))
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(16, len(raw) - 1))] = data.draw(st.integers(0, 255))
    found = trace.read(bytes(raw), timeline=True).trace
    assert found is not None
    line = found.timeline
    if line is not None:
        assert found.census is not None
        assert (line.counts >= 0).all()
        assert line.counts[-1].sum() == found.census.total
        assert line.made[-1].sum() == found.created
        assert (np.diff(line.spent, axis=0) >= 0).all()
        for ranges in (line.marking, line.stopped):
            assert (np.diff(ranges) >= 0).all()
            assert ranges[-1] <= line.duration_ns
