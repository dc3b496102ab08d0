"""What must be told, even while the state database cannot be written.

The database is the outbox: `commit` there makes an incident's change and its notifications one fact. When it cannot be written
(disk full, server away) an early warning must still go out: this outbox then keeps the change in memory, hands the
notifications to the sender all the same, and writes everything down as soon as the database takes it again. What had been
delivered meanwhile is marked so; a process killed in between may tell again, under the same keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from parkwarden.model import Incident, Notification, StoreError
from parkwarden.store.state import Queued, State

T = TypeVar("T")

MAX_UNWRITTEN = 2_000
"""Notifications held in memory while the database is away; beyond it the oldest delivered, then the oldest of all, are
given up and counted. At some 3 kB each: 6 MB."""


PATIENCE_S = 8.0
"""For one write: beyond the time a locked SQLite waits, and within two beats. A database that hangs must not stop the judging."""


class Runs(Protocol):
    """`AsyncState`: runs a call on the database's thread."""

    async def run(self, call: Callable[[State], T]) -> T: ...


class Outbox:
    """The sender's and the watch's way to the state. Used from one event loop only."""

    def __init__(self, state: Runs) -> None:
        self._state = state
        self._incidents: dict[str, Incident] = {}
        self._unwritten: dict[str, Queued] = {}
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
            stored = await self._state.run(lambda s: s.due(now, limit, channel))
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

    async def next_due(self) -> float | None:
        """When the next notification is to be sent; None = nothing waits."""
        stored = None
        try:
            stored = await self._state.run(lambda s: s.next_due())
        except StoreError as error:
            self.trouble = error.message
        times = [q.next_at for q in self._waiting()] if self.trouble else []
        return min([*times, *([] if stored is None else [stored])], default=None)

    async def delivered(self, key: str, at: float) -> None:
        await self._note(key, lambda s: s.delivered(key, at), delivered_at=at)

    async def failed(self, key: str, at: float, error: str, next_at: float | None) -> None:
        later = {"parked": True} if next_at is None else {"next_at": next_at}
        await self._note(key, lambda s: s.failed(key, at, error, next_at), error=error, **later)

    async def _note(self, key: str, call: Callable[[State], object], **fields: object) -> None:
        """Tell the database what became of a notification; where it cannot be told, remember it."""
        known = self._unwritten.get(key)
        if known is not None:
            self._unwritten[key] = replace(known, attempts=known.attempts + 1, **fields)  # type: ignore[arg-type]
            return
        try:
            await self._state.run(call)
        except StoreError as error:
            self.trouble = error.message  # it will be sent again under the same key: at least once

    async def _write(self) -> None:
        changed = list(self._incidents.values())
        queued = list(self._unwritten.values())

        def call(state: State) -> None:
            state.commit(changed, [q.notification for q in queued])
            for q in queued:
                if q.delivered_at is not None:
                    state.delivered(q.notification.key, q.delivered_at)
                elif q.parked or q.attempts:
                    state.failed(q.notification.key, q.next_at, q.error, None if q.parked else q.next_at)

        try:
            async with asyncio.timeout(PATIENCE_S):
                if changed or queued:
                    await self._state.run(call)
                elif self.trouble:
                    await self._state.run(lambda s: s.ping())
        except StoreError as error:
            self.trouble = error.message
            return
        except TimeoutError:  # the call goes on by itself; doing it again is no harm, by the keys
            self.trouble = f"The state database did not answer within {PATIENCE_S:g} s."
            return
        self.trouble = ""
        for incident in changed:
            if self._incidents.get(incident.id) is incident:
                del self._incidents[incident.id]
        for q in queued:
            if self._unwritten.get(q.notification.key) is q:
                del self._unwritten[q.notification.key]

    def _bound(self) -> None:
        """Hold at most MAX_UNWRITTEN: what was delivered goes first."""
        over = len(self._unwritten) - MAX_UNWRITTEN
        if over > 0:
            order = sorted(self._unwritten, key=lambda k: self._unwritten[k].delivered_at is None)
            for key in order[:over]:
                self.given_up += self._unwritten.pop(key).delivered_at is None
