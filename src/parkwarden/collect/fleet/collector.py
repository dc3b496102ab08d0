"""The fleet coming in: targets -> events and captures.

One task per target reads its numbers at the interval, at a phase of its own (by a hash of its id, so that a thousand targets do not
burst and keep their places over restarts). After each reading, and at once on suspicion, the ladder says which look is due, the budgets
whether it may be taken. At most one reading and one look per target are under way, so what one target does costs only itself: there is
no queue that a hanging one could hold up, and what answers may hold in memory is bounded together (`http.Room`).

All of it runs on one event loop; `set_targets`, `suspect` and `status` are called on it. Events of one instance come in time order;
`emit` and `keep` must not block.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from parkwarden.collect.fleet.before import Before
from parkwarden.collect.fleet.budgets import WAIT, Budgets
from parkwarden.collect.fleet.http import Client, FetchError, Names, Room, TlsContexts
from parkwarden.collect.fleet.ladder import ON_BEAT, Ask, Facts, Ladder, about_memory, refusal
from parkwarden.collect.fleet.local import LocalLooks, kinds_of
from parkwarden.collect.fleet.looks import KINDS, NO_ANSWER, Taken, file_name, take, warm
from parkwarden.collect.fleet.prices import Look, stall_s
from parkwarden.collect.fleet.probe import missing, restarted
from parkwarden.collect.fleet.scrape import Scraper
from parkwarden.collect.fleet.settings import CollectSettings
from parkwarden.collect.fleet.sites import Sites
from parkwarden.collect.fleet.status import LOCAL, Counters, Spent, TargetState, TargetStatus
from parkwarden.collect.fleet.telling import Teller
from parkwarden.model.artefact import LookCost, Reading
from parkwarden.model.capture import Capture
from parkwarden.model.events import Descriptors, Event, Gone, Read, Started
from parkwarden.model.instance import Instance, Target, other_life
from parkwarden.model.snapshot import Source
from parkwarden.telemetry import Ring, Tracer

PARSERS = 2
"""Threads that read large answers; more would only wait for each other's Python."""
WAIT_S = 1.0
"""Until a look that budgets held back is tried again."""
MAX_ADOPTED = 256
"""Targets looked at on suspicion only, at once: three replicas of each of 85 services."""
HELD_S = 900.0
"""How long one is kept after its last suspicion: longer than `suspect_again_s`, so that what was followed is remembered."""
FAILURES_TO_PROBE = 3
"""Failed readings in a row after which the pages are looked for anew: what comes back may be another program."""
KEPT_COSTS = 8
"""Looks shown per target."""
READING_SHARE = 0.25
"""Of one core that making sense of pages may take, if all were as large as this target's: one of 4 MiB among 1,000 is read once a minute."""
MAX_STRETCH_S = 60.0
"""Longest interval that comes of it."""
REPLICAS_WATCHED = f"{Look.PROFILE.value}: replicas-watched"
MAX_CMDLINE = 64 << 10
"""Bytes of a command line."""
SPARE_FILES = 256
"""File descriptors for everything but targets: looks, the store, the web."""
SOURCES = {
    Look.PROFILE: Source.PROFILE,
    Look.CENSUS: Source.CENSUS,
    Look.TRACE: Source.CENSUS,
    Look.LEAK: Source.LEAK_PROFILE,
    Look.DUMP: Source.DUMP,
}
"""What kind of snapshot each look brings that names sites."""


def phase_of(target_id: str) -> float:
    """A target's place in any interval, in [0, 1): the same in every process and after every restart."""
    return zlib.crc32(target_id.encode()) / 2**32


class _Watched:
    """One target: its client, its readings and its ladder."""

    __slots__ = (
        "client", "costs", "error", "failures", "instance", "introduced", "ladder", "last", "look", "no_census", "refused",
        "restarts", "scraper", "since", "state", "target", "task", "timer", "took_s",
    )  # fmt: skip

    def __init__(self, target: Target, ladder: Ladder, since: float) -> None:
        self.target = target
        self.ladder = ladder
        self.client: Client | None = None
        self.scraper: Scraper | None = None
        self.task: asyncio.Task[None] | None = None
        self.look: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.instance: Instance | None = None
        self.last: Reading | None = None
        self.state = TargetState.STARTING
        self.since = since
        self.error = ""
        self.failures = 0
        self.took_s = 0.0
        self.restarts = 0
        self.introduced = False
        self.no_census = False
        self.refused = ""
        self.costs: deque[LookCost] = deque(maxlen=KEPT_COSTS)

    def facts(self) -> Facts:
        last = self.last
        return Facts(
            goroutines=last.goroutines if last else None,
            profiles=self.scraper.listed if self.scraper else None,
            go_minor=_minor(last.go_version) if last else None,
            no_census=self.no_census,
        )


def _minor(version: str | None) -> int | None:
    """27 of "go1.27.3", None where it says something else."""
    parts = (version or "").removeprefix("go").split(".")
    return int(parts[1][:3]) if len(parts) > 1 and parts[0] == "1" and parts[1][:3].isdecimal() else None


class Collector:
    """Reads a fleet. `emit` gets every event, `keep` every answer worth keeping as evidence; see the module.

    `clock` gives Unix seconds (the events' times), `monotonic` those that beats and budgets go by, since clocks get set; `rng` the
    jitter of retries; `tracer` is told of looks.
    """

    def __init__(
        self,
        settings: CollectSettings,
        emit: Callable[[Event], None],
        keep: Callable[[Capture], None],
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self.settings = settings
        self._tracer = tracer or Tracer(Ring(segments=1), service="", instance="", rate=0.0)
        self.counters = Counters()
        self._emit = emit
        self._keep = keep
        self._clock = clock
        self._monotonic = monotonic
        self._rng = rng or random.Random()
        self._budgets = Budgets(settings)
        self._room = Room()
        self._contexts = TlsContexts()
        self._looks = LocalLooks(settings.proc, monotonic) if settings.local == "auto" else None
        self._names = Names()
        self._watched: dict[str, _Watched] = {}
        self._adopted: dict[str, _Watched] = {}
        """Targets whose readings come from a stream, while they are suspected."""
        self._held_until: dict[str, float] = {}
        self._releasing: asyncio.TimerHandle | None = None
        self._teller = Teller(emit)
        self._before = Before(settings.before_bytes)
        self._pool: ThreadPoolExecutor | None = None
        self._warm: asyncio.Future[None] | None = None

    # what others call

    def set_targets(self, targets: Sequence[Target]) -> None:
        """The whole set: new ones are watched, absent ones let go (`Gone`), changed ones changed. Equal ids are one target."""
        wanted = {target.id: target for target in targets}
        if gone := [i for i in self._watched if i not in wanted]:
            for target_id in gone:
                self._let_go(self._watched.pop(target_id))
            self._budgets.tidy(self._monotonic())
        now = self._clock()
        for target in wanted.values():
            known = self._watched.get(target.id)
            if target.id in self._adopted:  # it became a target of our own
                self._release(target.id)
            if known is None:
                ladder = Ladder(self.settings, phase_of(target.id), self._monotonic())
                watched = self._watched[target.id] = _Watched(target, ladder, now)
                if self._pool is not None:
                    self._start(watched)
            elif known.target != target:
                self._change(known, target)

    def watches(self, instance_id: str) -> bool:
        """Whether it is one of the targets."""
        return instance_id in self._watched

    def adopt(self, target: Target, last: Reading | None) -> bool:
        """Have a target that others tell of looked at as if it were ours, without reading it: `suspect` and `last_chance` work for it from
        now on, with the same budgets and looks on beat, until nobody has suspected it for HELD_S. `last` is its newest reading. Cheap to call
        again; False where it cannot be taken."""
        now = self._monotonic()
        self._release_over()
        known = self._adopted.get(target.id)
        if known is not None and (
            known.target.url != target.url or other_life(known.target.start_time, target.start_time)
        ):
            self._release(target.id)
            known = None
        if known is None:
            if target.id in self._watched or self._pool is None or len(self._adopted) >= MAX_ADOPTED:
                return False
            known = _Watched(target, Ladder(self.settings, phase_of(target.id), now), self._clock())
            known.instance = target.instance()
            known.client = Client(target, self._room, self._contexts, self._names)
            known.scraper = Scraper(target, known.client, self.settings, self._pool)
            self._adopted[target.id] = known
        known.last = last
        self._held_until[target.id] = now + HELD_S
        if self._releasing is None:
            self._release_over()
        self._climb(known)
        return True

    def _release_over(self) -> None:
        """Let go of those nobody has suspected for HELD_S; come back for the others."""
        now = self._monotonic()
        for name in [name for name, until in self._held_until.items() if until < now]:
            self._release(name)
        if self._releasing is not None:
            self._releasing.cancel()
            self._releasing = None
        if self._adopted:
            self._releasing = asyncio.get_running_loop().call_later(HELD_S / 4, self._release_over)

    def _release(self, target_id: str) -> None:
        """Its suspicion is over: no connection stays. Its instance goes on, told of by its stream."""
        self._stop(self._adopted.pop(target_id))
        del self._held_until[target_id]
        self._before.forget(target_id)
        self._teller.new_life(target_id)

    async def run(self) -> None:
        """Watch until cancelled; then nothing is left running, no connection open."""
        _allow_files(len(self._watched))
        self._pool = ThreadPoolExecutor(PARSERS, thread_name_prefix="parkwarden-read")
        self._warm = asyncio.get_running_loop().run_in_executor(self._pool, warm)
        try:
            for watched in self._watched.values():
                self._start(watched)
            await asyncio.get_running_loop().create_future()
        finally:
            everybody = [*self._watched.values(), *self._adopted.values()]
            tasks = [t for w in everybody for t in (w.task, w.look) if t is not None]
            for watched in self._watched.values():
                self._stop(watched)
            for name in list(self._adopted):
                self._release(name)
            self._release_over()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def suspect(self, instance_id: str, why: str) -> None:
        """A judge suspects an instance: look closer, now. Cheap to call again: the same reason is followed only now and then."""
        watched = self._watched.get(instance_id) or self._adopted.get(instance_id)
        if watched is None or watched.instance is None or self._pool is None:
            return
        now = self._monotonic()
        ladder, service = watched.ladder, watched.instance.service
        if not ladder.wanted(why, now):
            return
        close = not about_memory(why) and not ladder.suspected(now)
        if close and not self._budgets.close_watch(now, instance_id, service):
            if watched.refused != REPLICAS_WATCHED:  # judges ask at every tick
                self._refuse(watched, Look.PROFILE, "replicas-watched")
            return
        refused = ladder.suspect(why, now, watched.facts())
        self.counters.suspicions += 1
        for look, reason in refused.items():
            self._refuse(watched, look, reason)
        for capture in self._before.take(instance_id):
            self._keep(replace(capture, why=f"before {why}"))
        self._climb(watched)

    def last_chance(self, instance_id: str, limit: str, low_s: float) -> None:
        """An instance may reach a limit in as little as `low_s`: save what it will take with it. Cheap to call at every beat."""
        watched = self._watched.get(instance_id) or self._adopted.get(instance_id)
        if watched is None or watched.instance is None or self._pool is None:
            return
        now = self._monotonic()
        if not watched.ladder.nearing(limit, low_s, now):
            return
        refused = watched.ladder.last_chance(limit, low_s, now, watched.facts())
        self.counters.suspicions += 1
        for look, reason in refused.items():
            self._refuse(watched, look, reason)
        for capture in self._before.take(instance_id):
            self._keep(replace(capture, why=f"before {limit}"))
        self._climb(watched)

    def status(self, targets: Iterable[str] | None = None) -> list[TargetStatus]:
        """All targets, or these, in the order they were given."""
        now = self._monotonic()
        asked = self._watched if targets is None else targets
        return [self._status_of(self._watched[name], now) for name in asked if name in self._watched]

    def states(self) -> dict[str, tuple[TargetState, int]]:
        """State and restarts of every target: what is asked at every beat, for a hundredth of what `status` costs."""
        return {name: (watched.state, watched.restarts) for name, watched in self._watched.items()}

    # life of a target

    def _start(self, watched: _Watched) -> None:
        watched.task = asyncio.get_running_loop().create_task(self._watch(watched))

    def _stop(self, watched: _Watched) -> None:
        for task in (watched.task, watched.look):
            if task is not None:
                task.cancel()
        if watched.timer is not None:
            watched.timer.cancel()
        if watched.client is not None:
            watched.client.close()
        watched.task = watched.look = watched.timer = watched.client = watched.scraper = None

    def _let_go(self, watched: _Watched) -> None:
        self._stop(watched)
        self._before.forget(watched.target.id)
        self._teller.new_life(watched.target.id)
        if self._looks is not None:
            self._looks.forget(watched.target.id)
        if watched.instance is not None:
            self._emit(Gone(self._clock(), watched.target.id))

    def _change(self, watched: _Watched, target: Target) -> None:
        old, watched.target = watched.target, target
        if replace(old, labels={}, start_time=None) != replace(target, labels={}, start_time=None):
            self._stop(watched)
            if self._pool is not None:
                self._start(watched)
        if watched.instance is not None and dict(old.labels) != dict(target.labels):
            watched.instance = replace(watched.instance, labels=dict(target.labels), address=target.url)
            self._emit(Started(watched.instance, self._clock()))

    async def _watch(self, watched: _Watched) -> None:
        """Readings of one target, for ever."""
        loop = asyncio.get_running_loop()
        beat = loop.time() + self._interval(watched) * phase_of(watched.target.id)
        while True:
            await asyncio.sleep(beat - loop.time())
            await self._read(watched)
            interval_s = self._interval(watched)
            if watched.failures:
                beat = loop.time() + self._pause(watched.failures, interval_s)
                continue
            self._climb(watched)
            now = loop.time()
            beat += interval_s
            if beat < now:  # it took longer than the interval: keep the phase, leave out what was missed
                beat += interval_s * (int((now - beat) / interval_s) + 1)

    def _interval(self, watched: _Watched) -> float:
        """What is set, or longer where the pages are so large that all together would take more than READING_SHARE of a core."""
        wanted = watched.target.interval_s or self.settings.interval_s
        dear = watched.scraper.cpu_s * len(self._watched) / READING_SHARE if watched.scraper else 0.0
        return max(wanted, min(dear, MAX_STRETCH_S))

    def _pause(self, failures: int, interval_s: float) -> float:
        """Doubling from the interval on, a quarter more or less, so that many that failed together do not return together."""
        pause: float = min(interval_s * 2.0 ** min(failures - 1, 8), max(self.settings.backoff_max_s, interval_s))
        return pause * self._rng.uniform(0.75, 1.25)

    async def _read(self, watched: _Watched) -> None:
        began = time.monotonic()
        scraper = watched.scraper
        before = scraper.bytes if scraper else 0
        try:
            if scraper is None:
                assert self._pool is not None
                watched.client = Client(watched.target, self._room, self._contexts, self._names)
                scraper = watched.scraper = Scraper(watched.target, watched.client, self.settings, self._pool)
            reading = await scraper.read()
            took_s = time.monotonic() - began
            kinds = await self._local(watched, reading)
            self._succeeded(watched, reading, took_s)
            if kinds is not None:
                self._emit(Descriptors(reading.at or self._clock(), watched.target.id, kinds))
            if not watched.introduced:  # once: a pprof that hangs is not waited for again
                watched.introduced = True
                await scraper.list_profiles()
        except FetchError as error:
            self._failed(watched, error, time.monotonic() - began)
        except Exception as error:  # a mistake of a reader or of whoever is told costs this target, not the fleet
            what = FetchError("internal", f"{type(error).__name__} while reading or telling")
            self._failed(watched, what, time.monotonic() - began)
        for book in self._books(watched):
            book.waited(watched.took_s, scraper.bytes - before if scraper is not None else 0)

    async def _local(self, watched: _Watched, reading: Reading) -> Mapping[str, int] | None:
        """What the host tells of a target that runs on it, joined to its reading; descriptors by kind where they were counted."""
        client, pool, target = watched.client, self._pool, watched.target
        if self._looks is None or client is None or pool is None or not target.url.startswith(("http:", "https:")):
            return None

        async def command_line() -> bytes | None:
            try:
                answer = await client.ask(f"{target.pprof_path}/cmdline", MAX_CMDLINE, self.settings.timeout_s)
            except FetchError:
                return None
            return answer.body if answer.status == 200 else None

        told = await self._looks.join(target, reading, pool, command_line)
        if told.outcome:
            for book in self._books(watched):
                book.looked(LOCAL, told.outcome, told.took_s)
        return kinds_of(told)

    def _failed(self, watched: _Watched, error: FetchError, took_s: float) -> None:
        for book in self._books(watched):
            book.read(error.code)
        watched.failures += 1
        watched.took_s = took_s
        watched.error = f"{error.code}: {error.text}"
        dead = error.code in ("timeout", "connection-failed", "no-such-host", "tls", "connection-lost")
        self._turn(watched, TargetState.UNREACHABLE if dead else TargetState.FAILING)
        if watched.failures == FAILURES_TO_PROBE and watched.scraper is not None:
            watched.scraper.forget()
        if dead and watched.client is not None:
            watched.client.close()

    def _succeeded(self, watched: _Watched, reading: Reading, took_s: float) -> None:
        now = self._clock()
        reading.at = now
        last = watched.last
        if watched.instance is None:
            start = reading.start_time if reading.start_time is not None else watched.target.start_time
            self._begin_life(watched, start, now)
        elif last is not None and restarted(last, reading):
            watched.restarts += 1
            self.counters.restarts += 1
            start = reading.start_time
            self._begin_life(watched, now if start is None or start == watched.instance.start_time else start, now)
        watched.last = reading
        self._emit(Read(now, watched.target.id, reading))
        for book in self._books(watched):
            book.read("ok")
        watched.failures = 0
        watched.took_s = took_s
        watched.error = ""
        self._turn(watched, TargetState.SLOW if took_s > self.settings.timeout_s / 2 else TargetState.UP)

    def _begin_life(self, watched: _Watched, start_time: float | None, now: float) -> None:
        target = watched.target
        if watched.instance is not None:
            watched.ladder.forget()
            self._before.forget(target.id)
            watched.no_census = False
            self._teller.new_life(target.id)
            if watched.scraper is not None:
                watched.scraper.forget()
                watched.scraper.listed = None
        watched.instance = target.instance(start_time)
        self._emit(Started(watched.instance, now))

    def _books(self, watched: _Watched) -> tuple[Spent, Spent]:
        return self.counters.books((watched.instance or watched.target.instance()).service_key)

    def stalled(self) -> dict[str, float]:
        """Estimated stall in seconds of the last hour, of every target that was looked at within it."""
        return self._budgets.stalled(self._monotonic())

    def _turn(self, watched: _Watched, state: TargetState) -> None:
        if watched.state is not state:
            watched.state = state
            watched.since = self._clock()

    # the ladder

    def _climb(self, watched: _Watched) -> None:
        """Begin the look that is due, if one is and may be taken; come back when the next one is."""
        if watched.look is not None or watched.instance is None or watched.failures or watched.scraper is None:
            return
        now = self._monotonic()
        while (ask := watched.ladder.due(now, watched.facts())) is not None:
            price = stall_s(ask.look, (watched.last.goroutines if watched.last else None) or 0)
            reason = self._budgets.refusal(
                now, watched.target.id, watched.instance.service, ask.look, price, on_beat=ask.on_beat
            )
            if not reason:
                self._budgets.began(
                    now, watched.target.id, watched.instance.service, ask.look, price, on_beat=ask.on_beat
                )
                watched.look = asyncio.get_running_loop().create_task(self._look(watched, ask, watched.instance, price))
                return
            if ask.at == ask.wanted:  # what waits is counted once
                self._refuse(watched, ask.look, reason)
            if reason in WAIT:
                watched.ladder.postpone(ask, now + WAIT_S)
        next_at = watched.ladder.next_at()
        if next_at is not None:
            if watched.timer is not None:
                watched.timer.cancel()
            watched.timer = asyncio.get_running_loop().call_later(max(next_at - now, 0.01), self._climb, watched)

    def _refuse(self, watched: _Watched, look: Look, reason: str) -> None:
        for book in self._books(watched):
            book.refused(look.value, reason)
        watched.refused = f"{look.value}: {reason}"

    async def _look(self, watched: _Watched, ask: Ask, instance: Instance, price: float) -> None:
        taken: Taken | None = None
        try:
            taken = await self._taken(watched, ask)
        finally:
            self._budgets.ended(instance.id, instance.service, ask.look, on_beat=ask.on_beat)
            watched.look = None
        if taken is not None:
            if taken.outcome in NO_ANSWER:
                watched.ladder.failed(self._monotonic())
            else:
                watched.ladder.answered()
            self._paid(watched, ask, taken, price)
            # an answer from about a restart: which life it tells of is not known
            if watched.instance is not None and watched.instance.start_time == instance.start_time:
                try:
                    self._tell(watched, ask, taken)
                except Exception as error:  # as with readings: it costs this look
                    self.counters.untold += 1
                    watched.refused = f"{ask.look.value}: {type(error).__name__} while telling"
        self._climb(watched)

    async def _taken(self, watched: _Watched, ask: Ask) -> Taken | None:
        """The look, None if the index of profiles, which is asked for first, says that there is no such."""
        client, scraper, pool = watched.client, watched.scraper, self._pool
        if client is None or scraper is None or pool is None:
            return None
        if self._warm is not None:
            await asyncio.wait([self._warm])
        if scraper.listed is None:
            await scraper.list_profiles()
            if reason := refusal(ask.look, watched.facts(), self.settings):
                self._refuse(watched, ask.look, reason)
                return None
        with self._tracer.exit(f"look {ask.look.value}", watched.target.id) as span:
            span.tag("why", ask.why)
            taken = await take(client, ask.look, watched.target.pprof_path, ask.seconds, pool)
            span.tag("outcome", taken.outcome)
            if taken.outcome in NO_ANSWER:
                span.fail()
        return taken

    def _paid(self, watched: _Watched, ask: Ask, taken: Taken, price: float) -> None:
        name = ask.look.value
        for book in self._books(watched):
            book.looked(name, taken.outcome, taken.took_s, taken.wire, price)
        note = ask.why if taken.outcome == "ok" else f"{taken.outcome}: {taken.note}" if taken.note else taken.outcome
        watched.costs.append(LookCost(name, taken.took_s, taken.wire, note))

    def _tell(self, watched: _Watched, ask: Ask, taken: Taken) -> None:
        """The events and the capture of one look."""
        if taken.outcome == "tracing-busy":
            reason = watched.ladder.tracing_busy(ask, self._monotonic(), watched.facts())
            if reason:
                self._refuse(watched, ask.look, reason)
            return
        if taken.outcome == "old-go":
            self._no_census(watched, ask)
        if taken.artefact is None:
            return
        now = self._clock()
        told = self._tell_sites(watched, ask.look, taken.sites, now) if taken.sites is not None else ()
        if told is None and ask.look is not Look.DUMP:
            self._no_census(watched, ask)
            return
        capture = Capture(
            instance=watched.target.id,
            service=watched.instance.service if watched.instance else "",
            kind=KINDS[ask.look].value,
            at=now,
            body=taken.body,
            why=ask.why,
            site_ids=told or (),
            file=file_name(ask.look),
            took_s=taken.took_s,
        )
        if ask.why == ON_BEAT:
            self._before.put(capture)
        else:
            self._keep(capture)

    def _no_census(self, watched: _Watched, ask: Ask) -> None:
        watched.no_census = True
        watched.ladder.old_go(ask, self._monotonic(), watched.facts())

    def _tell_sites(self, watched: _Watched, look: Look, found: Sites, now: float) -> tuple[str, ...] | None:
        """Ids of the sites told; None if it is a census that names hardly any stacks, as Go 1.22's do, or a damaged dump."""
        self.counters.sites_left_out += found.left_out
        told = self._teller.sites(watched.target.id, SOURCES[look], found, now)
        return tuple(found.counts) if told else None

    def _impossible(self, watched: _Watched) -> tuple[tuple[str, str], ...]:
        """Looks that are never taken of a target, and why; nothing before its index of profiles was asked for."""
        if not watched.introduced:
            return ()
        facts = watched.facts()
        reasons = {look.value: refusal(look, facts, self.settings, any_size=True) for look in Look}
        return tuple((look, reason) for look, reason in reasons.items() if reason)

    def _status_of(self, watched: _Watched, now: float) -> TargetStatus:
        labels = watched.target.labels
        return TargetStatus(
            id=watched.target.id,
            service=labels.get("service") or watched.target.id,
            env=labels.get("env", ""),
            url=_shown(watched.target.url),
            state=watched.state,
            since=watched.since,
            took_s=watched.took_s,
            error=watched.error,
            failures=watched.failures,
            sources=tuple(s.value for s in watched.scraper.sources) if watched.scraper else (),
            missing=missing(watched.last) if watched.last is not None else (),
            go_version=(watched.last.go_version or "") if watched.last is not None else "",
            goroutines=watched.last.goroutines if watched.last is not None else None,
            impossible=self._impossible(watched),
            restarts=watched.restarts,
            close_watch=watched.ladder.suspected(now),
            looks=tuple(watched.costs),
            stall_s_hour=self._budgets.stall_s_hour(now, watched.target.id),
            refused=watched.refused,
            interval_s=self._interval(watched),
        )


def _allow_files(targets: int) -> None:
    """Raise the soft limit of open files where the targets need it: one kept connection each."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * targets + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _shown(url: str) -> str:
    """A URL without a user and password somebody may have put into it, fit to print."""
    head, separator, rest = url.partition("://")
    if separator:
        host, slash, path = rest.partition("/")
        url = f"{head}://{host.rpartition('@')[2]}{slash}{path}"
    return ascii(url)[1:-1][:200]
