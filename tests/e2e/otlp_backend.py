"""An OTLP back end over gRPC that writes down what it is told: the peer of what the watch reports."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS: dict[str, Any] = {
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "traces": ExportTraceServiceRequest,
}
PATHS = {
    f"/opentelemetry.proto.collector.{one}.v1.{service}Service/Export": signal
    for one, service, signal in (
        ("logs", "Logs", "logs"),
        ("metrics", "Metrics", "metrics"),
        ("trace", "Trace", "traces"),
    )
}


class OtlpBackend:
    """Context manager; `took[signal]` are the requests as they came."""

    def __init__(self) -> None:
        self.took: dict[str, list[Any]] = {signal: [] for signal in REQUESTS}
        self._server = grpc.server(ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers((_Handler(self.took),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    def __enter__(self) -> OtlpBackend:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(0).wait()

    def logs(self, event: str) -> list[Any]:
        """Records of an event, with their attributes as a dict."""
        records = [
            record
            for request in self.took["logs"]
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]
        return [(r, {a.key: a.value.string_value for a in r.attributes}) for r in records if r.event_name == event]

    def metric_names(self) -> set[str]:
        return {
            metric.name
            for request in self.took["metrics"]
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def span_names(self) -> set[str]:
        return {
            span.name
            for request in self.took["traces"]
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, took: dict[str, list[Any]]) -> None:
        self._took = took

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        signal = PATHS.get(details.method)
        if signal is None:
            return None

        def take(body: bytes, _context: object) -> bytes:
            self._took[signal].append(REQUESTS[signal].FromString(body))
            return b""

        return grpc.unary_unary_rpc_method_handler(take)
