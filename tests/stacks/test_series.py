"""Growth and `since` over a series of counts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.stacks.series import ALL_PAIRS_UP_TO, growth_per_min, since


@given(st.integers(2, 3 * ALL_PAIRS_UP_TO), st.integers(-50, 50), st.integers(0, 1000))
def test_a_straight_line_has_its_slope(size: int, slope: int, start: int) -> None:
    """Exact on a line, for few snapshots (all pairs) and for many (pairs half the series apart)."""
    counts = np.array([[start + slope * i for i in range(size)]], dtype=np.int64)
    growth = growth_per_min(counts, [30.0 * i for i in range(size)])
    assert growth is not None
    assert abs(growth[0] - 2 * slope) < 1e-9


def test_unknown_and_equal_times_are_left_out() -> None:
    """Snapshots without a time, or of the same moment, tell no rate."""
    counts = np.array([[1, 500, 3]], dtype=np.int64)
    growth = growth_per_min(counts, [0.0, None, 60.0])
    assert growth is not None
    assert growth.tolist() == [2.0]
    assert growth_per_min(counts, [None, None, 60.0]) is None
    assert growth_per_min(counts, [60.0, 60.0, 60.0]) is None


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_from_since_on_nothing_fell(counts: list[int]) -> None:
    """Every count from there on is at least the one before; the snapshot before it was higher, or had none."""
    at = since(counts, [float(i) for i in range(len(counts))])
    if at is None:
        assert len(counts) == 1 or counts[-2] > counts[-1] or counts[-2] == 0
        return
    i = int(at)
    assert all(a <= b for a, b in zip(counts[i:], counts[i + 1 :], strict=False))
    assert i == 0 or counts[i - 1] > counts[i] or counts[i - 1] == 0
