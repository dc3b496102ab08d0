r"""Reads the debug=1 texts of Go's profiles: goroutine, goroutineleak, threadcreate, heap, allocs, block, mutex.

Input: `/debug/pprof/NAME?debug=1`; source runtime/pprof/pprof.go (printCountProfile, writeHeapInternal,
writeProfileInternal, printStackRecord). `read` gives an Artefact with `profile`; goroutine and goroutineleak texts
also `snapshot`, heap and allocs texts also `reading` (their trailing `# runtime.MemStats`). Raises FormatError if no
line is a profile's header, LimitError beyond MAX_BYTES or MAX_RECORDS; a damaged line costs its record.

    goroutine profile: total 34                heap profile: 12: 528512 [17: 2289808] @ heap/1048576
    7 @ 0x488fea 0x41816e                      1: 1024 [3: 3072] @ 0x486a1a 0x420525
    # labels: {"tenant":"acme"}                --- mutex:
    #\t0x6f47c4\tmain.f+0x24\tmain.go:28       cycles/second=2596134583
                                               sampling period=1
                                               215326909 177 @ 0x6f45d1

What is not in the text: leaf frames of package runtime are left out of the `#` lines (and `runtime.goexit`), so a
parked goroutine starts at the first frame outside it; the pcs of what is hidden have no names and are not kept.
Records without any `#` line (Go before 1.5, or stripped by a collector) keep their pcs as frames `0x488fea`. Generic
names are already short (`main.(*Pool[...]).take`). heap and allocs look the same and are told apart by nothing but
the URL, so both are Kind.HEAP_PROFILE. Heap counts are sampled: unsampled here by 1 / (1 - e^(-size / rate)), as
protomem.go: scaleHeapSample does. Delays of block and mutex are cycles in the text, nanoseconds here; the mutex
profile is scaled by its sampling period already (runtime/mprof.go: saveBlockEventStack), so it is not scaled again.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field

import numpy as np

from parkwarden.formats._problems import Problems
from parkwarden.formats._profile_model import (
    SNIPPET,
    build_of,
    intern_stack,
    snapshot_of,
)
from parkwarden.model import Artefact, FormatError, Frame, Kind, LimitError, Profile, Reading, Stack

MAX_BYTES = 256 << 20
"""Bytes of text; 100,000 goroutines on 41,000 different stacks make 60 MB."""
MAX_RECORDS = 2_000_000
"""Records; some hundred bytes of memory each."""
MAX_DEPTH = 4096
"""Frames of one stack; Go's own greatest is 1024 (GODEBUG=profstackdepth). The rest is elided."""
MAX_LINE = 1 << 20
"""Bytes of one line; 1024 pcs make 20 kB, labels the rest."""
_HEAD = 64 << 10
"""Bytes at the begin in which the header must be found; loggers and proxies put little before it."""

_COUNT = re.compile(rb"^(\S{1,100}) profile: total (\d{1,18})\s*$")
_HEAP = re.compile(rb"^heap profile:\s*(\d+):\s*(\d+)\s*\[\s*(\d+):\s*(\d+)\]\s*@\s*(\S*?)(?:/(\d+))?\s*$")
_CONTENTION = re.compile(rb"^--- (contention|mutex):\s*$")
_ANY = re.compile(
    rb"^(?:\S{1,100} profile: total \d{1,18}|heap profile:\s*\d+:\s*\d+\s*\[|--- (?:contention|mutex):)", re.M
)
_COUNT_RECORD = re.compile(rb"^(\d{1,18}) @((?: 0x[0-9a-f]{1,16})*)\s*$")
_HEAP_RECORD = re.compile(
    rb"^\s*(\d{1,18}):\s*(\d{1,18})\s*\[\s*(\d{1,18}):\s*(\d{1,18})\]\s*@((?:\s+0x[0-9a-f]{1,16})*)\s*$"
)
_CYCLE_RECORD = re.compile(rb"^(-?\d{1,19}) (\d{1,18}) @((?: 0x[0-9a-f]{1,16})*)\s*$")
_STAT = re.compile(rb"^# (\w{1,40}) = (\S+)")
_FROM_STATS = {
    "Alloc": "heap_alloc", "TotalAlloc": "total_alloc", "Sys": "sys", "HeapAlloc": "heap_alloc",
    "HeapIdle": "heap_idle", "HeapInuse": "heap_inuse", "HeapObjects": "heap_objects", "Stack": "stack_inuse",
    "NextGC": "next_gc", "NumGC": "num_gc",
}  # fmt: skip
"""`# runtime.MemStats` keys of interest, all bytes or counts. MaxRSS is the greatest ever, not the present, so not read."""


@dataclass(slots=True)
class _Record:
    values: tuple[int, ...]
    pcs: bytes
    line: int
    labels: dict[str, str] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    over: int = 0


def sniff(head: bytes) -> bool:
    """Whether a line of the head is the header of a debug=1 profile."""
    return _ANY.search(head[:_HEAD].replace(b"\r\n", b"\n")) is not None


def read(data: bytes, name: str = "") -> Artefact:
    """The profile in `data`. Raises FormatError, LimitError."""
    if len(data) > MAX_BYTES:
        raise LimitError("profile-too-big", "The profile's text is longer than the limit allows.",
                         context=f"{len(data):,} bytes, limit {MAX_BYTES:,}")  # fmt: skip
    text = data.replace(b"\r\n", b"\n")
    start = _ANY.search(text[:_HEAD])
    if start is None:
        raise FormatError("not-a-profile", "This is not a debug=1 profile.", context=name)
    lines = text[start.start() :].split(b"\n")
    first = text.count(b"\n", 0, start.start()) + 1
    problems = Problems()
    reader = _Reader(lines[0], problems)
    for number, line in enumerate(lines[1:], first + 1):
        reader.feed(line, number)
    return reader.finish(name, len(data))


class _Reader:
    """Line by line; what a line means depends on the header and on the record before it."""

    def __init__(self, header: bytes, problems: Problems) -> None:
        self.problems = problems
        self.records: list[_Record] = []
        self.lost = 0
        self.total: int | None = None
        self.rate = 0
        self.hz = 0
        self.stats: dict[str, str] | None = None
        self.type = ""
        self._open: _Record | None = None
        self._header(header)

    def _header(self, line: bytes) -> None:
        count, heap, cycles = _COUNT.match(line), _HEAP.match(line), _CONTENTION.match(line)
        if count:
            self.type, self.total = count[1].decode("utf-8", "replace"), int(count[2])
            self._pattern = _COUNT_RECORD
        elif heap or line.startswith(b"heap profile:"):
            self.type, self._pattern = "heap", _HEAP_RECORD
            if heap and heap[5] in (b"heap", b"heap_v2", b"heapprofile") and heap[6]:
                # the header holds twice MemProfileRate for historical reasons (writeHeapInternal)
                self.rate = min(int(heap[6][:18]), 1 << 62) // (2 if heap[5] == b"heap" else 1)
            elif not heap:
                self.problems.add(
                    "damaged-header", "line 1", f"no sampling rate in {_snippet(line)}; counts stay sampled"
                )
        else:
            self.type = "mutex" if line.startswith(b"--- mutex") or (cycles and cycles[1] == b"mutex") else "contention"
            self._pattern = _CYCLE_RECORD

    def feed(self, line: bytes, number: int) -> None:
        if not line.strip():
            self._open = None if self.stats is None else self._open
            return
        if len(line) > MAX_LINE:
            self._damaged(number, line, "line is longer than the limit")
        elif line.startswith(b"#"):
            self._comment(line, number)
        elif self._pattern is _CYCLE_RECORD and b"=" in line and b"@" not in line:
            self._setting(line)
        else:
            self._record(line, number)

    def _setting(self, line: bytes) -> None:
        key, _, value = line.partition(b"=")
        digits = value.strip()[:18]
        if digits.isdigit() and key.strip() == b"cycles/second":
            self.hz = int(digits)

    def _record(self, line: bytes, number: int) -> None:
        match = self._pattern.match(line)
        self._open = None
        if match is None:
            self._damaged(number, line, "is no record")
            return
        if len(self.records) >= MAX_RECORDS:
            raise LimitError("profile-too-big", "The profile has more records than the limit allows.",
                             context=f"limit {MAX_RECORDS:,}")  # fmt: skip
        *values, pcs = match.groups()
        self._open = _Record(tuple(int(v) for v in values), pcs, number)
        self.records.append(self._open)

    def _damaged(self, number: int, line: bytes, why: str) -> None:
        self.lost += 1
        self._open = None
        self.problems.add("damaged-record", f"line {number}", f"{why}: {_snippet(line)}")

    def _comment(self, line: bytes, number: int) -> None:
        if self.stats is not None:
            stat = _STAT.match(line)
            if stat and len(self.stats) < 200:
                self.stats[stat[1].decode()] = stat[2].decode("utf-8", "replace")
        elif line.startswith(b"# runtime.MemStats"):
            self.stats, self._open = {}, None
        elif line.startswith(b"# labels:"):
            self._labels(line, number)
        else:
            self._symbol(line, number)

    def _labels(self, line: bytes, number: int) -> None:
        """`# labels: {"k":"v", ...}`, quoted with Go's %q, which is JSON but for \\x, \\a and \\v."""
        if self._open is None:
            return
        body = line[len(b"# labels:") :].strip().decode("utf-8", "replace")
        try:
            found = json.loads(re.sub(r"\\(\\|x[0-9a-fA-F]{2}|U[0-9a-fA-F]{8}|[av])", _go_escape, body))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            self.problems.add("damaged-labels", f"line {number}", f"labels cannot be read: {_snippet(line)}")
            return
        self._open.labels = {str(k): str(v) for k, v in found.items()}

    def _symbol(self, line: bytes, number: int) -> None:
        frame = _frame(line)
        if frame is None:
            self.problems.add("damaged-frame", f"line {number}", f"is no frame: {_snippet(line)}")
            return
        record = self._open
        if record is None:
            return  # belongs to a damaged record, which is counted already
        if len(record.frames) >= MAX_DEPTH:
            record.over += 1
            return
        record.frames.append(frame)

    def finish(self, name: str, size: int) -> Artefact:
        kind, types, period_type, period = self._types()
        profile = self._profile(types)
        profile.period_type, profile.period = period_type, period
        artefact = Artefact(name=name, kind=kind, size=size, records=len(self.records), profile=profile)
        if kind in (Kind.GOROUTINE_PROFILE, Kind.GOROUTINELEAK_PROFILE):
            artefact.snapshot, gone = snapshot_of(profile, kind, self.problems)
            self.lost += gone
            self._check_total(artefact)
        if self.stats is not None:
            artefact.reading = self._reading()
            artefact.taken_at = artefact.reading.at
        artefact.build = build_of({f.file for s in profile.stacks for f in s.frames}, "")
        artefact.problems = self.problems.listed()
        artefact.lost = self.lost
        return artefact

    def _check_total(self, artefact: Artefact) -> None:
        """The header tells how many goroutines there are; what is short of it was lost."""
        assert artefact.snapshot is not None
        if self.total is None or artefact.snapshot.total == self.total:
            return
        if artefact.profile is not None and int(artefact.profile.values[:, 0].sum()) == self.total:
            return  # all are there; what the snapshot leaves out has its own problem
        artefact.snapshot.headers_seen = max(self.total, artefact.snapshot.total)
        self.problems.add(
            "count-mismatch",
            "line 1",
            f"the header says {self.total:,} goroutines, {artefact.snapshot.total:,} are here",
        )

    def _types(self) -> tuple[Kind, list[tuple[str, str]], tuple[str, str], int]:
        if self._pattern is _HEAP_RECORD:
            types = [
                ("alloc_objects", "count"),
                ("alloc_space", "bytes"),
                ("inuse_objects", "count"),
                ("inuse_space", "bytes"),
            ]
            return Kind.HEAP_PROFILE, types, ("space", "bytes"), self.rate
        if self._pattern is _CYCLE_RECORD:
            kind = Kind.MUTEX_PROFILE if self.type == "mutex" else Kind.BLOCK_PROFILE
            unit = "nanoseconds" if self.hz else "cycles"
            if not self.hz:
                self.problems.add("no-clock", "", "no cycles/second in the header: delays stay in cycles")
            return kind, [("contentions", "count"), ("delay", unit)], ("contentions", "count"), 1
        kind = {
            "goroutine": Kind.GOROUTINE_PROFILE,
            "goroutineleak": Kind.GOROUTINELEAK_PROFILE,
            "threadcreate": Kind.THREADCREATE_PROFILE,
        }.get(self.type, Kind.OTHER_PROFILE)
        return kind, [(self.type, "count")], (self.type, "count"), 1

    def _profile(self, types: list[tuple[str, str]]) -> Profile:
        stacks: list[Stack] = []
        known: dict[object, int] = {}
        labels: list[dict[str, str]] = [{}]
        label_ids: dict[tuple[tuple[str, str], ...], int] = {(): 0}
        stack, label, values = [], [], []
        for record in self.records:
            frames, over = record.frames, record.over
            if not frames:
                pcs = record.pcs.decode().split()
                frames, over = [Frame(pc) for pc in pcs[:MAX_DEPTH]], max(0, len(pcs) - MAX_DEPTH)
            stack.append(intern_stack(tuple(frames), stacks, known, over))
            worn, row = self._values(record)
            key = tuple(worn.items())
            if key not in label_ids:
                label_ids[key] = len(labels)
                labels.append(worn)
            label.append(label_ids[key])
            values.append(row)
        return Profile(
            sample_types=types,
            stacks=stacks,
            stack=np.array(stack, dtype=np.int64),
            values=np.array(values, dtype=np.int64).reshape(-1, len(types)),
            labels=labels,
            label=np.array(label, dtype=np.int64),
        )

    def _values(self, record: _Record) -> tuple[dict[str, str], tuple[int, ...]]:
        """Labels and values in the sample types' units."""
        if self._pattern is _HEAP_RECORD:
            inuse, inuse_bytes, alloc, alloc_bytes = record.values
            size = (alloc_bytes // alloc) if alloc else (inuse_bytes // inuse) if inuse else 0
            row = (*_unsample(alloc, alloc_bytes, self.rate), *_unsample(inuse, inuse_bytes, self.rate))
            return ({"bytes": str(size)} if size else {}), row
        if self._pattern is _CYCLE_RECORD:
            cycles, count = record.values
            delay = cycles * 1_000_000_000 // self.hz if self.hz else cycles
            return {}, (count, max(-_INT64 - 1, min(delay, _INT64)))
        return record.labels, record.values

    def _reading(self) -> Reading:
        assert self.stats is not None
        reading = Reading()
        for key, attribute in _FROM_STATS.items():
            value = self.stats.get(key, "")
            if value.isascii() and value.isdigit() and len(value) <= 20:
                setattr(reading, attribute, int(value))
        last = self.stats.get("LastGC", "")
        if last.isascii() and last.isdigit() and len(last) <= 20 and int(last):
            reading.last_gc_at = int(last) / 1e9
        try:
            fraction = float(self.stats.get("GCCPUFraction", ""))
        except ValueError:
            return reading
        if 0 <= fraction <= 1:
            reading.gc_cpu_fraction = fraction
        return reading


_INT64 = (1 << 63) - 1


def _frame(line: bytes) -> Frame | None:
    r"""`#\t0xpc\tfunc+0xoff\tfile:line` (tabs are padded by a tabwriter, or turned to spaces), or `#\t0xpc`.

    Split by hand: a pattern with optional parts takes quadratic time on long runs of tabs.
    """
    parts = [part for part in line[1:].split(b"\t") if part.strip()]
    if (len(parts) != 1 and len(parts) < 3) or (len(parts) == 1 and b" " in parts[0].strip()):
        parts = line[1:].split(None, 2)
    pc = parts[0].strip() if parts else b""
    if not (pc.startswith(b"0x") and len(pc) <= 18 and _is_hex(pc[2:])):
        return None
    if len(parts) == 1:
        return Frame(pc.decode())
    if len(parts) < 3:
        return None
    function, plus, offset = parts[1].strip().rpartition(b"+0x")
    if not plus or not _is_hex(offset):
        function = parts[1].strip()
    file, _, number = b"\t".join(parts[2:]).strip().rpartition(b":")
    if not number.isdigit() or len(number) > 9:
        return None
    return Frame(function.decode("utf-8", "replace"), file.decode("utf-8", "replace"), int(number))


def _is_hex(text: bytes) -> bool:
    return 0 < len(text) <= 16 and not text.strip(b"0123456789abcdef")


def _unsample(count: int, size: int, rate: int) -> tuple[int, int]:
    """Estimated true count and bytes of a sampled record (runtime/pprof/protomem.go: scaleHeapSample)."""
    if count == 0 or size == 0 or rate <= 1:
        return (0, 0) if count == 0 or size == 0 else (count, size)
    scale = 1 / -math.expm1(-(size / count) / rate)
    return min(int(count * scale), _INT64), min(int(size * scale), _INT64)


def _go_escape(match: re.Match[str]) -> str:
    """Go's escapes that JSON does not know."""
    body = match[1]
    if body == "\\":
        return "\\\\"
    code = {"a": 7, "v": 11}.get(body) if len(body) == 1 else int(body[1:], 16)
    return json.dumps(chr(code if code is not None and code < 0x110000 else 0xFFFD))[1:-1]


def _snippet(line: bytes) -> str:
    return repr(line[:SNIPPET].decode("utf-8", "replace"))
