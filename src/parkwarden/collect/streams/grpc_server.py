"""Serves gRPC inside a loop that is already running, and stops with its task: the one way our gRPC receivers are started.

    methods = {"/skywalking.v3.ManagementService/keepAlive": unary(keep_alive)}     # async def keep_alive(body: bytes, call) -> bytes
    await serve(listener, methods, bound=tell_of_the_address)

Messages come and go as bytes: who receives them parses them, so that one that is damaged is counted and answered instead of ending
a stream with a traceback in the log. What a stranger may hold before a token is asked for is bounded: connections, their handshake and
headers, calls; a message is read only after the token was shown. gRPC's core unpacks gzip itself and stops at the limit of a message.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import grpc
from grpc import aio

from parkwarden.collect.serve import bind
from parkwarden.model.errors import UsageError
from parkwarden.model.listening import split_listen

if TYPE_CHECKING:
    from parkwarden.collect.streams.settings import Listener

MAX_MESSAGE = 4 << 20
"""Bytes of one message, unpacked: what gRPC's own senders keep to; 20 s of an agent's meters are 5 KB."""
MAX_CONNECTIONS = 4_096
"""Open at once, or half of the files this process may open: an agent has one."""
MAX_STREAMS = 128
"""Calls at once in one connection: an agent has three endless ones and asks five questions."""
MAX_CALLS = 32_768
"""Calls at once in all connections; each holds some 20 KB. Beyond: RESOURCE_EXHAUSTED."""
MAX_METADATA = 16 << 10
"""Bytes of a call's headers."""
HANDSHAKE_S = 5.0
"""From a connection to the end of its (TLS and HTTP/2) handshake."""
IDLE_S = 300.0
"""A connection without a call ends: agents ask every 20 s."""
PING_S = 60.0
"""How often a silent peer is asked whether it lives; one that died with its host is let go PING_TIMEOUT_S later."""
PING_TIMEOUT_S = 20.0
MIN_PING_S = 5.0
"""Peers that ping more often than that are let go."""
GRACE_S = 0.2
"""When we end: for answers under way. Endless streams do not end by themselves."""

Call: TypeAlias = "aio.ServicerContext[bytes, bytes]"
Methods: TypeAlias = "Mapping[str, grpc.RpcMethodHandler[Any, Any]]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


def unary(answer: Callable[[bytes, Call], Awaitable[bytes]]) -> Handler:
    """One question, one answer."""
    return grpc.unary_unary_rpc_method_handler(answer)


def client_stream(answer: Callable[[AsyncIterator[bytes], Call], Awaitable[bytes]]) -> Handler:
    """Messages until the sender ends them, or for ever; one answer."""
    return grpc.stream_unary_rpc_method_handler(answer)


def both_streams(answer: Callable[[AsyncIterator[bytes], Call], AsyncIterator[bytes] | Awaitable[None]]) -> Handler:
    """Messages in both directions: `answer` yields its own, or writes them with `call.write`."""
    return grpc.stream_stream_rpc_method_handler(answer)


async def come_back_later(call: Call, after_s: float, why: str) -> NoReturn:
    """End a call with RESOURCE_EXHAUSTED and RetryInfo: what senders need to know that nothing is wrong with their data."""
    from google.protobuf.any_pb2 import Any as Detail
    from google.protobuf.duration_pb2 import Duration

    from parkwarden.protos.rpc_status_pb2 import RetryInfo, Status

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    delay = Duration()
    delay.FromMilliseconds(int(after_s * 1000))
    detail = Detail(
        type_url="type.googleapis.com/google.rpc.RetryInfo",
        value=RetryInfo(retry_delay=delay).SerializeToString(),
    )
    status = Status(code=code.value[0], message=why, details=[detail])
    await call.abort(code, why, (("grpc-status-details-bin", status.SerializeToString()),))
    raise AssertionError("abort does not return")


class _Door(grpc.GenericRpcHandler):
    """Finds the method of a call, where the token is right."""

    def __init__(self, methods: Methods, listener: Listener, unguarded: frozenset[str]) -> None:
        self._methods = methods
        self._token = listener.token.reveal().encode() if listener.token is not None else b""
        self._unguarded = unguarded

    def service(self, details: grpc.HandlerCallDetails) -> Handler | None:
        method = str(details.method)
        if self._token and method not in self._unguarded and not self._shown(details):
            return _turned_away
        return self._methods.get(method)

    def _shown(self, details: grpc.HandlerCallDetails) -> bool:
        for key, value in details.invocation_metadata or ():
            word = value if isinstance(value, bytes) else value.encode()
            if key == "authorization":
                scheme, _, word = word.partition(b" ")
                if scheme.lower() != b"bearer":
                    continue
            elif key != "authentication":
                continue
            if hmac.compare_digest(word, self._token):
                return True
        return False


async def _refused(_messages: AsyncIterator[bytes], call: Call) -> AsyncIterator[bytes]:
    await call.abort(
        grpc.StatusCode.UNAUTHENTICATED,
        "this receiver wants a token: metadata `authorization: Bearer TOKEN`, or SkyWalking's `authentication`",
    )
    yield b""


_turned_away = both_streams(_refused)


async def serve(
    listener: Listener,
    methods: Methods,
    *,
    setting: str,
    bound: Callable[[str], None],
    max_message: int = MAX_MESSAGE,
    unguarded: frozenset[str] = frozenset(),
) -> None:
    """Serve until cancelled. `setting` is the listener's place in the configuration, for errors; `bound(address)` is told `host:port` once connections are taken (port 0 takes any free one); methods in
    `unguarded` are answered without a token. Raises UsageError where the address or the certificate cannot be had."""
    server = aio.server(options=_options(max_message), maximum_concurrent_rpcs=MAX_CALLS)
    server.add_generic_rpc_handlers((_Door(methods, listener, unguarded),))
    host, port = split_listen(listener.listen)
    bind(host, port, f"receive.{setting}.listen").close()  # says why it cannot be had, which gRPC only writes to stderr
    host = f"[{host}]" if ":" in host else host
    credentials = await asyncio.to_thread(_credentials, listener)
    try:
        if credentials is None:
            port = server.add_insecure_port(f"{host}:{port}")
        else:
            port = server.add_secure_port(f"{host}:{port}", credentials)
    except RuntimeError:
        await server.stop(None)
        raise UsageError(
            "address-in-use",
            f"cannot listen on {listener.listen}",
            hint=f"choose another with receive.{setting}.listen in the configuration (port 0 takes any free one)",
        ) from None
    try:
        await server.start()
        bound(f"{host}:{port}")
        await asyncio.Event().wait()  # wait_for_termination, cancelled, leaves a server that cannot be stopped
    finally:
        await asyncio.shield(server.stop(GRACE_S))


def _credentials(listener: Listener) -> grpc.ServerCredentials | None:
    if not listener.cert_file:
        return None
    try:
        pair = Path(listener.key_file).read_bytes(), Path(listener.cert_file).read_bytes()
        return grpc.ssl_server_credentials([pair])
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else "not usable"
        raise UsageError(
            "certificate", f"the certificate or its key cannot be read: {what}", hint="see cert_file and key_file"
        ) from None


def _options(max_message: int) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),  # two watches on one port would halve every sender's data
        ("grpc.max_receive_message_length", max_message),
        ("grpc.max_metadata_size", MAX_METADATA),
        ("grpc.max_concurrent_streams", MAX_STREAMS),
        ("grpc.max_allowed_incoming_connections", min(MAX_CONNECTIONS, _open_files() // 2)),
        (
            "grpc.server.max_pending_requests",
            MAX_CALLS,
        ),  # else a fleet that comes back at once is turned away at random
        ("grpc.server.max_pending_requests_hard_limit", 2 * MAX_CALLS),
        ("grpc.server_handshake_timeout_ms", int(HANDSHAKE_S * 1000)),
        ("grpc.max_connection_idle_ms", int(IDLE_S * 1000)),
        ("grpc.keepalive_time_ms", int(PING_S * 1000)),
        ("grpc.keepalive_timeout_ms", int(PING_TIMEOUT_S * 1000)),
        ("grpc.http2.min_ping_interval_without_data_ms", int(MIN_PING_S * 1000)),
    ]


def _open_files() -> int:
    """How many files this process may open, now that it has asked for as many as all connections take."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return 2 * MAX_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MAX_CONNECTIONS if hard == resource.RLIM_INFINITY else min(2 * MAX_CONNECTIONS, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return 2 * MAX_CONNECTIONS
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft
