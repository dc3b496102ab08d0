"""Counting what arrives at a back end: spans and log records of OTLP, segments and logs of SkyWalking, and when the last one came."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

SPANS, SEGMENTS, LOGS, METRICS = "spans", "segments", "logs", "metrics"
_SKYWALKING = {
    "/skywalking.v3.TraceSegmentReportService/collect": SEGMENTS,
    "/skywalking.v3.LogReportService/collect": LOGS,
    "/skywalking.v3.MeterReportService/collectBatch": METRICS,
}
_OTLP = {"TraceService/Export": SPANS, "/v1/traces": SPANS, "LogsService/Export": LOGS, "/v1/logs": LOGS}


class Tally:
    """Call `take(path, message)` from any thread."""

    def __init__(self) -> None:
        self.items: Counter[str] = Counter()
        self.unread = 0
        """Messages that were none."""
        self.last_at: float | None = None
        """time.monotonic() of the last message with items."""
        self._lock = threading.Lock()
        self._first_since: tuple[float, float | None] = (0.0, None)

    def take(self, path: str, message: bytes) -> None:
        signal, count = _count(path, message)
        with self._lock:
            if signal is None:
                self.unread += count < 0
                return
            self.items[signal] += count
            self.last_at = now = time.monotonic()
            since, first = self._first_since
            if first is None and now >= since and signal in (SPANS, SEGMENTS):
                self._first_since = (since, now)

    def mark(self) -> None:
        """From now on wait for the first trace anew."""
        with self._lock:
            self._first_since = (time.monotonic(), None)

    @property
    def first_after_s(self) -> float | None:
        """Seconds from `mark` to the first trace that arrived after it."""
        since, first = self._first_since
        return None if first is None else first - since


def _count(path: str, message: bytes) -> tuple[str | None, int]:
    """The signal and how many items of it; (None, -1) for a message that is none."""
    if path in _SKYWALKING:
        return _SKYWALKING[path], 1  # a message of the stream is an item
    signal = next((signal for end, signal in _OTLP.items() if path.endswith(end)), None)
    if signal is None:
        return None, 0
    try:
        return signal, _items(signal, message)
    except Exception:  # protobuf's errors differ by implementation
        return None, -1


def _items(signal: str, message: bytes) -> int:
    request: Any
    if signal == SPANS:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        request = ExportTraceServiceRequest.FromString(message)
        return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    request = ExportLogsServiceRequest.FromString(message)
    return sum(len(scope.log_records) for resource in request.resource_logs for scope in resource.scope_logs)
