"""Execution traces: batch headers, string and stack tables.

The format is that of `internal/trace` (Go 1.22-1.27): `batch.go: readBatch`, `generation.go: addStrings, addStacks`.
Strings, frames and stacks of all generations are made one by content. A table that is nearly full makes a kernel
return, its caller (formats/_trace_scan.py) grows it and calls again. Layout of all arrays: _trace_layout.py.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from parkwarden.kernels._trace_common import (
    enter,
    home,
    mixed,
    string_of,
    uvarint,
)
from parkwarden.kernels._trace_layout import (
    E_BYTES,
    E_CAP,
    E_DUP,
    E_EMPTY,
    E_TABLE,
    E_TABLE_POS,
    KIND_CPU,
    KIND_EVENTS,
    KIND_OTHER,
    KIND_STACKS,
    KIND_STRINGS,
    KIND_SYNC,
    MAX_BATCH,
    MAX_FRAMES,
    MAX_FRAMES_KEPT,
    MAX_GEN_JUMP,
    MAX_STACKS,
    MAX_STRING,
    MAX_STRINGS,
    MAX_TICKS,
    S_ERRPOS,
    S_FRCAP,
    S_FRMASK,
    S_FRN,
    S_GEN,
    S_IDCAP,
    S_IDMASK,
    S_IDN,
    S_NBATCH,
    S_POOLCAP,
    S_POOLN,
    S_SEED,
    S_SIDCAP,
    S_SIDMASK,
    S_SIDN,
    S_SKCAP,
    S_SKMASK,
    S_SKN,
    S_STAMP,
    S_STRCAP,
    S_STRMASK,
    S_STRN,
    B,
)


@njit
def header(data, pos, size):
    """A batch header: (data's offset or -1, data's size, experiment, generation, thread, time)."""
    exp = np.int64(0)
    bad = np.int64(-1)
    zero = np.int64(0)
    first = data[pos]
    pos += 1
    if first == 49:
        if pos >= size:
            return bad, zero, zero, zero, zero, zero
        exp = np.int64(data[pos]) + 1
        pos += 1
    elif first != 1:
        return bad, zero, zero, zero, zero, zero
    gen, pos = uvarint(data, pos, size)
    if pos < 0 or gen <= 0:
        return bad, zero, zero, zero, zero, zero
    m, pos = uvarint(data, pos, size)
    if pos < 0:
        return bad, zero, zero, zero, zero, zero
    time, pos = uvarint(data, pos, size)
    if pos < 0 or time < 0 or time > MAX_TICKS:
        return bad, zero, zero, zero, zero, zero
    length, pos = uvarint(data, pos, size)
    if pos < 0 or length < 0 or length > MAX_BATCH:
        return bad, zero, zero, zero, zero, zero
    return pos, length, exp, gen, m, time


def index(data, size, pos, batches, capacity, st):
    """Batch headers of one generation from `pos` on, appended to `batches`; the position behind the last one.

    st[S_ERRPOS] tells why it stopped: 0 end of data, 1 end of generation marker, 2 another generation begins, 3 no
    room, 4 not a batch, 5 a batch cut off by the end of the data (its part is a row).
    """
    n = st[S_NBATCH]
    while pos < size:
        if n >= capacity:
            st[S_ERRPOS] = 2 + 1
            st[S_NBATCH] = n
            return pos
        if data[pos] == 52:
            if n == 0:
                st[E_EMPTY] += 1
                pos += 1
                continue
            st[S_ERRPOS] = 1
            st[S_NBATCH] = n
            return pos + 1
        off, length, exp, gen, m, time = header(data, pos, size)
        current = st[S_GEN]
        if off < 0 or (current != 0 and (gen < current or gen > current + MAX_GEN_JUMP)):
            st[S_ERRPOS] = 4
            st[S_NBATCH] = n
            return pos
        if current != 0 and gen != current:
            st[S_ERRPOS] = 2
            st[S_NBATCH] = n
            return pos
        st[S_GEN] = gen
        cut = off + length > size
        if cut:
            length = size - off
        kind = KIND_EVENTS
        if exp != 0 or length == 0:
            kind = KIND_OTHER
        else:
            first = data[off]
            if first == 4:
                kind = KIND_STRINGS
            elif first == 2:
                kind = KIND_STACKS
            elif first == 6:
                kind = KIND_CPU
            elif first == 8 or first == 50:
                kind = KIND_SYNC
        at = n * B
        batches[at] = kind
        batches[at + 1] = off
        batches[at + 2] = length
        batches[at + 3] = m
        batches[at + 4] = time
        n += 1
        pos = off + length
        if cut:
            st[S_ERRPOS] = 5
            st[S_NBATCH] = n
            return pos
    st[S_ERRPOS] = 0
    st[S_NBATCH] = n
    return pos


def resync(data, size, pos, gen):
    """The next position from which two batches in a row (or one and the end) make sense, else `size`."""
    while pos < size:
        if data[pos] == 1 or data[pos] == 49:
            off, length, _exp, g, _m, _time = header(data, pos, size)
            if off >= 0 and length > 0 and (gen == 0 or (g >= gen and g <= gen + MAX_GEN_JUMP)):
                after = off + length
                if after == size:
                    return pos
                if after < size:
                    if data[after] == 52:
                        return pos
                    off2, _l2, _e2, g2, _m2, _t2 = header(data, after, size)
                    if off2 >= 0 and g2 >= g and g2 <= g + 1:
                        return pos
        pos += 1
    return size


def strings(data, batches, i, st, idtab, strs, strtab):
    """String tables from batch `i` on; the batch to go on with once there is room, or the number of batches.

    `strs` gets a row (offset, length) per distinct string, `idtab` this generation's ids.
    """
    seed = st[S_SEED]
    stamp = st[S_STAMP]
    n = st[S_NBATCH]
    while i < n:
        at = i * B
        if batches[at] != KIND_STRINGS:
            i += 1
            continue
        most = batches[at + 2] // 3 + 1
        if st[S_IDN] + most > st[S_IDCAP] or (st[S_STRN] + most > st[S_STRCAP] and st[S_STRCAP] < MAX_STRINGS):
            return i
        pos = batches[at + 1] + 1
        stop = batches[at + 1] + batches[at + 2]
        while pos < stop:
            began = pos
            ok = data[pos] == 5
            key, pos = uvarint(data, pos + 1, stop)
            length = np.int64(0)
            if pos >= 0:
                length, pos = uvarint(data, pos, stop)
            if not ok or pos < 0 or length < 0 or length > MAX_STRING or pos + length > stop:
                if st[E_TABLE] == 0:
                    st[E_TABLE_POS] = began
                st[E_TABLE] += 1
                st[E_BYTES] += stop - began
                break
            h = np.uint64(0xCBF29CE484222325)
            for j in range(length):
                h = (h ^ np.uint64(data[pos + j])) * np.uint64(0x100000001B3)
            hashed = np.int64(h)
            k = home(hashed, seed, st[S_STRMASK])
            found = np.int64(-1)
            while strtab[2 * k + 1] != 0:
                if strtab[2 * k] == hashed:
                    row = strtab[2 * k + 1] - 1
                    if strs[2 * row + 1] == length:
                        other = strs[2 * row]
                        same = True
                        for j in range(length):
                            if data[other + j] != data[pos + j]:
                                same = False
                                break
                        if same:
                            found = row
                            break
                k = (k + 1) & st[S_STRMASK]
            if found < 0:
                if st[S_STRN] >= st[S_STRCAP]:
                    st[E_CAP] += 1
                    pos += length
                    continue
                found = st[S_STRN]
                strs[2 * found] = pos
                strs[2 * found + 1] = length
                strtab[2 * k] = hashed
                strtab[2 * k + 1] = found + 1
                st[S_STRN] = found + 1
            if enter(idtab, st[S_IDMASK], key, found, seed, stamp):
                st[S_IDN] += 1
            else:
                st[E_DUP] += 1
            pos += length
        i += 1
    return i


@njit
def _frame_of(frames, frtab, st, func, file, line):
    """Index of a frame (function, file, line), new or known; -1 where there is no more room."""
    key = np.int64(mixed(mixed(func << 32 | file, 0), line))
    k = home(key, st[S_SEED], st[S_FRMASK])
    while frtab[2 * k + 1] != 0:
        if frtab[2 * k] == key:
            row = 3 * (frtab[2 * k + 1] - 1)
            if frames[row] == func and frames[row + 1] == file and frames[row + 2] == line:
                return frtab[2 * k + 1] - 1
        k = (k + 1) & st[S_FRMASK]
    n = st[S_FRN]
    if n >= st[S_FRCAP]:
        return np.int64(-1)
    frames[3 * n] = func
    frames[3 * n + 1] = file
    frames[3 * n + 2] = line
    frtab[2 * k] = key
    frtab[2 * k + 1] = n + 1
    st[S_FRN] = n + 1
    return n


@njit
def _stack_of(stacks, sktab, pool, st, count):
    """Index of the stack whose `count` frames stand at the pool's end; they stay there only if it is new."""
    start = st[S_POOLN]
    h = np.uint64(count)
    for j in range(count):
        h = (h ^ np.uint64(pool[start + j])) * np.uint64(0x9E3779B97F4A7C15)
        h ^= h >> np.uint64(31)
    key = np.int64(h)
    k = home(key, st[S_SEED], st[S_SKMASK])
    while sktab[2 * k + 1] != 0:
        if sktab[2 * k] == key:
            row = sktab[2 * k + 1] - 1
            if stacks[2 * row + 1] == count:
                other = stacks[2 * row]
                same = True
                for j in range(count):
                    if pool[other + j] != pool[start + j]:
                        same = False
                        break
                if same:
                    return row
        k = (k + 1) & st[S_SKMASK]
    n = st[S_SKN]
    if n >= st[S_SKCAP]:
        return np.int64(-1)
    stacks[2 * n] = start
    stacks[2 * n + 1] = count
    sktab[2 * k] = key
    sktab[2 * k + 1] = n + 1
    st[S_SKN] = n + 1
    st[S_POOLN] = start + count
    return n


@njit
def _one_stack(data, pos, stop, count, st, idtab, frames, frtab, pool):
    """`count` frames from `pos` on to the pool's end; the position behind, -1 on damage, -2 when out of room."""
    start = st[S_POOLN]
    for j in range(count):
        _pc, pos = uvarint(data, pos, stop)
        if pos < 0:
            return pos
        func, pos = uvarint(data, pos, stop)
        if pos < 0:
            return pos
        file, pos = uvarint(data, pos, stop)
        if pos < 0:
            return pos
        line, pos = uvarint(data, pos, stop)
        if pos < 0:
            return pos
        row = _frame_of(frames, frtab, st, string_of(idtab, st, func), string_of(idtab, st, file), line)
        if row < 0:
            return np.int64(-2)
        pool[start + j] = np.int32(row)
    return pos


def stacks(data, batches, i, st, idtab, sidtab, frames, frtab, rows, sktab, pool):
    """Stack tables from batch `i` on; as `strings`. `rows` gets (offset in pool, frames) per distinct stack."""
    seed = st[S_SEED]
    stamp = st[S_STAMP]
    n = st[S_NBATCH]
    while i < n:
        at = i * B
        if batches[at] != KIND_STACKS:
            i += 1
            continue
        most = batches[at + 2] // 3 + 1
        if (
            st[S_SIDN] + most > st[S_SIDCAP]
            or (st[S_SKN] + most > st[S_SKCAP] and st[S_SKCAP] < MAX_STACKS)
            or (st[S_FRN] + most > st[S_FRCAP] and st[S_FRCAP] < MAX_STRINGS)
            or (st[S_POOLN] + most + MAX_FRAMES > st[S_POOLCAP] and st[S_POOLCAP] < MAX_FRAMES_KEPT)
        ):
            return i
        pos = batches[at + 1] + 1
        stop = batches[at + 1] + batches[at + 2]
        while pos < stop:
            began = pos
            ok = data[pos] == 3
            key, pos = uvarint(data, pos + 1, stop)
            count = np.int64(-1)
            if pos >= 0:
                count, pos = uvarint(data, pos, stop)
            if ok and pos >= 0 and count >= 0 and count <= MAX_FRAMES:
                if st[S_POOLN] + count > st[S_POOLCAP]:
                    st[E_CAP] += 1
                    break
                pos = _one_stack(data, pos, stop, count, st, idtab, frames, frtab, pool)
                if pos == -2:
                    st[E_CAP] += 1
                    break
            else:
                pos = np.int64(-1)
            if pos < 0:
                if st[E_TABLE] == 0:
                    st[E_TABLE_POS] = began
                st[E_TABLE] += 1
                st[E_BYTES] += stop - began
                break
            row = _stack_of(rows, sktab, pool, st, count)
            if row < 0:
                st[E_CAP] += 1
            elif enter(sidtab, st[S_SIDMASK], key, row, seed, stamp):
                st[S_SIDN] += 1
            else:
                st[E_DUP] += 1
        i += 1
    return i


def rehash(old, old_rows, new, new_mask, width, seed, stamp):
    """Move the used rows of one table into a larger, empty one; `stamp` < 0: not an id table."""
    moved = 0
    for i in range(old_rows):
        at = i * width
        used = old[at + 1]
        if used == 0 or (stamp >= 0 and used >> 32 != stamp):
            continue
        k = home(old[at], seed, new_mask)
        while new[k * width + 1] != 0:
            k = (k + 1) & new_mask
        for j in range(width):
            new[k * width + j] = old[at + j]
        moved += 1
    return moved


KERNELS = {
    "index": (index, "u8*, i64, i64, i64*, i64, i64*"),
    "resync": (resync, "u8*, i64, i64, i64"),
    "strings": (strings, "u8*, i64*, i64, i64*, i64*, i64*, i64*"),
    "stacks": (stacks, "u8*, i64*, i64, i64*, i64*, i64*, i64*, i64*, i64*, i64*, i32*"),
    "rehash": (rehash, "i64*, i64, i64*, i64, i64, i64, i64"),
}
