"""Where finished segments go."""

from __future__ import annotations

from collections import deque
from threading import RLock
from typing import Protocol

from parkwarden.telemetry.forks import heed_forks
from parkwarden.telemetry.segment import Segment

RING_SEGMENTS = 1_000
"""Segments a ring keeps: some minutes of a process of a few requests a second."""
RING_SPANS = 10_000
"""Spans a ring keeps over all segments: about 10 MB of ordinary ones."""


class Sink(Protocol):
    """Takes finished segments on the thread that ended the last span: at once, without waiting for anything.

    What `take` raises is swallowed and counted by the tracer; spans started within it are not recorded.
    """

    def take(self, segment: Segment) -> None: ...


class Ring:
    """The last segments, in memory. What it has no room for is the oldest, and is counted in `dropped`."""

    def __init__(self, segments: int = RING_SEGMENTS, spans: int = RING_SPANS) -> None:
        self._max_segments, self._max_spans = segments, spans
        self._kept: deque[Segment] = deque()
        self._spans = 0
        self._lock = RLock()  # a collection within `take` may end a span, too
        self.taken = 0
        self.dropped = 0
        heed_forks(self)

    def take(self, segment: Segment) -> None:
        with self._lock:
            self.taken += 1
            self._kept.append(segment)
            self._spans += len(segment.spans)
            while self._kept and (len(self._kept) > self._max_segments or self._spans > self._max_spans):
                self._spans -= len(self._kept.popleft().spans)
                self.dropped += 1

    def drain(self) -> list[Segment]:
        """All that is kept, oldest first; the ring is empty afterwards."""
        with self._lock:
            found = list(self._kept)
            self._kept.clear()
            self._spans = 0
            return found

    def forked(self) -> None:
        """In a forked child: what the parent's ring holds is the parent's."""
        self._lock = RLock()
        self._kept, self._spans = deque(), 0

    def __len__(self) -> int:
        return len(self._kept)
