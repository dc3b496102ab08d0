"""One pass over a text goroutine dump: where each goroutine is, its header's numbers, and which body it shares.

A dump of 100,000 goroutines holds a few dozen distinct stacks, printed again and again with other arguments. So the
scan does not parse frames: it hashes each body as it would read without argument lists, `+0x` offsets and fp/sp/pc,
gives equal ones the same number, and remembers where the first of each lies. The reader parses that one with full care.
The same for state texts and label sets. Hashes are 128 bits wide (two chains with different multipliers); probing is
bounded, so input made to collide costs duplicates, which the reader merges again, never time.

Grammar: runtime/traceback.go: goroutineheader, traceback2, printcreatedby1, printAncestorTraceback (Go 1.5-1.27).
The scan takes every line that begins `goroutine DIGITS [` (or ` gp=`) for a header; what is odd about it is flagged
`ODD_HEADER` and left to the reader. Lines end in LF; damage is the cleaner's business (formats/_dump_clean.py).
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.cpython.unsafe.numbers import leading_zeros, trailing_zeros
from numba.extending import intrinsic

# Columns of `cols`, each `cap` long.
GOID, PARENT, WAIT, ARG0, FLAGS, BODY, STATE, LABEL, OFFSET = range(9)
COLUMNS = 9

# Bits of the FLAGS column.
LOCKED = 1
BUBBLE = 2
ODD_HEADER = 4  # the header did not read as the grammar says
ANCESTORS = 8  # the body holds `[originating from goroutine N]:`
ARG0_UNSURE = 16  # arg0 was printed with `?`

# Slots of `st`, the scan's progress.
POS, ROWS, BODIES, STATES, LABELS, BURIED, SPACED = range(7)
SLOTS = 8

# What `scan` returns.
DONE = 0
FULL = 1  # the columns are full: make them longer and call again

MAX_PROBES = 32  # collisions beyond this make a duplicate number; random ones never get near it at half load

_LF = 0x0A
_SEED1 = np.uint64(0x9E3779B97F4A7C15)
_SEED2 = np.uint64(0xC2B2AE3D27D4EB4F)
_MUL1 = np.uint64(0xFF51AFD7ED558CCD)
_MUL2 = np.uint64(0x9FB21C651E98DF25)
_S32 = np.uint64(32)
_S29 = np.uint64(29)


@intrinsic
def _load64(typingctx, pointer, offset):
    """The eight bytes at an offset, unaligned, as one little word."""

    def codegen(context, builder, signature, args):
        at = builder.gep(args[0], [args[1]])
        word = builder.bitcast(at, ir.IntType(64).as_pointer())
        return builder.load(word, align=1)

    return types.uint64(types.CPointer(types.uint8), types.int64), codegen


@intrinsic
def _equal32(typingctx, pointer, offset, byte):
    """Bit i is set where byte i of the 32 at an offset equals `byte`."""

    def codegen(context, builder, signature, args):
        vector = ir.VectorType(ir.IntType(8), 32)
        at = builder.bitcast(builder.gep(args[0], [args[1]]), vector.as_pointer())
        block = builder.load(at, align=1)
        one = builder.insert_element(ir.Constant(vector, ir.Undefined), args[2], ir.Constant(ir.IntType(32), 0))
        splat = builder.shuffle_vector(
            one, ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), 32), [0] * 32)
        )
        return builder.bitcast(builder.icmp_unsigned("==", block, splat), ir.IntType(32))

    return types.uint32(types.CPointer(types.uint8), types.int64, types.uint8), codegen


@njit(error_model="numpy")
def _find(p, i, size, byte):
    """First offset >= i of `byte`, or size."""
    b = np.uint8(byte)
    while i + 32 <= size:
        mask = _equal32(p, i, b)
        if mask != 0:
            return i + np.int64(trailing_zeros(mask))
        i += 32
    while i < size and p[i] != b:
        i += 1
    return i


@njit(error_model="numpy")
def _mix(p, i, end, size, h1, h2):
    """Both hash chains over p[i:end], with the length, so that no two splits of a text into pieces are equal."""
    length = np.uint64(end - i)
    while i + 8 <= end:
        w = _load64(p, i)
        h1 = (h1 ^ w) * _MUL1
        h1 ^= h1 >> _S32
        h2 = (h2 ^ w) * _MUL2
        h2 ^= h2 >> _S29
        i += 8
    w = np.uint64(0)
    if i < end:
        rest = end - i
        if i + 8 <= size:
            w = _load64(p, i) & ((np.uint64(1) << np.uint64(8 * rest)) - np.uint64(1))
        else:
            for k in range(rest):
                w |= np.uint64(p[i + k]) << np.uint64(8 * k)
    w += length << np.uint64(56)
    h1 = (h1 ^ w) * _MUL1
    h1 ^= h1 >> _S32
    h2 = (h2 ^ w) * _MUL2
    h2 ^= h2 >> _S29
    return h1, h2


@njit(error_model="numpy")
def _number(h1, h2, keys, ids, slots, fresh):
    """The number this hash got before, or `fresh` (then remembered, where there is room)."""
    at = np.int64(h1 & np.uint64(slots - 1))
    for _ in range(MAX_PROBES):
        if ids[at] == 0:
            keys[2 * at] = h1
            keys[2 * at + 1] = h2
            ids[at] = fresh + 1
            return fresh
        if keys[2 * at] == h1 and keys[2 * at + 1] == h2:
            return ids[at] - 1
        at = (at + 1) & (slots - 1)
    return fresh


@njit(error_model="numpy")
def _is_digit(c):
    return 48 <= c <= 57


@njit(error_model="numpy")
def _hex(c):
    if 48 <= c <= 57:
        return c - 48
    if 97 <= c <= 102:
        return c - 87
    return -1


@njit(error_model="numpy")
def _is_word(p, i):
    """`goroutine ` at i (the caller knows that ten bytes are there)."""
    return _load64(p, i) == np.uint64(0x6E6974756F726F67) and p[i + 8] == 101 and p[i + 9] == 32


@njit(error_model="numpy")
def _is_header(p, i, size):
    """A line at i begins `goroutine DIGITS [` or `goroutine DIGITS gp=`."""
    if i + 13 > size or p[i] != 103 or not _is_word(p, i):
        return False
    i += 10
    first = i
    while i < size and _is_digit(p[i]):
        i += 1
    if i == first or i + 2 > size or p[i] != 32:
        return False
    return p[i + 1] == 91 or (i + 4 <= size and p[i + 1] == 103 and p[i + 2] == 112 and p[i + 3] == 61)


@njit(error_model="numpy")
def _buried(p, i, end, size):
    """A header inside a line, not at its beginning: the dump is prefixed or interleaved."""
    while True:
        i = _find(p, i, end, 103)
        if i + 13 > end:
            return False
        if _is_header(p, i, size):
            return True
        i += 1


@njit(error_model="numpy")
def _int(p, i, end):
    """(number, offset after it); the number is -1 where there is none or it is no int64."""
    first = i
    value = np.int64(0)
    while i < end and _is_digit(p[i]):
        if i - first < 18:
            value = value * 10 + np.int64(p[i] - 48)
        i += 1
    if i == first or i - first > 18:
        return np.int64(-1), i
    return value, i


@njit(error_model="numpy")
def _before_labels(p, start, brace):
    """Where ` labels:` begins before a brace (labels inside the brackets, Go 1.26), or the brace."""
    i = brace - 8
    if i > start and p[i] == 32 and p[i + 1] == 108 and p[i + 2] == 97 and p[i + 6] == 115 and p[i + 7] == 58:
        return i
    return brace


@njit(error_model="numpy")
def _tail_of_status(p, i, end, row, cols, cap):
    """Attributes after the state: `, 5 minutes`, `, locked to thread`, `, synctest bubble 3`. (offset, odd)."""
    while i + 2 < end and p[i] == 44 and p[i + 1] == 32:
        i += 2
        c = p[i]
        stop = i
        while stop < end and p[stop] != 44 and p[stop] != 93 and p[stop] != 123:
            stop += 1
        if stop < end and p[stop] == 123:
            stop = _before_labels(p, i, stop)
        length = stop - i
        if _is_digit(c):
            value, j = _int(p, i, stop)
            if value < 0 or stop - j != 8 or p[j] != 32 or p[j + 1] != 109 or p[j + 7] != 115:
                return i, True
            cols[WAIT * cap + row] = value
        elif c == 108 and length == 16 and p[i + 7] == 116 and p[i + 15] == 100:
            cols[FLAGS * cap + row] |= LOCKED
        elif c == 115 and length > 16 and p[i + 8] == 32 and p[i + 9] == 98:
            cols[FLAGS * cap + row] |= BUBBLE
        else:
            return i, True
        i = stop
    return i, False


@njit(error_model="numpy")
def _header(p, i, end, size, row, cols, cap, keys, ids, slots, reps, st):
    """One header line into the row's columns."""
    cols[PARENT * cap + row] = 0
    cols[WAIT * cap + row] = -1
    cols[ARG0 * cap + row] = 0
    cols[FLAGS * cap + row] = 0
    cols[STATE * cap + row] = 0
    cols[LABEL * cap + row] = 0
    cols[OFFSET * cap + row] = i
    goid, j = _int(p, i + 10, end)
    cols[GOID * cap + row] = goid
    odd = goid < 0
    if j + 1 < end and p[j + 1] != 91:  # gp=0x… m=0 mp=0x…, Go 1.23
        j = _find(p, j, end, 91) - 1
    j += 2
    state = j
    while j < end and p[j] != 44 and p[j] != 93 and p[j] != 123:
        j += 1
    if j < end and p[j] == 123:
        j = _before_labels(p, state, j)
    state_end = j
    odd = odd or state_end == state or j >= end
    if not odd:
        j, odd = _tail_of_status(p, j, end, row, cols, cap)
    labels = np.int64(0)
    labels_end = end - 1
    if not odd:
        if j + 1 < end and p[j] == 93 and p[j + 1] == 58 and j + 2 == end:
            pass
        elif j + 4 < end and p[j] == 93 and p[end - 2] == 125 and p[end - 1] == 58:
            labels = j + 1
            if p[labels] == 32:
                labels += 1
            odd = p[labels] != 123
        elif (
            j + 12 < end
            and p[j] == 32
            and p[j + 8] == 123
            and p[end - 3] == 125
            and p[end - 2] == 93
            and p[end - 1] == 58
        ):
            labels = j + 8
            labels_end = end - 2
        else:
            odd = True
    if odd:
        cols[FLAGS * cap + row] |= ODD_HEADER
        return
    h1, h2 = _mix(p, state, state_end, size, _SEED1 + np.uint64(1), _SEED2)
    number = _number(h1, h2, keys, ids, slots, st[STATES])
    if number == st[STATES]:
        reps[2 * (cap + 1) + number] = state
        reps[3 * (cap + 1) + number] = state_end
        st[STATES] += 1
    cols[STATE * cap + row] = number
    if labels:
        h1, h2 = _mix(p, labels, labels_end, size, _SEED1 + np.uint64(2), _SEED2)
        number = _number(h1, h2, keys, ids, slots, st[LABELS])
        if number == st[LABELS]:
            reps[4 * (cap + 1) + number] = labels
            reps[5 * (cap + 1) + number] = labels_end
            st[LABELS] += 1
        cols[LABEL * cap + row] = number + 1


@njit(error_model="numpy")
def _first_word(p, i, end, row, cols, cap):
    """The first argument word after the leaf's `(`, through opening braces: `0x…` and a possible `?`."""
    while i < end and p[i] == 123:
        i += 1
    if i + 2 < end and p[i] == 48 and p[i + 1] == 120:
        i += 2
        first = i
        value = np.int64(0)
        while i < end and _hex(p[i]) >= 0:
            value = (value << 4) | np.int64(_hex(p[i]))
            i += 1
        if i - first <= 16:
            cols[ARG0 * cap + row] = value
            if i < end and p[i] == 63:
                cols[FLAGS * cap + row] |= ARG0_UNSURE


@njit(error_model="numpy")
def _file_end(p, start, end):
    """Where a file line ends without its ` +0x1d`, ` fp=0x… sp=0x… pc=0x…`."""
    while True:
        i = end - 1
        while i > start and (_hex(p[i]) >= 0):
            i -= 1
        # p[i] should be the x of 0x, with `+` or `fp=` and a space before it
        if i - 3 <= start or i == end - 1 or p[i] != 120 or p[i - 1] != 48:
            return end
        if p[i - 2] == 43 and p[i - 3] == 32:
            return i - 3
        if i - 5 > start and p[i - 2] == 61 and p[i - 5] == 32 and (p[i - 3] == 112 or p[i - 3] == 99):
            end = i - 5
        else:
            return end


@njit(error_model="numpy")
def _creator_end(p, start, end, row, cols, cap):
    """Where `created by F` ends without ` in goroutine N` (Go 1.21); N goes to the row unless it has one."""
    i = end - 1
    while i > start and _is_digit(p[i]):
        i -= 1
    if i == end - 1 or i - 13 <= start or p[i] != 32 or p[i - 13] != 32 or p[i - 12] != 105 or not _is_word(p, i - 9):
        return end
    value, _ = _int(p, i + 1, end)
    if value > 0 and cols[PARENT * cap + row] == 0:
        cols[PARENT * cap + row] = value
    return i - 13


@njit(error_model="numpy")
def _body(p, i, size, row, cols, cap, st):
    """The lines after a header, up to an empty one, the next header or the end: (offset, hash 1, hash 2)."""
    h1 = _SEED1
    h2 = _SEED2
    leaf = True
    ancestors = False
    while i < size:
        c = p[i]
        if c == _LF:
            break
        if c == 9:
            end = _find(p, i, size, _LF)
            h1, h2 = _mix(p, i, _file_end(p, i, end), size, h1, h2)
            i = end + 1
            continue
        if c == 103 and _is_header(p, i, size):
            break
        # one search for the end of the line and its last `(` on the way
        end = i
        paren = np.int64(-1)
        while end + 32 <= size:
            mask = _equal32(p, end, np.uint8(_LF))
            open_ = _equal32(p, end, np.uint8(40))
            if mask != 0:
                stop = np.int64(trailing_zeros(mask))
                open_ &= np.uint32((np.uint64(1) << np.uint64(stop)) - np.uint64(1))
                if open_ != 0:
                    paren = end + 63 - np.int64(leading_zeros(np.uint64(open_)))
                end += stop
                break
            if open_ != 0:
                paren = end + 63 - np.int64(leading_zeros(np.uint64(open_)))
            end += 32
        else:
            while end < size and p[end] != _LF:
                if p[end] == 40:
                    paren = end
                end += 1
        cut = end
        if p[end - 1] == 41 and paren > i:
            cut = paren + 1
            if leaf:
                _first_word(p, cut, end, row, cols, cap)
            leaf = False
        elif c == 99 and end - i > 11 and p[i + 7] == 32 and p[i + 8] == 98 and p[i + 9] == 121:
            if not ancestors:
                cut = _creator_end(p, i, end, row, cols, cap)
        elif c == 91 and end - i > 28 and _is_word(p, i + 18) and p[end - 1] == 58:
            cut = i + 28
            ancestors = True
            cols[FLAGS * cap + row] |= ANCESTORS
        else:
            if c == 32:
                st[SPACED] += 1
            if _buried(p, i, end, size):
                st[BURIED] += 1
        h1, h2 = _mix(p, i, cut, size, h1, h2)
        i = end + 1
    return i, h1, h2


def scan(p, size, cols, cap, keys, ids, slots, reps, st):
    """Fill the columns from data[st[POS]:size]; DONE, or FULL when `cap` rows are.

    p: the dump. cols: COLUMNS * cap. keys: 2 * slots, ids: slots (a power of two), both zero at first. reps: 6 * (cap
    + 1): begin and end of the first of each distinct body, state, label set. st: SLOTS counters, zero at first; BODIES,
    STATES and LABELS count the distinct ones, BURIED the lines with a header not at their beginning, SPACED the body
    lines that begin with a space. LABEL is 0 for none, else 1 + the number of the label set.
    """
    i = st[POS]
    while i < size:
        if p[i] == 103 and _is_header(p, i, size):
            row = st[ROWS]
            if row == cap:
                st[POS] = i
                return FULL
            end = _find(p, i, size, _LF)
            _header(p, i, end, size, row, cols, cap, keys, ids, slots, reps, st)
            start = min(end + 1, size)
            i, h1, h2 = _body(p, start, size, row, cols, cap, st)
            number = _number(h1, h2, keys, ids, slots, st[BODIES])
            if number == st[BODIES]:
                reps[number] = start
                reps[cap + 1 + number] = min(i, size)
                st[BODIES] += 1
            cols[BODY * cap + row] = number
            st[ROWS] += 1
            continue
        end = _find(p, i, size, _LF)
        if end > i and _buried(p, i, end, size):
            st[BURIED] += 1
        i = end + 1
    st[POS] = size
    return DONE


KERNELS = {"scan": (scan, "u8*, i64, i64*, i64, u64*, i64*, i64, i64*, i64*")}
