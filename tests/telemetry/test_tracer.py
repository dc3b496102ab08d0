"""The tracer's rules one by one: the acceptance list, and what killed other tracers' hosts."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from contextvars import Context
from itertools import count

import pytest

from parkwarden.telemetry import Ring, Segment, Snapshot, SpanKind, Tracer
from parkwarden.telemetry.carrier import extract
from parkwarden.telemetry.segment import RefKind
from parkwarden.telemetry.tracer import (
    MAX_AGE_S,
    MAX_DEPTH,
    MAX_LOGS,
    MAX_OPEN,
    MAX_SPANS,
    MAX_TAGS,
    MAX_VALUE,
    NOTHING,
)

YES = {"sw8": "1-dHJhY2U=-c2VnbWVudA==-3-c3Zj-aW5zdA==-L2U=-cDox"}
NO = {"sw8": "0" + YES["sw8"][1:]}


class World:
    """A tracer with a clock, ids and chances of ours."""

    def __init__(self, rate: float = 1.0, chances: Callable[[], float] = lambda: 0.5) -> None:
        self.now = 1000.0
        numbers = count(1)
        self.asked = 0
        self.chances = chances
        self.ring = Ring()
        self.tracer = Tracer(
            self.ring, service="svc", instance="inst", rate=rate, clock=lambda: self.now, ids=lambda: f"id{next(numbers)}",
            random=self.random,
        )  # fmt: skip

    def random(self) -> float:
        self.asked += 1
        return self.chances()

    def segments(self) -> list[Segment]:
        return self.ring.drain()

    @property
    def depth(self) -> int:
        return len(self.tracer._stack.get())


def run_in_thread(call: Callable[[], object]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


def test_entry_exit_and_local_make_a_segment() -> None:
    """Kinds, parents, names, peers, times and what was told: as begun, in the order of the ends, the root last."""
    w = World()
    with w.tracer.entry("GET /") as entry:
        entry.tag("user", 7)
        with w.tracer.local("think"):
            w.now += 1
            with w.tracer.exit("SELECT", "db:5432") as out:
                out.log("sent", rows=3)
                w.now += 1
    (segment,) = w.segments()
    assert [(s.span_id, s.parent_id, s.kind, s.name, s.peer, s.start, s.end) for s in segment.spans] == [
        (2, 1, SpanKind.EXIT, "SELECT", "db:5432", 1001.0, 1002.0),
        (1, 0, SpanKind.LOCAL, "think", "", 1000.0, 1002.0),
        (0, -1, SpanKind.ENTRY, "GET /", "", 1000.0, 1002.0),
    ]
    assert segment.spans[2].tags == (("user", "7"),)
    assert segment.spans[0].logs[0].fields == (("event", "sent"), ("rows", "3"))
    assert (segment.service, segment.instance, segment.size_limited) == ("svc", "inst", False)
    assert w.tracer.counts == {"segments_begun": 1, "segments_finished": 1}


# 1: the decision is part of the context


def test_at_rate_0_nothing_is_told_by_any_order_of_ends() -> None:
    """Sequential, nested, ended out of order, twice, never; in threads that go on: no segment, no loss, one decision."""
    w = World(rate=0.0)
    with w.tracer.entry("request"):
        snapshot = w.tracer.capture()

        def work() -> None:
            with w.tracer.continue_(snapshot):
                for _ in range(5):
                    with w.tracer.exit("call", "db:1"), w.tracer.local("deeper"):
                        pass
                first, second = w.tracer.local("a"), w.tracer.local("b")
                first.end()
                second.end()
                second.end()
                w.tracer.local("never ended")

        for _ in range(4):
            run_in_thread(work)
    assert w.depth == 0
    assert w.segments() == []
    assert w.tracer.counts == {}
    assert w.tracer.open == 0


def test_an_unsampled_request_stays_so_in_its_threads() -> None:
    """The Go agent's bug 12345: after the first span of a child goroutine the sampler was asked again."""
    draws = iter([0.9, 0.0, 0.0, 0.0, 0.0])
    w = World(rate=0.5, chances=lambda: next(draws))
    with w.tracer.entry("request"):
        snapshot = w.tracer.capture()

    def work() -> None:
        with w.tracer.continue_(snapshot):
            for _ in range(3):
                assert not w.tracer.exit("mongo", "db:1").recorded
                with w.tracer.exit("mongo", "db:1"):
                    pass

    run_in_thread(work)
    assert w.asked == 1
    assert w.segments() == []


def test_an_unsampled_request_stays_so_in_tasks_that_outlive_it() -> None:
    """A task inherits the decision for its whole life, also when its request has ended."""
    w = World(rate=0.5, chances=lambda: 0.9)

    async def late(ended: asyncio.Event) -> None:
        await ended.wait()
        w.chances = lambda: 0.0
        for _ in range(3):
            with w.tracer.local("late"):
                pass

    async def main() -> None:
        ended = asyncio.Event()
        with w.tracer.entry("request"):
            task = asyncio.create_task(late(ended))
            await asyncio.sleep(0)
        ended.set()
        await task

    asyncio.run(main())
    assert w.asked == 1
    assert w.segments() == []


def test_the_next_request_of_a_thread_is_decided_anew() -> None:
    """A decision ends with its request, in whatever order its spans ended."""
    draws = iter([0.9, 0.0, 0.9])
    w = World(rate=0.5, chances=lambda: next(draws))
    for _ in range(3):
        request = w.tracer.entry("request")
        step = w.tracer.local("step")
        request.end()
        step.end()
        assert w.depth == 0
    assert w.asked == 3
    assert len(w.segments()) == 1


def test_spans_of_a_rate_0_tracer_leave_nothing_behind() -> None:
    """Zero growth, ended or never ended. (Ten million of them: bench/tracer.py.)"""
    w = World(rate=0.0)

    def some(n: int) -> None:
        for _ in range(n):
            with w.tracer.entry("x"), w.tracer.exit("y", "z:1"):
                pass
        for _ in range(n):
            w.tracer.local("never ended")

    Context().run(some, MAX_DEPTH)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        Context().run(some, 5000)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 2000
    finally:
        tracemalloc.stop()


# 2: what callers say


def test_a_callers_yes_forces_sampling_and_its_no_forbids_it() -> None:
    """sample=1 at rate 0 is traced under the caller's trace; sample=0 at rate 1 is not."""
    w = World(rate=0.0)
    with w.tracer.entry("GET /", YES):
        pass
    (segment,) = w.segments()
    assert segment.trace_id == "trace"
    (ref,) = segment.spans[0].refs
    assert (ref.kind, ref.segment_id, ref.span_id, ref.service) == (RefKind.CROSS_PROCESS, "segment", 3, "svc")
    w.tracer.rate = 1.0
    with w.tracer.entry("GET /", NO), w.tracer.local("step"):
        pass
    assert w.segments() == []
    assert w.asked == 0


def test_garbage_neither_raises_nor_suppresses() -> None:
    """A malformed header is counted, and the request is traced as if there were none."""
    w = World()
    with w.tracer.entry("GET /", {"sw8": "1-%%%-y-0-a-b-c-d", "traceparent": "x"}):
        pass
    (segment,) = w.segments()
    assert segment.spans[0].refs == ()
    assert w.tracer.counts["bad_sw8"] == w.tracer.counts["bad_traceparent"] == 1


# 3: what the called are told


def test_an_exit_tells_the_called_where_it_comes_from() -> None:
    """Both headers name the exit span; the endpoint is the segment's first span's."""
    w = World()
    headers: dict[str, str] = {}
    with w.tracer.entry("GET /"), w.tracer.local("step"), w.tracer.exit("call", "other:80", headers):
        pass
    (segment,) = w.segments()
    carrier, bad = extract(headers)
    assert carrier is not None
    assert not bad
    assert carrier.sampled
    ref = carrier.ref
    assert (ref.trace_id, ref.segment_id, ref.span_id) == (segment.trace_id, segment.segment_id, 2)
    assert (ref.service, ref.instance, ref.endpoint, ref.peer) == ("svc", "inst", "GET /", "other:80")


def test_an_exit_that_is_not_sampled_never_fails_and_says_no() -> None:
    """Rate 0: the called hears of one trace that is not sampled; with a caller's W3C trace, of that one."""
    w = World(rate=0.0)
    first: dict[str, str] = {}
    second: dict[str, str] = {}
    with w.tracer.entry("GET /"):
        with w.tracer.exit("call", "other:80", first):
            pass
        with w.tracer.exit("call", "other:80", second):
            pass
    assert set(first) == {"traceparent"}
    assert first["traceparent"].endswith("-00")
    assert first["traceparent"][:36] == second["traceparent"][:36]
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
    with w.tracer.entry("GET /", {"traceparent": parent, "tracestate": "a=b"}), w.tracer.exit("call", "x:1", first):
        pass
    assert first["traceparent"][:36] == parent[:36]
    assert first["tracestate"] == "a=b"


def test_what_came_along_with_a_callers_headers_goes_on_and_into_the_segment() -> None:
    """Correlation and analysis of sw8, the trace's id of W3C: to the called, and to who reports the segment."""
    w = World(rate=0.0)
    called: dict[str, str] = {}
    caller = {
        "sw8": "1-dHJhY2U=-c2VnbWVudA==-3-c3Zj-aW5zdA==-L2U=-cDox",
        "sw8-correlation": "a2V5:dmFsdWU=",
        "sw8-x": "1-",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }
    with w.tracer.entry("GET /", caller), w.tracer.exit("call", "x:1", called):
        pass
    assert {name: called[name] for name in ("sw8-correlation", "sw8-x")} == {
        "sw8-correlation": "a2V5:dmFsdWU=",
        "sw8-x": "1-",
    }
    (segment,) = w.segments()
    assert (segment.trace_id, segment.skip_analysis) == ("trace", True)
    assert segment.w3c_id == "4bf92f3577b34da6a3ce929d0e0e4736" == called["traceparent"][3:35]


def test_exits_beyond_the_limits_still_tell_the_called() -> None:
    """What is too much to be recorded is not cut out of the trace: the nearest recorded span is the parent."""
    w = World()
    headers: dict[str, str] = {}
    with w.tracer.entry("GET /"):
        for _ in range(MAX_SPANS + 1):
            with w.tracer.exit("call", "x:1", headers):
                pass
    (segment,) = w.segments()
    carrier = extract(headers)[0]
    assert carrier is not None
    assert (carrier.ref.segment_id, carrier.ref.span_id) == (segment.segment_id, 0)


# 4: reuse, late writes, freezing


def test_an_entry_within_an_entry_is_the_same_span() -> None:
    """Server and framework both begin one: the inner names it, and only the last of two ends freezes it."""
    w = World()
    server = w.tracer.entry("HTTP GET", YES)
    framework = w.tracer.entry("/cart/{id}")
    framework.end()
    framework.end()
    server.tag("status", 200)
    assert w.segments() == []
    server.end()
    (segment,) = w.segments()
    (span,) = segment.spans
    assert (span.name, span.tags, len(span.refs)) == ("/cart/{id}", (("status", "200"),), 1)


def test_an_exit_within_an_exit_is_the_same_span_of_one_task_only() -> None:
    """A client and the driver below it are one call; two tasks that call at once are two."""
    w = World()

    async def call(name: str) -> None:
        with w.tracer.exit(name, "db:1"), w.tracer.exit("driver", "db:1"):
            await asyncio.sleep(0)

    async def main() -> None:
        with w.tracer.exit("batch", "db:1"):
            await asyncio.gather(call("one"), call("two"))

    asyncio.run(main())
    (segment,) = w.segments()
    assert sorted((span.name, span.parent_id) for span in segment.spans) == [("batch", -1), ("one", 0), ("two", 0)]


def test_what_is_told_late_is_dropped_and_counted() -> None:
    """After its end nothing changes a span, and what was handed over is immutable."""
    w = World()
    span = w.tracer.entry("x")
    span.end()
    (segment,) = w.segments()
    span.tag("late", 1)
    span.log("late")
    span.fail(ValueError())
    assert segment.spans[0].tags == segment.spans[0].logs == ()
    assert not segment.spans[0].error
    assert w.tracer.counts["late_writes"] == 3
    assert not span.recorded


def test_an_error_is_told_by_its_type_and_goes_on() -> None:
    """The host's error is its own, with its message; to be cancelled is none."""
    w = World()
    with pytest.raises(ValueError, match="secret"), w.tracer.entry("x"):
        raise ValueError("secret")
    with pytest.raises(KeyboardInterrupt), w.tracer.entry("x"):
        raise KeyboardInterrupt
    failed, cancelled = w.segments()
    assert failed.spans[0].error
    assert "secret" not in repr(failed)
    assert failed.spans[0].logs[0].fields == (("event", "error"), ("error.kind", "ValueError"))
    assert not cancelled.spans[0].error


# 5: threads and tasks


def test_a_task_that_outlives_its_request_begins_a_segment_of_the_same_trace() -> None:
    """Spans begun after the request's end are in a new segment, with a cross thread ref to where the task came from."""
    w = World()

    async def main() -> None:
        ended = asyncio.Event()

        async def late() -> None:
            with w.tracer.local("in time"):
                pass
            await ended.wait()
            with w.tracer.local("late"), w.tracer.exit("call", "x:1"):
                pass

        with w.tracer.entry("request"), w.tracer.local("step"):
            task = asyncio.create_task(late())
            await asyncio.sleep(0)
        ended.set()
        await task

    asyncio.run(main())
    request, late = w.segments()
    assert [(span.name, span.parent_id) for span in request.spans] == [("in time", 1), ("step", 0), ("request", -1)]
    assert late.trace_id == request.trace_id
    assert [(span.name, span.parent_id) for span in late.spans] == [("call", 0), ("late", -1)]
    (ref,) = late.spans[1].refs
    assert (ref.kind, ref.trace_id, ref.segment_id, ref.span_id, ref.endpoint) == (
        RefKind.CROSS_THREAD, request.trace_id, request.segment_id, 1, "request",
    )  # fmt: skip


def test_a_span_open_in_a_task_keeps_its_segment() -> None:
    """The request has ended but one of its spans has not: its segment is handed over with it, once, and takes no new ones."""
    w = World()
    request = w.tracer.entry("request")
    child = w.tracer.local("child")
    request.end()
    assert w.segments() == []
    with w.tracer.local("after"):
        pass
    child.end()
    after, segment = w.segments()
    assert [span.name for span in segment.spans] == ["request", "child"]
    assert after.spans[0].refs[0].segment_id == segment.segment_id


@pytest.mark.parametrize("times", [0, 1, 3])
def test_a_snapshot_is_continued_as_late_and_as_often_as_wanted(times: int) -> None:
    """Each continuation begins segments of its own with a ref to the captured span, long after that ended; never is fine, too."""
    w = World()
    with w.tracer.entry("request"):
        snapshot = w.tracer.capture()
    w.segments()
    w.now += 10 * MAX_AGE_S

    def work() -> None:
        with w.tracer.continue_(snapshot), w.tracer.local("work"):
            pass
        assert w.depth == 0

    for _ in range(times):
        run_in_thread(work)
    found = w.segments()
    assert [segment.spans[0].refs[0].kind for segment in found] == [RefKind.CROSS_THREAD] * times
    assert len({segment.segment_id for segment in found}) == times
    assert {segment.trace_id for segment in found} <= {"id1"}


def test_nothing_captured_is_nothing_continued() -> None:
    """Outside any span there is nothing to go on with: spans decide for themselves."""
    w = World()
    with w.tracer.continue_(w.tracer.capture()), w.tracer.local("x"):
        pass
    for captured in (Snapshot(), None):
        with w.tracer.continue_(captured) as nothing:  # type: ignore[arg-type]
            assert nothing is NOTHING
    assert w.segments()[0].spans[0].refs == ()


def test_a_request_in_an_inherited_context_is_a_request_of_its_own() -> None:
    """A server's task begun while something else was traced: its requests are decided anew once that has ended."""
    w = World()
    boot = w.tracer.entry("boot")
    inherited = w.tracer._stack.get()
    boot.end()
    w.tracer._stack.set(inherited)
    with w.tracer.entry("GET /"):
        pass
    assert w.depth == 0
    one, two = w.segments()
    assert one.trace_id != two.trace_id
    assert two.spans[0].refs == ()


# 6: bounds


def test_a_segment_is_bounded_and_says_so() -> None:
    """Spans, tags, logs and texts over their limits are dropped, counted, and the segment is marked."""
    w = World()
    with w.tracer.entry("x" * 1000) as entry:
        for i in range(MAX_TAGS + 2):
            entry.tag(f"k{i}", "v" * 9999)
        for _ in range(MAX_LOGS + 3):
            entry.log("event")
        for _ in range(MAX_SPANS + 9):
            with w.tracer.local("row"):
                pass
    (segment,) = w.segments()
    root = segment.spans[-1]
    assert (len(segment.spans), segment.size_limited) == (MAX_SPANS, True)
    assert (len(root.name), len(root.tags), len(root.logs)) == (150, MAX_TAGS, MAX_LOGS)
    assert len(root.tags[0][1]) == MAX_VALUE
    counts = w.tracer.counts
    assert (counts["over_spans"], counts["over_tags"], counts["over_logs"], w.tracer.dropped) == (10, 2, 3, 10)


def test_what_never_ends_is_cut_and_handed_over() -> None:
    """A segment older than MAX_AGE_S goes with what it has; what comes after under it is a new segment of the same trace."""
    w = World()
    entry = w.tracer.entry("forgotten")
    w.tracer.local("also")
    w.now += MAX_AGE_S - 1
    assert w.tracer.sweep() == 0
    w.now += 1
    assert w.tracer.sweep() == 1
    (cut,) = w.segments()
    assert [(span.name, span.unfinished, span.end) for span in cut.spans] == [
        ("also", True, w.now),
        ("forgotten", True, w.now),
    ]
    assert cut.size_limited
    with w.tracer.local("still there"):
        pass
    entry.end()
    (after,) = w.segments()
    assert after.trace_id == cut.trace_id
    assert after.spans[0].refs[0].segment_id == cut.segment_id
    with w.tracer.entry("a request"):
        pass
    assert w.segments()[0].trace_id != cut.trace_id
    assert w.tracer.counts["segments_cut"] == 1
    assert w.tracer.counts["spans_unfinished"] == 2


def test_over_age_is_noticed_without_a_timer() -> None:
    """Who begins another segment cuts a few of the over-aged: no timer is needed."""
    w = World()
    for _ in range(6):
        Context().run(w.tracer.entry, "forgotten")
    w.now += MAX_AGE_S
    with w.tracer.entry("next"):
        pass
    assert [segment.spans[0].unfinished for segment in w.segments()] == [True] * 4 + [False]
    assert w.tracer.open == 2


def test_open_segments_are_bounded() -> None:
    """MAX_OPEN that never end: what begins beyond is not sampled, and counted."""
    w = World()
    for _ in range(MAX_OPEN + 5):
        Context().run(w.tracer.entry, "forgotten")
    assert w.tracer.open == MAX_OPEN
    assert w.tracer.counts["over_open"] == 5


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_stack_is_bounded(rate: float) -> None:
    """A loop that never ends its spans has MAX_DEPTH of them, and the request after it is one of its own once they are over age."""
    w = World(rate)
    for _ in range(3 * MAX_DEPTH):
        w.tracer.local("never")
    assert w.depth == MAX_DEPTH
    w.now += MAX_AGE_S
    with w.tracer.entry("request"):
        assert w.depth == 1
    assert w.depth == 0


# never to the host


class Bad:
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Refusing:
    def __init__(self) -> None:
        self.tracer: Tracer | None = None

    def take(self, segment: Segment) -> None:
        raise OSError(segment.segment_id)


def test_a_sink_that_raises_is_counted() -> None:
    """The host never hears of its telemetry's troubles."""
    tracer = Tracer(Refusing(), service="s", instance="i")
    with tracer.entry("x"):
        pass
    assert tracer.counts["sink_failed"] == 1


def test_a_sink_that_is_traced_does_not_recurse() -> None:
    """What a sink does is not recorded: else each segment would make the next (how the Go agent overflowed its stack)."""

    class Traced(Ring):
        def take(self, segment: Segment) -> None:
            with tracer.entry("sending"), tracer.local("encoding"):
                super().take(segment)

    ring = Traced()
    tracer = Tracer(ring, service="s", instance="i")
    with tracer.entry("x"):
        pass
    assert [segment.spans[0].name for segment in ring.drain()] == ["x"]
    assert tracer.counts["within_sink"] == 1


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("broken", ["clock", "ids", "random"])
def test_inputs_that_raise_do_not_reach_the_host(rate: float, broken: str) -> None:
    """A clock, ids or chances that fail cost spans, never a request."""

    def fail() -> float:
        raise RuntimeError(broken)

    tracer = Tracer(Ring(), service="s", instance="i", rate=rate, **{broken: fail})  # type: ignore[arg-type]
    headers: dict[str, str] = {}
    with tracer.entry("x", YES) as entry, tracer.continue_(tracer.capture()), tracer.exit("y", "z:1", headers) as out:
        out.tag("a", 1)
        entry.log("b")
        entry.fail(ValueError())
    tracer.sweep()
    assert tracer._stack.get() == ()
    assert tracer.open <= 1


def test_names_and_values_without_words_are_question_marks() -> None:
    """Whatever a host hands in is taken, by its words if it has some."""
    w = World()
    with w.tracer.entry(Bad()) as span:  # type: ignore[arg-type]
        span.tag("k", Bad())
        span.tag(None, b"x")  # type: ignore[arg-type]
        w.tracer.exit("x", Bad(), Bad()).end()  # type: ignore[arg-type]
    (segment,) = w.segments()
    assert segment.spans[1].name == "?"
    assert segment.spans[1].tags == (("k", "?"), ("None", "b'x'"))
    assert w.tracer.counts["not_injected"] == 1


def test_a_forked_child_traces_on_and_tells_nothing_twice() -> None:
    """Forked while threads trace: the child's spans work at once, and what the parent had begun stays the parent's to tell."""
    code = """
import os, signal, threading
from parkwarden.telemetry import Ring, Tracer
ring = Ring()
tracer = Tracer(ring, service="s", instance="i")

def fork_within(name):
    outer = tracer.entry(name)
    yield outer
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)
        outer.end()
        with tracer.entry("child's"):
            pass
        counts = tracer.counts
        whole = counts["segments_begun"] == counts["segments_finished"] + counts["segments_forked"] + tracer.open
        os._exit(0 if [s.spans[0].name for s in ring.drain()] == ["child's"] and whole and not tracer.open else 1)
    yield os.waitpid(pid, 0)[1] != 0

def hammer():
    while not stop.is_set():
        with tracer.entry("x") as span:
            span.tag("k", "v")

stop = threading.Event()
threads = [threading.Thread(target=hammer) for _ in range(3)]
[thread.start() for thread in threads]
bad = 0
for _ in range(20):
    outer, failed = fork_within("parent's")
    outer.end()
    bad += failed
stop.set()
[thread.join() for thread in threads]

held, done = threading.Event(), threading.Event()
def hold():
    with tracer._lock, ring._lock:
        held.set()
        done.wait()

steps = fork_within("with locks held")
outer = next(steps)
holder = threading.Thread(target=hold)
holder.start()
held.wait()
bad += next(steps)
done.set()
holder.join()
outer.end()
print(bad, tracer.open)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("0 0", "")
