"""How long the interpreter is held: short slices where there is time, longer ones where a host would leave us behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from parkwarden.telemetry.reporter import gently as module
from parkwarden.telemetry.reporter.gently import ALONE, CALM, HURRY, HURRY_S, KEPT_S, MOST, PAUSE_S, SLICE, gently, pace


class Clock:
    """Stands for `time`: a sleep takes what was asked for and what the host keeps us waiting."""

    def __init__(self) -> None:
        self.now = self.host = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds + self.host

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    yield clock
    pace(int)


def slices(clock: Clock, count: int) -> list[int]:
    """Items between one pause and the next."""
    found: list[int] = []
    seen = len(clock.slept)
    for number, _ in enumerate(gently(range(count))):
        if len(clock.slept) > seen:
            found.append(number - sum(found))
            seen = len(clock.slept)
    return found


def test_with_little_waiting_slices_are_small_and_pauses_real(clock: Clock) -> None:
    """Also where the host keeps us waiting: there is time."""
    pace(lambda: CALM)
    clock.host = 2 * KEPT_S
    assert slices(clock, 5 * SLICE + 1) == [SLICE] * 5
    assert clock.slept == [PAUSE_S] * 5


def test_who_is_behind_hurries(clock: Clock) -> None:
    """Larger slices and pauses that are over at once, from the first pause on."""
    pace(lambda: CALM + 1)
    assert slices(clock, SLICE + 3 * HURRY + 1) == [SLICE, HURRY, HURRY, HURRY]
    assert clock.slept == [HURRY_S] * 4


def test_who_is_behind_a_host_that_lets_nobody_run_takes_more_each_time(clock: Clock) -> None:
    """Doubling up to a batch; once caught up slices are small again."""
    waiting = [CALM + 1]
    pace(lambda: waiting[0])
    clock.host = KEPT_S
    found = slices(clock, 2 * MOST + 1)
    assert found[:4] == [SLICE, 2 * SLICE, 4 * SLICE, 8 * SLICE]
    assert max(found) <= MOST
    waiting[0] = 0
    assert slices(clock, 2 * SLICE + 1) == [SLICE, SLICE]


def test_at_the_end_nobody_rests(clock: Clock) -> None:
    """Where the host only waits for us each pause would be its delay."""
    pace(lambda: ALONE)
    assert slices(clock, 3 * MOST) == []
