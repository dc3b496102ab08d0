"""`fds`: the open descriptors of one process, how they grow between two looks, and which goroutines hold them.

A pid is looked at through /proc, its goroutines are asked for where one of its own listeners answers as pprof; a URL the other way
round. Of a service on another host the pages' process_* numbers are all there is, and the answer says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from parkwarden.collect.limits import Tell, quiet
from parkwarden.model import (
    Artefact,
    BuildInfo,
    LookCost,
    Problem,
    Reading,
    Snapshot,
    Source,
    UnreachableError,
    UsageError,
)
from parkwarden.model.fds import FdsResult, Holder, KindRow
from parkwarden.model.local import Local

if TYPE_CHECKING:
    from parkwarden.report.redact import Redactor

MAX_FOR_S = 3600.0
"""Longer is `watch`'s work."""
MAX_PID = 1 << 22
"""The largest pid Linux gives (PID_MAX_LIMIT)."""
MAX_PORTS = 8
"""Listeners of a process that are asked whether they are its pprof."""
PORT_TIMEOUT_S = 2.0
"""Each of them: one that speaks another protocol may never answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FdsOptions:
    """What the user chose."""

    for_s: float = 10.0
    """Between the two looks; 0 = one look."""
    modules: tuple[str, ...] = ()
    proc: str = "/proc"
    redact: bool = True


@dataclass(slots=True)
class _Seen:
    """One look: what the host told, what the goroutines did."""

    at: float
    local: Local | None
    artefacts: list[Artefact]
    cost: list[LookCost]

    @property
    def snapshot(self) -> Snapshot | None:
        return next((a.snapshot for a in self.artefacts if a.snapshot and a.snapshot.source is Source.PROFILE), None)

    @property
    def reading(self) -> Reading:
        return next((a.reading for a in self.artefacts if a.reading is not None), Reading())


def fds(
    target: str, options: FdsOptions | None = None, tell: Tell = quiet, pause: Callable[[float], None] = time.sleep
) -> FdsResult:
    """Two looks at a PID or URL. Raises UsageError (neither), UnreachableError (no such process, no answer)."""
    from parkwarden.report.redact import Redactor

    options = options or FdsOptions()
    if not 0 <= options.for_s <= MAX_FOR_S:
        raise UsageError("bad-duration", f"--for must be 0 to {MAX_FOR_S:g} s, not {options.for_s:g} s")
    see, pid, problems = _eyes(target, options)
    tell("looking", None)
    first = last = see()
    if options.for_s:
        _wait(first.at + options.for_s, tell, pause)
        try:
            last = see()
        except UnreachableError as error:  # what the first look saw is worth telling
            problems.append(Problem(error.code, "second look", error.message))
    redactor = Redactor(options.redact)
    result = _result(target, first, last, options, redactor, problems)
    result.pid = result.pid or pid
    tell("read", 1.0)
    return result


def _wait(until: float, tell: Tell, pause: Callable[[float], None]) -> None:
    began = time.time()
    while (left := until - time.time()) > 0:
        tell(f"looking again in {left:.0f} s", min(1.0, (time.time() - began) / max(until - began, 0.001)))
        pause(min(left, 0.25))


def _eyes(target: str, options: FdsOptions) -> tuple[Callable[[], _Seen], int | None, list[Problem]]:
    """How this target is looked at."""
    from parkwarden.run.bags import is_url

    problems: list[Problem] = []
    if target.isascii() and target.isdecimal():
        pid = int(target)
        if not 0 < pid <= MAX_PID:
            raise UsageError("bad-pid", f"{target[:20]} is no process id", hint="ps -e lists them")
        return _eyes_of_pid(pid, options, problems), pid, problems
    if not is_url(target):
        raise UsageError(
            "no-target", f"{target} is neither a process id nor a URL",
            hint="parkwarden fds 4242, or parkwarden fds http://localhost:6060",
        )  # fmt: skip
    return lambda: _ask(target, options), None, problems


def _eyes_of_pid(pid: int, options: FdsOptions, problems: list[Problem]) -> Callable[[], _Seen]:
    from parkwarden.collect.procfs import look

    look(pid, files=False, root=options.proc)  # raises where there is nobody
    url = _pprof_of(pid, options)
    if url is None:
        text = "none of its listeners answers as pprof: which goroutines hold the descriptors is not known"
        problems.append(Problem("no-pprof", f"process {pid}", text))
    else:
        _load()

    def see() -> _Seen:
        at = time.time()
        local = look(pid, at=at, root=options.proc)
        seen = _ask(url, replace(options, proc="")) if url is not None else _Seen(at, None, [], [])
        cost = LookCost("host", local.took_s, None, f"/proc of process {pid}: it is not asked")
        return _Seen(at, local, seen.artefacts, [cost, *seen.cost])

    return see


def _load() -> None:
    """What asks and reads pages, before the first look: loaded in the middle of it, its goroutines are seconds younger than its descriptors,
    and what grew alike seems not to have."""
    import aiohttp  # noqa: F401

    from parkwarden.collect.fleet.looks import warm

    warm()


def _pprof_of(pid: int, options: FdsOptions) -> str | None:
    """The address of a process's own pprof: a listener of its that tells its command line."""
    from http.client import HTTPException
    from urllib.request import ProxyHandler, build_opener

    from parkwarden.collect.procfs import command_line, ports_of

    ours = command_line(pid, root=options.proc).rstrip(b"\0")
    opener = build_opener(ProxyHandler({}))  # never by way of a proxy: it is this host
    for host, port in ports_of(pid, root=options.proc)[:MAX_PORTS] if ours else ():
        base = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        try:
            with opener.open(f"{base}/debug/pprof/cmdline", timeout=PORT_TIMEOUT_S) as answer:
                if answer.read(len(ours) + 1).rstrip(b"\0") == ours:
                    return base
        except (OSError, ValueError, HTTPException):  # another protocol, no pprof, TLS; URLError is an OSError
            continue
    return None


def _ask(url: str, options: FdsOptions) -> _Seen:
    """One brief look at a live service; of the host, too, unless `proc` is empty (it was asked already)."""
    from parkwarden.collect.live import LiveOptions, look_sync

    at = time.time()
    live = LiveOptions(brief=True, local=bool(options.proc), proc=options.proc or "/proc")
    bag = look_sync(url, options=live)
    return _Seen(bag.local.at if bag.local else at, bag.local, bag.artefacts, bag.costs)


def _result(
    target: str, first: _Seen, last: _Seen, options: FdsOptions, redactor: Redactor, problems: list[Problem]
) -> FdsResult:
    """The answer, redacted."""
    from parkwarden.run.bags import bare

    two = last is not first
    local, reading = last.local, last.reading
    result = FdsResult(
        name=redactor.text(bare(target)),
        checked_at=datetime.fromtimestamp(last.at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        watched_s=last.at - first.at if two else 0.0,
        source="host" if local is not None else "pages",
        open_fds=local.open_fds if local else reading.open_fds,
        max_fds=local.max_fds if local else reading.max_fds,
        goroutines=last.snapshot.total if last.snapshot else reading.goroutines,
        cost=tuple(last.cost),
    )
    if two:
        result.open_before = (
            first.local.open_fds if first.local and local else None if local else first.reading.open_fds
        )
    holders: list[Holder] = []
    if local is not None:
        result.pid, result.max_fds_hard = local.pid, local.max_fds_hard
        before = first.local.kinds if two and first.local else None
        counts = {
            kind: (count, None if before is None else before.get(kind, 0))
            for kind, count in (local.kinds or {}).items()
        }
        holders, result.unexplained = _holders(first if two else None, last, counts, options)
        shown = redactor.local(local)
        result.command, result.connections = shown.command, shown.connections
        result.kinds = _kinds(shown, counts)
        problems = [*problems, *local.problems]
    else:
        holders, _ = _holders(first if two else None, last, {}, options)
        text = (
            "it does not run on this host, or may not be looked at (root may, and its own user; in a container with CAP_SYS_PTRACE and its pid "
            "namespace): kinds of descriptors and who holds how many are not known"
        )
        problems = [*problems, Problem("not-here", result.name, text)]
    if last.snapshot is None and not any(p.code == "no-pprof" for p in problems):
        text = "no goroutine profile could be read: which goroutines hold the descriptors is not known"
        problems = [
            *problems,
            *(p for a in last.artefacts for p in a.problems),
            Problem("no-profile", result.name, text),
        ]
    result.holders = tuple(_redacted(holder, redactor) for holder in holders)
    result.problems = tuple(redactor.problems(problems))
    result.redacted = redactor.count
    return result


def _kinds(local: Local, counts: dict[str, tuple[int, int | None]]) -> tuple[KindRow, ...]:
    rows = [
        KindRow(kind, count, before, tuple(g for g in local.open_files if g.kind == kind))
        for kind, (count, before) in counts.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.count, row.kind)))


def _holders(
    first: _Seen | None, last: _Seen, counts: dict[str, tuple[int, int | None]], options: FdsOptions
) -> tuple[list[Holder], dict[str, int]]:
    """Sites that hold descriptors. Without counts by kind (another host) those whose frames tell, as many as they are."""
    from parkwarden.collect.fleet.sites import sites_of
    from parkwarden.stacks.holders import each, holds
    from parkwarden.stacks.holding import Standing, explain
    from parkwarden.stacks.modules import guess_user_modules

    if last.snapshot is None:
        return [], {kind: count for kind, (count, _) in counts.items() if count}
    now = sites_of(last.snapshot)
    before = sites_of(first.snapshot).counts if first is not None and first.snapshot is not None else None
    standing = [
        Standing(site, now.counts[site.id], None if before is None else before.get(site.id, 0))
        for site in now.named.values()
    ]
    modules = ("main", *options.modules)
    if not options.modules:
        modules = tuple(guess_user_modules(last.snapshot.stacks, _build(last.artefacts)))
    if not counts:
        for one in standing:
            if (kind := holds(one.site)) is not None:
                held, _ = counts.get(kind, (0, None))
                counts = {**counts, kind: (held + one.count * each(one.site), None)}
        return explain(standing, counts, modules)[0], {}
    return explain(standing, counts, modules)


def _build(artefacts: list[Artefact]) -> BuildInfo:
    return next((a.build for a in artefacts if a.build is not None), BuildInfo())


def _redacted(holder: Holder, redactor: Redactor) -> Holder:
    return replace(
        holder, site=redactor.site(holder.site), line=redactor.frame(holder.line) if holder.line is not None else None
    )
