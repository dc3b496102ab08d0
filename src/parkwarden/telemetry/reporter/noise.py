"""What a reporter says about itself: few lines, never through its host's threads, never back into itself."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping

from parkwarden.telemetry.reporter.records import Reason, Signal, Tally

LOGGER = "parkwarden.telemetry.reporter"
"""The logger's name. What captures logs for a reporter leaves out this one and those below it."""
LOSSES_S = 60.0
"""How often losses are summed up, the first time so long after the begin: an outage has its own line already."""
LAST_S = 0.1
"""What the last line may take: the host's log may be a pipe that nobody reads."""

_own = threading.local()


def own_thread(mark: bool = False) -> bool:
    """Whether this thread is one of a reporter's (`mark`: from now on it is)."""
    if mark:
        _own.is_ours = True
    return getattr(_own, "is_ours", False)


class Noise:
    """At most `per_minute` lines in any minute; each on a thread of its own, and none while the last one is still being written."""

    def __init__(self, per_minute: int, clock: Callable[[], float], log: Callable[[str], None] | None = None) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._log = log or logging.getLogger(LOGGER).warning
        self._said: deque[float] = deque()
        self._told: dict[tuple[Signal, Reason], Tally] = {}
        self._told_at = clock()
        self._writing: threading.Thread | None = None

    def say(self, news: list[str], lost: Mapping[tuple[Signal, Reason], Tally]) -> None:
        now = self._clock()
        if now - self._told_at >= LOSSES_S and (line := self._losses(lost)):
            news = [*news, line]
            self._told_at = now
        for line in news:
            self._line(line, now)

    def last(self, lost: Mapping[tuple[Signal, Reason], Tally]) -> None:
        """At the end: what was lost and has not been said."""
        if line := self._losses(lost):
            self._line(line, self._clock())
        if self._writing is not None:
            self._writing.join(LAST_S)

    def _losses(self, lost: Mapping[tuple[Signal, Reason], Tally]) -> str:
        new = {key: tally.items - self._told.get(key, Tally()).items for key, tally in lost.items()}
        parts = [
            f"{signal} {reason} {count}"
            for (signal, reason), count in sorted(new.items())
            if count and reason is not Reason.UNIMPLEMENTED  # that has a line of its own, when it is met
        ]
        self._told = dict(lost)
        return f"dropped: {', '.join(parts)}" if parts else ""

    def _line(self, line: str, now: float) -> None:
        while self._said and now - self._said[0] >= 60.0:
            self._said.popleft()
        if len(self._said) >= self._per_minute or (self._writing is not None and self._writing.is_alive()):
            return
        self._said.append(now)
        try:
            self._writing = threading.Thread(target=self._write, args=(f"telemetry: {line}",), daemon=True)
            self._writing.start()
        except RuntimeError:  # no thread to be had: the host has other worries
            self._writing = None

    def _write(self, line: str) -> None:
        own_thread(True)
        try:
            self._log(line)
        except Exception:
            return
