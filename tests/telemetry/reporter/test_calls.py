"""Calls to back ends that fail in known ways: each ends by its deadline, and says what is known of its batch."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import grpc
import pytest

from parkwarden.run.backends import Backend, Fault
from parkwarden.telemetry.reporter import Ending, Origin, OtlpGrpc, OtlpHttp, Signal, SkyWalkingGrpc, Target
from parkwarden.telemetry.reporter.grpc_call import GrpcChannel
from parkwarden.telemetry.reporter.otlp import GZIP, packed
from parkwarden.telemetry.reporter.otlp_encode import request_of
from parkwarden.telemetry.reporter.transport import Calling
from parkwarden.telemetry.reporter.wire import BrokenError, NotReachedError
from tests.telemetry.reporter.things import log, segment

ORIGIN = Origin("shop", "shop-1")
TRANSPORTS = [OtlpGrpc, OtlpHttp, SkyWalkingGrpc]
CALL_S, ANSWER_S, SPARE_S = 0.3, 20.0, 5.0
"""For a call to who never answers, and to who does; what a busy machine may take more than a deadline."""
UNANSWERED = {Fault.BLACK_HOLE, Fault.SILENT, Fault.HANG, Fault.SLOW_DRAIN}
MANY = [segment(str(number), spans=3) for number in range(200)]
"""About 40 KiB on the wire."""
EXPECTED = {
    Fault.HEALTHY: {Ending.TAKEN},
    Fault.FLAPPING: {Ending.TAKEN},
    Fault.REFUSED: {Ending.UNREACHED},
    Fault.BLACK_HOLE: {Ending.UNREACHED},
    Fault.SILENT: {Ending.UNREACHED, Ending.UNSURE},
    Fault.HANG: {Ending.UNSURE, Ending.UNREACHED},
    Fault.SLOW_DRAIN: {Ending.UNSURE, Ending.UNREACHED},
    Fault.RESET: {Ending.UNSURE},
    Fault.UNIMPLEMENTED: {Ending.ABSENT},
    Fault.RESOURCE_EXHAUSTED: {Ending.UNREACHED, Ending.UNSURE},
}


def target(backend: Backend) -> Target:
    return Target(host=backend.host, port=backend.port)


@pytest.mark.parametrize("kind", TRANSPORTS)
@pytest.mark.parametrize("fault", list(Fault))
def test_each_fault_ends_by_the_deadline_as_what_it_is(kind: Callable[..., Calling], fault: Fault) -> None:
    """Never later, and only a healthy one has taken it."""
    with Backend(fault, flap_s=(60.0, 60.0)) as backend:
        transport = kind(target(backend), ORIGIN)
        call_s = CALL_S if fault in UNANSWERED else ANSWER_S
        began = time.monotonic()
        outcome = transport.send(Signal.TRACES, MANY, began + call_s)
        assert time.monotonic() - began < call_s + SPARE_S
        assert outcome.ending in EXPECTED[fault]
        assert (outcome.ending is Ending.TAKEN) == (sum(backend.taken.values()) > 0)
        assert (outcome.trouble == "") == (outcome.ending is Ending.TAKEN)
        transport.abort()


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_an_aborted_call_ends_at_once_and_the_next_connects_anew(kind: Callable[..., Calling]) -> None:
    """From another thread, wherever the call is."""
    with Backend(Fault.HANG) as backend:
        transport = kind(target(backend), ORIGIN)

        def abort() -> None:
            while not backend.seen["requests"]:
                time.sleep(0)
            transport.abort()

        threading.Thread(target=abort).start()
        began = time.monotonic()
        assert transport.send(Signal.LOGS, [], began + 30.0).ending is not Ending.TAKEN
        assert time.monotonic() - began < 10.0
        backend.fault = Fault.HEALTHY
        assert transport.send(Signal.LOGS, [], time.monotonic() + ANSWER_S).ending is Ending.TAKEN


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_a_connection_is_kept_and_a_stale_one_replaced(kind: Callable[..., Calling]) -> None:
    """Calls share a connection; one that the back end closed since the last call costs nothing."""
    with Backend(Fault.HEALTHY) as backend:
        transport, port = kind(target(backend), ORIGIN), backend.port
        for _ in range(3):
            assert transport.send(Signal.TRACES, MANY, time.monotonic() + ANSWER_S).ending is Ending.TAKEN
        assert backend.seen["connections"] == 1
    with Backend(Fault.HEALTHY, port=port):
        assert transport.send(Signal.TRACES, MANY, time.monotonic() + ANSWER_S).ending is Ending.TAKEN


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", TRANSPORTS)
def test_a_forked_child_uses_a_connection_of_its_own(kind: Callable[..., Calling]) -> None:
    """And leaves the parent's as it is."""
    with Backend(Fault.HEALTHY) as backend:
        transport = kind(target(backend), ORIGIN)
        assert transport.send(Signal.LOGS, [], time.monotonic() + ANSWER_S).ending is Ending.TAKEN
        pid = os.fork()
        if pid == 0:
            transport.forked()
            outcome = transport.send(Signal.LOGS, [], time.monotonic() + ANSWER_S)
            os._exit(0 if outcome.ending is Ending.TAKEN else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert transport.send(Signal.LOGS, [], time.monotonic() + ANSWER_S).ending is Ending.TAKEN
        assert backend.seen["connections"] == 2


def test_a_name_that_nobody_knows_is_not_reached() -> None:
    """Not an exception, and nothing that was in flight."""
    transport = OtlpGrpc(Target(host="no-such-host.invalid", port=4317), ORIGIN)
    assert transport.send(Signal.LOGS, [], time.monotonic() + ANSWER_S).ending is Ending.UNREACHED


class Method(grpc.GenericRpcHandler):  # type: ignore[misc]
    """A real gRPC server's: counts a stream's messages and bytes, or fails as its path says."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        def count(messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            if "fail" in details.method:
                context.set_trailing_metadata((("grpc-status-details-bin", b"\x08\x08"),))
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "zu viel: 100 %")
            sizes = [len(message) for message in messages]
            said = dict(context.invocation_metadata()).get("authorization", "")
            return f"{len(sizes)} {sum(sizes)} {said} {context.time_remaining() < 10}".encode()

        return None if "unknown" in details.method else grpc.stream_unary_rpc_method_handler(count)


@pytest.fixture(scope="module")
def real() -> Iterator[Target]:
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=(Method(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield Target(host="127.0.0.1", port=port, headers={"authorization": "Bearer x"})
    server.stop(None)


def test_a_real_grpc_server_understands_us(real: Target) -> None:
    """Streams far beyond its flow control window, headers, deadline; its status, words and details come back."""
    channel = GrpcChannel(real)
    deadline = time.monotonic() + 9.0
    assert channel.call("/a.B/count", [bytes(300_000)] * 10, deadline).messages == (b"10 3000000 Bearer x True",)
    assert channel.call("/a.B/count", [], deadline).messages == (b"0 0 Bearer x True",)
    refused = channel.call("/a.B/fail", [bytes(300_000)] * 3, deadline)
    assert (refused.status, refused.words, refused.details) == (8, "zu viel: 100 %", b"\x08\x08")
    assert channel.call("/a.B/unknown", [b"x"], deadline).status == 12
    channel.drop()


def test_a_real_grpc_server_unpacks(real: Target) -> None:
    """gRPC's own compression, message by message."""
    channel = GrpcChannel(real)
    reply = channel.call("/a.B/count", [packed(bytes(300_000))] * 2, time.monotonic() + 9.0, GZIP)
    assert reply.messages == (b"2 600000 Bearer x True",)
    channel.drop()


@pytest.mark.parametrize("kind", [OtlpGrpc, OtlpHttp])
def test_requests_go_packed(kind: Callable[..., Calling]) -> None:
    """A third of the bytes, and the same message; what is small goes as it is."""
    got: list[bytes] = []
    with Backend(Fault.HEALTHY, take=lambda path, message: got.append(message)) as backend:
        transport = kind(target(backend), ORIGIN)
        assert transport.send(Signal.TRACES, MANY, time.monotonic() + ANSWER_S).ending is Ending.TAKEN
        assert transport.send(Signal.TRACES, MANY[:2], time.monotonic() + ANSWER_S).ending is Ending.TAKEN
        assert got == [request_of(Signal.TRACES, items, ORIGIN)[0] for items in (MANY, MANY[:2])]
        assert backend.seen["bytes"] < len(got[0]) / 3


class Fussy(BaseHTTPRequestHandler):
    """Says `status` to whatever is packed, and to the rest 200, or (at /gone) 404."""

    protocol_version = "HTTP/1.1"
    status = 415
    seen: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        encoding = self.headers.get("Content-Encoding", "")
        self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append(encoding)
        self.send_response(self.status if encoding else 404 if "gone" in self.path else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.mark.parametrize("status", [400, 404, 415, 501])
def test_who_takes_nothing_packed_over_http_gets_it_plain(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same batch, at once; from then on nothing is packed. A no to both is what it says."""
    monkeypatch.setattr(Fussy, "status", status)
    monkeypatch.setattr(Fussy, "seen", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Fussy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        transport = OtlpHttp(Target(host="127.0.0.1", port=server.server_port), ORIGIN)
        for _ in range(2):
            assert transport.send(Signal.TRACES, MANY, time.monotonic() + ANSWER_S).ending is Ending.TAKEN
        assert Fussy.seen == [GZIP, "", ""]
        gone = OtlpHttp(Target(host="127.0.0.1", port=server.server_port, path="/gone"), ORIGIN)
        assert gone.send(Signal.TRACES, MANY, time.monotonic() + ANSWER_S).ending is Ending.ABSENT
        transport.abort()
        gone.abort()
    finally:
        server.shutdown()
        server.server_close()


def test_who_takes_nothing_packed_over_grpc_gets_it_plain() -> None:
    """A real server without compression says UNIMPLEMENTED, as to what it does not know."""
    got: list[int] = []

    def take(request: bytes, context: grpc.ServicerContext) -> bytes:
        got.append(len(request))
        return b""

    handlers = {"Export": grpc.unary_unary_rpc_method_handler(take)}
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    identity_only = [("grpc.compression_enabled_algorithms_bitset", 1)]
    server = grpc.server(futures.ThreadPoolExecutor(2), options=identity_only)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        transport = OtlpGrpc(Target(host="127.0.0.1", port=port), ORIGIN)
        for _ in range(2):
            assert transport.send(Signal.TRACES, MANY, time.monotonic() + ANSWER_S).ending is Ending.TAKEN
        assert got == [len(request_of(Signal.TRACES, MANY, ORIGIN)[0])] * 2
        logs = [log(str(number) * 20) for number in range(100)]
        assert transport.send(Signal.LOGS, logs, time.monotonic() + ANSWER_S).ending is Ending.ABSENT
        transport.abort()
    finally:
        server.stop(None)


def test_what_speaks_no_http2_is_not_reached(real: Target) -> None:
    """A deadline in the past is one, too."""
    with pytest.raises((NotReachedError, BrokenError)):
        GrpcChannel(real).call("/a.B/count", [], time.monotonic() - 1.0)
    with Backend(Fault.HEALTHY) as backend:
        backend.fault = Fault.RESET
        with pytest.raises(BrokenError):
            GrpcChannel(target(backend)).call("/a.B/count", [bytes(10_000)], time.monotonic() + ANSWER_S)
