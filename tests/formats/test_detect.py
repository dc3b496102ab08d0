"""Detection by content: every kind of log, alone and together; one bad input costs itself."""

from __future__ import annotations

import io
import sys
import time
import types
import zipfile
from pathlib import Path

import pytest

from parkwarden.formats import detect
from parkwarden.formats.detect import read_bytes
from parkwarden.model import Artefact, FormatError, Kind, LimitError


def one(data: bytes | memoryview, name: str = "x") -> Artefact:
    found = read_bytes(data, name)
    assert len(found) == 1
    return found[0]


def crash_log(data: Path, name: str) -> bytes:
    return (data / "crash_log" / "go1.27" / f"{name}.txt").read_bytes()


def test_a_crash_log_holds_its_dump_and_its_cause(data: Path) -> None:
    """One input testifies to both: why the process died and what its goroutines did."""
    artefact = one(crash_log(data, "threads"))
    assert artefact.kind is Kind.CRASH_LOG
    assert [c.cause for c in artefact.crashes] == ["thread-limit"]
    assert artefact.snapshot is not None
    assert artefact.snapshot.total == 8
    assert artefact.records == 9
    assert artefact.problems == []


def test_a_dump_that_was_asked_for_is_a_dump(data: Path) -> None:
    """SIGQUIT's output says why it was written, but nothing crashed."""
    artefact = one(crash_log(data, "sigquit"))
    assert artefact.kind is Kind.GOROUTINE_DUMP
    assert [c.cause for c in artefact.crashes] == ["signal"]


def test_a_cause_without_goroutines(data: Path) -> None:
    """`deadlock!` with nobody left prints no goroutine."""
    artefact = one(crash_log(data, "deadlock-goexit"))
    assert artefact.kind is Kind.CRASH_LOG
    assert artefact.snapshot is None


def test_kernel_lines_alone_and_beside_a_crash(data: Path) -> None:
    """A node's log is a kernel log; in a pod's log next to a panic both are told."""
    kernel = (data / "kernel_log" / "dmesg-memcg.txt").read_bytes()
    assert one(kernel).kind is Kind.KERNEL_LOG
    both = one(crash_log(data, "nil") + kernel)
    assert both.kind is Kind.CRASH_LOG
    assert [c.cause for c in both.crashes] == ["nil-dereference", "oom-kill"]


def test_a_cause_far_into_a_log_is_found(data: Path) -> None:
    """A service log has megabytes before its last words."""
    artefact = one(b"level=info msg=served\n" * 200_000 + crash_log(data, "nil"))
    assert artefact.kind is Kind.CRASH_LOG
    assert artefact.crashes[0].where == "line 200001"


def test_every_member_of_an_archive_is_an_artefact(data: Path) -> None:
    """Names lie: what counts is what is inside."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("heap.pb.gz", crash_log(data, "nil"))
        archive.writestr("trace.out", b"just a note")
        archive.writestr("empty", b"")
    found = read_bytes(out.getvalue(), "bag.zip")
    assert [(a.name, a.kind) for a in found] == [
        ("bag.zip!heap.pb.gz", Kind.CRASH_LOG),
        ("bag.zip!trace.out", Kind.UNKNOWN),
        ("bag.zip!empty", Kind.UNKNOWN),
    ]
    assert [[p.code for p in a.problems] for a in found] == [[], ["unrecognised"], ["empty"]]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<!DOCTYPE html><html><body>log in</body></html>", "a web page"),
        (b"\x7fELF" + bytes(12) + b"\x04\0", "a core file"),
        (b"\x7fELF" + bytes(12) + b"\x02\0", "a program"),
        (bytes(5000), "nothing but blanks or zeros"),
        (b"\x1b[2J<script>alert(1)</script>\xe2\x80\xae evil", "begins '\\x1b[2J<script>"),
    ],
)
def test_what_is_not_ours_is_told_what_it_looks_like(data: bytes, words: str) -> None:
    """An unknown input names what was looked for and begins with an inert snippet: plain ASCII, no control characters."""
    artefact = one(data)
    assert artefact.kind is Kind.UNKNOWN
    (problem,) = artefact.problems
    assert problem.code == "unrecognised"
    assert words in problem.text
    assert problem.text.isascii()
    assert problem.text.isprintable()


def test_empty_input_is_a_problem() -> None:
    """Zero bytes are no artefact, and a zip without files neither."""
    assert one(b"").problems[0].code == "empty"
    out = io.BytesIO()
    zipfile.ZipFile(out, "w").close()
    assert one(out.getvalue()).problems[0].code == "empty"


def fake_reader(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    reader = types.ModuleType("parkwarden.formats.failing")

    def read(data: bytes, name: str) -> Artefact:
        raise error

    reader.sniff = lambda head: head.startswith(b"FAIL")  # type: ignore[attr-defined]
    reader.read = read  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "parkwarden.formats.failing", reader)
    monkeypatch.setattr(detect, "ANNOUNCED", ("failing",))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FormatError("trace-v1", "recorded with Go 1.21", hint="record with Go 1.23"), "trace-v1"),
        (LimitError("too-large", "too many events"), "too-large"),
        (KeyError("ours"), "reader-failed"),
        (RecursionError(), "reader-failed"),
    ],
)
def test_a_failing_reader_costs_one_member(monkeypatch: pytest.MonkeyPatch, error: Exception, code: str) -> None:
    """Its refusal or its bug becomes a problem; the other member is read."""
    fake_reader(monkeypatch, error)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("bad", b"FAIL now")
        archive.writestr("good", b"panic: x\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:1 +0x1d\n")
    bad, good = read_bytes(out.getvalue(), "z")
    assert bad.kind is Kind.UNKNOWN
    assert bad.problems[0].code == code
    assert ("bug of Parkwarden" in bad.problems[0].text) == (code == "reader-failed")
    assert good.kind is Kind.CRASH_LOG


def test_a_memoryview_is_read_like_bytes(data: Path) -> None:
    """Mapped files come as memoryviews, whatever they turn out to be."""
    text = crash_log(data, "nil")
    assert one(memoryview(text)).crashes == one(text).crashes


def test_snippets_of_problems_from_containers_stay_with_their_member() -> None:
    """A truncated gzip of a log still gives the crash in it, and says what is missing."""
    import gzip

    text = b"panic: x\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:1 +0x1d\n" + b"line\n" * 5000
    artefact = one(gzip.compress(text)[:-4])
    assert artefact.kind is Kind.CRASH_LOG
    assert artefact.problems[0].code == "truncated"
    assert artefact.lost == 1


@pytest.mark.parametrize(
    "data",
    [
        b"goroutine 1 [" * 300_000,
        (b"oom-kill:constraint=X," + b",task=" * 600 + b"\n") * 300,
        b"panic: x\n" * 300_000,
        b"a b panic: x\n" * 300_000,
        b"exitCode: 1 " * 300_000,
    ],
    ids=["headers", "summaries", "panics", "talk", "exit-codes"],
)
def test_hostile_lines_cost_no_more_than_their_length(data: bytes) -> None:
    """Lines made to send a search back again and again end in time (the first two once took minutes)."""
    began = time.process_time()
    one(data)
    assert time.process_time() - began < 2
