"""goroutine-excess (A3): more than GOMAXPROCS x 100, a reason to look."""

from __future__ import annotations

import pytest

from parkwarden.judge.fleet import goroutine_excess
from parkwarden.judge.fleet.goroutine_excess import ExcessRule
from parkwarden.model import Verdict
from tests.judge.fleet.rings import one

RULE = ExcessRule()


@pytest.mark.parametrize(("goroutines", "expected"), [(400, Verdict.OK), (401, Verdict.SUSPECT)])
def test_at_its_number_and_a_step_above(goroutines: int, expected: Verdict) -> None:
    """Strictly more than 100 per processor; told with low confidence and never as a leak."""
    windows, now = one(goroutines=[goroutines], gomaxprocs=[4])
    judged = goroutine_excess.judge(windows, now, RULE)
    assert judged.verdict_of(0)[0] is expected
    for signal in goroutine_excess.signals(windows, judged):
        assert (signal.count, signal.verdict) == (401, Verdict.SUSPECT)
        assert signal.confidence < 0.3


def test_the_newest_told_reading_counts() -> None:
    """A reading that did not tell the count is stepped over, one too old is not."""
    windows, now = one(goroutines=[900, None], gomaxprocs=[4, None])
    assert goroutine_excess.judge(windows, now, RULE).verdict_of(0)[0] is Verdict.SUSPECT
    assert goroutine_excess.judge(windows, now + 26, RULE).verdict_of(0) == (Verdict.UNKNOWN, "the number is not told")
    assert goroutine_excess.judge(windows, now + 31, RULE).verdict_of(0) == (Verdict.UNKNOWN, "a gap in the readings")


def test_without_gomaxprocs_nothing_is_known() -> None:
    """A limit nobody told is not guessed."""
    windows, now = one(goroutines=[90_000])
    assert goroutine_excess.judge(windows, now, RULE).verdict_of(0) == (Verdict.UNKNOWN, "the number is not told")
