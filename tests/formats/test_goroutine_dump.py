"""Reading whole goroutine dumps: every shape of Go 1.5-1.27, and the accounting."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from parkwarden.formats import goroutine_dump
from parkwarden.formats._dump_body import MAX_FRAMES, MAX_LABELS, MAX_NAME, read_header, read_labels
from parkwarden.formats.goroutine_dump import read, sniff
from parkwarden.kernels import dump_scan
from parkwarden.model import ELIDED_UNKNOWN, Artefact, FormatError, Frame, Kind, LimitError, Mark, Snapshot, Source

GOLDENS = sorted((Path(__file__).parents[1] / "data" / "goroutine_dump").glob("1.*/*.txt"))
OLDER = Path(__file__).parents[1] / "data" / "goroutine_dump" / "older"


def only(artefact: Artefact) -> Snapshot:
    assert artefact.snapshot is not None
    return artefact.snapshot


def frames_by_hand(block: str) -> list[tuple[str, str, int]]:
    """The frames of a clean block, by the plainest means: an oracle that shares nothing with the reader."""
    lines = block.split("\n")[1:]
    if "[originating from" in block:
        lines = lines[: next(i for i, line in enumerate(lines) if line.startswith("[orig"))]
    found = []
    for function, file in pairwise(lines):
        if file.startswith("\t") and not function.startswith(("created by", "\t")):
            path, line = re.match(r"\t(.*):(\d+)", file).groups()
            found.append((function[: function.rindex("(")], path, int(line)))
    return found


@pytest.mark.parametrize("path", GOLDENS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_goldens_read_whole(path: Path) -> None:
    """Every header of a real dump becomes a row with the frames that stand below it, and nothing is a problem."""
    data = path.read_bytes()
    artefact = read(data, path.name)
    snapshot = only(artefact)
    blocks = [b for b in re.split(r"\n\n", data.decode()) if re.match(r"goroutine [1-9]", b)]
    assert sniff(data)
    assert artefact.kind is Kind.GOROUTINE_DUMP
    assert snapshot.source is Source.DUMP
    assert (artefact.problems, artefact.lost) == ([], 0)
    assert snapshot.headers_seen == snapshot.rows == snapshot.total == artefact.records == len(blocks)
    for row, block in enumerate(blocks):
        stack = snapshot.stacks[snapshot.stack[row]]
        assert snapshot.goid[row] == int(block.split()[1])
        assert [tuple(f) for f in stack.frames] == frames_by_hand(block)
        assert snapshot.states[snapshot.state[row]] == re.search(r"\[([^\],{]*?)(?: labels:)?[\],{]", block)[1]
        parent = re.search(r"^created by .* in goroutine (\d+)$", block, re.M)
        assert snapshot.parent[row] == (int(parent[1]) if parent else 0)
        assert (stack.created_by is not None) == ("\ncreated by" in block.partition("\n[orig")[0])


def test_goldens_exist_for_each_go() -> None:
    """No Go version silently drops out of the goldens."""
    assert {p.parent.name for p in GOLDENS} == {f"1.{n}" for n in range(21, 28)}


@pytest.mark.parametrize("version", ["1.26", "1.27"])
def test_labels_of_real_dumps(data: Path, version: str) -> None:
    """Both label shapes that were released, with a value that holds quotes, brackets and a letter beyond ASCII."""
    snapshot = only(read((data / "goroutine_dump" / version / "debug2.txt").read_bytes()))
    assert snapshot.labels == [{}, {"note": 'a "quoted" ]}: ü', "tenant": "acme"}]
    assert snapshot.label.sum() == 1
    labelled = int(np.flatnonzero(snapshot.label)[0])
    assert snapshot.states[snapshot.state[labelled]] == "chan receive"


def test_locked_goroutine_of_a_real_dump(data: Path) -> None:
    """`locked to thread` is a mark, not part of the state."""
    snapshot = only(read((data / "goroutine_dump" / "1.27" / "debug2.txt").read_bytes()))
    assert np.count_nonzero(snapshot.marks & Mark.LOCKED) == 1
    assert not any("locked" in s for s in snapshot.states)


def test_ancestors_of_a_real_dump(data: Path) -> None:
    """GODEBUG=tracebackancestors: nearest first, each with its id and frames; the stack itself stays as without."""
    snapshot = only(read((data / "goroutine_dump" / "1.27" / "nil-ancestors.txt").read_bytes()))
    goid = int(snapshot.goid[0])
    (near, near_frames), (far, far_frames) = snapshot.ancestors[goid]
    assert near == snapshot.parent[0]
    assert far == 1
    assert [f.function for f in near_frames] == ["main.nested.func1"]
    assert [f.function for f in far_frames] == ["main.nested", "main.main"]
    assert snapshot.stacks[0].created_by is not None
    assert snapshot.stacks[0].created_by.function == "main.nested.func1"


def test_elided_frames_are_counted(data: Path) -> None:
    """Go 1.21 and later print how many frames are left out; the stack says so."""
    snapshot = only(read((data / "goroutine_dump" / "1.27" / "elided.txt").read_bytes()))
    assert [s.elided for s in snapshot.stacks].count(52) == 1
    assert max(len(s.frames) for s in snapshot.stacks) == 100


def test_goroutine_zero_is_no_goroutine(data: Path) -> None:
    """A thread's own stack (`goroutine 0`) is neither a row nor a header, and its registers are passed over."""
    data_crash = (data / "goroutine_dump" / "1.27" / "sigquit-crash.txt").read_bytes()
    snapshot = only(read(data_crash))
    assert data_crash.count(b"goroutine 0 ") > 1
    assert 0 not in snapshot.goid
    assert "idle" not in snapshot.states


def test_go_1_5() -> None:
    """Flat argument lists, no parent id (runtime/traceback.go of Go 1.5: goroutineheader, printcreatedby)."""
    snapshot = only(read((OLDER / "go1.5.txt").read_bytes()))
    assert snapshot.wait_min.tolist() == [-1, 3]
    assert snapshot.marks.tolist() == [0, Mark.LOCKED]
    assert snapshot.arg0.tolist() == [0, 0xC82000A0C0]
    assert snapshot.parent.tolist() == [0, 0]
    assert snapshot.stacks[1].created_by == Frame("main.main", "/home/u/src/a.go", 10)


def test_go_1_11() -> None:
    """`stack unavailable`, elision without a number, Windows paths with spaces (Go 1.11: traceback1, gentraceback)."""
    artefact = read((OLDER / "go1.11.txt").read_bytes())
    snapshot = only(artefact)
    away, _, deep = (snapshot.stacks[i] for i in snapshot.stack)
    assert artefact.problems == []
    assert (away.frames, away.elided) == ((), ELIDED_UNKNOWN)
    assert deep.elided == ELIDED_UNKNOWN
    assert deep.frames[0] == Frame("main.f", "C:/Users/u/go src/a.go", 7)


def test_go_1_18() -> None:
    """Generics, aggregates, `?`, `_`, `...`, inlined, `%2e`, `<autogenerated>`, fp/sp/pc (Go 1.18: printArgs)."""
    artefact = read((OLDER / "go1.18.txt").read_bytes())
    frames = only(artefact).stacks[0].frames
    assert artefact.problems == []
    assert [f.function for f in frames] == [
        "main.(*pool[...]).get",
        "gopkg.in/yaml%2ev3.(*parser).next",
        "main.T.Read",
        "panic",
        "main.main",
    ]
    assert frames[2].file == "<autogenerated>"
    assert frames[4].line == 30


def test_cgo_frames() -> None:
    """Frames of C code, symbolized (C++ names hold parentheses) or not, inside Go's (printOneCgoTraceback)."""
    artefact = read((OLDER / "cgo.txt").read_bytes())
    frames = only(artefact).stacks[0].frames
    assert artefact.problems == []
    assert frames[:3] == (
        Frame("non-Go function"),
        Frame("some::cxx(int, char*)", "/src/some.cc", 12),
        Frame("non-Go function"),
    )
    assert len(frames) == 6


BODY = "main.f(0xc000012345?, 0x1)\n\t/a.go:7 +0x1\ncreated by main.g in goroutine 4\n\t/a.go:9 +0x2\n"


@pytest.mark.parametrize(
    ("status", "after", "state", "wait", "marks", "labels"),
    [
        ("chan receive (leaked)", "", "chan receive", -1, Mark.LEAKED, {}),
        ("chan receive (nil chan) (scan)", "", "chan receive (nil chan)", -1, 0, {}),
        ("select (no cases), synctest bubble 3", "", "select (no cases)", -1, Mark.BUBBLE, {}),
        ("chan receive (durable), 2 minutes, synctest bubble 3", "", "chan receive", 2, Mark.BUBBLE | Mark.DURABLE, {}),
        ("sync.Mutex.Lock (leaked) (durable), 90 minutes, locked to thread", "", "sync.Mutex.Lock", 90, 11, {}),
        ("IO wait", '{"k": "v"}', "IO wait", -1, 0, {"k": "v"}),
        (
            "IO wait",
            ' {"a b": "\\u00fc\\n\\xff", k: , "x": "}]:"}',
            "IO wait",
            -1,
            0,
            {"a b": "ü\n\\xff", "k": "", "x": "}]:"},
        ),
        ('chan receive labels:{"k":"v"}', "", "chan receive", -1, 0, {"k": "v"}),
        ('sleep, 2 minutes labels:{"k":"]:", "l":"w"}', "", "sleep", 2, 0, {"k": "]:", "l": "w"}),
        ("moon phase, 5 moons", "", "moon phase, 5 moons", -1, 0, {}),
    ],
)
@pytest.mark.parametrize("gp", ["", "gp=0xc000002380 m=nil ", "gp=0xc000002380 m=12 mp=0x5c5e40 "])
def test_header_shapes(
    status: str, after: str, state: str, wait: int, marks: int, labels: dict[str, str], gp: str
) -> None:
    """All shapes of goroutineheader since Go 1.5; an attribute we do not know stays in the state text."""
    artefact = read(f"goroutine 7 {gp}[{status}]{after}:\n{BODY}".encode())
    snapshot = only(artefact)
    assert artefact.problems == []
    assert snapshot.goid.tolist() == [7]
    assert snapshot.parent.tolist() == [4]
    assert snapshot.states == [state]
    assert snapshot.wait_min.tolist() == [wait]
    assert snapshot.marks.tolist() == [int(marks) | Mark.ARG0_UNSURE]
    assert snapshot.labels[snapshot.label[0]] == labels
    assert snapshot.arg0.tolist() == [0xC000012345]


def test_the_scan_and_the_careful_reader_agree_on_headers() -> None:
    """What the kernel reads of a regular header is what the careful reader reads of it."""
    for line in (
        b"goroutine 7 [chan receive (leaked), 12 minutes, locked to thread, synctest bubble 9]:",
        b'goroutine 7 gp=0x1 m=nil [sleep, 3 minutes labels:{"a": "b"}]:',
        b"goroutine 7 [running] {a: b}:",
    ):
        snapshot, by_hand = only(read(line + b"\n" + BODY.encode())), read_header(line)
        assert snapshot.states == [by_hand.state]
        assert snapshot.wait_min[0] == by_hand.wait_min
        assert snapshot.marks[0] == int(by_hand.marks) | Mark.ARG0_UNSURE
        assert snapshot.labels[snapshot.label[0]] == by_hand.labels


def test_arguments_and_addresses_do_not_make_stacks_differ() -> None:
    """Args, +0x offsets, fp/sp/pc, goroutine ids and labels are no part of a distinct stack; `created by` is."""
    blocks = [
        f"goroutine {i} [sleep]:\nmain.f(0x{i:x}, {{0xc{i:05x}, ...}})\n\t/a.go:7 +0x{i:x} fp=0x{i:x} sp=0x1 pc=0x{i:x}\n"
        f"created by main.{'gh'[i % 2]} in goroutine {i + 1}\n\t/a.go:9 +0x{i:x}\n"
        for i in range(1, 1001)
    ]
    snapshot = only(read("\n".join(blocks).encode()))
    assert len(snapshot.stacks) == 2
    assert snapshot.parent.tolist() == list(range(2, 1002))
    assert snapshot.arg0.tolist() == list(range(1, 1001))


def test_lines_around_goroutines_are_passed_over() -> None:
    """Logs before, between and after the goroutines cost nothing, not even when they stand between two frames."""
    text = (
        "2026/01/02 server starting (really)\npanic: oh\n\n"
        "goroutine 1 [running]:\nmain.f()\n\t/a.go:7 +0x1\nlog: a line in between\nmain.main()\n\t/a.go:9 +0x2\nexit status 2\n\n"
        f"rax 0x0\n\ngoroutine 2 [sleep]:\n{BODY}\n=== done ===\n"
    )
    artefact = read(text.encode())
    assert (artefact.problems, artefact.lost) == ([], 0)
    assert [len(s.frames) for s in only(artefact).stacks] == [2, 1]


def test_damage_is_marked_and_counted() -> None:
    """A damaged record is a row that keeps what is right; an unreadable header is no row, but seen and lost."""
    text = (
        f"goroutine 1 [sleep]:\n{BODY}\n"
        "goroutine 2 [sleep]:\nmain.f(0x1)\nmain.h(0x2)\n\t/a.go:8 +0x1\ncreated by main.g\n\t/a.go:9 +0x2\n\n"
        f"goroutine 3 [sle\n\ngoroutine 4 [sleep\n{BODY}\n"
        f"goroutine 5 [sleep]:\n\ngoroutine 6 [sleep]:\n{BODY}"
    )
    artefact = read(text.encode())
    snapshot = only(artefact)
    assert snapshot.goid.tolist() == [1, 2, 4, 5, 6]
    assert (snapshot.marks & Mark.DAMAGED > 0).tolist() == [False, True, True, True, False]
    assert snapshot.headers_seen == 6
    assert artefact.lost == 4
    assert snapshot.stacks[snapshot.stack[1]].frames == (Frame("main.h", "/a.go", 8),)
    assert [p.code for p in artefact.problems] == [
        "damaged-record",
        "unreadable-header",
        "damaged-header",
        "damaged-record",
    ]
    assert [p.where for p in artefact.problems] == ["line 7", "line 14", "line 16", "line 22"]


def test_unknown_problem_floods_are_capped() -> None:
    """Problems are listed up to a limit, then counted."""
    text = "".join(f"goroutine {i} [sl\n\n" for i in range(1, 500)) + f"goroutine 500 [sleep]:\n{BODY}"
    artefact = read(text.encode())
    assert len(artefact.problems) == goroutine_dump.MAX_PROBLEMS + 1
    assert artefact.problems[-1].text.startswith("399 more")
    assert artefact.lost == 499


def test_repeated_ids() -> None:
    """A thread's goroutine told as `unavailable` and again with its stack is one; two dumps in one file are said."""
    away = "goroutine 7 [running]:\n\tgoroutine running on other thread; stack unavailable\ncreated by main.g\n\t/a.go:9 +0x2\n"
    again = only(read(f"{away}\ngoroutine 7 [running]:\n{BODY}".encode()))
    assert (again.rows, again.headers_seen) == (1, 1)
    assert len(again.stacks) == 1
    twice = read(f"goroutine 7 [running]:\n{BODY}\ngoroutine 7 [running]:\n{BODY}".encode())
    assert [p.code for p in twice.problems] == ["repeated-ids"]
    assert only(twice).rows == 2


def test_no_dump_at_all() -> None:
    """Text without a goroutine header is not ours."""
    for data in (b"", b"hello\n", b"goroutine profile: total 3\n1 @ 0x1\n", b"Goroutine 7 (running) created at:\n"):
        assert not sniff(data)
        with pytest.raises(FormatError):
            read(data)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes and goroutines beyond the named limits end in a LimitError."""
    data = f"goroutine 7 [running]:\n{BODY}\n".encode() * 2000
    monkeypatch.setattr(goroutine_dump, "MAX_GOROUTINES", 1500)
    with pytest.raises(LimitError):
        read(data)
    monkeypatch.setattr(goroutine_dump, "MAX_BYTES", 100)
    with pytest.raises(LimitError):
        read(data)


def test_long_things_are_cut_and_said() -> None:
    """Frames, names and labels beyond the named limits cost the record its wholeness, not the reader its memory."""
    deep = "goroutine 1 [running]:\n" + "main.f(0x1)\n\t/a.go:7 +0x1\n" * (MAX_FRAMES + 5)
    stack = only(read(deep.encode() + b"main.main()\n\t/a.go:9 +0x1\n")).stacks[0]
    assert (len(stack.frames), stack.elided) == (MAX_FRAMES, 6)
    long = only(read(b"goroutine 1 [running]:\n" + b"m" * 20_000 + b"(0x1)\n\t/a.go:7 +0x1\n\n"))
    assert len(long.stacks[0].frames[0].function) == MAX_NAME
    assert long.marks[0] & Mark.DAMAGED
    labels, _, whole = read_labels(b"{" + b", ".join(b"k%d: v" % i for i in range(MAX_LABELS + 5)) + b"}")
    assert (len(labels), whole) == (MAX_LABELS, False)


def test_64_mb_cut_is_said() -> None:
    """A debug=2 answer of exactly 64 MB was cut off by the runtime (runtime/pprof: writeGoroutineStacks)."""
    block = b"goroutine 7 [running]:\n" + BODY.encode() + b"\n"
    tail = b"goroutine 8 [running]:\nmain.f(0xc0000"
    blocks = block * ((goroutine_dump.DEBUG2_LIMIT - len(tail)) // len(block))
    data = b"x" * (goroutine_dump.DEBUG2_LIMIT - len(tail) - len(blocks) - 1) + b"\n" + blocks + tail
    artefact = read(data)
    assert artefact.problems[0].code == "cut-at-64-mb"
    assert artefact.lost == 1
    assert only(artefact).marks[-1] & Mark.DAMAGED


def test_layout_matches_the_kernel() -> None:
    """The reader's copy of the kernel's layout (which cannot be imported without numba) is the kernel's."""
    for name in (
        "GOID",
        "PARENT",
        "WAIT",
        "ARG0",
        "FLAGS",
        "BODY",
        "STATE",
        "LABEL",
        "OFFSET",
        "COLUMNS",
        "POS",
        "ROWS",
    ):
        assert getattr(goroutine_dump, f"_{name}") == getattr(dump_scan, name)
    for name in ("BODIES", "STATES", "LABELS", "BURIED", "SPACED", "SLOTS", "FULL", "LOCKED", "BUBBLE", "ODD_HEADER"):
        assert getattr(goroutine_dump, f"_{name}") == getattr(dump_scan, name)
    for name in ("ANCESTORS", "ARG0_UNSURE"):
        assert getattr(goroutine_dump, f"_{name}") == getattr(dump_scan, name)


def test_many_distinct_stacks() -> None:
    """Fifty thousand different stacks stay different."""
    blocks = [f"goroutine {i} [sleep]:\nmain.f{i}(0x1)\n\t/a.go:7 +0x1\n" for i in range(1, 50_001)]
    snapshot = only(read("\n".join(blocks).encode() + b"\n"))
    assert len(snapshot.stacks) == 50_000
    assert snapshot.stacks[snapshot.stack[40_000]].frames[0].function == "main.f40001"
