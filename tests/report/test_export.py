"""export: pprof, folded and speedscope from snapshots, profiles and traces; hostile names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parkwarden.formats import profile_proto
from parkwarden.model import (
    Artefact,
    Creation,
    Frame,
    Kind,
    Source,
    Stack,
    Trace,
    UsageError,
    Wait,
    make_snapshot,
)
from parkwarden.report import export

HOSTILE = "main.<script>;\n\x1b[31m\u202e 9"


def _dump() -> Artefact:
    stacks = [
        Stack((Frame("main.wait", "main.go", 5), Frame("main.run", "main.go", 9)), Frame("main.start", "main.go", 2)),
        Stack((Frame(HOSTILE, "a b.go", 1),), None, 7),
    ]
    snapshot = make_snapshot(
        Source.DUMP, stacks, [0, 0, 1], states=["", "select"], state=[1, 1, 0], labels=[{}, {"k": "v"}], label=[0, 0, 1]
    )
    return Artefact(name="dump.txt", kind=Kind.GOROUTINE_DUMP, size=1, snapshot=snapshot)


def _trace() -> Artefact:
    creation = Creation(
        stack=Stack((Frame("main.handle", "m.go", 3),)), start=Frame("main.work", "m.go", 8), count=40,
        first_s=0.0, last_s=1.0, peak_per_s=50.0, alive=2,
    )  # fmt: skip
    wait = Wait(
        stack=Stack((Frame("main.work", "m.go", 9),)), reason="chan receive", count=5, total_s=2.5, max_s=1.0, open=1
    )
    trace = Trace(
        version="1.26", duration_s=1.0, started_at=1.7e9, events=1, generations=1, created=40, ended=38,
        creations=[creation], waits=[wait], census=None,
    )  # fmt: skip
    return Artefact(name="trace.out", kind=Kind.TRACE, size=1, trace=trace)


def _check_speedscope(document: dict[str, Any]) -> None:
    """The rules of speedscope's file-format-spec.ts for sampled profiles."""
    assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    frames = document["shared"]["frames"]
    for frame in frames:
        assert isinstance(frame["name"], str)
        assert set(frame) <= {"name", "file", "line", "col"}
    assert 0 <= document["activeProfileIndex"] < len(document["profiles"])
    for profile in document["profiles"]:
        assert profile["type"] == "sampled"
        assert isinstance(profile["name"], str)
        assert profile["unit"] in {"none", "nanoseconds", "microseconds", "milliseconds", "seconds", "bytes"}
        assert len(profile["samples"]) == len(profile["weights"])
        assert all(w > 0 for w in profile["weights"])
        assert profile["endValue"] - profile["startValue"] == pytest.approx(sum(profile["weights"]))
        assert all(0 <= i < len(frames) for sample in profile["samples"] for i in sample)


def test_folded_is_root_first_with_counts_and_no_way_out_of_its_line() -> None:
    """Creator as root, counts added up, `;`, newlines and escapes in names made harmless."""
    assert export.to_folded(_dump()) == (
        "created by main.start;main.run;main.wait 2\n...frames elided...;main.<script>:?[31m? 9 1\n"
    )


def test_folded_trace_is_wait_time_in_microseconds() -> None:
    """The last view of a trace, its waits, with the reason as leaf."""
    assert export.to_folded(_trace()) == "main.work;[chan receive] 2500000\n"


def test_pprof_of_a_dump_reads_back_as_goroutines() -> None:
    """States become a label, labels stay, counts are goroutines."""
    artefact = profile_proto.read(export.to_pprof(_dump()))
    assert artefact.kind is Kind.GOROUTINE_PROFILE
    assert artefact.snapshot is not None
    assert artefact.snapshot.count.tolist() == [2, 1]
    assert [artefact.snapshot.labels[i] for i in artefact.snapshot.label] == [{"state": "select"}, {"k": "v"}]
    assert artefact.snapshot.stacks[0].frames[-1] == Frame("created by main.start", "main.go", 2)
    assert artefact.snapshot.stacks[1].frames[0].function == HOSTILE


def test_pprof_of_a_trace_has_creations_and_waits() -> None:
    """Both are rows of one profile with three columns."""
    profile = profile_proto.read(export.to_pprof(_trace())).profile
    assert profile is not None
    assert [t for t, _ in profile.sample_types] == ["creations", "waits", "wait"]
    assert profile.values.tolist() == [[40, 0, 0], [0, 5, 2_500_000_000]]
    assert [f.function for f in profile.stacks[0].frames] == ["main.work", "main.handle"]


def test_pprof_of_a_profile_keeps_it(data: Path) -> None:
    """A heap profile goes through unchanged, block sizes as numbers."""
    before = profile_proto.read((data / "profile_proto" / "go1.27" / "heap.pb.gz").read_bytes())
    after = profile_proto.read(export.to_pprof(before))
    assert before.profile is not None
    assert after.profile is not None
    assert np.array_equal(after.profile.values, before.profile.values)
    assert after.profile.stacks == before.profile.stacks
    assert after.profile.labels == before.profile.labels


def test_speedscope_files_follow_the_schema(data: Path) -> None:
    """One file over several inputs: a profile per column, frames shared, root first, nothing but ASCII."""
    heap = profile_proto.read((data / "profile_proto" / "go1.27" / "heap.pb.gz").read_bytes(), "heap")
    text = export.to_speedscope([_dump(), _trace(), heap])
    assert text.isascii()
    document = json.loads(text)
    _check_speedscope(document)
    names = [p["name"] for p in document["profiles"]]
    assert names[:3] == ["dump.txt goroutines", "trace.out creations", "trace.out waits"]
    assert names[-1] == "heap inuse_space"
    sample = max(document["profiles"][0]["samples"], key=len)
    assert [document["shared"]["frames"][i]["name"] for i in sample] == [
        "created by main.start",
        "main.run",
        "main.wait",
    ]


def test_inputs_without_stacks_are_refused() -> None:
    """A metrics page has nothing to draw: UsageError, not an empty file."""
    page = Artefact(name="metrics", kind=Kind.METRICS, size=1)
    for act in (export.to_pprof, export.to_folded, export.to_speedscope):
        with pytest.raises(UsageError):
            act(page)
