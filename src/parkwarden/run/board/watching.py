"""The `Host` of a running watch."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from parkwarden.model import UsageError
from parkwarden.run import incidents as acts
from parkwarden.run.board.host import MAX_PAST, Costs, Story
from parkwarden.run.board.kept import FIELDS

if TYPE_CHECKING:
    from parkwarden.collect.fleet.status import TargetState
    from parkwarden.model import EvidenceItem, Incident, ServiceKey, Silence
    from parkwarden.run.board.kept import Kept
    from parkwarden.run.engine import Engine, Tick
    from parkwarden.run.status import WatchStatus
    from parkwarden.run.watch import Watch
    from parkwarden.store.history import Series, SiteSteps


class WatchHost:
    """See `Host`. What is done here is in the state's database before it returns, and the watch goes on from it at once."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    @property
    def engine(self) -> Engine:
        return self._watch.engine

    def now(self) -> float:
        return self._watch.clock.now()

    def tick(self) -> Tick:
        return self._watch.last_tick

    def status(self) -> WatchStatus:
        return self._watch.status()

    def states(self) -> Mapping[str, tuple[TargetState, int]]:
        return self._watch.collector.states()

    def incidents(self) -> Sequence[Incident]:
        return self._watch.incidents()

    async def incident(self, incident_id: str) -> Incident | None:
        known = next((row for row in self.incidents() if row.id == incident_id), None)
        return known or await self._watch.ask(lambda state: state.incident(incident_id))

    async def acknowledge(self, incident_id: str, by: str, why: str = "") -> Incident:
        now = self.now()
        await self._whole(incident_id)
        row = await self._watch.ask(lambda state: acts.acknowledge(state, incident_id, by, now, why))
        await self._watch.heed_people()
        return await self.incident(row.id) or row

    async def resolve(self, incident_id: str, by: str, why: str = "") -> Incident:
        now = self.now()
        await self._whole(incident_id)
        row = await self._watch.ask(lambda state: acts.resolve(state, incident_id, by, now, why))
        await self._watch.heed_people()
        return await self.incident(row.id) or row

    async def silence(self, matchers: Sequence[str], by: str, why: str, lasts: str) -> Silence:
        made = partial(
            acts.silence, matchers=matchers, lasts=lasts, now=self.now(), new_id=uuid4().hex[:12], by=by, comment=why
        )
        silence = await self._watch.ask(lambda state: made(state))
        await self._watch.heed_people()
        return silence

    async def unsilence(self, silence_id: str, by: str, why: str = "") -> Silence:
        now = self.now()
        ended = await self._watch.ask(lambda state: acts.unsilence(state, silence_id, by, now, why))
        await self._watch.heed_people()
        return ended

    async def silences(self) -> list[Silence]:
        now = self.now()
        return await self._watch.ask(lambda state: state.silences(now))

    async def past(self, service: str | None = None) -> list[Incident]:
        return await self._watch.ask(lambda state: state.past(MAX_PAST, service))

    async def story(self, incident_id: str) -> Story:
        return await self._watch.ask(
            lambda state: Story(actions=state.actions(incident_id=incident_id), told=state.told(incident_id))
        )

    def costs(self) -> Costs:
        collector = self._watch.collector
        return Costs(
            since=self.status().started_at,
            fleet=collector.counters,
            services=collector.counters.services,
            stalled=collector.stalled(),
            stall_s_per_hour=collector.settings.stall_s_per_hour,
        )

    @property
    def kept(self) -> Kept:
        return self._watch.kept

    async def history(self, services: Sequence[ServiceKey], since: float, until: float, step_s: float) -> Series | None:
        history = self._watch.memory.history
        return await asyncio.to_thread(history.service, services, since, until, step_s, FIELDS)

    async def history_sites(
        self, services: Sequence[ServiceKey], since: float, until: float, step_s: float, most: int
    ) -> SiteSteps | None:
        history = self._watch.memory.history
        return await asyncio.to_thread(history.service_sites, services, since, until, step_s, most)

    async def evidence(self, *, service: str | None = None, instance: str | None = None) -> list[EvidenceItem]:
        return await asyncio.to_thread(self._watch.evidence.list, service=service, instance=instance)

    async def evidence_body(self, digest: str) -> tuple[EvidenceItem, bytes]:
        return await asyncio.to_thread(self._watch.evidence.open, digest)

    async def changed(self, after: int, timeout_s: float) -> int:
        return await self._watch.bell.after(after, timeout_s)

    async def _whole(self, incident_id: str) -> None:
        """The command line takes the first letters of an id; an address names one thing. Raises UsageError."""
        if await self.incident(incident_id) is None:
            raise UsageError("no-such-incident", "no incident has this id", hint="/incidents lists those that are kept")
