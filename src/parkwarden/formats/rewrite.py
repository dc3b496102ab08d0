"""Artefacts with other texts in them and everything else as it was: for redaction of what is kept as evidence.

`profile`: the strings of a profile.proto replaced, of any length; samples, locations, inlining and mappings stay. Fields that
google/pprof's profile.proto does not know are left out: nobody can say what they hold.
`trace`: the strings of an execution trace's string tables masked in place, so that every offset stays; where the trace is damaged (or
of Go 1.21 and before, which writes strings among its events) every printable run is masked too.
`printable`: any bytes, every printable run masked in place.

A mask must keep the length in bytes; one that does not is cut or filled with `*`. Raises FormatError for what is no profile or trace,
LimitError beyond the readers' limits.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from parkwarden.formats import _trace_scan
from parkwarden.formats._profile_wire import decode, gunzip
from parkwarden.formats._varint import read_uvarint
from parkwarden.formats.trace import sniff as is_trace
from parkwarden.model.errors import FormatError

Text: TypeAlias = Callable[[str], str]
Label: TypeAlias = Callable[[str, str], str]
"""(key, value) -> value: what a label is called says what it holds."""

MAX_FIELD = 15
"""Highest field of profile.proto's message Profile (doc_url)."""
_STRING_FIELD = 6
_RUN = re.compile(rb"[\t\x20-\x7e\x80-\xff]{6,}")
_VERSION = re.compile(rb"go 1\.(\d{1,4}) trace\0")
_LEVEL = 6
"""zlib's own: what is kept a month is worth more time than what is sent once."""


def profile(data: bytes, text: Text, label: Label) -> bytes:
    """The profile (gzipped or not) with its strings put through `text`, values of labels through `label`; gzipped."""
    message, _ = gunzip(data)
    columns = decode(message)
    values: dict[int, str] = {}
    for key, value in np.unique(columns.labels[:, :2], axis=0).tolist():
        if value:
            before = columns.text(value)
            after = label(columns.text(key), before)
            if after != before:
                values[value] = after
    out: list[bytes] = []
    number = 0
    for field, begin, start, end in _fields(message):
        if field == _STRING_FIELD:
            before = message[start:end].decode("utf-8", "surrogateescape")
            after = values.get(number, before) if number in values else text(before)
            number += 1
            raw = after.encode("utf-8", "surrogateescape") if after is not before else message[start:end]
            out += [b"\x32", _uvarint(len(raw)), raw]
        elif field <= MAX_FIELD:
            out.append(message[begin:end])
    pack = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
    return pack.compress(b"".join(out)) + pack.flush()


def _fields(message: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Top-level fields as (number, begin, begin of the payload, end), up to the end or the first damage."""
    pos, size = 0, len(message)
    while pos < size:
        begin = pos
        key, pos = read_uvarint(message, pos)
        if pos < 0:
            return
        start = pos
        match key & 7:
            case 0:
                _, pos = read_uvarint(message, pos)
            case 1:
                pos += 8
            case 2:
                length, pos = read_uvarint(message, pos)
                start = pos
                pos = pos + length if pos >= 0 else -1
            case 5:
                pos += 4
            case _:
                return
        if not 0 <= pos <= size or (key >> 3 == _STRING_FIELD and key & 7 != 2):
            return
        yield key >> 3, begin, start, pos


def _uvarint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def trace(data: bytes, mask: Text) -> bytes:
    """The trace with its strings put through `mask`, which keeps their lengths."""
    match = _VERSION.match(data[:32])
    if match is None or not is_trace(data):
        raise FormatError("not-a-trace", "this is not a Go execution trace")
    version = int(match[1])
    if version < 22:
        return printable(data, mask)
    out = bytearray(data)
    batches, sound = _trace_scan.string_batches(data, version)
    known: dict[bytes, bytes] = {}
    for offset, length in batches:
        for start, end in _strings(data, offset, offset + length):
            before = data[start:end]
            if before not in known:
                known[before] = _masked(before, mask)
            out[start:end] = known[before]
        sound = sound and _whole(data, offset, offset + length)
    return bytes(out) if sound else printable(bytes(out), mask)


def _strings(data: bytes, pos: int, stop: int) -> Iterator[tuple[int, int]]:
    """Places of the strings of one batch (internal/trace/generation.go: addStrings), up to the first damage."""
    pos += 1  # the batch's kind
    while pos < stop and data[pos] == 5:
        _, pos = read_uvarint(data, pos + 1)
        if pos < 0:
            return
        length, pos = read_uvarint(data, pos)
        if pos < 0 or pos + length > stop:
            return
        yield pos, pos + length
        pos += length


def _whole(data: bytes, offset: int, stop: int) -> bool:
    """Whether the batch's strings fill it to its end."""
    ends = [end for _, end in _strings(data, offset, stop)]
    return max(ends, default=offset + 1) == stop


def printable(data: bytes, mask: Text) -> bytes:
    """The bytes with every printable run of six and more put through `mask`, which keeps their lengths."""
    return _RUN.sub(lambda match: _masked(match[0], mask), data)


def _masked(before: bytes, mask: Text) -> bytes:
    text = before.decode("utf-8", "surrogateescape")
    after = mask(text)
    if after is text or after == text:
        return before
    return after.encode("utf-8", "surrogateescape")[: len(before)].ljust(len(before), b"*")
