"""`Host`: where what a page shows comes from: a running watch, or files that were opened.

Everything is asked on the loop that also feeds the engine, so what one method returns is of one moment; who keeps it over an `await`
keeps the past. Nothing here is changed by looking at it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from parkwarden.collect.fleet.status import Spent, TargetState
from parkwarden.model import EvidenceItem, Incident, Silence
from parkwarden.run.engine import Engine, Tick
from parkwarden.run.status import WatchStatus

if TYPE_CHECKING:
    from parkwarden.model import Action, ServiceKey
    from parkwarden.run.board.kept import Kept
    from parkwarden.store.history import Series, SiteSteps
    from parkwarden.store.state import Queued


MAX_PAST = 500
"""Incidents that are over in one list, the newest: to read so many takes 0.1 s of the state's thread. A service's own reach further back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What an incident's row does not say itself, oldest first."""

    actions: Sequence[Action] = ()
    """Of people, about it or about silences of no single incident."""
    told: Sequence[Queued] = ()
    """What was queued for channels, and what became of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What looking has cost since `since` (Unix seconds), by service."""

    since: float
    fleet: Spent = field(default_factory=Spent)
    """All of it."""
    services: Mapping[ServiceKey, Spent] = field(default_factory=dict)
    """Under OTHERS what is kept of no single service."""
    stalled: Mapping[str, float] = field(default_factory=dict)
    """Instance -> estimated stall in seconds within the last hour."""
    stall_s_per_hour: float = 0.0
    """What one instance may be stalled; 0 = nobody looks."""


class Host(Protocol):
    """See the module. Times are Unix seconds, of a recording its own."""

    @property
    def engine(self) -> Engine:
        """Windows, sites, descriptors, instances: to be read only."""

    def now(self) -> float:
        """The present; of a recording its last moment."""

    def tick(self) -> Tick:
        """The last judgement; its findings are redacted."""

    def status(self) -> WatchStatus: ...

    def states(self) -> Mapping[str, tuple[TargetState, int]]:
        """State and restarts of every target, by the instance's id."""

    def incidents(self) -> Sequence[Incident]:
        """Those not resolved, and those resolved lately."""

    async def incident(self, incident_id: str) -> Incident | None:
        """The incident of an id, older ones too; None if there is none. Raises StoreError."""

    async def acknowledge(self, incident_id: str, by: str, why: str = "") -> Incident:
        """`by` takes it on: reminders stop. Written down when it returns. Raises UsageError, StoreError."""

    async def resolve(self, incident_id: str, by: str, why: str = "") -> Incident:
        """`by` says that it is over. Raises as above."""

    async def silence(self, matchers: Sequence[str], by: str, why: str, lasts: str) -> Silence:
        """Nobody is told of what matches (`label=value`, `label=~regex`, an incident's id) for `lasts` (`2h`). Raises as above."""

    async def unsilence(self, silence_id: str, by: str, why: str = "") -> Silence:
        """A silence ends now. Raises as above."""

    async def silences(self) -> list[Silence]:
        """Those that last, the first to end first. Raises StoreError."""

    async def past(self, service: str | None = None) -> list[Incident]:
        """Incidents that are over, newest first, MAX_PAST at most. Raises StoreError."""

    async def story(self, incident_id: str) -> Story:
        """What people did about an incident and who was told of it. Raises StoreError."""

    def costs(self) -> Costs:
        """What looking has cost."""

    @property
    def kept(self) -> Kept:
        """Hours of everybody's numbers, restarts, two threshold sets: what pictures need beside the engine."""

    async def history(self, services: Sequence[ServiceKey], since: float, until: float, step_s: float) -> Series | None:
        """A service's numbers (board/kept.FIELDS) as history has them; None where there is no history. Raises StoreError."""

    async def history_sites(
        self, services: Sequence[ServiceKey], since: float, until: float, step_s: float, most: int
    ) -> SiteSteps | None:
        """A service's sites likewise, the `most` largest."""

    async def evidence(self, *, service: str | None = None, instance: str | None = None) -> list[EvidenceItem]:
        """What is kept, newest first. Raises StoreError."""

    async def evidence_body(self, digest: str) -> tuple[EvidenceItem, bytes]:
        """One item and its bytes, uncompressed and redacted. Raises UsageError where there is none, StoreError."""

    async def changed(self, after: int, timeout_s: float) -> int:
        """A number that rises with every beat and every action, as soon as it is above `after`, or after `timeout_s` as it is."""


class Bell:
    """A number that rises, and those who wait for it. Rings on the loop's thread."""

    def __init__(self) -> None:
        self.rung = 0
        self._next: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Wake everybody who waits."""
        self.rung += 1
        waited, self._next = self._next, None
        if waited is not None and not waited.done():
            waited.set_result(None)

    async def after(self, rung: int, timeout_s: float) -> int:
        """See `Host.changed`."""
        if self.rung <= rung:
            if self._next is None:
                self._next = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._next], timeout=timeout_s)
        return self.rung
