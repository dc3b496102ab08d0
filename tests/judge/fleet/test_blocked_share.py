"""blocked-share (A3): the share of blocked goroutines jumps above its own mean, a reason to look."""

from __future__ import annotations

import pytest

from parkwarden.aggregate.windows import Windows
from parkwarden.judge.fleet import blocked_share
from parkwarden.judge.fleet.blocked_share import BlockedRule
from parkwarden.model import Reading, Verdict
from tests.judge.fleet.rings import one

RULE = BlockedRule()


def verdict(windows: Windows, now: float) -> tuple[Verdict, str]:
    return blocked_share.judge(windows, now, RULE).verdict_of(0)


@pytest.mark.parametrize(
    ("total", "before", "after", "expected"),
    [
        (1000, 500, 700, Verdict.OK),  # exactly 0.2 more
        (1000, 500, 701, Verdict.SUSPECT),
        (100, 40, 90, Verdict.SUSPECT),  # exactly 50 more
        (100, 41, 90, Verdict.OK),  # 49 more
    ],
)
def test_at_the_numbers_and_one_step_below(total: int, before: int, after: int, expected: Verdict) -> None:
    """More than 20 points and at least 50 goroutines."""
    windows, now = one(goroutines=[total] * 5, blocked=[before] * 4 + [after])
    assert verdict(windows, now)[0] is expected


def test_the_mean_is_frozen_until_the_share_falls_back() -> None:
    """Held while up, let go half-way down; then it may jump again."""
    windows, now = one(goroutines=[1000] * 4, blocked=[500] * 4)
    seen = []
    for i, blocked in enumerate([900, 900, 650, 601, 599, 500, 900], 1):
        windows.read("a", now + 5 * i, Reading(goroutines=1000, blocked=blocked))
        seen.append(verdict(windows, now + 5 * i)[0] is Verdict.SUSPECT)
    assert seen == [True, True, True, True, False, False, True]


def test_a_share_that_stays_up_becomes_the_mean_after_a_while() -> None:
    """hold_s is the end of a suspicion nothing else confirmed."""
    windows, now = one(goroutines=[1000] * 4, blocked=[500] * 4)
    fired = [now + 5.0 * i for i in range(1, 400) if _read(windows, now + 5.0 * i, 900) is Verdict.SUSPECT]
    assert fired[0] == now + 5.0
    assert fired[-1] == now + 5.0 + RULE.hold_s


def _read(windows: Windows, at: float, blocked: int) -> Verdict:
    windows.read("a", at, Reading(goroutines=1000, blocked=blocked))
    return verdict(windows, at)[0]


def test_slow_ticks_see_what_fast_ones_see() -> None:
    """Each reading is taken in once and in order, whenever the judge comes by."""
    shares = [500, 510, 480, 505, 520, 900, 880, 870]
    fast, now = one(goroutines=[1000], blocked=[500])
    verdict(fast, now)
    for i, blocked in enumerate(shares[1:], 1):
        _read(fast, 5.0 * i, blocked)
    slow, now = one(goroutines=[1000] * 8, blocked=shares)
    a, b = blocked_share.judge(fast, now, RULE), blocked_share.judge(slow, now, RULE)
    assert a.numbers.tolist() == b.numbers.tolist()
    assert a["since_s"][0] == 25.0


def test_from_profiles_on_a_slow_beat() -> None:
    """A share told by sites every 60 s travels with the next reading; between two beats nothing is missing."""
    windows = Windows()
    seen = []
    for i in range(60):
        t = 5.0 * i
        if i % 12 == 0:
            windows.blocked("a", 950 if t >= 240 else 500, 1000)
        windows.read("a", t, Reading(goroutines=1000))
        seen.append(verdict(windows, t)[0])
    assert seen[0] is Verdict.UNKNOWN
    assert seen[47] is Verdict.OK
    assert seen[48] is Verdict.SUSPECT


def test_unknown_with_a_cause() -> None:
    """Not told, too few before, nothing of late."""
    assert verdict(*one(goroutines=[5] * 9)) == (Verdict.UNKNOWN, "the number is not told")
    assert verdict(*one(goroutines=[5] * 2, blocked=[5] * 2)) == (Verdict.UNKNOWN, "too few samples")
    windows, now = one(goroutines=[5] * 9, blocked=[5] * 9)
    assert verdict(windows, now)[0] is Verdict.OK
    assert verdict(windows, now + 151) == (Verdict.UNKNOWN, "a gap in the readings")
