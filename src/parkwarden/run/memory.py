"""What the watch remembers beyond its process: the journal of the last hours, and the history made of it.

Events and findings are written line by line to two journals as they come; closed hours become Parquet in the background.
Writing happens on one thread of its own: a disk that hangs holds up nobody but itself, and lines wait within bounds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from parkwarden.formats.recording import Reader, write
from parkwarden.model import Event, Finding, FormatError, StoreError, Verdict
from parkwarden.store.history import History, finding_line
from parkwarden.store.journal import Journal
from parkwarden.store.settings import StoreSettings

T = TypeVar("T")

WARM_S = 3600.0
"""Journal read at the start: the longest window that judges look back on in full resolution."""

MAX_LINES = 200_000
"""Lines waiting for the writer: two ticks of a Prometheus' 100,000 instances, a quarter of an hour of 1,000. Beyond it the oldest are dropped
and counted."""

MAX_WAITING_BYTES = 64 << 20
"""The same in bytes: lines that name sites are as long as those who are watched make them."""

FINDINGS_EVERY_S = 60.0
"""How often what is found is written to history: a picture of a week needs no more."""


class Memory:
    """Journals and history in `settings.folder`. `open` first; `close` writes down what waits. For one event loop."""

    def __init__(self, settings: StoreSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._lines: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._found: list[bytes] = []
        self._found_at = 0.0
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="parkwarden-journal")
        self._upkeep = ThreadPoolExecutor(1, thread_name_prefix="parkwarden-history")
        self._flushing: asyncio.Future[None] | None = None
        self._dropped = 0
        self._history_trouble = ""
        self.unread_lines = 0
        """Lines of the journal that could not be read at the start."""
        folder = Path(settings.folder)
        self.history = History(folder / "history", settings)
        self._folder = folder

    def open(self) -> None:
        """Take the journals' folders. Raises StoreError where another process has them or they cannot be made."""
        with suppress(OSError):  # the journal tells; made here since `parents` of mkdir would let everybody read it
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._events = Journal(self._folder / "journal", self._clock, self._settings)
        try:
            self._findings = Journal(self._folder / "findings", self._clock, self._settings)
        except StoreError:
            self._events.close()
            raise

    @property
    def trouble(self) -> str:
        """Why something cannot be written at present, "" = all can."""
        return self._events.trouble or self._findings.trouble or self._history_trouble

    @property
    def dropped(self) -> int:
        """Lines that were never written."""
        return self._dropped + self._events.dropped_lines + self._findings.dropped_lines

    @property
    def pruned_unread(self) -> int:
        """Segments deleted for their size before history had them."""
        return self._events.pruned_unread + self._findings.pruned_unread

    @property
    def lost_bytes(self) -> int:
        """Cut off from damaged tails when the journals were opened."""
        return self._events.lost_bytes + self._findings.lost_bytes

    async def replay(self, now: float) -> AsyncIterator[Event]:
        """Events of the last WARM_S, as they were; lines that cannot be read are passed over."""
        reader = Reader()
        chunks = self._events.replay(now - WARM_S)
        while True:
            chunk = await asyncio.to_thread(next, chunks, None)
            if chunk is None:
                break
            try:
                events = reader.feed(chunk)
            except FormatError:  # damaged, or a newer Parkwarden's: the windows fill from now on
                self.unread_lines += chunk.count(b"\n")
                return
            for event in events:
                yield event
        for event in reader.close():
            yield event
        self.unread_lines += reader.lost

    def remember(self, event: Event) -> None:
        line = write(event)
        self._lines.append(line)
        self._waiting_bytes += len(line)
        while len(self._lines) > MAX_LINES or self._waiting_bytes > MAX_WAITING_BYTES:
            self._waiting_bytes -= len(self._lines.popleft())
            self._dropped += 1

    def found(self, at: float, findings: Sequence[Finding]) -> None:
        """What was found at a beat; every FINDINGS_EVERY_S goes into history."""
        if 0 <= at - self._found_at < FINDINGS_EVERY_S:
            return
        self._found_at = at
        self._found = [finding_line(at, f) for f in findings if f.verdict.rank >= Verdict.SUSPECT.rank]

    def flush(self) -> None:
        """Have the writer write what waits; while it is still busy with the last batch, lines go on waiting."""
        if self._flushing is not None and not self._flushing.done():
            return
        lines, self._lines, self._waiting_bytes = list(self._lines), deque(), 0
        found, self._found = self._found, []
        self._flushing = asyncio.get_running_loop().run_in_executor(self._writer, self._write, lines, found)

    async def tidy(self, now: float) -> None:
        """Closed hours into history, old things out."""
        troubles: list[str] = []
        await self._try(troubles, self._upkeep, self.history.heal)
        for journal, convert in (
            (self._events, self.history.convert),
            (self._findings, self.history.convert_findings),
        ):
            for segment in await self._try(troubles, self._writer, journal.closed) or ():
                if await self._try(troubles, self._upkeep, convert, segment) is not None:
                    await self._try(troubles, self._writer, journal.done, segment)
            await self._try(troubles, self._writer, journal.prune, now)
        await self._try(troubles, self._upkeep, self.history.upkeep, now)
        self._history_trouble = troubles[0] if troubles else ""

    async def _try(
        self, troubles: list[str], thread: ThreadPoolExecutor, call: Callable[..., T], *args: object
    ) -> T | None:
        """One step of the upkeep: what fails is told, and the steps that would make room are still taken."""
        try:
            return await self._on(thread, call, *args)
        except StoreError as error:
            troubles.append(error.message)
        except OSError as error:
            troubles.append(error.strerror or str(error))
        return None

    async def close(self) -> None:
        """Write what waits and let the folders go."""
        if self._flushing is not None:
            await asyncio.wait([self._flushing])
        self.flush()
        await asyncio.to_thread(self._writer.shutdown)
        await asyncio.to_thread(self._upkeep.shutdown)
        self._events.close()
        self._findings.close()

    def _write(self, lines: list[bytes], found: list[bytes]) -> None:
        self._events.append(lines)
        if found:
            self._findings.append(found)

    async def _on(self, thread: ThreadPoolExecutor, call: Callable[..., T], *args: object) -> T:
        """A call on one of our threads: a journal is for one thread at a time, and converting must not hold its writer up."""
        return await asyncio.get_running_loop().run_in_executor(thread, call, *args)
