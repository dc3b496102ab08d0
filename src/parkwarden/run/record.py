"""Record: what the collector sees of a fleet, redacted, as a recording (format v1), until it is told to stop.

The collector is the one `watch` runs, with the same looks on beat, budgets and prices; nothing is judged, so there are no closer looks
on suspicion. Each event is one line, and lines are written whole: whenever this ends, also by Ctrl-C, the last line is a whole one.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from parkwarden.collect.limits import Tell, quiet
from parkwarden.formats.recording import write
from parkwarden.model import Capture, Event, Named, Started, UnreachableError, UsageError
from parkwarden.report.redact import Redactor

if TYPE_CHECKING:
    from parkwarden.run.config import Config

FLUSH_S = 5.0
"""Between two flushes: what a killed process may lose. Compressors pack a little worse for it."""

ZSTD_LEVEL = 6
"""Recordings pack about 20 to 1 at this level, at 100 MB/s."""


@dataclass(slots=True, kw_only=True)
class Recorded:
    """What was written."""

    events: int = 0
    lines_bytes: int = 0
    """Before compression."""
    instances: int = 0
    redacted: int = 0


class Sink:
    """Events into a file, compressed by its suffix (.gz, .zst). Raises UsageError where the file cannot be written."""

    def __init__(self, path: Path, *, force: bool = False) -> None:
        self.recorded = Recorded()
        self._path = path
        self._redactor = Redactor()
        self._seen: set[str] = set()
        try:
            self._raw: IO[bytes] = path.open("wb" if force else "xb")
        except FileExistsError:
            hint = "choose another name or add --force"
            raise UsageError("output-exists", f"{path} exists already", hint=hint) from None
        except OSError as error:
            raise self._unwritable(error) from None
        self._stream, self._sync = _packed(self._raw, path.suffix)

    def put(self, event: Event) -> None:
        """One event, redacted, as one line."""
        line = write(redacted(event, self._redactor))
        try:
            self._stream.write(line)
        except OSError as error:
            raise self._unwritable(error) from None
        self.recorded.events += 1
        self.recorded.lines_bytes += len(line)
        self.recorded.redacted = self._redactor.count
        if isinstance(event, Started):
            self._seen.add(event.instance.id)
            self.recorded.instances = len(self._seen)

    def flush(self) -> None:
        """Bring what was put to the disk's keeper; a compressed file is readable up to here."""
        try:
            self._sync()
            self._raw.flush()
        except OSError as error:
            raise self._unwritable(error) from None

    def close(self) -> None:
        """End the file; one that nothing was put into is removed. May be called twice."""
        try:
            with contextlib.closing(self._raw):
                if self._stream is not self._raw:
                    self._stream.close()
            if not self.recorded.events:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> UsageError:
        return UsageError(
            "output-unwritable",
            f"cannot write {self._path}: {error.strerror}",
            hint="is there room, and may you write there?",
        )


def _packed(raw: IO[bytes], suffix: str) -> tuple[Any, Callable[[], object]]:
    """The stream to write to, and what makes it readable up to here."""
    if suffix == ".gz":
        import gzip

        packed = gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=6)
        return packed, packed.flush
    if suffix in (".zst", ".zstd"):
        import zstandard

        stream = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True).stream_writer(raw, closefd=False)
        return stream, stream.flush
    return raw, raw.flush


def redacted(event: Event, redactor: Redactor) -> Event:
    """The event without secrets and personal data in names; numbers are kept."""
    match event:
        case Started(instance=instance):
            (labels,) = redactor.labels([dict(instance.labels)])
            clean = replace(
                instance, id=redactor.text(instance.id), labels=labels, address=redactor.text(instance.address)
            )
            return replace(event, instance=clean)
        case Named():
            return Named(redactor.site(event.site))
        case _:
            name = redactor.text(event.instance)
            return event if name is event.instance else replace(event, instance=name)


async def record(config: Config, sink: Sink, for_s: float | None = None, tell: Tell = quiet) -> Recorded:
    """Record the configuration's targets until `for_s` is over or SIGINT or SIGTERM comes; the sink is closed at the end.

    Raises UnreachableError where nothing at all answered, UsageError where the file cannot be written.
    """
    from parkwarden.collect.discovery import Discovery
    from parkwarden.collect.fleet.collector import Collector

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    failure: list[BaseException] = []

    def emit(event: Event) -> None:
        if failure or stop.is_set():
            return
        try:
            sink.put(event)
        except UsageError as error:
            failure.append(error)
            stop.set()

    collector = Collector(config.collect, emit, _keep_nothing)
    discovery = Discovery(config.targets, config.discovery)
    tasks = [
        asyncio.create_task(collector.run(), name="collector"),
        asyncio.create_task(discovery.run(collector.set_targets), name="discovery"),
        asyncio.create_task(_beat(sink, tell, for_s), name="flush"),
    ]
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    waiting = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([*tasks, waiting], timeout=for_s, return_when=asyncio.FIRST_COMPLETED)
        failure += [error for task in done if (error := task.exception()) is not None]
    finally:
        stop.set()
        for number in signals:
            loop.remove_signal_handler(number)
        for task in (*tasks, waiting):
            task.cancel()
        await asyncio.gather(*tasks, waiting, return_exceptions=True)
        sink.close()
    if failure:
        raise failure[0]
    if not sink.recorded.events:
        states = "; ".join(f"{s.id}: {s.error or s.state}" for s in collector.status()[:3])
        raise UnreachableError(
            "nothing-recorded", "no target answered", context=states, hint="parkwarden doctor URL says what is missing"
        )
    return sink.recorded


def _keep_nothing(_capture: Capture) -> None:
    """A recording holds what the judges see; captures are evidence, which `watch` keeps."""


async def _beat(sink: Sink, tell: Tell, for_s: float | None) -> None:
    """Flush now and then, and say how it goes."""
    loop = asyncio.get_running_loop()
    began = flushed = loop.time()
    while True:
        await asyncio.sleep(0.5)
        now = loop.time()
        if now - flushed >= FLUSH_S:
            flushed = now
            sink.flush()
        so_far = sink.recorded
        what = f"recording {so_far.instances:,} instance{'s' * (so_far.instances != 1)}: {so_far.events:,} events, {so_far.lines_bytes >> 10:,} KiB"
        tell(what, None if for_s is None else min((now - began) / for_s, 1.0))
