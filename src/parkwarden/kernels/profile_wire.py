"""profile.proto on the wire: decoding into columns, interning across profiles, encoding.

Source of the format: google/pprof `proto/profile.proto`; what Go writes: `runtime/pprof/proto.go: profileBuilder`.
Numbers are kept as int64 bit patterns (ids and addresses are uint64 on the wire). Row layouts, in int64:

    sample type  type, unit                                              string indexes
    sample       first location, n, first value, n, first label, n       into the flat columns
    mapping      id, start, limit, file offset, file, build id, flags    flags: has_functions=1 ... has_inline_frames=8
    location     id, mapping id, address, first line, n, is_folded
    function     id, name, system name, file, start line
    string       byte offset, length                                     into the data
    label        key, str, num, num unit
    line         function id, line, column
    header       drop, keep, time, duration, period type, period unit, period, default sample type, doc url

`parkwarden.formats._profile_wire` allocates the arrays (twice: count, then fill) and checks the limits.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import carray

from parkwarden.kernels._wire_common import field, varint

# Slots of `counts`
SAMPLE_TYPES, SAMPLES, MAPPINGS, LOCATIONS, FUNCTIONS, STRINGS, COMMENTS = 0, 1, 2, 3, 4, 5, 6
LOCATION_IDS, VALUES, LABELS, LINES, UNKNOWN, DAMAGED, DAMAGED_AT = 7, 8, 9, 10, 11, 12, 13
COUNTS = 14

_HASH = np.int64(-7046029254386353131)  # 2^64 / golden ratio, odd: a multiplication spreads low bits upwards


@numba.njit
def _zero(row, at, n):
    """Clear a row: a damaged record before it may have left values there."""
    for i in range(n):
        row[at + i] = 0


@numba.njit
def _fields(view, pos, end, row, at, width, fill):
    """A flat message: field i of varint type goes to row[at + i - 1]."""
    if fill:
        _zero(row, at, width)
    while pos < end:
        number, wire, value, _start, pos = field(view, pos, end)
        if pos < 0:
            return False
        if fill and wire == 0 and number <= width:
            row[at + number - 1] = value
    return True


@numba.njit
def _repeated(view, wire, value, start, stop, out, n, fill):
    """A repeated varint, packed or not; the new length, or -1."""
    if wire == 0:
        if fill:
            out[n] = value
        return n + 1
    if wire != 2:
        return n
    pos = start
    while pos < stop:
        value, pos = varint(view, pos, stop)
        if pos < 0:
            return np.int64(-1)
        if fill:
            out[n] = value
        n += 1
    return n


@numba.njit
def _sample(view, pos, end, row, at, location_ids, values, labels, c, fill):
    n_loc, n_val, n_label = c[LOCATION_IDS], c[VALUES], c[LABELS]
    first_loc, first_val, first_label = n_loc, n_val, n_label
    while pos < end:
        number, wire, value, start, pos = field(view, pos, end)
        if pos < 0:
            return False
        if number == 1:
            n_loc = _repeated(view, wire, value, start, pos, location_ids, n_loc, fill)
        elif number == 2:
            n_val = _repeated(view, wire, value, start, pos, values, n_val, fill)
        elif number == 3 and wire == 2:
            if not _fields(view, start, pos, labels, n_label * 4, 4, fill):
                return False
            n_label += 1
        if n_loc < 0 or n_val < 0:
            return False
    if fill:
        row[at] = first_loc
        row[at + 1] = n_loc - first_loc
        row[at + 2] = first_val
        row[at + 3] = n_val - first_val
        row[at + 4] = first_label
        row[at + 5] = n_label - first_label
    c[LOCATION_IDS], c[VALUES], c[LABELS] = n_loc, n_val, n_label
    return True


@numba.njit
def _mapping(view, pos, end, row, at, fill):
    flags = np.int64(0)
    if fill:
        _zero(row, at, 7)
    while pos < end:
        number, wire, value, _start, pos = field(view, pos, end)
        if pos < 0:
            return False
        if wire == 0 and number <= 6 and fill:
            row[at + number - 1] = value
        elif wire == 0 and 7 <= number <= 10 and value != 0:
            flags |= np.int64(1) << (number - 7)
    if fill:
        row[at + 6] = flags
    return True


@numba.njit
def _location(view, pos, end, row, at, lines, c, fill):
    n = c[LINES]
    first = n
    if fill:
        _zero(row, at, 6)
    while pos < end:
        number, wire, value, start, pos = field(view, pos, end)
        if pos < 0:
            return False
        if wire == 0 and number <= 3:
            if fill:
                row[at + number - 1] = value
        elif number == 4 and wire == 2:
            if not _fields(view, start, pos, lines, n * 3, 3, fill):
                return False
            n += 1
        elif number == 5 and wire == 0 and fill:
            row[at + 5] = 1 if value != 0 else 0
    if fill:
        row[at + 3] = first
        row[at + 4] = n - first
    c[LINES] = n
    return True


@numba.njit
def _header(number, value, header):
    """Where a varint field of Profile goes in `header`; False if it is none of ours."""
    if 7 <= number <= 10:
        header[number - 7] = value
    elif number == 12:
        header[6] = value
    elif number == 14 or number == 15:
        header[number - 7] = value
    else:
        return False
    return True


@numba.njit
def _record(
    view, number, wire, value, start, stop, fill, c, types, samples, mappings, locations, functions, strings, comments,
    location_ids, values, labels, lines, head,
):  # fmt: skip
    """One top-level field; `c` is moved on only if it is sound. Returns whether it is."""
    ok = True
    if wire == 2 and number == 2:
        ok = _sample(view, start, stop, samples, c[SAMPLES] * 6, location_ids, values, labels, c, fill)
        c[SAMPLES] += 1 if ok else 0
    elif wire == 2 and number == 4:
        ok = _location(view, start, stop, locations, c[LOCATIONS] * 6, lines, c, fill)
        c[LOCATIONS] += 1 if ok else 0
    elif wire == 2 and number == 5:
        ok = _fields(view, start, stop, functions, c[FUNCTIONS] * 5, 5, fill)
        c[FUNCTIONS] += 1 if ok else 0
    elif wire == 2 and number == 6:
        if fill:
            strings[c[STRINGS] * 2] = start
            strings[c[STRINGS] * 2 + 1] = value
        c[STRINGS] += 1
    elif wire == 2 and number == 3:
        ok = _mapping(view, start, stop, mappings, c[MAPPINGS] * 7, fill)
        c[MAPPINGS] += 1 if ok else 0
    elif wire == 2 and number == 1:
        ok = _fields(view, start, stop, types, c[SAMPLE_TYPES] * 2, 2, fill)
        c[SAMPLE_TYPES] += 1 if ok else 0
    elif wire == 2 and number == 11:
        ok = _fields(view, start, stop, head, 4, 2, fill)
    elif number == 13 and (wire == 0 or wire == 2):
        n = _repeated(view, wire, value, start, stop, comments, c[COMMENTS], fill)
        ok = n >= 0
        if ok:
            c[COMMENTS] = n
    elif wire != 0 or not _header(number, value, head):
        c[UNKNOWN] += 1
    return ok


def scan(
    data, size, fill, counts, types, samples, mappings, locations, functions, strings, comments,
    location_ids, values, labels, lines, header,
):  # fmt: skip
    """Count (fill=0) or decode (fill=1) the records of data[:size]; returns where it stopped (size = all read).

    A damaged record is skipped and counted; a record that runs past the end stops the scan. `counts` has room for
    2 x COUNTS (the second half is scratch). Arrays sized by a first pass fit a second one with fill=1 if the first met
    no damage, and with fill=2 always: then each record is proved sound before any of it is written.
    """
    c = carray(counts, (2 * COUNTS,))
    head = carray(header, (9,))
    trial = c[COUNTS:]
    c[:] = 0
    c[DAMAGED_AT] = -1
    pos = np.int64(0)
    while pos < size:
        begin = pos
        number, wire, value, start, pos = field(data, pos, size)
        if pos < 0:
            return begin
        ok = True
        if fill == 2:
            for i in range(COUNTS):
                trial[i] = c[i]
            ok = _record(
                data, number, wire, value, start, pos, 0, trial, types, samples, mappings, locations, functions,
                strings, comments, location_ids, values, labels, lines, head,
            )  # fmt: skip
        if ok:
            ok = _record(
                data, number, wire, value, start, pos, fill, c, types, samples, mappings, locations, functions,
                strings, comments, location_ids, values, labels, lines, head,
            )  # fmt: skip
        if not ok:
            c[DAMAGED] += 1
            if c[DAMAGED_AT] < 0:
                c[DAMAGED_AT] = begin
    return pos


@numba.njit
def _mix(h, word):
    h = (h ^ word) * _HASH
    return h ^ ((h >> 29) & 0x7FFFFFFFF)


@numba.njit
def _hash_bytes(data, begin, length, h):
    """Eight bytes a step: hashing names is a third of a merge otherwise."""
    at = begin
    end = begin + length
    while end - at >= 8:
        word = np.int64(0)
        for k in range(8):
            word |= np.int64(data[at + k]) << (8 * k)
        h = _mix(h, word)
        at += 8
    word = np.int64(0)
    while at < end:
        word = (word << 8) | np.int64(data[at])
        at += 1
    return _mix(h, word)


@numba.njit
def _equal(a, at, b, begin, length):
    """Whether two runs are the same; without an early exit, so that it is done in wide steps."""
    differ = np.int64(0)
    for j in range(length):
        differ |= np.int64(a[at + j]) ^ np.int64(b[begin + j])
    return differ == 0


@numba.njit
def _intern(source, begin, length, h, arena, starts, hashes, table, mask, state):
    """Id of source[begin:begin + length], whose hash is `h`; copied to `arena` if it is new."""
    slot = h & mask
    while table[slot] != 0:
        state[2] += 1
        key = table[slot] - 1
        same = hashes[key] == h and starts[key + 1] - starts[key] == length
        if same and _equal(arena, starts[key], source, begin, length):
            return key
        slot = (slot + 1) & mask
    key, used = state[0], state[1]
    table[slot] = key + 1
    hashes[key] = h
    for j in range(length):
        arena[used + j] = source[begin + j]
    state[0], state[1] = key + 1, used + length
    starts[key + 1] = used + length
    return key


def intern_strings(data, rows, n, seed, arena, starts, hashes, table, mask, state, out):
    """Global ids of n byte strings of `data`; new ones are copied to `arena`. state: keys, bytes used, probes.

    Key i is arena[starts[i]:starts[i+1]]; `table` is open addressing over ids + 1 (0 = free), its size mask + 1.
    Arrays have room for all n (the caller reserved). Returns the number of keys.
    """
    for i in range(n):
        begin, length = rows[2 * i], rows[2 * i + 1]
        h = _hash_bytes(data, begin, length, _mix(seed, length))
        out[i] = _intern(data, begin, length, h, arena, starts, hashes, table, mask, state)
    return state[0]


def intern_words(words, ends, n, seed, arena, starts, hashes, table, mask, state, out):
    """As `intern_strings`, for keys of int64 words: key i is words[ends[i-1]:ends[i]] (ends[-1] is 0)."""
    begin = np.int64(0)
    for i in range(n):
        end = ends[i]
        length = end - begin
        h = _mix(seed, length)
        for j in range(begin, end):
            h = _mix(h, words[j])
        out[i] = _intern(words, begin, length, h, arena, starts, hashes, table, mask, state)
        begin = end
    return state[0]


def rehash(hashes, keys, table, mask):
    """Fill a larger, zeroed table from the stored hashes."""
    for key in range(keys):
        slot = hashes[key] & mask
        while table[slot] != 0:
            slot = (slot + 1) & mask
        table[slot] = key + 1
    return keys


def location_keys(locations, n, mapping, base, lines, function, words, ends):
    """Keys of locations, as google/pprof `profile/merge.go: Location.key`: mapping, address in it, folded, lines.

    `mapping[i]` is the merged mapping (-1 = none) and `base[i]` its start in this profile; `function[k]` the merged
    function of line k (-1 = none). `words` has room for 3 n + 3 lines.
    """
    at = 0
    for i in range(n):
        words[at] = mapping[i]
        words[at + 1] = locations[6 * i + 2] - base[i]
        words[at + 2] = locations[6 * i + 5]
        at += 3
        first = locations[6 * i + 3]
        for k in range(first, first + locations[6 * i + 4]):
            words[at] = function[k]
            words[at + 1] = lines[3 * k + 1]
            words[at + 2] = lines[3 * k + 2]
            at += 3
        ends[i] = at
    return at


def sample_keys(samples, n, location, labels, sort_limit, words, ends):
    """Keys of samples: number of locations, merged locations, then labels ordered by content.

    `location[k]` is the merged location of flat location k (-1 = none); `labels` rows hold merged string ids. Samples
    with more than `sort_limit` labels keep their order. `words` has room for n + locations + 4 labels.
    """
    at = 0
    for i in range(n):
        row = 6 * i
        words[at] = samples[row + 1]
        at += 1
        for k in range(samples[row], samples[row] + samples[row + 1]):
            words[at] = location[k]
            at += 1
        begin = at
        count = samples[row + 5]
        for k in range(samples[row + 4], samples[row + 4] + count):
            for j in range(4):
                words[at + j] = labels[4 * k + j]
            spot = at
            while count <= sort_limit and spot > begin:
                order = 0
                for j in range(4):
                    if words[spot - 4 + j] != words[spot + j]:
                        order = 1 if words[spot - 4 + j] > words[spot + j] else -1
                        break
                if order <= 0:
                    break
                for j in range(4):
                    swap = words[spot + j]
                    words[spot + j] = words[spot - 4 + j]
                    words[spot - 4 + j] = swap
                spot -= 4
            at += 4
        ends[i] = at
    return at


@numba.njit
def _put(out, at, value):
    """Write a varint (int64 as its uint64 bit pattern)."""
    while value < 0 or value >= 0x80:
        out[at] = np.uint8((value & 0x7F) | 0x80)
        at += 1
        value = (value >> 7) & 0x1FFFFFFFFFFFFFF
    out[at] = np.uint8(value)
    return at + 1


@numba.njit
def _width(value):
    n = np.int64(1)
    while value < 0 or value >= 0x80:
        value = (value >> 7) & 0x1FFFFFFFFFFFFFF
        n += 1
    return n


@numba.njit
def _row_size(row, at, width):
    size = np.int64(0)
    for j in range(width):
        if row[at + j] != 0:
            size += 1 + _width(row[at + j])
    return size


@numba.njit
def _put_row(out, at, row, first, width):
    """Fields 1..width of a flat message, zeros left out as proto3 does."""
    for j in range(width):
        if row[first + j] != 0:
            at = _put(out, at, np.int64((j + 1) << 3))
            at = _put(out, at, row[first + j])
    return at


@numba.njit
def _packed_size(values, first, n):
    if n == 0:
        return np.int64(0)
    size = np.int64(0)
    for k in range(first, first + n):
        size += _width(values[k])
    return size


@numba.njit
def _put_packed(out, at, number, values, first, n, size):
    if n == 0:
        return at
    at = _put(out, at, np.int64(number << 3 | 2))
    at = _put(out, at, size)
    for k in range(first, first + n):
        at = _put(out, at, values[k])
    return at


def encode_samples(samples, n, location_ids, values, labels, out):
    """Write n Sample fields (number 2); returns the bytes written. `out` has room (see the caller)."""
    at = np.int64(0)
    for i in range(n):
        row = 6 * i
        loc_size = _packed_size(location_ids, samples[row], samples[row + 1])
        val_size = _packed_size(values, samples[row + 2], samples[row + 3])
        size = np.int64(0)
        if loc_size > 0:
            size += 1 + _width(loc_size) + loc_size
        if val_size > 0:
            size += 1 + _width(val_size) + val_size
        first, count = samples[row + 4], samples[row + 5]
        for k in range(first, first + count):
            inner = _row_size(labels, 4 * k, 4)
            size += 1 + _width(inner) + inner
        at = _put(out, at, np.int64(2 << 3 | 2))
        at = _put(out, at, size)
        at = _put_packed(out, at, 1, location_ids, samples[row], samples[row + 1], loc_size)
        at = _put_packed(out, at, 2, values, samples[row + 2], samples[row + 3], val_size)
        for k in range(first, first + count):
            at = _put(out, at, np.int64(3 << 3 | 2))
            at = _put(out, at, _row_size(labels, 4 * k, 4))
            at = _put_row(out, at, labels, 4 * k, 4)
    return at


def encode_locations(locations, n, lines, out):
    """Write n Location fields (number 4); returns the bytes written."""
    at = np.int64(0)
    for i in range(n):
        row = 6 * i
        first, count = locations[row + 3], locations[row + 4]
        size = _row_size(locations, row, 3)
        for k in range(first, first + count):
            inner = _row_size(lines, 3 * k, 3)
            size += 1 + _width(inner) + inner
        if locations[row + 5] != 0:
            size += 2
        at = _put(out, at, np.int64(4 << 3 | 2))
        at = _put(out, at, size)
        at = _put_row(out, at, locations, row, 3)
        for k in range(first, first + count):
            at = _put(out, at, np.int64(4 << 3 | 2))
            at = _put(out, at, _row_size(lines, 3 * k, 3))
            at = _put_row(out, at, lines, 3 * k, 3)
        if locations[row + 5] != 0:
            at = _put(out, at, np.int64(5 << 3))
            at = _put(out, at, np.int64(1))
    return at


def encode_rows(rows, n, width, number, out):
    """Write n flat messages of `width` varint fields as field `number`; returns the bytes written."""
    at = np.int64(0)
    for i in range(n):
        at = _put(out, at, np.int64(number << 3 | 2))
        at = _put(out, at, _row_size(rows, i * width, width))
        at = _put_row(out, at, rows, i * width, width)
    return at


def encode_strings(arena, starts, chosen, n, out):
    """Write the n chosen strings as field 6; returns the bytes written."""
    at = np.int64(0)
    for i in range(n):
        begin = starts[chosen[i]]
        end = starts[chosen[i] + 1]
        at = _put(out, at, np.int64(6 << 3 | 2))
        at = _put(out, at, end - begin)
        for j in range(begin, end):
            out[at] = arena[j]
            at += 1
    return at


_INTERN = "i64*, i64, i64, {0}, i64*, i64*, i64*, i64, i64*, i64*"

KERNELS = {
    "scan": (scan, "u8*, i64, i64, " + ", ".join(["i64*"] * 13)),
    "intern_strings": (intern_strings, "u8*, " + _INTERN.format("u8*")),
    "intern_words": (intern_words, "i64*, " + _INTERN.format("i64*")),
    "rehash": (rehash, "i64*, i64, i64*, i64"),
    "location_keys": (location_keys, "i64*, i64, i64*, i64*, i64*, i64*, i64*, i64*"),
    "sample_keys": (sample_keys, "i64*, i64, i64*, i64*, i64, i64*, i64*"),
    "encode_samples": (encode_samples, "i64*, i64, i64*, i64*, i64*, u8*"),
    "encode_locations": (encode_locations, "i64*, i64, i64*, u8*"),
    "encode_rows": (encode_rows, "i64*, i64, i64, i64, u8*"),
    "encode_strings": (encode_strings, "u8*, i64*, i64*, i64, u8*"),
}
