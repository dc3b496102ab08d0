"""`doctor`: is everything there that `watch` needs? One check per question, each ok, warn or fail, with the next step.

    checks = asyncio.run(examine(config))

Looks and asks, changes nothing: no database is made, no notification sent, of a target only the cheapest pages are read (index of pprof, metrics,
vars: 1 ms each, docs: what a look costs). A check that fails by a bug of ours is a `fail` of its own.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parkwarden.collect.discovery import Discovery, SourceStatus
from parkwarden.collect.limits import Tell, quiet
from parkwarden.model.errors import ParkwardenError
from parkwarden.model.instance import Target
from parkwarden.model.listening import is_loopback, split_listen
from parkwarden.run._doctor_target import TargetReport, examine_target
from parkwarden.run.config import Config, ConfigError
from parkwarden.store.settings import StoreSettings

if TYPE_CHECKING:
    from parkwarden.collect.streams.prometheus.settings import PrometheusSource

SCHEMA = "parkwarden.doctor/1"
MAX_TARGETS = 200
"""Targets asked; of a larger fleet an even sample tells what is wrong."""
AT_ONCE = 16
"""Targets asked at the same time."""
DISCOVERY_S = 15.0
"""Until every source has answered once, or has told why not."""
FREE_WARN, FREE_FAIL = 2 << 30, 200 << 20
"""Bytes free for the store: a day of a thousand instances' history, and what an hour's journal takes."""
SKEW_WARN_S = 5.0
"""Between our clock and a target's: start times and evidence are dated by both. HTTP dates have whole seconds."""


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """The answer to one question."""

    section: str
    """config, program, kernels, store, web, channels, streams, discovery, targets."""
    name: str
    state: State
    text: str
    next: str = ""
    """What to do about it."""
    details: dict[str, Any] = field(default_factory=dict)


def healthy(checks: Sequence[Check]) -> bool:
    """Nothing failed; a warning is no failure."""
    return all(c.state is not State.FAIL for c in checks)


def config_checks(error: ParkwardenError) -> list[Check]:
    """A configuration that cannot be used: one check per mistake."""
    if isinstance(error, ConfigError):
        return [
            Check("config", p.key or p.file, State.FAIL, f"line {p.line}: {p.text}" if p.line else p.text, p.hint)
            for p in error.problems
        ]
    return [Check("config", "file", State.FAIL, error.message, error.hint)]


async def examine(config: Config, *, name: str = "command line", tell: Tell = quiet) -> list[Check]:
    """All checks of a configuration that could be read, in the order people look for causes."""
    checks = [Check("config", name, State.OK, _in_short(config)), *_program()]
    parts: tuple[tuple[str, Callable[[], Awaitable[list[Check]]]], ...] = (
        ("kernels", lambda: asyncio.to_thread(_kernels)),
        ("store", lambda: asyncio.to_thread(_store, config.store)),
        ("web", lambda: asyncio.to_thread(_web, config)),
        ("channels", lambda: asyncio.to_thread(_channels, config)),
        ("streams", lambda: _streams(config)),
        ("targets", lambda: _targets(config, tell)),
    )
    for section, part in parts:
        tell(section, None)
        try:
            checks += await part()
        except Exception as error:  # of all commands this one must say something about everything
            text = f"this check failed by itself: {type(error).__name__}"
            checks.append(Check(section, "doctor", State.FAIL, text, "report it: a bug of Parkwarden"))
    return checks


def _in_short(config: Config) -> str:
    d = config.discovery
    sources = [
        f"{sum(len(t.urls) for t in config.targets)} static target(s)",
        *(
            f"{len(s)} {n}"
            for n, s in (("file_sd", d.file_sd), ("http_sd", d.http_sd), ("kubernetes", d.kubernetes))
            if s
        ),
    ]
    return f"readable: {', '.join(sources)}, {len(config.channels.names)} channel(s)"


def _program() -> list[Check]:
    from parkwarden import __version__

    text = f"parkwarden {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    checks = [Check("program", "versions", State.OK, text)]
    try:
        import resource

        soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        few = soft != resource.RLIM_INFINITY and soft < 4096
        checks.append(
            Check(
                "program",
                "open files",
                State.WARN if few else State.OK,
                "no limit" if soft == resource.RLIM_INFINITY else f"limit {soft:,}: each target keeps a connection",
                "ulimit -n 65536 (LimitNOFILE in a systemd unit) for more than some thousand targets" if few else "",
            )
        )
    except ImportError:
        pass
    return checks


def _kernels() -> list[Check]:
    from parkwarden import kernels

    missing = [n for n in kernels.names() if not kernels.is_compiled(n)]
    if not missing:
        return [Check("kernels", "compiled", State.OK, f"{len(kernels.names())} in {kernels.cache_dir()}")]
    text = f"not compiled yet: {', '.join(missing)}; the first use takes seconds"
    return [Check("kernels", "compiled", State.WARN, text, "python -m parkwarden.kernels")]


# -- what is kept


def _store(settings: StoreSettings) -> list[Check]:
    return [*_folder(Path(settings.folder)), _space(settings), _database(settings), *_evidence(settings)]


def _folder(folder: Path) -> list[Check]:
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".parkwarden-doctor-"):
            pass
    except OSError as error:
        text = f"{there} cannot be written to: {error.strerror}"
        hint = "give the folder to the user parkwarden runs as, or choose another: store.folder"
        return [Check("store", "folder", State.FAIL, text, hint)]
    if there == folder and os.name == "posix" and folder.stat().st_mode & 0o077:
        text = f"{folder} can be read by other users; evidence holds stacks and labels of your services"
        return [Check("store", "folder", State.WARN, text, f"chmod 700 {folder}")]
    state = "writable" if there == folder else f"not there yet, {there} is writable"
    return [Check("store", "folder", State.OK, f"{folder}: {state}")]


def _space(settings: StoreSettings) -> Check:
    there = Path(settings.folder).absolute()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    most = (
        settings.history_max_bytes
        + settings.journal_max_bytes
        + (0 if settings.evidence_url else settings.evidence_max_bytes)
    )
    text = f"{free / 2**30:.1f} GiB free; the settings allow up to {most / 2**30:.1f} GiB in all"
    state = (
        State.FAIL if free < FREE_FAIL else State.WARN if free < max(FREE_WARN, min(most, 4 * FREE_WARN)) else State.OK
    )
    hint = (
        "free space, or lower store.history_max_bytes, journal_max_bytes, evidence_max_bytes"
        if state is not State.OK
        else ""
    )
    return Check("store", "disk space", state, text, hint, details={"free_bytes": free})


def _database(settings: StoreSettings) -> Check:
    from sqlalchemy import text as sql

    from parkwarden.store.sql import database_url, open_engine

    file = Path(settings.folder) / "state.db"
    if not settings.url and not file.exists():
        return Check("store", "database", State.OK, f"SQLite, will be made: {file}")
    kind = "PostgreSQL" if settings.url.startswith("postgres") else "SQLite"
    try:
        url = database_url(settings.url or str(file), settings.password.reveal() if settings.password else "")
        engine = open_engine(url, busy_timeout_s=settings.busy_timeout_s, read_only=True)
        try:
            with engine.connect() as connection:
                reads_it = "select count(*) from sqlite_master"  # "select 1" is answered without opening the file
                connection.execute(sql(reads_it if engine.dialect.name == "sqlite" else "select 1"))
        finally:
            engine.dispose()
    except ParkwardenError as error:
        return Check("store", "database", State.FAIL, f"{kind}: {error.message}", error.hint)
    except Exception as error:  # whatever the driver raises; its words may hold the password
        text = f"{kind} cannot be reached ({type(error).__name__})"
        return Check("store", "database", State.FAIL, text, "check store.url, store.password and the server")
    return Check("store", "database", State.OK, f"{kind} answers")


def _evidence(settings: StoreSettings) -> list[Check]:
    if not settings.evidence_url:
        return []
    import fsspec  # type: ignore[import-untyped]

    options = {k: v if isinstance(v, str) else v.reveal() for k, v in settings.evidence_options}
    kind = settings.evidence_url.split(":", 1)[0][:20]
    try:
        files, path = fsspec.core.url_to_fs(settings.evidence_url, **options)
        files.exists(path)
    except Exception as error:  # any of fsspec's many back ends; their words may hold options
        text = f"{kind} cannot be reached ({type(error).__name__})"
        hint = "check store.evidence_url and evidence_options; s3 needs: pip install 'parkwarden[s3]'"
        return [Check("store", "evidence", State.FAIL, text, hint)]
    return [Check("store", "evidence", State.OK, f"{kind} answers")]


# -- who reaches us, whom we reach


def _web(config: Config) -> list[Check]:
    web = config.web
    asked = "a token is asked for" if web.everybody else "open to this machine's users only"
    if why := _taken(web.host, web.port):
        text = f"{web.listen} cannot be listened on: {why}"
        return [Check("web", "listen", State.WARN, text, "is parkwarden running already? else choose web.listen")]
    if web.everybody and not is_loopback(web.host) and not web.cert_file:
        text = f"{web.listen} is free, {asked}, but it goes unencrypted"
        return [Check("web", "listen", State.WARN, text, "web.cert_file and key_file, or a proxy with TLS before it")]
    return [Check("web", "listen", State.OK, f"{web.listen} is free, {asked}")]


def _taken(host: str, port: int) -> str:
    """Why an address cannot be listened on; "" = it can."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return error.strerror or str(error)
    return ""


async def _streams(config: Config) -> list[Check]:
    """Whether what others bring can come: receivers' addresses are free, a Prometheus answers."""
    receive = config.receive
    listeners = {
        "remote_write": receive.remote_write,
        "otlp.grpc": receive.otlp.grpc,
        "otlp.http": receive.otlp.http,
        "skywalking": receive.skywalking,
    }
    checks = []
    for name, listener in listeners.items():
        if not listener.listen:
            continue
        if why := await asyncio.to_thread(_taken, *split_listen(listener.listen)):
            text, hint = f"{listener.listen} cannot be listened on: {why}", f"receive.{name}.listen"
            hint = f"is parkwarden running already? else choose {hint}"
            checks.append(Check("streams", name, State.WARN, text, hint))
        else:
            checks.append(Check("streams", name, State.OK, f"{listener.listen} is free"))
    return checks + [await _prometheus(f"prometheus[{n}]", one) for n, one in enumerate(config.collect.prometheus)]


async def _prometheus(name: str, source: PrometheusSource) -> Check:
    from parkwarden.collect.streams.prometheus.stream import instances_of, sentence

    try:
        there = await instances_of(source, time.time())
    except Exception as error:
        return Check("streams", name, State.FAIL, f"{source.url}: {sentence(error)}", f"collect.{name}")
    if not there:
        text = f"{source.url} answers, and nothing there has go_goroutines"
        return Check("streams", name, State.FAIL, text, f"collect.{name}.selector")
    return Check("streams", name, State.OK, f"{source.url} tells of {there:,} instance{'s' if there != 1 else ''}")


def _channels(config: Config) -> list[Check]:
    channels = config.channels
    checks = [Check("channels", n, State.OK, "Alertmanager") for n in channels.alertmanager]
    for name, hook in channels.webhook.items():
        signed = hook.secret is not None
        text = "webhook, signed" if signed else "webhook, not signed: its receiver cannot tell who speaks"
        hint = "" if signed else f"channels.webhook.{name}.secret: {{env: NAME}}"
        checks.append(Check("channels", name, State.OK if signed else State.WARN, text, hint))
    checks += [Check("channels", n, State.OK, "Apprise, its URL is present") for n in channels.apprise]
    checks += [Check("channels", n, State.OK, "standard output") for n in channels.stdout]
    if not checks:
        text = "none: incidents are kept and shown, nobody is told"
        checks.append(Check("channels", "channels", State.WARN, text, "docs/configuration.md#channels"))
    return checks


async def _targets(config: Config, tell: Tell) -> list[Check]:
    discovery = Discovery(config.targets, config.discovery)
    targets = await _discovered(discovery)
    checks = [_source_check(s) for s in discovery.status()]
    if over := discovery.counters.over_limit:
        text = f"{over:,} targets beyond max_targets = {config.discovery.max_targets:,} are left out"
        checks.append(Check("discovery", "limit", State.FAIL, text, "raise discovery.max_targets or watch fewer"))
    if conflicts := discovery.counters.conflicts:
        text = f"{conflicts:,} targets are described in different ways by several sources; the first one counts"
        checks.append(Check("discovery", "conflicts", State.WARN, text, "name each target in one source only"))
    if not targets and not config.streams:
        text = "no targets at all: there is nothing to watch"
        checks.append(Check("targets", "targets", State.FAIL, text, "docs/configuration.md#targets"))
    step = -(-len(targets) // MAX_TARGETS) or 1
    asked = targets[::step]
    if len(asked) < len(targets):
        text = f"{len(asked):,} of {len(targets):,} targets were asked"
        checks.append(Check("targets", "sample", State.OK, text))
    gate = asyncio.Semaphore(AT_ONCE)
    done = 0

    async def one(target: Target) -> TargetReport:
        nonlocal done
        async with gate:
            report = await examine_target(target)
        done += 1
        tell(f"targets: {done} of {len(asked)}", done / len(asked))
        return report

    return checks + [_target_check(r) for r in await asyncio.gather(*map(one, asked))]


async def _discovered(discovery: Discovery) -> Sequence[Target]:
    """What all sources find, as soon as each has answered or complained, at most DISCOVERY_S."""
    runner = asyncio.create_task(discovery.run(lambda _targets: None))
    try:
        async with asyncio.timeout(DISCOVERY_S):
            while not all(s.last_success or s.problems or s.failures for s in discovery.status()):
                await asyncio.sleep(0.02)
    except TimeoutError:
        pass  # told by the sources' own states
    finally:
        runner.cancel()
        await asyncio.gather(runner, return_exceptions=True)
    return discovery.merged()


def _source_check(status: SourceStatus) -> Check:
    name = status.name
    if status.problems:
        first = status.problems[0]
        more = len(status.problems) - 1 + status.problems_dropped
        text = f"{first.where}: {first.text}" if first.where else first.text
        text = f"{status.targets:,} targets; {text}" + (f" (and {more} more)" if more else "")
        state = State.WARN if status.targets else State.FAIL
        return Check("discovery", name, state, text, f"see the settings of {name.split('[')[0]}")
    if status.last_success is None:
        text = f"no answer within {DISCOVERY_S:g} s"
        return Check("discovery", name, State.FAIL, text, "is its server reachable from here?")
    state = State.OK if status.targets else State.WARN
    return Check("discovery", name, state, f"{status.targets:,} targets")


def _target_check(report: TargetReport) -> Check:
    details = report.as_dict()
    if report.problem:
        return Check("targets", report.id, State.FAIL, report.problem, report.next, details=details)
    skewed = report.clock_skew_s is not None and abs(report.clock_skew_s) > SKEW_WARN_S
    text = report.in_short()
    hints = list(report.hints)
    if skewed and report.clock_skew_s is not None:
        text += f"; its clock is {abs(report.clock_skew_s):.0f} s {'ahead of' if report.clock_skew_s > 0 else 'behind'} ours"
        hints.insert(0, "let both machines keep time by NTP")
    state = State.WARN if hints else State.OK
    return Check("targets", report.id, state, text, "; ".join(hints), details=details)


def to_json(checks: Sequence[Check], at: float | None = None) -> dict[str, Any]:
    """`parkwarden.doctor/1`."""
    from datetime import UTC, datetime

    from parkwarden import __version__

    return {
        "schema": SCHEMA,
        "generated_at": datetime.fromtimestamp(time.time() if at is None else at, UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "python": sys.version.split()[0],
        "ok": healthy(checks),
        "checks": [
            {
                "section": c.section, "name": c.name, "state": c.state.value, "text": c.text, "next": c.next, "details": c.details,
            }
            for c in checks
        ],
    }  # fmt: skip
