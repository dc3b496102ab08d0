"""Remote-write messages as senders write them, by the protocol's own words: for tests of readers."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeAlias

Series: TypeAlias = tuple[dict[str, str], Sequence[tuple[int, float]]]
"""Labels, and (milliseconds, value) pairs."""


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def part(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def sample(at_ms: int, value: float | bytes) -> bytes:
    bits = value if isinstance(value, bytes) else struct.pack("<d", value)
    return b"\x09" + bits + b"\x10" + varint(at_ms)


STALE_BITS = bytes.fromhex("020000000000f07f")


def version_1(series: Sequence[Series]) -> bytes:
    """prometheus.WriteRequest."""
    out = b""
    for labels, samples in series:
        own = b"".join(part(1, part(1, k.encode()) + part(2, v.encode())) for k, v in sorted(labels.items()))
        out += part(1, own + b"".join(part(2, sample(at, value)) for at, value in samples))
    return out + part(3, b"\x08\x01" + part(2, b"go_goroutines"))


def version_2(series: Sequence[Series]) -> bytes:
    """io.prometheus.write.v2.Request."""
    symbols: dict[str, int] = {"": 0}
    rows = []
    for labels, samples in series:
        refs = b"".join(
            varint(symbols.setdefault(text, len(symbols))) for pair in sorted(labels.items()) for text in pair
        )
        rows.append(
            part(1, refs) + b"".join(part(2, sample(at, value)) for at, value in samples) + part(5, b"\x08\x02")
        )
    return b"".join(part(4, text.encode()) for text in symbols) + b"".join(part(5, row) for row in rows)
