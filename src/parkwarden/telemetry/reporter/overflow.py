"""What is on its way to disk, or there: the part of a pump's books that a spool needs. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from parkwarden.telemetry.reporter.queue import Entry
from parkwarden.telemetry.reporter.records import Signal, Tally, total

STORE_ITEMS, STORE_BYTES = 2_000, 1024 * 1024
"""Of a file. Its JSON is at most thrice what it weighs in memory (escaped letters), and a call's worth."""
WORTH_ITEMS = 256
"""What gathers before it is written, while there is time: a file per item would be a sync per item."""
WAITING_BYTES = 2 * 1024 * 1024
"""What had to leave the queue and waits to be written; beyond, it is dropped."""


class Overflow:
    def __init__(self) -> None:
        self._waiting: dict[Signal, list[Entry]] = {signal: [] for signal in Signal}
        self._bytes = 0
        self._files: dict[str, tuple[Signal, Tally]] = {}
        """Written by this process, and (unless another one has sent them) still there."""
        self.more = True
        """Whether there may be files to send: another process may have left some."""

    def add(self, entries: Iterable[Entry], force: bool = False) -> list[Entry]:
        """Those there was no room for (`force`: there is)."""
        gone = []
        for entry in entries:
            if not force and self._bytes + entry.weight > WAITING_BYTES:
                gone.append(entry)
                continue
            self._waiting[entry.signal].append(entry)
            self._bytes += entry.weight
        return gone

    def next(self, least: int) -> tuple[Signal, list[Entry]] | None:
        """A file's worth, of a signal of which at least so many wait."""
        for signal, waiting in self._waiting.items():
            if len(waiting) < least:
                continue
            weight = count = 0
            for entry in waiting[:STORE_ITEMS]:
                if count and weight + entry.weight > STORE_BYTES:
                    break
                weight += entry.weight
                count += 1
            found, self._waiting[signal] = waiting[:count], waiting[count:]
            self._bytes -= weight
            return signal, found
        return None

    def stored(self, name: str, signal: Signal, entries: Iterable[Entry]) -> None:
        self._files[name] = signal, total(Tally(1, entry.weight) for entry in entries)
        self.more = True

    def recalled(self, name: str) -> Tally | None:
        """What one of our files held that is gone now; None where it was not ours."""
        found = self._files.pop(name, None)
        return found[1] if found else None

    def spooled(self) -> dict[Signal, Tally]:
        return {signal: total(tally for of, tally in self._files.values() if of is signal) for signal in Signal}

    def waiting(self) -> list[Entry]:
        return [entry for waiting in self._waiting.values() for entry in waiting]

    def clear(self) -> list[Entry]:
        found = self.waiting()
        self._waiting = {signal: [] for signal in Signal}
        self._bytes = 0
        return found
