"""What a reporter says about itself: little, and nobody waits for it."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from parkwarden.telemetry.reporter import Reason, Signal, Tally
from parkwarden.telemetry.reporter.noise import Noise


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 5), st.integers(0, 9)), max_size=60))
def test_no_minute_has_more_lines_than_it_may(turns: list[tuple[float, int, int]]) -> None:
    """Whatever happens and however often."""
    now, said, lost = 0.0, [], 0
    noise = Noise(6, lambda: now, lambda line: said.append(now))
    for pause, news, more in turns:
        now += pause
        lost += more
        noise.say(["news"] * news, {(Signal.LOGS, Reason.QUEUE_FULL): Tally(lost)})
        noise.last({})
    assert all(sum(at - 60 < other <= at for other in said) <= 6 for at in said)


def test_losses_are_summed_up_once_a_minute() -> None:
    """A thousand drops are one line after a minute, the next minute's another, with what is new."""
    now, said = 0.0, []
    noise = Noise(6, lambda: now, said.append)
    for second in range(121):
        now = float(second)
        noise.say([], {(Signal.TRACES, Reason.QUEUE_FULL): Tally(10 * (second + 1))})
        while noise._writing is not None and noise._writing.is_alive():
            noise._writing.join()
    assert said == [f"telemetry: dropped: traces queue_full {count}" for count in (610, 600)]


def test_what_a_back_end_does_not_take_is_said_once() -> None:
    """When it is met, by a line of its own: the sums leave it out, the account does not."""
    said: list[str] = []
    noise = Noise(6, lambda: 0.0, said.append)
    noise.last({(Signal.TRACES, Reason.UNIMPLEMENTED): Tally(9)})
    assert said == []
    noise.last({(Signal.TRACES, Reason.UNIMPLEMENTED): Tally(10), (Signal.TRACES, Reason.EXIT): Tally(2)})
    assert said == ["telemetry: dropped: traces exit 2"]


def test_a_log_that_blocks_holds_up_nobody() -> None:
    """A pipe nobody reads: the line waits on a thread of its own, and there is never a second one."""
    stuck, entered = threading.Event(), []

    def block(line: str) -> None:
        entered.append(line)
        stuck.wait()

    noise = Noise(6, lambda: 0.0, block)
    before = threading.active_count()
    for _ in range(5):
        noise.say(["news"], {})
    noise.last({})
    assert len(entered) == 1
    assert threading.active_count() == before + 1
    stuck.set()


def test_a_log_that_raises_is_swallowed() -> None:
    """The host's handlers may be anything."""

    def fail(line: str) -> None:
        raise RuntimeError(line)

    noise = Noise(6, lambda: 0.0, fail)
    noise.say(["news"], {})
    noise.last({})
    assert noise._writing is not None
