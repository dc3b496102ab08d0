"""A Prometheus-compatible API as the eyes of a fleet: some dozen questions a tick bring the readings of a hundred thousand instances.

    stream = PrometheusStream("prometheus[0]", settings, roll, clock, known=..., looks=collector, tell=...)

Each tick asks for one time SETTLE_S ago: first when every instance was scraped last, then for its numbers. Who was not scraped since the
last tick is told nothing of, and goes blind as a target that does not answer does; so does who is missing from a partial answer. What answers
with nothing (a metric that nobody exports) and what hardly ever changes is asked for every SELDOM_TICKS ticks only.

At the start the windows are filled with the past by range queries, for those that are not known from a journal. On suspicion the instance
itself is looked at (`Looks`). What cannot be had is told as a trouble, and asked again later each time, up to MAX_PAUSE_S.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import secrets
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from parkwarden.collect.fleet.http import FetchError
from parkwarden.collect.streams.prometheus.api import Api
from parkwarden.collect.streams.prometheus.fleet import Fleet
from parkwarden.collect.streams.prometheus.settings import PrometheusSource
from parkwarden.collect.streams.prometheus.targets import Addresses
from parkwarden.collect.streams.roll import Roll
from parkwarden.collect.streams.stream import Part, Stream
from parkwarden.formats.prometheus_api import ApiAnswer
from parkwarden.model import words
from parkwarden.model.artefact import Reading
from parkwarden.model.errors import ParkwardenError
from parkwarden.model.instance import Target

SETTLE_S = 1.0
"""How far in the past a tick looks: a scrape that is being written while several questions are asked would be seen by some of them only."""
SELDOM_TICKS = 20
"""Ticks between two questions for what hardly ever changes, or was not there: five minutes at 15 s."""
MAX_PAUSE_S = 120.0
"""Longest pause after failures; it doubles from the interval on, and varies by a quarter."""
HOLD_S = 0.05
"""How long readings are told without a break for others on the loop: pages, senders, the beat."""
BACKFILL_POINTS = 2_000_000
"""Points of one range query: a third of a second's reading here, 60 MB there. Larger fleets are asked in more pieces."""
BACKFILL_STEPS = 128
"""Readings of the past per instance: what the windows hold."""
MAX_BACKFILL_S = 120.0
"""How long filling in the past may take in all: the present is waiting."""

READERS = 2
"""Threads that read answers: their kernels run beside each other."""
LARGE = 10_000
"""Instances from which what is known of them is kept out of Python's search for cycles."""

AT = "at"
OFTEN = {
    "goroutines": "go_goroutines",
    "start_time": "process_start_time_seconds",
    "open_fds": "process_open_fds",
    "rss": "process_resident_memory_bytes",
    "cpu_s": "process_cpu_seconds_total",
    "threads": "go_threads",
    "heap_inuse": "go_memstats_heap_inuse_bytes",
    "next_gc": "go_memstats_next_gc_bytes",
    "num_gc": "go_gc_duration_seconds_count",
    "gc_cpu_s": "go_cpu_classes_gc_total_cpu_seconds_total",
}
"""Field -> metric, asked for at each tick: what the judges' windows hold."""
INSTEAD = {
    "heap_alloc": ("heap_inuse", "go_memstats_alloc_bytes"),
    "sys": ("rss", "go_memstats_sys_bytes"),
}
"""Field -> the better one it stands in for where nobody tells that, and its metric."""
SELDOM = {
    "max_fds": "process_max_fds",
    "mem_limit": "go_gc_gomemlimit_bytes",
    "gomaxprocs": "go_sched_gomaxprocs_threads",
}
"""Field -> metric that hardly ever changes within a life."""
REQUESTS, VERSION = "requests_total", "go_version"
GOROUTINES, NEWER = OFTEN["goroutines"], "go_sched_goroutines_goroutines"
"""What says that an instance is there; some services export the runtime's own names only."""


class Looks(Protocol):
    """Who looks at instances: the collector."""

    def adopt(self, target: Target, last: Reading | None) -> bool: ...

    def suspect(self, instance_id: str, why: str) -> None: ...

    def last_chance(self, instance_id: str, limit: str, low_s: float) -> None: ...


class PrometheusStream(Stream):
    """See the module. `known(id)`: whose past is known already; `tell(text)` is told who was found."""

    def __init__(
        self,
        name: str,
        settings: PrometheusSource,
        roll: Roll,
        clock: Callable[[], float],
        *,
        known: Callable[[str], bool],
        looks: Looks,
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(name)
        self._settings = settings
        self._roll = roll
        self._clock = clock
        self._looks = looks
        self._say = tell
        self._fleet = Fleet(settings, self.points, known)
        self._addresses = Addresses(settings)
        self._ticks = 0
        self._empty: set[str] = set()
        """Fields that nobody told when they were last asked for."""
        self._filled = False
        self._newer = False
        """Whether somebody is there who tells NEWER and no GOROUTINES."""
        self._newer_asked = -1
        """Before which tick that was asked last."""
        self._had_room = 0
        """Instances of the fleet that have places already."""
        self.tick_s = 0.0
        """How long the last tick took, from the first question to the last event."""
        self.told_s = 0.0
        """How much of it went into the events."""

    def parts(self) -> Mapping[str, Part]:
        return {self.name: self.run}

    async def run(self) -> None:
        """Tick for ever."""
        loop = asyncio.get_running_loop()
        failures = 0
        with ThreadPoolExecutor(READERS, thread_name_prefix="parkwarden-prometheus") as pool:
            api = Api(self._settings, secrets.randbits(63), pool)
            self._addresses.use(api)
            due = loop.time()
            try:
                while True:
                    try:
                        await (self._look(api) if self._ticks else self._first_look(api))
                    except Exception as error:
                        failures += 1
                        self.trouble = sentence(error)
                        pause = min(self._settings.interval_s * 2.0 ** min(failures - 1, 8), MAX_PAUSE_S)
                        due = loop.time() + pause * random.uniform(0.75, 1.25)
                    else:
                        failures = 0
                        due = max(due + self._settings.interval_s, loop.time())
                    await asyncio.sleep(due - loop.time())
            finally:
                api.close()

    async def _first_look(self, api: Api) -> None:
        """All are met: a million objects that stay. Looking through them for cycles again and again would hold the loop for half a second at
        a time, and so it is not done meanwhile, nor of a large fleet ever."""
        collecting = gc.isenabled()
        gc.disable()
        try:
            await self._look(api)
            if len(self._fleet) > LARGE:
                gc.freeze()
        finally:
            if collecting:
                gc.enable()

    async def _look(self, api: Api) -> None:
        if self._ticks % SELDOM_TICKS == 0 and self._ticks != self._newer_asked:
            self._newer_asked = self._ticks  # a server that fails is not asked two questions each time
            await self._ask_for_newer(api)
        if not self._filled and self._settings.backfill_s:
            await self._fill(api)
        self._filled = True
        await self.tick(api)
        if self._ticks == 1:
            url, interval = self._settings.url, words.seconds(self._settings.interval_s)
            self._say(f"{self.name}: {len(self._fleet):,} instances of {url}, asked every {interval}")

    async def tick(self, api: Api) -> None:
        """One look at the whole fleet. Raises where not even the scrape times can be had."""
        began = asyncio.get_running_loop().time()
        at = self._clock() - SETTLE_S
        fleet, seldom = self._fleet, self._ticks % SELDOM_TICKS == 0
        fleet.begin([at])
        times = await api.instant(self._query(AT), at)
        await self._on(fleet.take, AT, times)
        self._make_room()
        asked = [f for f in (*OFTEN, *SELDOM) if seldom or (f in OFTEN and f not in self._empty)]
        asked += [field for field, (better, _) in INSTEAD.items() if better in self._empty]
        by_id = [REQUESTS] if self._settings.requests and (seldom or REQUESTS not in self._empty) else []
        by_id += [VERSION] if seldom else []
        wrong: dict[str, str] = {}
        warnings = list(times.warnings)

        async def ask(field: str) -> None:
            try:
                answer = await api.instant(self._query(field), at)
                await self._on(fleet.take_by_id if field in by_id else fleet.take, field, answer)
            except Exception as error:
                wrong[field] = sentence(error)
                return
            warnings.extend(answer.warnings)
            (self._empty.discard if len(answer.hashes) else self._empty.add)(field)

        await asyncio.gather(*map(ask, (*asked, *by_id)))
        self._ticks += 1
        before = asyncio.get_running_loop().time()
        await self._tell()
        self.told_s = asyncio.get_running_loop().time() - before
        self.trouble = self._told_trouble(wrong, warnings, len(asked) + len(by_id) + 1)
        self.tick_s = asyncio.get_running_loop().time() - began

    def suspect(self, instance_id: str, why: str) -> bool:
        target = self._target(instance_id)
        if target is None:
            return False
        if self._looks.adopt(target, self._roll.last(instance_id)):
            self._looks.suspect(instance_id, why)
        return True

    def last_chance(self, instance_id: str, limit: str, low_s: float) -> bool:
        target = self._target(instance_id)
        if target is None:
            return False
        if self._looks.adopt(target, self._roll.last(instance_id)):
            self._looks.last_chance(instance_id, limit, low_s)
        return True

    def _target(self, instance_id: str) -> Target | None:
        """Where an instance can be looked at; None where that is not known (yet)."""
        who = self._roll.instance(instance_id)
        return self._addresses.target(who) if who is not None else None

    # the questions

    def _query(self, field: str) -> str:
        inner = _inner(self._settings)
        if field == AT:
            return " or ".join(f"timestamp({name}{{{inner}}})" for name in self._names())
        if field == "goroutines":
            return " or ".join(f"{name}{{{inner}}}" for name in self._names())
        if field == VERSION:
            return f"go_info{{{inner}}}"
        if field == REQUESTS:
            return f"sum by ({', '.join(self._settings.id_labels)}) ({self._settings.requests}{{{inner}}})"
        metric = INSTEAD[field][1] if field in INSTEAD else OFTEN.get(field) or SELDOM[field]
        return f"{metric}{{{inner}}}"

    def _names(self) -> tuple[str, ...]:
        return (GOROUTINES, NEWER) if self._newer else (GOROUTINES,)

    async def _ask_for_newer(self, api: Api) -> None:
        """Asked now and then rather than with each tick: where all tell both, a fleet's series would be read twice there. What is wrong with the
        server the next question tells."""
        inner = _inner(self._settings)
        with contextlib.suppress(ParkwardenError, FetchError):
            only = await api.instant(
                f"count({NEWER}{{{inner}}} unless {GOROUTINES}{{{inner}}})", self._clock() - SETTLE_S
            )
            self._newer = len(only.hashes) > 0

    async def _fill(self, api: Api) -> None:
        """The past, step by step in the order of time. A question that fails costs its field, or the rest of the past: a server that does not
        want to tell of it, or is too slow for it, may tell of the present. Raises where not even that is so."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        until = loop.time() + MAX_BACKFILL_S
        end = self._clock() - settings.interval_s
        step = max(settings.interval_s, settings.backfill_s / BACKFILL_STEPS)
        at = end - settings.backfill_s
        there = await api.instant(self._query(AT), end)
        steps = int(min(max(BACKFILL_POINTS // max(len(there.hashes), 1), 2), BACKFILL_STEPS))
        with contextlib.suppress(ParkwardenError, FetchError):
            while at <= end and loop.time() < until:
                times = [at + i * step for i in range(steps) if at + i * step <= end]
                await self._fill_piece(api, times, step)
                at = times[-1] + step

    async def _fill_piece(self, api: Api, times: list[float], step: float) -> None:
        fleet = self._fleet
        fleet.begin(times)

        async def ask(field: str) -> None:
            answer = await api.range(self._query(field), times[0], times[-1], step)
            await self._on(fleet.take, field, answer)
            if not len(answer.hashes):
                self._empty.add(field)

        await ask(AT)
        self._make_room()
        asked = [field for field in OFTEN if field not in self._empty]
        for failed in await asyncio.gather(*map(ask, asked), return_exceptions=True):
            if isinstance(failed, BaseException) and not isinstance(failed, Exception):
                raise failed
        self._empty.clear()  # what the past does not tell the present may
        await self._tell()

    def _make_room(self) -> None:
        """Where there are more than before: as many as are new get their places in one go, not while they double again and again."""
        if len(self._fleet) > self._had_room:
            self._roll.expect(self._fleet.instances[self._had_room :])
        self._had_room = len(self._fleet)

    async def _on(self, call: Callable[[str, ApiAnswer], None], field: str, answer: ApiAnswer) -> None:
        """Sorting an answer in; a first one of a large fleet takes a second, which is not the loop's."""
        if len(answer.hashes) < 2_000:
            call(field, answer)
        else:
            await asyncio.to_thread(call, field, answer)

    async def _tell(self) -> None:
        """Hand the readings over, a piece at a time; within one nobody looks for cycles, of which readings have none."""
        loop = asyncio.get_running_loop()
        roll, name = self._roll, self.name
        readings = self._fleet.told()
        more, collecting = True, gc.isenabled()
        while more:
            until = loop.time() + HOLD_S
            gc.disable()
            try:
                more = False
                for who, at, reading in readings:
                    if roll.seen(name, who, reading.start_time):
                        roll.read(who.id, at, reading)
                    if loop.time() > until:
                        more = True
                        break
            finally:
                if collecting:
                    gc.enable()
            await asyncio.sleep(0)

    def _told_trouble(self, wrong: Mapping[str, str], warnings: Iterable[str], asked: int) -> str:
        """What is wrong, the worst first, in one sentence."""
        if wrong:
            return f"{len(wrong)} of {asked} questions failed: {next(iter(wrong.values()))}"
        if first := next(iter(warnings), ""):
            return f"not all of it answered: {first}"
        if not len(self._fleet):
            return "nothing there has go_goroutines: is `selector` right?"
        if self._fleet.doubles:
            return f"{self._fleet.doubles:,} series name an instance that others name, too: `id_labels` must tell them apart"
        return self._addresses.trouble


async def instances_of(settings: PrometheusSource, at: float) -> int:
    """How many instances an API tells of at a time (Unix seconds), for who wants to know whether it does. Raises as `Api` does."""
    query = " or ".join(f"timestamp({name}{{{_inner(settings)}}})" for name in (GOROUTINES, NEWER))
    with ThreadPoolExecutor(1) as pool:
        api = Api(settings, 0, pool)
        try:
            return len((await api.instant(query, at)).hashes)
        finally:
            api.close()


def _inner(settings: PrometheusSource) -> str:
    """The selector without its braces."""
    return settings.selector.strip().removeprefix("{").removesuffix("}").strip().rstrip(",")


def sentence(error: Exception) -> str:
    """What went wrong, for a person; nothing of it is a secret."""
    if isinstance(error, FetchError):
        return error.text
    if isinstance(error, ParkwardenError):
        return f"{error.message} {error.context}".strip()
    return f"a mistake of ours: {type(error).__name__}"
