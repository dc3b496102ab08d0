"""Telemetry back ends that fail in known ways: what a reporter, an agent or a service is put in front of to see whether it lives.

    with Backend(Fault.HANG) as backend:
        ...                       # point it at backend.address
    print(backend.seen)

One port on the loopback speaks gRPC (HTTP/2 in the clear) and HTTP/1.1, any path: a message is answered with an empty one,
which OpenTelemetry's and SkyWalking's services both take for "fine". It runs in a thread of its own, so its user may be
anything. Not for the network: no TLS, no token, no limits but MAX_MESSAGE.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h11

MAX_MESSAGE = 64 << 20
"""Bytes of a message: what a test sends fits twenty times."""
SLOW_BYTES, SLOW_S = 1024, 0.25
"""A slow drain reads this much, this often: 4 KiB/s. A batch of telemetry takes minutes, a handshake half a second."""
RESET_BYTES = 512
"""Of a request's body, before a resetting back end breaks off: it has begun, and is not done."""
FLAP_UP_S, FLAP_DOWN_S = 2.0, 2.0
"""How long a flapping back end is there, and is not."""
MET_S = 0.05
"""How often a flapping back end looks whether anybody has come yet."""
ACCEPT_BUFFER = 4096
"""Receive buffer of a slow drain's connections, so that the system does not drain for it."""
STOP_S = 5.0
"""For the thread to end; it waits for nothing."""

_GRPC_OK, _GRPC_RESOURCE_EXHAUSTED, _GRPC_UNIMPLEMENTED = 0, 8, 12
_PREFACE = b"PRI * HTTP/2.0"


class Fault(StrEnum):
    HEALTHY = "healthy"
    REFUSED = "refused"
    """Nobody listens: the system answers each connect with a reset."""
    BLACK_HOLE = "black-hole"
    """Nobody answers a connect, as behind a firewall that drops (a full backlog)."""
    SILENT = "silent"
    """Connects work, and then there is never a byte."""
    HANG = "hang"
    """The handshake works, requests are read, and never answered."""
    SLOW_DRAIN = "slow-drain"
    """Reads a few KiB a second."""
    RESET = "reset"
    """Breaks each connection off in the middle of a request."""
    UNIMPLEMENTED = "unimplemented"
    """gRPC's UNIMPLEMENTED, HTTP's 404."""
    RESOURCE_EXHAUSTED = "resource-exhausted"
    """gRPC's RESOURCE_EXHAUSTED, HTTP's 429 with Retry-After."""
    FLAPPING = "flapping"
    """Healthy and refused by turns, from the first connection on."""


class Backend:
    """A back end on a loopback port (`port` 0: any). `take` is called with path and message of all that a healthy one takes.

    `taken` counts messages answered or streamed in, by path; `seen` connections, requests and bytes. Both may be read any time.
    """

    def __init__(
        self,
        fault: Fault,
        *,
        port: int = 0,
        take: Callable[[str, bytes], None] | None = None,
        retry_after_s: int = 1,
        flap_s: tuple[float, float] = (FLAP_UP_S, FLAP_DOWN_S),
    ) -> None:
        self.fault = fault
        self.retry_after_s = retry_after_s
        self.taken: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self._take = take
        self._flap_s = flap_s
        self._place = _bound(port)  # holds the port while nobody listens on it
        self.host, self.port = self._place.getsockname()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._over: asyncio.Event | None = None
        self._talks: set[asyncio.Task[None]] = set()
        self._fillers: list[socket.socket] = []

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def __enter__(self) -> Backend:
        if self.fault is Fault.BLACK_HOLE:
            self._fill()
        elif self.fault is not Fault.REFUSED:
            self._thread = threading.Thread(target=self._run, name=f"backend-{self.fault}", daemon=True)
            self._thread.start()
            self._ready.wait(STOP_S)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._thread is not None and self._loop is not None and self._over is not None:
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join(STOP_S)
        for filler in self._fillers:
            filler.close()
        self._place.close()

    def _fill(self) -> None:
        """Linux drops the SYNs that come to a full backlog."""
        self._place.listen(0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((self.host, self.port))
            self._fillers.append(filler)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        up, down = self._flap_s
        while not self._over.is_set():
            listener = _bound(self.port)
            if self.fault is Fault.SLOW_DRAIN:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ACCEPT_BUFFER)
            server = await asyncio.start_server(self._talk, sock=listener, limit=MAX_MESSAGE, backlog=128)
            self._ready.set()
            if self.fault is Fault.FLAPPING:
                while not (self.seen["connections"] or self._over.is_set()):
                    await self._pause(MET_S)
            await self._pause(up if self.fault is Fault.FLAPPING else None)
            server.close()
            for talk in list(self._talks):
                talk.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)
            if self.fault is Fault.FLAPPING:
                await self._pause(down)

    async def _pause(self, seconds: float | None) -> None:
        assert self._over is not None
        try:
            await asyncio.wait_for(self._over.wait(), seconds)
        except TimeoutError:
            return

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        self.seen["connections"] += 1
        try:
            if self.fault is Fault.SILENT:
                await asyncio.Event().wait()
            begin = await self._read(reader)
            if begin and _PREFACE.startswith(begin[: len(_PREFACE)]):
                await _Http2(self, reader, writer).talk(begin)
            elif begin:
                await _Http1(self, reader, writer).talk(begin)
        except (OSError, asyncio.CancelledError, h2.exceptions.ProtocolError, h11.RemoteProtocolError, _BreakError):
            _reset(writer)
        finally:
            self._talks.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        if self.fault is Fault.SLOW_DRAIN:
            await asyncio.sleep(SLOW_S)
            data = await reader.read(SLOW_BYTES)
        else:
            data = await reader.read(1 << 16)
        self.seen["bytes"] += len(data)
        return data

    def _message(self, path: str, message: bytes) -> None:
        if self.fault in (Fault.HEALTHY, Fault.FLAPPING, Fault.SLOW_DRAIN):
            self.taken[path] += 1
            if self._take is not None:
                self._take(path, message)


class _BreakError(Exception):
    """This connection is to be reset."""


class _Http2:
    """One connection of gRPC calls: unary and streams alike are messages until the client's end."""

    def __init__(self, backend: Backend, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._backend, self._reader, self._writer = backend, reader, writer
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self._calls: dict[int, tuple[str, bytearray]] = {}

    async def talk(self, data: bytes) -> None:
        self._h2.initiate_connection()
        while data:
            for event in self._h2.receive_data(data):
                self._hear(event)
            self._writer.write(self._h2.data_to_send())
            await self._writer.drain()
            data = await self._backend._read(self._reader)

    def _hear(self, event: h2.events.Event) -> None:
        backend = self._backend
        if isinstance(event, h2.events.RequestReceived):
            backend.seen["requests"] += 1
            headers = {str(name): str(value) for name, value in event.headers or ()}
            self._calls[event.stream_id or 0] = headers.get(":path", ""), bytearray()
            if backend.fault is Fault.UNIMPLEMENTED:
                self._end(event.stream_id or 0, _GRPC_UNIMPLEMENTED, "unknown service")
            elif backend.fault is Fault.RESOURCE_EXHAUSTED:
                self._end(event.stream_id or 0, _GRPC_RESOURCE_EXHAUSTED, "too much")
        elif isinstance(event, h2.events.DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            self._data(event.stream_id or 0, event.data or b"")
        elif isinstance(event, h2.events.StreamEnded):
            if event.stream_id in self._calls and backend.fault is not Fault.HANG:
                self._end(event.stream_id or 0, _GRPC_OK)
        elif isinstance(event, h2.events.StreamReset):
            self._calls.pop(event.stream_id or 0, None)

    def _data(self, stream: int, data: bytes) -> None:
        if stream not in self._calls:
            return
        path, buffer = self._calls[stream]
        buffer += data
        if self._backend.fault is Fault.RESET and len(buffer) >= RESET_BYTES:
            raise _BreakError
        while len(buffer) >= 5:
            packed, size = struct.unpack(">BI", buffer[:5])
            if size > MAX_MESSAGE:
                raise _BreakError
            if len(buffer) < 5 + size:
                break
            message = bytes(buffer[5 : 5 + size])
            del buffer[: 5 + size]
            self._backend._message(path, _unpack(message) if packed else message)

    def _end(self, stream: int, status: int, message: str = "") -> None:
        self._calls.pop(stream, None)
        head = [(":status", "200"), ("content-type", "application/grpc")]
        tail = [("grpc-status", str(status)), ("grpc-message", message)]
        if status == _GRPC_OK:
            self._h2.send_headers(stream, head)
            self._h2.send_data(stream, bytes(5))
            self._h2.send_headers(stream, tail, end_stream=True)
        else:
            self._h2.send_headers(stream, head + tail, end_stream=True)


class _Http1:
    """One connection of requests, each answered before the next."""

    def __init__(self, backend: Backend, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._backend, self._reader, self._writer = backend, reader, writer
        self._h11 = h11.Connection(h11.SERVER)

    async def talk(self, data: bytes) -> None:
        self._h11.receive_data(data)
        while (request := await self._next()) is not None:
            await self._request(request)
            if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
                return
            self._h11.start_next_cycle()

    async def _request(self, request: h11.Event) -> None:
        if not isinstance(request, h11.Request):
            raise _BreakError
        backend, path, body = self._backend, request.target.decode("latin-1"), bytearray()
        backend.seen["requests"] += 1
        while isinstance(event := await self._next(), h11.Data):
            body += event.data
            if len(body) > MAX_MESSAGE or (backend.fault is Fault.RESET and len(body) >= RESET_BYTES):
                raise _BreakError
        if event is None:
            return
        if backend.fault is Fault.HANG:
            await asyncio.Event().wait()
        packed = dict(request.headers).get(b"content-encoding") in (b"gzip", b"deflate")
        backend._message(path, _unpack(bytes(body)) if packed else bytes(body))
        status = {Fault.UNIMPLEMENTED: 404, Fault.RESOURCE_EXHAUSTED: 429}.get(backend.fault, 200)
        headers = [("content-type", "application/x-protobuf"), ("content-length", "0")]
        if status == 429:
            headers.append(("retry-after", str(backend.retry_after_s)))
        self._writer.write(self._h11.send(h11.Response(status_code=status, headers=headers)) or b"")
        self._writer.write(self._h11.send(h11.EndOfMessage()) or b"")
        await self._writer.drain()

    async def _next(self) -> h11.Event | None:
        """The next event; None where the client is done."""
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                if self._h11.they_are_waiting_for_100_continue:
                    self._writer.write(self._h11.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
                self._h11.receive_data(await self._backend._read(self._reader))
            elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                return None
            else:
                return event  # type: ignore[return-value]


def _bound(port: int) -> socket.socket:
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind(("127.0.0.1", port))
    return found


def _reset(writer: asyncio.StreamWriter) -> None:
    """So that closing sends a reset."""
    if (sock := writer.get_extra_info("socket")) is not None:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            return
    writer.transport.abort()


def _unpack(data: bytes) -> bytes:
    return zlib.decompressobj(wbits=47).decompress(data, MAX_MESSAGE)
