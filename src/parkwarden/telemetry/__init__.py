"""Traces of ourselves: spans, segments, the headers they travel in, and where they go. See docs/telemetry.md."""

from parkwarden.telemetry.segment import FinishedSpan, Ref, RefKind, Segment, SpanKind, SpanLog
from parkwarden.telemetry.sink import Ring, Sink
from parkwarden.telemetry.tracer import Snapshot, Span, Tracer

__all__ = [
    "FinishedSpan",
    "Ref",
    "RefKind",
    "Ring",
    "Segment",
    "Sink",
    "Snapshot",
    "Span",
    "SpanKind",
    "SpanLog",
    "Tracer",
]
