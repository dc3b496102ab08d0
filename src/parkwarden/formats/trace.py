"""Execution traces (runtime/trace, /debug/pprof/trace), Go 1.22-1.27.

Input: the bytes of one trace, or a memoryview of them (a mapped file), with nothing around them. Out: an `Artefact`
with `trace` (creations and waits summed up by stack) and `snapshot`, the census: one row per goroutine alive when the
trace ended. Source of the format: Go's internal/trace (`batch.go`, `generation.go`, `order.go`,
`tracev2/events.go`), which is also what the rules about states and order are from.

What the rows of the census say
- State: `runnable`, `running`, `syscall`; for what waits the reason `GoBlock` gave (`chan receive`, `network`,
  `sync`), `waiting` where the goroutine did nothing during the trace (`GoStatusStack` tells no reason).
- Stack: where it was last seen. For a running or runnable goroutine that is where it stopped last, which it may have
  left; for one never yet run the function it starts in. No frames where the trace never told (all old goroutines of
  Go 1.22, which writes `GoStatus` without stacks; golang/go#65634 since): counted in the problem `unknown-site`.
- `Mark.RAN`: it ran, or changed its state, while the trace ran; being mentioned as waiting is no change.
- `created_by` and `parent` where the `go` statement ran during the trace.

Waits: reasons as `GoBlock` has them, `syscall`, `scheduler` (runnable until running, at the stack of the event that
made it runnable, which for an unblocking is the waker's: what `go tool trace -pprof=sched` shows), `first run` (the
same from creation on, at the `go` statement, which that tool leaves out), `coroutine` (iter.Pull), `waiting` (not
told). What waited already at its first mention counts from the trace's begin.

Errors: `FormatError` (`not-a-trace`; `trace-v1` for traces of Go 1.21 and older). All else is a `Problem`.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from parkwarden.formats._problems import capped
from parkwarden.formats._trace_scan import HEADER_SIZE, Scan, scan
from parkwarden.kernels import _trace_layout as layout
from parkwarden.model.artefact import Artefact, Creation, Kind, Problem, Trace, Wait
from parkwarden.model.errors import FormatError
from parkwarden.model.snapshot import Mark, Snapshot, Source, make_snapshot
from parkwarden.model.stack import Frame, Stack
from parkwarden.model.timeline import Timeline

MAX_SUMS = 10_000
"""Waits and creations listed (those with the most time, the most goroutines); real traces have some hundreds."""
NEWEST = 26
"""The newest header known; Go 1.27 writes it too."""

_HEADER = re.compile(rb"go 1\.(\d{1,4}) trace\0")
_STATUS = {1: "runnable", 2: "running", 3: "syscall"}
_REASONS = {-1: "waiting", -2: "syscall", -3: "scheduler", -4: "waiting", -5: "coroutine", -6: "first run"}


def sniff(head: bytes) -> bool:
    """Whether these first bytes are those of an execution trace, of any version."""
    return _HEADER.match(bytes(head[:HEADER_SIZE])) is not None


def read(data: bytes | bytearray | memoryview, name: str = "", *, timeline: bool = False) -> Artefact:
    """A trace as an artefact, with its timeline where that is asked for. `data` is only read; kernels see its memory."""
    version = _version(bytes(data[:HEADER_SIZE]))
    found = scan(data, version, timeline=timeline)
    words = _Words(found)
    state = found.state
    duration = float(state[layout.S_LAST]) / 1e9
    began = found.began_at
    problems = _problems(found, version)
    census, unknown = _census(found, words, None if began is None else began + duration)
    if unknown:
        problems.insert(0, _unknown_site(unknown, census.total, version))
    creations = _creations(found, words, problems)
    waits = _waits(found, words, problems)
    trace = Trace(
        version=f"1.{version}",
        duration_s=duration,
        started_at=began,
        events=int(state[layout.S_EVENTS]),
        generations=found.generations,
        created=int(state[layout.S_CREATED]),
        ended=int(state[layout.S_ENDED]),
        creations=creations,
        waits=waits,
        census=census,
        created_per_s=found.bins,
        timeline=_timeline(found, words),
    )
    return Artefact(
        name=name,
        kind=Kind.TRACE,
        size=int(found.data.shape[0]),
        records=trace.events,
        problems=capped(problems),
        snapshot=census,
        trace=trace,
        taken_at=census.taken_at,
        lost=int(state[layout.E_BATCH] + state[layout.E_TABLE] + state[layout.E_ID])
        + sum(code in ("damaged-batches", "truncated") for code, _, _ in found.notes),
    )


def _version(head: bytes) -> int:
    match = _HEADER.match(head)
    if match is None or len(head) < HEADER_SIZE:
        raise FormatError("not-a-trace", "this is not a Go execution trace", context=f"it begins with {head!r}")
    version = int(match[1])
    if version < 22:
        raise FormatError(
            "trace-v1",
            f"the trace is in the old format of Go 1.21 and before (its header says 1.{version})",
            context="that format names neither the states nor the stacks of goroutines that stand still",
            hint="record it with a service built by Go 1.22 or newer (1.23 or newer for the stacks of all goroutines)",
        )
    return version


class _Words:
    """Text of what the tables refer to, made when first asked for: most of a binary's strings are not."""

    def __init__(self, found: Scan) -> None:
        self.found = found
        self._strings: dict[int, str] = {}
        self._frames: dict[int, Frame] = {}
        self._stacks: dict[tuple[int, int], Stack] = {}

    def string(self, index: int) -> str:
        """Text of a string by index plus one; 0 is empty."""
        if index <= 0:
            return ""
        text = self._strings.get(index)
        if text is None:
            offset, length = (int(v) for v in self.found.strings[index - 1])
            text = self.found.data[offset : offset + length].tobytes().decode("utf-8", "replace")
            self._strings[index] = text
        return text

    def frame(self, index: int) -> Frame:
        frame = self._frames.get(index)
        if frame is None:
            function, file, line = (int(v) for v in self.found.frames[index])
            # a line past 2**31 is damage, and would not fit where lines are kept later
            frame = Frame(self.string(function), self.string(file), line if 0 <= line < 1 << 31 else 0)
            self._frames[index] = frame
        return frame

    def frames(self, stack: int) -> tuple[Frame, ...]:
        """Leaf first; none for -1."""
        if stack < 0:
            return ()
        offset, count = (int(v) for v in self.found.stacks[stack])
        return tuple(self.frame(int(i)) for i in self.found.pool[offset : offset + count])

    def stack(self, stack: int, made: int = -1) -> Stack:
        """A stack, with the `go` statement of creation `made` where that is known."""
        created_by = int(self.found.creations[made, layout.N_STACK]) if made >= 0 else -1
        known = self._stacks.get((stack, created_by))
        if known is None:
            chain = self.frames(created_by)[:1]
            known = Stack(frames=self.frames(stack), created_by=chain[0] if chain else None)
            self._stacks[stack, created_by] = known
        return known

    def reason(self, reason: int) -> str:
        """Text of a wait's reason: a string's index, or one of ours below zero."""
        return _REASONS[reason] if reason < 0 else self.string(reason + 1) or "waiting"


def _census(found: Scan, words: _Words, taken_at: float | None) -> tuple[Snapshot, int]:
    """All goroutines alive at the end, by rising id, and how many of them have no stack."""
    rows = found.goroutines[np.argsort(found.goroutines[:, layout.G_ID], kind="stable")]
    status = rows[:, layout.G_META] & 255
    reasons = np.full(rows.shape[0], -4, dtype=np.int64)
    told = rows[:, layout.G_WAIT] >= 0
    reasons[told] = found.waits[rows[told, layout.G_WAIT], layout.W_REASON]
    state_key = np.where(status == 4, reasons, -100 - status)
    keys, state = np.unique(state_key, return_inverse=True)
    states = [_STATUS.get(-100 - int(k), "") if k <= -100 else words.reason(int(k)) for k in keys]

    pairs, stack = np.unique((rows[:, layout.G_STACK] + 1) << 32 | (rows[:, layout.G_MADE] + 1), return_inverse=True)
    stacks: list[Stack] = []
    place: dict[Stack, int] = {}
    renamed = np.zeros(len(pairs), dtype=np.int64)
    for i, pair in enumerate(pairs.tolist()):
        one = words.stack((pair >> 32) - 1, (pair & 0xFFFFFFFF) - 1)
        renamed[i] = place.setdefault(one, len(stacks))
        if renamed[i] == len(stacks):
            stacks.append(one)

    minutes = (found.state[layout.S_LAST] - rows[:, layout.G_SINCE]) // 60_000_000_000
    snapshot = make_snapshot(
        Source.CENSUS,
        stacks,
        renamed[stack.reshape(-1)],
        states=states,
        state=state.reshape(-1),
        goid=rows[:, layout.G_ID],
        parent=rows[:, layout.G_PARENT],
        wait_min=np.where((status == 4) & (minutes > 0), minutes, -1),
        marks=np.where(rows[:, layout.G_RAN] > 0, int(Mark.RAN), 0),
        taken_at=taken_at,
    )
    bare = np.array([not s.frames for s in stacks], dtype=bool)
    return snapshot, int(bare[snapshot.stack].sum()) if stacks else 0


def _creations(found: Scan, words: _Words, problems: list[Problem]) -> list[Creation]:
    rows = found.creations
    rows = _largest(rows, rows[:, 0], "creations", problems)
    bin_s = float(found.state[layout.S_BINNS]) / 1e9
    return [
        Creation(
            stack=words.stack(r[layout.N_STACK]),
            start=(words.frames(r[layout.N_START]) or (Frame(""),))[0],
            count=r[layout.N_COUNT],
            first_s=r[layout.N_FIRST] / 1e9,
            last_s=r[layout.N_LAST] / 1e9,
            peak_per_s=r[layout.N_PEAK] / bin_s,
            alive=max(r[layout.N_ALIVE], 0),
            parents=r[layout.N_PARENTS],
        )
        for r in rows.tolist()
    ]


def _timeline(found: Scan, words: _Words) -> Timeline | None:
    if found.timeline is None:
        return None
    from parkwarden.formats import trace_timeline

    largest = np.argsort(-found.creations[:, 0], kind="stable")
    return trace_timeline.build(found, words.reason, words.string, largest.tolist())


def _waits(found: Scan, words: _Words, problems: list[Problem]) -> list[Wait]:
    """All sums, those still going on added up to the end."""
    count, longest = found.waits[:, layout.W_COUNT].copy(), found.waits[:, layout.W_MAX].copy()
    total = found.waits[:, layout.W_TOTAL].astype(np.float64)
    still = np.zeros_like(count)
    going = found.goroutines[found.goroutines[:, layout.G_WAIT] >= 0]
    which = going[:, layout.G_WAIT]
    took = np.maximum(found.state[layout.S_LAST] - going[:, layout.G_SINCE], 0)
    np.add.at(still, which, 1)
    np.add.at(total, which, took.astype(np.float64))
    np.maximum.at(longest, which, took)
    count += still
    rows = np.flatnonzero(count)
    return [
        Wait(
            stack=words.stack(int(found.waits[i, layout.W_STACK])),
            reason=words.reason(int(found.waits[i, layout.W_REASON])),
            count=int(count[i]),
            total_s=float(total[i]) / 1e9,
            max_s=int(longest[i]) / 1e9,
            open=int(still[i]),
        )
        for i in _largest(rows, total[rows], "waits", problems)
    ]


def _largest(rows: Any, by: Any, what: str, problems: list[Problem]) -> Any:
    """Rows by falling size; those past MAX_SUMS are left out, and that is said."""
    order = np.argsort(-by, kind="stable")
    if order.shape[0] > MAX_SUMS:
        left = order.shape[0] - MAX_SUMS
        problems.append(Problem(f"more-{what}", "", f"{left} smaller {what} of {order.shape[0]} are not listed"))
    return rows[order[:MAX_SUMS]]


def _unknown_site(unknown: int, total: int, version: int) -> Problem:
    why = (
        "Go 1.22 writes the state of goroutines that stand still without their stack; record with Go 1.23 or newer"
        if version == 22
        else "the trace never told it: they ran from its begin to its end, or were woken and did not run yet"
    )
    return Problem("unknown-site", "", f"{unknown} of {total} goroutines have no stack: {why}")


_COUNTED = (
    (layout.E_BATCH, layout.E_BATCH_POS, "damaged-events", "{n} event batches could not be read to their end"),
    (layout.E_TABLE, layout.E_TABLE_POS, "damaged-tables", "{n} string or stack tables could not be read to their end"),
    (layout.E_DUP, 0, "duplicate-id", "{n} entries of string or stack tables repeat an id; the first counts"),
    (layout.E_STACKID, 0, "unknown-stack", "{n} events name a stack that is in no table"),
    (layout.E_STRINGID, 0, "unknown-string", "{n} events or frames name a string that is in no table"),
    (layout.E_FORCED, 0, "disorder", "{n} events came before those they must follow; taken as they stand"),
    (layout.E_LATE, 0, "late-goroutine", "{n} goroutines are first mentioned after the first generation without birth"),
    (layout.E_STATUS, 0, "contradiction", "{n} goroutines have another state than their events led to"),
    (layout.E_NOG, 0, "no-goroutine", "{n} events of threads that run no known goroutine"),
    (layout.E_EXISTS, 0, "born-twice", "{n} goroutines are created while they are alive"),
    (layout.E_ID, 0, "invalid-event", "{n} events hold a goroutine id or state that cannot be"),
    (layout.E_EMPTY, 0, "empty-generation", "{n} ends of generations that hold nothing"),
    (layout.E_FULL, 0, "limit", "{n} events beyond what is kept (1,048,576 goroutines, 131,072 stacks each)"),
    (layout.E_REASONS, 0, "limit", "{n} waits by stack are only `waiting` in the timeline: more than 27 reasons"),
    (layout.E_ROWS, 0, "limit", "{n} creations are not in the timeline: more than 4,194,304 rows of bin and stack"),
    (layout.E_RANGES, 0, "limit", "{n} collections and stops beyond 65,536 are not in the timeline"),
    (layout.E_CAP, 0, "limit", "{n} entries beyond what is kept (1,048,576 strings or frames, 524,288 stacks)"),
)


def _problems(found: Scan, version: int) -> list[Problem]:
    problems = []
    if version > NEWEST:
        text = f"header says 1.{version}, newer than the newest known (1.{NEWEST}); read as that"
        problems.append(Problem("newer-version", "byte 0", text))
    if not found.generations:
        problems.append(Problem("no-events", "", "the trace holds nothing behind its header"))
    for code, offset, text in found.notes:
        problems.append(Problem(code, f"byte {offset}" if offset >= 0 else "", text))
    for slot, position, code, text in _COUNTED:
        n = int(found.state[slot])
        if n:
            where = f"byte {int(found.state[position])}" if position else ""
            problems.append(Problem(code, where, text.format(n=n)))
    return problems
