"""What the host tells of targets that run on it: joined to their readings, beside their pages.

A target whose address is this host's (or that of a pod in a shared pid namespace) is looked up by its port, and taken for the process
found there only where the two agree: on the start time or, where the pages do not tell one, on the command line. A port forward
(kubectl, ssh, docker-proxy) listens here for somebody who runs elsewhere, and its numbers are not the service's.

Looks cost the service nothing and us some milliseconds: together they take at most LOCAL_SHARE of one processor, the dearer ones
(descriptors by kind) at longer and longer intervals. Whatever is refused or gone costs this target's numbers, never its reading.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from urllib.parse import urlsplit

from parkwarden.collect.fleet.probe import merge
from parkwarden.collect.procfs import Listening, command_line, listening, look, reading
from parkwarden.model.artefact import Reading
from parkwarden.model.errors import ParkwardenError
from parkwarden.model.instance import START_JITTER_S, Target
from parkwarden.model.local import Local

LOCAL_SHARE = 0.02
"""Of one processor that all looks of the host may take together: half for numbers, half for descriptors by kind. A process with 10,000
descriptors is looked at in 50 ms of our time: alone every 5 s, one of twenty such once a minute and a half."""
SEARCH_EVERY_S = 60.0
"""Until who listens where is looked up again for targets that were not found: a walk over all processes, tens of milliseconds."""
SEARCH_SOON_S = 5.0
"""Between two searches where a process that was known is gone: its successor may listen already, or is about to."""
COST_WEIGHT = 0.25
"""Of the newest look in the average of what looks cost."""

Ask = Callable[[], Awaitable[bytes | None]]
"""Asks the target for its command line (`/debug/pprof/cmdline`), None where it does not tell."""


@dataclass(slots=True)
class _Price:
    """What one kind of look costs, and when it is due again."""

    cpu_s: float = 0.0
    due: float = 0.0

    def paid(self, now: float, cpu_s: float, targets: int) -> None:
        self.cpu_s += (cpu_s - self.cpu_s) * (COST_WEIGHT if self.cpu_s else 1.0)
        self.due = now + self.cpu_s * targets / (LOCAL_SHARE / 2)


@dataclass(slots=True)
class _Known:
    """One target that is thought to run here."""

    pid: int
    numbers: _Price
    kinds: _Price


@dataclass(frozen=True, slots=True)
class Told:
    """One look: what came of it, and what it took of our time."""

    outcome: str
    """ok, or the code of the error; `not-the-process`: another process listens for it; `` = none was due."""
    local: Local | None = None
    took_s: float = 0.0


class LocalLooks:
    """Looks of one collector's host at its targets. All on one event loop; files are read in `pool`'s threads."""

    def __init__(self, root: str = "/proc", monotonic: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._monotonic = monotonic
        self._known: dict[str, _Known] = {}
        self._tried: dict[str, int] = {}
        """Targets that a search did not find, and which one."""
        self._searches = 0
        self._candidates: dict[int, Local] = {}
        """Processes looked at since the last search to see whose they are."""
        self._others: dict[str, set[int]] = {}
        """Processes that listen for a target and have another command line."""
        self._listening: Listening | None = None
        self._search_at = self._searched_at = 0.0
        self._searching: asyncio.Future[Listening] | None = None

    def forget(self, target_id: str) -> None:
        self._known.pop(target_id, None)
        self._tried.pop(target_id, None)
        self._others.pop(target_id, None)

    def pid(self, target_id: str) -> int | None:
        """The process a target is, None where it is not known to run here."""
        known = self._known.get(target_id)
        return known.pid if known else None

    async def join(self, target: Target, told: Reading, pool: Executor, ask: Ask) -> Told:
        """Look, where one is due, and fill in what `told` lacks. Raises nothing but what cancelling raises."""
        known = self._known.get(target.id)
        if known is not None:
            seen = await self._guarded(target, self._look(target, told, known, pool))
            if target.id in self._known:
                return seen
        # its pages were read just now: who is gone has a successor that listens already
        return await self._guarded(target, self._find(target, told, pool, ask))

    async def _guarded(self, target: Target, looking: Coroutine[None, None, Told]) -> Told:
        """A look whose failure costs itself; a process that is gone, or not ours to look at, is not known any more."""
        try:
            return await looking
        except ParkwardenError as error:
            self._lose(target)
            return Told(error.code)
        except OSError as error:
            return Told(f"unreadable: {type(error).__name__}")

    async def _look(self, target: Target, told: Reading, known: _Known, pool: Executor) -> Told:
        now = self._monotonic()
        files = known.kinds.due <= now
        price = known.kinds if files else known.numbers
        if price.due > now:
            return Told("")
        local, cpu_s = await self._taken(known.pid, files, pool)
        if told.start_time is not None and not _same_start(local, told):
            self._lose(target)  # its pages tell of another life, or the pid is another's by now
            return Told("not-the-process", None, cpu_s)
        price.paid(now, cpu_s, len(self._known))
        fill(told, local)
        return Told("ok", local, cpu_s)

    def _lose(self, target: Target) -> None:
        """Who was known is gone: look for the successor at once, unless a search was just made."""
        self.forget(target.id)
        self._search_at = min(self._search_at, self._searched_at + SEARCH_SOON_S)

    async def _find(self, target: Target, told: Reading, pool: Executor, ask: Ask) -> Told:
        parts = urlsplit(target.url)
        host, port = parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
        if not host or not port:
            return Told("")
        found = await self._lookup(pool)
        if self._tried.get(target.id) == self._searches:
            return Told("")
        self._tried[target.id] = self._searches
        pids = [pid for pid in found.owners(host, port, resolve=False) if pid not in self._others.get(target.id, ())]
        for pid in pids:
            if (local := self._candidates.get(pid)) is None:  # a simulator of a fleet listens for thousands of targets
                local, _ = await self._taken(pid, False, pool)
                self._candidates[pid] = local
            if not await self._is(target.id, local, told, ask, pool):
                continue
            self._tried.pop(target.id, None)
            known = self._known[target.id] = _Known(pid, _Price(), _Price())
            return await self._look(target, told, known, pool)
        return Told("not-the-process") if pids else Told("")

    async def _lookup(self, pool: Executor) -> Listening:
        """Who listens where: as known, or looked up anew where that is due; one search serves all who wait for it."""
        if self._searching is not None:
            return await asyncio.shield(self._searching)
        if self._listening is not None and self._monotonic() < self._search_at:
            return self._listening
        loop = asyncio.get_running_loop()
        self._searching = asyncio.ensure_future(loop.run_in_executor(pool, self._search))
        try:
            self._listening = await asyncio.shield(self._searching)
        finally:
            self._searching = None
        self._searches += 1
        self._candidates.clear()
        return self._listening

    def _search(self) -> Listening:
        began = time.thread_time()
        found = listening(root=self._root)
        cpu_s = time.thread_time() - began
        self._searched_at = self._monotonic()
        self._search_at = self._searched_at + max(SEARCH_EVERY_S, cpu_s / LOCAL_SHARE)
        return found

    async def _is(self, target: str, local: Local, told: Reading, ask: Ask, pool: Executor) -> bool:
        """Whether the process that listens is the one whose pages were read."""
        if told.start_time is not None:
            return _same_start(local, told)
        if any(known.pid == local.pid for known in self._known.values()):
            return False  # many targets in one process (a simulator): none of them is the process
        theirs = await ask()
        loop = asyncio.get_running_loop()
        ours = await loop.run_in_executor(pool, lambda: command_line(local.pid, root=self._root))
        same = bool(theirs) and theirs == ours.rstrip(b"\0")
        if not same:
            self._others.setdefault(target, set()).add(local.pid)  # not asked again: it costs a request
        return same

    async def _taken(self, pid: int, files: bool, pool: Executor) -> tuple[Local, float]:
        def one() -> tuple[Local, float]:
            began = time.thread_time()
            return look(pid, files=files, sockets=False, root=self._root), time.thread_time() - began

        return await asyncio.get_running_loop().run_in_executor(pool, one)


def _same_start(local: Local, told: Reading) -> bool:
    """Both are made of the boot time and clock ticks; the boot time wanders with the wall clock."""
    return (
        local.start_time is not None
        and told.start_time is not None
        and abs(local.start_time - told.start_time) <= 2 * START_JITTER_S
    )


def fill(told: Reading, local: Local) -> None:
    """What the pages did not tell, and always the control group's memory: what kills is its limit, whatever Go was told to keep to."""
    mine = reading(local)
    mine.goroutines = None
    if mine.mem_limit is not None:
        told.mem_limit, told.mem_used = mine.mem_limit, mine.mem_used
    else:
        mine.mem_used = None  # against no limit it says nothing, and beside Go's own limit the wrong thing
    merge(told, mine)


def kinds_of(told: Told) -> Mapping[str, int] | None:
    """Descriptors by kind, where this look counted them."""
    return told.local.kinds if told.local is not None else None
