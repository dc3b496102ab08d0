"""What an instance told of its requests lately: the newest segments, warnings and meters, within a bound, as a text for people.

A text rather than JSON: it is read beside an incident, and redacted as any text is. Segments are kept as they came and read when somebody
wants to see them; of a thousand only those of the suspected ever are.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from sys import getsizeof
from typing import TYPE_CHECKING

from parkwarden.collect.streams.skywalking.meters import LATENCIES, Histogram, quantile
from parkwarden.model.safe import inert

if TYPE_CHECKING:
    from parkwarden.protos.skywalking_pb2 import LogData, SegmentObject, SpanObject

FILE = "segments.txt"
MAX_BYTES = 64 << 10
"""Of segments kept per instance: two hundred of a small request's."""
MAX_BYTES_OF_ALL = 64 << 20
"""Of segments and log records of all instances together; who has been silent longest gives way first."""
MAX_SEGMENT = 16 << 10
"""A larger segment (hundreds of spans) is counted, not kept."""
MAX_LOGS = 50
"""Log records kept per instance: warnings and errors, and what belongs to no level."""
MAX_LOG = 400
"""Characters of one."""
MAX_OPERATIONS = 20
"""Operations summed up in one text."""
MAX_SPANS = 2_000
"""Spans written in one text."""
MAX_LEVELS = 12
"""Levels told apart; others are counted together."""
SHARES = (0.5, 0.99)
QUIET = frozenset(("DEBUG", "INFO", "TRACE"))
"""Levels of which only the number is kept."""

_KINDS = ("entry", "exit", "local")


class Lately:
    """See the module; of one instance."""

    __slots__ = ("_before", "_bytes", "_log_bytes", "_logs", "_meters", "_segments", "levels", "segments", "spans")

    def __init__(self) -> None:
        self._segments: deque[bytes] = deque()
        self._bytes = 0
        self._logs: deque[tuple[int, str, str, str]] = deque()
        self._log_bytes = 0
        self._meters: dict[str, Histogram] = {}
        self._before: dict[str, Histogram] = {}
        self.levels: Counter[str] = Counter()
        self.segments = 0
        self.spans = 0

    def segment(self, body: bytes, spans: int) -> int:
        """Keep one; by how many bytes this grew."""
        self.segments += 1
        self.spans += spans
        before = self._bytes
        if len(body) <= MAX_SEGMENT:
            self._segments.append(body)
            self._bytes += len(body)
            while self._bytes > MAX_BYTES:
                self._bytes -= len(self._segments.popleft())
        return self._bytes - before

    def forget(self) -> int:
        """Others need the room; how many bytes it gave."""
        freed, self._bytes, self._log_bytes = self._bytes + self._log_bytes, 0, 0
        self._segments.clear()
        self._logs.clear()
        return freed

    def log(self, record: LogData, at_ms: int) -> int:
        """Count a log record; keep it where it may say what is wrong. By how many bytes this grew."""
        level = next((tag.value for tag in record.tags.data if tag.key == "LEVEL"), "")[:16].upper()
        if level not in self.levels and len(self.levels) >= MAX_LEVELS:
            level = "OTHER"
        self.levels[level] += 1
        if level in QUIET:
            return 0
        body = record.body
        text = body.text.text or body.json.json or body.yaml.yaml
        trace = record.traceContext.traceId
        before = self._log_bytes
        self._logs.append((at_ms, level, text[:MAX_LOG], "" if trace == "N/A" else trace[:MAX_LOG]))
        self._log_bytes += _size(self._logs[-1])
        if len(self._logs) > MAX_LOGS:
            self._log_bytes -= _size(self._logs.popleft())
        return self._log_bytes - before

    def meters(self, histograms: dict[str, Histogram]) -> None:
        """The runtime's histograms of one time."""
        if histograms:
            self._before, self._meters = self._meters, histograms

    def __bool__(self) -> bool:
        return bool(self.segments or self.levels or self._meters)

    def text(self, name: str, at: float) -> str:
        """What was asked of it, latencies, warnings, and the segments, the newest first."""
        from parkwarden.protos.skywalking_pb2 import SegmentObject

        found = [SegmentObject.FromString(body) for body in reversed(self._segments)]
        told = f"{self.segments:,} segments with {self.spans:,} spans since we listen, the newest {len(found):,} below"
        lines = [f"# {inert(name)} until {_time(int(at * 1000))}: {told}"]
        lines += [*_operations(found), *self._latencies(), *self._log_lines(), ""]
        left = MAX_SPANS
        for segment in found:
            if left <= 0:
                lines.append("...")
                break
            lines += _segment_lines(segment, left)
            left -= len(segment.spans)
        return "\n".join(lines) + "\n"

    def _latencies(self) -> Iterator[str]:
        for name, what in LATENCIES.items():
            if (now := self._meters.get(name)) is None:
                continue
            values = [quantile(now, self._before.get(name), share) for share in SHARES]
            told = [
                f"p{share * 100:g} {value / 1e6:.3g} ms"
                for share, value in zip(SHARES, values, strict=True)
                if value is not None
            ]
            if told:
                yield f"# {what}: {', '.join(told)} (at least; between the last two reports)"

    def _log_lines(self) -> Iterator[str]:
        if self.levels:
            counts = ", ".join(f"{inert(level) or 'no level'} {n:,}" for level, n in self.levels.most_common())
            yield f"# log records: {counts}"
        for at_ms, level, text, trace in self._logs:
            of = f" trace {inert(trace)}" if trace else ""
            yield f"{_time(at_ms)} {inert(level) or '-'} {inert(text, MAX_LOG)}{of}"


def _size(record: tuple[int, str, str, str]) -> int:
    """Bytes of a record kept, about."""
    return sum(getsizeof(part) for part in record)


def _operations(segments: Sequence[SegmentObject]) -> Iterator[str]:
    """What others asked of it, the most frequent first."""
    took: dict[str, list[int]] = {}
    errors: Counter[str] = Counter()
    for segment in segments:
        for span in segment.spans:
            if span.spanType == 0:
                took.setdefault(span.operationName, []).append(span.endTime - span.startTime)
                errors[span.operationName] += span.isError
    most = sorted(took, key=lambda name: (-len(took[name]), name))
    for name in most[:MAX_OPERATIONS]:
        times = sorted(took[name])
        wrong = f", {errors[name]:,} errors" if errors[name] else ""
        yield f"# {len(times):,} x {inert(name)}: median {times[len(times) // 2]:,} ms, longest {times[-1]:,} ms{wrong}"
    if len(most) > MAX_OPERATIONS:
        yield f"# and {len(most) - MAX_OPERATIONS:,} operations more"


def _segment_lines(segment: SegmentObject, most: int) -> Iterator[str]:
    """A segment and its spans in the order of their begins: the root comes last on the wire."""
    spans = sorted(segment.spans, key=lambda span: (span.startTime, span.spanId))
    if not spans:
        return
    cut = " (cut by its agent)" if segment.isSizeLimited else ""
    yield f"{_time(spans[0].startTime)} trace {inert(segment.traceId)} segment {inert(segment.traceSegmentId)}{cut}"
    depths: dict[int, int] = {}
    for span in spans[:most]:
        depth = depths[span.spanId] = min(depths.get(span.parentSpanId, 0) + 1, 12)
        yield "  " * depth + _span_line(span)


def _span_line(span: SpanObject) -> str:
    kind = _KINDS[span.spanType] if 0 <= span.spanType < len(_KINDS) else "span"
    peer = f" to {inert(span.peer)}" if span.peer else ""
    status = next(
        (f" {inert(tag.value, 20)}" for tag in span.tags if tag.key in ("status_code", "http.status_code")), ""
    )
    by = next((f" by {inert(ref.parentService)}" for ref in span.refs if ref.parentService), "")
    error = " ERROR" if span.isError else ""
    return f"{span.endTime - span.startTime:>6} ms {kind} {inert(span.operationName)}{peer}{by}{status}{error}"


def _time(at_ms: int) -> str:
    """Milliseconds since 1970 as UTC; as they are where they are no time."""
    if not 0 <= at_ms < 253_402_300_800_000:
        return str(at_ms)
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
