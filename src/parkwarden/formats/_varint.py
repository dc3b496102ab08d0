"""Unsigned varints of protobuf and Go's traces, read one at a time: for headers; bulk data goes through the kernels."""

from __future__ import annotations


def read_uvarint(data: bytes, pos: int) -> tuple[int, int]:
    """(value, position behind it); the position is -1 where no varint of at most ten bytes stands at `pos`.

    A negative `pos` is what a failed read before it returned, and fails again. Source: encoding/binary: Uvarint.
    """
    value = 0
    for shift in range(0, 70, 7):
        if pos < 0 or pos >= len(data):
            break
        value |= (data[pos] & 127) << shift
        pos += 1
        if data[pos - 1] < 128:
            return value, pos
    return 0, -1
