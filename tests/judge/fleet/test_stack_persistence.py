"""A5: count and persistence, at the numbers and one step below; both sets of thresholds."""

from __future__ import annotations

import pytest

from parkwarden.judge.fleet.rules import Rules
from parkwarden.judge.fleet.stack_persistence import SET_A, SET_B, PersistenceRule
from parkwarden.model import Verdict
from tests.judge.fleet.places_cases import fed, said


def _counts(high: int, low: int, share: int) -> dict[float, int]:
    """Ten looks, the last `share` of them high."""
    return {60.0 * (k + 1): high if k >= 10 - share else low for k in range(10)}


@pytest.mark.parametrize(
    ("rule", "count", "looks", "fires"),
    [
        (SET_B, 50, 7, True), (SET_B, 50, 6, False), (SET_B, 49, 10, False),
        (SET_A, 80, 5, True), (SET_A, 80, 4, False), (SET_A, 79, 10, False),
    ],
)  # fmt: skip
def test_both_thresholds_at_the_number_and_one_below(
    rule: PersistenceRule, count: int, looks: int, fires: bool
) -> None:
    """Set B: 50 in 7 of 10 looks; set A: 80 in 5 of 10; one goroutine or one look less is silent."""
    counts = _counts(count, 3, looks)
    sites = fed(lambda at: {"s": counts[at]}, 60.0, 601.0)
    found = said(sites, 601.0, "stack-persistence", Rules(persistence=rule))
    assert bool(found) == fires
    if fires:
        assert found[0].verdict is Verdict.SUSPECT  # never more: a standing pool looks like that
        assert found[0].confidence < 0.5
        assert found[0].count == count


def test_fewer_looks_than_asked_are_not_judged() -> None:
    """Nine looks are too little data, however many goroutines."""
    assert not said(fed(lambda at: {"s": 500}, 60.0, 541.0), 541.0, "stack-persistence")
    assert said(fed(lambda at: {"s": 500}, 60.0, 601.0), 601.0, "stack-persistence")


def test_two_sets_side_by_side_share_nothing() -> None:
    """One SiteWindows judged under both sets gives each its own answer, also when asked again."""
    sites = fed(lambda at: {"s": 60}, 60.0, 601.0)
    for _ in range(2):
        assert not said(sites, 601.0, "stack-persistence", Rules(persistence=SET_A))
        assert said(sites, 601.0, "stack-persistence", Rules(persistence=SET_B))
