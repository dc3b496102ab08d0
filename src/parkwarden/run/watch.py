"""Watch: collect -> aggregate -> judge -> alert, for ever, in one process.

One loop, a few parts, each kept running by the supervisor: discoveries publish targets, the collector turns looks into
events, a beat of TICK_S judges and moves incidents, the sender empties the outbox, the keeper stores evidence, housekeeping
turns journal into history. Nothing waits for a dead back end: what cannot be written is held within bounds and counted.

The order within a beat is the promise: an incident's change and its notifications are one commit, and only what is committed
is told. A process killed at any moment resumes from the state (incidents with their timers, outbox) and the journal (the
windows of the last hour).
"""

from __future__ import annotations

import asyncio
import math
import platform
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

import structlog

from parkwarden import kernels
from parkwarden.act.channels import notifiers
from parkwarden.act.sender import Sender
from parkwarden.act.settings import with_all_channels
from parkwarden.alert.advance import Outcome, advance
from parkwarden.alert.life import remembered
from parkwarden.alert.presence import presence
from parkwarden.collect.discovery import Discovery
from parkwarden.collect.fleet.collector import Collector
from parkwarden.collect.fleet.looks import KERNELS as LOOKING
from parkwarden.model import (
    Capture,
    Event,
    Finding,
    Gone,
    Incident,
    IncidentState,
    Notification,
    ParkwardenError,
    Report,
    StoreError,
    Target,
    Verdict,
    words,
)
from parkwarden.model.events import time_of
from parkwarden.report.redact import redact_report
from parkwarden.run.board.host import Bell
from parkwarden.run.board.kept import Kept
from parkwarden.run.clock import SteadyClock
from parkwarden.run.engine import KERNELS as JUDGING
from parkwarden.run.engine import TICK_S, Engine, Tick
from parkwarden.run.headlines import GOROUTINES, Headlines, Tell, account, now_words
from parkwarden.run.keeper import Keeper
from parkwarden.run.lives import Lives
from parkwarden.run.memory import Memory
from parkwarden.run.outbox import Outbox
from parkwarden.run.retention import Retention
from parkwarden.run.status import WatchStatus
from parkwarden.run.streams import Streams, made
from parkwarden.run.streams import kernels as streaming
from parkwarden.run.supervise import CALM_S, keep_running
from parkwarden.store.state import AsyncState, State
from parkwarden.telemetry import Ring, Tracer

if TYPE_CHECKING:
    from parkwarden.collect.streams.roll import Roll
    from parkwarden.collect.streams.stream import Stream
    from parkwarden.model import Silence
    from parkwarden.run.config import Config
    from parkwarden.run.outflow import Outflow
    from parkwarden.store.evidence import EvidenceStore

log = structlog.get_logger()

HOUSEKEEPING_S = 300.0
"""Between two looks at what can become history or be pruned."""

FIRST_TICK_S = 2.0
"""From the start to the first judgement: what was resumed need not wait for a whole beat."""

TRACED_BEATS = 120
"""Beats whose traces are kept: ten minutes, 120 KB."""

JOURNAL_S = 0.5
"""Between two writes of the journal: a few kilobytes each, and at most so much is lost to a kill."""

MAX_ENDED = 2_000
"""Incidents looked at for those that ended so lately that they may come back under their old id."""

PICTURE_S = 300.0
"""What a headline's picture of counts shows: the window in which fast leaks are seen."""

LISTENING_S = 1.0
"""How soon what somebody did through the command line is heard of: two small questions by index."""

HEARD_AGAIN = 16
"""Actions asked for once more: of two written at once, PostgreSQL may show the later number first. Heard twice is no harm."""

DEADLY = frozenset(("memory-limit", "thread-limit", "fd-limit"))
"""Limits that end a process, or all that it is good for: evidence is taken before they are reached."""

Part = Callable[[], Awaitable[None]]
T = TypeVar("T")


class Watch:
    """See the module. `tell` is given the headlines as they happen; `parts` are further parts to keep running (our pages)."""

    def __init__(
        self, config: Config, *, tell: Tell, parts: Mapping[str, Part] | None = None, clock: SteadyClock | None = None
    ) -> None:
        self.config = config
        self.clock = clock or SteadyClock()
        self.engine = Engine(config.rules)
        self.lives = Lives(self.engine)
        self.retention = Retention()
        self.discovery = Discovery(config.targets, config.discovery)
        self.outflow = _outflow(config, self.clock.now)
        self.traces = Ring(segments=TRACED_BEATS)
        sink = self.traces if self.outflow is None else self.outflow.sink(self.traces)
        self.tracer = Tracer(
            sink, service="parkwarden", instance=config.telemetry.instance or platform.node(), clock=self.clock.now
        )
        """Of our own beats, looks and deliveries."""
        self.collector = Collector(config.collect, self._event, self._capture, clock=self.clock.now, tracer=self.tracer)
        room = self.engine.windows.reserve
        self.streams = Streams(self._event, self.clock.now, self.collector.watches, self._make_streams, room=room)
        self.headlines = Headlines(tell, instance=self.engine.instance, counts=self._lately)
        self.memory = Memory(config.store, self.clock.now)
        self.kept = Kept()
        """What pictures need beside the engine's windows."""
        self.bell = Bell()
        """Rings at every beat and at everything people do: what live pages wait for."""
        self._policy = with_all_channels(config.alert, config.channels)
        self._parts = dict(parts or {})
        self._incidents: dict[str, Incident] = {}
        self._silences: list[Silence] = []
        self._moving = asyncio.Lock()
        """Held while incidents move: a beat and somebody's action do not overwrite each other."""
        self._heard = 0
        """The last action taken over."""
        self._restarts: Counter[str] = Counter()
        self._failing: dict[str, tuple[float, str]] = {}
        self._troubles: dict[str, str] = {}
        self._last = Tick(at=0.0, findings=[], signals=[], blind={})
        self._began = self.clock.now()
        self._ticks = 0
        self._tick_s = 0.0
        self._dropped_findings = 0

    async def run(self) -> None:
        """Watch until cancelled; everything is closed and written down when this ends. Raises where the state cannot be opened at all."""
        async with self.opened(), asyncio.TaskGroup() as group:
            for name, part in self._all_parts().items():
                group.create_task(keep_running(name, part, self._failed), name=name)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Everything open and resumed, nothing running yet: what `run` runs in."""
        async with AsyncExitStack() as closing:
            if self.outflow is not None:
                closing.push_async_callback(self.outflow.close)
            await asyncio.to_thread(self.memory.open)
            closing.push_async_callback(self.memory.close)
            self._state = AsyncState(await asyncio.to_thread(State.open, settings=self.config.store))
            closing.push_async_callback(self._state.close)
            self._outbox = Outbox(self._state)
            await self._compile()
            self._keeper = Keeper(self.config.store, self._state, lambda name: self.engine.instance(name).labels)
            channels = notifiers(self.config.channels, self.clock.now)
            if not channels:
                where = "docs/configuration.md#channels, or --webhook URL"
                self.headlines.info(self.clock.now(), f"no channel: incidents are shown here, nobody is told ({where})")
            self._sender = Sender(
                self._outbox, channels, self.clock.now, told=self._delivered, active=self.incidents, tracer=self.tracer
            )
            await self._resume()
            yield

    async def _compile(self) -> None:
        """Have all machine code ready before anybody is answered: what is not compiled would hold the loop for seconds later."""
        wanted = (*JUDGING, *LOOKING, *streaming(self.config))
        missing = await asyncio.to_thread(lambda: [name for name in wanted if not kernels.is_compiled(name)])
        if missing:
            how_long = f"{len(missing)} kernels, once: half a minute or more, in which nobody is answered"
            text = f"compiling {how_long} (`python -m parkwarden.kernels` does it ahead)"
            self.headlines.info(self.clock.now(), text)
        for name in wanted:
            await asyncio.to_thread(kernels.load, name)

    def _all_parts(self) -> dict[str, Part]:
        return {
            "collector": self.collector.run,
            "discovery": lambda: self.discovery.run(self._retarget),
            "beat": self._beat,
            "sender": self._sender.run,
            "keeper": self._keeper.run,
            "heap profiles": self.retention.run,
            "journal": self._write_down,
            "listening": self._listen,
            "housekeeping": self._housekeep,
            **self.streams.parts(),
            **self._parts,
        }

    def _make_streams(self, roll: Roll) -> list[Stream]:
        """What the configuration has others bring us."""

        def tell(text: str) -> None:
            self.headlines.info(self.clock.now(), text)

        known = self.engine.instances.__contains__
        return made(self.config, roll, self.clock.now, tell, self.collector, known, self._event, self._capture)

    async def _resume(self) -> None:
        """Where the last process stopped: incidents, silences, the windows of the last hour."""
        now = self.clock.now()
        for notice in self._state.state.notices:
            self.headlines.mishap(now, "state", notice)
        if self.memory.lost_bytes:
            self.headlines.mishap(now, "journal", f"a damaged tail of {self.memory.lost_bytes:,} bytes was cut off")
        self._heard = await self._state.run(lambda s: s.last_action())
        rows = await self._state.run(lambda s: s.incidents(active=True))
        ended = await self._state.run(lambda s: s.incidents(active=False, limit=MAX_ENDED))
        lately = [row for row in ended if row.state is IncidentState.RESOLVED and remembered(row, now, self._policy)]
        self._incidents = {row.id: row for row in [*lately, *rows]}
        self._silences = await self._state.run(lambda s: s.silences())
        events, at, told = 0, 0.0, 0.0
        async for event in self.memory.replay(now):
            self.engine.feed(event)
            events += 1
            at = time_of(event, at)
            if at - told >= TICK_S:
                told = at
                self.kept.heed(self.engine, at)
        self.engine.resumed(now)
        if self.streams and not self.discovery.sources:  # otherwise this is done once they have told of targets
            self.streams.resumed(list(self.engine.instances.values()))
        if self.memory.unread_lines:
            self.headlines.mishap(
                now, "journal", f"{self.memory.unread_lines:,} lines of the last hour could not be read again"
            )
        if rows or events:
            self.headlines.info(now, f"resumed: {len(rows)} open incidents, {events:,} events of the last hour")

    # what comes in

    def _retarget(self, targets: Sequence[Target]) -> None:
        """A discovery found other targets. Until every source has spoken once, nobody is missing."""
        self.collector.set_targets(targets)
        self.engine.windows.reserve(sum(target.id not in self.engine.instances for target in targets))
        for target in targets:
            self.engine.expect(target.instance(), self.clock.now())
        known = {target.id for target in targets}
        if all(source.last_success is not None for source in self.discovery.sources):
            others = [one for name, one in self.engine.instances.items() if name not in known]
            if self.streams:
                self.streams.resumed(others)
            for gone in others:
                if gone.id not in self.streams.roll:
                    self._event(Gone(self.clock.now(), gone.id))
        collect = self.config.collect
        several = f"{len(targets):,} target{'s' if len(targets) != 1 else ''}"
        beats = [f"counts every {words.seconds(collect.interval_s)}"]
        beats += [f"goroutine profiles every {words.seconds(collect.profile_every_s)}"]
        beats += [f"censuses every {words.seconds(collect.census_every_s)}"] if collect.census else []
        self.headlines.info(self.clock.now(), f"watching {several}: {', '.join(beats)}; closer looks on suspicion")

    def _event(self, event: Event) -> None:
        self.lives.heed(event)
        self.engine.feed(event)
        self.memory.remember(event)

    def _capture(self, capture: Capture) -> None:
        self.headlines.captured(self.clock.now(), capture)
        self._keeper.keep(capture)
        self.retention.heed(capture)

    def _lately(self, instance_id: str, fields: Sequence[str] = GOROUTINES) -> list[float]:
        """Its numbers of the last minutes, for a picture: of the first of the fields that is told."""
        now = self.clock.now()
        series = (self.engine.windows.series(instance_id, field, now, PICTURE_S)[1] for field in fields)
        return next((counts.tolist() for counts in series if len(counts)), [])

    # the beat

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + FIRST_TICK_S - TICK_S
        while True:
            due = max(due + TICK_S, loop.time())
            await asyncio.sleep(due - loop.time())
            await self._heed_clock()
            await self._judge(self.clock.now())

    async def _heed_clock(self) -> None:
        step, now = self.clock.jumped(), self.clock.now()
        if not step:
            return
        self.engine.resumed(now)
        self._last = replace(
            self._last, at=self._last.at + step
        )  # of the new time, too: who asks whether judging goes on asks for an age
        self._began += step
        if step < 0:
            await self._outbox.hasten(now)
        self.headlines.info(now, f"the system's clock was set by {step:+.1f} s: windows begin anew")

    async def _judge(self, now: float) -> None:
        """One beat, traced: judge, look closer, move incidents, write down; tell."""
        began = asyncio.get_running_loop().time()
        with self.tracer.entry("beat"):
            with self.tracer.local("judge"):
                tick = self.engine.tick(now)
                tick.findings[:] = _redacted(self.retention.told(tick.findings))
            self.kept.heed(self.engine, now)
            self.headlines.targets(now, self.collector.status(self.headlines.news_of(now, self.collector.states())))
            self.headlines.judged(now, tick.findings, tick.signals)
            for signal in tick.signals:
                if signal.verdict.rank >= Verdict.SUSPECT.rank and signal.instance not in tick.blind:
                    self._look_closer(signal.instance, signal.detector)
            self._save_in_time(tick)
            async with self._moving:
                with self.tracer.local("advance"):
                    outcome = self._advance(tick, now)
                with self.tracer.local("commit"):
                    await self._outbox.commit(outcome.changed, outcome.notifications)
                self._take_over(outcome, now)
        if self.outflow is not None:
            self.outflow.beat(now, outcome.changed, tick.findings, self.status)
        self._sender.wake()
        self.memory.found(now, tick.findings)
        self._last = tick
        self._ticks += 1
        self._tick_s = asyncio.get_running_loop().time() - began
        self._look_at_ourselves(now)
        self.bell.ring()

    def _save_in_time(self, tick: Tick) -> None:
        """Who may reach a limit soon is looked at while it is there: what a process knew dies with it."""
        for finding in tick.findings:
            left, name = finding.time_left, finding.instance or next(iter(finding.instances), None)
            if left is None or left.limit not in DEADLY or left.seconds <= 0 or name is None or name in tick.blind:
                continue
            low_s = left.low_s - (tick.at - left.at)
            if not self.streams.last_chance(name, left.limit, low_s):
                self.collector.last_chance(name, left.limit, low_s)

    def _look_closer(self, instance_id: str, why: str) -> None:
        """Whoever tells of an instance knows how it can be looked at."""
        if not self.streams.suspect(instance_id, why):
            self.collector.suspect(instance_id, why)

    def _advance(self, tick: Tick, now: float) -> Outcome:
        policy = self._policy
        who = presence(
            self.engine.instances.values(), tick.blind, self.engine.began, self._incidents.values(), now, policy
        )
        return advance(
            self._incidents.values(),
            tick.findings,
            who,
            now,
            policy,
            self._silences,
            lambda: uuid4().hex[:16],
            evidence=self._keeper.stored(),
            saved=self._keeper.saved(now),
            happened=self.lives.taken(),
        )

    def _take_over(self, outcome: Outcome, now: float) -> None:
        """The rows as they were handed to be written are what the next beat goes on from."""
        self._incidents.update((row.id, row) for row in outcome.changed)
        for row in list(self._incidents.values()):
            if row.state is IncidentState.RESOLVED and not remembered(row, now, self._policy):
                del self._incidents[row.id]
        self._dropped_findings += outcome.dropped
        self.headlines.incidents(now, outcome.changed)

    def incidents(self) -> list[Incident]:
        """What is open, and what was resolved lately: for pages, and for channels that must be told again and again."""
        return list(self._incidents.values())

    # what goes out, and upkeep

    def _delivered(self, notification: Notification, error: str) -> None:
        self.headlines.delivered(self.clock.now(), notification, error)

    async def _listen(self) -> None:
        """Silences and acknowledgements given by other processes."""
        while True:
            await asyncio.sleep(LISTENING_S)
            try:
                await self.heed_people()
            except StoreError as error:
                self._outbox.trouble = error.message

    async def heed_people(self) -> None:
        """Take over from the state what people did, through whichever process. Raises StoreError."""
        silences, actions = await self.ask(lambda s: (s.silences(), s.actions(after=max(0, self._heard - HEARD_AGAIN))))
        async with self._moving:
            changed: dict[str, Incident] = {}
            for action in actions:
                row = changed.get(action.incident_id) or self._incidents.get(action.incident_id)
                news = action.number > self._heard
                if row is not None and (news or action.silence is None) and (after := row.after(action)) != row:
                    changed[row.id] = after
            if changed:  # a row written down meanwhile by us, who had not heard of it, is put right
                await self._outbox.commit(list(changed.values()), [])
                self._incidents.update(changed)
            if changed or silences != self._silences:
                self.bell.ring()
            self._silences = silences
            self._heard = max([self._heard, *(action.number for action in actions)])

    async def _write_down(self) -> None:
        """The journal, more often than the beat: what a killed process has seen but not written it has to see again."""
        while True:
            await asyncio.sleep(JOURNAL_S)
            self.memory.flush()

    async def _housekeep(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            await self._tidy(self.clock.now())

    async def _tidy(self, now: float) -> None:
        """What is old goes. Files first, and each for itself: where the disk is full, this is what makes room."""
        for tidy in (self.memory.tidy, self._keeper.tidy, self._prune):
            try:
                await tidy(now)
            except StoreError as error:
                log.warning("could not tidy up", error=error.message)

    async def _prune(self, now: float) -> None:
        await self._state.run(partial(State.prune, now=now))

    def _failed(self, name: str, error: Exception, wait_s: float) -> None:
        """Known errors in their own words and with what to do; a traceback is for what nobody foresaw, whose words may hold secrets."""
        self._restarts[name] += 1
        if isinstance(error, ParkwardenError):
            what = " ".join(filter(None, (error.message, error.context)))
            said = what = f"{what} | {error.hint}" if error.hint else what
            details: dict[str, object] = {"error": what}
        else:
            what = type(error).__name__
            said = f"fails and is started again: {what}"
            details = {"exc_info": error}
        now = self.clock.now()
        at, before = self._failing.get(name, (-math.inf, ""))
        self._failing[name] = (now, said)
        news = (
            said != before or now - at >= CALM_S
        )  # the same again and again is told once; troubles show that it lasts
        if news or "exc_info" in details:
            log.error("a part of the watch failed", part=name, again_in_s=wait_s, **details)
        if news:
            self.headlines.info(now, f"{name} failed and starts again in {wait_s:.1f} s: {what}")

    # how we are

    @property
    def last_tick(self) -> Tick:
        return self._last

    async def ask(self, call: Callable[[State], T]) -> T:
        """A call on the state's database, while `opened`; it has a few seconds to answer. Raises StoreError."""
        return await self._outbox.ask(call)

    @property
    def evidence(self) -> EvidenceStore:
        """What the keeper keeps, while `opened`; its methods belong on a thread."""
        return self._keeper.store

    def unwritten(self) -> str:
        """What could not be written down when last looked at, "" = all was."""
        parts = [part for part in ("state", "journal", "evidence", "keeper") if part in self._troubles]
        return f"not all could be written down ({', '.join(parts)})" if parts else ""

    def _look_at_ourselves(self, now: float) -> None:
        found = {
            "state": self._outbox.trouble,
            "journal": self.memory.trouble,
            "evidence": self._keeper.trouble,
            "beat": f"a judgement takes {self._tick_s:.1f} s of {TICK_S:g} s" if self._tick_s > TICK_S else "",
        }
        failing = {name: text for name, (at, text) in self._failing.items() if 0 <= now - at < CALM_S}
        self._troubles = failing | {part: text for part, text in found.items() if text} | dict(self.streams.troubles())
        if self.outflow is not None:
            self._troubles |= self.outflow.troubles()
        self.headlines.troubles(now, self._troubles)

    def account(self) -> str:
        """What was seen and done since the start, in a line."""
        return account(self.status(), self.clock.now()) if self._ticks else "before anything was judged"

    def at_a_glance(self) -> str:
        """How the fleet is now, in a line."""
        windows = self.engine.windows
        counts = {name: windows.last(name, "goroutines") for name in self.engine.instances}
        known = {name: n for name, n in counts.items() if n == n}
        most = max(known, key=lambda name: known[name], default=None)
        picture = words.sparkline(self._lately(most)) if most is not None else ""
        return now_words(self.status(), sum(known.values()), picture)

    def status(self) -> WatchStatus:
        """A picture of this moment, for our pages."""
        counters = self.collector.counters
        return WatchStatus(
            started_at=self._began,
            last_tick_at=self._last.at,
            tick_s=self._tick_s,
            ticks=self._ticks,
            targets=Counter(str(state) for state, _ in self.collector.states().values()),
            targets_left_out=self.discovery.counters.over_limit,
            looks=counters.looks,
            look_seconds=counters.look_seconds,
            stall_seconds=counters.stall_seconds,
            look_bytes=counters.look_bytes,
            scrapes=counters.scrapes,
            scrape_seconds=counters.scrape_seconds,
            scrape_bytes=counters.scrape_bytes,
            suspicions=counters.suspicions,
            instance_restarts=counters.restarts + self.streams.roll.restarts,
            stream_points=self.streams.points(),
            stream_instances=self.streams.instances(),
            stream_refused=self.streams.roll.refused,
            telemetry=self.outflow.items() if self.outflow is not None else Counter(),
            refused=counters.refusals,
            findings=Counter(str(f.verdict) for f in self._last.findings),
            incidents=[row for row in self._incidents.values() if row.state is not IncidentState.RESOLVED],
            notifications=self._sender.counts,
            outbox_waiting=self._sender.waiting,
            evidence_kept=self._keeper.kept,
            evidence_bytes=self._keeper.kept_bytes,
            dropped=self._dropped(),
            restarts=self._restarts,
            troubles=self._troubles,
        )

    def _dropped(self) -> Counter[str]:
        """All that had to be given up since the start, by what it was."""
        engine, memory = self.engine, self.memory
        sites = engine.sites.dropped
        return Counter(
            journal_lines=memory.dropped,
            journal_tail_bytes=memory.lost_bytes,
            journal_segments=memory.pruned_unread,
            evidence=self._keeper.dropped,
            notifications=self._outbox.given_up,
            findings=self._dropped_findings,
            late_readings=engine.windows.dropped,
            late_looks=sites["late"],
            untold_looks=self.collector.counters.untold,
            sites=sites["site"] + self.collector.counters.sites_left_out,
            site_names=sites["named"],
            remembered_sites=sites["memory"],
            instance_events=engine.windows.refused,
            spans=self.tracer.dropped,
        )


def _outflow(config: Config, clock: Callable[[], float]) -> Outflow | None:
    """What tells back ends of us, where there are any; loaded only then."""
    if not config.telemetry.any:
        return None
    from parkwarden.run.outflow import made as outflow

    return outflow(config.telemetry, clock)


def _redacted(findings: list[Finding]) -> list[Finding]:
    """Secrets and personal data in names must not travel in alerts."""
    return redact_report(Report(generated_at="", inputs=[], findings=findings)).findings
