"""Running the trace kernels: which tables they need, growing them, one generation after another.

Input: a v2 execution trace behind its header, as bytes or a memoryview (of a mapped file). Out: `Scan`, all numbers in
tables, nothing turned into text yet. Nothing here raises for what is in the data; what could not be read is counted.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from parkwarden.formats._varint import read_uvarint
from parkwarden.kernels import load
from parkwarden.kernels._trace_layout import (
    DONE,
    E_BATCH,
    E_BYTES,
    FOLD_T,
    GROW_C,
    GROW_G,
    GROW_M,
    GROW_P,
    GROW_T,
    GROW_W,
    KIND_EVENTS,
    KIND_STACKS,
    KIND_STRINGS,
    KIND_SYNC,
    MAX_FRAMES_KEPT,
    MAX_GOROUTINES,
    MAX_PARENTS,
    MAX_PARKED,
    MAX_SITES,
    MAX_STACKS,
    MAX_STRINGS,
    MAX_THREADS,
    S_BINNS,
    S_BINS,
    S_CLIMIT,
    S_CMASK,
    S_CN,
    S_ERRPOS,
    S_FIRST_GEN,
    S_FRCAP,
    S_FRMASK,
    S_FRN,
    S_GC,
    S_GEN,
    S_GLIMIT,
    S_GMASK,
    S_IDCAP,
    S_IDMASK,
    S_IDN,
    S_MLIMIT,
    S_MMASK,
    S_MN,
    S_NBATCH,
    S_PLIMIT,
    S_PMASK,
    S_POOLCAP,
    S_POOLN,
    S_RN,
    S_SEED,
    S_SIDCAP,
    S_SIDMASK,
    S_SIDN,
    S_SIZE,
    S_SKCAP,
    S_SKMASK,
    S_SKN,
    S_STAMP,
    S_STRCAP,
    S_STRMASK,
    S_STRN,
    S_STW,
    S_TEND,
    S_TLIMIT,
    S_TN,
    S_TSHIFT,
    S_TSTATES,
    S_WLIMIT,
    S_WMASK,
    S_WN,
    T_BINS,
    T_COUNT_BITS,
    T_NEVER,
    T_RANGES,
    T_REASONS,
    T_ROWS,
    T_SITE_BITS,
    T_STATES,
    B,
    C,
    G,
    N,
    W,
)

Ints = npt.NDArray[np.int64]

HEADER_SIZE = 16
MAX_GENERATIONS = 10_000
"""The runtime makes one a second at most: nearly three hours of trace. Each costs 0.1 ms whatever it holds."""
MAX_BATCHES = 1 << 21
"""In the whole file; at 64 KiB each 128 GiB. 80 MB of rows."""
MAX_RESYNCS = 1000
"""Damaged places in one file looked at; each costs a search for the next batch."""
MAX_BATCH_SKEW_S = 3600
"""A batch that claims to be further than this from the middle of its generation (about 1 s long) has a broken time."""
FALLBACK_HZ = 15_625_000
"""Ticks per second where a generation does not say: nanotime / 64 (runtime/tracetime.go: traceTimeDiv), not Windows."""
MAX_BINS = 200
MIN_BIN_S = 0.1
"""Creations are counted in bins of at least this: a peak per second needs some milliseconds to be one."""
NEVER = 1 << 62

# arguments of each timed event behind its time (tracev2/events.go), -1 for what cannot stand in a batch of events
_ARGS = {
    9: 2, 10: 2, 11: 0, 12: 3, 13: 2, 14: 3, 15: 1, 16: 2, 17: 0, 18: 0, 19: 2, 20: 2, 21: 3, 22: 2, 23: 0, 24: 0,
    25: 3, 26: 2, 27: 0, 28: 1, 29: 2, 30: 1, 31: 1, 32: 1, 33: 2, 34: 1, 35: 1, 36: 0, 37: 1, 38: 1, 39: 1, 40: 4,
    41: 2, 42: 3, 43: 3, 44: 4, 45: 2, 46: 2, 47: 3, 48: 4, 128: 3, 129: 3, 130: 1, 131: 2, 132: 2, 133: 1, 134: 2,
    135: 2, 136: 1,
}  # fmt: skip


@dataclass(slots=True)
class Generation:
    """One generation's batches: rows of (kind, offset, size, thread, time)."""

    number: int
    batches: Ints
    complete: bool
    hz: float = 0.0
    clock: tuple[int, float] | None = None
    """Ticks and Unix seconds of its clock snapshot (Go 1.25 and newer)."""


@dataclass(slots=True)
class Columns:
    """What the kernels found for the timeline; bins are `1 << shift` nanoseconds wide, up to `S_LAST`."""

    shift: int
    levels: Ints
    """Shape (bins, T_STATES, 2): how many more goroutines are in a state after the bin, and nanoseconds of it."""
    reasons: Ints
    """String of each wait reason by column, from T_REASONS on."""
    rows: Ints
    """Creations by bin: bin, creation and count in one number."""
    ranges: Ints
    """Shape (ranges, 3): T_GC or the string plus one of what stopped the world, begin, end."""


@dataclass(slots=True)
class Scan:
    """What the kernels found. Times in nanoseconds from `begin_ns` (ticks of the first batch, in nanoseconds)."""

    data: npt.NDArray[np.uint8]
    state: Ints
    counts: Ints
    """Events by type, shape (256,)."""
    goroutines: Ints = field(default_factory=lambda: np.zeros((0, G), dtype=np.int64))
    waits: Ints = field(default_factory=lambda: np.zeros((0, W), dtype=np.int64))
    creations: Ints = field(default_factory=lambda: np.zeros((0, N), dtype=np.int64))
    bins: Ints = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    strings: Ints = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    frames: Ints = field(default_factory=lambda: np.zeros((0, 3), dtype=np.int64))
    stacks: Ints = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    pool: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    timeline: Columns | None = None
    generations: int = 0
    begin_ns: float = 0.0
    began_at: float | None = None
    """Unix seconds of the begin, None before Go 1.25."""
    notes: list[tuple[str, int, str]] = field(default_factory=list)
    """Problems met on the way: code, byte offset (-1: the whole input), sentence."""


def scan(data: bytes | bytearray | memoryview, version: int, *, timeline: bool = False) -> Scan:
    """All of a v2 trace. `version` is the header's minor version (22, 23, 25, 26 or newer).

    With `timeline` also who was in which state when: a third more time, and up to 70 MB while it is made.
    """
    result = _begun(data)
    generations = _index(result, version)
    if generations:
        _sync(result, generations)
        _run(result, generations, timeline)
    return result


def _begun(data: bytes | bytearray | memoryview) -> Scan:
    state = np.zeros(S_SIZE, dtype=np.int64)
    return Scan(data=np.frombuffer(data, dtype=np.uint8), state=state, counts=np.zeros(256, dtype=np.int64))


# --- batches --------------------------------------------------------------------------------------------------------


def string_batches(data: bytes, version: int) -> tuple[list[tuple[int, int]], bool]:
    """(offset, size) of every batch of strings, its kind byte included; and whether the trace has no damage a string may hide in."""
    result = _begun(data)
    generations = _index(result, version)
    found = [(int(row[1]), int(row[2])) for g in generations for row in g.batches[g.batches[:, 0] == KIND_STRINGS]]
    return found, not any(code in ("damaged-batches", "truncated", "limit") for code, _, _ in result.notes)


def _index(result: Scan, version: int) -> list[Generation]:
    """The generations of the file and their batches."""
    kernels = load("trace_tables")
    index, resync = kernels["index"], kernels["resync"]
    data, state, notes = result.data, result.state, result.notes
    size = int(data.shape[0])
    rows = np.zeros(4096 * B, dtype=np.int64)
    found: list[Generation] = []
    pos, total, resyncs = HEADER_SIZE, 0, 0
    state[S_NBATCH] = state[S_GEN] = 0

    def close(complete: bool) -> None:
        nonlocal total
        n = int(state[S_NBATCH])
        if n:
            found.append(Generation(int(state[S_GEN]), rows[: n * B].reshape(n, B).copy(), complete))
            total += n
        state[S_NBATCH] = state[S_GEN] = 0

    while pos < size:
        pos = index(data, size, pos, rows, rows.shape[0] // B, state)
        why = int(state[S_ERRPOS])
        if why == 1:
            close(True)
        elif why == 2:
            if version >= 26:
                notes.append(("no-end-of-generation", pos, f"generation {int(state[S_GEN])} has no end mark"))
            close(version < 26)
        elif why == 3:
            rows = np.concatenate([rows, np.zeros_like(rows)])
        elif why == 4:
            after = resync(data, size, pos + 1, int(state[S_GEN]))
            notes.append(("damaged-batches", pos, f"{after - pos} bytes that are no batch"))
            pos, resyncs = after, resyncs + 1
        elif why == 5:
            notes.append(("truncated", size, "the file ends within a batch"))
        if len(found) >= MAX_GENERATIONS or total + int(state[S_NBATCH]) > MAX_BATCHES or resyncs >= MAX_RESYNCS:
            if pos < size:
                limit = f"{MAX_GENERATIONS} generations, {MAX_BATCHES} batches or {MAX_RESYNCS} damaged places"
                notes.append(("limit", pos, f"more than {limit}: the {size - pos} bytes from here on were not read"))
            break
    last = int(state[S_GEN])
    if int(state[S_NBATCH]):
        close(version < 26)
        if version >= 26:
            notes.append(("incomplete-generation", size, f"generation {last} ends with the file: likely cut off"))
    return found


def _sync(result: Scan, generations: list[Generation]) -> None:
    """Frequency and clock of each generation; one without takes its neighbour's."""
    known = 0.0
    missing = 0
    for g in generations:
        for row in g.batches[g.batches[:, 0] == KIND_SYNC][:4]:
            _sync_batch(result, g, row)
        known = known or g.hz
    for g in generations:
        missing += not g.hz
        known = g.hz = g.hz or known or FALLBACK_HZ
    if missing:
        text = f"{missing} generations tell no frequency; {known:g} ticks per second taken"
        result.notes.append(("no-frequency", -1, text))
    for g in generations:
        _drop_outliers(result, g)
    first = generations[0]
    times = first.batches[first.batches[:, 0] == KIND_EVENTS, 4]
    low = int(times.min()) if times.size else int(first.batches[:, 4].min())
    result.begin_ns = low * 1e9 / first.hz
    for g in generations:
        if g.clock is not None:
            ticks, unix = g.clock
            result.began_at = unix - (ticks * 1e9 / g.hz - result.begin_ns) / 1e9
            break


def _sync_batch(result: Scan, g: Generation, row: Ints) -> None:
    """generation.go: setSyncBatch."""
    data = result.data[row[1] : row[1] + row[2]].tobytes()
    pos, ticks = 0, int(row[4])
    while pos < len(data):
        kind = data[pos]
        pos += 1
        if kind == 50:
            continue
        values = []
        for _ in range(1 if kind == 8 else 4 if kind == 51 else 0):
            value, pos = read_uvarint(data, pos)
            values.append(value)
        if not values or pos < 0:
            result.notes.append(("damaged-sync", int(row[1]), "a sync batch that cannot be read"))
            return
        if kind == 8:
            if values[0] == 0 or values[0] > 1 << 40:
                result.notes.append(("bad-frequency", int(row[1]), f"{values[0]} ticks per second"))
            else:
                g.hz = g.hz or float(values[0])
        elif g.clock is None and values[2] < 1 << 36:
            g.clock = (ticks + min(values[0], NEVER), values[2] + values[3] / 1e9)


def _drop_outliers(result: Scan, g: Generation) -> None:
    """Leave out batches whose time is nowhere near their generation's: one broken header must not stretch the trace."""
    events = g.batches[:, 0] == KIND_EVENTS
    if not events.any():
        return
    times = g.batches[:, 4].astype(np.float64)
    middle = np.sort(times[events])[(int(events.sum()) - 1) // 2]  # one of them, so that one stays
    far = events & (np.abs(times - middle) > MAX_BATCH_SKEW_S * g.hz)
    if far.any():
        offset = int(g.batches[far][0, 1])
        lost = int(g.batches[far, 2].sum())
        result.state[E_BATCH] += int(far.sum())
        result.state[E_BYTES] += lost
        text = f"{int(far.sum())} batches of generation {g.number} ({lost} bytes) have times far off"
        result.notes.append(("bad-time", offset, text))
        g.batches = np.ascontiguousarray(g.batches[~far])


# --- tables and events ----------------------------------------------------------------------------------------------


class _Tables:
    """Everything the kernels write to, and how each part grows."""

    def __init__(self, result: Scan, timeline: bool) -> None:
        self.kernels = load("trace_tables") | load("trace_timeline" if timeline else "trace_scan")
        self.state = result.state
        self.hashed: dict[str, tuple[Ints, int]] = {}
        for name, mask, width, rows in (
            ("ids", S_IDMASK, 2, 1 << 13),
            ("stack_ids", S_SIDMASK, 2, 1 << 13),
            ("string_index", S_STRMASK, 2, 1 << 13),
            ("frame_index", S_FRMASK, 2, 1 << 13),
            ("stack_index", S_SKMASK, 2, 1 << 13),
            ("goroutines", S_GMASK, G, 1 << 12),
            ("wait_index", S_WMASK, 2, 1 << 11),
            ("creation_index", S_CMASK, 2, 1 << 11),
            ("parents", S_PMASK, 2, 1 << 12),
            ("threads", S_MMASK, 3, 1 << 8),
        ):
            self.hashed[name] = (np.zeros(rows * width, dtype=np.int64), width)
            self.state[mask] = rows - 1
        self.strings = np.zeros(2 << 12, dtype=np.int64)
        self.frames = np.zeros(3 << 12, dtype=np.int64)
        self.stacks = np.zeros(2 << 12, dtype=np.int64)
        self.pool = np.zeros(1 << 14, dtype=np.int32)
        self.waits = np.zeros(W << 10, dtype=np.int64)
        self.creations = np.zeros(N << 10, dtype=np.int64)
        self.drawn: list[Ints] = []
        """Of a timeline: levels, reasons, rows, ranges."""
        self.limits()

    def draw(self, span_ns: float) -> None:
        """Make room for a timeline of so many nanoseconds."""
        s = self.state
        s[S_TSHIFT] = max(int(min(span_ns, 4e18)) // T_BINS, 1).bit_length()
        s[S_TEND] = T_BINS << int(s[S_TSHIFT])
        s[S_GC] = s[S_STW] = T_NEVER
        self.drawn = [
            np.zeros(T_BINS * T_STATES * 2, dtype=np.int64),
            np.full(T_STATES, -1, dtype=np.int64),
            np.zeros(1 << 12, dtype=np.int64),
            np.zeros(3 * T_RANGES, dtype=np.int64),
        ]
        s[S_TSTATES], s[S_TLIMIT] = T_REASONS, 1 << 12

    def more_rows(self) -> None:
        """Twice the room for rows of creations; from T_ROWS on the kernel counts what does not fit."""
        self.drawn[2] = _grown(self.drawn[2], 2 * self.drawn[2].shape[0])
        rows = self.drawn[2].shape[0]
        self.state[S_TLIMIT] = NEVER if rows >= T_ROWS else rows

    def fold(self) -> None:
        """Events lie behind the last bin: bins twice as wide, two by two of those there were made one."""
        s = self.state
        width = 1 << int(s[S_TSHIFT])
        levels, _reasons, rows, _ranges = self.drawn
        pairs = levels.reshape(T_BINS // 2, 2, T_STATES, 2)
        first, second = pairs[:, 0], pairs[:, 1]
        folded = first + second
        folded[..., 1] += first[..., 0] * width  # who came in the first is there all through the second
        levels[: folded.size] = folded.reshape(-1)
        levels[folded.size :] = 0
        rows = rows[: int(s[S_TN])]
        place = T_SITE_BITS + T_COUNT_BITS
        rows[:] = rows >> place + 1 << place | rows & (1 << place) - 1
        s[S_TSHIFT] += 1
        s[S_TEND] = T_BINS << int(s[S_TSHIFT])

    def __getitem__(self, name: str) -> Ints:
        return self.hashed[name][0]

    def limits(self) -> None:
        """Tell the kernels how much fits: half of a hash table's rows, two thirds of the goroutines'."""
        s = self.state
        s[S_IDCAP] = (s[S_IDMASK] + 1) // 2
        s[S_SIDCAP] = (s[S_SIDMASK] + 1) // 2
        s[S_STRCAP] = min((s[S_STRMASK] + 1) // 2, self.strings.shape[0] // 2, MAX_STRINGS)
        s[S_FRCAP] = min((s[S_FRMASK] + 1) // 2, self.frames.shape[0] // 3, MAX_STRINGS)
        s[S_SKCAP] = min((s[S_SKMASK] + 1) // 2, self.stacks.shape[0] // 2, MAX_STACKS)
        s[S_POOLCAP] = min(self.pool.shape[0], MAX_FRAMES_KEPT)
        for limit, mask, most, rows in (
            (S_GLIMIT, S_GMASK, MAX_GOROUTINES, NEVER),
            (S_WLIMIT, S_WMASK, MAX_SITES, self.waits.shape[0] // W),
            (S_CLIMIT, S_CMASK, MAX_SITES, self.creations.shape[0] // N),
            (S_PLIMIT, S_PMASK, MAX_PARENTS, NEVER),
            (S_MLIMIT, S_MMASK, NEVER, NEVER),
        ):
            # one event adds at most two rows to any of them
            room = min((s[mask] + 1) * (2 if limit == S_GLIMIT else 1) // (3 if limit == S_GLIMIT else 2), rows) - 4
            s[limit] = NEVER if room >= most else room

    def rehash(self, name: str, mask: int, rows: int, stamp: int = -1) -> None:
        """Give a hash table at least `rows` rows (a power of two)."""
        old, width = self.hashed[name]
        if rows <= old.shape[0] // width:
            return
        new = np.zeros(rows * width, dtype=np.int64)
        self.kernels["rehash"](old, old.shape[0] // width, new, rows - 1, width, int(self.state[S_SEED]), stamp)
        self.hashed[name] = (new, width)
        self.state[mask] = rows - 1

    def make_room(self, batch: Ints, strings: bool) -> None:
        """Room for all entries the string or stack table `batch` could hold."""
        s = self.state
        most = int(batch[2]) // 3 + 1
        stamp = int(s[S_STAMP])
        if strings:
            self.rehash("ids", S_IDMASK, _power(2 * (int(s[S_IDN]) + most)), stamp)
            need = min(int(s[S_STRN]) + most, MAX_STRINGS)
            self.rehash("string_index", S_STRMASK, _power(2 * need))
            self.strings = _grown(self.strings, 2 * need)
        else:
            self.rehash("stack_ids", S_SIDMASK, _power(2 * (int(s[S_SIDN]) + most)), stamp)
            need = min(int(s[S_FRN]) + most, MAX_STRINGS)
            self.rehash("frame_index", S_FRMASK, _power(2 * need))
            self.frames = _grown(self.frames, 3 * need)
            need = min(int(s[S_SKN]) + most, MAX_STACKS)
            self.rehash("stack_index", S_SKMASK, _power(2 * need))
            self.stacks = _grown(self.stacks, 2 * need)
            self.pool = _grown(self.pool, min(int(s[S_POOLN]) + most + 128, MAX_FRAMES_KEPT))
        self.limits()

    def grow(self, why: int) -> None:
        """Twice the room in the table `run` asked for."""
        if why == FOLD_T:
            self.fold()
            return
        if why == GROW_T:
            self.more_rows()
            return
        name, mask = {
            GROW_G: ("goroutines", S_GMASK),
            GROW_W: ("wait_index", S_WMASK),
            GROW_C: ("creation_index", S_CMASK),
            GROW_P: ("parents", S_PMASK),
            GROW_M: ("threads", S_MMASK),
        }[why]
        self.rehash(name, mask, 2 * (int(self.state[mask]) + 1))
        if why == GROW_W:
            self.waits = _grown(self.waits, 2 * self.waits.shape[0])
        elif why == GROW_C:
            self.creations = _grown(self.creations, 2 * self.creations.shape[0])
        self.limits()

    def threads_for(self, count: int) -> None:
        """Room for `count` more threads; when more were seen than can exist, all older ones are forgotten."""
        if int(self.state[S_MN]) + count > MAX_THREADS:
            table = self["threads"].reshape(-1, 3)
            table[:] = 0
            self.state[S_MN] = 0
        self.rehash("threads", S_MMASK, _power(2 * (int(self.state[S_MN]) + count + 8)))
        self.limits()


def _power(n: int) -> int:
    return 1 << max(n - 1, 1).bit_length()


def _grown(array: Any, size: int) -> Any:
    """The array with room for `size` items, doubling, so that many small steps stay cheap."""
    if size <= array.shape[0]:
        return array
    new = np.zeros(max(size, 2 * array.shape[0]), dtype=array.dtype)
    new[: array.shape[0]] = array
    return new


def _run(result: Scan, generations: list[Generation], timeline: bool) -> None:
    state = result.state
    sample = result.data[:4096].tobytes() + result.data[-4096:].tobytes()
    state[S_SEED] = zlib.crc32(sample) << 20 ^ result.data.shape[0]  # no file can aim at the hash of another
    last = generations[-1]
    span = max(float(last.batches[:, 4].max()) * 1e9 / last.hz - result.begin_ns, 1.0)
    bins = int(min(MAX_BINS, max(1.0, np.ceil(span / 1e9 / MIN_BIN_S))))
    state[S_BINS], state[S_BINNS] = bins, max(int(min(span, 4e18) / bins) + 1, 1)
    result.bins = np.zeros(bins, dtype=np.int64)
    nargs = np.full(256, -1, dtype=np.int64)
    for kind, count in _ARGS.items():
        nargs[kind] = count
    parked = np.zeros(2 * MAX_PARKED, dtype=np.int64)
    tables = _Tables(result, timeline)
    if timeline:
        tables.draw(span)
    for number, g in enumerate(generations, start=1):
        state[S_STAMP], state[S_FIRST_GEN] = number, number == 1
        _read_tables(result, tables, g)
        _read_events(result, tables, g, nargs, parked)
    _collect(result, tables, len(generations))


def _read_tables(result: Scan, tables: _Tables, g: Generation) -> None:
    state, kernels = result.state, tables.kernels
    n = state[S_NBATCH] = g.batches.shape[0]
    state[S_IDN] = state[S_SIDN] = 0
    flat = g.batches.reshape(-1)
    kinds = g.batches[:, 0]
    if (kinds == KIND_STRINGS).any():
        i = 0
        while (i := kernels["strings"](
            result.data, flat, i, state, tables["ids"], tables.strings, tables["string_index"]
        )) < n:  # fmt: skip
            tables.make_room(g.batches[i], strings=True)
    if (kinds == KIND_STACKS).any():
        i = 0
        while (i := kernels["stacks"](
            result.data, flat, i, state, tables["ids"], tables["stack_ids"], tables.frames, tables["frame_index"],
            tables.stacks, tables["stack_index"], tables.pool,
        )) < n:  # fmt: skip
            tables.make_room(g.batches[i], strings=False)


def _read_events(result: Scan, tables: _Tables, g: Generation, nargs: Ints, parked: Ints) -> None:
    rows = np.flatnonzero(g.batches[:, 0] == KIND_EVENTS)
    if not rows.size:
        return
    threads = g.batches[rows, 3]
    by_thread = np.argsort(threads, kind="stable")  # a thread's batches stand in the order they were written
    order = np.ascontiguousarray(rows[by_thread])
    ids, starts = np.unique(threads[by_thread], return_index=True)
    tables.threads_for(ids.shape[0])
    cursors = np.zeros((ids.shape[0], C), dtype=np.int64)
    cursors[:, 0] = ids
    cursors[:, 1] = starts
    cursors[:, 2] = np.append(starts[1:], order.shape[0])
    heap = np.zeros(ids.shape[0] + 1, dtype=np.int64)
    scale = np.array([1e9 / g.hz, result.begin_ns], dtype=np.float64)
    flat, places = g.batches.reshape(-1), cursors.reshape(-1)
    fresh = ids.shape[0]
    while True:
        why = tables.kernels["run"](
            result.data, flat, order, places, heap, parked, result.state, scale, nargs, result.counts, tables["ids"],
            tables["stack_ids"], tables["goroutines"], tables["wait_index"], tables.waits, tables["creation_index"],
            tables.creations, tables["parents"], tables["threads"], result.bins, *tables.drawn,
            fresh,
        )  # fmt: skip
        if why == DONE:
            return
        fresh = 0
        tables.grow(why)


def _collect(result: Scan, tables: _Tables, generations: int) -> None:
    """Keep the used rows, let the hash tables go."""
    s = result.state
    table = tables["goroutines"].reshape(-1, G)
    result.goroutines = table[table[:, 1] != 0]
    result.waits = tables.waits[: int(s[S_WN]) * W].reshape(-1, W)
    result.creations = tables.creations[: int(s[S_CN]) * N].reshape(-1, N)
    result.strings = tables.strings[: int(s[S_STRN]) * 2].reshape(-1, 2)
    result.frames = tables.frames[: int(s[S_FRN]) * 3].reshape(-1, 3)
    result.stacks = tables.stacks[: int(s[S_SKN]) * 2].reshape(-1, 2)
    result.pool = tables.pool
    result.generations = generations
    if tables.drawn:
        levels, reasons, rows, ranges = tables.drawn
        result.timeline = Columns(
            shift=int(s[S_TSHIFT]),
            levels=levels.reshape(T_BINS, T_STATES, 2),
            reasons=reasons[: int(s[S_TSTATES])],
            rows=rows[: int(s[S_TN])],
            ranges=ranges[: 3 * int(s[S_RN])].reshape(-1, 3),
        )
