"""The columnar ring: what is kept, what begins anew, what is dropped."""

from __future__ import annotations

import math

import numpy as np
import pytest

from parkwarden.aggregate import windows as w
from parkwarden.aggregate.windows import Windows
from parkwarden.model import Instance, Reading


def filled(n: int, samples: int = 128) -> Windows:
    windows = Windows(samples)
    for i in range(n):
        windows.read("a", 5.0 * i, Reading(goroutines=i))
    return windows


def test_a_ring_keeps_the_last_samples_in_order() -> None:
    """The newest `samples` readings are there, oldest first, whether or not the ring went round."""
    for n in (0, 1, 7, 8, 9, 31):
        times, values = filled(n, samples=8).series("a", "goroutines", 1000.0)
        assert values.tolist() == list(range(n))[-8:]
        assert times.tolist() == [5.0 * v for v in values]


def test_a_series_ends_now_and_begins_after_the_window() -> None:
    """(now - window, now]: 120 s at 5 s are 24 samples; the future is not told."""
    times, _ = filled(100).series("a", "goroutines", 300.0, 120.0)
    assert (len(times), times[0], times[-1]) == (24, 185.0, 300.0)


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 31])
def test_a_block_is_several_series_beside_each_other(n: int) -> None:
    """The same times and values as each series by itself, also when the ring went round; what was never told is NaN, nobody is empty."""
    windows = filled(n, samples=8)
    times, values = windows.block("a", ["goroutines", "threads"], 100.0, 30.0)
    alone = windows.series("a", "goroutines", 100.0, 30.0)
    assert (times.tolist(), values[0].tolist()) == (alone[0].tolist(), alone[1].tolist())
    assert np.isnan(values[1]).all()
    assert windows.block("nobody", ["goroutines"], 100.0)[1].shape == (1, 0)


def test_not_told_is_nan_and_a_hole_in_the_series() -> None:
    """None becomes NaN; `last` goes back to the newest told value; an unknown instance knows nothing."""
    windows = Windows()
    windows.read("a", 1.0, Reading(goroutines=5, heap_inuse=7))
    windows.read("a", 2.0, Reading(goroutines=6))
    assert windows.last("a", "heap_inuse") == 7
    assert windows.series("a", "heap_inuse", 9.0)[0].tolist() == [1.0]
    assert math.isnan(windows.last("a", "rss"))
    assert math.isnan(windows.last("nobody", "rss"))
    assert len(windows.series("nobody", "rss", 9.0)[0]) == 0


@pytest.mark.parametrize("lie", [-1, 10**400, float("nan"), float("inf"), -0.5])
def test_absurd_numbers_are_not_told(lie: float) -> None:
    """A hostile page cannot bring overflow, infinity or negative counts into the columns."""
    windows = Windows()
    windows.read("a", 1.0, Reading(goroutines=lie, max_fds=lie))  # type: ignore[arg-type]
    assert math.isnan(windows.last("a", "goroutines"))
    assert math.isnan(windows.last("a", "max_fds"))
    windows.read("a", lie if not math.isfinite(min(lie, 1e300)) else math.inf, Reading(goroutines=1))
    assert windows.dropped == 1


def test_limits_are_kept_once() -> None:
    """Limits are remembered over readings that do not tell them, and make a constant series."""
    windows = Windows()
    windows.read("a", 1.0, Reading(max_fds=1024, gomaxprocs=4))
    windows.read("a", 2.0, Reading(goroutines=1))
    assert windows.last("a", "max_fds") == 1024
    assert windows.series("a", "gomaxprocs", 9.0)[1].tolist() == [4, 4]


def test_out_of_order_and_repeated_readings_are_dropped_and_counted() -> None:
    """Late answers cost themselves only."""
    windows = filled(5)
    windows.read("a", 20.0, Reading(goroutines=99))
    windows.read("a", 11.0, Reading(goroutines=99))
    assert windows.dropped == 2
    assert windows.last("a", "goroutines") == 4


def test_a_clock_set_back_begins_a_new_window() -> None:
    """Three older readings in a row, rising: the third is believed and the window begins anew; a single one never is."""
    windows = filled(5)
    for at in (3.0, 8.0):
        windows.read("a", at, Reading(goroutines=50))
    assert windows.dropped == 2
    windows.read("a", 13.0, Reading(goroutines=50))
    assert windows.series("a", "goroutines", 99.0)[0].tolist() == [13.0]
    assert windows.began[windows.slots["a"]] == w.STEPPED
    assert windows.lives[windows.slots["a"]] == 1


def test_late_answers_between_good_ones_are_no_clock_step() -> None:
    """Only an unbroken row of old times is a step; repeated ones say nothing."""
    windows = filled(5)
    for i in range(10):
        windows.read("a", 3.0, Reading())
        windows.read("a", 20.0, Reading())
        windows.read("a", 3.5, Reading())
        windows.read("a", 25.0 + i * 5, Reading())
    assert windows.count[windows.slots["a"]] == 15


def test_a_new_start_time_is_a_new_life() -> None:
    """Restart: window and limits cleared, life counted, memories forgotten; jitter of an exporter's start time is none."""
    windows = Windows()
    windows.started(Instance(id="a", start_time=100.0))
    windows.read("a", 105.0, Reading(goroutines=1, max_fds=9))
    windows.memory("x", 2)[:, 0] = 7
    windows.started(Instance(id="a", start_time=100.9))
    assert (windows.lives[0], windows.count[0]) == (1, 1)
    windows.started(Instance(id="a"))
    assert windows.instance(0).start_time == 100.9
    windows.started(Instance(id="a", start_time=200.0))
    assert (windows.lives[0], windows.count[0], windows.began[0]) == (2, 0, w.RESTARTED)
    assert math.isnan(windows.last("a", "max_fds"))
    assert np.isnan(windows.memory("x", 2)[:, 0]).all()


def test_a_falling_allocation_total_is_a_restart_nobody_told() -> None:
    """total_alloc only ever rises within a life."""
    windows = Windows()
    windows.read("a", 1.0, Reading(total_alloc=100))
    windows.read("a", 2.0, Reading(total_alloc=100))
    assert windows.lives[0] == 1
    windows.read("a", 3.0, Reading(total_alloc=99))
    assert (windows.lives[0], windows.count[0]) == (2, 1)


def test_gone_frees_the_row() -> None:
    """A row is used again by the next instance and knows nothing of the one before."""
    windows = filled(9)
    windows.gone("a")
    windows.gone("a")
    assert windows.slots == {}
    with pytest.raises(KeyError):
        windows.instance(0)
    windows.started(Instance(id="b"))
    assert (windows.slots["b"], windows.size, windows.count[0], windows.lives[0]) == (0, 1, 0, 1)


def test_growth_keeps_everything() -> None:
    """Doubling copies rings, limits, rows and memories."""
    windows = Windows(4)
    for i in range(300):
        windows.read(f"i{i}", 1.0, Reading(goroutines=i, gomaxprocs=i + 1))
        windows.memory("x", 1)[0, i] = i
    assert 300 <= windows.capacity < 600
    assert all(windows.last(f"i{i}", "goroutines") == i for i in range(300))
    assert all(windows.last(f"i{i}", "gomaxprocs") == i + 1 for i in range(300))
    assert windows.memory("x", 1)[0, :300].tolist() == list(range(300))


def test_room_for_those_about_to_come_is_made_once() -> None:
    """Who is there keeps what was told; those announced come without the columns being copied again; nobody new needs no room."""
    windows = filled(3)
    windows.reserve(1_000)
    capacity, columns = windows.capacity, windows.columns
    assert capacity > 1_000
    for i in range(1_000):
        windows.read(f"n{i}", 5.0, Reading(goroutines=i))
    assert windows.columns is columns
    assert windows.series("a", "goroutines", 1000.0)[1].tolist() == [0, 1, 2]
    windows.reserve(0)
    assert windows.capacity == capacity


def test_what_waits_to_be_written_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fleet's readings are written while they come, not all at once when somebody looks."""
    monkeypatch.setattr(w, "WAITING", 4)
    windows = Windows()
    for i in range(9):
        windows.read(f"n{i}", 5.0, Reading(goroutines=i))
        assert len(windows._waiting) <= 4
    assert [windows.last(f"n{i}", "goroutines") for i in range(9)] == list(range(9))


def test_too_many_instances_are_refused_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A discovery gone wild costs a counter, not the machine."""
    monkeypatch.setattr(w, "MAX_INSTANCES", 2)
    windows = Windows(4)
    for name in "abc":
        windows.started(Instance(id=name))
    windows.read("c", 1.0, Reading())
    assert (sorted(windows.slots), windows.refused) == (["a", "b"], 2)


def test_memory_per_instance() -> None:
    """At most 20 KiB per row with 128 samples."""
    assert Windows().bytes_per_instance <= 20 * 1024


def test_blocked_share_comes_with_the_next_reading() -> None:
    """From the page (Reading.blocked) or from a profile's sites; the page wins; never above 1."""
    windows = filled(1)
    windows.blocked("a", 30, 40)
    windows.blocked("nobody", 1, 1)
    windows.read("a", 10.0, Reading(goroutines=50))
    windows.read("a", 15.0, Reading(goroutines=50))
    windows.blocked("a", 1, 2)
    windows.read("a", 20.0, Reading(goroutines=50, blocked=45))
    windows.read("a", 25.0, Reading(goroutines=50, blocked=60))
    assert windows.series("a", "blocked_share", 99.0)[1].tolist() == [0.75, 0.9, 1.0]
