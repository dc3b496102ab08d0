"""Execution traces: batch headers, string and stack tables, and one pass over all events in time order.

The format is that of `internal/trace` (Go 1.22-1.27): `batch.go: readBatch`, `generation.go: addStrings, addStacks`,
`batchcursor.go`, `order.go`. The pass keeps one row per living goroutine and sums creations and waits by stack; a
table that is nearly full makes a kernel return, its caller (formats/_trace_scan.py) grows it and calls again.

Shapes. Every hash table is open addressing in rows of int64 with the key in column 0; column 1 is nonzero where the
row is used, or, in the two id tables that start anew each generation, `stamp << 32 | value`. Capacities are powers
of two, kept at most half full by the caller (the goroutines' at most two thirds).
"""

from __future__ import annotations

import numpy as np
from numba import njit

# columns of a batch: kind, offset and size of its data, thread, time
B = 5
KIND_EVENTS, KIND_STRINGS, KIND_STACKS, KIND_SYNC, KIND_CPU, KIND_OTHER = 0, 1, 2, 3, 4, 5

# columns of a cursor (one per thread and generation)
C = 7
C_M, C_NEXT, C_END, C_POS, C_STOP, C_TIME, C_ARGS = 0, 1, 2, 3, 4, 5, 6

# columns of a goroutine
G = 8
G_ID, G_META, G_SEQ, G_SINCE, G_STACK, G_WAIT, G_MADE, G_PARENT = 0, 1, 2, 3, 4, 5, 6, 7
RUNNABLE, RUNNING, SYSCALL, WAITING = 1, 2, 3, 4  # tracev2.GoStatus

# columns of a wait and of a creation
W = 5
W_COUNT, W_TOTAL, W_MAX, W_STACK, W_REASON = 0, 1, 2, 3, 4
N = 11
N_COUNT, N_FIRST, N_LAST, N_BIN, N_INBIN, N_PEAK, N_ALIVE, N_PARENTS, N_PARENT, N_STACK, N_START = range(11)

# reasons that are not strings of the trace
R_SYSCALL, R_SCHED, R_WAITING, R_COROUTINE, R_FIRST = -2, -3, -4, -5, -6

# state shared by caller and kernels
S_SEED, S_STAMP, S_LAST, S_HEAP, S_PARKED, S_FIRST_GEN = 0, 1, 2, 3, 4, 5
S_GMASK, S_GN, S_GLIMIT, S_WMASK, S_WN, S_WLIMIT, S_CMASK, S_CN, S_CLIMIT = 6, 7, 8, 9, 10, 11, 12, 13, 14
S_PMASK, S_PN, S_PLIMIT, S_MMASK, S_MN, S_MLIMIT = 15, 16, 17, 18, 19, 20
S_IDMASK, S_IDN, S_STRMASK, S_STRN, S_SIDMASK, S_SIDN = 21, 22, 23, 24, 25, 26
S_FRMASK, S_FRN, S_SKMASK, S_SKN, S_POOLN = 27, 28, 29, 30, 31
S_EVENTS, S_CREATED, S_ENDED, S_BINNS, S_BINS = 32, 33, 34, 35, 36
S_STRCAP, S_FRCAP, S_SKCAP, S_POOLCAP, S_IDCAP, S_SIDCAP = 37, 38, 39, 40, 41, 42
S_NBATCH, S_GEN, S_ERRPOS, S_FORCE = 43, 44, 45, 46
E_BATCH, E_BATCH_POS, E_FORCED, E_LATE, E_STATUS, E_NOG, E_EXISTS, E_ID, E_TABLE, E_TABLE_POS = (
    47, 48, 49, 50, 51, 52, 53, 54, 55, 56,
)  # fmt: skip
E_FULL, E_STACKID, E_STRINGID, E_DUP, E_CAP, E_BYTES, E_EMPTY = 57, 58, 59, 60, 61, 62, 63
S_SIZE = 64

# why `run` came back
DONE, GROW_G, GROW_W, GROW_C, GROW_P, GROW_M = 0, 1, 2, 3, 4, 5

MAX_PARKED = 256  # threads held back at once for a goroutine's earlier event; more is not clock skew but damage
MAX_GOROUTINES = 1 << 20  # alive at once: 128 MB of rows; a Go process with so many holds 2 GB of stacks
MAX_SITES = 1 << 17  # distinct (stack, reason) and (creating stack, start); real traces have hundreds
MAX_PARENTS = 1 << 19  # (creation, parent) pairs told apart; from then on `parents` is a lower bound
MAX_THREADS = 1 << 20  # the runtime itself stops at 10,000 unless told otherwise
MAX_STRINGS = 1 << 20  # distinct strings, frames: a large Go binary has some 100,000 functions
MAX_STACKS = 1 << 19  # distinct stacks
MAX_FRAMES_KEPT = 1 << 24  # frames of all distinct stacks together: 64 MB
MAX_TICKS = 1 << 62
MAX_ID = 1 << 62
MAX_BATCH = 65536  # tracev2.MaxBatchSize
MAX_STRING = 1024  # tracev2.MaxEventTrailerDataSize
MAX_FRAMES = 128  # tracev2.MaxFramesPerStack
MAX_GEN_JUMP = 16  # generations count up by one; a header further off is taken for damage


@njit(inline="always")
def mixed(key, seed):
    h = (np.uint64(key) ^ np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
    h ^= h >> np.uint64(29)
    h *= np.uint64(0xBF58476D1CE4E5B9)
    return h ^ (h >> np.uint64(32))


@njit(inline="always")
def home(key, seed, mask):
    return np.int64(mixed(key, seed) & np.uint64(mask))


@njit
def find(tab, mask, width, key, seed):
    """Row of `key`, or -1 - the empty row where it would go."""
    i = home(key, seed, mask)
    while True:
        at = i * width
        if tab[at + 1] == 0:
            return -1 - i
        if tab[at] == key:
            return i
        i = (i + 1) & mask


@njit
def lookup(tab, mask, key, seed, stamp):
    """Value of `key` in an id table, -1 where this generation has none."""
    i = home(key, seed, mask)
    while True:
        value = tab[2 * i + 1]
        if value >> 32 != stamp:
            return np.int64(-1)
        if tab[2 * i] == key:
            return value & 0xFFFFFFFF
        i = (i + 1) & mask


@njit
def enter(tab, mask, key, value, seed, stamp):
    """Put `key` into an id table; False where it is there already (the first one counts)."""
    i = home(key, seed, mask)
    while tab[2 * i + 1] >> 32 == stamp:
        if tab[2 * i] == key:
            return False
        i = (i + 1) & mask
    tab[2 * i] = key
    tab[2 * i + 1] = stamp << 32 | value
    return True


@njit
def uvarint(data, pos, stop):
    """(value, position behind it); the position is -1 where there is none. encoding/binary: Uvarint."""
    if pos < stop:
        b = np.int64(data[pos])
        if b < 128:
            return b, pos + 1
        if pos + 1 < stop:
            b1 = np.int64(data[pos + 1])
            if b1 < 128:
                return b & 127 | b1 << 7, pos + 2
        value = b & 127
        shift = 7
        pos += 1
        while pos < stop and shift < 70:
            b = np.int64(data[pos])
            pos += 1
            if b < 128:
                if shift == 63 and b > 1:
                    break
                return value | b << shift, pos
            value |= (b & 127) << shift
            shift += 7
    return np.int64(0), np.int64(-1)


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
def _string_of(idtab, st, key):
    """Index of a string id plus one; 0 is the empty string, ids unknown count as it."""
    if key == 0:
        return np.int64(0)
    value = lookup(idtab, st[S_IDMASK], key, st[S_SEED], st[S_STAMP])
    if value < 0:
        st[E_STRINGID] += 1
    return value + 1


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
        row = _frame_of(frames, frtab, st, _string_of(idtab, st, func), _string_of(idtab, st, file), line)
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


# --- events ---------------------------------------------------------------------------------------------------------


@njit
def _stack_id(sidtab, st, key):
    """Index of a stack id, -1 for none."""
    if key == 0:
        return np.int64(-1)
    value = lookup(sidtab, st[S_SIDMASK], key, st[S_SEED], st[S_STAMP])
    if value < 0:
        st[E_STACKID] += 1
    return value


@njit
def _wait(wtab, waits, st, stack, reason):
    """Index of the sum for (stack, reason), -1 where there is no more room."""
    key = (stack + 1) << 32 | (reason + 8)
    i = find(wtab, st[S_WMASK], 2, key, st[S_SEED])
    if i >= 0:
        return wtab[2 * i + 1] - 1
    n = st[S_WN]
    if n >= MAX_SITES:
        st[E_FULL] += 1
        return np.int64(-1)
    i = -1 - i
    wtab[2 * i] = key
    wtab[2 * i + 1] = n + 1
    waits[n * W + W_STACK] = stack
    waits[n * W + W_REASON] = reason
    st[S_WN] = n + 1
    return n


@njit
def _close(gtab, g, waits, now):
    """Add the wait that ends now to its sum."""
    w = gtab[g * G + G_WAIT]
    if w >= 0:
        took = now - gtab[g * G + G_SINCE]
        if took < 0:
            took = np.int64(0)
        at = w * W
        waits[at + W_COUNT] += 1
        waits[at + W_TOTAL] = min(waits[at + W_TOTAL] + took, MAX_TICKS)
        if took > waits[at + W_MAX]:
            waits[at + W_MAX] = took
        gtab[g * G + G_WAIT] = -1


@njit
def _admit(gtab, st, goid, status, now):
    """Row of a goroutine, made if it is new; -1 where there is no more room."""
    g = find(gtab, st[S_GMASK], G, goid, st[S_SEED])
    if g >= 0:
        return g
    if st[S_GN] >= MAX_GOROUTINES:
        st[E_FULL] += 1
        return np.int64(-1)
    g = -1 - g
    at = g * G
    gtab[at] = goid
    gtab[at + G_META] = status | st[S_STAMP] << 8
    gtab[at + G_SEQ] = 0
    gtab[at + G_SINCE] = now
    gtab[at + G_STACK] = -1
    gtab[at + G_WAIT] = -1
    gtab[at + G_MADE] = -1
    gtab[at + G_PARENT] = 0
    st[S_GN] += 1
    return g


@njit
def _forget(gtab, st, g, creations):
    """The goroutine of row `g` has ended: take the row out and close the gap behind it."""
    made = gtab[g * G + G_MADE]
    if made >= 0:
        creations[made * N + N_ALIVE] -= 1
    st[S_ENDED] += 1
    st[S_GN] -= 1
    mask = st[S_GMASK]
    hole = g
    j = g
    while True:
        j = (j + 1) & mask
        if gtab[j * G + G_META] == 0:
            break
        ideal = home(gtab[j * G], st[S_SEED], mask)
        if ((j - ideal) & mask) >= ((j - hole) & mask):
            for k in range(G):
                gtab[hole * G + k] = gtab[j * G + k]
            hole = j
    gtab[hole * G + G_META] = 0


@njit
def _enter_status(gtab, st, g, status, now, w):
    """The goroutine of row `g` is `status` from now on and adds its time to sum `w` (-1: none)."""
    at = g * G
    gtab[at + G_META] = status | (gtab[at + G_META] >> 8) << 8
    gtab[at + G_SINCE] = now
    gtab[at + G_WAIT] = w


@njit
def _made(ctab, creations, ptab, st, stack, start, parent, now):
    """Count one creation; index of its sum, -1 where there is no more room."""
    key = (stack + 1) << 32 | (start + 1)
    i = find(ctab, st[S_CMASK], 2, key, st[S_SEED])
    if i >= 0:
        n = ctab[2 * i + 1] - 1
    else:
        n = st[S_CN]
        if n >= MAX_SITES:
            st[E_FULL] += 1
            return np.int64(-1)
        i = -1 - i
        ctab[2 * i] = key
        ctab[2 * i + 1] = n + 1
        creations[n * N + N_STACK] = stack
        creations[n * N + N_START] = start
        creations[n * N + N_FIRST] = now
        creations[n * N + N_BIN] = -1
        creations[n * N + N_PARENT] = -1
        st[S_CN] = n + 1
    at = n * N
    creations[at] += 1
    creations[at + N_LAST] = now
    creations[at + N_ALIVE] += 1
    b = now // st[S_BINNS]
    if b != creations[at + N_BIN]:
        creations[at + N_BIN] = b
        creations[at + N_INBIN] = 0
    creations[at + N_INBIN] += 1
    if creations[at + N_INBIN] > creations[at + N_PEAK]:
        creations[at + N_PEAK] = creations[at + N_INBIN]
    if parent >= 0 and parent != creations[at + N_PARENT]:
        creations[at + N_PARENT] = parent
        pair = np.int64(mixed(parent, n + 1))
        i = find(ptab, st[S_PMASK], 2, pair, st[S_SEED])
        if i < 0 and st[S_PN] < MAX_PARENTS:
            i = -1 - i
            ptab[2 * i] = pair
            ptab[2 * i + 1] = 1
            st[S_PN] += 1
            creations[at + N_PARENTS] += 1
    return n


@njit
def _thread(mtab, st, m):
    """Row of a thread, made if it is new (there is room)."""
    i = find(mtab, st[S_MMASK], 3, m, st[S_SEED])
    if i < 0:
        i = -1 - i
        mtab[3 * i] = m
        mtab[3 * i + 1] = 1
        mtab[3 * i + 2] = -1
        st[S_MN] += 1
    return i


@njit
def _next_event(data, batches, order, cur, c, nargs, st):
    """Move a cursor to its next event (type, time and place of arguments); False at the end of its batches."""
    at = c * C
    pos = cur[at + C_POS]
    stop = cur[at + C_STOP]
    while True:
        if pos >= stop:
            k = cur[at + C_NEXT]
            if k >= cur[at + C_END]:
                return False
            b = order[k] * B
            cur[at + C_NEXT] = k + 1
            pos = batches[b + 1]
            stop = pos + batches[b + 2]
            cur[at + C_STOP] = stop
            cur[at + C_TIME] = batches[b + 4]
            continue
        if nargs[data[pos]] >= 0:
            dt, args = uvarint(data, pos + 1, stop)
            time = cur[at + C_TIME] + dt
            if args >= 0 and dt >= 0 and time >= 0 and time <= MAX_TICKS:
                cur[at + C_POS] = pos
                cur[at + C_TIME] = time
                cur[at + C_ARGS] = args
                return True
        _damage(st, pos, stop)
        pos = stop


@njit
def _damage(st, pos, stop):
    """The rest of an event batch cannot be read."""
    if st[E_BATCH] == 0:
        st[E_BATCH_POS] = pos
    st[E_BATCH] += 1
    st[E_BYTES] += stop - pos


@njit
def _push(heap, st, cur, c):
    i = st[S_HEAP]
    st[S_HEAP] = i + 1
    time = cur[c * C + C_TIME]
    while i > 0:
        up = (i - 1) >> 1
        if cur[heap[up] * C + C_TIME] <= time:
            break
        heap[i] = heap[up]
        i = up
    heap[i] = c


@njit
def _sift(heap, st, cur):
    """Let the root sink to its place."""
    n = st[S_HEAP]
    if n == 0:
        return
    c = heap[0]
    time = cur[c * C + C_TIME]
    i = 0
    while True:
        k = 2 * i + 1
        if k >= n:
            break
        if k + 1 < n and cur[heap[k + 1] * C + C_TIME] < cur[heap[k] * C + C_TIME]:
            k += 1
        if cur[heap[k] * C + C_TIME] >= time:
            break
        heap[i] = heap[k]
        i = k
    heap[i] = c


@njit
def _pop(heap, st, cur):
    n = st[S_HEAP] - 1
    st[S_HEAP] = n
    heap[0] = heap[n]
    _sift(heap, st, cur)


@njit
def _unpark(st, parked, i):
    n = st[S_PARKED] - 1
    st[S_PARKED] = n
    parked[i] = parked[n]
    parked[MAX_PARKED + i] = parked[MAX_PARKED + n]


@njit
def _wake(heap, st, cur, parked, goid):
    """Something happened to a goroutine: threads held back for it may try again."""
    i = 0
    while i < st[S_PARKED]:
        if parked[MAX_PARKED + i] == goid:
            c = parked[i]
            _unpark(st, parked, i)
            _push(heap, st, cur, c)
        else:
            i += 1


@njit
def _force_earliest(heap, st, cur, parked):
    """All threads wait for something that never comes: the trace is damaged, go on with the earliest."""
    best = 0
    for i in range(1, st[S_PARKED]):
        if cur[parked[i] * C + C_TIME] < cur[parked[best] * C + C_TIME]:
            best = i
    c = parked[best]
    _unpark(st, parked, best)
    _push(heap, st, cur, c)
    st[S_FORCE] = 1


@njit
def _in_turn(gtab, g, status, st, seq):
    """Whether the event numbered `seq` is the next one of a goroutine that must be `status` (order.go: succeeds)."""
    if g < 0:
        return False
    at = g * G
    return gtab[at + G_META] == (status | st[S_STAMP] << 8) and gtab[at + G_SEQ] + 1 == seq


@njit
def _current(gtab, st, goid, now):
    """Row of the goroutine a thread runs, for an event that needs one."""
    if goid < 0:
        st[E_NOG] += 1
        return np.int64(-1)
    g = find(gtab, st[S_GMASK], G, goid, st[S_SEED])
    if g < 0:
        st[E_NOG] += 1
        return np.int64(-1)
    return g


@njit
def _status(gtab, wtab, waits, mtab, st, slot, m, goid, mid, status, stack, now):
    """GoStatus, GoStatusStack: the first mention in a generation (order.go: advanceGoStatus)."""
    g = find(gtab, st[S_GMASK], G, goid, st[S_SEED])
    known = g >= 0
    if not known:
        if st[S_FIRST_GEN] == 0:
            st[E_LATE] += 1
        g = _admit(gtab, st, goid, status, now)
        if g < 0:
            return
    at = g * G
    old = gtab[at + G_META] & 255
    gtab[at + G_META] = status | st[S_STAMP] << 8
    gtab[at + G_SEQ] = 0
    if stack >= 0:
        gtab[at + G_STACK] = stack
    if known and old != status:
        st[E_STATUS] += 1
        _close(gtab, g, waits, now)
    reason = R_SCHED
    if status == WAITING:
        reason = R_WAITING
    elif status == SYSCALL:
        reason = R_SYSCALL
    w = gtab[at + G_WAIT]
    if not known or old != status:
        if status != RUNNING:
            gtab[at + G_WAIT] = _wait(wtab, waits, st, stack, reason)
            # what waits at its first mention did so since before the trace; "runnable" is mentioned when it begins
            gtab[at + G_SINCE] = 0 if (not known and status != RUNNABLE) else now
    elif w >= 0 and stack >= 0 and waits[w * W + W_STACK] < 0:
        gtab[at + G_WAIT] = _wait(wtab, waits, st, stack, waits[w * W + W_REASON])
    if status == RUNNING:
        mtab[3 * slot + 2] = goid
    elif status == SYSCALL and mid != -1:
        other = slot
        if mid != m:
            if st[S_MN] >= MAX_THREADS and find(mtab, st[S_MMASK], 3, mid, st[S_SEED]) < 0:
                st[E_FULL] += 1
                return
            other = _thread(mtab, st, mid)
        mtab[3 * other + 2] = goid


@njit
def _create(gtab, wtab, waits, ctab, creations, ptab, st, typ, goid, start, stack, parent, now, bins):
    """GoCreate, GoCreateBlocked (order.go: advanceGoCreate)."""
    status = WAITING if typ == 47 else RUNNABLE
    g = find(gtab, st[S_GMASK], G, goid, st[S_SEED])
    if g >= 0:
        st[E_EXISTS] += 1
        _forget(gtab, st, g, creations)
        st[S_ENDED] -= 1
    st[S_CREATED] += 1
    bins[min(now // st[S_BINNS], st[S_BINS] - 1)] += 1
    made = _made(ctab, creations, ptab, st, stack, start, parent, now)
    g = _admit(gtab, st, goid, status, now)
    if g < 0:
        return
    at = g * G
    gtab[at + G_STACK] = start
    gtab[at + G_MADE] = made
    gtab[at + G_PARENT] = max(parent, 0)
    if typ == 47:
        gtab[at + G_WAIT] = _wait(wtab, waits, st, start, R_WAITING)
    else:
        gtab[at + G_WAIT] = _wait(wtab, waits, st, stack, R_FIRST)


@njit
def _leave_cpu(gtab, wtab, waits, mtab, st, slot, status, stack, reason, now):
    """GoBlock, GoStop, GoSyscallBegin: the running goroutine stops running here."""
    goid = mtab[3 * slot + 2]
    g = _current(gtab, st, goid, now)
    if status != SYSCALL:
        mtab[3 * slot + 2] = -1
    if g < 0:
        return goid
    _close(gtab, g, waits, now)
    if stack >= 0:
        gtab[g * G + G_STACK] = stack
    _enter_status(gtab, st, g, status, now, _wait(wtab, waits, st, stack, reason))
    return goid


def run(
    data, batches, order, cursors, heap, parked, st, scale, nargs, counts, idtab, sidtab,
    gtab, wtab, waits, ctab, creations, ptab, mtab, bins, ncursors,
):  # fmt: skip
    """All events of one generation in time order. DONE, or the table to grow before calling again.

    `scale` holds nanoseconds per tick and the trace's begin in nanoseconds; `ncursors` > 0 begins a generation,
    0 goes on after a table has grown. A thread whose next event must come after one of another thread's (a start
    before its unblocking, by skewed clocks) is held back until something happens to that goroutine.
    """
    if ncursors > 0:
        st[S_HEAP] = 0
        st[S_PARKED] = 0
        st[S_FORCE] = 0
        for c in range(ncursors):
            if _next_event(data, batches, order, cursors, c, nargs, st):
                _push(heap, st, cursors, c)
    stamp = st[S_STAMP]
    seed = st[S_SEED]
    per_tick = scale[0]
    begin = scale[1]
    last = st[S_LAST]
    while st[S_HEAP] > 0 or st[S_PARKED] > 0:
        if st[S_HEAP] == 0:
            _force_earliest(heap, st, cursors, parked)
        c = heap[0]
        at = c * C
        limit = np.int64(MAX_TICKS)
        if st[S_HEAP] > 1:
            limit = cursors[heap[1] * C + C_TIME]
            if st[S_HEAP] > 2:
                limit = min(limit, cursors[heap[2] * C + C_TIME])
        slot = _thread(mtab, st, cursors[at])
        while True:
            if st[S_GN] >= st[S_GLIMIT]:
                st[S_LAST] = last
                return GROW_G
            if st[S_WN] >= st[S_WLIMIT]:
                st[S_LAST] = last
                return GROW_W
            if st[S_CN] >= st[S_CLIMIT]:
                st[S_LAST] = last
                return GROW_C
            if st[S_PN] >= st[S_PLIMIT]:
                st[S_LAST] = last
                return GROW_P
            if st[S_MN] >= st[S_MLIMIT]:
                st[S_LAST] = last
                return GROW_M
            typ = np.int64(data[cursors[at + C_POS]])
            stop = cursors[at + C_STOP]
            pos = cursors[at + C_ARGS]
            a0 = np.int64(0)
            a1 = np.int64(0)
            a2 = np.int64(0)
            a3 = np.int64(0)
            n = nargs[typ]
            if n > 0:
                a0, pos = uvarint(data, pos, stop)
                if n > 1 and pos >= 0:
                    a1, pos = uvarint(data, pos, stop)
                    if n > 2 and pos >= 0:
                        a2, pos = uvarint(data, pos, stop)
                        if n > 3 and pos >= 0:
                            a3, pos = uvarint(data, pos, stop)
            woken = np.int64(-1)
            if pos < 0:
                _damage(st, cursors[at + C_POS], stop)
                cursors[at + C_POS] = stop
            else:
                t = np.float64(cursors[at + C_TIME]) * per_tick - begin
                now = last
                if t > np.float64(last):
                    now = np.int64(min(t, 4e18))
                early = False  # it must wait for another event of goroutine a0
                if typ == 16:  # GoStart g seq
                    g = find(gtab, st[S_GMASK], G, a0, seed)
                    if _in_turn(gtab, g, RUNNABLE, st, a1):
                        _close(gtab, g, waits, now)
                        gtab[g * G + G_META] = RUNNING | stamp << 8
                        gtab[g * G + G_SEQ] = a1
                        mtab[3 * slot + 2] = a0
                        woken = a0
                    else:
                        early = True
                elif typ == 20:  # GoBlock reason stack
                    woken = _leave_cpu(
                        gtab, wtab, waits, mtab, st, slot, WAITING, _stack_id(sidtab, st, a1),
                        _string_of(idtab, st, a0) - 1, now,
                    )  # fmt: skip
                elif typ == 21:  # GoUnblock g seq stack
                    g = find(gtab, st[S_GMASK], G, a0, seed)
                    if _in_turn(gtab, g, WAITING, st, a1):
                        _close(gtab, g, waits, now)
                        gtab[g * G + G_SEQ] = a1
                        w = _wait(wtab, waits, st, _stack_id(sidtab, st, a2), R_SCHED)
                        _enter_status(gtab, st, g, RUNNABLE, now, w)
                        woken = a0
                    else:
                        early = True
                elif typ == 22:  # GoSyscallBegin p_seq stack
                    woken = _leave_cpu(
                        gtab, wtab, waits, mtab, st, slot, SYSCALL, _stack_id(sidtab, st, a1), R_SYSCALL, now
                    )
                elif typ == 23 or typ == 24:  # GoSyscallEnd, GoSyscallEndBlocked
                    woken = mtab[3 * slot + 2]
                    g = _current(gtab, st, woken, now)
                    if g >= 0:
                        _close(gtab, g, waits, now)
                        if typ == 23:
                            _enter_status(gtab, st, g, RUNNING, now, -1)
                        else:
                            _enter_status(gtab, st, g, RUNNABLE, now, _wait(wtab, waits, st, -1, R_SCHED))
                    if typ == 24:
                        mtab[3 * slot + 2] = -1
                elif typ == 19:  # GoStop reason stack
                    woken = _leave_cpu(
                        gtab, wtab, waits, mtab, st, slot, RUNNABLE, _stack_id(sidtab, st, a1), R_SCHED, now
                    )
                elif typ == 14 or typ == 47:  # GoCreate, GoCreateBlocked new_g new_stack stack
                    if a0 < 0 or a0 >= MAX_ID:
                        st[E_ID] += 1
                    else:
                        _create(
                            gtab, wtab, waits, ctab, creations, ptab, st, typ, a0, _stack_id(sidtab, st, a1),
                            _stack_id(sidtab, st, a2), mtab[3 * slot + 2], now, bins,
                        )  # fmt: skip
                        woken = a0
                elif typ == 17 or typ == 18:  # GoDestroy, GoDestroySyscall
                    woken = mtab[3 * slot + 2]
                    g = _current(gtab, st, woken, now)
                    if g >= 0:
                        _close(gtab, g, waits, now)
                        _forget(gtab, st, g, creations)
                    mtab[3 * slot + 2] = -1
                elif typ == 25 or typ == 48:  # GoStatus, GoStatusStack g m status (stack)
                    if a0 < 0 or a0 >= MAX_ID or a2 < RUNNABLE or a2 > WAITING:
                        st[E_ID] += 1
                    else:
                        _status(
                            gtab, wtab, waits, mtab, st, slot, cursors[at], a0, a1, a2, _stack_id(sidtab, st, a3), now
                        )
                        woken = a0
                elif typ == 45 or typ == 46:  # GoSwitch, GoSwitchDestroy g seq
                    g = find(gtab, st[S_GMASK], G, a0, seed)
                    if _in_turn(gtab, g, WAITING, st, a1):
                        _close(gtab, g, waits, now)
                        gtab[g * G + G_META] = RUNNING | stamp << 8
                        gtab[g * G + G_SEQ] = a1
                        woken = mtab[3 * slot + 2]
                        mine = _current(gtab, st, woken, now)
                        if mine >= 0:
                            if typ == 45:
                                _enter_status(gtab, st, mine, WAITING, now, _wait(wtab, waits, st, -1, R_COROUTINE))
                            else:
                                _forget(gtab, st, mine, creations)
                        mtab[3 * slot + 2] = a0
                    else:
                        early = True
                elif typ == 15:  # GoCreateSyscall new_g
                    if a0 < 0 or a0 >= MAX_ID:
                        st[E_ID] += 1
                    else:
                        g = _admit(gtab, st, a0, SYSCALL, now)
                        if g >= 0:
                            _close(gtab, g, waits, now)
                            _enter_status(gtab, st, g, SYSCALL, now, _wait(wtab, waits, st, -1, R_SYSCALL))
                        mtab[3 * slot + 2] = a0
                        woken = a0
                if early and (a0 < 0 or a0 >= MAX_ID):
                    st[E_ID] += 1  # no Go program has such a goroutine: waiting for it would be in vain
                elif early:
                    if st[S_FORCE] == 0 and st[S_PARKED] < MAX_PARKED:
                        parked[st[S_PARKED]] = c
                        parked[MAX_PARKED + st[S_PARKED]] = a0
                        st[S_PARKED] += 1
                        _pop(heap, st, cursors)
                        break
                    st[S_FORCE] = 0
                    st[E_FORCED] += 1
                    status = RUNNABLE if typ == 21 else RUNNING
                    g = _admit(gtab, st, a0, status, now)
                    if g >= 0:
                        _close(gtab, g, waits, now)
                        gtab[g * G + G_META] = status | stamp << 8
                        gtab[g * G + G_SEQ] = a1
                        gtab[g * G + G_SINCE] = now
                        if status == RUNNING:
                            mtab[3 * slot + 2] = a0
                    woken = a0
                last = now
                st[S_EVENTS] += 1
                counts[typ] += 1
                cursors[at + C_POS] = pos
            if not _next_event(data, batches, order, cursors, c, nargs, st):
                _pop(heap, st, cursors)
                if st[S_PARKED] > 0:
                    _wake(heap, st, cursors, parked, woken)
                break
            if st[S_PARKED] > 0:
                _sift(heap, st, cursors)
                _wake(heap, st, cursors, parked, woken)
                break
            if cursors[at + C_TIME] > limit:
                _sift(heap, st, cursors)
                break
    st[S_LAST] = last
    return DONE


KERNELS = {
    "index": (index, "u8*, i64, i64, i64*, i64, i64*"),
    "resync": (resync, "u8*, i64, i64, i64"),
    "strings": (strings, "u8*, i64*, i64, i64*, i64*, i64*, i64*"),
    "stacks": (stacks, "u8*, i64*, i64, i64*, i64*, i64*, i64*, i64*, i64*, i64*, i32*"),
    "rehash": (rehash, "i64*, i64, i64*, i64, i64, i64, i64"),
    "run": (run, "u8*, i64*, i64*, i64*, i64*, i64*, i64*, f64*" + ", i64*" * 12 + ", i64"),
}
