"""What all trace kernels use: hash tables in flat arrays, and unsigned varints. Not a kernel module itself."""

from __future__ import annotations

import numpy as np
from numba import njit

from parkwarden.kernels._trace_layout import (
    E_STRINGID,
    S_IDMASK,
    S_SEED,
    S_STAMP,
)


@njit(inline="always")
def mixed(key, seed):
    h = (np.uint64(key) ^ np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
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
def string_of(idtab, st, key):
    """Index of a string id plus one; 0 is the empty string, ids unknown count as it."""
    if key == 0:
        return np.int64(0)
    value = lookup(idtab, st[S_IDMASK], key, st[S_SEED], st[S_STAMP])
    if value < 0:
        st[E_STRINGID] += 1
    return value + 1
