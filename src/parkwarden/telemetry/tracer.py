"""An in-process tracer that never harms its host: entry, exit and local spans, over tasks and threads.

    tracer = Tracer(Ring(), service="shop", instance="shop-1", rate=0.1)
    with tracer.entry("GET /cart", request.headers) as span:
        span.tag("user.kind", "guest")
        with tracer.exit("SELECT cart", "db:5432", headers):  # headers: a dict that is sent along
            ...

Tasks (and `asyncio.to_thread`) carry the context by themselves; a thread is given it: `snapshot = tracer.capture()` here,
`with tracer.continue_(snapshot):` there, as late and as often as wanted.

How it stays right. A context holds an immutable stack of the spans begun in it or inherited; the *decision* (sampled or not)
hangs on each of them, so it goes where the context goes, and no counter has to be kept. A span that is not recorded is the same
object with nothing behind it: nesting, order of ends, ends twice and ends elsewhere follow the same rules at every rate.
`end` takes a span from the stack of the context it is called in, and from no other: a task that outlives its request still has it
on its stack, which keeps the decision and is the ref (cross thread) of the segment the task begins.

- A segment takes spans while its root is open, and is handed to the sink when the last of them ended, or MAX_AGE_S after its begin.
- An entry within an entry, an exit within an exit (of one task) is the same span: each owner ends it once, the last end counts.
- An entry whose context only has ended or over-aged spans begins anew, with its own decision; anything else keeps the one it has.
- A caller's valid decision is taken over (docs/telemetry.md says what that means where callers are not trusted).

Nothing here raises into the host, logs, waits, or calls the host's code under its lock. What is given up is in `counts`.
Cost: bench/tracer.py, docs/telemetry.md.
"""

from __future__ import annotations

import os
import random as _random
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import islice
from threading import RLock, get_ident, local
from types import TracebackType
from typing import Final

from parkwarden.telemetry.carrier import MAX_ENDPOINT, Carrier, extract, inject, inject_unsampled
from parkwarden.telemetry.forks import heed_forks
from parkwarden.telemetry.segment import FinishedSpan, Ref, RefKind, Segment, SpanKind, SpanLog
from parkwarden.telemetry.sink import Sink

MAX_SPANS = 300
"""Spans of a segment (SkyWalking Java's limit): a loop over a million rows is told by its first 300."""
MAX_AGE_S = 300.0
"""An open segment older than this is cut and handed over: a span that never ends must keep nothing for ever. Beyond what people wait for."""
MAX_OPEN = 1_000
"""Open segments. What begins beyond is not sampled: with MAX_SPANS this bounds the memory that never-ended spans can hold."""
MAX_DEPTH = 128
"""Spans on one context's stack: who never ends what it begins gets spans that are not recorded."""
MAX_TAGS, MAX_LOGS, MAX_FIELDS = 32, 16, 8
"""Of a span (and fields of one of its logs)."""
MAX_KEY, MAX_VALUE = 64, 512
"""Characters of a tag's key and value, or a log field's; longer ones are cut."""
SWEPT_AT_ONCE = 4
"""Over-aged segments cut when another begins: that request should not pay for all. `sweep` cuts all."""


_ENTRY, _EXIT, _LOCAL = (
    SpanKind.ENTRY,
    SpanKind.EXIT,
    SpanKind.LOCAL,
)  # looked up in an enum they cost a tenth of a span


def random_id() -> str:
    """32 hexadecimal digits, for traces and segments: from the system, so two forks never draw the same."""
    return os.urandom(16).hex()


@dataclass(frozen=True, slots=True)
class Position:
    """A span as a ref names it."""

    segment_id: str
    span_id: int
    endpoint: str


class _Trace:
    """The decision, and what goes along with it. An unsampled one has an id only once a header needs it."""

    __slots__ = ("correlation", "sampled", "skip", "trace_id", "tracestate", "w3c_id")

    def __init__(
        self,
        sampled: bool,
        trace_id: str = "",
        w3c_id: str = "",
        tracestate: str = "",
        correlation: str = "",
        skip: bool = False,
    ) -> None:
        self.sampled = sampled
        self.trace_id = trace_id
        self.w3c_id = w3c_id
        self.tracestate = tracestate
        self.correlation = correlation
        self.skip = skip


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A context, to be continued in a thread, or a task that did not inherit it. Holds no spans; of no context it continues none."""

    trace: _Trace | None = None
    at: Position | None = None


class _Open:
    """A segment while it takes spans."""

    __slots__ = ("began", "begun", "closed", "endpoint", "limited", "open", "segment_id", "spans", "taking", "trace")

    def __init__(self, trace: _Trace, segment_id: str, endpoint: str, began: float) -> None:
        self.trace = trace
        self.segment_id = segment_id
        self.endpoint = endpoint
        """Its root's name."""
        self.taking = True
        """Its root is open."""
        self.began = began
        self.begun = 0
        self.open: dict[_Record, None] = {}
        self.spans: list[FinishedSpan] = []
        self.limited = False
        self.closed = False


class _Record:
    """A recorded span while it is open. Written under the tracer's lock only."""

    __slots__ = (
        "error", "frozen", "kind", "logs", "name", "owners", "parent_id", "peer", "refs", "segment", "span_id", "start", "tags", "where",
    )  # fmt: skip

    def __init__(
        self, segment: _Open, parent_id: int, kind: SpanKind, name: str, peer: str, refs: tuple[Ref, ...], start: float
    ) -> None:
        self.segment = segment
        self.span_id = segment.begun
        self.parent_id = parent_id
        self.kind = kind
        self.name = name
        self.peer = peer
        self.refs = refs
        self.start = start
        self.where = _here() if kind is not _LOCAL else None
        self.owners = 1
        self.error = False
        self.frozen = False
        self.tags: list[tuple[str, str]] = []
        self.logs: list[SpanLog] = []

    def position(self) -> Position:
        return Position(self.segment.segment_id, self.span_id, self.segment.endpoint)

    def finished(self, end: float, unfinished: bool) -> FinishedSpan:
        return FinishedSpan(
            self.span_id, self.parent_id, self.kind, self.name, self.peer, self.start, max(self.start, end),
            self.error, tuple(self.tags), tuple(self.logs), self.refs, unfinished,
        )  # fmt: skip


class Span:
    """What a caller holds: an owner of a recorded span, or of nothing. All methods are harmless at any time, from any thread."""

    __slots__ = ("_at", "_began", "_ended", "_record", "_trace", "_tracer")

    def __init__(
        self, tracer: Tracer | None, trace: _Trace, at: _Record | Position | None, record: _Record | None, began: float
    ) -> None:
        self._tracer = tracer
        self._trace = trace
        self._at = at
        """Where its children are: itself, the nearest recorded above it, or a snapshot's; None: it is not sampled."""
        self._record = record
        self._began = began
        self._ended = False

    @property
    def recorded(self) -> bool:
        """Whether what is told to it will be told on: spares a caller the making of costly tags."""
        return self._record is not None and not self._ended

    def tag(self, key: str, value: object) -> None:
        if self._record is not None and self._tracer is not None:
            self._tracer._tag(self, self._record, key, value)

    def log(self, event: str, /, **fields: object) -> None:
        """Something happened within it, now."""
        if self._record is not None and self._tracer is not None:
            self._tracer._log(self, self._record, {"event": event, **fields})

    def fail(self, error: BaseException | None = None) -> None:
        """It went wrong. Of an error its type is told: messages may hold secrets."""
        if self._record is not None and self._tracer is not None:
            self._tracer._fail(self, self._record, error)

    def end(self) -> None:
        """Once is enough; more does nothing."""
        if self._tracer is not None:
            self._tracer._end(self)

    def __enter__(self) -> Span:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and isinstance(error, Exception):  # to be cancelled, or told to exit, is no failure
            self.fail(error)
        if self._tracer is not None:
            self._tracer._end(self)


NOTHING: Final = Span(None, _Trace(False), None, None, 0.0)
"""Given where there is no place left on the stack, or nothing to continue."""


class Tracer:
    """One for a process, kept as long as it. `rate` in 0..1 may be set at any time; `counts` tells what was begun, finished and lost.

    `clock` gives Unix seconds (best one that is not set back), `ids` text of 1 to 128 printable characters, never twice the same,
    `random` numbers in [0, 1). Always: `segments_begun = segments_finished + segments_forked + open`.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        service: str,
        instance: str,
        rate: float = 1.0,
        clock: Callable[[], float] = time.time,
        ids: Callable[[], str] = random_id,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self.rate = rate
        self.counts: Counter[str] = Counter()
        self._sink = sink
        self._service, self._instance = service, instance
        self._clock, self._ids, self._random = clock, ids, random
        self._stack: ContextVar[tuple[Span, ...]] = ContextVar("parkwarden_spans", default=())
        self._open: dict[_Open, None] = {}  # oldest first
        self._lock = RLock()  # a garbage collection or signal handler within may end a span, too
        self._handing = local()
        heed_forks(self)

    # beginning

    def entry(self, name: str, headers: Mapping[str, str] | None = None) -> Span:
        """A request came in. Of entries within entries the first one's headers count, and the last one's name."""
        return self._start(_ENTRY, name, "", headers)

    def exit(self, name: str, peer: str, headers: MutableMapping[str, str] | None = None) -> Span:
        """A call to `peer` goes out; into `headers` goes what the called needs to go on with the trace."""
        return self._start(_EXIT, name, peer, None, headers)

    def local(self, name: str) -> Span:
        """A step of our own."""
        return self._start(_LOCAL, name)

    def capture(self) -> Snapshot:
        """This context, for `continue_`. Costs nothing to keep: its spans are not held."""
        stack = self._stack.get()
        if not stack:
            return Snapshot()
        at = stack[-1]._at
        return Snapshot(stack[-1]._trace, at.position() if isinstance(at, _Record) else at)

    def continue_(self, snapshot: Snapshot) -> Span:
        """Until the end of what is returned (`with`), spans here go on with the snapshot's trace, and its decision.

        Each outermost span begins a segment with a cross thread ref. What is returned is itself no recorded span.
        """
        stack = self._stack.get()
        if not isinstance(snapshot, Snapshot) or snapshot.trace is None or len(stack) >= MAX_DEPTH:
            return NOTHING
        try:
            span = Span(self, snapshot.trace, snapshot.at, None, self._clock())
        except Exception:
            self._lose("errors")
            span = Span(self, snapshot.trace, snapshot.at, None, 0.0)
        self._stack.set((*stack, span))
        return span

    def _start(
        self,
        kind: SpanKind,
        name: str,
        peer: str = "",
        incoming: Mapping[str, str] | None = None,
        outgoing: MutableMapping[str, str] | None = None,
    ) -> Span:
        stack = self._stack.get()
        above = stack[-1] if stack else NOTHING
        try:
            if not stack or (kind is _ENTRY and self._over(stack)):
                stack, above = (), NOTHING
                span = self._anew(kind, name, peer, incoming)
            elif len(stack) >= MAX_DEPTH:
                self._too_deep(above)
                span = NOTHING
            elif not above._trace.sampled:
                span = Span(self, above._trace, None, None, above._began)
            else:
                span = self._under(above, kind, name, peer, incoming)
            if outgoing is not None:
                self._inject(above if span is NOTHING else span, peer, outgoing)
        except Exception:  # a clock, an id, a random number failed us: the host goes on, its context keeps its decision
            self._lose("errors")
            trace = above._trace if stack else _Trace(False)
            span = Span(self, trace, above._at, None, above._began) if len(stack) < MAX_DEPTH else NOTHING
        if span is not NOTHING:
            self._stack.set((*stack, span))
        return span

    def _over(self, stack: tuple[Span, ...]) -> bool:
        """Whether who began these spans is done with them, or has forgotten them."""
        return all(span._ended for span in stack) or self._clock() - stack[0]._began >= MAX_AGE_S

    def _anew(self, kind: SpanKind, name: str, peer: str, incoming: Mapping[str, str] | None) -> Span:
        """The first span of a context: here it is decided."""
        carrier = self._extract(incoming) if incoming is not None else None
        rate, began = self.rate, self._clock()
        if carrier is None:
            trace = _Trace(rate > 0 and (rate >= 1 or self._random() < rate))
        else:
            trace = _Trace(
                carrier.sampled,
                carrier.ref.trace_id,
                carrier.w3c_id,
                carrier.tracestate,
                carrier.correlation,
                carrier.skip,
            )
        if trace.sampled:
            trace.trace_id = trace.trace_id or self._ids()
            name, peer = _text(name, MAX_ENDPOINT), _text(peer, MAX_ENDPOINT)
            record = self._begin(trace, kind, name, peer, (carrier.ref,) if carrier else ())
            if record is not None:
                return Span(self, trace, record, record, began)
            trace.sampled = False
        return Span(self, trace, None, None, began)

    def _under(self, above: Span, kind: SpanKind, name: str, peer: str, incoming: Mapping[str, str] | None) -> Span:
        """A span of a sampled trace: reused, the next of its segment, or the first of a new one."""
        at, trace = above._at, above._trace
        name, peer = _text(name, MAX_ENDPOINT), _text(peer, MAX_ENDPOINT)
        if kind is not _LOCAL and self._reused(above, kind, name):
            return Span(self, trace, at, above._record, above._began)
        carrier = self._extract(incoming) if incoming is not None else None
        refs = (carrier.ref,) if carrier else ()
        record, taken = None, False
        if isinstance(at, _Record):
            now = self._clock()
            with self._lock:
                if taken := at.segment.taking:
                    record = self._next(at.segment, at.span_id, kind, name, peer, refs, now)
        if not taken:
            where = at.position() if isinstance(at, _Record) else at
            record = self._begin(trace, kind, name, peer, (self._ref(RefKind.CROSS_THREAD, trace, where), *refs))
        return Span(self, trace, record or at, record, above._began)

    def _reused(self, above: Span, kind: SpanKind, name: str) -> bool:
        record = above._record
        if record is None or record.kind is not kind or record.where != _here():
            return False
        with self._lock:
            if record.frozen or above._ended:
                return False
            record.owners += 1
            if kind is _ENTRY:
                record.name = name
                if record.parent_id < 0:
                    record.segment.endpoint = name
            return True

    def _begin(self, trace: _Trace, kind: SpanKind, name: str, peer: str, refs: tuple[Ref, ...]) -> _Record | None:
        """A segment and its root; None where there may be no more."""
        if getattr(self._handing, "busy", False):
            self._lose("within_sink")
            return None
        self.sweep(SWEPT_AT_ONCE)
        now = self._clock()
        segment = _Open(trace, self._ids(), name, now)
        with self._lock:
            if len(self._open) >= MAX_OPEN:
                self.counts["over_open"] += 1
                return None
            self._open[segment] = None
            self.counts["segments_begun"] += 1
            return self._next(segment, -1, kind, name, peer, refs, now)

    def _next(
        self, segment: _Open, parent_id: int, kind: SpanKind, name: str, peer: str, refs: tuple[Ref, ...], now: float
    ) -> _Record | None:
        """Under the lock: another span of a segment; None where it has enough."""
        if segment.begun >= MAX_SPANS:
            segment.limited = True
            self.counts["over_spans"] += 1
            return None
        record = _Record(segment, parent_id, kind, name, peer, refs, now)
        segment.begun += 1
        segment.open[record] = None
        return record

    def _too_deep(self, above: Span) -> None:
        if isinstance(above._at, _Record):
            with self._lock:
                above._at.segment.limited = True
        if above._trace.sampled:
            self._lose("over_depth")

    # headers

    def _extract(self, headers: Mapping[str, str]) -> Carrier | None:
        carrier, bad = extract(headers)
        for name in bad:
            self._lose(f"bad_{name}")
        return carrier

    def _inject(self, span: Span, peer: str, headers: MutableMapping[str, str]) -> None:
        trace, at = span._trace, span._at
        try:
            if at is None:  # not sampled: there is no span to name, but the called is told so
                trace.trace_id = trace.trace_id or self._ids()
                inject_unsampled(headers, trace.trace_id, trace.w3c_id, trace.tracestate)
                return
            where = at.position() if isinstance(at, _Record) else at
            ref = self._ref(RefKind.CROSS_PROCESS, trace, where, _text(peer, MAX_ENDPOINT))
            inject(headers, ref, trace.w3c_id, trace.tracestate, trace.correlation, trace.skip)
        except Exception:  # the host's mapping may be anything; its call goes out all the same
            self._lose("not_injected")

    def _ref(self, kind: RefKind, trace: _Trace, at: Position | None, peer: str = "") -> Ref:
        where = at or Position("", 0, "")
        return Ref(
            kind, trace.trace_id, where.segment_id, where.span_id, self._service, self._instance, where.endpoint, peer
        )

    # what is told to a span

    def _tag(self, span: Span, record: _Record, key: str, value: object) -> None:
        pair = _text(key, MAX_KEY), _text(value, MAX_VALUE)
        with self._lock:
            if record.frozen or span._ended:
                self.counts["late_writes"] += 1
            elif len(record.tags) >= MAX_TAGS:
                self.counts["over_tags"] += 1
            else:
                record.tags.append(pair)

    def _log(self, span: Span, record: _Record, fields: Mapping[str, object]) -> None:
        told = tuple((_text(k, MAX_KEY), _text(v, MAX_VALUE)) for k, v in islice(fields.items(), MAX_FIELDS))
        try:
            now = self._clock()
        except Exception:
            self._lose("errors")
            return
        with self._lock:
            if record.frozen or span._ended:
                self.counts["late_writes"] += 1
            elif len(record.logs) >= MAX_LOGS:
                self.counts["over_logs"] += 1
            else:
                record.logs.append(SpanLog(now, told))

    def _fail(self, span: Span, record: _Record, error: BaseException | None) -> None:
        with self._lock:
            if record.frozen or span._ended:
                self.counts["late_writes"] += 1
                return
            record.error = True
        if error is not None:
            self._log(span, record, {"event": "error", "error.kind": type(error).__name__})

    # ending

    def _end(self, span: Span) -> None:
        stack = self._stack.get()
        if stack:
            if stack[-1] is span:
                self._stack.set(stack[:-1])
            elif span in stack:
                self._stack.set(tuple(other for other in stack if other is not span))
        record = span._record
        if record is None:
            span._ended = True
        elif not span._ended:
            try:
                self._end_recorded(span, record, self._clock())
            except Exception:
                self._lose("errors")

    def _end_recorded(self, span: Span, record: _Record, now: float) -> None:
        segment = record.segment
        with self._lock:
            if span._ended:
                return
            span._ended = True
            record.owners -= 1
            if record.owners or record.frozen:
                return
            self._freeze(record, now)
            done = None if segment.open or segment.taking or segment.closed else self._close(segment)
        if done is not None:
            self._hand(done)

    def _freeze(self, record: _Record, now: float, unfinished: bool = False) -> None:
        record.frozen = True
        record.segment.spans.append(record.finished(now, unfinished))
        record.segment.open.pop(record, None)
        if record.parent_id < 0:
            record.segment.taking = False

    def _close(self, segment: _Open) -> Segment:
        segment.closed = True
        self._open.pop(segment, None)
        self.counts["segments_finished"] += 1
        spans, segment.spans = tuple(segment.spans), []  # handles that live on hold no spans
        trace = segment.trace
        return Segment(
            trace.trace_id, segment.segment_id, self._service, self._instance, spans, segment.limited, trace.w3c_id, trace.skip
        )  # fmt: skip

    def sweep(self, at_most: int = MAX_OPEN) -> int:
        """Cut and hand over the segments open longer than MAX_AGE_S; how many there were. For who begins spans seldom: now and then."""
        try:
            now = self._clock()
            done = self._cut(now, at_most)
        except Exception:
            self._lose("errors")
            return 0
        for segment in done:
            self._hand(segment)
        return len(done)

    def _cut(self, now: float, at_most: int) -> list[Segment]:
        done: list[Segment] = []
        with self._lock:
            for segment in list(islice(self._open, at_most)):
                if now - segment.began < MAX_AGE_S:
                    break
                segment.limited = True
                self.counts["segments_cut"] += 1
                self.counts["spans_unfinished"] += len(segment.open)
                for record in reversed(list(segment.open)):  # the root last, as if they had ended
                    self._freeze(record, now, unfinished=True)
                done.append(self._close(segment))
        return done

    def _hand(self, segment: Segment) -> None:
        was = getattr(self._handing, "busy", False)
        self._handing.busy = True
        try:
            self._sink.take(segment)
        except Exception:
            self._lose("sink_failed")
        finally:
            self._handing.busy = was

    # how it is

    @property
    def open(self) -> int:
        """Segments that have begun and not been handed over."""
        return len(self._open)

    @property
    def dropped(self) -> int:
        """Spans of sampled traces that were not recorded: there were too many, or the sink began them."""
        return sum(self.counts[what] for what in ("over_spans", "over_depth", "over_open", "within_sink"))

    def _lose(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    def forked(self) -> None:
        """In a forked child: the parent tells what it had begun, and its lock may have been held by a thread that is not here."""
        self._lock = RLock()
        for segment in self._open:
            segment.closed, segment.taking = True, False
            for record in [*segment.open]:
                record.frozen = True
            segment.open.clear()
            segment.spans = []
            self.counts["segments_forked"] += 1
        self._open = {}


def _text(value: object, limit: int) -> str:
    """What the host gave us, in words; what has none is a question mark."""
    try:
        return (value if type(value) is str else str(value))[:limit]
    except Exception:
        return "?"


def _here() -> tuple[int, int]:
    """Which thread and task: a span is reused by who began it, not by its children."""
    asyncio = sys.modules.get("asyncio")  # who never imported it has no tasks
    task = None
    if asyncio is not None:
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
    return get_ident(), id(task)
