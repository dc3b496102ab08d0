"""Merging profiles on the wire: what `go tool pprof -proto a b ...` does, on columns.

The rules are google/pprof's `profile/merge.go: Merge`: profiles must agree in sample and period types; functions are
equal by name, system name, file and start line; mappings by rounded size, offset and build id (else file); locations
by mapping, address within it and lines; samples by locations and labels, and their values add up; samples of zeros
are dropped; the earliest time, the sum of durations and the largest period survive.

Unlike there, a damaged record costs that record only. Memory: the distinct records of all inputs plus one unpacked
profile at a time (limits in `_profile_wire`).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from parkwarden.formats._profile_wire import (
    SORTED_LABELS,
    Columns,
    Interner,
    Ints,
    Tables,
    decode,
    encode,
    gunzip,
    ranges,
    resolve,
)
from parkwarden.kernels import load
from parkwarden.model import FormatError

_PAGE = 0x1000
"""Mappings of one binary may differ by less than a page (google/pprof `Mapping.key`)."""


class Merger:
    """Absorbs profiles one by one; `result` is the merged message, not compressed."""

    def __init__(self) -> None:
        self.strings = Interner(words=False)
        self.functions = Interner(words=True)
        self.mappings = Interner(words=True)
        self.locations = Interner(words=True)
        self.samples = Interner(words=True)
        self._kernels = load("profile_wire")
        self._mapping_rows = np.zeros((0, 7), dtype=np.int64)
        self._values = np.zeros((0, 0), dtype=np.int64)
        self._types: Ints | None = None
        self._header = np.zeros(9, dtype=np.int64)
        self._comments: dict[int, None] = {}
        empty = np.array([[0, 0]], dtype=np.int64)
        self.strings.add(np.zeros(1, dtype=np.uint8), empty.ravel(), 1, 0)  # string 0 is ""

    def add(self, profile: bytes | Columns, name: str = "") -> None:
        """Absorb one profile (gzipped or not, or decoded). Raises FormatError if it does not fit the ones before."""
        c = profile if isinstance(profile, Columns) else decoded(profile)
        view = np.frombuffer(c.data, dtype=np.uint8)
        text = self.strings.add(view, c.strings.ravel(), len(c.strings), int(c.strings[:, 1].sum()))
        if len(text) == 0:
            raise FormatError("not-a-profile", "A profile to merge has no string table.", context=name)
        self._absorb_header(c, text, name)
        functions = self._absorb_functions(c, text)
        mappings, base = self._absorb_mappings(c, text)
        locations = self._absorb_locations(c, functions, mappings, base)
        self._absorb_samples(c, text, locations)

    def _absorb_header(self, c: Columns, text: Ints, name: str) -> None:
        """google/pprof `combineHeaders`."""
        types = _texts(text, c.types)
        head = c.header.copy()
        for slot in (0, 1, 4, 5, 7, 8):
            head[slot] = _texts(text, head[slot : slot + 1])[0]
        if self._types is None:
            if len(types) == 0:
                raise FormatError("not-a-profile", "A profile to merge has no sample types.", context=name)
            self._types = types
            self._values = np.zeros((0, len(types)), dtype=np.int64)
            self._header = head
        else:
            if not np.array_equal(types, self._types) or not np.array_equal(head[4:6], self._header[4:6]):
                raise FormatError(
                    "profiles-differ",
                    "Only profiles of one type can be merged.",
                    context=f"{name or 'one of them'} has other sample types than the first",
                    hint="Merge goroutine profiles with goroutine profiles, heap with heap.",
                )
            merged = self._header
            if head[2] and (not merged[2] or head[2] < merged[2]):
                merged[2] = head[2]
            merged[3] += head[3]
            merged[6] = max(merged[6], head[6])
            for slot in (7, 8):
                merged[slot] = merged[slot] or head[slot]
        self._comments.update(dict.fromkeys(_texts(text, c.comments).tolist()))

    def _absorb_functions(self, c: Columns, text: Ints) -> Ints:
        n = len(c.functions)
        words = np.empty((n, 4), dtype=np.int64)
        words[:, :3] = _texts(text, c.functions[:, 1:4])
        words[:, 3] = c.functions[:, 4]
        return self.functions.add(words.ravel(), _ends(n, 4), n, 4 * n)

    def _absorb_mappings(self, c: Columns, text: Ints) -> tuple[Ints, Ints]:
        """Merged id and start address by row of this profile."""
        n = len(c.mappings)
        rows = c.mappings.copy()
        rows[:, 4:6] = _texts(text, rows[:, 4:6])
        words = np.empty((n, 3), dtype=np.int64)
        words[:, 0] = (rows[:, 2] - rows[:, 1] + _PAGE - 1) & -_PAGE
        words[:, 1] = rows[:, 3]
        words[:, 2] = np.where(rows[:, 5] != 0, rows[:, 5], rows[:, 4])
        known = len(self.mappings)
        ids = self.mappings.add(words.ravel(), _ends(n, 3), n, 3 * n)
        if len(self.mappings) > known:
            _, first = np.unique(ids, return_index=True)
            self._mapping_rows = np.concatenate([self._mapping_rows, rows[first[ids[first] >= known]]])
        return ids, rows[:, 1]

    def _absorb_locations(self, c: Columns, functions: Ints, mappings: Ints, base: Ints) -> Ints:
        n = len(c.locations)
        row = resolve(c.mappings[:, 0], c.locations[:, 1])
        mapping = _pick(mappings, row, -1)
        start = _pick(base, row, 0)
        function = _pick(functions, resolve(c.functions[:, 0], c.lines[:, 0]), -1)
        words = np.empty(3 * n + 3 * len(c.lines), dtype=np.int64)
        ends = np.empty(n, dtype=np.int64)
        total = self._kernels["location_keys"](
            c.locations.ravel(), n, mapping, start, c.lines.ravel(), function, words, ends
        )
        return self.locations.add(words, ends, n, total)

    def _absorb_samples(self, c: Columns, text: Ints, locations: Ints) -> None:
        assert self._types is not None
        width = len(self._types)
        whole = c.samples[:, 3] == width
        samples = c.samples if bool(whole.all()) else c.samples[whole]
        values = c.values[samples[:, 2, None] + np.arange(width)]
        some = values.any(axis=1)
        if not bool(some.all()):
            samples, values = np.ascontiguousarray(samples[some]), values[some]
        n = len(samples)
        labels = c.labels.copy()
        labels[:, :2] = _texts(text, labels[:, :2])
        labels[:, 3] = _texts(text, labels[:, 3])
        location = _pick(locations, resolve(c.locations[:, 0], c.location_ids), -1)
        words = np.empty(n + len(location) + 4 * len(labels), dtype=np.int64)
        ends = np.empty(n, dtype=np.int64)
        samples = np.ascontiguousarray(samples)
        total = self._kernels["sample_keys"](samples.ravel(), n, location, labels.ravel(), SORTED_LABELS, words, ends)
        ids = self.samples.add(words, ends, n, total)
        room = len(self.samples)
        if room > len(self._values):
            bigger = np.zeros((max(room, 2 * len(self._values)), width), dtype=np.int64)
            if len(self._values):
                bigger[: len(self._values)] = self._values
            self._values = bigger
        np.add.at(self._values, ids, values)

    def result(self) -> bytes:
        """The merged profile as a protobuf message."""
        if self._types is None:
            raise FormatError("nothing-to-merge", "There is no profile to merge.")
        values = self._values[: len(self.samples)]
        kept = np.flatnonzero(values.any(axis=1))
        samples, location_rows, labels = _split_samples(self.samples, kept, len(self._types))
        locations, lines = _split_locations(self.locations, self._mapping_rows)
        functions = np.zeros((len(self.functions), 5), dtype=np.int64)
        functions[:, 1:] = self.functions.arena[: 4 * len(functions)].reshape(-1, 4)
        comments = np.fromiter(self._comments, dtype=np.int64)
        return encode(
            Tables(
                self._types,
                self._mapping_rows,
                locations,
                lines,
                functions,
                samples,
                location_rows,
                values[kept],
                labels,
                self._header,
                comments,
                self.strings.arena.astype(np.uint8, copy=False),
                self.strings.starts,
            )
        )


def _texts(text: Ints, indexes: Ints) -> Ints:
    """Merged string ids; indexes outside the table mean ""."""
    fine = (indexes >= 0) & (indexes < len(text))
    if bool(fine.all()):
        return text[indexes]
    return np.where(fine, text[np.where(fine, indexes, 0)], 0)


def _pick(values: Ints, rows: Ints, missing: int) -> Ints:
    if len(values) == 0:
        return np.full(len(rows), missing, dtype=np.int64)
    picked = values[rows]
    picked[rows < 0] = missing
    return picked


def _ends(n: int, width: int) -> Ints:
    return np.arange(1, n + 1, dtype=np.int64) * width


def _split_samples(keys: Interner, kept: Ints, width: int) -> tuple[Ints, Ints, Ints]:
    """Rows, flat location rows and labels of the kept samples, from their keys (n, locations, labels)."""
    begin, end = keys.starts[kept], keys.starts[kept + 1]
    arena: Ints = keys.arena.astype(np.int64, copy=False)
    n_loc = arena[begin]
    n_label = (end - begin - 1 - n_loc) // 4
    samples = np.zeros((len(kept), 6), dtype=np.int64)
    samples[:, 0] = np.cumsum(n_loc) - n_loc
    samples[:, 1] = n_loc
    samples[:, 2] = np.arange(len(kept)) * width
    samples[:, 3] = width
    samples[:, 4] = np.cumsum(n_label) - n_label
    samples[:, 5] = n_label
    location_rows = arena[ranges(begin + 1, n_loc)]
    labels = arena[ranges(begin + 1 + n_loc, 4 * n_label)].reshape(-1, 4)
    return samples, location_rows, labels


def _split_locations(keys: Interner, mappings: Ints) -> tuple[Ints, Ints]:
    """Location rows (mapping and function ids are row numbers) and their lines, from the keys."""
    n = len(keys)
    begin, end = keys.starts[:n], keys.starts[1 : n + 1]
    locations = np.zeros((n, 6), dtype=np.int64)
    arena: Ints = keys.arena.astype(np.int64, copy=False)
    mapping = arena[begin]
    locations[:, 1] = mapping
    locations[:, 2] = arena[begin + 1] + _pick(mappings[:, 1], mapping, 0)
    locations[:, 5] = arena[begin + 2]
    count = (end - begin - 3) // 3
    locations[:, 3] = np.cumsum(count) - count
    locations[:, 4] = count
    return locations, arena[ranges(begin + 3, 3 * count)].reshape(-1, 3)


def decoded(data: bytes) -> Columns:
    """One profile (gzipped or not) in columns; most of a merge's work, done without the GIL."""
    return decode(gunzip(data)[0])


def merge_all(profiles: Iterable[bytes | Columns]) -> bytes:
    """The merged message of several profiles."""
    merger = Merger()
    for i, profile in enumerate(profiles):
        merger.add(profile, f"profile {i + 1}")
    return merger.result()
