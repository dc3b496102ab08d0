"""A live service: its debug endpoints -> artefacts, each look with its price.

`look(url)` follows the ladder of looks (cheapest first, one at a time, the dear ones only below a number of goroutines): the index
(count, which profiles there are), goroutine profile, expvar, metrics, census (a 50 ms execution trace), then while the interval
passes heap, block, mutex, threadcreate (and, where the census named no ids, a text dump), then a second goroutine profile and census, the leak profile, and last the text dump.
What was asked, how long it took, how much came and why something was not asked is in `LiveBag.costs`.

`url`: `http://host:6060`, with or without `/debug/pprof/`, behind any prefix; the full URL of one endpoint takes just that;
`unix:/path/to.sock` asks over a Unix socket. A user and password in it are sent as basic auth and appear nowhere else.
Nothing a server does makes this hang, balloon or follow it elsewhere: limits in collect/limits.py.
Raises UnreachableError where nothing at all answered.

Sources: net/http/pprof/pprof.go: Index, Profile, Trace; expvar/expvar.go; prices: docs (what a look costs), measured on Go 1.27.
"""

from __future__ import annotations

import asyncio
import re
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from parkwarden.collect import limits
from parkwarden.collect.limits import Tell, quiet
from parkwarden.formats.detect import read_bytes
from parkwarden.model.artefact import Artefact, Kind, LookCost, Problem
from parkwarden.model.errors import LimitError, UnreachableError, UsageError

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

    from parkwarden.model.local import Local

ENDPOINTS = frozenset(
    (
        "goroutine",
        "heap",
        "allocs",
        "block",
        "mutex",
        "threadcreate",
        "goroutineleak",
        "trace",
        "profile",
        "cmdline",
        "vars",
        "metrics",
    )
)
"""Last parts of a path that name one endpoint; anything else is a base."""

MAX_CMDLINE = 64 << 10
"""Bytes of the command line kept."""

_INDEX_ROW = re.compile(rb"<td>(\d{1,12})</td>\s*<td>\s*<a href=['\"]?(?:[^'\">]*/)?([a-zA-Z0-9_.-]{1,60})\?debug=")
_TOTAL = re.compile(rb"goroutine profile: total (\d{1,12})")
_CHUNK = 64 << 10
_CONTENTION = (Kind.BLOCK_PROFILE, Kind.MUTEX_PROFILE)


Heard: TypeAlias = Callable[[str, Artefact, float], bool]
"""`heard(service, artefact, at)`, in a thread: one look, when it came (Unix seconds). False: it could not say what it was taken for."""

PROFILE_EVERY_S = 1.0
"""Goroutine profiles of a close look: 1-2 ms each. Bursts and pools move within seconds; more looks tell them from growth."""

CENSUS_EVERY_S = 2.0
"""Censuses of a close look."""

CLOSE_CENSUS_S = 0.1
"""Length of each, so that the service is traced for 5 % of the time: who is used four times a second among twenty is seen at work six times in
half a minute. With half of that one such pool in twenty was never seen to work, and accused."""

DUMP_EVERY_S = 2.5
"""Text dumps of a close look, where no census can be had: 13 ms at 1,000 goroutines, which STALL_SHARE makes 2.6 s, and 5 s at 2,000. The
judge of survivors wants to see growth for ten beats: in a check of 30 s they must not be 3 s apart."""

CLOSE_DUMP_MAX_GOROUTINES = 10_000
"""Most goroutines of which a close look takes text dumps, where no census can be had: 94 ms each at 10,000. Without ids a look at so large a
service tells next to nothing of what comes once in a second."""

CLOSE_DUMPS = 4
"""Text dumps that a close look takes at least, evenly, also where STALL_SHARE would make them fewer: 0.4 s of stall in all at 10,000."""

PAGES_EVERY_S = 5.0
"""Readings of a close look, as of a fleet."""

STALL_SHARE = 0.005
"""Of its time that a service may be stalled by each kind of look: large services are looked at more seldom."""

MAX_CLOSE_LOOKS = 240
"""Looks of one kind, however long it is watched closely."""

BUSY_TRACING_TRIES = 3
"""Censuses in a row that found somebody else tracing, after which no more are tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOptions:
    """How to look. `any_size` takes the dear looks however many goroutines there are."""

    interval_s: float = 3.0
    """Between the first and the last goroutine profile: growth and survivors need two."""
    looks: int = 2
    """Goroutine profiles taken evenly over the interval: more of them tell a burst from growth."""
    census_s: float = 0.05
    """Length of a census; every goroutine is in it however short it is."""
    rate_trace_s: float = 1.0
    """Length of the second trace while there are few goroutines: creation rates need time."""
    leak_profile: bool = True
    census: bool = True
    text_dump: bool = True
    any_size: bool = False
    local: bool = True
    """Whether the host is asked, too, about a service that runs on it: its descriptors, threads, limits and control group."""
    proc: str = "/proc"
    """The proc filesystem that is read for it."""
    brief: bool = False
    """Only what tells who holds descriptors: a goroutine profile, and the numbers of the host or else of the pages."""
    heard_local: Callable[[str, Local, float], None] | None = None
    """`heard_local(service, local, at)`, in a thread: each look of the host, before the readings it belongs to. With `heard` only."""
    heard: Heard | None = None
    """Whoever wants every look as it comes: then the service is looked at closely for `interval_s`, and the bag keeps the last of each."""
    verify_tls: bool = True
    endpoint_timeout_s: float = limits.ENDPOINT_TIMEOUT_S
    total_timeout_s: float = limits.LOOK_TIMEOUT_S


@dataclass(slots=True, kw_only=True)
class LiveBag:
    """What a service told. `bodies` holds the answers as they came, by artefact name, for saving."""

    url: str
    """Without user and password."""
    artefacts: list[Artefact] = field(default_factory=list)
    costs: list[LookCost] = field(default_factory=list)
    cmdline: tuple[str, ...] = ()
    goroutines: int | None = None
    local: Local | None = None
    """What the host tells of it, where it runs here and is surely the one that answers (its command line tells)."""
    bodies: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    took_s: float
    problem: Problem | None = None
    """The body is not whole, and why."""


def look_sync(url: str, *, options: LiveOptions | None = None, progress: Tell | None = None) -> LiveBag:
    """`look` for callers without an event loop. Ctrl-C closes the connection and goes on as KeyboardInterrupt."""
    return asyncio.run(look(url, options=options, progress=progress))


async def look(url: str, *, options: LiveOptions | None = None, progress: Tell | None = None) -> LiveBag:
    """Everything cheap enough that the service at `url` tells; see the module. Cancelling it closes the connection."""
    options = options or LiveOptions()
    target = _Target.parse(url)
    async with _Session(target, options) as session:
        kind = _Brief if options.brief else _Looks if options.heard is None else _Close
        looks = kind(session, options, progress or quiet)
        try:
            async with asyncio.timeout(options.total_timeout_s):
                await (looks.one() if target.single else looks.all())
        except TimeoutError:
            text = f"stopped after {options.total_timeout_s:g} s (LOOK_TIMEOUT_S); what came until then is used"
            looks.bag.costs.append(LookCost("the rest", note=text))
    if not looks.bag.artefacts:
        raise looks.first_error or UnreachableError(
            "nothing-there",
            f"{target.shown} answers, but none of its endpoints is a debug endpoint of Go",
            hint='the service needs `import _ "net/http/pprof"` on this port, or give the full URL of an endpoint',
        )
    return looks.bag


@dataclass(frozen=True, slots=True)
class _Target:
    """Where to ask: `base` without credentials; `single` if it is the URL of one endpoint."""

    base: URL
    auth: str | None
    """The Authorization header (RFC 7617), never shown."""
    socket: str | None
    single: bool

    @classmethod
    def parse(cls, text: str) -> _Target:
        from yarl import URL

        socket = None
        if text.startswith(("unix:", "http+unix:")):
            socket = "/" + text.split(":", 1)[1].lstrip("/")
            text = "http://localhost"
        elif "://" not in text:
            text = f"http://{text}"
        try:
            url = URL(text)
            port = url.port
        except ValueError as error:
            raise UsageError("bad-url", f"not a URL: {ascii(str(error))[1:-1]}") from None
        if url.scheme not in ("http", "https") or not url.host or port is None:
            raise UsageError(
                "bad-url", "not a URL of a service", hint="http://host:6060, https://host/prefix or unix:/path.sock"
            )
        auth = None
        if url.user or url.password:
            auth = "Basic " + b64encode(f"{url.user or ''}:{url.password or ''}".encode()).decode()
        url = url.with_user(None).with_fragment(None)
        single = url.name in ENDPOINTS or bool(url.query_string)
        if not single:
            path = url.path.rstrip("/")
            path = path.removesuffix("/debug/pprof").removesuffix("/debug")
            url = url.with_path(path + "/")
        return cls(url, auth, socket, single)

    @property
    def shown(self) -> str:
        return f"unix:{self.socket}" if self.socket else str(self.base).rstrip("/")


class _Session:
    """One connection's worth of asking: bounded answers, redirects on the same host only."""

    def __init__(self, target: _Target, options: LiveOptions) -> None:
        self.target = target
        self.options = options
        self._client: aiohttp.ClientSession

    async def __aenter__(self) -> _Session:
        import aiohttp

        connector: aiohttp.BaseConnector
        if self.target.socket:
            connector = aiohttp.UnixConnector(self.target.socket, limit=1)
        else:
            connector = aiohttp.TCPConnector(limit=1, ssl=self.options.verify_tls)
        self._client = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,  # a bomb would be unpacked without a bound; formats/unpack.py does it with one
            headers={"Accept-Encoding": "identity", "User-Agent": "parkwarden"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def get(self, url: URL, limit: int, extra_s: float) -> _Answer:
        """One answer of at most `limit` bytes. Raises UnreachableError or LimitError (a truncated body is no error)."""
        import aiohttp

        began = time.monotonic()
        timeout = aiohttp.ClientTimeout(
            total=self.options.endpoint_timeout_s + extra_s,
            connect=limits.CONNECT_TIMEOUT_S,
            sock_read=min(limits.IDLE_TIMEOUT_S, self.options.endpoint_timeout_s) + extra_s,
        )
        headers = {"Authorization": self.target.auth} if self.target.auth else None
        try:
            for _ in range(limits.MAX_REDIRECTS + 1):
                async with self._client.get(url, timeout=timeout, allow_redirects=False, headers=headers) as response:
                    if response.status not in (301, 302, 303, 307, 308):
                        body, problem = await _body(response, limit)
                        return _Answer(response.status, body, time.monotonic() - began, problem)
                    url = _redirected(url, response.headers.get("Location", ""))
            raise LimitError("too-many-redirects", f"more than MAX_REDIRECTS = {limits.MAX_REDIRECTS} redirects")
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise _explained(error, self.target, time.monotonic() - began) from None


async def _body(response: aiohttp.ClientResponse, limit: int) -> tuple[bytes, Problem | None]:
    """The body up to `limit` bytes; one that ends too early, too late or in a time-out is kept as far as it came."""
    import aiohttp

    data = bytearray()
    try:
        async for chunk in response.content.iter_chunked(_CHUNK):
            data += chunk
            if len(data) > limit:
                response.close()
                text = f"the answer was cut at its limit of {limit >> 20:,} MiB"
                return bytes(data[:limit]), Problem("too-large", f"byte {limit}", text)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        response.close()
        why = "it took too long" if isinstance(error, TimeoutError) else "the connection broke"
        return bytes(data), Problem("truncated", f"byte {len(data)}", f"{why}: {len(data):,} bytes had come")
    return bytes(data), None


def _redirected(url: URL, location: str) -> URL:
    from yarl import URL

    following = url.join(URL(location))
    if (following.scheme, following.host, following.port) != (url.scheme, url.host, url.port) or not location:
        where = ascii(str(following.with_user(None)))[1:-1][:120] if location else "nowhere"
        raise UnreachableError(
            "redirected-away", f"redirected to {where}, which was not asked for", hint="give that URL if you trust it"
        )
    return following.with_user(None)


def _explained(error: Exception, target: _Target, took_s: float) -> UnreachableError:
    import aiohttp

    shown = target.shown
    if isinstance(error, TimeoutError):
        return UnreachableError(
            "timeout", f"{shown} did not answer within {took_s:.0f} s", hint="is it overloaded or stopped?"
        )
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        hint = "does it speak https at all? is its certificate known here?"
        return UnreachableError("tls", f"no secure connection to {shown}: {_brief(error)}", hint=hint)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return UnreachableError("no-such-host", f"the name of {shown} is not known", hint="check the host name")
    if isinstance(error, aiohttp.ClientConnectorError | ConnectionRefusedError | FileNotFoundError):
        hint = "does it run, is the port right, may it be reached from here (kubectl port-forward)?"
        return UnreachableError("connection-failed", f"no connection to {shown}: {_brief(error)}", hint=hint)
    hint = "https:// for a TLS port, http:// for a plain one; is it an HTTP server?"
    return UnreachableError(
        "bad-answer", f"{shown} answered with something that is no HTTP: {_brief(error)}", hint=hint
    )


def _brief(error: Exception) -> str:
    text = getattr(getattr(error, "os_error", None), "strerror", None) or str(error) or type(error).__name__
    return ascii(text)[1:-1][:160]


class _Looks:
    """The ladder of looks at one service."""

    def __init__(self, session: _Session, options: LiveOptions, tell: Tell) -> None:
        self.session = session
        self.options = options
        self.tell = tell
        self.bag = LiveBag(url=session.target.shown)
        self.first_error: UnreachableError | LimitError | None = None
        self.listed: set[str] | None = None
        self.taken: dict[str, int] = {}

    @property
    def dump_limit(self) -> tuple[int, str]:
        """Goroutines above which no text dump is asked for, and the limit's name."""
        return limits.TEXT_DUMP_MAX_GOROUTINES, "TEXT_DUMP_MAX_GOROUTINES"

    async def one(self) -> None:
        """The one endpoint that was named, whatever it costs: somebody asked for it."""
        url = self.session.target.base
        seconds = _seconds(url)
        await self._take(url.name or "/", url, extra_s=seconds)
        if not self.bag.artefacts and self.first_error is None:
            self.first_error = UnreachableError(
                "not-there", f"{self.bag.url}: {self.bag.costs[-1].note or 'empty answer'}"
            )

    async def all(self) -> None:
        """The whole ladder. `first` is when the first profile was taken; the interval is filled with other looks."""
        options = self.options
        await self._index()
        if self._nobody():
            return
        first = time.monotonic()
        await self._pprof("goroutine")
        await self._take("vars", self._url("debug/vars"))
        await self._take("metrics", self._url("metrics"))
        await self._cmdline()
        await self._host(await self._here())
        if not await self._census(options.census_s):
            await self._early_text_dump()
        for profile in ("heap", "block", "mutex", "threadcreate"):
            await self._pprof(profile)
        self.bag.costs.append(LookCost("allocs", note="not asked: heap tells the same allocations"))
        if self.bag.goroutines is not None:
            gaps = max(options.looks, 2) - 1
            for number in range(1, gaps + 1):
                await self._wait(first + options.interval_s * number / gaps)
                await self._pprof("goroutine")
            few = self.bag.goroutines <= limits.RATE_TRACE_MAX_GOROUTINES
            await self._census(max(options.rate_trace_s, options.census_s) if few else options.census_s)
            await self._leak_profile()
            await self._text_dump()
        self.tell("read", 1.0)

    def _nobody(self) -> bool:
        """Whether the index was answered by nothing at all: then there is nobody to ask the rest."""
        error = self.first_error
        return error is not None and self.listed is None and error.code not in ("bad-answer", "timeout")

    async def _wait(self, until: float) -> None:
        """Until a time (monotonic); the progress line moves meanwhile."""
        while (left := until - time.monotonic()) > 0:
            self.tell(f"waiting {left:.1f} s to look again", None)
            await asyncio.sleep(min(left, 0.5))

    def _url(self, path: str, query: str = "") -> URL:
        url = self.session.target.base.joinpath(*path.split("/"))
        return url.with_query(query) if query else url

    async def _index(self) -> None:
        """Which profiles there are and how many goroutines, without a walk over any stack (pprof.go: indexTmplExecute)."""
        answer = await self._ask("index", self._url("debug/pprof") / "", limits.MAX_BODY_BYTES_ELSE, 0.0)
        if answer is None or answer.status != 200:
            return
        rows = {name.decode(): int(count) for count, name in _INDEX_ROW.findall(answer.body)}
        if rows:
            self.listed = set(rows)
            self.bag.goroutines = rows.get("goroutine")

    async def _pprof(self, profile: str, query: str = "", what: str = "") -> None:
        what = what or profile
        if self.listed is not None and profile not in self.listed:
            self.bag.costs.append(LookCost(what, note="not there"))
            return
        artefact = await self._take(what, self._url(f"debug/pprof/{profile}", query))
        if profile == "goroutine" and artefact is not None and artefact.snapshot is not None and not query:
            self.bag.goroutines = artefact.snapshot.total

    async def _census(self, seconds: float) -> bool:
        """Whether goroutine ids were told, with where they are: from Go 1.23 on, if nobody else is tracing."""
        if not self.options.census:
            self.bag.costs.append(LookCost("trace", note="not asked: switched off"))
            return False
        if self._too_many("trace", limits.CENSUS_MAX_GOROUTINES, "CENSUS_MAX_GOROUTINES"):
            return False
        url = self._url("debug/pprof/trace", f"seconds={seconds:g}")
        found = await self._take("trace", url, extra_s=seconds, note=f"{seconds:g} s")
        return found is not None and found.snapshot is not None and bool(found.snapshot.goid.any())

    async def _leak_profile(self) -> None:
        if not self.options.leak_profile:
            self.bag.costs.append(LookCost("goroutineleak", note="not asked: switched off"))
        elif self.listed is not None and "goroutineleak" not in self.listed:
            self.bag.costs.append(
                LookCost("goroutineleak", note="not there: Go 1.27, or 1.26 built with its experiment, has it")
            )
        elif not self._too_many("goroutineleak", limits.LEAK_PROFILE_MAX_GOROUTINES, "LEAK_PROFILE_MAX_GOROUTINES"):
            await self._pprof("goroutineleak")

    async def _early_text_dump(self) -> None:
        """Who stayed and who was born takes two looks that name ids; where no census does, two text dumps do."""
        few = self.bag.goroutines is not None and self.bag.goroutines <= limits.TEXT_DUMP_MAX_GOROUTINES
        if self.options.text_dump and (few or (self.options.any_size and self.bag.goroutines is not None)):
            await self._text_dump()

    async def _text_dump(self) -> None:
        if not self.options.text_dump:
            self.bag.costs.append(LookCost("goroutine?debug=2", note="not asked: switched off"))
        elif not self._too_many("goroutine?debug=2", *self.dump_limit):
            await self._pprof("goroutine", "debug=2", "goroutine?debug=2")

    def _too_many(self, what: str, most: int, name: str) -> bool:
        """Whether a look is too dear for so many goroutines; an unknown number is too many."""
        count = self.bag.goroutines
        if self.options.any_size or (count is not None and count <= most):
            return False
        number = "an unknown number of" if count is None else f"{count:,}"
        if not any(c.what == what and c.note.startswith("not asked") for c in self.bag.costs):
            self.bag.costs.append(LookCost(what, note=f"not asked: {number} goroutines, more than {name} = {most:,}"))
        return True

    async def _cmdline(self) -> None:
        answer = await self._ask("cmdline", self._url("debug/pprof/cmdline"), MAX_CMDLINE, 0.0)
        if answer is not None and answer.status == 200 and answer.body:
            self.bag.cmdline = tuple(answer.body.decode("utf-8", "surrogateescape").split("\0"))

    async def _here(self) -> int | None:
        """Its pid, where it runs on this host."""
        base, told = self.session.target.base, "\0".join(self.bag.cmdline).encode("utf-8", "surrogateescape")
        if not self.options.local or self.session.target.socket or not told or not base.host or not base.port:
            return None
        from parkwarden.collect.procfs import process_of

        return await asyncio.to_thread(process_of, base.host, base.port, told, root=self.options.proc)

    async def _host(self, pid: int | None, *, whole: bool = True) -> bool:
        """What the host tells of it, if it runs here; False where that is no more to be had."""
        if pid is None:
            return False
        from parkwarden.collect.procfs import look as look_at

        try:
            self.bag.local = local = await asyncio.to_thread(look_at, pid, sockets=whole, root=self.options.proc)
        except UnreachableError as error:  # it ended, or is not ours to look at
            self.bag.costs.append(LookCost("host", note=error.message))
            return False
        note = f"/proc of process {pid}: the service is not asked" + ("; partly refused" if local.kinds is None else "")
        self.bag.costs.append(LookCost("host", local.took_s, None, note))
        return True

    async def _take(self, what: str, url: URL, *, extra_s: float = 0.0, note: str = "") -> Artefact | None:
        """Ask one endpoint and read what comes; None where nothing came."""
        kind = "debug=2" if url.query.get("debug") == "2" else url.name
        limit = limits.MAX_BODY_BYTES.get(kind, limits.MAX_BODY_BYTES_ELSE)
        at = time.time()
        answer = await self._ask(what, url, limit, extra_s, note)
        came = time.monotonic()
        if answer is None or answer.status != 200 or (not answer.body and answer.problem is None):
            return None
        name = str(url)
        self.taken[name] = self.taken.get(name, 0) + 1
        if self.taken[name] > 1:
            name += f" #{self.taken[name]}"
        self.bag.bodies[name] = answer.body
        found = await asyncio.to_thread(read_bytes, answer.body, name)
        for artefact in found:
            if artefact.kind in _CONTENTION and url.name in ("block", "mutex"):
                # alike in content where nothing was sampled; here the endpoint tells which it is
                artefact.kind = Kind.MUTEX_PROFILE if url.name == "mutex" else Kind.BLOCK_PROFILE
                artefact.problems = [p for p in artefact.problems if p.code != "ambiguous-kind"]
            if answer.problem is not None:
                artefact.problems.insert(0, answer.problem)
            if artefact.taken_at is None:
                artefact.taken_at = at
            if artefact.snapshot is not None and artefact.snapshot.taken_at is None:
                artefact.snapshot.taken_at = artefact.taken_at
        if url.name == "metrics" and not self.session.target.single and all(a.kind is Kind.UNKNOWN for a in found):
            return None  # some other page of the service
        await self._keep(what, found, came)
        return found[0]

    async def _keep(self, _what: str, found: list[Artefact], _came: float) -> None:
        """What a look brought at `came` (monotonic)."""
        self.bag.artefacts += found

    async def _ask(self, what: str, url: URL, limit: int, extra_s: float, note: str = "") -> _Answer | None:
        """One request, its price noted; an endpoint that fails costs itself."""
        self.tell(f"asking {url}", None)
        began = time.monotonic()
        try:
            answer = await self.session.get(url, limit, extra_s)
        except (UnreachableError, LimitError) as error:
            self.first_error = self.first_error or error
            self.bag.costs.append(LookCost(what, time.monotonic() - began, None, error.message))
            return None
        if answer.status == 404:
            note = "not there"
        elif answer.status != 200:
            note = f"refused: status {answer.status} {_words(answer.body)}".rstrip()
        elif answer.problem is not None:
            note = answer.problem.text
        self.bag.costs.append(LookCost(what, answer.took_s, len(answer.body), note))
        return answer


class _Brief(_Looks):
    """Who holds descriptors, and how many there are: three cheap looks."""

    async def all(self) -> None:
        """The host first: what its descriptors and the goroutines tell should be of the same moment."""
        await self._cmdline()
        if self._nobody():
            return
        here = await self._host(await self._here())
        await self._pprof("goroutine")
        if not here:
            await self._take("metrics", self._url("metrics"))


class _Close(_Looks):
    """Close looks at one service for a while: every one is heard, the last of each is kept."""

    def __init__(self, session: _Session, options: LiveOptions, tell: Tell) -> None:
        super().__init__(session, options, tell)
        self._last: dict[str, list[Artefact]] = {}
        self._understood: dict[str, bool] = {}
        self._absent: set[str] = set()
        self._tracing = True
        """Whether censuses are still tried; a text dump stands in where they are not."""
        self._busy = 0
        self._pid: int | None = None
        self._clock = time.time() - time.monotonic()  # a clock that is set meanwhile must not disorder what is heard

    @property
    def dump_limit(self) -> tuple[int, str]:
        return CLOSE_DUMP_MAX_GOROUTINES, "CLOSE_DUMP_MAX_GOROUTINES"

    async def all(self) -> None:
        """Profiles every second or so, who is there every two, readings every five; the leak profile near the end."""
        await self._index()
        if self._nobody():
            return
        from parkwarden.collect.fleet.looks import warm

        await asyncio.to_thread(
            warm
        )  # what reads the looks must not be loaded when they come: the next ones would wait for it
        if self.options.heard_local is not None:
            await self._cmdline()
            self._pid = await self._here()
        length = self.options.interval_s
        looks = {"readings": self._readings, "profile": self._profile, "ids": self._ids}
        due = dict.fromkeys(looks, 0.0)
        began = time.monotonic()
        while (now := time.monotonic() - began) < length:
            for name in [name for name, at in due.items() if at <= now]:
                due[name] = now + max(await looks[name](), length / MAX_CLOSE_LOOKS)
            if not self._last and self.bag.goroutines is None:
                return  # it answers, but none of this is there
            await self._wait(began + min(length, *due.values()))
        await self._leak_profile()
        await self._profile()
        await self._ids()
        self.tell("read", 1.0)

    async def _readings(self) -> float:
        """The numbers, and after how many seconds they are due again."""
        if self.options.heard_local is not None and self._pid is not None:
            at = self._clock + time.monotonic()
            if await self._host(self._pid, whole=False) and self.bag.local is not None:
                await asyncio.to_thread(self.options.heard_local, self.bag.url, self.bag.local, at)
            else:
                self._pid = await self._here()  # restarted, or gone
        for page, path in (("metrics", "metrics"), ("vars", "debug/vars")):
            if page not in self._absent:
                await self._take(page, self._url(path))
                if page not in self._understood:
                    self._absent.add(page)
            if self._understood.get(page):
                break
        return PAGES_EVERY_S

    async def _profile(self) -> float:
        await self._pprof("goroutine")
        return max(PROFILE_EVERY_S, self._price("goroutine"))

    async def _ids(self) -> float:
        """Who is there: a census or, where none can be had, a text dump of a small process."""
        if self._tracing:
            self._understood.pop("trace", None)
            await self._census(max(self.options.census_s, CLOSE_CENSUS_S))
            told = self._understood.get("trace")
            if told:
                self._busy = 0
                return max(CENSUS_EVERY_S, self._price("census"))
            self._busy += 1
            # an answer that tells nothing is that of an old Go; none at all is another's trace under way
            self._tracing = told is None and self.options.census and self._busy < BUSY_TRACING_TRIES
        await self._text_dump()
        return max(DUMP_EVERY_S, min(self._price("goroutine?debug=2"), self.options.interval_s / CLOSE_DUMPS))

    def _price(self, look: str) -> float:
        """Seconds until this look has stalled the service for no more than STALL_SHARE of its time."""
        from parkwarden.collect.fleet.prices import Look, stall_s

        return stall_s(Look(look), self.bag.goroutines or 0) / STALL_SHARE

    async def _keep(self, what: str, found: list[Artefact], came: float) -> None:
        heard = self.options.heard
        assert heard is not None
        for artefact in found:
            self._understood[what] = await asyncio.to_thread(heard, self.bag.url, artefact, self._clock + came)
        self._last[what] = found
        self.bag.bodies.clear()
        self.bag.artefacts = [a for last in self._last.values() for a in last]


def _seconds(url: URL) -> float:
    """How long an endpoint was asked to watch; 30 s is what `profile` does unasked (pprof.go: Profile)."""
    try:
        seconds = float(url.query.get("seconds", ""))
    except ValueError:
        return 30.0 if url.name == "profile" else 1.0 if url.name == "trace" else 0.0
    return min(max(seconds, 0.0), 600.0) if seconds == seconds else 0.0


def _words(body: bytes) -> str:
    return ascii(body[:120].decode("utf-8", "replace").strip())[1:-1]
