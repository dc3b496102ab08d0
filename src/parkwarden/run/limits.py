"""`limits`: looks at one process for a while, reads every limit in force, and asks `judge/limits` what breaks first.

    examined = examine("http://localhost:6060", LimitOptions(profile=PRESETS["gateway"], load=500))

A pid is looked at from outside alone. A URL is asked for its pages, and where it is a process of this host, that is looked at too.
What nobody told stays hidden: nothing is guessed but what is called a default or an assumption.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from parkwarden.collect.limits import TEXT_DUMP_MAX_GOROUTINES, Tell, quiet
from parkwarden.judge.fleet.time_left import THREAD_LIMIT
from parkwarden.judge.limits import Examined, Facts, Look, Profile, Setting, State, told, tune
from parkwarden.judge.limits.facts import GO_GOGC, SETTINGS
from parkwarden.judge.limits.needs import MIN_LOOKS as TREND_LOOKS
from parkwarden.judge.limits.presets import GATEWAY
from parkwarden.judge.limits.rules import most_procs
from parkwarden.model import Artefact, Problem, Reading, UnreachableError, UsageError

if TYPE_CHECKING:
    from parkwarden.collect.go_process import Around, GoProcess
    from parkwarden.collect.server_settings import Found
    from parkwarden.model.local import Local

MIN_FOR_S, MAX_FOR_S = 0.0, 3600.0
"""Zero is one look and no trend; for longer than an hour there is `watch`."""

LOOK_EVERY_S = 1.0
"""Between two looks, each a page of numbers and a goroutine profile (1-2 ms of the service at 1,000 goroutines)."""

MAX_LOOKS = 90
"""Of the longest watch: as many as a robust slope is taken from."""

MIN_LOOKS = 10
"""Of a short one: they come closer together."""

NEVER_CLOSER_S = 0.1
"""Between two looks, whatever MIN_LOOKS wants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitOptions:
    """What the user chose."""

    profile: Profile = GATEWAY
    load: int | None = None
    for_s: float = 10.0
    source: Path | None = None
    peer_keepalive_s: float | None = None
    proc: str = "/proc"


def examine(target: str, options: LimitOptions | None = None, tell: Tell | None = None) -> Examined:
    """The whole answer. Raises UsageError (no such target or folder), UnreachableError (nobody there, or ended meanwhile)."""
    options = options or LimitOptions()
    if not MIN_FOR_S <= options.for_s <= MAX_FOR_S:
        raise UsageError(
            "bad-duration",
            f"cannot look for {options.for_s:g} s",
            hint=f"0 to {MAX_FOR_S:g} s; for longer there is parkwarden watch",
        )
    if options.load is not None and options.load < 1:
        raise UsageError("bad-load", f"{options.load:,} concurrent requests are no load", hint="--load 500")
    found = _source(options.source)
    watched = asyncio.run(_watch(_Process.parse(target, options), options, tell or quiet))
    return _examined(watched, found, options)


def _source(folder: Path | None) -> Found | None:
    if folder is None:
        return None
    from parkwarden.collect.server_settings import server_settings

    try:
        return server_settings(folder)
    except NotADirectoryError:
        raise UsageError(
            "no-such-folder", f"{folder} is no folder", hint="--source needs the folder with the service's go.mod"
        ) from None


@dataclass(slots=True)
class _Process:
    """Whom to look at: a pid, pages, or both."""

    name: str
    pid: int | None
    base: str | None
    root: str
    absent: set[str] = field(default_factory=set)
    """Pages that are not there."""
    problems: list[Problem] = field(default_factory=list)
    settings: dict[str, float] = field(default_factory=dict)
    """The runtime's own, off its metrics page."""
    reading: Reading | None = None
    go: tuple[int, int] | None = None
    goroutines: int | None = None
    stalled: int | None = None
    local: Local | None = None
    inside: GoProcess | None = None
    looks: list[Look] = field(default_factory=list)
    clock: float = field(default_factory=lambda: time.time() - time.monotonic())
    """A clock that is set meanwhile must not bend a trend."""

    @classmethod
    def parse(cls, target: str, options: LimitOptions) -> _Process:
        from parkwarden.run.bags import bare, is_url

        if target.isascii() and target.isdigit() and len(target) < 11:
            return cls(name=target, pid=int(target), base=None, root=options.proc)
        if not is_url(target):
            raise UsageError(
                "no-such-target",
                f"{target} is neither a pid nor a URL",
                hint="parkwarden limits 4242, or parkwarden limits http://localhost:6060",
            )
        base = re.sub(r"/(?:debug(?:/pprof)?|metrics)/?$", "", target.rstrip("/"))
        return cls(name=bare(base), pid=_owner(base, options.proc), base=base, root=options.proc)

    async def look(self) -> None:
        """One look from all sides. Raises UnreachableError where a pid alone ended, or no page was there from the first."""
        now = Look(at=0.0)
        if self.base is not None:
            now = await self._pages(now)
        if self.pid is not None:
            now = await asyncio.to_thread(self._host, now)
        self.looks.append(replace(now, at=self.clock + time.monotonic()))

    async def _pages(self, now: Look) -> Look:
        first: UnreachableError | None = None
        reading = Reading()
        for page in ("metrics", "debug/vars"):
            try:
                for artefact in await self._ask(page):
                    reading = artefact.reading or reading
            except UnreachableError as error:
                first = first or error
            if reading.goroutines is not None or reading.heap_inuse is not None:
                break
        try:
            for artefact in await self._ask("debug/pprof/goroutine"):
                now = self._served(artefact, now)
        except UnreachableError as error:
            first = first or error
        if first is not None and not self.looks and reading == Reading() and now.goroutines is None:
            raise first
        self._read(reading)
        return _with_reading(now, reading)

    async def _ask(self, page: str, query: str = "") -> list[Artefact]:
        """One page's artefacts; empty where it is known to be absent. Raises UnreachableError."""
        if page in self.absent:
            return []
        from parkwarden.collect.live import look

        try:
            bag = await look(f"{self.base}/{page}{query}")
        except UnreachableError as error:
            if error.code == "not-there":
                self.absent.add(page)
            raise
        if page == "metrics":
            from parkwarden.formats.go_settings import settings

            self.settings |= settings(b"".join(bag.bodies.values()))
        return bag.artefacts

    def _served(self, artefact: Artefact, now: Look) -> Look:
        if artefact.snapshot is None:
            return now
        from parkwarden.stacks.served import served

        found = served(artefact.snapshot)
        self.goroutines = artefact.snapshot.total
        if found.stalled is not None:
            self.stalled = found.stalled
        return replace(now, goroutines=artefact.snapshot.total, connections=found.connections, requests=found.requests)

    def _read(self, reading: Reading) -> None:
        """What stays from look to look: the newest told value of each."""
        self.reading = reading if self.reading is None else self.reading
        if self.go is None and reading.go_version:
            version = re.match(r"(?:devel )?go(\d{1,2})\.(\d{1,3})", reading.go_version)
            self.go = (int(version[1]), int(version[2])) if version else None

    def _host(self, now: Look) -> Look:
        """From outside. A process that ended ends the looking; a refusal of everything only where there is no page either."""
        from parkwarden.collect.go_process import look_around, look_go
        from parkwarden.collect.procfs import look

        assert self.pid is not None
        alone = self.base is None
        try:
            local = look(self.pid, files=alone or self.local is None, sockets=alone, tcp_info=False, root=self.root)
        except UnreachableError as error:
            if alone or error.code == "no-such-process":
                raise
            self.problems.append(Problem(error.code, f"process {self.pid}", error.message))
            self.pid = None
            return now
        if self.local is None:
            self.inside = look_go(self.pid, root=self.root)
            self.problems += [*local.problems, *self.inside.problems]
            self.go = self.inside.version or self.go
        self.local = local if local.kinds is not None or self.local is None else replace(local, kinds=self.local.kinds)
        return _with_local(now, local, look_around(self.pid, root=self.root), alone)

    async def finish(self) -> None:
        """One text dump of a small process: only it tells how long goroutines have waited."""
        if self.base is None or self.goroutines is None or self.goroutines > TEXT_DUMP_MAX_GOROUTINES:
            return
        try:
            for artefact in await self._ask("debug/pprof/goroutine", "?debug=2"):
                self._served(artefact, self.looks[-1])
        except UnreachableError as error:
            self.problems.append(Problem(error.code, "debug=2", error.message))


def _owner(base: str, root: str) -> int | None:
    """The pid behind a URL of this host; None for others, and where that cannot be found out."""
    from yarl import URL

    from parkwarden.collect.procfs import owner_of

    try:
        url = URL(base if "://" in base else f"http://{base}")
        host, port = url.host, url.port
    except ValueError:
        return None
    if host is None or port is None or base.startswith(("unix:", "http+unix:")):
        return None
    return owner_of(host, port, root=root)


def _with_reading(now: Look, reading: Reading) -> Look:
    """A page's numbers beside what is known already."""
    heap = None if reading.heap_inuse is None else reading.heap_inuse + (reading.stack_inuse or 0)
    return replace(
        now,
        descriptors=reading.open_fds,
        threads=reading.threads,
        memory=reading.rss,
        go_memory=reading.sys,
        heap=heap,
        next_gc=reading.next_gc,
        goroutines=now.goroutines if now.goroutines is not None else reading.goroutines,
    )


def _with_local(now: Look, local: Local, around: Around, alone: bool) -> Look:
    """The host's numbers, which go before a page's: they are read at once and know the group."""
    group = local.cgroup
    now = replace(
        now,
        descriptors=_first(local.open_fds, now.descriptors),
        threads=_first(local.threads, now.threads),
        user_threads=around.user_threads,
        group_threads=group.pids_current if group else None,
        system_threads=around.system_threads,
        address_space=around.address_space,
        memory=_first(group.mem_used if group and group.mem_limit else None, local.rss, now.memory),
    )
    if alone and local.kinds is not None:
        incoming = sum(one.count for one in local.connections if one.state == "ESTABLISHED" and _client(one.peer))
        now = replace(now, connections=incoming, requests=incoming)
    return now


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _client(peer: str) -> bool:
    """Whether a connection came in: of those the peer's port is left out."""
    try:
        ipaddress.ip_address(peer.strip("[]"))
    except ValueError:
        return False
    return True


async def _watch(process: _Process, options: LimitOptions, tell: Tell) -> _Process:
    every = max(NEVER_CLOSER_S, min(LOOK_EVERY_S, options.for_s / MIN_LOOKS), options.for_s / MAX_LOOKS)
    more = round(options.for_s / every)
    tell(f"{process.name}: the first look", None)
    await process.look()
    began = time.monotonic()  # not before: what the first look loads must not bring the next ones closer together
    for number in range(1, more + 1):
        if number >= TREND_LOOKS and time.monotonic() - began > options.for_s:
            break  # looks at a large or busy service take longer than planned
        await asyncio.sleep(max(began + number * every - time.monotonic(), 0.0))
        tell(f"{process.name}: look {number + 1} of {more + 1}", number / (more + 1))
        await process.look()
    await process.finish()
    return process


def _examined(process: _Process, found: Found | None, options: LimitOptions) -> Examined:
    facts = Facts(
        settings=_settings(process, found),
        looks=tuple(process.looks),
        go=process.go,
        root=process.local.unbound if process.local else None,
        servers=tuple(found.servers) if found else (),
        source_read=found is not None,
        stalled=process.stalled,
        load=options.load,
        peer_keepalive_s=options.peer_keepalive_s,
        local=process.local is not None,
    )
    if found is not None and found.truncated:
        process.problems.append(
            Problem(
                "source-too-large", str(options.source), "not all of the source was read; give a folder further down"
            )
        )
    return Examined(
        target=process.name,
        pid=process.pid,
        command=process.local.command if process.local else "",
        checked_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        watched_s=process.looks[-1].at - process.looks[0].at,
        kinds=process.local.kinds if process.local else None,
        source_calls=tuple(
            f"{call.function}({'...' if call.value is None else f'{call.value:g}'}) at {call.where}"
            for call in (found.calls if found else ())
        ),
        problems=tuple(process.problems),
        tuning=tune(facts, options.profile),
    )


def _settings(process: _Process, found: Found | None) -> dict[str, Setting]:
    """Every setting, told or not."""
    settings = {name: Setting(name) for name in SETTINGS}
    for one in (*_of_reading(process), *_of_host(process.local), *_of_go(process, found)):
        settings[one.name] = one
    return settings


def _of_reading(process: _Process) -> Iterable[Setting]:
    reading = process.reading
    if reading is not None and reading.max_fds is not None:
        yield told("fd-limit", _none(reading.max_fds, 1 << 62), "process_max_fds")


def _of_host(local: Local | None) -> Iterable[Setting]:
    if local is None:
        return
    if local.max_fds is not None or local.max_fds_hard is not None or local.max_processes is not None:
        limits = f"/proc/{local.pid}/limits"
        yield told("fd-limit", _none(local.max_fds), limits)
        yield told("fd-limit-hard", _none(local.max_fds_hard), limits)
        yield told("process-limit", _none(local.max_processes), limits)
        yield told("address-space", _none(local.max_memory), limits)
    if local.threads_system is not None:
        yield told("threads-system", float(local.threads_system), "kernel.threads-max")
    group = local.cgroup
    if group is not None:
        where = f"cgroup v{group.version}"
        yield told("memory-limit", _none(group.mem_limit), where)
        yield told("memory-high", _none(group.mem_high), where)
        yield told("pids-limit", _none(group.pids_limit), where)
        yield told("cpus", math.inf if group.cpus is None else group.cpus, where)


def _none(value: int | None, most: int = 1 << 63) -> float:
    return math.inf if value is None or value >= most else float(value)


_CALLED = {
    "SetMaxThreads": "go-max-threads",
    "SetMemoryLimit": "gomemlimit",
    "SetGCPercent": "gogc",
    "GOMAXPROCS": "gomaxprocs",
}


def _of_go(process: _Process, found: Found | None) -> Iterable[Setting]:
    """The runtime's own settings: what runs tells first (metrics), then what source sets, then the environment, then Go's default."""
    environment = process.inside.environment if process.inside else None
    seen: dict[str, Setting] = {
        "go-max-threads": Setting("go-max-threads", float(THREAD_LIMIT), State.DEFAULT, "Go's default")
    }
    if environment is not None:
        seen |= {one.name: one for one in _of_environment(environment, process)}
    for call in found.calls if found else ():
        name = _CALLED[call.function]
        if call.value is None:
            seen[name] = Setting(name, None, State.HIDDEN, f"{call.where} sets it")
        elif call.function in ("SetGCPercent", "SetMaxThreads") or call.value > 0:  # the others only ask with less
            off = call.function == "SetGCPercent" and call.value < 0
            seen[name] = told(name, math.inf if off else call.value, call.where)
    for name, value in process.settings.items():
        seen[name] = told(name, value, "metrics page")
    return seen.values()


def _of_environment(environment: Mapping[str, str], process: _Process) -> Iterable[Setting]:
    from parkwarden.collect.go_process import memory_of, percent_of

    where = "environment"
    gogc = percent_of(environment["GOGC"]) if "GOGC" in environment else None
    yield (
        told("gogc", gogc, where)
        if gogc is not None
        else Setting("gogc", float(GO_GOGC), State.DEFAULT, "Go's default")
    )
    memory = memory_of(environment["GOMEMLIMIT"]) if "GOMEMLIMIT" in environment else None
    yield (
        told("gomemlimit", memory, where)
        if memory is not None
        else Setting("gomemlimit", math.inf, State.DEFAULT, "Go's default")
    )
    try:
        procs = int(environment.get("GOMAXPROCS", ""))
    except ValueError:
        procs = 0
    if procs > 0:
        yield told("gomaxprocs", float(procs), where)
    elif (default := _default_procs(process, environment)) is not None:
        yield Setting("gomaxprocs", float(default), State.DEFAULT, "Go's default")


def _default_procs(process: _Process, environment: Mapping[str, str]) -> int | None:
    """As runtime/proc.go: defaultGOMAXPROCS: the processors it may run on, from Go 1.25 on no more than the quota."""
    if process.pid is None or process.go is None or process.root != "/proc":
        return None
    try:
        procs = len(os.sched_getaffinity(process.pid))
    except (OSError, AttributeError):
        return None
    group = process.local.cgroup if process.local else None
    if (
        group is not None
        and group.cpus is not None
        and process.go >= (1, 25)
        and "containermaxprocs=0" not in environment.get("GODEBUG", "")
    ):
        procs = min(procs, most_procs(group.cpus))
    return procs
