"""The tracer under schedules nobody would write: contexts forked and continued, spans ended anywhere, twice, never.

A task is a copied context, a thread an empty one: running steps in them by turns is what an event loop and a scheduler do,
but repeatable. The last test does it with real threads.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from contextvars import Context
from itertools import count
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from parkwarden.telemetry import Ring, Segment, Snapshot, Span, SpanKind, Tracer
from parkwarden.telemetry.segment import RefKind
from parkwarden.telemetry.tracer import MAX_AGE_S, MAX_DEPTH, MAX_SPANS, NOTHING

HEADERS: list[dict[str, str] | None] = [
    None,
    {},
    {"sw8": "1-dHJhY2U=-c2VnbWVudA==-3-c3Zj-aW5zdA==-L2U=-cDox"},
    {"sw8": "0-dHJhY2U=-c2VnbWVudA==-3-c3Zj-aW5zdA==-L2U=-cDox"},
    {"sw8": "1-%%%-y-0-a-b-c-d"},
]
NUMBER = st.integers(0, 30)
STEP = st.one_of(
    st.tuples(st.sampled_from(["entry", "exit", "local"]), NUMBER, NUMBER),
    st.tuples(st.sampled_from(["end", "end", "tag", "log", "fail"]), NUMBER, NUMBER),
    st.tuples(st.sampled_from(["task", "thread", "capture"]), NUMBER, NUMBER),
    st.tuples(st.just("continue"), NUMBER, NUMBER),
    st.tuples(st.sampled_from(["sweep", "later", "much later"]), NUMBER, NUMBER),
)
STEPS = st.lists(STEP, max_size=80)


class Run:
    """One schedule; each step is checked, and `finish` checks the end."""

    def __init__(self, rate: float, seed: int = 0, headers: Sequence[dict[str, str] | None] = HEADERS) -> None:
        self.now = 0.0
        self.drawn = 0
        self.headers = headers
        self.chances = Random(seed)
        numbers = count()
        self.ring = Ring(segments=100_000, spans=1_000_000)
        self.tracer = Tracer(
            self.ring, service="s", instance="i", rate=rate, clock=lambda: self.now, ids=lambda: f"id{next(numbers)}",
            random=self.draw,
        )  # fmt: skip
        self.contexts = [Context()]
        self.spans: list[Span] = []
        self.snapshots: list[Snapshot] = []

    def draw(self) -> float:
        self.drawn += 1
        return self.chances.random()

    def stack(self, context: Context) -> tuple[Span, ...]:
        return context.run(self.tracer._stack.get)

    def step(self, what: str, where: int, which: int) -> None:
        context = self.contexts[where % len(self.contexts)]
        match what:
            case "entry" | "exit" | "local" | "continue":
                self.begin(context, what, which)
            case "end" | "tag" | "log" | "fail":
                if self.spans:
                    span = self.spans[which % len(self.spans)]
                    call = {
                        "end": span.end,
                        "tag": lambda: span.tag("k", 1),
                        "log": lambda: span.log("e"),
                        "fail": span.fail,
                    }
                    context.run(call[what])
                    assert what != "end" or span not in self.stack(context)
            case "task":
                self.contexts.append(context.copy())
            case "thread":
                self.contexts.append(Context())
            case "capture":
                self.snapshots.append(context.run(self.tracer.capture))
            case "sweep":
                self.tracer.sweep()
            case "later" | "much later":
                self.now += 1.0 if what == "later" else MAX_AGE_S

    def begin(self, context: Context, what: str, which: int) -> None:
        before, drawn = self.stack(context), self.drawn
        tracer = self.tracer
        if what == "continue":
            if not self.snapshots:
                return
            snapshot = self.snapshots[which % len(self.snapshots)]
            span = context.run(tracer.continue_, snapshot)
            assert span is NOTHING or span._trace is snapshot.trace
        elif what == "entry":
            span = context.run(tracer.entry, "in", self.headers[which % len(self.headers)])
        elif what == "exit":
            span = context.run(tracer.exit, "out", "peer:1", {})
        else:
            span = context.run(tracer.local, "step")
        self.spans.append(span)
        after = self.stack(context)
        if what in ("exit", "local") and before:
            assert self.drawn == drawn, "a decision was made again"
            assert span is NOTHING or span._trace is before[-1]._trace
        if span is not NOTHING:
            assert after[-1] is span
            assert after[:-1] in (before, ())
        assert len(after) <= MAX_DEPTH

    def finish(self) -> list[Segment]:
        self.check_counts()
        self.now += MAX_AGE_S
        self.tracer.sweep()
        assert self.tracer.open == 0
        for span in self.spans:  # all of it over again changes nothing
            span.end()
            span.end()
        self.check_counts()
        return self.ring.drain()

    def check_counts(self) -> None:
        counts = self.tracer.counts
        assert counts["segments_begun"] == counts["segments_finished"] + self.tracer.open
        assert self.ring.taken == counts["segments_finished"]
        assert not counts["errors"]


def run(run: Run, steps: Sequence[tuple[str, int, int]]) -> list[Segment]:
    for step in steps:
        run.step(*step)
    return run.finish()


@given(STEPS)
def test_rate_0_tells_nothing_whatever_happens(steps: list[tuple[str, int, int]]) -> None:
    """No caller forces it: no segment, nothing open, nothing counted, no chance asked."""
    world = Run(0.0, headers=[None, {}, HEADERS[3]])
    assert run(world, steps) == []
    assert world.drawn == 0
    assert not any(span.recorded for span in world.spans)
    assert +world.tracer.counts == {}


@given(STEPS)
def test_every_rate_has_the_same_stacks(steps: list[tuple[str, int, int]]) -> None:
    """A span that is not recorded nests, ends and is inherited exactly as one that is: no rate has bugs of its own."""
    off, on = Run(0.0, headers=[None]), Run(1.0, headers=[None])
    for step in steps:
        off.step(*step)
        on.step(*step)
        for one, other in zip(off.contexts, on.contexts, strict=True):
            assert [off.spans.index(s) for s in off.stack(one)] == [on.spans.index(s) for s in on.stack(other)]
    assert [span._ended for span in off.spans] == [span._ended for span in on.spans]


@given(STEPS, st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 9))
def test_segments_are_whole_under_any_schedule(steps: list[tuple[str, int, int]], rate: float, seed: int) -> None:
    """Every span begun is told once, in one segment, below a root; refs lead to segments of the same trace that are told, too."""
    segments = run(Run(rate, seed), steps)
    by_id = {segment.segment_id: segment for segment in segments}
    assert len(by_id) == len(segments)
    for segment in segments:
        spans = {span.span_id: span for span in segment.spans}
        assert sorted(spans) == list(range(len(segment.spans)))
        assert len(spans) <= MAX_SPANS
        assert [span.span_id for span in segment.spans if span.parent_id < 0] == [0]
        assert all(span.parent_id in spans and span.parent_id < span.span_id for i, span in spans.items() if i)
        assert all(span.start <= span.end for span in segment.spans)
        assert segment.size_limited or not any(span.unfinished for span in segment.spans)
        for ref in (ref for span in segment.spans for ref in span.refs):
            if ref.kind is RefKind.CROSS_THREAD:
                cause = by_id[ref.segment_id]
                assert cause.trace_id == ref.trace_id == segment.trace_id
                assert ref.span_id in {span.span_id for span in cause.spans}
        assert all(
            span.kind is SpanKind.ENTRY or all(r.kind is RefKind.CROSS_THREAD for r in span.refs)
            for span in segment.spans
        )


@given(STEPS, st.integers(0, 9))
def test_a_trace_is_told_whole_or_not_at_all(steps: list[tuple[str, int, int]], seed: int) -> None:
    """At a rate between: what goes on from an unsampled span is not sampled, what goes on from a sampled one is."""
    world = Run(0.5, seed, headers=[None])
    run(world, steps)
    assert all((span._record is not None) <= span._trace.sampled for span in world.spans)
    assert not any(span._at is not None for span in world.spans if not span._trace.sampled)


@settings(max_examples=10)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.5, 1.0]))
def test_real_threads_lose_nothing(seed: int, rate: float) -> None:
    """Threads that share contexts, snapshots and spans, end each other's, twice: each begun segment is told once, whole."""
    ring = Ring(segments=100_000, spans=1_000_000)
    tracer = Tracer(ring, service="s", instance="i", rate=rate)
    shared: list[Span] = []
    snapshots: list[Snapshot] = []
    failures: list[BaseException] = []
    together = threading.Barrier(6)

    def work(number: int, context: Context) -> None:
        chances = Random(seed * 10 + number)
        try:
            together.wait()
            for _ in range(150):
                do = chances.choice(["entry", "exit", "local", "end", "end", "twice", "capture", "continue", "tag"])
                if do in ("entry", "exit", "local"):
                    args = ("x", "p:1", {}) if do == "exit" else ("x",)
                    shared.append(context.run(getattr(tracer, do), *args))
                elif do == "capture":
                    snapshots.append(context.run(tracer.capture))
                elif do == "continue" and snapshots:
                    shared.append(context.run(tracer.continue_, chances.choice(snapshots)))
                elif shared and do in ("end", "twice", "tag"):
                    span = chances.choice(shared[-20:])
                    span.tag("k", number)
                    if do != "tag":
                        context.run(span.end)
                    if do == "twice":
                        span.end()
        except BaseException as error:
            failures.append(error)

    def begin() -> list[threading.Thread]:
        shared.append(tracer.entry("request"))
        return [threading.Thread(target=work, args=(i, copied)) for i, copied in enumerate(copies())]

    def copies() -> list[Context]:
        here = Context()
        here.run(lambda: shared.append(tracer.entry("all")))
        return [here.copy() for _ in range(6)]

    threads = Context().run(begin)
    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switching)
    for span in shared:
        span.end()
    assert failures == []
    assert tracer.open == 0
    counts = tracer.counts
    assert counts["segments_begun"] == counts["segments_finished"] == ring.taken
    told = ring.drain()
    assert len({segment.segment_id for segment in told}) == len(told)
    for segment in told:
        assert sorted(span.span_id for span in segment.spans) == list(range(len(segment.spans)))
