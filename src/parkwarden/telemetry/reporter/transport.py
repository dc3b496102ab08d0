"""What carries a batch to a back end. Transports are called on the reporter's courier thread, and nowhere else (but for `abort`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from importlib import import_module
from typing import Any, Protocol

from parkwarden.telemetry.reporter.records import Item, Reason, Signal


class Ending(Enum):
    """How a call ended, and so what becomes of its batch."""

    TAKEN = auto()
    """The back end said it has it (of which `rejected` items it will not keep)."""
    UNREACHED = auto()
    """It surely has nothing of it: goes back into the queue, as often as it takes."""
    UNSURE = auto()
    """It may have all or some of it: goes back once, and is given up the second time."""
    REJECTED = auto()
    """It will never take this: dropped."""
    ABSENT = auto()
    """It does not know this signal: dropped, and the signal is not offered again for a while."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`after_s`: the pause the back end asked for, None where it did not. `smaller`: it said the batch was too large.

    `give_up_as`: what items are dropped as that were UNSURE twice.
    """

    ending: Ending
    trouble: str = ""
    after_s: float | None = None
    rejected: int = 0
    not_encodable: int = 0
    smaller: bool = False
    give_up_as: Reason = Reason.UNCONFIRMED


class Transport(Protocol):
    """Nothing connects before the first `send`. A transport may raise; the reporter then takes it for UNSURE."""

    heartbeat_s: float
    """After so long without a call one with no items is made, so that the back end sees that we live; 0 = never."""

    @property
    def where(self) -> str:
        """The back end, for people: `otlp grpc 127.0.0.1:4317`."""
        ...

    def send(self, signal: Signal, items: Sequence[Item], deadline: float) -> Outcome:
        """Bring one batch over, or say why not, before `deadline` (of `time.monotonic`). No items: only find out who is there."""
        ...

    def abort(self) -> None:
        """From another thread: the call under way ends at once, and its connection is not used again."""
        ...

    def forked(self) -> None:
        """In a forked child: forget the connection without a word; it is the parent's."""
        ...


class Calling(ABC):
    """A transport that makes calls over one channel, which is made with the first of them, and left behind when it hangs.

    `needs`: modules it will import, which are imported when it is made (50 ms, 12 MB), not when the package is and not by the
    courier: a process forked while a thread imports has that module's lock held for ever, and importing holds the interpreter.
    """

    heartbeat_s = 0.0
    needs: tuple[str, ...] = ()

    def __init__(self) -> None:
        for name in ("parkwarden.telemetry.reporter.wire", *self.needs):
            import_module(name)
        self._channel: Any = None

    def send(self, signal: Signal, items: Sequence[Item], deadline: float) -> Outcome:
        from parkwarden.telemetry.reporter.wire import BrokenError, NotReachedError

        channel = self._channel = self._channel or self._open()
        try:
            return self._deliver(channel, signal, items, deadline)
        except NotReachedError as error:
            return Outcome(Ending.UNREACHED, str(error))
        except BrokenError as error:
            return Outcome(Ending.UNSURE, str(error))

    def abort(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.abort()

    def forked(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.drop()

    @abstractmethod
    def _open(self) -> Any:
        """A channel: its `abort` and `drop`, and what `_deliver` calls."""

    @abstractmethod
    def _deliver(self, channel: Any, signal: Signal, items: Sequence[Item], deadline: float) -> Outcome:
        """Raises NotReachedError and BrokenError."""
