"""The search for cycles comes back when the last one who wanted it seldom is done."""

from __future__ import annotations

import gc
import threading

import pytest

from parkwarden.run.seldom import COLLECT_AFTER, seldom_collected


def _fail() -> None:
    with seldom_collected():
        raise ValueError


def test_two_threads_at_once_and_an_error_leave_it_as_it_was() -> None:
    """Whoever is first out does not end it for the other, and the last one brings back what was."""
    before = gc.get_threshold()
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with seldom_collected():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with seldom_collected():
        thread.start()
        inside.wait(10)
    assert gc.get_threshold()[0] == COLLECT_AFTER
    with pytest.raises(ValueError):
        _fail()
    assert gc.get_threshold()[0] == COLLECT_AFTER
    leave.set()
    thread.join()
    assert gc.get_threshold() == before
