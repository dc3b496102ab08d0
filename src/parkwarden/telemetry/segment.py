"""What a tracer tells: finished spans in segments, and the refs that join segments into one trace.

The words are SkyWalking's. A *segment* is what one process did of a trace in one go, a *span* one step of it, a *ref* what
caused a segment: a request (cross process) or work handed to another thread or task (cross thread). All here is immutable:
who encodes a segment needs no lock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

_W3C = re.compile(r"(?!0{32})[0-9a-f]{32}", re.ASCII)


class SpanKind(StrEnum):
    ENTRY = "entry"
    EXIT = "exit"
    LOCAL = "local"


class RefKind(StrEnum):
    CROSS_PROCESS = "cross_process"
    CROSS_THREAD = "cross_thread"


@dataclass(frozen=True, slots=True)
class Ref:
    """The span that caused a segment. `service`, `instance`, `endpoint` and `peer` are "" where the header had no place for them.

    Of a W3C parent `segment_id` is the 16 hexadecimal digits of its span, and `span_id` 0.
    """

    kind: RefKind
    trace_id: str
    segment_id: str
    span_id: int
    service: str = ""
    instance: str = ""
    endpoint: str = ""
    peer: str = ""


@dataclass(frozen=True, slots=True)
class SpanLog:
    """Something that happened within a span, at Unix seconds."""

    at: float
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class FinishedSpan:
    """One step. `parent_id` -1 is the root of its segment; times are Unix seconds, `end >= start`.

    `unfinished`: it had not ended when its segment was cut for its age; `end` is then the time of the cut.
    """

    span_id: int
    parent_id: int
    kind: SpanKind
    name: str
    peer: str
    start: float
    end: float
    error: bool
    tags: tuple[tuple[str, str], ...]
    logs: tuple[SpanLog, ...]
    refs: tuple[Ref, ...]
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """Spans in the order of their ends. `size_limited`: some were left out (MAX_SPANS, MAX_DEPTH) or cut (MAX_AGE_S).

    `w3c_id`: the trace's id in W3C headers, where a caller's said another one than `trace_id`. `skip_analysis`: a caller asked
    for it to be kept and not analysed.
    """

    trace_id: str
    segment_id: str
    service: str
    instance: str
    spans: tuple[FinishedSpan, ...]
    size_limited: bool = False
    w3c_id: str = ""
    skip_analysis: bool = False


def w3c_trace_id(trace_id: str) -> str:
    """A trace's id as 32 hexadecimal digits, as W3C and OTLP want it: itself where it is that, else its hash."""
    if _W3C.fullmatch(trace_id):
        return trace_id
    return blake2b(trace_id.encode("utf-8", "replace"), digest_size=16).hexdigest()


def w3c_span_id(segment_id: str, span_id: int) -> str:
    """A span's id as 16 hexadecimal digits: the same in headers sent out and in what a reporter tells of it."""
    return blake2b(f"{segment_id}.{span_id}".encode("utf-8", "replace"), digest_size=8).hexdigest()
