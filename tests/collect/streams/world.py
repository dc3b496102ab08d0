"""What tests of streams share: a clock that is set by hand, a roll, and the events that came of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from parkwarden.collect.streams.assembly import Assembly
from parkwarden.collect.streams.roll import Roll
from parkwarden.model import Event, Instance, Read, Reading

NOON = 1_790_000_000.0


@dataclass
class World:
    now: float = NOON
    direct: set[str] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)
    points: Counter[str] = field(default_factory=Counter)
    forgotten: list[tuple[str, str]] = field(default_factory=list)
    room: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.roll = Roll(
            self.events.append,
            lambda: self.now,
            direct=self.direct.__contains__,
            forgotten=lambda stream, name: self.forgotten.append((stream, name)),
            room=self.room.append,
        )
        self.assembly = Assembly(self.roll, self.points, lambda: self.now)

    def readings(self, instance_id: str = "") -> list[Reading]:
        return [e.reading for e in self.events if isinstance(e, Read) and instance_id in ("", e.instance)]


def instance(name: str = "a:1", **labels: str) -> Instance:
    return Instance(id=name, labels={"service": "shop", **labels})
