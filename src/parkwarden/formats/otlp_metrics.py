"""Reads what OTLP brings of metrics: an ExportMetricsServiceRequest, in protobuf or JSON.

    message = read_protobuf(body)              # or read_json; raises FormatError, LimitError
    message.points                             # data points of any kind: what the sender is charged with
    for resource in message.resources:
        resource.digest, resource.attributes() # who tells
        resource.told(left_out)                # the points that `runtime_names.OTEL` has a use for; the others are counted

Who holds the loop may stop between two resources: reading is done as it is asked for. What is unknown is left out and counted; a point without a
time, with a value of a wrong kind or a temporality that says nothing costs itself. Limits: MAX_PARTS, MAX_ATTRIBUTE, MAX_ATTRIBUTES,
MAX_DIGITS; the message's size is the receiver's. JSON is orjson's rather than protobuf's: 40 times as fast, and it ignores unknown fields as OTLP/JSON wants.

Source: opentelemetry-proto 1.11 `metrics/v1/metrics.proto`, opentelemetry-specification `docs/protocol/otlp.md` (JSON: 64-bit numbers are
strings, enums numbers, names in lowerCamelCase).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple, TypeAlias, TypeVar

import orjson
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from parkwarden.formats.runtime_names import ADDED, NO_LIMIT, OTEL, RISING, Rule
from parkwarden.model.errors import FormatError, LimitError

T = TypeVar("T")

MAX_ATTRIBUTE = 300
"""Characters of a resource attribute's value that are read."""
MAX_ATTRIBUTES = 256
"""Attributes of a resource or point that are looked at; SDKs stop at 128."""
MAX_PARTS = 100_000
"""Resources, scopes, metrics and points of a message together. A Collector's batch has 8,192 points; an empty part takes two bytes."""
MAX_DIGITS = 40
"""Characters of a number in a JSON string: 20 digits are 64 bits, and Python takes quadratic time for more."""
NO_RECORDED_VALUE = 1
"""DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK: the series ended."""

_DELTA, _CUMULATIVE = 1, 2
_COUNTED = ("histogram", "exponential_histogram", "summary")
_KINDS = ("gauge", "sum", *_COUNTED)


class Point(NamedTuple):
    """One number that is of use."""

    field: str
    """Of Reading, or runtime_names.UPTIME."""
    metric: str
    at: float
    """Unix seconds, as `start`."""
    start: float
    """Since when a sum is summed; 0.0 = not told."""
    value: float
    delta: bool
    """Since the last point of the series, not since `start`."""
    key: int
    """Of the point as it came: the same twice is the same point twice. 0 where nothing is added up."""


class Metric(NamedTuple):
    name: str
    kind: str
    """One of gauge, sum, histogram, exponential_histogram, summary; "" = none that is known."""
    points: Sequence[Any]
    temporality: int
    monotonic: bool


Raw: TypeAlias = tuple[int, int, float | None, int]
"""A point as either encoding has it: time and start in ns, its value (or its count where it has one), flags."""


class _Reader(ABC):
    """What differs between the two encodings."""

    @abstractmethod
    def attributes(self, resource: Any) -> Iterator[tuple[str, str]]: ...

    @abstractmethod
    def digest(self, resource: Any) -> bytes: ...

    @abstractmethod
    def raw(self, point: Any, counted: bool) -> Raw: ...

    @abstractmethod
    def key(self, point: Any) -> int: ...


@dataclass(frozen=True, slots=True)
class Resource:
    """Whose metrics these are."""

    _reader: _Reader
    _resource: Any
    metrics: list[Metric]

    @property
    def digest(self) -> bytes:
        """16 bytes, equal for equal attributes as they came."""
        return self._reader.digest(self._resource)

    def attributes(self) -> dict[str, str]:
        """Strings, numbers and truths as text, cut to MAX_ATTRIBUTE; lists, maps and bytes are left out."""
        return dict(self._reader.attributes(self._resource))

    def told(self, left_out: Counter[str]) -> Iterator[Point]:
        """Points that are of use; why the others are not goes to `left_out`: no-field, no-value, no-time, malformed, delta-of-level."""
        for metric in self.metrics:
            rule = OTEL.get(metric.name)
            if rule is None or rule.counted != (metric.kind in _COUNTED) or not metric.kind:
                left_out["no-field"] += len(metric.points)
                continue
            delta = metric.kind not in ("gauge", "summary") and metric.temporality == _DELTA
            if delta and (rule.field not in RISING or (metric.kind == "sum" and not metric.monotonic)):
                left_out["delta-of-level"] += len(metric.points)
            elif metric.kind not in ("gauge", "summary") and not delta and metric.temporality != _CUMULATIVE:
                left_out["malformed"] += len(metric.points)
            else:
                yield from self._points(metric, rule, delta, left_out)

    def _points(self, metric: Metric, rule: Rule, delta: bool, left_out: Counter[str]) -> Iterator[Point]:
        reader = self._reader
        keyed = delta or rule.field in ADDED
        for point in metric.points:
            at, start, number, flags = reader.raw(point, rule.counted)
            why = ""
            if flags & NO_RECORDED_VALUE:
                why = "no-value"
            elif at <= 0:
                why = "no-time"
            elif number is None or not math.isfinite(number):
                why = "malformed"
            elif rule.by and not _matches(reader.attributes(point), rule):
                why = "no-field"
            elif rule.field == "mem_limit" and number >= NO_LIMIT:
                why = "no-value"
            if why:
                left_out[why] += 1
                continue
            assert number is not None
            yield Point(
                rule.field,
                metric.name,
                at / 1e9,
                start / 1e9,
                number * rule.scale,
                delta,
                reader.key(point) if keyed else 0,
            )


@dataclass(frozen=True, slots=True)
class Message:
    """A request, read."""

    resources: list[Resource]
    points: int


class _Parts:
    """How many more a message may have."""

    def __init__(self) -> None:
        self._left = MAX_PARTS

    def of(self, found: Sequence[T]) -> Sequence[T]:
        """`found`, where it is within the limit. Raises LimitError."""
        self._left -= len(found)
        if self._left < 0:
            raise LimitError("too-many-parts", f"A message of more than {MAX_PARTS:,} resources, metrics and points.")
        return found


def read_protobuf(body: bytes) -> Message:
    """Raises FormatError where it is no ExportMetricsServiceRequest, LimitError."""
    try:
        request = ExportMetricsServiceRequest.FromString(body)
    except DecodeError:
        raise FormatError("malformed", "This is no ExportMetricsServiceRequest.") from None
    reader = _Protobuf()
    resources = []
    parts = _Parts()
    for one in parts.of(request.resource_metrics):
        scopes = parts.of(one.scope_metrics)
        metrics = [_metric(metric, parts) for scope in scopes for metric in parts.of(scope.metrics)]
        resources.append(Resource(reader, one.resource, metrics))
    return _message(resources)


def read_json(body: bytes) -> Message:
    """Raises FormatError where it is no ExportMetricsServiceRequest, LimitError."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise FormatError("malformed", "This is no JSON.") from None
    if not isinstance(document, dict):
        raise FormatError("malformed", "This is no ExportMetricsServiceRequest.")
    reader = _Json()
    resources = []
    parts = _Parts()
    for one in parts.of(_dicts(document, "resourceMetrics")):
        scopes = parts.of(_dicts(one, "scopeMetrics"))
        metrics = [_json_metric(m, parts) for scope in scopes for m in parts.of(_dicts(scope, "metrics"))]
        found = one.get("resource")
        resources.append(Resource(reader, found if isinstance(found, dict) else {}, metrics))
    return _message(resources)


def _message(resources: list[Resource]) -> Message:
    return Message(resources, sum(len(metric.points) for one in resources for metric in one.metrics))


def _matches(attributes: Iterable[tuple[str, str]], rule: Rule) -> bool:
    told = [value for name, value in attributes if name in rule.by]
    return not told or told[0] in rule.of  # a sender that does not tell states apart tells their sum


class _Protobuf(_Reader):
    def attributes(self, resource: Any) -> Iterator[tuple[str, str]]:
        for one in resource.attributes[:MAX_ATTRIBUTES]:
            kind = one.value.WhichOneof("value")
            if kind == "string_value":
                yield one.key, one.value.string_value[:MAX_ATTRIBUTE]
            elif kind in ("int_value", "double_value", "bool_value"):
                yield one.key, _text(getattr(one.value, kind))

    def digest(self, resource: Any) -> bytes:
        return blake2b(resource.SerializeToString(), digest_size=16).digest()

    def raw(self, point: Any, counted: bool) -> Raw:
        if counted:
            number: float | None = point.count
        else:
            kind = point.WhichOneof("value")
            number = None if kind is None else float(point.as_int if kind == "as_int" else point.as_double)
        return point.time_unix_nano, point.start_time_unix_nano, number, point.flags

    def key(self, point: Any) -> int:
        return hash(point.SerializeToString())


def _metric(metric: Any, parts: _Parts) -> Metric:
    kind = metric.WhichOneof("data") or ""
    if not kind:
        return Metric(metric.name, "", (), 0, False)
    data = getattr(metric, kind)
    temporality = 0 if kind in ("gauge", "summary") else data.aggregation_temporality
    return Metric(metric.name, kind, parts.of(data.data_points), temporality, kind != "sum" or data.is_monotonic)


class _Json(_Reader):
    def attributes(self, resource: Any) -> Iterator[tuple[str, str]]:
        for one in _dicts(resource, "attributes")[:MAX_ATTRIBUTES]:
            name, value = one.get("key"), one.get("value")
            if not isinstance(name, str) or not isinstance(value, dict):
                continue
            for kind in ("stringValue", "intValue", "doubleValue", "boolValue"):
                if isinstance(value.get(kind), str | int | float):
                    yield name, _text(value[kind])
                    break

    def digest(self, resource: Any) -> bytes:
        return blake2b(orjson.dumps(resource), digest_size=16).digest()

    def raw(self, point: Any, counted: bool) -> Raw:
        if counted:
            number = _number(point.get("count"))
        else:
            number = _number(point.get("asInt", point.get("asDouble")))
        whole = [_number(point.get(name, 0)) for name in ("timeUnixNano", "startTimeUnixNano", "flags")]
        at, start, flags = (int(n) if n is not None and 0 <= n < 2**64 else 0 for n in whole)
        return at, start, number, flags

    def key(self, point: Any) -> int:
        return hash(orjson.dumps(point))


def _json_metric(metric: Mapping[str, Any], parts: _Parts) -> Metric:
    name = metric.get("name")
    for kind in _KINDS:
        data = metric.get("exponentialHistogram" if kind == "exponential_histogram" else kind)
        if isinstance(data, dict) and isinstance(name, str):
            temporality = _number(data.get("aggregationTemporality"))
            monotonic = kind != "sum" or data.get("isMonotonic") is True
            return Metric(name, kind, parts.of(_dicts(data, "dataPoints")), int(temporality or 0), monotonic)
    return Metric("", "", (), 0, False)


def _number(value: Any) -> float | None:
    """A JSON number, or the string OTLP/JSON writes for one; None where it is neither."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        if len(value) > MAX_DIGITS:
            return None
        try:
            return float(value)
        except ValueError:
            return None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return float(value) if isinstance(value, int) else None


def _dicts(of: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = of.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _text(value: str | float) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)[:MAX_ATTRIBUTE]
