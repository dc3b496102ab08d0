"""The host's side: bounded, counted, and one append each."""

from __future__ import annotations

import threading

from parkwarden.telemetry.reporter import Reason, Signal
from parkwarden.telemetry.reporter.inbox import LARGE_ITEMS, SMALL_BYTES, SMALL_ITEMS, Inbox
from tests.telemetry.reporter.things import log


def test_both_lines_are_bounded_and_what_is_turned_away_is_counted() -> None:
    """With nobody taking out of it, an inbox stops at its bounds; each refusal is counted once."""
    inbox = Inbox()
    for weight, most in ((SMALL_BYTES, SMALL_ITEMS), (SMALL_BYTES + 1, LARGE_ITEMS)):
        for _ in range(most + 3):
            inbox.put(Signal.LOGS, log(), weight)
    waiting, away = inbox.waiting()
    assert len(waiting) == SMALL_ITEMS + LARGE_ITEMS
    assert away == inbox.turned_away() == {(Signal.LOGS, Reason.INBOX_FULL): 6}
    assert inbox.turned_away() == {}


def test_nothing_is_lost_between_threads() -> None:
    """What eight threads put in while a ninth takes out is taken or counted, each once."""
    inbox, each, taken, done = Inbox(), 5_000, 0, threading.Event()

    def put() -> None:
        for _ in range(each):
            inbox.put(Signal.LOGS, log(), 1)

    def wait_for(threads: list[threading.Thread]) -> None:
        for thread in threads:
            thread.join()
        done.set()

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    threading.Thread(target=wait_for, args=(threads,)).start()
    while not done.is_set() or inbox.waiting()[0]:
        while inbox.take() is not None:
            taken += 1
    assert taken + sum(inbox.turned_away().values()) == 8 * each


def test_ringing_wakes_and_never_raises() -> None:
    """However often, and before anybody waits."""
    inbox = Inbox()
    for _ in range(3):
        inbox.ring()
    inbox.wait(10.0)
    inbox.ring()
    inbox.wait(10.0)
    waiting = threading.Thread(target=inbox.wait, args=(10.0,))
    waiting.start()
    while waiting.is_alive():
        inbox.ring()
    assert not waiting.is_alive()
