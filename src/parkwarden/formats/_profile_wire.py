"""profile.proto as columns: decode bounded bytes, intern over several profiles, encode. Shared by reader and writer.

Input is the bare protobuf message (not gzipped; see `gunzip`). What comes back are the raw columns of
`kernels/profile_wire.py`, ids resolved to row numbers. Raises LimitError where a named limit is passed; damaged
records are counted in `Columns.damaged`, a cut-off end in `Columns.stopped_at`.

Why a decoder of our own instead of google.protobuf, with numbers: `profile_proto`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from parkwarden.kernels import load
from parkwarden.model import LimitError

Ints: TypeAlias = npt.NDArray[np.int64]

MAX_BYTES = 512 << 20
"""Unpacked bytes of one profile. The largest anyone reported (go-runtime's 300 MB cases) fits; a bomb does not."""
MAX_MEMBERS = 1000
"""Members of one gzip file; Go writes one, and each costs a copy of what follows."""
MAX_SAMPLES = 4_000_000
"""Samples of one profile; 48 bytes of columns each. Fleet-wide merges have 500,000."""
MAX_CELLS = 64_000_000
"""Location ids, values, labels or lines of one profile, each (8 to 32 bytes of memory per cell)."""
MAX_TABLE = 8_000_000
"""Strings, functions, locations or mappings of one profile, each."""
MAX_PROBES_PER_KEY = 256
"""Mean steps in an interning table before we call it an attack: at half load the mean is below 2."""
SORTED_LABELS = 64
"""Labels of a sample that are ordered before comparing; more (no Go program has them) would cost quadratic time."""
MAX_MERGED = 1 << 30
"""Bytes of one table of a merge (it keeps the distinct strings, functions, locations and samples of all inputs)."""
# Slots of the kernel's `counts`; importing them from the kernel would import numba (a test holds them equal).
SLOTS = {
    "SAMPLE_TYPES": 0, "SAMPLES": 1, "MAPPINGS": 2, "LOCATIONS": 3, "FUNCTIONS": 4, "STRINGS": 5, "COMMENTS": 6,
    "LOCATION_IDS": 7, "VALUES": 8, "LABELS": 9, "LINES": 10, "UNKNOWN": 11, "DAMAGED": 12, "DAMAGED_AT": 13,
    "COUNTS": 14,
}  # fmt: skip
_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 16


def gunzip(data: bytes, limit: int = MAX_BYTES) -> tuple[bytes, str]:
    """The unpacked bytes (all members of a gzip file) and what was wrong ("" = nothing); data itself if not gzip.

    Damage costs what follows it. Raises LimitError beyond `limit` bytes.
    """
    if not data.startswith(_GZIP):
        if len(data) > limit:
            raise _too_big(len(data), limit)
        return data, ""
    out: list[bytes] = []
    size = 0
    rest = data
    while rest.startswith(_GZIP):
        if len(out) >= MAX_MEMBERS:
            raise LimitError("too-many-members", f"The gzip file has more than {MAX_MEMBERS:,} members.")
        member = zlib.decompressobj(31)
        try:
            part = member.decompress(rest, limit + 1 - size)
        except zlib.error as error:
            out.append(_salvage(rest, limit + 1 - size))
            return b"".join(out), f"gzip data is damaged: {error}"
        out.append(part)
        size += len(part)
        if size > limit:
            raise _too_big(size, limit)
        if not member.eof:
            return b"".join(out), "gzip data ends early"
        rest = member.unused_data
    return (out[0] if len(out) == 1 else b"".join(out)), "bytes after the gzip data" if rest.strip(b"\0") else ""


def _salvage(data: bytes, limit: int) -> bytes:
    """What comes out before the damage; zlib keeps nothing of a call that fails, so feed it small pieces."""
    member = zlib.decompressobj(31)
    out: list[bytes] = []
    size = 0
    for step in (_CHUNK, 64):  # big steps up to the damaged one, then small ones through it
        done = 0
        while done < len(data) and size < limit and not member.eof:
            before = member.copy()
            try:
                part = member.decompress(data[done : done + step], limit - size)
            except zlib.error:
                member = before
                break
            out.append(part)
            size += len(part)
            done += step
        data = data[done:]
    return b"".join(out)


def _too_big(size: int, limit: int) -> LimitError:
    return LimitError(
        "profile-too-big",
        "The profile unpacks to more bytes than the limit allows.",
        context=f"more than {limit:,} bytes (at least {size:,})",
        hint="Record a smaller profile; nothing a Go process writes comes near this limit.",
    )


@dataclass(slots=True)
class Columns:
    """One decoded profile. Row layouts as in `kernels/profile_wire.py`, each table of shape (rows, width)."""

    data: bytes
    types: Ints
    samples: Ints
    mappings: Ints
    locations: Ints
    functions: Ints
    strings: Ints
    comments: Ints
    location_ids: Ints
    values: Ints
    labels: Ints
    lines: Ints
    header: Ints
    unknown: int
    damaged: int
    damaged_at: int
    stopped_at: int

    def text(self, index: int) -> str:
        """One string of the table; "" where the index is out of range."""
        if 0 < index < len(self.strings):
            begin, length = self.strings[index].tolist()
            return self.data[begin : begin + length].decode("utf-8", "replace")
        return ""


_TABLES = (
    "types",
    "samples",
    "mappings",
    "locations",
    "functions",
    "strings",
    "comments",
    "location_ids",
    "values",
    "labels",
    "lines",
)


def decode(data: bytes) -> Columns:
    """Columns of one protobuf message; see the module for limits."""
    scan = load("profile_wire")["scan"]
    view = np.frombuffer(data, dtype=np.uint8)
    counts = np.zeros(2 * SLOTS["COUNTS"], dtype=np.int64)
    header = np.zeros(9, dtype=np.int64)
    none = np.zeros(8, dtype=np.int64)
    stopped = scan(view, len(data), 0, counts, *([none] * 11), header)
    _check(counts)
    c = counts[: SLOTS["COUNTS"]].tolist()
    damaged = c[SLOTS["DAMAGED"]]
    header[:] = 0
    widths = (2, 6, 7, 6, 5, 2, 1, 1, 1, 4, 3)
    tables = [np.empty(n * width, dtype=np.int64) for n, width in zip(c[: len(widths)], widths, strict=True)]
    scan(view, len(data), 2 if damaged else 1, counts, *tables, header)
    shaped: list[Any] = [t if w == 1 else t.reshape(-1, w) for t, w in zip(tables, widths, strict=True)]
    return Columns(
        data=data,
        **dict(zip(_TABLES, shaped, strict=True)),
        header=header,
        unknown=c[SLOTS["UNKNOWN"]],
        damaged=damaged,
        damaged_at=c[SLOTS["DAMAGED_AT"]],
        stopped_at=stopped,
    )


def _check(counts: Ints) -> None:
    for name, slot, limit in (
        ("samples", SLOTS["SAMPLES"], MAX_SAMPLES),
        ("mappings", SLOTS["MAPPINGS"], MAX_TABLE),
        ("locations", SLOTS["LOCATIONS"], MAX_TABLE),
        ("functions", SLOTS["FUNCTIONS"], MAX_TABLE),
        ("strings", SLOTS["STRINGS"], MAX_TABLE),
        ("comments", SLOTS["COMMENTS"], MAX_TABLE),
        ("sample types", SLOTS["SAMPLE_TYPES"], 256),
        ("location ids", SLOTS["LOCATION_IDS"], MAX_CELLS),
        ("values", SLOTS["VALUES"], MAX_CELLS),
        ("labels", SLOTS["LABELS"], MAX_CELLS),
        ("lines", SLOTS["LINES"], MAX_CELLS),
    ):
        if counts[slot] > limit:
            raise LimitError(
                "profile-too-big",
                f"The profile has more {name} than the limit allows.",
                context=f"{int(counts[slot]):,} {name}, limit {limit:,}",
                hint="Record a smaller profile, or fold it first with `go tool pprof -proto`.",
            )


def resolve(ids: Ints, wanted: Ints) -> Ints:
    """Row numbers of `wanted` ids (-1 = no such id, or id 0, which means none); of equal ids the first row counts."""
    n = len(ids)
    if n == 0 or len(wanted) == 0:
        return np.full(len(wanted), -1, dtype=np.int64)
    if ids[0] == 1 and ids[-1] == n and bool((ids == np.arange(1, n + 1)).all()):  # what every Go version writes
        rows = wanted - 1
        rows[(rows < 0) | (rows >= n)] = -1
        return rows
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    spot = np.searchsorted(ordered, wanted)
    spot[spot == n] = 0
    rows = order[spot]
    rows[(ordered[spot] != wanted) | (wanted == 0)] = -1
    return rows


class Interner:
    """Distinct keys (byte strings or int64 words) with dense ids in order of first appearance."""

    def __init__(self, *, words: bool) -> None:
        kernels = load("profile_wire")
        self._intern = kernels["intern_words" if words else "intern_strings"]
        self._rehash = kernels["rehash"]
        self.arena = np.zeros(1 << 14, dtype=np.int64 if words else np.uint8)
        self.starts = np.zeros((1 << 10) + 1, dtype=np.int64)
        self._hashes = np.zeros(1 << 10, dtype=np.int64)
        self._table = np.zeros(1 << 11, dtype=np.int64)
        self._state = np.zeros(3, dtype=np.int64)
        self._seed = hash(b"parkwarden") & 0x7FFFFFFFFFFFFFFF  # differs per process: collisions cannot be prepared
        self._asked = 0

    def __len__(self) -> int:
        return int(self._state[0])

    def add(self, source: npt.NDArray[Any], rows: Ints, n: int, total: int) -> Ints:
        """Ids of n keys with `total` bytes or words together; `rows` as the kernel wants them."""
        self._reserve(len(self) + n, int(self._state[1]) + total)
        out = np.empty(n, dtype=np.int64)
        self._intern(
            source, rows, n, self._seed, self.arena, self.starts, self._hashes, self._table, len(self._table) - 1,
            self._state, out,
        )  # fmt: skip
        self._asked += n
        if int(self._state[2]) > MAX_PROBES_PER_KEY * (self._asked + 1024):
            raise LimitError("hash-collisions", "The profile's records are made to collide; refusing to go on.")
        return out

    def _reserve(self, keys: int, cells: int) -> None:
        if cells * self.arena.itemsize > MAX_MERGED:
            raise LimitError(
                "merge-too-big",
                "The profiles together hold more distinct data than the limit allows.",
                context=f"limit {MAX_MERGED:,} bytes",
                hint="Merge fewer profiles at a time.",
            )
        if cells > len(self.arena):
            self.arena = _grown(self.arena, cells)
        if keys > len(self._hashes):
            self._hashes = _grown(self._hashes, keys)
            self.starts = _grown(self.starts, len(self._hashes) + 1)
            self._table = np.zeros(1 << (2 * len(self._hashes) - 1).bit_length(), dtype=np.int64)
            self._rehash(self._hashes, len(self), self._table, len(self._table) - 1)


def _grown(array: npt.NDArray[Any], needed: int) -> npt.NDArray[Any]:
    bigger = np.zeros(max(needed, 2 * len(array)), dtype=array.dtype)
    bigger[: len(array)] = array
    return bigger


@dataclass(slots=True)
class Tables:
    """Everything `encode` writes; ids are row numbers, -1 = none; strings by their id in `strings`."""

    types: Ints
    mappings: Ints
    locations: Ints
    lines: Ints
    functions: Ints
    samples: Ints
    location_rows: Ints
    values: Ints
    labels: Ints
    header: Ints
    comments: Ints
    arena: npt.NDArray[np.uint8]
    starts: Ints


def encode(t: Tables) -> bytes:
    """The protobuf message, with only what its samples use (as google/pprof's Compact does), ids from 1 on.

    The main binary's mapping, the first one, always stays. `t.locations` etc. are not changed.
    """
    used = _used(t.location_rows, len(t.locations))
    locations = t.locations[used]
    location_id = _numbers(used, len(t.locations))
    line_rows = ranges(locations[:, 3], locations[:, 4])
    lines = t.lines[line_rows]
    used_functions = _used(lines[:, 0], len(t.functions))
    functions = t.functions[used_functions].copy()
    lines[:, 0] = _numbers(used_functions, len(t.functions))[lines[:, 0]]
    used_mappings = _used(locations[:, 1], len(t.mappings))
    if len(t.mappings) and (len(used_mappings) == 0 or used_mappings[0] != 0):
        used_mappings = np.concatenate([np.zeros(1, dtype=np.int64), used_mappings])
    mappings = t.mappings[used_mappings]
    locations[:, 1] = _numbers(used_mappings, len(t.mappings))[locations[:, 1]]
    locations[:, 0] = np.arange(1, len(locations) + 1)
    locations[:, 3] = np.cumsum(locations[:, 4]) - locations[:, 4]
    functions[:, 0] = np.arange(1, len(functions) + 1)
    labels = t.labels.copy()
    header, types, comments = t.header.copy(), t.types.copy(), t.comments.copy()

    texts = [types, mappings[:, 4:6], functions[:, 1:4], labels[:, :2], labels[:, 3], comments]
    texts += [header[[0, 1, 4, 5, 7, 8]]]
    chosen = np.unique(np.concatenate([np.zeros(1, dtype=np.int64), *(x.ravel() for x in texts)]))
    number = np.zeros(int(chosen[-1]) + 1, dtype=np.int64)
    number[chosen] = np.arange(len(chosen))
    for table in (types, comments):
        table[...] = number[table]
    mappings[:, 4:6] = number[mappings[:, 4:6]]
    functions[:, 1:4] = number[functions[:, 1:4]]
    labels[:, :2] = number[labels[:, :2]]
    labels[:, 3] = number[labels[:, 3]]
    for slot in (0, 1, 4, 5, 7, 8):
        header[slot] = number[header[slot]]
    return _write(t, locations, lines, functions, mappings, labels, location_id, header, types, comments, chosen)


def _write(
    t: Tables, locations: Ints, lines: Ints, functions: Ints, mappings: Ints, labels: Ints, location_id: Ints,
    header: Ints, types: Ints, comments: Ints, chosen: Ints,
) -> bytes:  # fmt: skip
    kernels = load("profile_wire")
    flat_ids = location_id[t.location_rows]
    flat_ids = flat_ids[flat_ids > 0] if bool((t.location_rows < 0).any()) else flat_ids
    samples = t.samples
    if len(flat_ids) != len(t.location_rows):  # locations that do not exist are left out
        kept = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(location_id[t.location_rows] > 0)])
        samples = samples.copy()
        first = samples[:, 0]
        samples[:, 1] = kept[first + samples[:, 1]] - kept[first]
        samples[:, 0] = kept[first]
    parts = [_encode_rows(types, 1)]
    room = 32 * len(samples) + 10 * (len(flat_ids) + t.values.size) + 56 * len(labels)
    out = np.empty(max(room, 1), dtype=np.uint8)
    n = kernels["encode_samples"](_c(samples), len(samples), _c(flat_ids), _c(t.values.ravel()), _c(labels), out)
    parts.append(out[:n].tobytes())
    parts.append(_encode_mappings(mappings))
    out = np.empty(max(64 * len(locations) + 48 * len(lines), 1), dtype=np.uint8)
    n = kernels["encode_locations"](_c(locations), len(locations), _c(lines), out)
    parts.append(out[:n].tobytes())
    parts.append(_encode_rows(functions, 5))
    lengths = t.starts[chosen + 1] - t.starts[chosen]
    out = np.empty(int(lengths.sum()) + 12 * len(chosen), dtype=np.uint8)
    n = kernels["encode_strings"](t.arena, t.starts, _c(chosen), len(chosen), out)
    parts.append(out[:n].tobytes())
    parts.append(_encode_header(header, comments))
    return b"".join(parts)


def _c(array: Ints) -> Ints:
    return np.ascontiguousarray(array)


def _used(rows: Ints, n: int) -> Ints:
    """The rows that occur, in order."""
    mark = np.zeros(n + 1, dtype=bool)
    mark[rows] = True  # -1 marks the extra last slot
    return np.flatnonzero(mark[:n])


def _numbers(used: Ints, n: int) -> Ints:
    """Row -> its number from 1 on among the used ones; -1 (the last slot) -> 0."""
    number = np.zeros(n + 1, dtype=np.int64)
    number[used] = np.arange(1, len(used) + 1)
    return number


def ranges(first: Ints, count: Ints) -> Ints:
    """All indexes of the ranges [first, first + count), one after another."""
    total = int(count.sum())
    begin = np.cumsum(count) - count
    indexes: Ints = np.arange(total, dtype=np.int64) + np.repeat(first - begin, count)
    return indexes


def _encode_rows(rows: Ints, number: int) -> bytes:
    out = np.empty(len(rows) * (11 * rows.shape[1] + 12) + 1, dtype=np.uint8)
    n = load("profile_wire")["encode_rows"](_c(rows.ravel()), len(rows), rows.shape[1], number, out)
    return out[:n].tobytes()


def _encode_mappings(mappings: Ints) -> bytes:
    wide = np.zeros((len(mappings), 10), dtype=np.int64)
    wide[:, 0] = np.arange(1, len(mappings) + 1)
    wide[:, 1:6] = mappings[:, 1:6]
    for bit in range(4):
        wide[:, 6 + bit] = (mappings[:, 6] >> bit) & 1
    return _encode_rows(wide, 3)


def _encode_header(header: Ints, comments: Ints) -> bytes:
    """The scalar fields of Profile, as `kernels/profile_wire.py: _header` numbers them."""
    out = bytearray()
    for field, slot in ((7, 0), (8, 1), (9, 2), (10, 3), (12, 6), (14, 7), (15, 8)):
        value = int(header[slot])
        if value:
            out += _varint(field << 3) + _varint(value)
    out += _encode_rows(header[4:6].reshape(1, 2), 11)
    for comment in comments.tolist():
        out += _varint(13 << 3) + _varint(comment)
    return bytes(out)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
