"""The host's side of a reporter: one append, no lock, nothing that waits, logs or raises.

What the host calls may run anywhere: in a signal's handler, in a finalizer within any of these lines, on any thread, and an
exception may be thrown into it at any point. So each hand-over is a single call of C (`deque.append`), which is there or not;
all that counts and sorts is done by the reporter's own thread.

Bounded twice without counting bytes: many small items and a few large ones. With the thread alive it holds what came within a
tenth of a second.
"""

from __future__ import annotations

import threading
from collections import Counter, deque

from parkwarden.telemetry.reporter.records import Item, Reason, Signal

SMALL_BYTES = 4 * 1024
"""What a small item weighs at most: an ordinary request's segment is half of it."""
SMALL_ITEMS, LARGE_ITEMS = 4_096, 64
"""Of small and of large ones (MAX_ITEM_BYTES each) waiting for the thread: 16 MiB at most of either."""


class Inbox:
    """`put` on any thread; all else on the reporter's."""

    def __init__(self) -> None:
        self._small: deque[tuple[Signal, Item, int]] = deque()
        self._large: deque[tuple[Signal, Item, int]] = deque()
        self._away: dict[tuple[Signal, Reason], bytearray] = {
            (signal, reason): bytearray() for signal in Signal for reason in _AT_THE_DOOR
        }
        self._bell = threading.Lock()

    def __len__(self) -> int:
        return len(self._small) + len(self._large)

    def put(self, signal: Signal, item: Item, weight: int) -> None:
        small = weight <= SMALL_BYTES
        line, most = (self._small, SMALL_ITEMS) if small else (self._large, LARGE_ITEMS)
        waiting = len(line)
        if waiting >= most:
            self.turn_away(signal, Reason.INBOX_FULL)
            return
        line.append((signal, item, weight))
        if waiting == most >> 1:
            self.ring()

    def turn_away(self, signal: Signal, reason: Reason) -> None:
        """Count what is not taken: a byte each, until the thread has counted them (an integer two threads add to loses some)."""
        self._away[signal, reason].append(0)

    def ring(self) -> None:
        """Wake the thread. Safe anywhere: a lock that is only ever released here."""
        if self._bell.locked():
            try:
                self._bell.release()
            except RuntimeError:  # somebody else just did
                return

    def wait(self, seconds: float) -> None:
        """Until somebody rings, or for `seconds`."""
        self._bell.acquire(timeout=max(seconds, 0.0))

    def take(self) -> tuple[Signal, Item, int] | None:
        for line in (self._small, self._large):
            if line:
                return line.popleft()
        return None

    def turned_away(self) -> Counter[tuple[Signal, Reason]]:
        """How many since it was last asked."""
        found: Counter[tuple[Signal, Reason]] = Counter()
        for key, marks in self._away.items():
            if count := len(marks):
                del marks[:count]
                found[key] = count
        return found

    def waiting(self) -> tuple[list[tuple[Signal, Item, int]], Counter[tuple[Signal, Reason]]]:
        """What is in it now, and how many were turned away: for an account between two turns of the thread."""
        away = Counter({key: len(marks) for key, marks in self._away.items() if marks})
        return [*_copy(self._small), *_copy(self._large)], away


_AT_THE_DOOR = (Reason.INBOX_FULL, Reason.TOO_LARGE, Reason.NOT_ENCODABLE, Reason.CLOSED, Reason.OWN)


def _copy(line: deque[tuple[Signal, Item, int]]) -> list[tuple[Signal, Item, int]]:
    while True:
        try:
            return list(line)
        except RuntimeError:  # it changed while it was copied
            continue
