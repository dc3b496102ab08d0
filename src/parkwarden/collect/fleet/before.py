"""The last answers on beat of each instance, in bounded memory: when a suspicion comes they are the evidence of "before"."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from parkwarden.model.artefact import Kind
from parkwarden.model.capture import Capture

MAX_ONE_BYTES = 32 << 10
"""A profile has 3 to 40 kB; a census of some hundred goroutines has 30 kB, larger ones are taken anew on suspicion anyway."""


class Before:
    """Captures by instance and kind; the oldest give way when all together pass `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[tuple[str, str], Capture] = OrderedDict()
        self.bytes = 0

    def put(self, capture: Capture) -> None:
        """Remember an answer in the place of the one before it."""
        key = (capture.instance, capture.kind)
        self._drop(key)
        if len(capture.body) > MAX_ONE_BYTES:
            return
        self._kept[key] = capture
        self.bytes += len(capture.body)
        while self.bytes > self._limit:
            self._drop(next(iter(self._kept)))

    def take(self, instance: str) -> Iterator[Capture]:
        """What is remembered of an instance, forgotten by that: each answer becomes evidence once."""
        for capture in sorted(self._of(instance), key=lambda c: c.at):
            self._drop((instance, capture.kind))
            yield capture

    def forget(self, instance: str) -> None:
        for capture in self._of(instance):
            self._drop((instance, capture.kind))

    def _of(self, instance: str) -> list[Capture]:
        """By its keys, not by looking through all: twenty thousand targets may go at once."""
        return [self._kept[key] for kind in Kind if (key := (instance, kind.value)) in self._kept]

    def _drop(self, key: tuple[str, str]) -> None:
        old = self._kept.pop(key, None)
        if old is not None:
            self.bytes -= len(old.body)
