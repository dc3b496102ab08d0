"""Execution traces: one pass over all events of a generation in time order. Not a kernel module itself.

Rules of order and state are those of `internal/trace` (Go 1.22-1.27): `batchcursor.go`, `order.go`. One row is kept
per living goroutine; creations and waits are summed up by stack, and, where a timeline is asked for, who is in which state
by bins of time. A table that is nearly full makes `run` return, its caller (formats/_trace_scan.py) grows it and calls
again. Layout of all arrays: _trace_layout.py.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from parkwarden.kernels._trace_common import find, home, lookup, mixed, string_of, uvarint
from parkwarden.kernels._trace_layout import (
    C_ARGS,
    C_END,
    C_NEXT,
    C_POS,
    C_STOP,
    C_TIME,
    DONE,
    E_BATCH,
    E_BATCH_POS,
    E_BYTES,
    E_EXISTS,
    E_FORCED,
    E_FULL,
    E_ID,
    E_LATE,
    E_NOG,
    E_STACKID,
    E_STATUS,
    FOLD_T,
    G_MADE,
    G_META,
    G_PARENT,
    G_RAN,
    G_SEQ,
    G_SINCE,
    G_STACK,
    G_WAIT,
    GROW_C,
    GROW_G,
    GROW_M,
    GROW_P,
    GROW_T,
    GROW_W,
    MAX_GOROUTINES,
    MAX_ID,
    MAX_PARENTS,
    MAX_PARKED,
    MAX_SITES,
    MAX_THREADS,
    MAX_TICKS,
    N_ALIVE,
    N_BIN,
    N_FIRST,
    N_INBIN,
    N_LAST,
    N_PARENT,
    N_PARENTS,
    N_PEAK,
    N_STACK,
    N_START,
    R_COROUTINE,
    R_FIRST,
    R_SCHED,
    R_SYSCALL,
    R_WAITING,
    RUNNABLE,
    RUNNING,
    S_BINNS,
    S_BINS,
    S_CLIMIT,
    S_CMASK,
    S_CN,
    S_CREATED,
    S_ENDED,
    S_EVENTS,
    S_FIRST_GEN,
    S_FORCE,
    S_GLIMIT,
    S_GMASK,
    S_GN,
    S_HEAP,
    S_LAST,
    S_MLIMIT,
    S_MMASK,
    S_MN,
    S_PARKED,
    S_PLIMIT,
    S_PMASK,
    S_PN,
    S_SEED,
    S_SIDMASK,
    S_STAMP,
    S_TEND,
    S_TLIMIT,
    S_TN,
    S_WLIMIT,
    S_WMASK,
    S_WN,
    SYSCALL,
    W_COUNT,
    W_MAX,
    W_REASON,
    W_STACK,
    W_STATE,
    W_TOTAL,
    WAITING,
    B,
    C,
    G,
    N,
    W,
)
from parkwarden.kernels._trace_timeline import count_creation, mark_range, state_of, tally


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
def _wait(wtab, waits, tl, st, stack, reason):
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
    if tl is not None:
        waits[n * W + W_STATE] = state_of(tl, st, reason)
    st[S_WN] = n + 1
    return n


@njit
def _leave(gtab, g, waits, tl, st, now):
    """The state the goroutine of row `g` is in ends now: add the wait, if it was one, to its sum."""
    tally(tl, st, gtab, g, waits, -1, now)
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
def _admit(gtab, st, goid, now):
    """Row of a goroutine, made (in no state yet) if it is new; -1 where there is no more room."""
    g = find(gtab, st[S_GMASK], G, goid, st[S_SEED])
    if g >= 0:
        return g
    if st[S_GN] >= MAX_GOROUTINES:
        st[E_FULL] += 1
        return np.int64(-1)
    g = -1 - g
    at = g * G
    gtab[at] = goid
    gtab[at + G_META] = st[S_STAMP] << 8
    gtab[at + G_SEQ] = 0
    gtab[at + G_SINCE] = now
    gtab[at + G_STACK] = -1
    gtab[at + G_WAIT] = -1
    gtab[at + G_MADE] = -1
    gtab[at + G_PARENT] = 0
    gtab[at + G_RAN] = 0
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
def _enter(gtab, g, waits, tl, st, status, now, w):
    """The goroutine of row `g` is `status` from now on and adds its time to sum `w` (-1: none). It has done something."""
    at = g * G
    gtab[at + G_RAN] = 1
    gtab[at + G_META] = status | (gtab[at + G_META] >> 8) << 8
    gtab[at + G_SINCE] = now
    gtab[at + G_WAIT] = w
    tally(tl, st, gtab, g, waits, 1, now)


@njit
def _runs(gtab, g, waits, tl, st, seq, now):
    """The goroutine of row `g` runs from now on, by the event numbered `seq`."""
    _leave(gtab, g, waits, tl, st, now)
    at = g * G
    gtab[at + G_META] = RUNNING | st[S_STAMP] << 8
    gtab[at + G_SEQ] = seq
    gtab[at + G_RAN] = 1
    tally(tl, st, gtab, g, waits, 1, now)


@njit
def _made(ctab, creations, ptab, tl, st, stack, start, parent, now):
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
    if tl is not None:
        count_creation(tl, creations, st, n, now)
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


@njit(inline="always")
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
def _status(gtab, wtab, waits, mtab, tl, st, slot, m, goid, mid, status, stack, now):
    """GoStatus, GoStatusStack: the first mention in a generation (order.go: advanceGoStatus)."""
    g = find(gtab, st[S_GMASK], G, goid, st[S_SEED])
    known = g >= 0
    if not known:
        if st[S_FIRST_GEN] == 0:
            st[E_LATE] += 1
        g = _admit(gtab, st, goid, now)
        if g < 0:
            return
    at = g * G
    old = gtab[at + G_META] & 255
    if known and old != status:
        st[E_STATUS] += 1
        _leave(gtab, g, waits, tl, st, now)
    gtab[at + G_META] = status | st[S_STAMP] << 8
    gtab[at + G_SEQ] = 0
    if stack >= 0:
        gtab[at + G_STACK] = stack
    reason = R_SCHED
    if status == WAITING:
        reason = R_WAITING
    elif status == SYSCALL:
        reason = R_SYSCALL
    w = gtab[at + G_WAIT]
    if old != status:
        if status != RUNNING:
            gtab[at + G_WAIT] = _wait(wtab, waits, tl, st, stack, reason)
            # what waits at its first mention did so since before the trace; "runnable" is mentioned when it begins
            gtab[at + G_SINCE] = 0 if (not known and status != RUNNABLE) else now
        # nothing happens to a goroutine before its first mention: it was in this state since the trace's begin
        tally(tl, st, gtab, g, waits, 1, 0 if (not known and st[S_FIRST_GEN] != 0) else now)
    elif w >= 0 and stack >= 0 and waits[w * W + W_STACK] < 0:
        gtab[at + G_WAIT] = _wait(wtab, waits, tl, st, stack, waits[w * W + W_REASON])
    if status == RUNNING:
        gtab[at + G_RAN] = 1
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
def _create(
    gtab, wtab, waits, ctab, creations, ptab, tl, st, typ, goid, start, stack, parent, now, bins
):  # fmt: skip
    """GoCreate, GoCreateBlocked (order.go: advanceGoCreate)."""
    status = WAITING if typ == 47 else RUNNABLE
    g = find(gtab, st[S_GMASK], G, goid, st[S_SEED])
    if g >= 0:
        st[E_EXISTS] += 1
        _leave(gtab, g, waits, tl, st, now)
        _forget(gtab, st, g, creations)
        st[S_ENDED] -= 1
    st[S_CREATED] += 1
    bins[min(now // st[S_BINNS], st[S_BINS] - 1)] += 1
    made = _made(ctab, creations, ptab, tl, st, stack, start, parent, now)
    g = _admit(gtab, st, goid, now)
    if g < 0:
        return
    at = g * G
    gtab[at + G_META] |= status
    gtab[at + G_STACK] = start
    gtab[at + G_MADE] = made
    gtab[at + G_PARENT] = max(parent, 0)
    if typ == 47:
        gtab[at + G_WAIT] = _wait(wtab, waits, tl, st, start, R_WAITING)
    else:
        gtab[at + G_WAIT] = _wait(wtab, waits, tl, st, stack, R_FIRST)
    tally(tl, st, gtab, g, waits, 1, now)


@njit
def _leave_cpu(gtab, wtab, waits, mtab, tl, st, slot, status, stack, reason, now):
    """GoBlock, GoStop, GoSyscallBegin: the running goroutine stops running here."""
    goid = mtab[3 * slot + 2]
    g = _current(gtab, st, goid, now)
    if status != SYSCALL:
        mtab[3 * slot + 2] = -1
    if g < 0:
        return goid
    _leave(gtab, g, waits, tl, st, now)
    if stack >= 0:
        gtab[g * G + G_STACK] = stack
    _enter(gtab, g, waits, tl, st, status, now, _wait(wtab, waits, tl, st, stack, reason))
    return goid


@njit
def _from_outside(gtab, wtab, waits, mtab, tl, st, slot, goid, now):
    """GoCreateSyscall: a C thread calls into Go and is a goroutine from now on, in a system call. Its id, or -1."""
    if goid < 0 or goid >= MAX_ID:
        st[E_ID] += 1
        return np.int64(-1)
    g = _admit(gtab, st, goid, now)
    if g >= 0:
        _leave(gtab, g, waits, tl, st, now)
        _enter(gtab, g, waits, tl, st, SYSCALL, now, _wait(wtab, waits, tl, st, -1, R_SYSCALL))
    mtab[3 * slot + 2] = goid
    return goid


@njit(inline="always")
def _arguments(data, pos, stop, n):
    """The first four of an event's `n` arguments (0 where it has fewer), and the position behind them, -1 if damaged."""
    a0 = np.int64(0)
    a1 = np.int64(0)
    a2 = np.int64(0)
    a3 = np.int64(0)
    if n > 0:
        a0, pos = uvarint(data, pos, stop)
        if n > 1 and pos >= 0:
            a1, pos = uvarint(data, pos, stop)
            if n > 2 and pos >= 0:
                a2, pos = uvarint(data, pos, stop)
                if n > 3 and pos >= 0:
                    a3, pos = uvarint(data, pos, stop)
    return a0, a1, a2, a3, pos


@njit(inline="always")  # called once per event: as a call it costs half as much time again
def _apply(
    typ, a0, a1, a2, a3, m, slot, now, st, idtab, sidtab, gtab, wtab, waits, ctab, creations, ptab, mtab, bins,
    tl,
):  # fmt: skip
    """What one event does to goroutines and sums: (the goroutine it concerned or -1, whether it came too early).

    An event that came too early has done nothing: the goroutine `a0` has to get another event first.
    """
    woken = np.int64(-1)
    early = False  # it must wait for another event of goroutine a0
    if typ == 16:  # GoStart g seq
        g = find(gtab, st[S_GMASK], G, a0, st[S_SEED])
        if _in_turn(gtab, g, RUNNABLE, st, a1):
            _runs(gtab, g, waits, tl, st, a1, now)
            mtab[3 * slot + 2] = a0
            woken = a0
        else:
            early = True
    elif typ == 20:  # GoBlock reason stack
        woken = _leave_cpu(
            gtab, wtab, waits, mtab, tl, st, slot, WAITING, _stack_id(sidtab, st, a1),
            string_of(idtab, st, a0) - 1, now,
        )  # fmt: skip
    elif typ == 21:  # GoUnblock g seq stack
        g = find(gtab, st[S_GMASK], G, a0, st[S_SEED])
        if _in_turn(gtab, g, WAITING, st, a1):
            _leave(gtab, g, waits, tl, st, now)
            gtab[g * G + G_SEQ] = a1
            w = _wait(wtab, waits, tl, st, _stack_id(sidtab, st, a2), R_SCHED)
            _enter(gtab, g, waits, tl, st, RUNNABLE, now, w)
            woken = a0
        else:
            early = True
    elif typ == 22:  # GoSyscallBegin p_seq stack
        woken = _leave_cpu(
            gtab, wtab, waits, mtab, tl, st, slot, SYSCALL, _stack_id(sidtab, st, a1), R_SYSCALL, now,
        )  # fmt: skip
    elif typ == 23 or typ == 24:  # GoSyscallEnd, GoSyscallEndBlocked
        woken = mtab[3 * slot + 2]
        g = _current(gtab, st, woken, now)
        if g >= 0:
            _leave(gtab, g, waits, tl, st, now)
            if typ == 23:
                _enter(gtab, g, waits, tl, st, RUNNING, now, -1)
            else:
                _enter(gtab, g, waits, tl, st, RUNNABLE, now, _wait(wtab, waits, tl, st, -1, R_SCHED))
        if typ == 24:
            mtab[3 * slot + 2] = -1
    elif typ == 19:  # GoStop reason stack
        woken = _leave_cpu(
            gtab, wtab, waits, mtab, tl, st, slot, RUNNABLE, _stack_id(sidtab, st, a1), R_SCHED, now,
        )  # fmt: skip
    elif typ == 14 or typ == 47:  # GoCreate, GoCreateBlocked new_g new_stack stack
        if a0 < 0 or a0 >= MAX_ID:
            st[E_ID] += 1
        else:
            _create(
                gtab, wtab, waits, ctab, creations, ptab, tl, st, typ, a0,
                _stack_id(sidtab, st, a1), _stack_id(sidtab, st, a2), mtab[3 * slot + 2], now, bins,
            )  # fmt: skip
            woken = a0
    elif typ == 17 or typ == 18:  # GoDestroy, GoDestroySyscall
        woken = mtab[3 * slot + 2]
        g = _current(gtab, st, woken, now)
        if g >= 0:
            _leave(gtab, g, waits, tl, st, now)
            _forget(gtab, st, g, creations)
        mtab[3 * slot + 2] = -1
    elif typ == 25 or typ == 48:  # GoStatus, GoStatusStack g m status (stack)
        if a0 < 0 or a0 >= MAX_ID or a2 < RUNNABLE or a2 > WAITING:
            st[E_ID] += 1
        else:
            _status(
                gtab, wtab, waits, mtab, tl, st, slot, m, a0, a1, a2, _stack_id(sidtab, st, a3), now,
            )  # fmt: skip
            woken = a0
    elif typ == 45 or typ == 46:  # GoSwitch, GoSwitchDestroy g seq
        g = find(gtab, st[S_GMASK], G, a0, st[S_SEED])
        if _in_turn(gtab, g, WAITING, st, a1):
            _runs(gtab, g, waits, tl, st, a1, now)
            woken = mtab[3 * slot + 2]
            mine = _current(gtab, st, woken, now)
            if mine >= 0:
                _leave(gtab, mine, waits, tl, st, now)
                if typ == 45:
                    _enter(gtab, mine, waits, tl, st, WAITING, now, _wait(wtab, waits, tl, st, -1, R_COROUTINE))
                else:
                    _forget(gtab, st, mine, creations)
            mtab[3 * slot + 2] = a0
        else:
            early = True
    elif typ == 15:  # GoCreateSyscall new_g
        woken = _from_outside(gtab, wtab, waits, mtab, tl, st, slot, a0, now)
    elif typ >= 26 and typ <= 30 and tl is not None:
        mark_range(tl, st, typ, string_of(idtab, st, a0) if typ == 26 else 0, now)
    return woken, early


@njit
def _apply_by_force(typ, goid, seq, slot, now, st, gtab, waits, mtab, tl):
    """An event whose predecessors are missing: the goroutine is in the state it leads to from now on."""
    st[S_FORCE] = 0
    st[E_FORCED] += 1
    status = RUNNABLE if typ == 21 else RUNNING
    g = _admit(gtab, st, goid, now)
    if g >= 0:
        _leave(gtab, g, waits, tl, st, now)
        gtab[g * G + G_META] = status | st[S_STAMP] << 8
        gtab[g * G + G_SEQ] = seq
        gtab[g * G + G_SINCE] = now
        gtab[g * G + G_RAN] = 1
        tally(tl, st, gtab, g, waits, 1, now)
        if status == RUNNING:
            mtab[3 * slot + 2] = goid


@njit
def _full(st):
    """Which table has no room for another event."""
    if st[S_GN] >= st[S_GLIMIT]:
        return GROW_G
    if st[S_WN] >= st[S_WLIMIT]:
        return GROW_W
    if st[S_CN] >= st[S_CLIMIT]:
        return GROW_C
    if st[S_PN] >= st[S_PLIMIT]:
        return GROW_P
    return GROW_M


@njit
def run(
    data, batches, order, cursors, heap, parked, st, scale, nargs, counts, idtab, sidtab,
    gtab, wtab, waits, ctab, creations, ptab, mtab, bins, tl, ncursors,
):  # fmt: skip
    """All events of one generation in time order. DONE, or the table to grow before calling again.

    `scale` holds nanoseconds per tick and the trace's begin in nanoseconds; `ncursors` > 0 begins a generation,
    0 goes on after a table has grown. A thread whose next event must come after one of another thread's (a start
    before its unblocking, by skewed clocks) is held back until something happens to that goroutine. `tl` is None, or
    the timeline's arrays (levels, reasons, rows, ranges): numba makes one function of each, the first without a trace of
    the second, which would cost it a sixth more time.
    """
    if ncursors > 0:
        st[S_HEAP] = 0
        st[S_PARKED] = 0
        st[S_FORCE] = 0
        for c in range(ncursors):
            if _next_event(data, batches, order, cursors, c, nargs, st):
                _push(heap, st, cursors, c)
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
            if (
                st[S_GN] >= st[S_GLIMIT]
                or st[S_WN] >= st[S_WLIMIT]
                or st[S_CN] >= st[S_CLIMIT]
                or st[S_PN] >= st[S_PLIMIT]
                or st[S_MN] >= st[S_MLIMIT]
            ):
                st[S_LAST] = last
                return _full(st)
            typ = np.int64(data[cursors[at + C_POS]])
            stop = cursors[at + C_STOP]
            a0, a1, a2, a3, pos = _arguments(data, cursors[at + C_ARGS], stop, nargs[typ])
            woken = np.int64(-1)
            if pos < 0:
                _damage(st, cursors[at + C_POS], stop)
                cursors[at + C_POS] = stop
            else:
                t = np.float64(cursors[at + C_TIME]) * per_tick - begin
                now = last
                if t > np.float64(last):
                    now = np.int64(min(t, 4e18))
                if tl is not None and (now >= st[S_TEND] or st[S_TN] >= st[S_TLIMIT]):
                    st[S_LAST] = last
                    return FOLD_T if now >= st[S_TEND] else GROW_T
                woken, early = _apply(
                    typ, a0, a1, a2, a3, cursors[at], slot, now, st, idtab, sidtab, gtab, wtab, waits, ctab,
                    creations, ptab, mtab, bins, tl,
                )  # fmt: skip
                if early and (a0 < 0 or a0 >= MAX_ID):
                    st[E_ID] += 1  # no Go program has such a goroutine: waiting for it would be in vain
                elif early:
                    if st[S_FORCE] == 0 and st[S_PARKED] < MAX_PARKED:
                        parked[st[S_PARKED]] = c
                        parked[MAX_PARKED + st[S_PARKED]] = a0
                        st[S_PARKED] += 1
                        _pop(heap, st, cursors)
                        break
                    _apply_by_force(typ, a0, a1, slot, now, st, gtab, waits, mtab, tl)
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
