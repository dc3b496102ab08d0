"""The `Host` over recordings: replayed to their end, the pages show that last moment and the incidents on the way to it.

The same engine as everywhere judges on virtual time (`run/replay`), and the usual policy of alerting moves incidents, so that a
recording's page reads as the watch's would have. Nothing can be changed here: what happened has happened.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING

from parkwarden.alert.advance import advance
from parkwarden.alert.policy import Policy
from parkwarden.alert.presence import presence
from parkwarden.collect.limits import Tell, quiet
from parkwarden.model import FormatError, Incident, IncidentState, Report, UsageError
from parkwarden.report.redact import Redactor, redact_report
from parkwarden.run.board.host import Costs, Story
from parkwarden.run.board.kept import Kept
from parkwarden.run.engine import Engine, Tick
from parkwarden.run.lives import Lives
from parkwarden.run.replay import Beat, recordings
from parkwarden.run.status import WatchStatus

if TYPE_CHECKING:
    from parkwarden.collect.fleet.status import TargetState
    from parkwarden.judge.fleet.rules import Rules
    from parkwarden.model import Event, EvidenceItem, ServiceKey, Silence
    from parkwarden.store.history import Series, SiteSteps

MAX_RESOLVED = 2_000
"""Incidents kept that ended on the way: as many as the watch looks back on."""


class Recorded:
    """See `Host` and the module. Made by `opened` or `of`."""

    def __init__(self, rules: Rules | None = None, modules: tuple[str, ...] = ()) -> None:
        self._engine = Engine(rules, modules=modules)
        self.kept = Kept(longest_s=math.inf)
        self._lives = Lives(self._engine)
        self._policy = Policy()
        self._redactor = Redactor()
        self._tick = Tick(at=0.0, findings=[], signals=[], blind={})
        self._began = math.nan
        self._ticks = 0
        self._moving: dict[str, Incident] = {}
        """Open, or resolved so lately that they may come back."""
        self._ended: dict[str, Incident] = {}
        self._ids = count(1)

    @classmethod
    def opened(
        cls, files: Sequence[str], rules: Rules | None = None, modules: tuple[str, ...] = (), tell: Tell = quiet
    ) -> Recorded:
        """Recordings given together are one fleet. Raises FormatError, LimitError, UsageError where one cannot be read."""
        with recordings(files, tell) as events:
            host = cls.of(events, rules, modules)
        if not host._ticks:
            raise FormatError("no-recording", f"{files[0]} holds nothing that could be judged")
        return host

    @classmethod
    def of(
        cls, events: Iterable[tuple[float, Event]], rules: Rules | None = None, modules: tuple[str, ...] = ()
    ) -> Recorded:
        """The same over (time, event) in the order of time; -inf for what has no time."""
        host = cls(rules, modules)
        beat = Beat([], host.judge)
        for at, event in events:
            if at > -math.inf:
                beat.before(at)
            host._lives.heed(event)
            host._engine.feed(event)
        beat.finish(-math.inf)
        host._began = beat.begin
        return host

    def judge(self, now: float) -> None:
        """One beat at `now`, which is what is shown from then on."""
        tick = self._engine.tick(now)
        tick.findings[:] = redact_report(
            Report(generated_at="", inputs=[], findings=tick.findings), self._redactor
        ).findings
        who = presence(
            self._engine.instances.values(), tick.blind, self._engine.began, self._moving.values(), now, self._policy
        )
        outcome = advance(
            self._moving.values(),
            tick.findings,
            who,
            now,
            self._policy,
            (),
            lambda: f"{next(self._ids):016x}",
            happened=self._lives.taken(),
        )
        self._moving.update((row.id, row) for row in outcome.changed)
        for row in list(self._moving.values()):
            if row.state is IncidentState.RESOLVED and now - row.resolved_at >= self._policy.reopen_s:
                self._ended[row.id] = self._moving.pop(row.id)
        while len(self._ended) > MAX_RESOLVED:
            del self._ended[next(iter(self._ended))]
        self.kept.heed(self._engine, now)
        self._tick = tick
        self._ticks += 1

    @property
    def engine(self) -> Engine:
        return self._engine

    def now(self) -> float:
        return self._tick.at

    def tick(self) -> Tick:
        return self._tick

    def status(self) -> WatchStatus:
        blind = len(self._tick.blind)
        return WatchStatus(
            started_at=self._began,
            last_tick_at=self._tick.at,
            ticks=self._ticks,
            targets=Counter({"up": len(self._engine.instances) - blind, "unreachable": blind}),
            findings=Counter(str(finding.verdict) for finding in self._tick.findings),
            incidents=[row for row in self._moving.values() if row.state is not IncidentState.RESOLVED],
        )

    def states(self) -> Mapping[str, tuple[TargetState, int]]:
        """Nobody was asked: a recording does not say how its looks went."""
        return {}

    def incidents(self) -> Sequence[Incident]:
        return [*self._moving.values(), *self._ended.values()]

    async def incident(self, incident_id: str) -> Incident | None:
        return self._moving.get(incident_id) or self._ended.get(incident_id)

    async def acknowledge(self, incident_id: str, by: str, why: str = "") -> Incident:
        raise _past()

    async def resolve(self, incident_id: str, by: str, why: str = "") -> Incident:
        raise _past()

    async def unsilence(self, silence_id: str, by: str, why: str = "") -> Silence:
        raise _past()

    async def silences(self) -> list[Silence]:
        return []

    async def past(self, service: str | None = None) -> list[Incident]:
        return []

    async def story(self, incident_id: str) -> Story:
        return Story()

    def costs(self) -> Costs:
        return Costs(since=self._began)

    async def silence(self, matchers: Sequence[str], by: str, why: str, lasts: str) -> Silence:
        raise _past()

    async def evidence(self, *, service: str | None = None, instance: str | None = None) -> list[EvidenceItem]:
        return []

    async def evidence_body(self, digest: str) -> tuple[EvidenceItem, bytes]:
        raise UsageError("no-evidence", "A recording holds no evidence.", hint="The watch that recorded may have it.")

    async def history(self, services: Sequence[ServiceKey], since: float, until: float, step_s: float) -> Series | None:
        """All that a recording tells is in `kept`."""
        return None

    async def history_sites(
        self, services: Sequence[ServiceKey], since: float, until: float, step_s: float, most: int
    ) -> SiteSteps | None:
        return None

    async def changed(self, after: int, timeout_s: float) -> int:
        """Nothing changes any more."""
        await asyncio.sleep(timeout_s)
        return after


def _past() -> UsageError:
    return UsageError(
        "read-only",
        "This is a recording: what it shows has happened and cannot be changed.",
        hint="Acknowledge and silence in the page of the running watch.",
    )
