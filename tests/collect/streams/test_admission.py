"""How much is taken from senders."""

from __future__ import annotations

from parkwarden.collect.streams.admission import BURST_S, MAX_RETRY_S, MAX_UNDER_WAY, Admission


def test_points_beyond_the_rate_are_refused_with_a_time_to_come_back() -> None:
    """A burst is taken, the rest told when there is room; what is refused is not paid for."""
    now = [0.0]
    admission = Admission(lambda: now[0], points_per_s=100)
    assert admission.refusal(int(100 * BURST_S)) == 0
    wait = admission.refusal(150)
    assert wait == 1.5
    now[0] += wait
    assert admission.refusal(150) == 0


def test_a_message_larger_than_the_burst_is_taken_alone() -> None:
    """It would wait for ever otherwise; what comes after it waits, but is never told to wait longer than MAX_RETRY_S."""
    now = [0.0]
    admission = Admission(lambda: now[0], points_per_s=100)
    assert admission.refusal(100_000) == 0
    assert admission.refusal(1) == MAX_RETRY_S
    now[0] += 2_000
    assert admission.refusal(1) == 0


def test_bytes_under_way_are_bounded_and_given_back() -> None:
    """One message always may; a second only within the limit."""
    admission = Admission(lambda: 0.0)
    with admission.room(MAX_UNDER_WAY + 1) as first:
        assert first
        with admission.room(1) as second:
            assert not second
    with admission.room(1) as first, admission.room(MAX_UNDER_WAY - 1) as second, admission.room(1) as third:
        assert (first, second, third) == (True, True, False)
