"""profile_text: debug=1 texts of three Go versions, unsampling, labels, damage."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.formats import profile_proto, profile_text
from parkwarden.model import FormatError, Frame, Kind, LimitError, Mark

VERSIONS = ("go1.21", "go1.25", "go1.27")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["goroutine", "heap", "allocs", "block", "mutex", "threadcreate"])
def test_real_texts_are_read_whole(data: Path, version: str, name: str) -> None:
    """Every debug=1 text is recognised and loses nothing."""
    text = (data / "profile_text" / version / f"{name}.txt").read_bytes()
    assert profile_text.sniff(text[:256])
    artefact = profile_text.read(text)
    wanted = "heap" if name == "allocs" else name
    assert artefact.kind.value == f"{wanted}-profile"
    assert (artefact.lost, artefact.problems) == (0, [])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["heap", "allocs", "block", "mutex"])
def test_text_and_protobuf_agree(data: Path, version: str, name: str) -> None:
    """Unsampled bytes and counts, and delays in nanoseconds, equal those Go itself writes to the protobuf."""
    text = profile_text.read((data / "profile_text" / version / f"{name}.txt").read_bytes()).profile
    proto = profile_proto.read((data / "profile_proto" / version / f"{name}.pb.gz").read_bytes()).profile
    assert text is not None
    assert proto is not None
    assert text.sample_types == proto.sample_types
    assert text.values.sum(axis=0).tolist() == proto.values.sum(axis=0).tolist()


@pytest.mark.parametrize("version", VERSIONS)
def test_goroutines_labels_and_frames(data: Path, version: str) -> None:
    """Counts match the header, labels are unquoted, frames are leaf first without runtime's own."""
    artefact = profile_text.read((data / "profile_text" / version / "goroutine.txt").read_bytes())
    snapshot = artefact.snapshot
    assert snapshot is not None
    assert snapshot.total in (34, 35)
    assert snapshot.labels[1] == {"tenant": 'acme "x"', "worker": "7"}
    first = snapshot.stacks[snapshot.stack[0]]
    assert first.frames == (Frame("main.recvForever", "example.com/goldens/main.go", 28),)
    assert any("Pool[...]" in f.function for s in snapshot.stacks for f in s.frames)


def test_leak_text_marks_leaked(data: Path) -> None:
    """goroutineleak?debug=1 names only what is proven leaked."""
    artefact = profile_text.read((data / "profile_text" / "go1.27" / "goroutineleak.txt").read_bytes())
    assert artefact.kind is Kind.GOROUTINELEAK_PROFILE
    assert artefact.snapshot is not None
    assert (artefact.snapshot.total, set(artefact.snapshot.marks.tolist())) == (22, {int(Mark.LEAKED)})


def test_memstats_become_a_reading(data: Path) -> None:
    """The trailing MemStats: bytes, counts, LastGC in seconds; Stack is the first of two numbers."""
    reading = profile_text.read((data / "profile_text" / "go1.27" / "heap.txt").read_bytes()).reading
    assert reading is not None
    assert reading.heap_inuse is not None
    assert reading.heap_inuse > 8 << 20
    assert reading.num_gc is not None
    assert reading.stack_inuse is not None
    assert reading.next_gc is not None
    assert reading.last_gc_at is not None
    assert 1.7e9 < reading.last_gc_at < 1e10
    assert reading.gc_cpu_fraction is not None


def test_records_without_names_keep_their_pcs() -> None:
    """Old Go or stripped files have pcs only."""
    profile = profile_text.read(b"goroutine profile: total 2\r\n2 @ 0x1 0xabc\r\n\r\n").profile
    assert profile is not None
    assert profile.stacks[0].frames == (Frame("0x1"), Frame("0xabc"))


def test_tabs_turned_to_spaces_are_read() -> None:
    """Copy and paste turns tabs to spaces."""
    profile = profile_text.read(
        b"goroutine profile: total 1\n1 @ 0x2\n#   0x1   main.f+0x24    /src/a b.go:28\n"
    ).profile
    assert profile is not None
    assert profile.stacks[0].frames == (Frame("main.f", "/src/a b.go", 28),)


def test_a_damaged_record_costs_one_record() -> None:
    """A broken record line is counted with its line, its frames are not given to its neighbour."""
    artefact = profile_text.read(
        b"goroutine profile: total 3\n2 @ 0x1\n#\t0x0\tmain.a+0x1\ta.go:1\n\nx1 @ 0x2\n#\t0x1\tmain.b+0x1\tb.go:1\n"
    )
    assert artefact.lost == 1
    assert [p.code for p in artefact.problems] == ["damaged-record", "count-mismatch"]
    assert artefact.problems[0].where == "line 5"
    assert artefact.snapshot is not None
    assert artefact.snapshot.headers_seen == 3
    assert artefact.profile is not None
    assert artefact.profile.stacks[0].frames == (Frame("main.a", "a.go", 1),)


def test_zero_rate_and_zero_sizes_are_not_scaled() -> None:
    """Rate 0 (unknown) or 1 leaves counts as they are; nothing divides by zero."""
    for rate in (b"heap/0", b"heap/2", b"heap"):
        text = b"heap profile: 1: 5 [2: 10] @ " + rate + b"\n1: 5 [2: 10] @ 0x1\n0: 0 [0: 7] @ 0x2\n"
        profile = profile_text.read(text).profile
        assert profile is not None
        assert profile.values.tolist() == [[2, 10, 1, 5], [0, 0, 0, 0]]


def test_long_runs_take_no_quadratic_time() -> None:
    """Lines of hundreds of thousands of tabs or blanks are given up on at once (checked by finishing)."""
    for junk in (b"#\t0x1 a" + b"\t" * 300_000 + b"x", b"#" + b" " * 900_000, b"1 @" + b" 0x1" * 200_000 + b"z"):
        artefact = profile_text.read(b"goroutine profile: total 1\n1 @ 0x1\n" + junk)
        assert artefact.problems


def test_other_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """No header: FormatError; too long: LimitError."""
    assert not profile_text.sniff(b"goroutine 1 [running]:\n")
    with pytest.raises(FormatError):
        profile_text.read(b"goroutine 1 [running]:\n")
    monkeypatch.setattr(profile_text, "MAX_BYTES", 3)
    with pytest.raises(LimitError):
        profile_text.read(b"goroutine profile: total 0\n")


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_labels_survive_gos_quoting(key: str, value: str) -> None:
    """Labels as Go's %q writes them (here by its JSON-compatible part) come back unchanged."""
    import json

    quoted = f"{{{json.dumps(key, ensure_ascii=False)}:{json.dumps(value, ensure_ascii=False)}}}"
    if any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in key + value):
        return
    text = f"goroutine profile: total 1\n1 @ 0x1\n# labels: {quoted}\n".encode()
    snapshot = profile_text.read(text).snapshot
    assert snapshot is not None
    assert snapshot.labels[1] == {key: value}


def test_gos_own_escapes_are_read() -> None:
    """%q writes \\x00, \\a and \\v, which JSON does not know."""
    snapshot = profile_text.read(
        b'goroutine profile: total 1\n1 @ 0x1\n# labels: {"k":"a\\x1b\\a\\v\\\\x41"}\n'
    ).snapshot
    assert snapshot is not None
    assert snapshot.labels[1] == {"k": "a\x1b\x07\x0b\\x41"}
