"""Who streams tell of, and what of it becomes events: the one way from a stream's readings to the engine.

An instance belongs to whoever told of it first: a direct target goes before every stream (its readings are ours and fresher), and a
second stream about the same id is not taken. Times are the sender's, which may lag (a queue that catches up) but not lead: what is up to
MAX_AHEAD_S in the future counts as now, beyond it is refused. Who is silent for FORGET_S is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from parkwarden.collect.fleet.probe import restarted
from parkwarden.model.artefact import Reading
from parkwarden.model.events import Event, Gone, Read, Started
from parkwarden.model.instance import Instance, other_life

MAX_INSTANCES = 1 << 17
"""Instances of all streams together: 131,072, at some 20 KiB of windows each."""
MAX_ID = 200
"""Characters of an instance's id that a sender makes up."""
MAX_AHEAD_S = 60.0
"""How far a sender's clock may lead ours."""
FORGET_S = 3600.0
"""Without a word from an instance. It was blind all the time; what was found of it stays with its incident."""


@dataclass(slots=True)
class _Told:
    instance: Instance
    stream: str
    heard: float
    """When its last word came, by our clock."""
    given: Instance | None = None
    """As its stream last told of it: who is told of by the same object has not changed."""
    last: Reading | None = None


class Roll:
    """See the module. `direct(id)`: whether an id is a target we read ourselves; `forgotten(stream, id)` hears of who is gone,
    `room(more)` of how many more are about to come. One loop."""

    def __init__(
        self,
        emit: Callable[[Event], None],
        clock: Callable[[], float],
        *,
        direct: Callable[[str], bool] = lambda _id: False,
        forgotten: Callable[[str, str], None] = lambda _stream, _id: None,
        room: Callable[[int], None] = lambda _more: None,
    ) -> None:
        self._emit = emit
        self._clock = clock
        self._direct = direct
        self._forgotten = forgotten
        self._room = room
        self._told: dict[str, _Told] = {}
        self.refused: Counter[str] = Counter()
        """Announcements and readings not taken, by why."""
        self.restarts = 0
        """Restarts of the watched that readings showed."""

    def __contains__(self, instance_id: object) -> bool:
        return instance_id in self._told

    def __len__(self) -> int:
        return len(self._told)

    def __iter__(self) -> Iterator[Instance]:
        return (told.instance for told in self._told.values())

    def by_stream(self) -> Counter[str]:
        """Instances by the stream that tells of them, "" for those that only a journal has told of: asked for at every page."""
        return Counter(told.stream for told in self._told.values())

    def stream_of(self, instance_id: str) -> str | None:
        """The name of the stream an instance belongs to."""
        told = self._told.get(instance_id)
        return told.stream if told is not None else None

    def resumed(self, instance: Instance) -> None:
        """Known from before a restart of ours: it keeps its windows, and belongs to the first stream that tells of it."""
        self._told[instance.id] = _Told(instance, "", self._clock())

    def expect(self, instances: Iterable[Instance]) -> None:
        """These are about to be `seen` for the first time, or again: what room the new ones take is made at once."""
        more = sum(one.id not in self._told for one in instances)
        if more:
            self._room(min(more, MAX_INSTANCES - len(self._told)))

    def seen(self, stream: str, instance: Instance, start_time: float | None = None) -> bool:
        """A stream tells of an instance. Announces who is new (in the life that began at `start_time`, if it does not say so itself) or changed;
        False where it is not taken. Cheapest where a stream tells of it by the same object again."""
        told = self._told.get(instance.id)
        if self._direct(instance.id):
            if told is not None:  # it became a target of our own
                del self._told[instance.id]
                self._forgotten(told.stream, instance.id)
            return self._refuse("direct-target")
        if told is None:
            if len(self._told) >= MAX_INSTANCES:
                return self._refuse("too-many-instances")
            new = instance if instance.start_time is not None else replace(instance, start_time=start_time)
            self._told[instance.id] = _Told(new, stream, self._clock(), given=instance)
            self._emit(Started(new, self._clock()))
            return True
        if told.stream != stream:
            if told.stream:
                return self._refuse("other-stream")
            told.stream = stream
        if told.given is not instance:
            told.given = instance
            self._changed(told, instance)
        return True

    def read(self, instance_id: str, at: float, reading: Reading) -> bool:
        """A reading of somebody `seen`, at Unix seconds `at`; False where it is not taken."""
        told = self._told.get(instance_id)
        now = self._clock()
        if told is None:
            return self._refuse("unknown-instance")
        if not at <= now + MAX_AHEAD_S:
            return self._refuse("in-the-future")
        at = min(at, now)
        told.heard = now
        last = told.last
        if last is not None:
            if at <= (last.at or 0.0):
                return self._refuse("not-newer")
            if restarted(last, reading):
                self.restarts += 1
                self._begin_life(told, reading.start_time, at)
        elif reading.start_time is not None:  # the first since we know of it, or since a restart of ours
            known = told.instance.start_time
            if known is None or other_life(known, reading.start_time):
                self._begin_life(told, reading.start_time, at)
        reading.at = at
        told.last = reading
        self._emit(Read(at, instance_id, reading))
        return True

    def hear(self, instance_id: str) -> None:
        """A sign of life without numbers: it is not forgotten, and blind all the same."""
        if (told := self._told.get(instance_id)) is not None:
            told.heard = self._clock()

    def last(self, instance_id: str) -> Reading | None:
        """The last reading taken."""
        told = self._told.get(instance_id)
        return told.last if told is not None else None

    def instance(self, instance_id: str) -> Instance | None:
        told = self._told.get(instance_id)
        return told.instance if told is not None else None

    def tidy(self) -> None:
        """Let go of those who were silent for FORGET_S."""
        now = self._clock()
        for name in [name for name, told in self._told.items() if now - told.heard > FORGET_S]:
            told = self._told.pop(name)
            self._emit(Gone(now, name))
            self._forgotten(told.stream, name)

    def _changed(self, told: _Told, instance: Instance) -> None:
        """Other labels, another address or life; a start time not told is the one known."""
        if instance.start_time is None:
            instance = replace(instance, start_time=told.instance.start_time)
        known = told.instance
        if instance != known:
            if other_life(known.start_time, instance.start_time):
                told.last = None
            told.instance = instance
            self._emit(Started(instance, self._clock()))

    def _begin_life(self, told: _Told, start_time: float | None, at: float) -> None:
        known = told.instance.start_time
        told.instance = replace(
            told.instance, start_time=at if start_time is None or start_time == known else start_time
        )
        self._emit(Started(told.instance, at))

    def _refuse(self, why: str) -> bool:
        self.refused[why] += 1
        return False
