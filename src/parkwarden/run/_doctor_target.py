"""One target, asked for what it offers: three cheap pages, bounded, once.

Everything it answers is hostile; what is shown of it is numbers, a Go version of the right form, and words of ours.
"""

from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from parkwarden.collect import limits
from parkwarden.collect.discovery.client import auth_headers, body, explained, session
from parkwarden.collect.fleet.probe import index_rows
from parkwarden.formats import expvar, metrics_page
from parkwarden.model.artefact import Reading
from parkwarden.model.errors import LimitError, ParkwardenError
from parkwarden.model.instance import Target

if TYPE_CHECKING:
    import aiohttp

TIMEOUT_S = 10.0
"""For one page; a target slower than this cannot be watched every 5 s."""
MAX_INDEX_BYTES = 1 << 20
"""Of pprof's index: its 12 lines have 4 kB."""

_GO_VERSION = re.compile(r"go1\.(\d{1,3})(?:\.\d{1,3})?(?:rc\d+|beta\d+)?")


@dataclass(slots=True, kw_only=True)
class TargetReport:
    """What one target offers."""

    id: str
    problem: str = ""
    """Why it cannot be watched at all; "" = it can."""
    next: str = ""
    metrics: bool = False
    vars: bool = False
    pprof: bool = False
    go_version: str = ""
    goroutines: int | None = None
    census: bool | None = None
    """A census is possible (pprof and Go 1.23 or newer); None = the Go version is not told."""
    leak_profile: bool = False
    clock_skew_s: float | None = None
    """Its clock less ours, by the HTTP Date header."""
    took_s: float = 0.0
    hints: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def in_short(self) -> str:
        offers = [n for n, there in (("metrics", self.metrics), ("vars", self.vars), ("pprof", self.pprof)) if there]
        if self.leak_profile:
            offers.append("leak profile")
        census = {True: "census", False: "no census", None: "census if Go 1.23 or newer"}[self.census]
        if self.pprof:
            offers.append(census)
        count = "" if self.goroutines is None else f", {self.goroutines:,} goroutines"
        return f"{self.go_version or 'Go (version not told)'}{count}: {', '.join(offers)}; {self.took_s * 1000:.0f} ms"


async def examine_target(target: Target) -> TargetReport:
    """Ask one target; never raises for what the target does."""
    import aiohttp

    report = TargetReport(id=target.id)
    socket = target.url.removeprefix("unix:") if target.url.startswith("unix:") else ""
    base = "http://localhost" if socket else target.url
    began = time.monotonic()
    try:
        async with session(target.auth, TIMEOUT_S, socket) as client:
            await _ask_all(client, base, target, report)
    except ParkwardenError as error:
        report.problem, report.next = error.message, error.hint
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        report.problem = explained(error)[1]
        report.next = "does it run, is the port right, may it be reached from here?"
    report.took_s = time.monotonic() - began
    return report


async def _ask_all(client: aiohttp.ClientSession, base: str, target: Target, report: TargetReport) -> None:
    statuses: list[int] = []

    async def get(path: str, limit: int) -> bytes | None:
        """The page, None where there is none; also sets the clock's skew."""
        headers = {"Accept": "*/*", **auth_headers(target.auth)}
        asked = time.time()
        async with client.get(base + path, headers=headers, allow_redirects=False) as response:
            statuses.append(response.status)
            if report.clock_skew_s is None:
                report.clock_skew_s = _skew(response.headers.get("Date", ""), (asked + time.time()) / 2)
            if response.status != 200:
                return None
            try:
                return await body(response, limit)
            except LimitError:
                return None

    reading = Reading()
    index = await get(target.pprof_path.rstrip("/") + "/", MAX_INDEX_BYTES)
    rows = index_rows(index) if index is not None else {}
    report.pprof = "goroutine" in rows
    report.leak_profile = "goroutineleak" in rows
    report.goroutines = rows.get("goroutine")
    pages = (
        ("metrics", target.metrics_path, metrics_page.read, limits.MAX_BODY_BYTES["metrics"]),
        ("vars", target.vars_path, expvar.read, 4 << 20),
    )
    for name, path, read, limit in pages:
        page = await get(path, limit)
        try:
            found = read(page).reading if page is not None else None
        except ParkwardenError:
            found = None
        if found is not None:
            setattr(report, name, True)
            for attribute in ("goroutines", "go_version"):
                if getattr(reading, attribute) is None:
                    setattr(reading, attribute, getattr(found, attribute))
    report.goroutines = reading.goroutines if report.goroutines is None else report.goroutines
    version = _GO_VERSION.match(reading.go_version or "")
    report.go_version = version[0] if version else ""
    minor = int(version[1]) if version else 27 if report.leak_profile else None
    report.census = report.pprof and (None if minor is None else minor >= 23)
    _judge(report, statuses)


def _judge(report: TargetReport, statuses: list[int]) -> None:
    """What is missing, and what would help."""
    if not (report.pprof or report.metrics or report.vars):
        if set(statuses) & {401, 403}:
            report.problem = f"it refuses us ({max(set(statuses) & {401, 403})})"
            report.next = "give it `auth`: user and password, bearer or a client certificate"
        elif any(300 <= s < 400 for s in statuses):
            report.problem, report.next = (
                "it redirects elsewhere, which is not followed",
                "give the address it redirects to",
            )
        else:
            report.problem = "it answers, but has none of /metrics, /debug/vars, /debug/pprof/"
            report.next = 'import _ "net/http/pprof" on this port, or set metrics_path, vars_path, pprof_path'
        return
    hints = []
    if not report.pprof:
        hints.append('without pprof only counts are judged, no line is named: import _ "net/http/pprof"')
    elif report.census is False:
        hints.append("Go 1.23 or newer would allow a census (who never leaves); until then floors are watched")
    if not (report.metrics or report.vars):
        hints.append("memory, GC and file descriptors are not told: export /metrics (client_golang) or expvar")
    report.hints = tuple(hints)


def _skew(date: str, now: float) -> float | None:
    """Seconds a Date header is ahead of `now`; None where there is none. It holds whole seconds: half of one is added."""
    try:
        return parsedate_to_datetime(date).timestamp() + 0.5 - now
    except (ValueError, TypeError, OverflowError):
        return None
