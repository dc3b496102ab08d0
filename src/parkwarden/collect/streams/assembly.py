"""Points -> readings: what one instance told of one time comes in pieces, in several messages, from several connections.

    assembly.tell("10.1.2.3:6060", 1_790_000_000.0, {"goroutines": 412.0, "open_fds": 33.0})

Values of one instance within SAME_S of each other are one reading. It is handed to the roll when a later time comes, or LINGER_S after its
first piece. What comes later still for a time already handed over is late: counted, not told.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import fields
from operator import itemgetter
from typing import TypeAlias

from parkwarden.collect.streams.roll import Roll
from parkwarden.formats.runtime_names import FLOATS
from parkwarden.model.artefact import Reading

SAME_S = 0.5
"""Apart, two times are two readings: half of the shortest interval anybody reports at."""
LINGER_S = 2.0
"""How long pieces of one reading may take to come: senders that shard do so within a second."""
FLUSH_S = 0.5
"""Between two looks for readings of which nothing more came."""
PAUSE_READINGS = 200
"""Readings handed over before others have their turn: 10 ms."""
SUMMED = frozenset(("requests_total",))
"""Fields of which the pieces are added up: one series per handler and status."""

_FIELDS = frozenset(field.name for field in fields(Reading)) - {"at", "go_version"}

_Held: TypeAlias = tuple[float, float, dict[str, float]]
"""Time of the values, our time of the first of them, values."""


class Assembly:
    """See the module. `points` counts values by the way they went (`taken`, `late`, `unusable`, `not-taken`); `monotonic` is what LINGER_S
    goes by; `summed`: fields of which pieces are added up here, for streams that do not know series. Senders that shard may be `linger_s`
    apart: then `times` times of one instance are open at once."""

    def __init__(
        self,
        roll: Roll,
        points: Counter[str],
        monotonic: Callable[[], float],
        *,
        summed: frozenset[str] = SUMMED,
        linger_s: float = LINGER_S,
        times: int = 1,
    ) -> None:
        self._roll = roll
        self._points = points
        self._monotonic = monotonic
        self._summed = summed
        self._linger_s = linger_s
        self._times = times
        self._open: dict[str, list[_Held]] = {}
        """Instance -> what is open of it, in the order of time; the longest open first."""
        self._done: dict[str, float] = {}

    def tell(self, instance_id: str, at: float, values: Mapping[str, float]) -> None:
        """Values by field of Reading, of an instance the roll has `seen`."""
        held = self._open.setdefault(instance_id, [])
        for one in reversed(held):
            if abs(at - one[0]) <= SAME_S:
                into = one[2]
                for name, value in values.items():
                    into[name] = into.get(name, 0.0) + value if name in self._summed else value
                return
        late = at - self._done.get(instance_id, -math.inf) <= SAME_S
        if late or (len(held) >= self._times and at < held[0][0]):
            self._points["late"] += len(values)
        else:
            held.append((at, self._monotonic(), dict(values)))
            held.sort(key=itemgetter(0))
        if not held:
            del self._open[instance_id]
        elif len(held) > self._times:
            self._close(instance_id)

    def flush(self, *, everything: bool = False, most: int = 0) -> bool:
        """Hand over what has lingered long enough, of `most` instances (0 = all); whether more has."""
        before = self._monotonic() - self._linger_s
        done = 0
        while self._open:
            name = next(iter(self._open))
            if not everything and self._open[name][0][1] > before:
                return False
            if most and done >= most:
                return True
            self._close(name)
            done += 1
        return False

    async def keep_flushing(self, then: Callable[[], None]) -> None:
        """Hand over what has lingered, for ever, a turn at a time; `then` is called after each look."""
        while True:
            await asyncio.sleep(FLUSH_S)
            while self.flush(most=PAUSE_READINGS):
                await asyncio.sleep(0)
            then()

    def forget(self, instance_id: str) -> None:
        """An instance is gone."""
        self._open.pop(instance_id, None)
        self._done.pop(instance_id, None)

    def _close(self, instance_id: str) -> None:
        """Hand over the earliest."""
        held = self._open.pop(instance_id)
        at, _, values = held.pop(0)
        if held:
            self._open[instance_id] = held
        self._done[instance_id] = at
        told: dict[str, float | int] = {}
        for name, value in values.items():
            if name in _FIELDS and 0 <= value < math.inf:
                told[name] = value if name in FLOATS else int(value)
        self._points["unusable"] += len(values) - len(told)
        if size := len(told):
            taken = self._roll.read(instance_id, at, Reading.of(told))
            self._points["taken" if taken else "not-taken"] += size
