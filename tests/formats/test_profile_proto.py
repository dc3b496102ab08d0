"""profile_proto: reading real profiles, damage, limits, merging, writing."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.formats import _profile_wire as wire
from parkwarden.formats import profile_proto
from parkwarden.formats.detect import read_bytes
from parkwarden.model import FormatError, Frame, Kind, LimitError, Mark, Profile, Source, Stack

VERSIONS = ("go1.21", "go1.25", "go1.27")
KINDS = {
    "goroutine": Kind.GOROUTINE_PROFILE,
    "heap": Kind.HEAP_PROFILE,
    "allocs": Kind.ALLOCS_PROFILE,
    "cpu": Kind.CPU_PROFILE,
    "block": Kind.BLOCK_PROFILE,
    "mutex": Kind.MUTEX_PROFILE,
    "threadcreate": Kind.THREADCREATE_PROFILE,
}
GOLDEN = Path(__file__).parent.parent / "data" / "profile_proto"
HEAP = gzip.decompress((GOLDEN / "go1.27" / "heap.pb.gz").read_bytes())
VARINT = st.integers(0, (1 << 64) - 1)


def _profile(labels: list[dict[str, str]], values: list[int], kind: str = "goroutine") -> Profile:
    stacks = [Stack((Frame("main.leak", "main.go", 7), Frame("main.main", "main.go", 3))), Stack((Frame("0x4390ce"),))]
    return Profile(
        sample_types=[(kind, "count")],
        stacks=stacks,
        stack=np.arange(len(values)) % 2,
        values=np.array(values).reshape(-1, 1),
        labels=[{}, *labels],
        label=np.arange(len(values)) % (len(labels) + 1),
        period_type=(kind, "count"),
        period=1,
        time_nanos=1_700_000_000_000_000_000,
        binary="/srv/app",
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", KINDS)
def test_real_profiles_are_recognised_and_read_whole(data: Path, version: str, name: str) -> None:
    """Every profile Go writes gets its kind by content and loses nothing, gzipped or not."""
    packed = (data / "profile_proto" / version / f"{name}.pb.gz").read_bytes()
    for form in (packed, gzip.decompress(packed)):
        assert profile_proto.sniff(form[:256])
        artefact = profile_proto.read(form, "x")
        assert (artefact.kind, artefact.lost, artefact.problems) == (KINDS[name], 0, [])
        assert artefact.profile is not None
        assert artefact.records == len(artefact.profile.stack) > 0
        assert artefact.taken_at is not None
        assert artefact.build is not None
        assert artefact.build.binary.endswith("goldens")


@pytest.mark.parametrize("version", VERSIONS)
def test_goroutine_profile_is_a_snapshot_with_frames_as_go_gives_them(data: Path, version: str) -> None:
    """Counts, labels and frames, runtime.gopark first and no runtime.goexit."""
    artefact = profile_proto.read((data / "profile_proto" / version / "goroutine.pb.gz").read_bytes())
    snapshot = artefact.snapshot
    assert snapshot is not None
    assert snapshot.source is Source.PROFILE
    by_leaf = {
        stack.frames[3].function: int(snapshot.count[row])
        for row in range(snapshot.rows)
        if len((stack := snapshot.stacks[snapshot.stack[row]]).frames) > 3 and not snapshot.label[row]
    }
    assert by_leaf["main.recvForever"] == 7
    assert by_leaf["main.sendForever"] == 3
    parked = snapshot.stacks[snapshot.stack[0]]
    assert [f.function for f in parked.frames] == [
        "runtime.gopark",
        "runtime.chanrecv",
        "runtime.chanrecv1",
        "main.recvForever",
    ]
    assert not any(f.function == "runtime.goexit" for s in snapshot.stacks for f in s.frames)
    labelled = int(snapshot.count[snapshot.label > 0].sum())
    assert labelled == 4
    assert snapshot.labels[1] == {"tenant": 'acme "x"', "worker": "7"}
    assert any("Pool[go.shape.string]" in f.function for s in snapshot.stacks for f in s.frames)


def test_leak_profile_marks_every_row_leaked(data: Path) -> None:
    """What a goroutineleak profile names is proven leaked."""
    artefact = profile_proto.read((data / "profile_proto" / "go1.27" / "goroutineleak.pb.gz").read_bytes())
    assert artefact.kind is Kind.GOROUTINELEAK_PROFILE
    assert artefact.snapshot is not None
    assert artefact.snapshot.source is Source.LEAK_PROFILE
    assert artefact.snapshot.total == 22
    assert (artefact.snapshot.marks == Mark.LEAKED).all()


def test_vendor_labels_become_columns() -> None:
    """debug=3 profiles tell id, parent, state and wait in labels; other labels stay labels."""
    worn = {
        "go::goroutine": "42",
        "go::goroutine_created_by": "1",
        "go::goroutine_state": "chan receive",
        "go::goroutine_wait_minutes": "5",
        "tenant": "acme",
    }
    artefact = profile_proto.read(profile_proto.write(_profile([worn], [1, 1])))
    snapshot = artefact.snapshot
    assert snapshot is not None
    assert (snapshot.goid.tolist(), snapshot.parent.tolist()) == ([0, 42], [0, 1])
    assert snapshot.wait_min.tolist() == [-1, 5]
    assert [snapshot.states[i] for i in snapshot.state] == ["", "chan receive"]
    assert [snapshot.labels[i] for i in snapshot.label] == [{}, {"tenant": "acme"}]


def test_write_then_read_keeps_everything() -> None:
    """A written profile reads back equal: stacks, pc frames, values, labels, header."""
    before = _profile([{"bytes": "512", "k": "\x1b[31m<b>\u202e"}], [3, 4, 5])
    after = profile_proto.read(profile_proto.write(before)).profile
    assert after is not None
    assert (after.stacks, after.labels) == (before.stacks, before.labels)
    assert after.values.tolist() == before.values.tolist()
    assert after.stack.tolist() == before.stack.tolist()
    assert (after.time_nanos, after.period_type, after.binary) == (
        before.time_nanos,
        ("goroutine", "count"),
        "/srv/app",
    )


def test_merge_adds_equal_samples_and_keeps_the_others() -> None:
    """Equal stacks and labels add up whatever their order in the files; samples of zeros go."""
    merged = profile_proto.read(
        profile_proto.merge(
            [profile_proto.write(_profile([{"a": "1"}], [3, 4])), profile_proto.write(_profile([], [10, 0]))]
        )
    ).profile
    assert merged is not None
    counts = {
        (merged.stacks[s].frames[0].function, bool(label)): int(v)
        for s, label, v in zip(merged.stack, merged.label, merged.values[:, 0], strict=True)
    }
    assert counts == {("main.leak", False): 13, ("0x4390ce", True): 4}


def test_merge_of_real_profiles_sums_every_column(data: Path) -> None:
    """A merge of a profile with itself has twice the values over the same stacks."""
    packed = (data / "profile_proto" / "go1.27" / "heap.pb.gz").read_bytes()
    one = profile_proto.read(packed).profile
    two = profile_proto.read(profile_proto.merge([packed, packed])).profile
    assert one is not None
    assert two is not None
    assert two.values.sum(axis=0).tolist() == (2 * one.values.sum(axis=0)).tolist()
    assert {s.frames for s in two.stacks} <= {s.frames for s in one.stacks}


def test_merge_refuses_what_does_not_belong_together() -> None:
    """Profiles of two types, nothing, or no profile at all raise a typed error."""
    for inputs in (
        [profile_proto.write(_profile([], [1])), profile_proto.write(_profile([], [1], "threadcreate"))],
        [],
        [b"hello"],
    ):
        with pytest.raises(FormatError):
            profile_proto.merge(inputs)


def test_a_damaged_sample_costs_one_sample() -> None:
    """A sample with a broken inside is skipped and counted; the rest is read."""
    raw = gzip.decompress(profile_proto.write(_profile([], [1, 2])))
    broken = raw + b"\x12\x03\x0a\x7f\x01"
    artefact = profile_proto.read(broken)
    assert artefact.records == 2
    assert artefact.lost == 1
    assert artefact.problems[0].code == "damaged-record"
    assert profile_proto.read(profile_proto.merge([broken])).records == 2


def test_a_cut_file_gives_what_was_there_and_says_so() -> None:
    """Truncation in the gzip stream or in the message is a problem, not an exception."""
    packed = gzip.compress(HEAP)
    cut = profile_proto.read(packed[: len(packed) // 2])
    assert {"damaged-gzip", "truncated"} >= {p.code for p in cut.problems} - {"unknown-function", "unknown-location"}
    assert cut.lost >= 1
    flipped = bytearray(packed)
    flipped[-6] ^= 0xFF
    assert profile_proto.read(bytes(flipped)).problems[0].code == "damaged-gzip"


def test_limits_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bombs end at named limits with a typed error."""
    with pytest.raises(LimitError):
        wire.gunzip(gzip.compress(b"\0" * 100_000), limit=10_000)
    with pytest.raises(LimitError):
        wire.gunzip(gzip.compress(b"") * (wire.MAX_MEMBERS + 1))
    monkeypatch.setattr(wire, "MAX_SAMPLES", 1)
    with pytest.raises(LimitError):
        profile_proto.read(profile_proto.write(_profile([], [1, 2])))


def test_deep_stacks_are_elided_not_expanded() -> None:
    """A stack beyond MAX_DEPTH keeps the leaf end and counts the rest."""
    frames = tuple(Frame(f"main.f{i % 3}", "m.go", i) for i in range(profile_proto.MAX_DEPTH + 10))
    profile = _profile([], [1])
    profile.stacks[0] = Stack(frames)
    artefact = profile_proto.read(profile_proto.write(profile))
    assert artefact.profile is not None
    assert artefact.profile.stacks[0].elided == 10
    assert artefact.profile.stacks[0].frames == frames[:-10]
    assert artefact.problems[0].code == "deep-stack"


def test_layout_is_the_kernels() -> None:
    """The reader's copy of the kernel's slots (kept to avoid importing numba) is the kernel's."""
    from parkwarden.kernels import profile_wire

    assert {name: getattr(profile_wire, name) for name in wire.SLOTS} == wire.SLOTS


def test_other_input_is_not_taken_for_a_profile() -> None:
    """Texts and traces are not sniffed as profiles."""
    for head in (
        b"",
        b"\n\ngoroutine 1 [running]:\n",
        b"go 1.26 trace\0\0\0",
        b'{"cmdline": []}',
        b"\x1f\x8bxx",
        b"# HELP a b\n",
    ):
        assert not profile_proto.sniff(head)


@given(st.binary(max_size=200), st.integers(0, len(HEAP)), st.integers(0, 200))
def test_no_bytes_crash_the_reader(junk: bytes, at: int, gone: int) -> None:
    """Whatever is spliced into a real profile, read and merge answer or raise a typed error."""
    spliced = HEAP[:at] + junk + HEAP[at + gone :]
    for act in (profile_proto.read, lambda d: profile_proto.read(profile_proto.merge([d]))):
        try:
            artefact = act(spliced)
        except (FormatError, LimitError):
            continue
        assert len(artefact.problems) <= 51


@given(st.lists(VARINT, max_size=20), st.lists(VARINT, min_size=1, max_size=40))
def test_resolve_finds_the_first_row_of_an_id(ids: list[int], wanted: list[int]) -> None:
    """Ids in any order, repeated or missing: the first row with that id, or -1; 0 means none."""
    as_rows = np.array(ids, dtype=np.uint64).astype(np.int64)
    asked = np.array([*wanted, *ids], dtype=np.uint64).astype(np.int64)
    expected = [as_rows.tolist().index(w) if w and w in as_rows.tolist() else -1 for w in asked.tolist()]
    assert wire.resolve(as_rows, asked).tolist() == expected


@pytest.mark.parametrize(
    "sample", ["profile_proto/go1.27/goroutineleak-stale.pb.gz", "profile_text/go1.27/goroutineleak-stale.txt"]
)
def test_a_stale_leak_count_proves_nothing(data: Path, sample: str) -> None:
    """Where a leak profile finds none, Go repeats the number of the run before with empty stacks: no goroutine, one problem."""
    (artefact,) = read_bytes((data / sample).read_bytes(), sample)
    assert artefact.snapshot is not None
    assert artefact.snapshot.total == 0
    assert [p.code for p in artefact.problems] == ["stale-count"]
    assert artefact.lost == 0
