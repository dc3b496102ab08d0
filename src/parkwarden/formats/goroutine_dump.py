"""Full-text goroutine dumps (`debug=2`, SIGQUIT, panic, runtime.Stack) of Go 1.5-1.27: bytes -> Artefact + Snapshot.

In: the whole text, anything around the goroutines (logs, registers, panic messages) included. Out: one row per
goroutine header; a damaged record keeps what is right of it and gets `Mark.DAMAGED`, one whose header cannot be read is
counted in `headers_seen` and `lost` with a problem. Goroutine 0 (a thread's own stack, no goroutine) is passed over.
Raises LimitError beyond MAX_BYTES or MAX_GOROUTINES, FormatError where there is no goroutine header at all.

Damaged input (CRLF, colours, prefixes, docker JSON, spaces for tabs, two dumps woven together) is cleaned first, and
only if the scan met a sign of it: formats/_dump_clean.py. The grammar's sources are cited in formats/_dump_body.py.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from parkwarden.formats._dump_body import Body, BodyReader, read_header, read_labels, read_state, text
from parkwarden.formats._dump_clean import Cleaned, retab, unprefix, untangle, unwrap, unwrap_containers
from parkwarden.kernels import load
from parkwarden.model import (
    ELIDED_UNKNOWN,
    Artefact,
    FormatError,
    Frame,
    Kind,
    LimitError,
    Mark,
    Problem,
    Snapshot,
    Source,
    Stack,
)

MAX_BYTES = 4 << 30
"""A dump of 4 GB would hold ten million goroutines; none is known to be above 1 GB."""
MAX_GOROUTINES = 10_000_000
"""Each costs about 150 bytes of columns; a Go process of ten million needs 20 GB for their stacks alone."""
MAX_PROBLEMS = 100
"""Problems listed; the rest is counted in a last one."""
MAX_SNIPPET = 120
"""Bytes of input quoted in a problem."""
DEBUG2_LIMIT = 64 << 20
"""runtime/pprof: writeGoroutineStacks gives up doubling its buffer here, and what does not fit is cut off."""
MAX_UNTANGLE = 128 << 20
"""Above this, woven dumps are not taken apart: it takes a second per 50 MB."""

MAX_ODD_HEADERS = 500_000
"""Headers not quite of the grammar that are read one by one; each costs six microseconds. Others are counted as lost."""

_BEGIN = re.compile(rb"goroutine \d{1,18} (?:gp=\S+ m=\S+ (?:mp=\S+ )?)?\[[^\n]")
_ANCESTOR = re.compile(rb"(?m)^\[originating from goroutine (\d{1,18})\]:")
_WHOLE_END = re.compile(rb"\t.+:\d+ \+0x[0-9a-f]+(?: .*)?\s*")
_AFTERWORD = re.compile(rb"exit status \d+\s*")
_WOVEN = re.compile(rb"(?m)^goroutine \d+ [^\n]*:\ngoroutine \d+ ")
_BEGUN = re.compile(rb"goroutine \d+ ?(?:gp?)?")
_OUTERMOST = re.compile(r"main\.main|runtime\..*|.*\.init(?:\.\d+)?|non-Go function|")
"""Functions below which there is nothing: a stack that ends in one has not been cut."""

# The kernel's layout, from kernels/dump_scan.py, which cannot be imported without numba; a test holds them equal.
_GOID, _PARENT, _WAIT, _ARG0, _FLAGS, _BODY, _STATE, _LABEL, _OFFSET = range(9)
_COLUMNS = 9
_POS, _ROWS, _BODIES, _STATES, _LABELS, _BURIED, _SPACED = range(7)
_SLOTS = 8
_FULL = 1
_LOCKED, _BUBBLE, _ODD_HEADER, _ANCESTORS, _ARG0_UNSURE = 1, 2, 4, 8, 16
_FLAG_MARKS = np.array(
    [
        (Mark.LOCKED if f & _LOCKED else 0)
        | (Mark.BUBBLE if f & _BUBBLE else 0)
        | (Mark.ARG0_UNSURE if f & _ARG0_UNSURE else 0)
        for f in range(32)
    ],
    dtype=np.int64,
)


def sniff(head: bytes) -> bool:
    """A goroutine header anywhere in the head, prefixed or not."""
    return _has_header(head) or _utf16_header(head)


def _has_header(head: bytes) -> bool:
    """A header's beginning with a colon after it on its line; each line is looked at once, however long it is."""
    at = 0
    while (found := _BEGIN.search(head, at)) is not None:
        end = head.find(b"\n", found.end())
        end = len(head) if end < 0 else end
        if head.find(b":", found.end(), end) >= 0:
            return True
        at = end
    return False


def read(data: bytes, name: str = "") -> Artefact:
    """The dump as an Artefact of Kind.GOROUTINE_DUMP; see the module."""
    if len(data) > MAX_BYTES:
        raise LimitError("too-large", f"{name or 'the dump'} has {len(data):,} bytes, more than {MAX_BYTES:,}")
    original = data
    data, scanned, cleaned = _cleaned(data)
    undone, streams = cleaned.undone, cleaned.streams
    parsed = _Reader(data, scanned).parse()
    if parsed.tangled >= 2 and len(data) <= MAX_UNTANGLE and _WOVEN.search(data) is not None:
        apart = untangle(data)
        other = _Reader(apart, _scan(apart)).parse()
        if other.headers >= parsed.headers and other.lost < parsed.lost:
            parsed = other
            undone.append("two dumps woven line by line")
    if not parsed.headers:
        raise FormatError("no-goroutines", f"{name or 'the input'} holds no goroutine header")
    problems = parsed.problems()
    if undone:
        problems.insert(0, Problem("cleaned", "", f"undone before reading: {', '.join(undone)}"))
    if streams > 1:
        problems.insert(
            0, Problem("several-sources", "", f"prefixes name {streams} sources; their goroutines are read as one")
        )
    if len(original) == DEBUG2_LIMIT or (len(original) >= DEBUG2_LIMIT and parsed.cut):
        problems.insert(
            0, Problem("cut-at-64-mb", "", "the runtime's debug=2 buffer ends at 64 MB; goroutines beyond are missing")
        )
    return Artefact(
        name=name,
        kind=Kind.GOROUTINE_DUMP,
        size=len(original),
        records=parsed.snapshot.rows,
        problems=problems,
        snapshot=parsed.snapshot,
        lost=parsed.lost,
    )


def _utf16_header(head: bytes) -> bool:
    if head[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        return False
    return _has_header(head.decode("utf-16", "replace").encode("utf-8", "replace"))


def _cleaned(data: bytes) -> tuple[bytes, _Scan, Cleaned]:
    """The dump as it was printed: each way of cleaning is taken only where there is a sign of it."""
    out = Cleaned(data)
    unwrap(out)
    scan = _scan(out.data)
    if scan.buried:
        seen = out.data
        unwrap_containers(out)
        unwrap(out)
        if out.data is not seen:
            scan = _scan(out.data)
    if scan.buried:
        seen = out.data
        unprefix(out)
        if out.data is not seen:
            scan = _scan(out.data)
    if scan.spaced:
        seen = out.data
        retab(out)
        if out.data is not seen:
            scan = _scan(out.data)
    return out.data, scan, out


@dataclass(slots=True)
class _Scan:
    """What the kernel found: columns over rows, and where the first of each distinct thing lies."""

    columns: npt.NDArray[np.int64]
    """Shape (9, rows)."""
    bodies: list[tuple[int, int]]
    states: list[tuple[int, int]]
    labels: list[tuple[int, int]]
    buried: int
    spaced: int


def _scan(data: bytes) -> _Scan:
    """Run the kernel, with columns that grow as headers turn up."""
    kernel = load("dump_scan")["scan"]
    size = len(data)
    view = np.frombuffer(data, dtype=np.uint8)
    cap = size // 400 + 1024
    slots = 1 << max(12, min(22, (size // 100).bit_length()))
    columns = np.empty(_COLUMNS * cap, dtype=np.int64)
    firsts = np.empty(6 * (cap + 1), dtype=np.int64)
    keys = np.zeros(2 * slots, dtype=np.uint64)
    ids = np.zeros(slots, dtype=np.int64)
    progress = np.zeros(_SLOTS, dtype=np.int64)
    while kernel(view, size, columns, cap, keys, ids, slots, firsts, progress) == _FULL:
        if cap >= MAX_GOROUTINES:
            raise LimitError("too-many-goroutines", f"more than {MAX_GOROUTINES:,} goroutine headers")
        longer = min(MAX_GOROUTINES, cap * 2)
        columns = _longer(columns, _COLUMNS, cap, longer)
        firsts = _longer(firsts, 6, cap + 1, longer + 1)
        cap = longer
    rows = int(progress[_ROWS])
    table = firsts.reshape(6, cap + 1)

    def spans(pair: int, count: int) -> list[tuple[int, int]]:
        return list(zip(table[pair, :count].tolist(), table[pair + 1, :count].tolist(), strict=True))

    return _Scan(
        columns=columns.reshape(_COLUMNS, cap)[:, :rows],
        bodies=spans(0, int(progress[_BODIES])),
        states=spans(2, int(progress[_STATES])),
        labels=spans(4, int(progress[_LABELS])),
        buried=int(progress[_BURIED]),
        spaced=int(progress[_SPACED]),
    )


def _longer(flat: npt.NDArray[np.int64], rows: int, old: int, new: int) -> npt.NDArray[np.int64]:
    out = np.empty(rows * new, dtype=np.int64)
    out.reshape(rows, new)[:, :old] = flat.reshape(rows, old)
    return out


@dataclass(slots=True)
class _Parsed:
    """The snapshot and what it cost."""

    snapshot: Snapshot
    data: bytes
    headers: int
    lost: int
    tangled: int
    """Damaged rows, where at least one header is followed by no frame: the sign of two dumps in one stream."""
    cut: bool
    troubles: list[tuple[int, str, str]]
    """(byte offset, code, text), in any order."""

    def problems(self) -> list[Problem]:
        """With line numbers, at most MAX_PROBLEMS and a last one that counts the others."""
        out: list[Problem] = []
        line, at = 1, 0
        for offset, code, what in sorted(self.troubles)[:MAX_PROBLEMS]:
            line += self.data.count(b"\n", at, offset)
            at = max(at, offset)
            out.append(Problem(code, f"line {line}" if offset >= 0 else "", what))
        more = len(self.troubles) - MAX_PROBLEMS
        if more > 0:
            out.append(Problem("more-problems", "", f"{more:,} more problems of the kinds above"))
        return out


def _referenced(values: list[_T], column: _Ints) -> tuple[list[_T], _Ints]:
    """A table and its column without the entries that no kept row has."""
    used = np.bincount(column, minlength=len(values)) > 0
    if used.all():
        return values, column
    numbers = np.cumsum(used, dtype=np.int64) - 1
    return [v for v, u in zip(values, used.tolist(), strict=True) if u], numbers[column]


@dataclass(slots=True)
class _Row:
    """A row that is not as its distinct parts say: odd header, cut end."""

    stack: int | None = None
    state: int | None = None
    label: int | None = None
    wait_min: int | None = None
    parent: int | None = None
    marks: int = 0
    drop: bool = False


_T = TypeVar("_T")
_Ints: TypeAlias = npt.NDArray[np.int64]


class _Table(Generic[_T]):
    """Distinct values in order of appearance; equal ones get one number."""

    def __init__(self) -> None:
        self.values: list[_T] = []
        self._numbers: dict[Hashable, int] = {}

    def number(self, key: Hashable, value: _T) -> int:
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self.values)
            self.values.append(value)
        return found


class _Reader:
    """From the scan's numbers to a Snapshot: each distinct thing read once, the odd rows one by one."""

    def __init__(self, data: bytes, scan: _Scan) -> None:
        self.data = data
        self.scan = scan
        self.reader = BodyReader()
        self.bodies: list[Body] = []
        self.stacks: _Table[Stack] = _Table()
        self.states: _Table[str] = _Table()
        self.labels: _Table[dict[str, str]] = _Table()
        self.labels.number((), {})
        self.rows: dict[int, _Row] = {}
        self.troubles: list[tuple[int, str, str]] = []
        self.lost = 0
        self.begun = 0
        """Headers of which too little is there to be a row of the scan."""
        self.twice = 0
        self.unread: _Ints = np.zeros(0, dtype=np.int64)
        """Rows beyond MAX_ODD_HEADERS."""
        self.cut = False

    def parse(self) -> _Parsed:
        """All of it."""
        columns = self.scan.columns
        goid, body, flags = columns[_GOID], columns[_BODY], columns[_FLAGS]
        self.bodies = [self.reader.read(self.data[a:b]) for a, b in self.scan.bodies]
        body_stack = np.array([self._stack(b.stack) for b in self.bodies], dtype=np.int64)
        body_marks = np.array([Mark.DAMAGED if b.damage else 0 for b in self.bodies], dtype=np.int64)
        state_numbers, state_marks = self._read_states()
        labels, label_marks = self._read_labels()
        self._odd_headers()
        self._end()
        stack = body_stack[body]
        state = state_numbers[columns[_STATE]]
        label = labels[columns[_LABEL]]
        marks = _FLAG_MARKS[flags & 31] | body_marks[body] | label_marks[columns[_LABEL]]
        # an odd header has STATE 0, whatever that belongs to
        marks |= np.where(flags & _ODD_HEADER == 0, state_marks[columns[_STATE]], 0)
        wait, parent = columns[_WAIT], columns[_PARENT]
        keep = goid != 0
        for at, row in self.rows.items():
            stack[at] = row.stack if row.stack is not None else stack[at]
            state[at] = row.state if row.state is not None else state[at]
            label[at] = row.label if row.label is not None else label[at]
            wait[at] = row.wait_min if row.wait_min is not None else wait[at]
            parent[at] = row.parent if row.parent is not None else parent[at]
            marks[at] |= row.marks
            keep[at] &= not row.drop
        keep[self.unread] = False
        self._told_twice(stack, keep)
        headers = int(np.count_nonzero(goid)) - self.twice + self.begun
        damaged = keep & (marks & Mark.DAMAGED != 0)
        self._report_bodies(damaged)
        kept = columns if keep.all() else columns[:, keep]
        stacks, stack = _referenced(self.stacks.values, stack[keep])
        states, state = _referenced(self.states.values, state[keep])
        snapshot = Snapshot(
            source=Source.DUMP,
            stacks=stacks,
            states=states or [""],
            labels=self.labels.values,
            stack=stack,
            state=state,
            label=label[keep],
            count=np.ones(kept.shape[1], dtype=np.int64),
            goid=np.maximum(kept[_GOID], 0),
            parent=kept[_PARENT],
            wait_min=kept[_WAIT],
            arg0=kept[_ARG0],
            marks=marks[keep],
            headers_seen=headers,
            ancestors=self._ancestors(keep),
        )
        return _Parsed(
            snapshot=snapshot,
            data=self.data,
            headers=headers,
            lost=self.lost + int(np.count_nonzero(damaged)),
            tangled=self._tangled(damaged),
            cut=self.cut,
            troubles=self.troubles,
        )

    def _stack(self, stack: Stack) -> int:
        return self.stacks.number(stack, stack)

    def _read_states(self) -> tuple[_Ints, _Ints]:
        """(number in `states`, marks) of each distinct state text; one spare, so that there is a 0."""
        numbers, marks = [], []
        for a, b in self.scan.states:
            state, mark = read_state(self.data[a:b])
            numbers.append(self.states.number(state, state))
            marks.append(int(mark))
        return np.array([*numbers, 0], dtype=np.int64), np.array([*marks, 0], dtype=np.int64)

    def _read_labels(self) -> tuple[_Ints, _Ints]:
        """(number in `labels`, marks) of each distinct label text, after that of none."""
        numbers, marks = [0], [0]
        for a, b in self.scan.labels:
            labels, end, whole = read_labels(self.data[a:b])
            numbers.append(self._labels(labels))
            marks.append(0 if whole and end == b - a else int(Mark.DAMAGED))
            if marks[-1]:
                self.troubles.append((a, "damaged-labels", f"labels cannot be read: {self._quote(a, b)}"))
        return np.array(numbers, dtype=np.int64), np.array(marks, dtype=np.int64)

    def _labels(self, labels: dict[str, str]) -> int:
        return self.labels.number(tuple(sorted(labels.items())), labels)

    def _quote(self, a: int, b: int) -> str:
        return text(self.data[a : min(b, a + MAX_SNIPPET)])

    def _odd_headers(self) -> None:
        """Headers that are not quite of the grammar, or of one of its rare shapes: read one by one."""
        columns = self.scan.columns
        odd = np.flatnonzero(columns[_FLAGS] & _ODD_HEADER)
        if odd.size > MAX_ODD_HEADERS:
            beyond = odd[MAX_ODD_HEADERS:]
            lost = int(np.count_nonzero(columns[_GOID, beyond]))
            self.lost += lost
            self.unread = beyond
            what = f"{lost:,} goroutines lost: more than {MAX_ODD_HEADERS:,} headers are not of the grammar"
            self.troubles.append((int(columns[_OFFSET, beyond[0]]), "too-many-odd-headers", what))
        for at in odd[:MAX_ODD_HEADERS].tolist():
            if columns[_GOID, at] == 0:
                continue
            offset = int(columns[_OFFSET, at])
            end = self.data.find(b"\n", offset)
            end = len(self.data) if end < 0 else end
            header = read_header(self.data[offset:end])
            body = self.bodies[int(columns[_BODY, at])]
            row = self.rows[at] = _Row()
            if header.unreadable and not body.stack.frames:
                row.drop = True
                self.lost += 1
                self.troubles.append((offset, "unreadable-header", f"goroutine lost: {self._quote(offset, end)}"))
                continue
            row.state = self.states.number(header.state, header.state)
            row.label = self._labels(header.labels)
            row.wait_min = header.wait_min
            row.marks = int(header.marks)
            if header.damaged:
                row.marks |= Mark.DAMAGED
                self.troubles.append(
                    (offset, "damaged-header", f"not all of it can be read: {self._quote(offset, end)}")
                )

    def _end(self) -> None:
        """What a cut at the end of the input did: to the last record, and to a header of which only a piece is there."""
        data, columns = self.data, self.scan.columns
        rows = columns.shape[1]
        last_line = data[data.rfind(b"\n") + 1 :][: MAX_SNIPPET * 8]
        if last_line and (_BEGUN.fullmatch(last_line) or (rows and b"goroutine ".startswith(last_line))):
            self.begun, self.cut = 1, True
            self.lost += 1
            self.troubles.append(
                (len(data) - len(last_line), "cut-off", f"the input ends within a header: {text(last_line)}")
            )
            return
        if not rows:
            return
        at = rows - 1
        offset = int(columns[_OFFSET, at])
        begin = data.find(b"\n", offset)
        if begin < 0 or data.find(b"\n\n", begin) >= 0:
            return
        body, parent = self._last_body(data[begin + 1 :], int(columns[_GOID, at]))
        if body is None:
            return
        self.cut = True
        row = self.rows.setdefault(at, _Row())
        row.stack = self._stack(body.stack)
        row.marks |= Mark.DAMAGED
        row.parent = None if parent else 0
        self.troubles.append((offset, "cut-off", f"the input ends within goroutine {int(columns[_GOID, at])}"))

    def _last_body(self, raw: bytes, goid: int) -> tuple[Body | None, bool]:
        """(what is right of a body that ends with the input, is its creator's line whole), None if all of it is there."""
        last = raw[raw.rfind(b"\n") + 1 :]
        if last and not _WHOLE_END.fullmatch(last):
            body = self.reader.read(raw[: len(raw) - len(last)])
            if last.startswith(b"\t") or (not body.stack.created_by and not _AFTERWORD.fullmatch(last)):
                return body, not last.startswith(b"created by ")
            return None, True
        body = self.reader.read(raw)
        frames = body.stack.frames
        if body.damage or body.ancestors or body.stack.created_by is not None or not frames:
            return None, True
        if _OUTERMOST.fullmatch(frames[-1].function) is not None:
            return None, True
        return body, True

    def _told_twice(self, stack: _Ints, keep: npt.NDArray[np.bool_]) -> None:
        """Ids that occur again: the runtime tells a thread's goroutine twice, first as `stack unavailable`."""
        goid = self.scan.columns[_GOID]
        # only ids that share their low bits with another can be repeated: few are left to be sorted
        low = goid & ((1 << (4 * goid.size).bit_length()) - 1)
        shared = np.sort(goid[keep & (np.bincount(low) > 1)[low]])
        repeated = np.unique(shared[1:][shared[1:] == shared[:-1]])
        if not repeated.size:
            return
        rows = np.flatnonzero(keep & np.isin(goid, repeated))
        unavailable = [not s.frames and s.elided == ELIDED_UNKNOWN for s in self.stacks.values]
        told = ~np.array(unavailable)[stack[rows]]
        away = rows[~told & np.isin(goid[rows], goid[rows][told])]
        keep[away] = False
        self.twice = int(away.size)
        left = np.sort(goid[rows][keep[rows]])
        again = int(np.count_nonzero(left[1:] == left[:-1]))
        if again:
            what = f"{again:,} goroutine ids occur more than once: there is more than one dump in this input"
            self.troubles.append((-1, "repeated-ids", what))

    def _report_bodies(self, damaged: npt.NDArray[np.bool_]) -> None:
        """One problem for each distinct damaged body."""
        columns = self.scan.columns
        rows = np.flatnonzero(damaged)
        if not rows.size:
            return
        numbers, first, counts = np.unique(columns[_BODY, rows], return_index=True, return_counts=True)
        for number, at, count in zip(numbers.tolist(), first.tolist(), counts.tolist(), strict=True):
            why = self.bodies[number].damage
            if why:
                more = f" and {count - 1:,} more" if count > 1 else ""
                what = f"goroutine {int(columns[_GOID, rows[at]])}{more}: {why}"
                self.troubles.append((int(columns[_OFFSET, rows[at]]), "damaged-record", what))

    def _tangled(self, damaged: npt.NDArray[np.bool_]) -> int:
        """Damaged rows, if some header is followed by no frame; else 0."""
        empty = any(not b.stack.frames and not b.stack.elided for b in self.bodies)
        return int(np.count_nonzero(damaged)) if empty else 0

    def _ancestors(self, keep: npt.NDArray[np.bool_]) -> dict[int, tuple[tuple[int, tuple[Frame, ...]], ...]]:
        """Rows of one body share the ancestors' frames, not their ids."""
        columns = self.scan.columns
        out: dict[int, tuple[tuple[int, tuple[Frame, ...]], ...]] = {}
        offsets = columns[_OFFSET]
        for at in np.flatnonzero(keep & (columns[_FLAGS] & _ANCESTORS != 0)).tolist():
            end = int(offsets[at + 1]) if at + 1 < offsets.shape[0] else len(self.data)
            ids = _ANCESTOR.findall(self.data, int(offsets[at]), end)
            frames = self.bodies[int(columns[_BODY, at])].ancestors
            out[int(columns[_GOID, at])] = tuple((int(i), f) for i, f in zip(ids, frames, strict=False))
        return out
