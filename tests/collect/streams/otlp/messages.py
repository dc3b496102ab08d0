"""OTLP messages as SDKs and Collectors send them, for tests and benches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics

CUMULATIVE, DELTA = 2, 1
SHOP: dict[str, str | int] = {
    "service.name": "shop",
    "service.version": "1.4.0",
    "deployment.environment.name": "prod",
    "service.instance.id": "shop-1",
    "telemetry.sdk.language": "go",
}


class Request:
    """A request that is put together piece by piece; all points have the time `at`, sums began at `start`."""

    def __init__(self, at: float, start: float = 0.0) -> None:
        self.message = ExportMetricsServiceRequest()
        self.at_ns = round(at * 1e9)
        self.start_ns = round(start * 1e9)
        self._of: ResourceMetrics

    def of(self, attributes: Mapping[str, str | int] = SHOP, **more: str | int) -> Request:
        self._of = self.message.resource_metrics.add()
        put(self._of.resource.attributes, {**attributes, **{k.replace("__", "."): v for k, v in more.items()}})
        self._of.scope_metrics.add().scope.name = "go.opentelemetry.io/contrib/instrumentation/runtime"
        return self

    def gauge(self, name: str, value: float, **attributes: str) -> Request:
        metric = self._of.scope_metrics[0].metrics.add(name=name)
        self._number(metric.gauge.data_points.add(time_unix_nano=self.at_ns), value, attributes)
        return self

    def sum(
        self, name: str, *values: tuple[float, Mapping[str, str]], monotonic: bool = True, temporality: int = CUMULATIVE
    ) -> Request:
        metric = self._of.scope_metrics[0].metrics.add(name=name)
        metric.sum.aggregation_temporality = temporality  # type: ignore[assignment]
        metric.sum.is_monotonic = monotonic
        for value, attributes in values:
            point = metric.sum.data_points.add(time_unix_nano=self.at_ns, start_time_unix_nano=self.start_ns)
            self._number(point, value, attributes)
        return self

    def histogram(self, name: str, *counts: int, temporality: int = CUMULATIVE) -> Request:
        metric = self._of.scope_metrics[0].metrics.add(name=name)
        metric.histogram.aggregation_temporality = temporality  # type: ignore[assignment]
        for n, count in enumerate(counts):
            point = metric.histogram.data_points.add(
                time_unix_nano=self.at_ns, start_time_unix_nano=self.start_ns, count=count
            )
            put(point.attributes, {"http.route": f"/{n}"})
        return self

    def body(self) -> bytes:
        return self.message.SerializeToString()

    def json(self) -> bytes:
        return orjson.dumps(MessageToDict(self.message, use_integers_for_enums=True))

    def _number(self, point: Any, value: float, attributes: Mapping[str, str]) -> None:
        if isinstance(value, int):
            point.as_int = value
        else:
            point.as_double = value
        put(point.attributes, attributes)


def put(into: Any, attributes: Mapping[str, str | int]) -> None:
    for name, value in attributes.items():
        one = KeyValue(key=name)
        if isinstance(value, int):
            one.value.int_value = value
        else:
            one.value.string_value = value
        into.append(one)


def runtime(
    at: float, start: float, goroutines: int, attributes: Mapping[str, str | int] = SHOP, n: int = 1
) -> Request:
    """What contrib/instrumentation/runtime 0.72 sends of one process, `n` times another amount of work."""
    return runtime_into(Request(at, start), goroutines, attributes, n)


def runtime_into(request: Request, goroutines: int, attributes: Mapping[str, str | int] = SHOP, n: int = 1) -> Request:
    levels = {
        "go.memory.gc.goal": 4 << 20,
        "go.goroutine.count": goroutines,
        "go.processor.limit": 8,
        "go.config.gogc": 100,
    }
    request.of(attributes)
    request.sum(
        "go.memory.used",
        (1 << 20, {"go.memory.type": "stack"}),
        (7 << 20, {"go.memory.type": "other"}),
        monotonic=False,
    )
    request.sum("go.memory.allocated", (n << 20, {})).sum("go.memory.allocations", (n * 1000, {}))
    for name, value in levels.items():
        request.sum(name, (value, {}), monotonic=False)
    return request
