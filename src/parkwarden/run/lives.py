"""What befalls instances while they are watched: they die and are started again, the kernel kills them. Events in, happenings out."""

from __future__ import annotations

from parkwarden.alert.text import moment
from parkwarden.model import Event, Gone, Happening, Read, Started, other_life, words
from parkwarden.run.engine import Engine

MAX_UNTOLD = 1_000
"""Happenings kept until the next beat; a fleet that restarts as a whole is a deploy, and its incidents keep a few each."""


class Lives:
    """`heed` every event before the engine is fed with it; `taken` tells what happened since it was last asked."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._killed: dict[str, int] = {}
        """Instance -> OOM kills of its control group as last read."""
        self._died: dict[str, float] = {}
        """Instance -> when its last life was heard of last, until its host tells of kills."""
        self._new: list[Happening] = []

    def heed(self, event: Event) -> None:
        if isinstance(event, Started):
            self._started(event)
        elif isinstance(event, Read):
            self._read(event)
        elif isinstance(event, Gone):
            self._killed.pop(event.instance, None)
            self._died.pop(event.instance, None)

    def taken(self) -> list[Happening]:
        """What happened since this was last asked, in order."""
        new, self._new = self._new, []
        return sorted(new, key=lambda one: one.at)

    def _started(self, event: Started) -> None:
        name, began = event.instance.id, event.instance.start_time
        known = self._engine.instances.get(name)
        if known is None or began is None or not other_life(known.start_time, began):
            return
        last = self._engine.last_news.get(name, began)
        self._died[name] = last
        text = f"{name} died after {moment(last)}"
        if known.start_time is not None and last > known.start_time:
            text += f", {words.seconds(last - known.start_time)} after its start"
        self._tell(Happening(at=began, instance=name, text=f"{text}, and was started again"))

    def _read(self, event: Read) -> None:
        kills = event.reading.oom_kills
        if kills is None:
            return  # the first look at a new life may be of its page alone
        died = self._died.pop(event.instance, event.at)
        before = self._killed.get(event.instance)
        self._killed[event.instance] = kills
        if before is not None and kills > before:
            what = "a process" if kills == before + 1 else f"{kills - before} processes"
            text = f"the kernel has killed {what} of {event.instance}'s control group for memory"
            self._tell(Happening(at=died, instance=event.instance, text=text))

    def _tell(self, one: Happening) -> None:
        if len(self._new) < MAX_UNTOLD:
            self._new.append(one)
