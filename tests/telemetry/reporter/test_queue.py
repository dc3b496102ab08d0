"""What waits: within both bounds, the least valuable gone first."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from parkwarden.telemetry import FinishedSpan, Segment, SpanKind
from parkwarden.telemetry.reporter import LogRecord, MetricKind, MetricPoint, Severity, Signal
from parkwarden.telemetry.reporter.queue import Entry, Lane, Queue, lane_of, weigh
from parkwarden.telemetry.reporter.records import Item, clean_log, clean_point
from tests.telemetry.reporter.things import log, point, segment

ENTRIES = st.lists(st.tuples(st.sampled_from(Lane), st.sampled_from(Signal), st.integers(1, 50)), max_size=60)


def entry(lane: Lane, signal: Signal, weight: int, since: float) -> Entry:
    return Entry(signal, log(), lane, weight, since)


@given(ENTRIES, st.integers(1, 10), st.integers(10, 200))
def test_both_bounds_hold_and_what_goes_is_worth_least(
    told: list[tuple[Lane, Signal, int]], max_items: int, max_bytes: int
) -> None:
    """After each push: within items and bytes; whatever had to go is worth no more than anything kept, oldest first within a lane."""
    queue = Queue(max_items, max_bytes)
    kept: list[Entry] = []
    for since, (lane, signal, weight) in enumerate(told):
        kept.append(one := entry(lane, signal, weight, float(since)))
        for gone in queue.push(one):
            assert (gone.lane, gone.since) == min((other.lane, other.since) for other in kept)
            kept.remove(gone)
        assert queue.items == len(kept) <= max_items
        assert queue.bytes == sum(other.weight for other in kept) <= max_bytes
        assert sorted(map(id, queue)) == sorted(map(id, kept))


@given(ENTRIES, st.integers(1, 20), st.integers(1, 200))
def test_a_batch_is_the_most_valuable_of_its_signal(
    told: list[tuple[Lane, Signal, int]], items: int, weight: int
) -> None:
    """In order of value and age, within both bounds (but at least one); pushed back it is as it was."""
    queue = Queue(1_000, 10_000)
    for since, (lane, signal, size) in enumerate(told):
        queue.push(entry(lane, signal, size, float(since)))
    before = list(queue)
    first = queue.first()
    assert (first is None) == (not told)
    if first is None:
        return
    order = sorted((e for e in before if e.signal is first.signal), key=lambda e: (-e.lane, e.since))
    batch = queue.pop_batch(first.signal, items, weight)
    assert batch == order[: len(batch)]
    assert 1 <= len(batch) <= items
    assert len(batch) == 1 or sum(e.weight for e in batch) <= weight
    assert queue.items == len(before) - len(batch)
    assert queue.push_back(batch) == []
    assert list(queue) == before


def test_the_order_of_value() -> None:
    """Incidents outlive errors, these warnings, these numbers, these what is merely told."""
    order = [
        log(severity=Severity.INFO), segment(), point(), log(severity=Severity.WARN), segment(error=True),
        log(severity=Severity.ERROR), log(severity=Severity.INFO, event="parkwarden.incident"),
    ]  # fmt: skip
    assert [lane_of(item) for item in order] == [
        Lane.DETAIL, Lane.DETAIL, Lane.NUMBERS, Lane.WARNINGS, Lane.TROUBLE, Lane.TROUBLE, Lane.EVENTS,
    ]  # fmt: skip


@given(st.text(max_size=500))
def test_a_weight_is_never_below_what_its_texts_hold(text: str) -> None:
    """Wide letters weigh four bytes each."""
    assert weigh(log(text)) >= len(text.encode("utf-8", "surrogatepass"))


def test_a_weight_is_no_less_than_memory_holds() -> None:
    """By tracemalloc, of ordinary items that share nothing but their keys; and not thrice as much either."""
    made: dict[str, Callable[[int], Item]] = {
        "segment": lambda i: _traced(i),
        "log": lambda i: clean_log(
            LogRecord(float(i), 9, "", f"order {i}", {"logger.name": f"shop.{i}", "n": i + 10**6})
        ),
        "point": lambda i: clean_point(
            MetricPoint(f"m{i}", "1", MetricKind.GAUGE, i / 7, float(i), 0.0, {"n": i + 10**6})
        ),
    }
    kept = []
    tracemalloc.start()
    try:
        for make in made.values():
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            kept.append(items := [make(i) for i in range(500)])
            held = tracemalloc.get_traced_memory()[0] - before
            assert held <= sum(map(weigh, items)) <= 3 * held
    finally:
        tracemalloc.stop()


def _traced(number: int) -> Segment:
    span = FinishedSpan(
        0, -1, SpanKind.ENTRY, f"GET /cart/{number}", f"db-{number}:5432", number / 7, number / 3, False,
        (("http.route", f"/cart/{number}"), ("user", f"u{number}")), (), (),
    )  # fmt: skip
    return Segment(f"{number:032x}", f"{number + 1:032x}", "shop", "shop-1", (span, replace(span, span_id=1)))
