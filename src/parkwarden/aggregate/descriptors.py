"""Open file descriptors by kind over time: the last counts of every instance, in columns.

Times are Unix seconds (or a recording's own) and rise within a life. A count that is not newer than the last is dropped and counted; another
start time is another life, and its window begins anew. Memory: 128 samples x 12 float64 = 12 KiB per instance that tells its kinds at all
(those that are looked at on their own host).
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from parkwarden.model import Descriptors, Instance, other_life
from parkwarden.model.descriptors import KINDS

Floats: TypeAlias = npt.NDArray[np.float64]

SAMPLES = 128
"""As many as the windows of readings keep."""
MAX_INSTANCES = 20_000
"""Of one host's processes there are some thousands; those beyond are refused and counted."""
_COLUMN = {kind: i + 1 for i, kind in enumerate(KINDS)}


class DescriptorWindows:
    """Rings of counts by kind, oldest first when asked for. Not thread-safe."""

    def __init__(self) -> None:
        self.dropped = 0
        """Counts not newer than the one before."""
        self.refused = 0
        """Counts of instances beyond MAX_INSTANCES."""
        self._rings: dict[str, Floats] = {}
        self._counts: dict[str, int] = {}
        self._starts: dict[str, float | None] = {}

    def started(self, instance: Instance) -> None:
        """An instance is there, or there again: another start time is another life."""
        before = self._starts.get(instance.id)
        if other_life(before, instance.start_time):
            self._counts.pop(instance.id, None)
        if instance.start_time is not None or instance.id not in self._starts:
            self._starts[instance.id] = instance.start_time

    def counted(self, event: Descriptors) -> None:
        """One look at the descriptors of an instance; a kind that is absent has none."""
        ring = self._rings.get(event.instance)
        if ring is None:
            if len(self._rings) >= MAX_INSTANCES:
                self.refused += 1
                return
            ring = self._rings[event.instance] = np.empty((SAMPLES, 1 + len(KINDS)))
        n = self._counts.get(event.instance, 0)
        if not math.isfinite(event.at) or (n and event.at <= ring[(n - 1) % SAMPLES, 0]):
            self.dropped += 1
            return
        row = ring[n % SAMPLES]
        row[:] = 0.0
        row[0] = event.at
        for kind, count in event.kinds.items():
            row[_COLUMN.get(kind, _COLUMN["other"])] += count
        self._counts[event.instance] = n + 1

    def gone(self, instance_id: str) -> None:
        """Forget it."""
        for known in (self._rings, self._counts, self._starts):
            known.pop(instance_id, None)

    def series(self, instance_id: str, now: float, window_s: float = math.inf) -> tuple[Floats, dict[str, Floats]]:
        """Times in (now - window_s, now], oldest first, and the counts of each kind that was ever open then."""
        n = self._counts.get(instance_id, 0)
        if not n:
            return np.empty(0), {}
        ring = self._rings[instance_id]
        ordered = ring[:n] if n <= SAMPLES else np.roll(ring, -(n % SAMPLES), axis=0)
        ordered = ordered[(ordered[:, 0] > now - window_s) & (ordered[:, 0] <= now)]
        told = {kind: ordered[:, column].copy() for kind, column in _COLUMN.items() if ordered[:, column].any()}
        return ordered[:, 0].copy(), told
