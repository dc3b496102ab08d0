"""heap-jump (A2): +30 % and > 2 MiB between two samples, safe on a zero base."""

from __future__ import annotations

import pytest

from parkwarden.aggregate.windows import Windows
from parkwarden.judge.fleet import heap_jump
from parkwarden.judge.fleet.heap_jump import HeapJumpRule
from parkwarden.model import Reading, Verdict
from tests.judge.fleet.rings import one

RULE = HeapJumpRule()
MIB = 1 << 20


def verdict(windows: Windows, now: float) -> tuple[Verdict, str]:
    return heap_jump.judge(windows, now, RULE).verdict_of(0)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (10 * MIB, 13 * MIB, Verdict.SUSPECT),  # +30 %
        (10 * MIB, 13 * MIB - 1, Verdict.OK),  # a byte short of it
        (4 * MIB, 6 * MIB, Verdict.OK),  # +50 %, exactly 2 MiB
        (4 * MIB, 6 * MIB + 1, Verdict.SUSPECT),  # a byte more
        (1000 * MIB, 1299 * MIB, Verdict.OK),  # many bytes, small share
        (13 * MIB, 10 * MIB, Verdict.OK),
    ],
)
def test_both_numbers_and_one_step_below(before: int, after: int, expected: Verdict) -> None:
    """Each number alone is not enough."""
    assert verdict(*one(heap_inuse=[before, before, after]))[0] is expected


def test_heap_alloc_where_in_use_is_not_told() -> None:
    """The next best number, never a mixture of both."""
    windows, now = one(heap_alloc=[10 * MIB, 20 * MIB])
    (signal,) = heap_jump.signals(windows, heap_jump.judge(windows, now, RULE))
    assert signal.numbers["from_heap_alloc"] == 1
    assert "allocated heap jumped from 10.0 to 20.0 MiB (+100%)" in signal.text
    windows, now = one(heap_alloc=[1 * MIB, None], heap_inuse=[None, 20 * MIB])
    assert verdict(windows, now) == (Verdict.UNKNOWN, "too few samples")


def test_a_zero_base() -> None:
    """A lone zero is a hole in the page: unknown. Two in a row are a base: > 2 MiB above is a jump, without a share."""
    assert verdict(*one(heap_inuse=[0, 9 * MIB])) == (Verdict.UNKNOWN, "the base is a lone zero")
    assert verdict(*one(heap_inuse=[8 * MIB, 0, 9 * MIB])) == (Verdict.UNKNOWN, "the base is a lone zero")
    assert verdict(*one(heap_inuse=[0, 0, 2 * MIB]))[0] is Verdict.OK
    windows, now = one(heap_inuse=[0, 0, 2 * MIB + 1])
    (signal,) = heap_jump.signals(windows, heap_jump.judge(windows, now, RULE))
    assert "growth_share" not in signal.numbers
    assert verdict(*one(heap_inuse=[0, 0, 0])) == (Verdict.OK, "")


def test_unknown_with_a_cause() -> None:
    """One sample, a hole between two, nothing of late, nothing told."""
    assert verdict(*one(heap_inuse=[MIB])) == (Verdict.UNKNOWN, "too few samples")
    windows, now = one(every_s=61.0, heap_inuse=[MIB, 90 * MIB])
    assert verdict(windows, now) == (Verdict.UNKNOWN, "a gap in the readings")
    assert verdict(*one(goroutines=[1, 1])) == (Verdict.UNKNOWN, "the number is not told")
    windows, now = one(heap_inuse=[MIB, MIB])
    assert verdict(windows, now + 61.0) == (Verdict.UNKNOWN, "a gap in the readings")


def test_a_jump_between_two_ticks_is_seen() -> None:
    """Ticks may be slower than readings: every pair since the last tick is looked at."""
    windows, now = one(heap_inuse=[10 * MIB] * 3)
    assert verdict(windows, now)[0] is Verdict.OK
    for i, value in enumerate((20, 20, 21), 1):
        windows.read("a", now + 5 * i, Reading(heap_inuse=value * MIB))
    assert verdict(windows, now + 15)[0] is Verdict.SUSPECT


def test_the_base_is_frozen_while_the_heap_stays_up() -> None:
    """Told until it falls back under the numbers, or for hold_s; after a collection with more confidence."""
    windows, now = one(heap_inuse=[10 * MIB, 20 * MIB], num_gc=[5, 5])
    (before,) = heap_jump.signals(windows, heap_jump.judge(windows, now, RULE))
    windows.read("a", now + 5, Reading(heap_inuse=19 * MIB, num_gc=6))
    (after,) = heap_jump.signals(windows, heap_jump.judge(windows, now + 5, RULE))
    assert after.confidence > before.confidence
    assert after.since == before.since == now
    windows.read("a", now + 10, Reading(heap_inuse=12 * MIB, num_gc=7))
    assert verdict(windows, now + 10)[0] is Verdict.OK
    windows.read("a", now + 15, Reading(heap_inuse=15 * MIB, num_gc=7))
    assert verdict(windows, now + 15)[0] is Verdict.OK  # +25 % on the sample before


def test_a_heap_that_stays_up_is_told_for_a_while_only() -> None:
    """After hold_s a new level is a level."""
    windows, now = one(heap_inuse=[10 * MIB, 20 * MIB])
    seen = []
    for i in range(200):
        at = now + 5.0 * i
        windows.read("a", at, Reading(heap_inuse=20 * MIB))
        seen.append(verdict(windows, at)[0])
    assert seen[180] is Verdict.SUSPECT
    assert seen[181] is Verdict.OK
