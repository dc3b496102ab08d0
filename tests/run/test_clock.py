"""The clock that judging runs on."""

from __future__ import annotations

import pytest

from parkwarden.run.clock import SteadyClock


class Times:
    def __init__(self) -> None:
        self.wall, self.mono = 1_000_000.0, 50.0

    def clock(self) -> SteadyClock:
        return SteadyClock(lambda: self.wall, lambda: self.mono)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.mono += seconds


@pytest.mark.parametrize("step", [3600.0, -3600.0, 2.5, -2.5])
def test_a_step_of_the_wall_clock_is_told_once_and_taken_over(step: float) -> None:
    """A jump does not show in `now` until it is asked for; then it is told with its size, and only once."""
    times = Times()
    clock = times.clock()
    times.passes(10.0)
    times.wall += step
    assert clock.now() == pytest.approx(1_000_010.0)
    assert clock.jumped() == pytest.approx(step)
    assert clock.now() == pytest.approx(1_000_010.0 + step)
    assert clock.jumped() == 0.0


def test_drift_is_no_jump_and_never_runs_backwards() -> None:
    """Half a second of drift is taken over forward, ignored backward."""
    times = Times()
    clock = times.clock()
    times.wall += 0.5
    assert clock.jumped() == 0.0
    assert clock.now() == pytest.approx(1_000_000.5)
    times.wall -= 1.0
    assert clock.jumped() == 0.0
    assert clock.now() == pytest.approx(1_000_000.5)
