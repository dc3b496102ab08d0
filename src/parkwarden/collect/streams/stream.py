"""What every stream is to the watch: parts to keep running, closer looks on suspicion, counters, what is wrong."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

Part: TypeAlias = Callable[[], Awaitable[None]]


class Stream(ABC):
    """`name` tells it apart in /metrics, troubles and the log: `otlp`, `remote-write`, `skywalking`, `prometheus[0]`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.points: Counter[str] = Counter()
        """Since the start, by outcome: `taken`, and what was not taken by why (`no-field`, `over-limit`, `malformed`, ...)."""
        self.trouble = ""
        """What is wrong with it now, in a sentence; "" = nothing."""

    @abstractmethod
    def parts(self) -> Mapping[str, Part]:
        """What is to be kept running, by name; none of them ends by itself."""

    def suspect(self, instance_id: str, why: str) -> bool:
        """A judge suspects an instance of this stream: look closer if that can be done. Cheap to call at every beat."""
        return False

    def last_chance(self, instance_id: str, limit: str, low_s: float) -> bool:
        """An instance may reach a limit in as little as `low_s` seconds: save what it will take with it, if that can be done."""
        return False

    def gone(self, instance_id: str) -> None:  # noqa: B027 -- not every stream keeps something of instances
        """An instance was silent for so long that it is forgotten."""
