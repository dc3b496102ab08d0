"""gRPC calls over one HTTP/2 connection: messages out, one status and its messages back, all before a deadline.

Unary calls and client streams look the same on the wire, and one call is made at a time. A new connection is used once the
back end has said its first HTTP/2 frame: what only accepts has then seen nothing of a call.

Source: grpc/doc/PROTOCOL-HTTP2.md, compression.md, statuscodes.md, http-grpc-status-mapping.md.
"""

from __future__ import annotations

import struct
import time
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from parkwarden.telemetry.reporter.target import Target
from parkwarden.telemetry.reporter.wire import MAX_REPLY, BrokenError, Channel, NotReachedError, Wire

MAX_WORDS = 200
"""Characters of what a back end says that are kept."""

OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED = 0, 1, 2, 3, 4
PERMISSION_DENIED, RESOURCE_EXHAUSTED, ABORTED, OUT_OF_RANGE, UNIMPLEMENTED = 7, 8, 10, 11, 12
INTERNAL, UNAVAILABLE, DATA_LOSS, UNAUTHENTICATED = 13, 14, 15, 16

_OF_HTTP = {"400": INTERNAL, "401": UNAUTHENTICATED, "403": PERMISSION_DENIED, "404": UNIMPLEMENTED, "429": UNAVAILABLE,
            "502": UNAVAILABLE, "503": UNAVAILABLE, "504": UNAVAILABLE}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reply:
    """How a call ended, by its back end's own words. `details`: the serialized google.rpc.Status, b"" where there was none."""

    status: int
    words: str = ""
    messages: tuple[bytes, ...] = ()
    details: bytes = b""


@dataclass(slots=True)
class _Call:
    stream: int
    headers: dict[str, str] = field(default_factory=dict)
    data: bytearray = field(default_factory=bytearray)
    over: bool = False


class GrpcChannel(Channel):
    """Connects with the first call, and again after whatever broke."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._h2: Any = None
        self._leaving = False
        self._greeted = False

    def call(self, path: str, messages: Sequence[bytes], deadline: float, encoding: str = "") -> Reply:
        """`encoding`: what the messages are packed with, "" = they are not. Raises NotReachedError, or BrokenError where it is not
        known what the back end has."""
        try:
            return self._call(path, messages, deadline, encoding)
        except h2.exceptions.H2Error as error:
            self.drop()
            raise BrokenError(f"no HTTP/2: {type(error).__name__}") from error
        except BaseException:
            self.drop()
            raise

    def _call(self, path: str, messages: Sequence[bytes], deadline: float, encoding: str) -> Reply:
        wire = self._connected(deadline)
        call = _Call(self._h2.get_next_available_stream_id())
        self._h2.send_headers(call.stream, self._head(path, deadline, encoding))
        body = b"".join(struct.pack(">BI", bool(encoding), len(message)) + message for message in messages)
        self._body(wire, call, body, deadline)
        while not call.over:
            self._hear(wire, call, deadline)
        if self._leaving:
            self.drop()
        return _reply(call)

    def _connected(self, deadline: float) -> Wire:
        if self._wire is not None and self._stale(self._wire):
            self.drop()
        if self._wire is not None:
            return self._wire
        self._wire = wire = Wire(self._target, ("h2",))
        wire.connect(deadline)
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._leaving = self._greeted = False
        self._h2.initiate_connection()
        try:
            while not self._greeted:
                self._hear(wire, _Call(0), deadline)
        except (BrokenError, h2.exceptions.H2Error) as error:
            raise NotReachedError(str(error) or "no HTTP/2") from error
        return wire

    def _stale(self, wire: Wire) -> bool:
        """Whether the back end has closed, or said that it will, since the last call."""
        while (data := wire.pending()) is not None:
            if not data:
                return True
            self._events(data, _Call(0))
        return self._leaving

    def _head(self, path: str, deadline: float, encoding: str) -> list[tuple[str, str]]:
        left_ms = max(1, int((deadline - time.monotonic()) * 1000))
        return [
            (":method", "POST"), (":scheme", "https" if self._target.tls else "http"), (":path", path),
            (":authority", self._target.address), ("te", "trailers"), ("content-type", "application/grpc"),
            ("grpc-timeout", f"{left_ms}m"), ("user-agent", "parkwarden"),
            *([("grpc-encoding", encoding)] if encoding else ()), *self._target.headers.items(),
        ]  # fmt: skip

    def _body(self, wire: Wire, call: _Call, body: bytes, deadline: float) -> None:
        """Send as much as the back end's window lets us, until all is sent or it has answered already."""
        at = 0
        while at < len(body) and not call.over:
            room = min(
                self._h2.local_flow_control_window(call.stream), self._h2.max_outbound_frame_size, len(body) - at
            )
            if room <= 0:  # now, and not each frame: a busy host makes us wait for the interpreter after every write
                self._hear(wire, call, deadline)
                continue
            self._h2.send_data(call.stream, body[at : at + room])
            at += room
        if not call.over:
            self._h2.end_stream(call.stream)
        wire.write(self._h2.data_to_send(), deadline)

    def _hear(self, wire: Wire, call: _Call, deadline: float) -> None:
        """Wait for something the back end says."""
        wire.write(self._h2.data_to_send(), deadline)
        data = wire.read(deadline)
        if not data:
            raise BrokenError("the back end closed the connection")
        self._events(data, call)
        wire.write(self._h2.data_to_send(), deadline)

    def _events(self, data: bytes, call: _Call) -> None:
        for event in self._h2.receive_data(data):
            if isinstance(event, h2.events.RemoteSettingsChanged):
                self._greeted = True
            elif isinstance(event, h2.events.ConnectionTerminated):
                self._leaving = True
                if call.stream and not call.over and (event.last_stream_id or 0) < call.stream:
                    raise NotReachedError("the back end is going away")
            elif getattr(event, "stream_id", 0) == call.stream and call.stream:
                self._event(event, call)

    def _event(self, event: h2.events.Event, call: _Call) -> None:
        if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
            call.headers |= {str(name): str(value) for name, value in event.headers or ()}
        elif isinstance(event, h2.events.DataReceived):
            call.data += event.data or b""
            if len(call.data) > MAX_REPLY:
                raise BrokenError("the answer is too long")
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, call.stream)
        elif isinstance(event, h2.events.StreamEnded):
            call.over = True
        elif isinstance(event, h2.events.StreamReset):
            call.over = True
            if "grpc-status" in call.headers:  # answered before it had read all: the rest is not wanted
                return
            if event.error_code == h2.errors.ErrorCodes.REFUSED_STREAM:
                raise NotReachedError("the back end refused the stream")
            raise BrokenError("the back end reset the stream")


def _reply(call: _Call) -> Reply:
    headers = call.headers
    if "grpc-status" not in headers:
        return Reply(_OF_HTTP.get(headers.get(":status", ""), UNKNOWN), f"HTTP {headers.get(':status', '?')}")
    number = headers["grpc-status"]
    status = int(number) if number.isascii() and number.isdigit() and len(number) <= 2 else UNKNOWN
    words = unquote(headers.get("grpc-message", ""))[:MAX_WORDS]
    return Reply(status, words, tuple(_messages(bytes(call.data))), _details(headers))


def _messages(data: bytes) -> list[bytes]:
    found, at = [], 0
    while len(data) - at >= 5:
        packed, size = struct.unpack_from(">BI", data, at)
        if packed or len(data) - at - 5 < size:
            break
        found.append(data[at + 5 : at + 5 + size])
        at += 5 + size
    return found


def _details(headers: Mapping[str, str]) -> bytes:
    told = headers.get("grpc-status-details-bin", "")
    try:
        return b64decode(told + "=" * (-len(told) % 4))
    except ValueError:
        return b""
