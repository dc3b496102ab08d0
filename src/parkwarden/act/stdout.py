"""Standard output: one line of JSON per notification, for a log collector or a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable

from parkwarden.act.body import encoded
from parkwarden.act.notifier import DeliveryError
from parkwarden.act.settings import Pace, StdoutSettings
from parkwarden.model import Notification


def _to_stdout(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


class StdoutNotifier:
    """`write` takes a whole line, its end included."""

    def __init__(self, name: str, settings: StdoutSettings, write: Callable[[bytes], object] = _to_stdout) -> None:
        self.name = name
        self.pace: Pace = settings.pace
        self._write = write

    async def send(self, n: Notification) -> None:
        try:
            self._write(encoded(n) + b"\n")
        except (OSError, ValueError) as error:
            raise DeliveryError("standard output is closed", retry=False) from error

    async def close(self) -> None:
        """Standard output is not ours to close."""
