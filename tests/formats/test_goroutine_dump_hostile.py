"""Input made to cost time: whatever the shape, a megabyte is read in a second or two, and twice as much in twice that."""

from __future__ import annotations

import time

import pytest

from parkwarden.formats import _dump_body, goroutine_dump
from parkwarden.formats._dump_clean import MAX_JSON_LINE
from parkwarden.model import FormatError

SIZE = 1 << 20
HEADER = b"goroutine 1 [running]:\n"
FRAME = b"main.f(0x1)\n\t/a.go:7 +0x1\n"


def _fill(unit: bytes, size: int = SIZE) -> bytes:
    return unit * (size // len(unit))


STAMPS = HEADER + b"12:34:561" * 40 + b"goroutine 2 [a]:\n" + b"12:34:56.1234567" * 30 + b"\n"
SHAPES = {
    "header beginnings": _fill(b"goroutine 1 [running"),
    "closed header beginnings": _fill(b"goroutine 1 [running]"),
    "header beginnings with gp": _fill(b"goroutine 1 gp=0x1 m=0 [a"),
    "header beginnings after a header": HEADER + _fill(b"goroutine 1 [running"),
    "one long line": b"x" * SIZE,
    "opening braces": b"goroutine 1 [a" + b"{" * SIZE,
    "opening brackets": b"goroutine 1 [" + b"[" * SIZE,
    "spaces after a header": b"goroutine 1 [a]:" + b" " * SIZE + b"x\n" + FRAME,
    "short lines": HEADER + _fill(b"x\n"),
    "zero lines": HEADER + _fill(b"\0\n"),
    "headers cut short": _fill(b"goroutine 1 [\n"),
    "prefixes within prefixes": _fill(b"a" * 100 + b"goroutine 1 [" * 30 + b"\n"),
    "stamps that can be split in many ways": STAMPS,
    "ancestors": HEADER + FRAME + _fill(b"[originating from goroutine 3]:\n"),
    "creators": HEADER + FRAME + _fill(b"created by a.b in goroutine 1\n"),
    "label never closed": b'goroutine 1 [a]{"a":"' + b"x" * SIZE + b"}:\n" + FRAME,
    "escapes": HEADER + _fill(b"\x1b["),
    "docker lines": b"x goroutine 1 [a]:\n" + _fill(b'{"log":\n'),
    "fp and spaces": HEADER + b" x\n" + _fill(b" f:1 fp=0x" + b" " * 60_000 + b"x\n"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_hostile_shapes_cost_what_their_size_does(shape: str) -> None:
    """No shape of input makes recognising or reading it super-linear: the quadratic ones took minutes at this size."""
    data = SHAPES[shape]
    goroutine_dump.sniff(HEADER)
    begin = time.process_time()
    seen = goroutine_dump.sniff(data)
    try:
        rows = goroutine_dump.read(data).snapshot
    except FormatError:
        rows = None
    assert time.process_time() - begin < 2
    assert seen or rows is None or rows.headers_seen


def test_a_long_log_after_the_last_goroutine_costs_it_nothing() -> None:
    """Lines that belong to no frame are passed over, however many, and the frames on both sides are kept."""
    data = HEADER + FRAME + _fill(b"x took 3 ms\n") + b"main.g()\n" + _fill(b"a b\n", 4096) + b"\t/a.go:9 +0x1\n\n"
    artefact = goroutine_dump.read(data)
    assert artefact.snapshot is not None
    assert [f.function for f in artefact.snapshot.stacks[0].frames] == ["main.f", "main.g"]
    assert artefact.lost == 0


def test_lines_beyond_the_limit_damage_their_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond MAX_TALK a record is cut and says so: nothing is lost silently."""
    monkeypatch.setattr(_dump_body, "MAX_TALK", 10)
    artefact = goroutine_dump.read(HEADER + FRAME + b"g()\n" * 20 + FRAME + b"\n")
    assert artefact.lost == 1
    assert artefact.problems[0].code == "damaged-record"


def test_odd_headers_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers beyond MAX_ODD_HEADERS are lost, counted and told once."""
    monkeypatch.setattr(goroutine_dump, "MAX_ODD_HEADERS", 2)
    artefact = goroutine_dump.read(b"".join(b"goroutine %d [a, odd]:\n%b\n" % (i, FRAME) for i in range(1, 6)))
    assert artefact.snapshot is not None
    assert (artefact.snapshot.rows, artefact.snapshot.headers_seen, artefact.lost) == (2, 5, 3)
    assert [p.code for p in artefact.problems] == ["too-many-odd-headers"]


def test_docker_lines_longer_than_docker_writes_are_left_alone() -> None:
    """A line no docker wrote is not parsed as JSON, where a megabyte of brackets becomes a hundred of objects."""
    line = b'{"log":[' + _fill(b"[],", MAX_JSON_LINE) + b"1]}\n"
    artefact = goroutine_dump.read(b"x goroutine 1 [a]:\n" + line + HEADER + FRAME)
    assert artefact.snapshot is not None
    assert artefact.snapshot.rows >= 1
