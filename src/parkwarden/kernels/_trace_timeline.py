"""Execution traces: who is in which state over time, in bins. Part of `_trace_run`, not a kernel module itself.

A bin holds by state how many more goroutines are in it at the bin's end than at its begin, and the nanoseconds spent in
it by who came (less those by who left) in this bin: so both the number at every edge and the mean between two edges are
exact (formats/trace_timeline.py adds up). Bins are `1 << S_TSHIFT` nanoseconds wide. `tl` is (levels, reasons, rows,
ranges), or None where no timeline is asked for.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from parkwarden.kernels._trace_layout import (
    E_RANGES,
    E_REASONS,
    E_ROWS,
    G_META,
    G_WAIT,
    N_ROW,
    R_COROUTINE,
    S_GC,
    S_RN,
    S_STW,
    S_STWKIND,
    S_TN,
    S_TSHIFT,
    S_TSTATES,
    T_CLOSED,
    T_COROUTINE,
    T_COUNT_BITS,
    T_GC,
    T_NEVER,
    T_RANGES,
    T_REASONS,
    T_ROWS,
    T_SITE_BITS,
    T_STATES,
    T_WAITING,
    W_STATE,
    WAITING,
    G,
    N,
    W,
)


@njit
def state_of(tl, st, reason):
    """The column of a wait's reason."""
    reasons = tl[1]
    if reason == R_COROUTINE:
        return T_COROUTINE
    if reason < 0:  # R_WAITING, and -1: the empty string
        return T_WAITING
    n = st[S_TSTATES]
    for i in range(T_REASONS, n):
        if reasons[i] == reason:
            return i
    if n >= T_STATES:
        st[E_REASONS] += 1
        return T_WAITING
    reasons[n] = reason
    st[S_TSTATES] = n + 1
    return n


@njit(inline="always")
def tally(tl, st, gtab, g, waits, sign, now):
    """The goroutine of row `g` enters (1) the state it is in, or leaves it (-1)."""
    if tl is None:
        return
    levels = tl[0]
    shift = st[S_TSHIFT]
    status = gtab[g * G + G_META] & 255
    if status == 0:
        return
    state = status - 1
    if status == WAITING:
        w = gtab[g * G + G_WAIT]
        if w >= 0:
            state = waits[w * W + W_STATE]
    at = 2 * ((now >> shift) * T_STATES + state)
    levels[at] += sign
    levels[at + 1] += sign * ((((now >> shift) + 1) << shift) - now)


@njit
def count_creation(tl, creations, st, n, now):
    """One more goroutine made by creation `n` in this bin: a row for each of both."""
    rows = tl[2]
    key = (now >> st[S_TSHIFT]) << T_SITE_BITS | n
    row = creations[n * N + N_ROW] - 1
    if row < 0 or rows[row] >> T_COUNT_BITS != key:
        row = st[S_TN]
        if row >= T_ROWS:
            st[E_ROWS] += 1
            return
        rows[row] = key << T_COUNT_BITS
        creations[n * N + N_ROW] = row + 1
        st[S_TN] = row + 1
    rows[row] += 1


@njit
def mark_range(tl, st, typ, kind, now):
    """STWBegin, STWEnd, GCActive, GCBegin, GCEnd: of each at most one at a time (worldsema, gcSeq)."""
    ranges = tl[3]
    if typ == 26:
        st[S_STW] = now
        st[S_STWKIND] = kind
        return
    if typ == 28 or typ == 29:
        if st[S_GC] < 0:
            # what is going on at its first mention began before the trace
            st[S_GC] = 0 if (typ == 28 and st[S_GC] == T_NEVER) else now
        return
    since = S_STW if typ == 27 else S_GC
    began = st[since]
    st[since] = T_CLOSED
    if began == T_CLOSED:
        return  # damage
    if began == T_NEVER:
        began = np.int64(0)  # it began before the trace
    n = st[S_RN]
    if n >= T_RANGES:
        st[E_RANGES] += 1
        return
    ranges[3 * n] = st[S_STWKIND] if typ == 27 else T_GC
    ranges[3 * n + 1] = began
    ranges[3 * n + 2] = now
    st[S_RN] = n + 1
