"""SkyWalking's gRPC: segments, logs, meters, and the instance's properties and keep-alives.

A batch is one client stream that is ended with it, so that the answer says the back end has it: an endless stream is never
answered, and what it lost nobody knows. Tokens go as the header `authentication` (Target.headers).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from parkwarden.telemetry.reporter.records import Item, Signal
from parkwarden.telemetry.reporter.target import Origin, Target
from parkwarden.telemetry.reporter.transport import Calling, Ending, Outcome

if TYPE_CHECKING:
    from parkwarden.telemetry.reporter.grpc_call import Reply

HEARTBEAT_S = 20.0
"""Between keep-alives when nothing else is sent: what SkyWalking's agents do."""


class SkyWalkingGrpc(Calling):
    """An OAP server or a Satellite, usually on port 11800."""

    heartbeat_s = HEARTBEAT_S
    needs = (
        "parkwarden.telemetry.reporter.grpc_call",
        "parkwarden.telemetry.reporter.skywalking_encode",
        "parkwarden.protos.skywalking_paths",
    )

    def __init__(self, target: Target, origin: Origin) -> None:
        super().__init__()
        self._target, self._origin = target, origin
        self._introduced = False

    @property
    def where(self) -> str:
        return f"SkyWalking {self._target.address}"

    def forked(self) -> None:
        super().forked()
        self._introduced = False

    def _open(self) -> Any:
        from parkwarden.telemetry.reporter.grpc_call import GrpcChannel

        return GrpcChannel(self._target)

    def _deliver(self, channel: Any, signal: Signal, items: Sequence[Item], deadline: float) -> Outcome:
        from parkwarden.protos import skywalking_paths as paths
        from parkwarden.telemetry.reporter import skywalking_encode as encode

        if not self._introduced:
            from parkwarden.telemetry.reporter.wire import BrokenError, NotReachedError

            try:
                reply = channel.call(paths.PROPERTIES, [encode.properties_of(self._origin)], deadline)
            except BrokenError as error:  # of the batch it has seen nothing yet
                raise NotReachedError(str(error)) from error
            self._introduced = _outcome(reply, 0).ending in (Ending.TAKEN, Ending.ABSENT)
        if not items:
            return _outcome(channel.call(paths.KEEP_ALIVE, [encode.ping_of(self._origin)], deadline), 0)
        path = {Signal.TRACES: paths.SEGMENTS, Signal.LOGS: paths.LOGS, Signal.METRICS: paths.METER_BATCHES}[signal]
        messages, failed = encode.messages_of(items, self._origin)
        return _outcome(channel.call(path, messages, deadline), failed)


def _outcome(reply: Reply, failed: int) -> Outcome:
    from parkwarden.telemetry.reporter import grpc_call as code

    trouble = f"gRPC status {reply.status} {reply.words}".rstrip()
    if reply.status == code.OK:
        return Outcome(Ending.TAKEN, not_encodable=failed)
    if reply.status == code.UNIMPLEMENTED:
        return Outcome(Ending.ABSENT, trouble)
    if reply.status in (code.UNAVAILABLE, code.RESOURCE_EXHAUSTED):
        return Outcome(Ending.UNREACHED, trouble)
    if reply.status in (code.UNAUTHENTICATED, code.PERMISSION_DENIED, code.INVALID_ARGUMENT):
        return Outcome(Ending.REJECTED, trouble)
    return Outcome(Ending.UNSURE, trouble)
