"""prices: the measured table and what lies between its points."""

from __future__ import annotations

import pytest

from parkwarden.collect.fleet.prices import Look, stall_s


@pytest.mark.parametrize(
    ("look", "goroutines", "expected"),
    [(Look.DUMP, 1_000, 0.013), (Look.DUMP, 10_000, 0.094), (Look.DUMP, 100_000, 0.753), (Look.LEAK, 100_000, 5.835),
     (Look.CENSUS, 10_000, 0.003), (Look.PROFILE, 1, 0.002)],
)  # fmt: skip
def test_measured_points(look: Look, goroutines: int, expected: float) -> None:
    """At the measured numbers of goroutines the measured stall is given."""
    assert stall_s(look, goroutines) == pytest.approx(expected)


@pytest.mark.parametrize("look", list(Look))
def test_a_look_never_gets_cheaper_with_more_goroutines(look: Look) -> None:
    """Between and beyond the points the price rises with the number."""
    prices = [stall_s(look, n) for n in (0, 500, 1_000, 3_000, 10_000, 50_000, 100_000, 1_000_000)]
    assert prices == sorted(prices)
