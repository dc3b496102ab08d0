"""The journal: every event as it came, one line each (recording format v1), one segment per hour.

    00000012-20261121T08.jsonl         the segment being written, or one that is not history yet
    00000011-20261121T07.done.jsonl    history has it; kept for the warm start

Segments are plain text, not compressed: a line that was written is readable whatever happened to the one after it, and history
compresses the hour anyway. The number orders segments, whatever the clock did in between. Each one can be read by itself: it begins
with the instances and sites known when it began.

Each append is one write, so a killed process loses nothing that was appended; what a power cut may cost is `StoreSettings.sync`. A
torn or damaged tail is cut off when the journal is opened: what stands before it is kept, what was lost is counted (`lost_bytes`).
When the disk is full, read-only or failing, lines are held in memory up to MAX_HELD, the oldest are dropped and counted, and the next
append after the trouble writes what is held: nothing raises, `trouble` says why.

One process writes a journal: the folder is locked. Several threads may: calls wait for each other.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from parkwarden.model.errors import StoreError
from parkwarden.store.settings import StoreSettings, Sync

MAX_HELD = 16 << 20
"""Bytes held in memory while the disk takes nothing: five minutes of 1,000 instances."""
MAX_HEADERS = 120_000
"""Instances and sites repeated at the begin of a segment; beyond it those named first are no longer repeated."""
MAX_TAIL = 16 << 20
"""Bytes searched backwards for the last sound line: one line of the greatest length there is."""
CHUNK = 1 << 20
"""Bytes read at once, give or take a line."""

_NAME = re.compile(r"(\d{8,})-(\d{8}T\d{2})(\.done)?\.jsonl")
_HEADER = (b'{"v":', b'{"site":')
_GONE = b'"gone":true}\n'
_TIME = re.compile(rb'\{"t":(-?[0-9.eE+-]+)[,}]')


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of the journal."""

    path: Path
    number: int
    hour: str
    """UTC hour in which it was begun: `20261121T08`."""
    done: bool
    """Whether history has it."""


class Journal:
    """Opening it locks the folder and repairs the last segment; raises StoreError where neither is possible."""

    def __init__(
        self,
        folder: str | Path,
        clock: Callable[[], float] = time.time,
        settings: StoreSettings | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.trouble = ""
        """Why nothing can be written at present, "" = all is well."""
        self.lost_bytes = 0
        """Cut off from a damaged tail when the journal was opened."""
        self.dropped_lines = 0
        """Never written: the disk took nothing and memory was full."""
        self.pruned_unread = 0
        """Segments deleted for their size before history had them."""
        self._clock = clock
        self._settings = settings or StoreSettings()
        self._mutex = threading.RLock()
        self._fd = -1
        self._size = 0
        self._current: Segment | None = None
        self._synced_at = clock()
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._headers: dict[tuple[str, str], bytes] = {}
        """(`v` or `site`, id) -> the line that introduced it."""
        self._lock = _locked(self.folder)
        try:
            self._recover()
        except OSError as error:
            self.trouble = f"cannot read the last segment: {error.strerror}"

    @property
    def held_bytes(self) -> int:
        """Lines waiting in memory for the disk."""
        return self._held_bytes

    def append(self, lines: Sequence[bytes]) -> None:
        """Write lines (each with its newline). Never raises for the disk: see `trouble`, `held_bytes`, `dropped_lines`."""
        with self._mutex:
            for line in lines:
                self._held.append(line)
                self._held_bytes += len(line)
            try:
                self._turn()
                if self._held:
                    data = b"".join(self._held)
                    self._write(data)
                    self._take(self._held)
                    self._held.clear()
                    self._held_bytes = 0
                self._sync()
                self.trouble = ""
            except OSError as error:
                self.trouble = error.strerror or str(error)
                self._let_go()
                while self._held_bytes > MAX_HELD:
                    line = self._held.popleft()
                    self._take((line,))  # a name that was dropped is still told by the next segment
                    self._held_bytes -= len(line)
                    self.dropped_lines += 1

    def replay(self, since: float) -> Iterator[bytes]:
        """Whole lines from `since` on, in chunks of about CHUNK bytes, oldest first; instances and sites of any age among them.

        For the warm start: feed the chunks to `formats.recording.Reader`. A segment that cannot be read is passed over.
        """
        first_hour = _hour(max(since, 0.0))
        current = self._current.number if self._current else -1
        for segment in self.segments():
            if segment.hour < first_hour and segment.number != current:
                continue
            for chunk in _chunks(segment.path):
                yield _from(chunk, since)

    def segments(self) -> list[Segment]:
        """All segments, oldest first, the one being written last."""
        return segments(self.folder)

    def closed(self) -> list[Segment]:
        """Segments that are complete and not history yet. Turns the hour if it is over."""
        with self._mutex:
            try:
                self._turn()
            except OSError as error:
                self.trouble = error.strerror or str(error)
                self._let_go()
            current = self._current.number if self._current else -1
            return [segment for segment in self.segments() if not segment.done and segment.number != current]

    def done(self, segment: Segment) -> None:
        """History has it."""
        name = segment.path.name.replace(".jsonl", ".done.jsonl")
        os.replace(segment.path, segment.path.with_name(name))

    def prune(self, now: float) -> int:
        """Delete what history has and is older than `journal_hours`, and the oldest beyond `journal_max_bytes`; how many."""
        with self._mutex:
            keep_from = _hour(now - self._settings.journal_hours * 3600)
            every = [
                segment
                for segment in self.segments()
                if self._current is None or segment.number != self._current.number
            ]
            sizes = {segment.number: _size(segment.path) for segment in every}
            total = sum(sizes.values()) + self._size
            gone = 0
            for segment in every:
                too_much = total > self._settings.journal_max_bytes
                if too_much or (segment.done and segment.hour < keep_from):
                    segment.path.unlink(missing_ok=True)
                    self.pruned_unread += not segment.done
                    total -= sizes[segment.number]
                    gone += 1
            return gone

    def close(self) -> None:
        """Write what is held if the disk takes it, force it down, let the folder go. A second call does nothing."""
        with self._mutex:
            if self._lock < 0:
                return
            if self._held:
                self.append(())
            if self._fd >= 0:
                try:
                    os.fdatasync(self._fd)
                except OSError as error:
                    self.trouble = error.strerror or str(error)
            self._let_go()
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- writing

    def _turn(self) -> None:
        """Have the segment of this hour open."""
        hour = _hour(self._clock())
        if self._fd >= 0 and self._current is not None and self._current.hour == hour:
            if os.fstat(self._fd).st_nlink:
                return
            self._let_go()  # somebody deleted it under us
        if self._fd >= 0:
            os.fdatasync(self._fd)
            self._let_go()
        if self._current is not None and self._current.hour == hour and self._current.path.exists():
            self._open(self._current)
            return
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        last = max((segment.number for segment in self.segments()), default=0)
        number = max(last, self._current.number if self._current else 0) + 1
        path = self.folder / f"{number:08d}-{hour}.jsonl"
        before = self._current
        self._open(Segment(path, number, hour, done=False))
        try:
            self._write(b"".join(self._headers.values()))
        except OSError:
            self._current = before  # a segment must begin with its headers: try anew
            path.unlink()
            raise

    def _open(self, segment: Segment) -> None:
        self._fd = os.open(segment.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size
        self._current = segment

    def _write(self, data: bytes) -> None:
        """All of it, or as if nothing had been written."""
        view = memoryview(data)
        try:
            while view:
                written = os.write(self._fd, view)
                if not written:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                view = view[written:]
        except OSError:
            if len(view) < len(data):
                os.ftruncate(self._fd, self._size)  # shrinking needs no space
            raise
        self._size += len(data)

    def _sync(self) -> None:
        sync, now = self._settings.sync, self._clock()
        overdue = not 0 <= now - self._synced_at < self._settings.sync_interval_s
        if sync is Sync.APPEND or (sync is Sync.INTERVAL and overdue):
            os.fdatasync(self._fd)
            self._synced_at = now

    def _let_go(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _take(self, lines: Iterable[bytes]) -> None:
        """Remember who was introduced."""
        for line in lines:
            if line.startswith(_HEADER):
                self._introduce(line)
            elif line.endswith(_GONE):
                record = _record(line)
                self._headers.pop(("v", str(record.get("instance"))), None)

    def _introduce(self, line: bytes) -> None:
        record = _record(line)
        site = record.get("site")
        key = ("site", str(site.get("id"))) if isinstance(site, dict) else ("v", str(record.get("instance")))
        self._headers.pop(key, None)  # told anew: it moves to the end
        self._headers[key] = line
        if len(self._headers) > MAX_HEADERS:
            del self._headers[next(iter(self._headers))]

    # ---- opening

    def _recover(self) -> None:
        """Cut a damaged tail off the last segment and learn who was introduced in it."""
        found = [segment for segment in self.segments() if not segment.done]
        if not found:
            return
        last = found[-1]
        whole = _sound_size(last.path)
        size = _size(last.path)
        if whole < size:
            self.lost_bytes = size - whole
            os.truncate(last.path, whole)
        for chunk in _chunks(last.path):
            if any(mark in chunk for mark in (*_HEADER, _GONE)):
                self._take(chunk.splitlines(keepends=True))
        self._current = last


def segments(folder: Path) -> list[Segment]:
    """The segments in a journal's folder, oldest first."""
    found = [
        Segment(path, int(match[1]), match[2], bool(match[3]))
        for path in (folder.iterdir() if folder.is_dir() else ())
        if (match := _NAME.fullmatch(path.name))
    ]
    return sorted(found, key=lambda segment: segment.number)


def _locked(folder: Path) -> int:
    """The folder's lock. Raises StoreError if it cannot be made or another process has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(
            "store-unwritable",
            f"The journal's folder cannot be opened: {error.strerror}.",
            context=str(folder),
            hint="Let the user who runs Parkwarden write to it, or choose another one (store.folder).",
        ) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise StoreError(
            "store-in-use",
            "Another Parkwarden writes to this folder.",
            context=str(folder),
            hint="Stop it, or give this one a folder of its own (store.folder).",
        ) from error
    return fd


def _hour(at: float) -> str:
    return time.strftime("%Y%m%dT%H", time.gmtime(at))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _record(line: bytes) -> dict[str, object]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return record if isinstance(record, dict) else {}


def _sound_size(path: Path) -> int:
    """Bytes up to the end of the last line that is a JSON object, looking at most MAX_TAIL back."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - MAX_TAIL)
        file.seek(start)
        tail = file.read()
    end = tail.rfind(b"\n") + 1
    while end:
        begin = tail.rfind(b"\n", 0, end - 1) + 1
        if _record(tail[begin:end]):
            return start + end
        end = begin
    return start


def _chunks(path: Path) -> Iterator[bytes]:
    """A file in chunks of whole lines; a last line without newline is left out, and so is what cannot be read."""
    rest = b""
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                cut = chunk.rfind(b"\n") + 1
                if cut:
                    yield rest + chunk[:cut]
                    rest = chunk[cut:]
                else:
                    rest += chunk
    except OSError:
        return


def _from(chunk: bytes, since: float) -> bytes:
    """The chunk's lines that are not older than `since` or tell no time."""
    kept = []
    for line in chunk.splitlines(keepends=True):
        match = _TIME.match(line)
        try:
            if match is None or float(match[1]) >= since:
                kept.append(line)
        except ValueError:
            kept.append(line)  # the reader tells what is wrong with it
    return b"".join(kept)
