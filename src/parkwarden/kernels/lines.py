"""Counting lines: the smallest kernel, used to size buffers before a scan."""

from __future__ import annotations

from numba import carray


def count_byte(data, size, byte):
    """How often `byte` occurs in data[:size]."""
    view = carray(data, (size,))
    n = 0
    for i in range(size):
        if view[i] == byte:
            n += 1
    return n


KERNELS = {"count_byte": (count_byte, "u8*, i64, i64")}
