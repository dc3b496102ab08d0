"""Execution traces: real ones of every Go since 1.22, known numbers in them, damage of every kind."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkwarden.formats import _trace_scan, trace
from parkwarden.formats._problems import MAX_PROBLEMS
from parkwarden.kernels import _trace_layout
from parkwarden.model.artefact import Artefact, Creation, Kind, Wait
from parkwarden.model.errors import FormatError
from parkwarden.model.snapshot import Mark, Source

DATA = Path(__file__).parents[1] / "data" / "trace"
VERSIONS = ["1.22", "1.23", "1.24", "1.25", "1.26", "1.27"]
HEADERS = {"1.24": "1.23", "1.27": "1.26"}


def sample(version: str) -> bytes:
    return (DATA / version / "sample.trace").read_bytes()


def line(marker: str, file: str = "main.go") -> int:
    """The line of the sample program that ends in a comment."""
    source = (DATA / "program" / file).read_text().splitlines()
    return next(i for i, text in enumerate(source, 1) if text.endswith(f"// {marker}"))


def creations(artefact: Artefact, marker: str) -> list[Creation]:
    assert artefact.trace is not None
    return [
        c
        for c in artefact.trace.creations
        if c.stack.frames and c.stack.frames[0].line == line(marker) and c.stack.frames[0].file.endswith("/main.go")
    ]


def waits(artefact: Artefact, reason: str, function: str) -> list[Wait]:
    assert artefact.trace is not None
    return [
        w
        for w in artefact.trace.waits
        if w.reason == reason and any(f.function == function for f in w.stack.frames)
    ]  # fmt: skip


def codes(artefact: Artefact) -> set[str]:
    return {p.code for p in artefact.problems}


@pytest.mark.parametrize("version", VERSIONS)
def test_who_ran_is_marked(version: str) -> None:
    """Those that blocked, ran or were woken during the trace worked; those merely mentioned as waiting did nothing."""
    snapshot = trace.read(sample(version)).snapshot
    assert snapshot is not None
    ran = (snapshot.marks & Mark.RAN != 0).tolist()
    by_state: dict[str, set[bool]] = {}
    for state, did in zip(snapshot.state.tolist(), ran, strict=True):
        by_state.setdefault(snapshot.states[state], set()).add(did)
    assert by_state["waiting"] == {False}
    assert by_state["running"] == {True}
    assert all(did == {True} for state, did in by_state.items() if state.startswith(("chan", "sync", "sleep")))
    assert any(state.startswith(("chan", "sync", "sleep")) for state in by_state)


# --- known numbers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_an_undamaged_trace_has_no_problem_but_sites_never_told(version: str) -> None:
    """Every event of a real trace is understood; only stacks Go did not write are missed."""
    artefact = trace.read(sample(version), "sample.trace")
    assert codes(artefact) <= {"unknown-site"}
    assert (artefact.kind, artefact.lost, artefact.name) == (Kind.TRACE, 0, "sample.trace")
    assert artefact.trace is not None
    assert artefact.trace.version == HEADERS.get(version, version)
    assert artefact.records == artefact.trace.events > 500
    assert artefact.trace.generations >= 2
    assert 1.3 < artefact.trace.duration_s < 2


@pytest.mark.parametrize("version", VERSIONS)
def test_creations_are_counted_by_their_whole_chain(version: str) -> None:
    """37 goroutines at one line from two callers are two creations; each keeps its callers and its start function."""
    artefact = trace.read(sample(version))
    early, late = sorted(creations(artefact, "short"), key=lambda c: c.first_s)
    for c in (early, late):
        assert (c.count, c.alive, c.parents) == (37, 0, 1)
        assert [f.function for f in c.stack.frames] == ["main.short", "main.main"]
        assert c.start.function == "main.work"
        assert c.first_s <= c.last_s < c.first_s + 0.1
    assert late.first_s > early.last_s + 1.3
    deep = creations(artefact, "deep")
    assert len(deep) == 5  # one call chain each
    assert sorted(sum(f.function == "main.deep" for f in c.stack.frames) for c in deep) == [1, 2, 3, 4, 5]
    assert all((c.count, c.alive) == (1, 1) for c in deep)


@pytest.mark.parametrize("version", VERSIONS)
def test_creations_know_how_many_goroutines_ran_the_statement(version: str) -> None:
    """4 parents made 6 goroutines each at one line."""
    (nested,) = creations(trace.read(sample(version)), "nested")
    assert (nested.count, nested.parents, nested.alive) == (24, 4, 0)


@pytest.mark.parametrize("version", VERSIONS)
def test_creations_over_time_add_up(version: str) -> None:
    """The bins hold every creation, and a peak is the fullest bin in creations per second."""
    found = trace.read(sample(version)).trace
    assert found is not None
    assert found.created == found.created_per_s.sum() == sum(c.count for c in found.creations)
    bin_s = found.duration_s / found.created_per_s.shape[0]
    peak = max(c.peak_per_s for c in found.creations)
    assert peak == pytest.approx(37 / bin_s, rel=0.02)


@pytest.mark.parametrize("version", VERSIONS)
def test_waits_are_timed(version: str) -> None:
    """Seven sleeps of 5 ms at one line are one wait; what never ends counts up to the end and is open."""
    artefact = trace.read(sample(version))
    (sleep,) = [
        w for w in waits(artefact, "sleep", "main.main") if any(f.line == line("sleep") for f in w.stack.frames)
    ]
    assert (sleep.count, sleep.open) == (7, 0)
    assert 0.035 <= sleep.total_s < 0.2
    assert 0.005 <= sleep.max_s <= sleep.total_s
    (locked,) = waits(artefact, "sync", "main.locked")
    assert (locked.count, locked.open) == (3, 3)
    assert artefact.trace is not None
    assert locked.max_s == pytest.approx(artefact.trace.duration_s, abs=0.1)  # across two generations
    assert locked.total_s == pytest.approx(3 * locked.max_s, rel=0.05)
    stuck = waits(artefact, "chan send", "main.stuck")
    assert [(w.count, w.open) for w in stuck] == [(5, 5)]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_way_to_the_first_run_stands_at_the_go_statement(version: str) -> None:
    """A new goroutine is runnable until it runs: that time belongs to the `go` statement's chain."""
    artefact = trace.read(sample(version))
    made = [w for w in waits(artefact, "first run", "main.short") if w.stack.frames[0].line == line("short")]
    assert sorted(w.count for w in made) == [37, 37]


@pytest.mark.parametrize("version", VERSIONS)
def test_waiting_over_all_generations_counts_from_the_begin(version: str) -> None:
    """Goroutines that do nothing while the trace runs wait for all of it, though first mentioned at a generation's end."""
    artefact = trace.read(sample(version))
    assert artefact.trace is not None
    if version == "1.22":
        (old,) = [w for w in artefact.trace.waits if w.reason == "waiting" and not w.stack.frames and w.open]
        assert old.open >= 12
    else:
        (old,) = waits(artefact, "waiting", "main.old")
        assert (old.count, old.open) == (12, 12)
    assert old.max_s == pytest.approx(artefact.trace.duration_s)


# --- the census -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_the_census_names_every_goroutine(version: str) -> None:
    """One row per goroutine alive at the end, with id, state, stack, and creator and parent where the trace saw them."""
    artefact = trace.read(sample(version))
    census = artefact.snapshot
    assert census is not None
    assert artefact.trace is not None
    assert census is artefact.trace.census
    assert census.source is Source.CENSUS
    assert census.rows == census.total == len(set(census.goid.tolist()))
    assert (np.diff(census.goid) > 0).all()

    def rows(function: str) -> list[int]:
        return [
            i for i in range(census.rows) if any(f.function == function for f in census.stacks[census.stack[i]].frames)
        ]

    if version != "1.22":
        assert len(rows("main.old")) == 12
        assert {census.states[census.state[i]] for i in rows("main.old")} == {"waiting"}
        assert {census.stacks[census.stack[i]].created_by for i in rows("main.old")} == {None}
        assert len(rows("main.coroutines.func1")) == 2
        assert {census.states[census.state[i]] for i in rows("main.coroutines.func1")} == {"coroutine"}
    stuck = rows("main.stuck")
    assert len(stuck) == 5
    assert {census.states[census.state[i]] for i in stuck} == {"chan send"}
    assert {census.parent[i] for i in stuck} == {1}
    created = {census.stacks[census.stack[i]].created_by for i in stuck}
    assert {(f.function, f.line) for f in created if f} == {("main.deep", line("deep"))}
    assert len(rows("main.locked")) == 3
    assert not rows("main.work")


def test_go_1_22_tells_no_stacks_of_the_idle() -> None:
    """The twelve old goroutines and the runtime's own are rows without frames, counted in a problem with the cure."""
    artefact = trace.read(sample("1.22"))
    (problem,) = artefact.problems
    assert problem.code == "unknown-site"
    assert "Go 1.23" in problem.text
    assert artefact.snapshot is not None
    bare = sum(not artefact.snapshot.stacks[i].frames for i in artefact.snapshot.stack)
    assert bare >= 12
    assert problem.text.startswith(f"{bare} of {artefact.snapshot.rows} ")


@pytest.mark.parametrize("version", VERSIONS)
def test_wall_clock_only_where_told(version: str) -> None:
    """Go 1.25 and newer write a clock snapshot; the census is of the trace's end."""
    artefact = trace.read(sample(version))
    assert artefact.trace is not None
    if version in ("1.22", "1.23", "1.24"):
        assert artefact.taken_at is artefact.trace.started_at is None
    else:
        assert artefact.trace.started_at is not None
        assert artefact.taken_at == pytest.approx(artefact.trace.started_at + artefact.trace.duration_s)
        assert artefact.taken_at > 1.7e9


# --- what is no trace, and versions ---------------------------------------------------------------------------------


def test_sniff_goes_by_content() -> None:
    """The header of any version is known; nothing else is."""
    for version in ["1.21", *VERSIONS]:
        assert trace.sniff(sample(version)[:16])
    assert trace.sniff(b"go 1.5 trace\0\0\0\0")
    assert not trace.sniff(b"go 1.x trace\0\0\0\0")
    assert not trace.sniff(b"")
    assert not trace.sniff(b"goroutine 1 [running]:")


def test_the_old_format_is_refused_with_the_way_out() -> None:
    """v1 traces get an error that says which Go to record with."""
    with pytest.raises(FormatError) as caught:
        trace.read(sample("1.21"))
    assert caught.value.code == "trace-v1"
    assert "Go 1.22" in caught.value.hint
    with pytest.raises(FormatError, match="not a Go execution trace"):
        trace.read(b"something else entirely")


def test_newer_headers_are_tried() -> None:
    """A version not known yet is read as the newest known, and that is said."""
    artefact = trace.read(b"go 1.31 trace\0\0\0" + sample("1.27")[16:])
    assert codes(artefact) == {"newer-version"}
    assert artefact.snapshot is not None
    assert artefact.snapshot.rows == trace.read(sample("1.27")).snapshot.rows  # type: ignore[union-attr]


def test_bytes_and_mapped_files_read_alike(tmp_path: Path) -> None:
    """A memoryview over a mapped file is read in place."""
    path = tmp_path / "x"
    path.write_bytes(sample("1.27"))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        view = memoryview(mapped)
        found = trace.read(view)
        assert found.trace is not None
        events = found.trace.events
        del found
        view.release()
    assert events == trace.read(sample("1.27")).records


# --- damage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_a_truncated_trace_keeps_what_was_complete(version: str) -> None:
    """Cut in its last generation, a trace still tells the first one whole, and that it was cut."""
    data = sample(version)
    artefact = trace.read(data[: len(data) * 9 // 10])
    assert codes(artefact) & {"truncated", "incomplete-generation"}
    early = min(creations(artefact, "short"), key=lambda c: c.first_s)
    assert early.count == 37
    assert artefact.snapshot is not None
    assert artefact.snapshot.rows > 0


def test_every_truncation_is_survived() -> None:
    """Cut anywhere, a trace raises nothing, and never says more than the whole one."""
    data = sample("1.27")
    whole = trace.read(data)
    for size in range(16, len(data), 37):
        artefact = trace.read(data[:size])
        assert artefact.records <= whole.records
        if size > 16:
            assert artefact.problems


def test_a_damaged_batch_header_costs_its_batch() -> None:
    """Reading goes on with the next batch that makes sense, and the bytes between are counted."""
    data = bytearray(sample("1.27"))
    rows = _batches(bytes(data))
    victim = next(r for r in rows[3:] if r[0] == 0)
    header = max(r[1] + r[2] for r in rows if r[1] < victim[1])
    data[header] = 0xEE
    artefact = trace.read(bytes(data))
    assert "damaged-batches" in codes(artefact)
    assert artefact.lost >= 1
    assert artefact.records > 100


def test_a_damaged_event_costs_the_rest_of_its_batch() -> None:
    """An unknown event type ends its batch, at a byte offset the problem names."""
    data = bytearray(sample("1.27"))
    victim = next(r for r in _batches(bytes(data)) if r[0] == 0 and r[2] > 100)
    data[victim[1]] = 0xFE
    artefact = trace.read(bytes(data))
    (problem,) = [p for p in artefact.problems if p.code == "damaged-events"]
    assert problem.where == f"byte {victim[1]}"


def _uvarint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _batch(data: bytes, *, gen: int = 1, thread: int = 7, time: int = 1000) -> bytes:
    return b"\x01" + b"".join(map(_uvarint, (gen, thread, time, len(data)))) + data


def _event(*values: int) -> bytes:
    return bytes([values[0]]) + b"".join(map(_uvarint, values[1:]))


FREQUENCY = _batch(bytes([50, 8]) + _uvarint(1_000_000_000) + _event(51, 0, 5, 1_700_000_000, 0))
HEADER = b"go 1.26 trace\0\0\0"


def test_zero_frequency_does_not_divide() -> None:
    """A frequency of zero is a problem; the usual one is taken."""
    sync = _batch(bytes([50, 8, 0]))
    artefact = trace.read(HEADER + sync + _batch(_event(25, 1, 9, 7, 4)) + b"\x34")
    assert {"bad-frequency", "no-frequency"} <= codes(artefact)
    assert artefact.snapshot is not None
    assert artefact.snapshot.goid.tolist() == [9]


def test_impossible_ids_are_refused() -> None:
    """A goroutine id or state that cannot be costs its event."""
    events = _event(25, 1, (1 << 64) - 1, 7, 4) + _event(25, 1, 9, 7, 99) + _event(25, 1, 8, 7, 4)
    artefact = trace.read(HEADER + FREQUENCY + _batch(events) + b"\x34")
    assert artefact.snapshot is not None
    assert artefact.snapshot.goid.tolist() == [8]
    assert "invalid-event" in codes(artefact)
    assert artefact.lost == 2


def test_skewed_clocks_are_put_right_by_sequence() -> None:
    """A start that seems earlier than the unblocking it follows waits for it: sequence numbers beat time."""
    block = _event(25, 0, 9, (1 << 64) - 1, 4)  # GoStatus g=9 waiting
    unblock = _event(21, 500, 9, 1, 0)
    start = _event(16, 100, 9, 2) + _event(17, 50)  # at 1100, before the unblocking at 1500
    data = HEADER + FREQUENCY + _batch(block + unblock, thread=1) + _batch(start, thread=2) + b"\x34"
    artefact = trace.read(data)
    assert "disorder" not in codes(artefact)
    assert artefact.trace is not None
    assert (artefact.trace.events, artefact.trace.ended) == (4, 1)
    assert artefact.snapshot is not None
    assert artefact.snapshot.rows == 0


def test_what_never_comes_is_not_waited_for() -> None:
    """An event whose predecessor is missing is taken as it stands, and counted."""
    start = _event(16, 100, 9, 5) + _event(17, 50)
    artefact = trace.read(HEADER + FREQUENCY + _batch(start, thread=2) + b"\x34")
    assert "disorder" in codes(artefact)
    assert artefact.trace is not None
    assert artefact.trace.events == 2


def test_two_generations_an_age_apart_are_survived() -> None:
    """With two batches at odds about the time of a generation, one of them stays."""
    near, far = (_batch(_event(25, 1, g, 7, 4), thread=g, time=t) for g, t in ((1, 1000), (2, 1 << 61)))
    artefact = trace.read(HEADER + FREQUENCY + near + far + b"\x34")
    assert artefact.snapshot is not None
    assert artefact.snapshot.rows == 1


def test_a_batch_far_off_in_time_does_not_stretch_the_trace() -> None:
    """One broken time must not make seconds into years."""
    good = [_batch(_event(25, 1, g, 7, 4), thread=g, time=1000 + g) for g in range(1, 6)]
    bad = _batch(_event(25, 1, 77, 7, 4), thread=77, time=1 << 61)
    artefact = trace.read(HEADER + FREQUENCY + b"".join(good) + bad + b"\x34")
    assert "bad-time" in codes(artefact)
    assert artefact.trace is not None
    assert artefact.trace.duration_s < 1


def test_strings_and_stacks_of_different_generations_are_one() -> None:
    """Ids are per generation; the same content under another id is the same stack."""

    def generation(gen: int, shift: int) -> bytes:
        names = b"\x04" + b"".join(
            b"\x05" + _uvarint(i + shift) + _uvarint(len(t)) + t for i, t in enumerate([b"main.f", b"f.go", b"sync"], 1)
        )
        stack = b"\x02" + b"\x03" + b"".join(map(_uvarint, (9 + shift, 1, 77, 1 + shift, 2 + shift, 12)))
        sync = _batch(bytes([50, 8]) + _uvarint(1_000_000_000), gen=gen, time=gen * 1000)
        events = _event(25, 0, 9, 1, 2) + _event(20, 10, 3 + shift, 9 + shift) if gen == 1 else b""
        events += _event(25, 0, 9, 1, 4) + _event(21, 10, 9, 1, 0) + _event(16, 1, 9, 2) if gen == 2 else b""
        events += _event(20, 100, 3 + shift, 9 + shift) if gen == 2 else b""
        parts = (
            sync,
            _batch(events, gen=gen, thread=1, time=gen * 1000),
            _batch(stack, gen=gen),
            _batch(names, gen=gen),
        )
        return b"".join(parts) + b"\x34"

    artefact = trace.read(HEADER + generation(1, 0) + generation(2, 40))
    assert artefact.trace is not None
    assert not {"unknown-stack", "unknown-string", "late-goroutine"} & codes(artefact)
    (wait,) = [w for w in artefact.trace.waits if w.reason == "sync"]
    assert (wait.count, wait.open) == (2, 1)
    assert wait.max_s == pytest.approx(1000e-9)  # blocked at 1010, unblocked at 2010
    assert wait.stack.frames[0] == ("main.f", "f.go", 12)


def test_floods_end_at_their_limits() -> None:
    """Millions of empty generations cost one problem; generations past the limit are left unread, and that is said."""
    artefact = trace.read(HEADER + b"\x34" * 2_000_000)
    assert codes(artefact) == {"no-events", "empty-generation"}
    tiny = (_batch(_event(25, 1, 9, 7, 4), gen=i) + b"\x34" for i in range(1, _trace_scan.MAX_GENERATIONS + 50))
    artefact = trace.read(HEADER + b"".join(tiny))
    assert artefact.trace is not None
    assert artefact.trace.generations == _trace_scan.MAX_GENERATIONS
    (limit,) = [p for p in artefact.problems if p.code == "limit"]
    assert "were not read" in limit.text


def test_many_goroutines_and_stacks_grow_the_tables() -> None:
    """Nothing is lost when every table has to grow: 20,000 goroutines at 20,000 stacks."""
    n = 20_000
    names = _batch(b"\x04\x05\x01\x06main.f\x05\x02\x04f.go")
    entries = [b"\x03" + b"".join(map(_uvarint, (i, 1, i, 1, 2, i))) for i in range(1, n + 1)]
    stacks = [_batch(b"\x02" + b"".join(entries[k : k + 4000])) for k in range(0, n, 4000)]
    status = [_batch(b"".join(_event(48, 0, i, 9, 4, i) for i in range(k + 1, k + 4001))) for k in range(0, n, 4000)]
    artefact = trace.read(HEADER + FREQUENCY + b"".join(status) + names + b"".join(stacks) + b"\x34")
    assert codes(artefact) == {"more-waits"}
    assert artefact.snapshot is not None
    assert artefact.snapshot.goid.tolist() == list(range(1, n + 1))
    lines = [artefact.snapshot.stacks[i].frames[0].line for i in artefact.snapshot.stack]
    assert lines == list(range(1, n + 1))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_damage_is_survived(data: st.DataObject) -> None:
    """Bytes flipped, cut out or doubled anywhere cost records, never an exception or an absurd number."""
    raw = bytearray(sample(data.draw(st.sampled_from(VERSIONS))))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(16, len(raw) - 1))
        match data.draw(st.integers(0, 2)):
            case 0:
                raw[at] = data.draw(st.integers(0, 255))
            case 1:
                del raw[at : at + data.draw(st.integers(1, 400))]
            case _:
                raw[at:at] = raw[at : at + data.draw(st.integers(1, 400))]
        if len(raw) < 18:
            break
    artefact = trace.read(bytes(raw))
    assert artefact.trace is not None
    assert artefact.trace.events >= 0
    assert artefact.trace.duration_s >= 0
    assert all(w.count >= w.open >= 0 and w.total_s >= w.max_s >= 0 for w in artefact.trace.waits)
    assert all(c.count >= c.alive >= 0 for c in artefact.trace.creations)
    assert len(artefact.problems) <= MAX_PROBLEMS + 1


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([22, 23, 25, 26, 99]))
def test_any_bytes_behind_a_header_are_survived(body: bytes, version: int) -> None:
    """A header followed by anything is a trace with problems."""
    artefact = trace.read(f"go 1.{version} trace\0\0\0".encode() + body)
    assert artefact.problems
    assert artefact.snapshot is not None


def _batches(data: bytes) -> list[list[int]]:
    found = _trace_scan.Scan(
        data=np.frombuffer(data, dtype=np.uint8),
        state=np.zeros(_trace_layout.S_SIZE, dtype=np.int64),
        counts=np.zeros(256, dtype=np.int64),
    )
    return [row for g in _trace_scan._index(found, 26) for row in g.batches.tolist()]
