"""The OTLP stream: takes metrics over gRPC and HTTP, answers as the specification says, hands readings to the roll.

What a sender is told (opentelemetry-specification `docs/protocol/otlp.md`):

    taken                            OK / 200; points we have no use for are taken, too: they are no mistake of the sender's
    taken but for some points        partial_success with how many and why; not to be sent again
    no ExportMetricsServiceRequest   INVALID_ARGUMENT / 400; not to be sent again
    too large                        RESOURCE_EXHAUSTED without RetryInfo / 413; not to be sent again
    too much at once                 RESOURCE_EXHAUSTED with RetryInfo / 429 with Retry-After; to be sent again then
    traces, logs, profiles           UNIMPLEMENTED / 404

An instance begins with a number that only Go programs tell: `process.*` of something else is nobody's here. Resources are recognised by the
hash of their bytes.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from parkwarden.collect.streams.assembly import Assembly
from parkwarden.collect.streams.otlp.identity import instance_of, is_foreign
from parkwarden.collect.streams.otlp.series import Series
from parkwarden.collect.streams.roll import MAX_AHEAD_S, MAX_INSTANCES
from parkwarden.collect.streams.stream import Part, Stream
from parkwarden.formats import otlp_metrics
from parkwarden.formats.runtime_names import of_go
from parkwarden.model.errors import FormatError, LimitError

if TYPE_CHECKING:
    from starlette.responses import Response

    from parkwarden.collect.streams.admission import Admission
    from parkwarden.collect.streams.grpc_server import Call
    from parkwarden.collect.streams.http_server import Message, Refused
    from parkwarden.collect.streams.roll import Roll
    from parkwarden.collect.streams.settings import OtlpReceiver
    from parkwarden.model.instance import Instance

MAX_MESSAGE = 4 << 20
"""Bytes of one message, unpacked, over either transport: gRPC's own default, and twice a Collector's batch of 8,192 points. Messages of
nothing but empty parts take fifty times their size while they are read, one message at a time."""
PAUSE_POINTS = 500
"""Points after which others have their turn: a few milliseconds."""
SHARED_S = 300.0
"""How long two processes under one name are a trouble after they were last seen."""

METHOD = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
PATH = "/v1/metrics"
PROTOBUF, JSON = "application/x-protobuf", "application/json"

REJECTED = {
    "malformed": "values or temporalities that are none",
    "no-time": "no time stamp",
    "no-instance": "the resource does not say which instance it is (service.name, service.instance.id)",
    "in-the-future": f"time stamps more than {MAX_AHEAD_S:g} s ahead of our clock",
    "delta-of-level": "delta temporality for what is no monotonic sum",
    "shared-identity": "an older process under the same name as another; give each its service.instance.id",
    "too-many-series": "too many series of one field",
    "too-many-instances": f"more than {MAX_INSTANCES:,} instances",
}
"""What is told in partial_success. All else that is not taken is ours to leave out, and only counted."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a message. `again_s` > 0: nothing was taken, it may come again then."""

    rejected: int = 0
    why: str = ""
    again_s: float = 0.0


class OtlpStream(Stream):
    """See the module. `tell(text)` is told where it listens."""

    def __init__(
        self,
        settings: OtlpReceiver,
        labels: Mapping[str, str],
        roll: Roll,
        admission: Admission,
        clock: Callable[[], float],
        tell: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("otlp")
        self._settings = settings
        self._labels = labels
        self._roll = roll
        self._admission = admission
        self._clock = clock
        self._monotonic = monotonic
        self._tell = tell
        self._assembly = Assembly(roll, self.points, monotonic, summed=frozenset())
        self._who: dict[bytes, Instance | str] = {}
        """Digest of a resource -> who it is, or why nobody."""
        self._series: dict[str, Series] = {}
        self._turn = asyncio.Lock()
        """Held while a message is read: what one takes unpacked is bounded, so one at a time."""
        self._unpaused = 0
        self._shared = (0.0, "")

    def parts(self) -> Mapping[str, Part]:
        parts: dict[str, Part] = {"otlp": self._flush}
        if self._settings.grpc.listen:
            parts["otlp-grpc"] = self._serve_grpc
        if self._settings.http.listen:
            parts["otlp-http"] = self._serve_http
        return parts

    def gone(self, instance_id: str) -> None:
        self._series.pop(instance_id, None)
        self._assembly.forget(instance_id)

    async def take(self, body: bytes, read: Callable[[bytes], otlp_metrics.Message]) -> Taken:
        """One message. Raises FormatError where it is none, LimitError."""
        async with self._turn:
            message = read(body)
            again_s = self._admission.refusal(message.points)
            if again_s:
                self.points["over-limit"] += message.points
                return Taken(again_s=again_s)
            await asyncio.sleep(0)  # reading it was a turn of its own
            counts: Counter[str] = Counter()
            for resource in message.resources:
                self._take(resource, await self._turns(resource.told(counts)), counts)
        self.points.update(+counts)
        reasons = [f"{counts[why]:,} of {text}" for why, text in REJECTED.items() if counts[why]]
        return Taken(sum(counts[why] for why in REJECTED), "; ".join(reasons))

    async def _turns(self, points: Iterator[otlp_metrics.Point]) -> list[otlp_metrics.Point]:
        """The points; others have their turn in between."""
        found: list[otlp_metrics.Point] = []
        for point in points:
            found.append(point)
            self._unpaused += 1
            if self._unpaused >= PAUSE_POINTS:
                self._unpaused = 0
                await asyncio.sleep(0)
        return found

    def _take(self, resource: otlp_metrics.Resource, points: list[otlp_metrics.Point], counts: Counter[str]) -> None:
        instance = self._instance(resource)
        if isinstance(instance, str):
            counts[instance] += len(points)
            return
        if not points:
            return
        now = self._clock()
        told = [point for point in points if point.at <= now + MAX_AHEAD_S]
        counts["in-the-future"] += len(points) - len(told)
        name = instance.id
        series = self._series.get(name)
        if series is None:
            if not any(of_go(point.metric) for point in told):
                counts["not-go"] += len(told)
                return
            if len(self._series) >= MAX_INSTANCES:
                counts["too-many-instances"] += len(told)
                return
        if not self._roll.seen(self.name, instance):
            counts["not-taken"] += len(told)
            return
        if series is None:
            series = self._series[name] = Series(instance.start_time, instance.start_time is not None)
        shared = counts["shared-identity"]
        for at, values in series.take(told, counts):
            self._assembly.tell(name, at, values)
        if counts["shared-identity"] > shared:
            self._shared = (self._monotonic(), name)

    def _instance(self, resource: otlp_metrics.Resource) -> Instance | str:
        """Whose metrics these are, or why nobody's."""
        digest = resource.digest
        known = self._who.get(digest)
        if known is not None:
            return known
        attributes = resource.attributes()
        who = "not-go" if is_foreign(attributes) else instance_of(attributes, self._labels) or "no-instance"
        if not isinstance(who, str):
            there = self._roll.instance(who.id)
            if there is not None and there.service_key != who.service_key and "service" in who.labels:
                who = replace(who, id=f"{who.id}/{who.service}")  # two programs in one place
        while len(self._who) >= MAX_INSTANCES:
            del self._who[next(iter(self._who))]
        self._who[digest] = who
        return who

    async def _flush(self) -> None:
        await self._assembly.keep_flushing(self._look_at_ourselves)

    def _look_at_ourselves(self) -> None:
        at, name = self._shared
        fresh = bool(name) and self._monotonic() - at < SHARED_S
        self.trouble = f"several processes send as {name}: give each its service.instance.id" if fresh else ""

    # gRPC

    async def _serve_grpc(self) -> None:
        from parkwarden.collect.streams import grpc_server

        def bound(address: str) -> None:
            self._tell(f"otlp: grpc://{address} takes metrics")

        methods = {METHOD: grpc_server.unary(self._export)}
        await grpc_server.serve(self._settings.grpc, methods, setting="otlp.grpc", bound=bound, max_message=MAX_MESSAGE)

    async def _export(self, body: bytes, call: Call) -> bytes:
        import grpc

        from parkwarden.collect.streams.grpc_server import come_back_later
        from parkwarden.collect.streams.http_server import BUSY_S

        with self._admission.room(len(body)) as fits:
            if not fits:
                self.points["busy"] += 1
                await come_back_later(call, BUSY_S, "too much is under way")
            try:
                taken = await self.take(body, otlp_metrics.read_protobuf)
            except FormatError as error:
                self.points["damaged"] += 1
                await call.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
            except LimitError as error:
                self.points["too-large"] += 1
                await call.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, error.message)
        if taken.again_s:
            await come_back_later(call, taken.again_s, "more points a second than are taken")
        return _response(taken)

    # HTTP

    async def _serve_http(self) -> None:
        from parkwarden.collect.streams.http_server import HttpServer, Route

        route = Route(PATH, self._post, ("identity", "gzip", "zstd", "deflate"), _status)
        await HttpServer("otlp.http", self._settings.http, [route], self._admission, self.points, self._tell).run()

    async def _post(self, message: Message) -> Response:
        from starlette.responses import Response

        from parkwarden.collect.streams.http_server import RefusedError

        if message.content_type not in (PROTOBUF, JSON):
            raise RefusedError(415, "unknown-type", f"Content-Type must be {PROTOBUF} or {JSON}")
        if len(message.body) > MAX_MESSAGE:
            raise RefusedError(413, "too-large", f"at most {MAX_MESSAGE:,} bytes, unpacked, are taken")
        read = otlp_metrics.read_json if message.content_type == JSON else otlp_metrics.read_protobuf
        try:
            taken = await self.take(message.body, read)
        except FormatError as error:
            raise RefusedError(400, "damaged", error.message) from None
        except LimitError as error:
            raise RefusedError(413, "too-large", error.message) from None
        if taken.again_s:
            raise RefusedError(429, "busy", "more points a second than are taken; come back later", taken.again_s)
        body = _json_response(taken) if message.content_type == JSON else _response(taken)
        return Response(body, media_type=message.content_type)


def _response(taken: Taken) -> bytes:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

    response = ExportMetricsServiceResponse()
    if taken.rejected:  # left unset where all was taken
        response.partial_success.rejected_data_points = taken.rejected
        response.partial_success.error_message = taken.why
    return response.SerializeToString()


def _json_response(taken: Taken) -> bytes:
    import orjson

    partial = {"rejectedDataPoints": str(taken.rejected), "errorMessage": taken.why}
    return orjson.dumps({"partialSuccess": partial} if taken.rejected else {})


_CODES = {400: 3, 401: 16, 404: 5, 408: 4, 413: 8, 415: 3, 429: 8, 500: 13}
"""HTTP's status -> gRPC's code, for the Status in the body."""


def _status(refused: Refused, content_type: str) -> Response:
    """A refusal as OTLP/HTTP wants it: a google.rpc.Status in the sender's encoding."""
    import orjson
    from starlette.responses import Response

    from parkwarden.protos.rpc_status_pb2 import Status

    code = _CODES.get(refused.status, 2)
    if content_type == JSON:
        return Response(orjson.dumps({"code": code, "message": refused.text}), refused.status, media_type=JSON)
    status = Status(code=code, message=refused.text)
    return Response(status.SerializeToString(), refused.status, media_type=PROTOBUF)
