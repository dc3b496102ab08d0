"""The probe of B7: its exact numbers, one step on either side of each."""

from __future__ import annotations

import pytest

from parkwarden.judge.fleet.event_loop_health import MIB, EventLoopRule, State, run, signals, state
from parkwarden.judge.fleet.gc_pressure import GcPressureRule
from parkwarden.model import Verdict
from tests.judge.fleet.rings import one

RULE = EventLoopRule()
WARN = (3001.0, 100.0 * MIB + 1)


@pytest.mark.parametrize(
    ("fds", "heap", "expected"),
    [
        (3000, 100 * MIB + 1, State.FINE),
        (3001, 100 * MIB, State.FINE),
        (3001, 100 * MIB + 1, State.WARN),
        (5000, 200 * MIB + 1, State.WARN),
        (5001, 200 * MIB, State.WARN),
        (5001, 200 * MIB + 1, State.STUCK),
    ],
)
def test_all_comparisons_are_strict(fds: float, heap: float, expected: State) -> None:
    """More than 3,000 and more than 100 MiB warn; more than 5,000 and more than 200 MiB are stuck; exactly that is neither."""
    assert state(fds, heap, 0, False, RULE)[0] is expected


@pytest.mark.parametrize(
    ("before", "hard", "expected"), [(1, True, State.WARN), (2, True, State.CRITICAL), (2, False, State.WARN)]
)
def test_the_third_warn_in_a_row_is_critical_while_the_collector_runs_hard(
    before: int, hard: bool, expected: State
) -> None:
    """Two are not enough, and three without the collector are not either."""
    assert state(*WARN, before, hard, RULE)[0] is expected


def at(*readings: tuple[float, float, float], hard: bool = True) -> tuple[State, int]:
    return run(readings, hard, RULE)


def test_one_reading_below_ends_the_row() -> None:
    """Two WARNs, one below, two WARNs: still a WARN."""
    row = [(0.0, *WARN), (5.0, *WARN), (10.0, 3000.0, WARN[1]), (15.0, *WARN), (20.0, *WARN)]
    assert at(*row) == (State.WARN, 2)
    assert at(*row, (25.0, *WARN)) == (State.CRITICAL, 3)


def test_a_hole_ends_the_row() -> None:
    """Half a minute without readings is no row; one lost reading is."""
    assert at((0.0, *WARN), (5.0, *WARN), (36.0, *WARN)) == (State.WARN, 1)
    assert at((0.0, *WARN), (5.0, *WARN), (15.0, *WARN)) == (State.CRITICAL, 3)


def test_readings_within_one_beat_count_once() -> None:
    """Three WARNs within three seconds are one beat of the probe."""
    assert at((0.0, *WARN), (1.0, *WARN), (2.0, *WARN)) == (State.WARN, 1)


def test_a_row_without_both_numbers_says_nothing() -> None:
    """Descriptors alone are no state of the loop."""
    windows, now = one(open_fds=[9000] * 10)
    assert signals(windows, now, RULE, GcPressureRule()) == []


def test_what_has_always_been_so_large_is_told_to_nobody() -> None:
    """6,000 descriptors and 300 MiB that stand, with a calm collector: the size of that service, below what is told; never more than tight."""
    windows, now = one(open_fds=[6000] * 40, heap_inuse=[300 * MIB] * 40)
    (said,) = signals(windows, now, RULE, GcPressureRule())
    assert (said.verdict, said.confidence) == (Verdict.TIGHT, 0.7)
    windows, now = one(open_fds=[4000 + 100 * i for i in range(40)], heap_inuse=[300 * MIB] * 40)
    (said,) = signals(windows, now, RULE, GcPressureRule())
    assert (said.verdict, said.confidence) == (Verdict.TIGHT, 0.9)


def test_old_readings_say_nothing_about_now() -> None:
    """After half a minute of silence there is no state."""
    windows, now = one(open_fds=[6000] * 5, heap_inuse=[300 * MIB] * 5)
    assert signals(windows, now + 30, RULE, GcPressureRule()) != []
    assert signals(windows, now + 31, RULE, GcPressureRule()) == []
