"""What must be told, even while the state database cannot be written.

The database is the outbox: `commit` there makes an incident's change and its notifications one fact. When it cannot be written
(disk full, server away) an early warning must still go out: this outbox then keeps the change in memory, hands the
notifications to the sender all the same, and writes everything down as soon as the database takes it again. What had been
delivered meanwhile is marked so; a process killed in between may tell again, under the same keys.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol, TypeVar

from parkwarden.model import Incident, Notification, StoreError
from parkwarden.store.state import Queued, State

T = TypeVar("T")

MAX_UNWRITTEN = 2_000
"""Notifications held in memory while the database is away; beyond it the oldest delivered, then the oldest of all, are
given up and counted. At some 6 kB each, with the site's stack: 12 MB."""


PATIENCE_S = 8.0
"""For one call: beyond the time a locked SQLite waits, and within two beats. A database that hangs must not stop the judging, or the telling."""


class _Note(NamedTuple):
    """What became of a stored notification and could not be written: it is not due before `until`."""

    write: Callable[[State], object]
    until: float


class Runs(Protocol):
    """`AsyncState`: runs a call on the database's thread."""

    async def run(self, call: Callable[[State], T]) -> T: ...


class Outbox:
    """The sender's and the watch's way to the state. Used from one event loop only."""

    def __init__(self, state: Runs) -> None:
        self._state = state
        self._incidents: dict[str, Incident] = {}
        self._unwritten: dict[str, Queued] = {}
        self._notes: dict[str, _Note] = {}
        self.given_up = 0
        self.trouble = ""
        """Why the database cannot be written now; "" = it can."""

    @property
    def unwritten(self) -> int:
        return len(self._unwritten)

    async def commit(self, changed: Sequence[Incident], notifications: Sequence[Notification]) -> None:
        """Keep a change and what is to be told about it. Never raises for a database that is away: see `trouble`."""
        self._incidents.update((incident.id, incident) for incident in changed)
        for told in notifications:
            self._unwritten.setdefault(told.key, Queued(notification=told, next_at=told.at))
        await self._write()
        self._bound()

    async def due(self, now: float, limit: int = 100, channel: str | None = None) -> list[Queued]:
        """What is to be sent now, from the database and from what could not be written."""
        stored: list[Queued] = []
        try:
            stored = await self.ask(lambda s: s.due(now, limit, channel))
            stored = [
                q
                for q in stored
                if q.notification.key not in self._notes or self._notes[q.notification.key].until <= now
            ]
        except StoreError as error:
            self.trouble = error.message
        if not self.trouble:
            return (
                stored  # what is not written yet is not told yet: a kill now must leave no one told of what we forgot
            )
        waiting = [
            q for q in self._waiting() if q.next_at <= now and (channel is None or q.notification.channel == channel)
        ]
        return [*waiting, *(q for q in stored if q.notification.key not in self._unwritten)][:limit]

    def _waiting(self) -> list[Queued]:
        return [q for q in self._unwritten.values() if q.delivered_at is None and not q.parked]

    async def delivered(self, key: str, at: float) -> None:
        await self._note(key, _Note(lambda s: s.delivered(key, at), math.inf), delivered_at=at)

    async def failed(self, key: str, at: float, error: str, next_at: float | None) -> None:
        later = {"parked": True} if next_at is None else {"next_at": next_at}
        until = math.inf if next_at is None else next_at
        await self._note(key, _Note(lambda s: s.failed(key, at, error, next_at), until), error=error, **later)

    async def hasten(self, now: float) -> None:
        """The clock was set back: what waits for its next try need not wait until the clock is there again."""
        for key, q in self._unwritten.items():
            self._unwritten[key] = replace(q, next_at=min(q.next_at, now))
        for key, note in self._notes.items():
            self._notes[key] = note if note.until == math.inf else note._replace(until=min(note.until, now))
        try:
            await self.ask(lambda s: s.hasten(now))
        except StoreError as error:
            self.trouble = error.message

    async def _note(self, key: str, note: _Note, **fields: object) -> None:
        """Tell the database what became of a notification; where it cannot be told, remember it."""
        known = self._unwritten.get(key)
        if known is not None:
            self._unwritten[key] = replace(known, attempts=known.attempts + 1, **fields)  # type: ignore[arg-type]
            return
        try:
            await self.ask(note.write)
            self._notes.pop(key, None)
        except StoreError as error:
            self.trouble = error.message
            self._notes[key] = note
            if len(self._notes) > MAX_UNWRITTEN:  # forgotten, it is sent again under the same key: at least once
                del self._notes[next(iter(self._notes))]

    async def _write(self) -> None:
        changed = list(self._incidents.values())
        queued = list(self._unwritten.values())
        notes = dict(self._notes)

        def call(state: State) -> None:
            state.commit(changed, [q.notification for q in queued])
            for q in queued:
                if q.delivered_at is not None:
                    state.delivered(q.notification.key, q.delivered_at)
                elif q.parked or q.attempts:
                    state.failed(q.notification.key, q.next_at, q.error, None if q.parked else q.next_at)
            for note in notes.values():
                note.write(state)

        try:
            if changed or queued or notes:
                await self.ask(call)
            elif self.trouble:
                await self.ask(lambda s: s.ping())
        except StoreError as error:
            self.trouble = error.message
            return
        self.trouble = ""
        for incident in changed:
            if self._incidents.get(incident.id) is incident:
                del self._incidents[incident.id]
        for q in queued:
            if self._unwritten.get(q.notification.key) is q:
                del self._unwritten[q.notification.key]
        for key, note in notes.items():
            if self._notes.get(key) is note:
                del self._notes[key]

    async def ask(self, call: Callable[[State], T]) -> T:
        """A call on the database, which has PATIENCE_S to answer. One that is given up goes on by itself: doing it again is
        no harm, by the keys."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._state.run(call)
        except TimeoutError:
            raise StoreError(
                "state-hangs", f"The state database did not answer within {PATIENCE_S:g} s.", passing=True
            ) from None

    def _bound(self) -> None:
        """Hold at most MAX_UNWRITTEN: what was delivered goes first."""
        over = len(self._unwritten) - MAX_UNWRITTEN
        if over > 0:
            order = sorted(self._unwritten, key=lambda k: self._unwritten[k].delivered_at is None)
            for key in order[:over]:
                self.given_up += self._unwritten.pop(key).delivered_at is None
