"""OTLP over gRPC and over HTTP (protobuf), with the answers' meanings as OTLP's specification gives them.

Requests go packed with gzip, which every OTLP server must take: a third of the bytes. Who says no to a packed request is asked once
more, plain, before that no is believed.

Source: opentelemetry.io/docs/specs/otlp (1.9): failures, retryable codes, throttling, partial success, compression.
What is imported within functions is imported with the first transport, not with the package (Calling.needs).
"""

from __future__ import annotations

import zlib
from abc import abstractmethod
from collections.abc import Sequence
from itertools import accumulate
from time import time
from typing import TYPE_CHECKING, Any

from parkwarden.telemetry.reporter.records import Item, Reason, Signal
from parkwarden.telemetry.reporter.target import Origin, Target
from parkwarden.telemetry.reporter.transport import Calling, Ending, Outcome
from parkwarden.telemetry.segment import Segment

if TYPE_CHECKING:
    from parkwarden.telemetry.reporter.grpc_call import Reply
    from parkwarden.telemetry.reporter.http_call import HttpReply

GRPC_PATHS = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}
MAX_WORDS = 200
"""Characters of what a back end says that are kept."""


GZIP = "gzip"
WORTH_PACKING = 1024
"""Bytes of a request below which it goes as it is: it fits into one packet anyway."""
LEVEL = 1
"""zlib's fastest: of spans 30 bytes each are left of 100, a millisecond for 500 segments; level 6 leaves 29 and takes twice that."""
_GZIP_BITS = 31


class _Otlp(Calling):
    """What does not depend on how it is carried."""

    def __init__(self, target: Target, origin: Origin) -> None:
        super().__init__()
        self._target, self._origin = target, origin
        self._plain = False
        """The back end said no to a packed request and took the same one plain."""

    def _deliver(self, channel: Any, signal: Signal, items: Sequence[Item], deadline: float) -> Outcome:
        from parkwarden.telemetry.reporter.otlp_encode import request_of

        request, failed = request_of(signal, items, self._origin)
        if self._plain or len(request) < WORTH_PACKING:
            answer = self._ask(channel, signal, request, "", deadline)
        else:
            answer = self._ask(channel, signal, packed(request), GZIP, deadline)
            if isinstance(answer, Outcome) and answer.ending in (Ending.REJECTED, Ending.ABSENT):
                answer = self._ask(channel, signal, request, "", deadline)
                self._plain = isinstance(answer, bytes)
        return answer if isinstance(answer, Outcome) else _taken(signal, items, answer, failed)

    @abstractmethod
    def _ask(self, channel: Any, signal: Signal, body: bytes, encoding: str, deadline: float) -> bytes | Outcome:
        """What the back end answers that took it, or how it said no."""


class OtlpGrpc(_Otlp):
    """OTLP/gRPC, usually on port 4317."""

    needs = (
        "parkwarden.telemetry.reporter.grpc_call",
        "parkwarden.telemetry.reporter.otlp_encode",
        "parkwarden.protos.rpc_status_pb2",
    )

    @property
    def where(self) -> str:
        return f"OTLP/gRPC {self._target.address}"

    def _open(self) -> Any:
        from parkwarden.telemetry.reporter.grpc_call import GrpcChannel

        return GrpcChannel(self._target)

    def _ask(self, channel: Any, signal: Signal, body: bytes, encoding: str, deadline: float) -> bytes | Outcome:
        reply: Reply = channel.call(GRPC_PATHS[signal], [body], deadline, encoding)
        if reply.status == 0:
            return reply.messages[0] if reply.messages else b""
        return _grpc_refusal(reply)


class OtlpHttp(_Otlp):
    """OTLP/HTTP, protobuf, usually on port 4318."""

    needs = ("parkwarden.telemetry.reporter.http_call", "parkwarden.telemetry.reporter.otlp_encode", "email.utils")

    @property
    def where(self) -> str:
        return f"OTLP/HTTP {self._target.address}"

    def _open(self) -> Any:
        from parkwarden.telemetry.reporter.http_call import HttpChannel

        return HttpChannel(self._target)

    def _ask(self, channel: Any, signal: Signal, body: bytes, encoding: str, deadline: float) -> bytes | Outcome:
        path = f"{self._target.path.rstrip('/')}/v1/{signal}"
        reply: HttpReply = channel.post(path, "application/x-protobuf", body, deadline, encoding)
        return reply.body if 200 <= reply.status < 300 else _http_refusal(reply)


def packed(request: bytes) -> bytes:
    """As gzip, by a call that lets go of the interpreter."""
    packer = zlib.compressobj(LEVEL, wbits=_GZIP_BITS)
    return packer.compress(request) + packer.flush()


def _taken(signal: Signal, items: Sequence[Item], answer: bytes, failed: int) -> Outcome:
    """With its partial success, where the answer tells of one. Of traces it counts spans, we count segments."""
    from parkwarden.telemetry.reporter.otlp_encode import partial_success

    rejected, words = partial_success(signal, answer)
    if signal is Signal.TRACES and rejected:
        spans = accumulate(len(item.spans) for item in reversed(items) if isinstance(item, Segment))
        rejected = 1 + sum(total < rejected for total in spans)
    return Outcome(Ending.TAKEN, words[:MAX_WORDS], rejected=rejected, not_encodable=failed)


def _grpc_refusal(reply: Reply) -> Outcome:
    from parkwarden.telemetry.reporter import grpc_call as code

    trouble = f"gRPC status {reply.status} {reply.words}".rstrip()
    after_s = grpc_delay(reply.details)
    if reply.status == code.UNIMPLEMENTED:
        return Outcome(Ending.ABSENT, trouble)
    if reply.status in (code.UNAVAILABLE, code.ABORTED, code.OUT_OF_RANGE):
        return Outcome(Ending.UNREACHED, trouble, after_s)
    if reply.status in (code.CANCELLED, code.DEADLINE_EXCEEDED, code.DATA_LOSS):
        return Outcome(Ending.UNSURE, trouble, after_s)
    if reply.status == code.RESOURCE_EXHAUSTED:
        if after_s is not None:
            return Outcome(Ending.UNREACHED, trouble, after_s)
        return Outcome(Ending.UNSURE, trouble, smaller=True, give_up_as=Reason.REJECTED)
    return Outcome(Ending.REJECTED, trouble)


def grpc_delay(details: bytes) -> float | None:
    """The pause that a google.rpc.Status asks for."""
    if not details:
        return None
    from google.protobuf.message import DecodeError

    from parkwarden.protos.rpc_status_pb2 import RetryInfo, Status

    try:
        for one in Status.FromString(details).details:
            if one.type_url.endswith("/google.rpc.RetryInfo"):
                delay = RetryInfo.FromString(one.value).retry_delay
                return max(0.0, delay.seconds + delay.nanos / 1e9)
    except DecodeError:
        return None
    return None


def _http_refusal(reply: HttpReply) -> Outcome:
    trouble = f"HTTP status {reply.status}"
    if reply.status in (404, 405, 501):
        return Outcome(Ending.ABSENT, trouble)
    if reply.status in (429, 502, 503, 504):
        return Outcome(Ending.UNREACHED, trouble, http_delay(reply.retry_after, time()))
    if reply.status == 413:
        return Outcome(Ending.UNSURE, trouble, smaller=True, give_up_as=Reason.REJECTED)
    return Outcome(Ending.REJECTED, trouble)


def http_delay(retry_after: str, now: float) -> float | None:
    """The pause that a Retry-After asks for, in seconds or until a date."""
    told = retry_after.strip()
    if told.isascii() and told.isdigit() and len(told) <= 9:
        return float(told)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(told).timestamp() - now) if told else None
    except (ValueError, OverflowError):
        return None
