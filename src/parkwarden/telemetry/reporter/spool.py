"""Items on disk, for outages that memory is too small for and for what is queued when the process ends. Optional.

    Reporter(transport, spool=Spool(Path("/var/lib/shop/telemetry")))

The promise: what finds no room in memory while the back end is away, and what is still queued at a process' orderly end, is
written to the folder, up to `max_bytes`, and sent by this or a later process that is given the folder - *at least once*: a file
goes when the back end has said that it has it, so who dies between the two sends it again. Not promised: what is only in memory
when a process is killed, or what the system had not written when the machine lost power (files are synced before they get their
name, the folder is not). A disk that is full or slow costs telemetry, counted as `spool`, and never the host: only the courier
writes.

One file is one signal's batch: a name that sorts by time, zlib-packed JSON in it. Several processes may share a folder; who
sends a file holds it locked. A file that cannot be read is deleted and counted (`broken`). Needs a system with flock.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from parkwarden.telemetry.reporter.gently import gently
from parkwarden.telemetry.reporter.records import Item, LogRecord, MetricPoint, Signal, clean_log, clean_point
from parkwarden.telemetry.segment import FinishedSpan, Ref, RefKind, Segment, SpanKind, SpanLog

MAX_BYTES = 64 * 1024 * 1024
"""Of the folder: packed, an hour of a service of 100 requests a second."""
MAX_FILE = 4 * 1024 * 1024
"""Unpacked bytes of a file that are read: what one batch can be ten times over is not ours."""
MAX_FILES = 10_000
"""Files of a folder that are looked at."""
VERSION = 1


class SpoolFullError(Exception):
    """The folder holds as much as it may."""


@dataclass(slots=True)
class Stored:
    """A file that is ours to send; `lock` is open as long as nobody else may have it."""

    path: Path
    signal: Signal
    items: list[Item]
    lock: int


class Spool:
    """Used by a reporter's courier only."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._numbers = count()
        self.broken = 0

    def store(self, signal: Signal, items: Sequence[Item]) -> str:
        """Write one file; its name. Raises SpoolFullError and OSError."""
        told = {"version": VERSION, "signal": signal, "items": [_plain(item) for item in gently(items)]}
        data = zlib.compress(json.dumps(told, separators=(",", ":")).encode("ascii"), 1)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if sum(path.stat().st_size for path in self._files()) + len(data) > self._max_bytes:
            raise SpoolFullError(f"{self._folder} holds {self._max_bytes} bytes")
        name = f"{time.time_ns():020d}-{os.getpid()}-{next(self._numbers)}.spool"
        draft = self._folder / f"{name}.draft"
        try:
            with draft.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(self._folder / name)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        return name

    def oldest(self) -> Stored | None:
        """The oldest file that nobody else is sending; None where there is none."""
        import fcntl

        for path in self._files():
            try:
                lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except OSError:  # another one has sent it meanwhile
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                data = os.read(lock, MAX_FILE)
                gone = os.fstat(lock).st_nlink == 0  # sent by another one between opening and locking it
            except OSError:
                os.close(lock)
                continue
            if gone:
                os.close(lock)
                continue
            try:
                signal, items = _read(data)
            except (ValueError, TypeError, KeyError, LookupError, zlib.error):
                self.broken += 1
                self._forget(path, lock)
                continue
            return Stored(path, signal, items, lock)
        return None

    def release(self, stored: Stored) -> None:
        """It was not taken: it stays for later."""
        os.close(stored.lock)

    def done(self, stored: Stored) -> None:
        """The back end has it, or will never take it."""
        self._forget(stored.path, stored.lock)

    def _forget(self, path: Path, lock: int) -> None:
        try:
            path.unlink(missing_ok=True)
        finally:
            os.close(lock)

    def _files(self) -> list[Path]:
        try:
            return sorted(self._folder.glob("*.spool"))[:MAX_FILES]
        except OSError:
            return []


def _read(data: bytes) -> tuple[Signal, list[Item]]:
    """Raises of all kinds where it is not what `store` writes."""
    unpacker = zlib.decompressobj()
    told = json.loads(unpacker.decompress(data, MAX_FILE))
    if not unpacker.eof or told["version"] != VERSION:
        raise ValueError("not a whole file of ours")
    signal = Signal(told["signal"])
    return signal, [_READERS[signal](item) for item in gently(told["items"])]


def _plain(item: Item) -> list[Any]:
    if isinstance(item, LogRecord):
        return [item.at, item.severity, item.event_name, item.body, dict(item.attributes), item.trace_id, item.span_id]
    if isinstance(item, MetricPoint):
        return [
            item.name, item.unit, item.kind, item.value, item.at, item.start, dict(item.attributes), item.description,
        ]  # fmt: skip
    spans = [_plain_span(span) for span in item.spans]
    return [
        item.trace_id, item.segment_id, item.service, item.instance, spans, item.size_limited, item.w3c_id,
        item.skip_analysis,
    ]  # fmt: skip


def _plain_span(span: FinishedSpan) -> list[Any]:
    refs = [
        [ref.kind, ref.trace_id, ref.segment_id, ref.span_id, ref.service, ref.instance, ref.endpoint, ref.peer]
        for ref in span.refs
    ]
    logs = [[log.at, log.fields] for log in span.logs]
    return [
        span.span_id, span.parent_id, span.kind, span.name, span.peer, span.start, span.end, span.error, span.tags, logs,
        refs, span.unfinished,
    ]  # fmt: skip


def _segment(told: list[Any]) -> Segment:
    trace_id, segment_id, service, instance, spans, *more = told
    return Segment(trace_id, segment_id, service, instance, tuple(_span(span) for span in spans), *more)


def _span(told: list[Any]) -> FinishedSpan:
    span_id, parent_id, kind, name, peer, start, end, error, tags, logs, refs, unfinished = told
    return FinishedSpan(
        span_id, parent_id, SpanKind(kind), name, peer, start, end, error, _pairs(tags),
        tuple(SpanLog(at, _pairs(fields)) for at, fields in logs),
        tuple(Ref(RefKind(ref[0]), *ref[1:]) for ref in refs), unfinished,
    )  # fmt: skip


def _pairs(told: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((str(key), str(value)) for key, value in told)


_READERS: dict[Signal, Any] = {
    Signal.TRACES: _segment,
    Signal.LOGS: lambda told: clean_log(LogRecord(*told)),
    Signal.METRICS: lambda told: clean_point(MetricPoint(*told)),
}
