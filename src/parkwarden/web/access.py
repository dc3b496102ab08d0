"""Who may see our pages, and who may do something on them.

With tokens (`web.token`, `web.tokens`) everybody shows one: a program as `Authorization: Bearer TOKEN`, a person once on the login page,
which hands out a session: a random word in a cookie that scripts cannot read and other sites cannot send. Without tokens, which only a
loopback address allows, whoever reaches the port is an operator without a name.

A browser can be made to ask us by any page it visits. So without a Bearer header whatever changes something must come from our own page
(`Origin`, `Sec-Fetch-Site`) and carry a token that only our pages know (`X-CSRF-Token`, or `csrf_token` in a form); and where nobody is asked
who they are, only questions to a loopback name are answered (a name of somebody's own that points here is an attack: DNS rebinding).

Sessions, failed logins and who failed are bounded, and live in memory: a restart asks for the token again.
"""

from __future__ import annotations

import hmac
import secrets
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from parkwarden.model.listening import is_loopback

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from parkwarden.run.config import TokenSettings

SESSION_S = 12 * 3600.0
"""Life of a session: a working day with its evening; who stays longer shows the token again."""

MAX_SESSIONS = 1_000
"""Sessions at once; beyond, the oldest goes. One takes half a kilobyte."""

LOGIN_WINDOW_S = 60.0
MAX_FAILURES = 10
"""Failed logins of one address within LOGIN_WINDOW_S: a person mistypes twice, a program tries thousands."""
MAX_ALL_FAILURES = 300
"""The same of all addresses together: nobody guesses 64 bits at five a second, and nobody is kept out by fewer."""
MAX_PEERS = 1_000
"""Addresses whose failures are remembered; beyond, the one that failed longest ago is forgotten."""

COOKIE = "parkwarden-session"
CSRF_FIELD = "csrf_token"
CSRF_HEADER = "x-csrf-token"
MAX_WORD = 4_096
"""Characters of a token or cookie that are looked at."""


class Role(IntEnum):
    """What somebody may do; who may more may less as well."""

    VIEWER = 1
    OPERATOR = 2

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks. `name` is the token's, "" where nobody is asked. `key` is what their CSRF tokens are bound to, "" = needs none (Bearer)."""

    role: Role
    name: str = ""
    key: str = ""

    def may(self, role: Role) -> bool:
        return self.role >= role

    @property
    def logged_in(self) -> bool:
        return bool(self.name and self.key)


@dataclass(slots=True)
class _Session:
    visitor: Visitor
    ends_at: float


@dataclass(slots=True)
class _Failures:
    """Times of the failed logins within the window, the newest last."""

    times: deque[float] = field(default_factory=deque)

    def lately(self, now: float) -> int:
        while self.times and now - self.times[0] >= LOGIN_WINDOW_S:
            self.times.popleft()
        return len(self.times)


class Access:
    """See the module. Times are Unix seconds, given by who asks."""

    def __init__(self, tokens: Iterable[TokenSettings] = ()) -> None:
        self._tokens = [
            (_digest(one.token.reveal()), one.name, Role.OPERATOR if one.role == "operator" else Role.VIEWER)
            for one in tokens
        ]
        self._sessions: dict[str, _Session] = {}
        self._secret = secrets.token_bytes(32)
        self._failures: dict[str, _Failures] = {}
        self._all_failures = _Failures(deque(maxlen=MAX_ALL_FAILURES))

    @property
    def open(self) -> bool:
        """Whether nobody is asked for a token."""
        return not self._tokens

    def visitor(self, request: HTTPConnection, now: float) -> Visitor | None:
        """Who asks; None = somebody we do not know. A Bearer token, right or wrong, goes before a cookie."""
        if self.open:
            return Visitor(Role.OPERATOR, key="open")
        kind, _, word = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            known = self._known(word.strip())
            return None if known is None else Visitor(known[1], known[0])
        session = self._sessions.get(_digest(request.cookies.get(COOKIE, "")[:MAX_WORD]))
        return session.visitor if session is not None and now < session.ends_at else None

    def login(self, token: str, now: float) -> str | None:
        """A new session's word for a right token, None for a wrong one. `may_try` goes before, `failed` after."""
        known = self._known(token)
        if known is None:
            return None
        word = secrets.token_urlsafe(32)
        name, role = known
        self._sessions = {key: one for key, one in self._sessions.items() if now < one.ends_at}
        while len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        key = _digest(word)
        self._sessions[key] = _Session(Visitor(role, name, key), now + SESSION_S)
        return word

    def logout(self, visitor: Visitor) -> None:
        self._sessions.pop(visitor.key, None)

    def wait_s(self, peer: str, now: float) -> float:
        """Seconds until `peer` may try to log in again, 0 = now."""
        theirs = self._failures.get(peer)
        if theirs is not None and theirs.lately(now) >= MAX_FAILURES:
            return theirs.times[0] + LOGIN_WINDOW_S - now
        if self._all_failures.lately(now) >= MAX_ALL_FAILURES:
            return self._all_failures.times[0] + LOGIN_WINDOW_S - now
        return 0.0

    def failed(self, peer: str, now: float) -> None:
        """Remember a failed login."""
        theirs = self._failures.pop(peer, None) or _Failures(deque(maxlen=MAX_FAILURES))
        theirs.times.append(now)
        self._all_failures.times.append(now)
        self._failures[peer] = theirs
        while len(self._failures) > MAX_PEERS:
            del self._failures[next(iter(self._failures))]

    # cross-site requests

    def csrf_token(self, visitor: Visitor) -> str:
        """A word for forms and scripts of this visitor's pages; another one each time, so that compressing pages tells nothing of it."""
        nonce = secrets.token_urlsafe(12)
        return f"{nonce}.{self._signed(nonce, visitor.key)}"

    def csrf_right(self, visitor: Visitor, word: str) -> bool:
        nonce, _, signed = word[:MAX_WORD].partition(".")
        return hmac.compare_digest(signed.encode(), self._signed(nonce, visitor.key).encode())

    def _signed(self, nonce: str, key: str) -> str:
        return hmac.new(self._secret, f"{nonce}.{key}".encode("utf-8", "replace"), sha256).hexdigest()

    def _known(self, word: str) -> tuple[str, Role] | None:
        """(name, role) of a token; all are compared, so that how long it takes tells nothing."""
        given, found = _digest(word[:MAX_WORD]), None
        for digest, name, role in self._tokens:
            if hmac.compare_digest(digest, given):
                found = (name, role)
        return found


def same_origin(request: HTTPConnection) -> bool:
    """Whether a browser says that our own page asks; who says nothing at all is no browser."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None and site not in ("same-origin", "none"):
        return False
    if origin is None:
        return True
    return bool(origin) and _netloc(origin) == request.headers.get("host", "").lower()


def is_browser(request: HTTPConnection) -> bool:
    """Whether a browser asks, as far as it says so: each that is in use sends one of these with whatever may change something."""
    return any(name in request.headers for name in ("origin", "sec-fetch-site", "cookie"))


def is_part(request: HTTPConnection) -> bool:
    """Whether a script of our pages asks, which wants only the part of a page that changes."""
    return "hx-request" in request.headers


def to_loopback(request: HTTPConnection) -> bool:
    """Whether the name that was asked for is one of this machine's own; programs that send none are no browsers."""
    host = request.headers.get("host", "")
    return not host or is_loopback(_host_of(host))


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _host_of(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _digest(word: str) -> str:
    return sha256(word.encode("utf-8", "replace")).hexdigest()
