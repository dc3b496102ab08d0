"""A connection on which nothing takes longer than it was given: plain sockets, TLS, one deadline per call.

Sockets and two sans-IO protocol machines (h2, h11) instead of a client library: nothing lives in threads or C of its own, so
a forked child is whole, a call can be ended from another thread, and the interpreter's end waits for nothing. Where a name is
looked up no deadline holds (the system's resolver knows none); the reporter then leaves the courier behind.
"""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass

from parkwarden.telemetry.reporter.target import Target

CHUNK = 64 * 1024
"""Bytes read or written at a time."""

MAX_REPLY = 256 * 1024
"""Bytes of an answer: a partial success and its sentence fit a thousand times."""


class NotReachedError(Exception):
    """The back end has surely seen nothing of the call."""


class BrokenError(Exception):
    """The connection ended in the middle: the back end may have seen all of the call, or nothing."""


@dataclass(slots=True)
class _Place:
    """What `abort` ends: set as soon as there is a socket."""

    sock: socket.socket | None = None
    aborted: bool = False


class Wire:
    """One connection, used by one thread at a time; `abort` is for others."""

    def __init__(self, target: Target, protocols: tuple[str, ...]) -> None:
        self._target, self._protocols = target, protocols
        self._place = _Place()

    def connect(self, deadline: float) -> None:
        """Raises NotReachedError."""
        target = self._target
        try:
            found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise NotReachedError(f"{target.host} is not known: {error}") from error
        trouble: Exception = NotReachedError("no address")
        for family, kind, protocol, _, address in found:
            sock = socket.socket(family, kind, protocol)
            self._place.sock = sock
            try:
                sock.settimeout(self._left(deadline))
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if target.tls:
                    self._place.sock = self._wrapped(sock, deadline)
                return
            except (OSError, ssl.SSLError, ValueError) as error:
                trouble = error
                sock.close()
        raise NotReachedError(_said(trouble)) from trouble

    def _wrapped(self, sock: socket.socket, deadline: float) -> ssl.SSLSocket:
        target = self._target
        context = ssl.create_default_context(cafile=target.ca_file or None)
        context.set_alpn_protocols(list(self._protocols))
        if target.cert_file:
            context.load_cert_chain(target.cert_file, target.key_file or None)
        sock.settimeout(self._left(deadline))
        return context.wrap_socket(sock, server_hostname=target.host)

    def write(self, data: bytes, deadline: float) -> None:
        """Raises BrokenError."""
        view = memoryview(data)
        sock = self._sock()
        try:
            while view:
                sock.settimeout(self._left(deadline))
                view = view[sock.send(view[:CHUNK]) :]
        except OSError as error:
            raise BrokenError(_said(error)) from error

    def read(self, deadline: float) -> bytes:
        """Some bytes; b"" where the back end has closed. Raises BrokenError."""
        sock = self._sock()
        try:
            sock.settimeout(self._left(deadline))
            return sock.recv(CHUNK)
        except OSError as error:
            raise BrokenError(_said(error)) from error

    def pending(self) -> bytes | None:
        """What has come without being asked for; None where nothing has, b"" where the back end has closed."""
        sock = self._sock()
        try:
            sock.settimeout(0.0)
            return sock.recv(CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError:
            return b""

    def abort(self) -> None:
        self._place.aborted = True
        if (sock := self._place.sock) is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:  # it is not connected (yet): closing ends a connect, too
                sock.close()

    def close(self) -> None:
        """Also in a forked child: it closes the child's copy and says nothing to the back end."""
        if self._place.sock is not None:
            self._place.sock.close()

    def _sock(self) -> socket.socket:
        if self._place.sock is None:
            raise BrokenError("not connected")
        return self._place.sock

    def _left(self, deadline: float) -> float:
        """Seconds that are left; raises TimeoutError where none are (0 would mean: do not wait)."""
        left = deadline - time.monotonic()
        if self._place.aborted:
            raise ConnectionAbortedError("the call was ended")
        if left <= 0.0:
            raise TimeoutError("no answer in time")
        return left


def _said(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return f"{type(error).__name__}: {error}"[:200]


class Channel:
    """One connection that is kept, whatever is spoken over it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._wire: Wire | None = None

    def drop(self) -> None:
        """Forget the connection."""
        if self._wire is not None:
            self._wire.close()
        self._wire = None

    def abort(self) -> None:
        """From another thread."""
        if (wire := self._wire) is not None:
            wire.abort()
