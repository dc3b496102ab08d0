"""A small HTTP client for notifiers: one session, bounded answers, failures as DeliveryError.

Redirects are not followed (a receiver that moves is to be told of in the configuration, and a signature is for one URL), answers are
read up to MAX_ANSWER bytes and never quoted: they are a stranger's.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from parkwarden.act.notifier import DeliveryError
from parkwarden.model import Auth

if TYPE_CHECKING:
    import aiohttp

MAX_ANSWER = 4_096
"""Bytes of an answer that are read so that the connection can be used again."""

AGAIN = frozenset([408, 425, 429])
"""Statuses below 500 that may be different later."""

CONNECT_S = 5.0
"""To reach a receiver at all: a data centre's round trip is a thousandth of it."""


class Http:
    """Posts bodies; the session is made on first use and must be closed."""

    def __init__(self, auth: Auth | None, timeout_s: float) -> None:
        self._auth = auth
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """One POST that was taken (2xx). Raises DeliveryError."""
        import aiohttp

        host = urlsplit(url).netloc
        try:
            session = self._opened()
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                await answer.content.read(MAX_ANSWER)
                if 200 <= answer.status < 300:
                    return
                retry = answer.status in AGAIN or answer.status >= 500
                after = retry_after(answer.headers.get("Retry-After", ""), datetime.now(UTC)) if retry else None
                raise DeliveryError(f"{host} answered {answer.status}", retry=retry, after_s=after)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise DeliveryError(f"{host} cannot be reached: {type(error).__name__}", retry=True) from error

    async def close(self) -> None:
        """Let the connections go; a second call does nothing."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=tls(self._auth), limit=16),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s, connect=CONNECT_S),
                headers={"User-Agent": "parkwarden", **_authorization(self._auth)},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def retry_after(value: str, now: datetime) -> float | None:
    """Seconds a receiver asks to be left alone: a number or an HTTP date; None if it asks nothing we understand."""
    number = value.strip()
    if number.isascii() and number.isdigit():
        return float(number[:9])
    try:
        at = parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max((at - now).total_seconds(), 0.0)


def tls(auth: Auth | None) -> ssl.SSLContext:
    """Whom we trust and who we are: the system's certificates unless told otherwise, our own for mutual TLS."""
    context = ssl.create_default_context(cafile=auth.ca_file if auth and auth.ca_file else None)
    if auth and auth.cert_file:
        context.load_cert_chain(auth.cert_file, auth.key_file or None)
    if auth and not auth.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _authorization(auth: Auth | None) -> dict[str, str]:
    if auth is None:
        return {}
    if auth.bearer is not None:
        return {"Authorization": f"Bearer {auth.bearer.reveal()}"}
    if auth.user:
        pair = f"{auth.user}:{auth.password.reveal() if auth.password else ''}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    return {}
