"""HTTP to discovery servers and APIs: bounded answers, no redirects, no cookies, no environment, explained failures."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from parkwarden.model.errors import LimitError, ParkwardenError, UsageError
from parkwarden.model.instance import Auth

if TYPE_CHECKING:
    import ssl

    import aiohttp

CONNECT_TIMEOUT_S = 5.0
"""Until the connection stands."""
_CHUNK = 64 << 10


def auth_headers(auth: Auth | None) -> dict[str, str]:
    """The Authorization header (RFC 7617, RFC 6750); {} where there is nothing to show."""
    if auth is None:
        return {}
    if auth.bearer is not None:
        return {"Authorization": f"Bearer {auth.bearer.reveal()}"}
    if auth.user or auth.password is not None:
        word = auth.password.reveal() if auth.password is not None else ""
        return {"Authorization": "Basic " + b64encode(f"{auth.user}:{word}".encode()).decode()}
    return {}


def tls(auth: Auth | None) -> ssl.SSLContext | bool:
    """How to check the server, and our certificate. Raises UsageError: files that cannot be read or do not fit."""
    import ssl

    if auth is None or (auth.verify and not auth.ca_file and not auth.cert_file):
        return True
    try:
        context = ssl.create_default_context(cafile=auth.ca_file or None)
        if not auth.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if auth.cert_file:
            context.load_cert_chain(auth.cert_file, auth.key_file or None, password="")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        why = getattr(error, "strerror", None) or "not what it should be"
        raise UsageError("tls-files", f"ca_file, cert_file or key_file cannot be used: {why}") from None
    return context


def session(auth: Auth | None, timeout_s: float, socket: str = "") -> aiohttp.ClientSession:
    """A client for one server (or the one behind a Unix socket); close it. `timeout_s` is for a whole answer."""
    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(socket) if socket else aiohttp.TCPConnector(limit=8, ssl=tls(auth)),
        auto_decompress=False,  # a bomb would be unpacked without a bound
        headers={"Accept-Encoding": "identity", "User-Agent": "parkwarden"},
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S),
    )


async def body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The whole body. Raises LimitError beyond `limit` bytes, at once and whatever length was announced."""
    data = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        data += chunk
        if len(data) > limit:
            response.close()
            raise LimitError("too-large", f"an answer larger than {limit >> 20} MiB")
    return bytes(data)


def explained(error: BaseException) -> tuple[str, str]:
    """(code, sentence) of what went wrong; holds nothing of URLs, headers or bodies."""
    import aiohttp

    if isinstance(error, ParkwardenError):
        return error.code, error.message
    if isinstance(error, TimeoutError):
        return "timeout", "no whole answer in time"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "tls", "no secure connection: is its certificate known here (ca_file)?"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "no-such-host", "the host's name is not known"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "connection-failed", f"no connection: {error.os_error.strerror or type(error.os_error).__name__}"
    return "bad-answer", f"the connection broke or it is no HTTP ({type(error).__name__})"
