"""Descriptors by kind over time."""

from __future__ import annotations

from parkwarden.aggregate.descriptors import SAMPLES, DescriptorWindows
from parkwarden.model import Descriptors, Instance


def now_open(windows: DescriptorWindows, instance: str, now: float) -> dict[str, int]:
    """The newest counts by kind."""
    _, kinds = windows.series(instance, now)
    return {kind: int(counts[-1]) for kind, counts in kinds.items() if counts[-1]}


def test_counts_are_told_by_kind_oldest_first() -> None:
    """A kind that is absent has none at that time; kinds never open are not told."""
    windows = DescriptorWindows()
    windows.counted(Descriptors(1.0, "a", {"pipe": 3}))
    windows.counted(Descriptors(2.0, "a", {"pipe": 4, "socket": 1}))
    times, kinds = windows.series("a", 10.0)
    assert times.tolist() == [1.0, 2.0]
    assert {kind: counts.tolist() for kind, counts in kinds.items()} == {"pipe": [3.0, 4.0], "socket": [0.0, 1.0]}
    assert now_open(windows, "a", 10.0) == {"pipe": 4, "socket": 1}
    assert windows.series("a", 10.0, window_s=8.5)[0].tolist() == [2.0]
    assert now_open(windows, "b", 10.0) == {}


def test_the_ring_keeps_the_newest() -> None:
    """After more looks than it holds, the window is the last ones in their order."""
    windows = DescriptorWindows()
    for t in range(SAMPLES + 10):
        windows.counted(Descriptors(float(t), "a", {"pipe": t}))
    times, kinds = windows.series("a", 1e9)
    assert times.tolist() == [float(t) for t in range(10, SAMPLES + 10)]
    assert kinds["pipe"].tolist() == times.tolist()


def test_another_life_begins_anew_and_what_is_late_is_dropped() -> None:
    """A restart empties the window; a look not newer than the last is counted as dropped."""
    windows = DescriptorWindows()
    windows.started(Instance(id="a", start_time=1.0))
    windows.counted(Descriptors(5.0, "a", {"pipe": 9}))
    windows.counted(Descriptors(5.0, "a", {"pipe": 10}))
    assert windows.dropped == 1
    windows.started(Instance(id="a", start_time=100.0))
    assert now_open(windows, "a", 1e9) == {}
    windows.counted(Descriptors(101.0, "a", {"pipe": 1, "made-up": 2}))
    assert now_open(windows, "a", 1e9) == {"pipe": 1, "other": 2}
    windows.gone("a")
    assert now_open(windows, "a", 1e9) == {}
