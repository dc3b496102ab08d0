"""What kernels over protobuf's wire format use: varints and fields. Not a kernel module itself.

Source: protobuf.dev `programming-guides/encoding`. Groups (wire types 3 and 4) count as damage: none of our formats has them.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit
def varint(view, pos, end):
    """(value, next position); position -1 where the varint is cut off or longer than 10 bytes."""
    if pos < end and view[pos] < 0x80:  # nine of ten varints are one byte
        return np.int64(view[pos]), pos + 1
    value = np.int64(0)
    shift = np.int64(0)
    while pos < end and shift < 70:
        byte = np.int64(view[pos])
        pos += 1
        if shift < 64:
            value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, pos
        shift += 7
    return value, np.int64(-1)


@numba.njit
def field(view, pos, end):
    """(number, wire type, value, payload start, next position) of one field; next position -1 = damaged."""
    bad = np.int64(-1)
    zero = np.int64(0)
    key, pos = varint(view, pos, end)
    if pos < 0:
        return zero, zero, zero, zero, bad
    number = (key >> 3) & 0x1FFFFFFF
    wire = key & 7
    if number == 0:
        return zero, zero, zero, zero, bad
    if wire == 0:
        value, pos = varint(view, pos, end)
        return number, wire, value, zero, pos
    if wire == 2:
        length, pos = varint(view, pos, end)
        if pos < 0 or length < 0 or length > end - pos:
            return number, wire, zero, zero, bad
        return number, wire, length, pos, pos + length
    if wire == 1 or wire == 5:
        size = np.int64(8) if wire == 1 else np.int64(4)
        if end - pos < size:
            return number, wire, zero, zero, bad
        return number, wire, zero, pos, pos + size
    return number, wire, zero, zero, bad
