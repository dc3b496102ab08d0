"""The kernels agree with a plain-Python reference for any series: gaps, NaN, restarts, clocks that jump back."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from parkwarden.aggregate.windows import Windows
from parkwarden.judge.fleet import blocked_share, gc_pressure, goroutine_trend, heap_jump
from parkwarden.judge.fleet.blocked_share import BlockedRule
from parkwarden.judge.fleet.counts import judge_columns, judge_counts
from parkwarden.judge.fleet.gc_pressure import GcPressureRule
from parkwarden.judge.fleet.goroutine_trend import TrendRule
from parkwarden.judge.fleet.heap_jump import HeapJumpRule
from parkwarden.judge.fleet.rules import Rules
from parkwarden.model import Instance, Reading, Verdict
from tests.judge.fleet import reference

MIB = 1 << 20
counts = st.none() | st.integers(0, 3000)
heaps = st.none() | st.sampled_from([0, MIB, 3 * MIB, 5 * MIB, 7 * MIB, 10 * MIB, 13 * MIB, 20 * MIB])
steps = st.sampled_from([5.0, 5.0, 5.0, 5.0, 2.0, 0.0, 25.0, 30.5, 61.0, 130.0, -3.0, -400.0])
readings = st.tuples(st.just("read"), steps, counts, heaps)
ramps = st.tuples(st.just("ramp"), st.integers(1, 40), st.integers(-60, 60), st.integers(0, 2 * MIB))
restarts = st.tuples(st.just("restart"), st.just(0), st.just(0), st.just(0))
histories = st.lists(st.one_of(readings, readings, readings, ramps, restarts), min_size=1, max_size=40)


def played(history: list[tuple[Any, ...]], samples: int) -> tuple[Windows, reference.Ring, list[tuple[float, int]]]:
    """The same history into both, judged after each event by the two rules; what differed raises."""
    windows, ring, trend_rule, heap_rule = Windows(samples), reference.Ring(samples), TrendRule(), HeapJumpRule()
    windows.started(Instance(id="a", start_time=0.0))
    clock, now, life, level, heap = 1000.0, 1000.0, 0, 300, 10 * MIB
    outcomes = []
    for kind, x, y, z in history:
        batch: list[tuple[float, int | None, int | None]] = []
        if kind == "restart":
            life += 1
            windows.started(Instance(id="a", start_time=100.0 * life))
            ring.restart()
        elif kind == "ramp":
            for _ in range(x):
                clock, level, heap = clock + 5.0, max(0, level + y), heap + z
                batch.append((clock, level, heap))
        else:
            clock += x
            batch.append((clock, y, z))
        for at, goroutines, heap_inuse in batch:
            windows.read("a", at, Reading(goroutines=goroutines, heap_inuse=heap_inuse))
            ring.read(at, {"goroutines": goroutines, "heap_inuse": heap_inuse})
            now = max(now, at)  # a reading may come late; nobody judges in the past
            agree_on_trend(windows, ring, now, trend_rule)
            agree_on_heap(windows, ring, now, heap_rule)
            outcomes.append((at, int(windows.count[0])))
    return windows, ring, outcomes


def agree_on_trend(windows: Windows, ring: reference.Ring, now: float, rule: TrendRule) -> None:
    judged = goroutine_trend.judge(windows, now, rule)
    verdict, cause = judged.verdict_of(0)
    expected = reference.trend(ring, now, rule)
    if expected is None:
        assert verdict is Verdict.UNKNOWN
        assert cause
        return
    state, sigma, slope = expected
    assert math.isclose(judged["sigma"][0], sigma, rel_tol=1e-6, abs_tol=1e-6)
    assert math.isclose(judged["slope_per_s"][0], slope, rel_tol=1e-6, abs_tol=1e-6)
    if state == "fires":
        assert (verdict, judged["held_s"][0]) == (Verdict.SUSPECT, 0.0)
        assert judged["since_s"][0] <= now
    else:
        assert verdict in (Verdict.OK, Verdict.SUSPECT)
        assert verdict is Verdict.OK or judged["held_s"][0] != 0.0


def agree_on_heap(windows: Windows, ring: reference.Ring, now: float, rule: HeapJumpRule) -> None:
    verdict, cause = heap_jump.judge(windows, now, rule).verdict_of(0)
    expected = reference.heap(ring, now, rule)
    assert verdict is {None: Verdict.UNKNOWN, True: Verdict.SUSPECT, False: Verdict.OK}[expected]
    assert bool(cause) == (expected is None)


@given(histories, st.sampled_from([8, 32, 128]))
@settings(max_examples=60, deadline=None)
def test_kernels_agree_with_the_reference(history: list[tuple[Any, ...]], samples: int) -> None:
    """After every reading, and so does the ring itself: what it holds, dropped, and how many lives it saw."""
    windows, ring, _ = played(history, samples)
    times, values = windows.series("a", "goroutines", 1e12)
    told = [(t, v["goroutines"]) for t, v in ring.rows if "goroutines" in v]
    assert list(zip(times.tolist(), values.tolist(), strict=True)) == told
    assert (windows.dropped, windows.lives[0]) == (ring.dropped, ring.lives)


numbers = st.tuples(
    st.sampled_from([5.0, 5.0, 5.0, 5.0, 25.0, 30.5, 151.0]),
    st.none() | st.integers(0, 20),  # GC tenths of a second
    st.none() | st.integers(0, 60),  # CPU tenths of a second
    st.none() | st.integers(-1, 2),  # collections
    st.none() | st.sampled_from([0.1, 0.15, 0.2, 0.9]),
    st.none() | st.integers(0, 10),  # tenths that are blocked
    st.none() | st.sampled_from([20, 300, 1000]),
)


@given(st.lists(numbers, min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_pressure_and_shares_agree_with_the_reference(history: list[tuple[Any, ...]]) -> None:
    """Sums, averages, numbers not told and counters that fall; the blocked share with a judge that comes by each time."""
    windows, ring = Windows(), reference.Ring()
    clock, gc_s, cpu_s, cycles = 1000.0, 5.0, 50.0, 9
    gc_rule, blocked_rule = GcPressureRule(), BlockedRule()
    for step, gc_step, cpu_step, cycle_step, average, tenths, goroutines in history:
        clock, gc_s, cpu_s = clock + step, gc_s + (gc_step or 0) / 10, cpu_s + (cpu_step or 0) / 10
        cycles = max(0, cycles + (cycle_step or 0))
        values: dict[str, Any] = {
            "gc_cpu_s": None if gc_step is None else gc_s,
            "cpu_s": None if cpu_step is None else cpu_s,
            "num_gc": None if cycle_step is None else cycles,
            "gc_cpu_fraction": average,
            "goroutines": goroutines,
        }
        blocked = None if tenths is None or goroutines is None else tenths * goroutines // 10
        windows.read("a", clock, Reading(**values, blocked=blocked))
        ring.read(clock, {**values, "blocked_share": None if blocked is None else blocked / goroutines})
        for judged, expected in (
            (gc_pressure.judge(windows, clock, gc_rule), reference.gc(ring, clock, gc_rule)),
            (blocked_share.judge(windows, clock, blocked_rule), reference.blocked(ring, clock, blocked_rule)),
        ):
            verdict, cause = judged.verdict_of(0)
            assert verdict is {None: Verdict.UNKNOWN, True: Verdict.SUSPECT, False: Verdict.OK}[expected], (
                judged.detector
            )
            assert bool(cause) == (expected is None)


@given(
    st.lists(
        st.tuples(st.floats(allow_nan=True), *[st.none() | st.integers(-5, 2**70) | st.floats() for _ in range(6)])
    )
)
@settings(max_examples=100, deadline=None)
def test_no_numbers_of_a_hostile_page_bring_it_down(rows: list[tuple[Any, ...]]) -> None:
    """Whatever is read, every detector answers with a verdict; unknown has a cause, suspects have finite confidence and text."""
    windows, rules = Windows(16), Rules()
    for at, goroutines, heap, gc_s, cpu_s, cycles, blocked in rows:
        reading = Reading(
            goroutines=goroutines, heap_inuse=heap, gc_cpu_s=gc_s, cpu_s=cpu_s, num_gc=cycles, blocked=blocked, gomaxprocs=heap
        )  # fmt: skip
        windows.read("a", at, reading)
    now = max([r[0] for r in rows if math.isfinite(r[0])], default=0.0)
    for judged in judge_columns(windows, now, rules).values():
        for row in range(windows.size):
            verdict, cause = judged.verdict_of(row)
            assert (verdict is Verdict.UNKNOWN) == bool(cause)
    for signal in judge_counts(windows, now, rules):
        assert 0.0 <= signal.confidence <= 1.0
        assert signal.text


def test_rows_do_not_touch_each_other() -> None:
    """A leak in the middle of a fleet is told for that instance only; a free row is nobody's."""
    windows, rules = Windows(), Rules()
    for i in range(30):
        for name in range(100):
            windows.read(f"i{name}", 5.0 * i, Reading(goroutines=300 + (40 * i if name == 57 else 0)))
    windows.gone("i3")
    (signal,) = judge_counts(windows, 145.0, rules)
    assert (signal.instance, signal.detector) == ("i57", "goroutine-trend")
