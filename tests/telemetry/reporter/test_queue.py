"""What waits: within both bounds, the least valuable gone first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parkwarden.telemetry.reporter import Severity, Signal
from parkwarden.telemetry.reporter.queue import Entry, Lane, Queue, lane_of, weigh
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
