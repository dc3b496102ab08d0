"""The reporter as its host meets it: with threads, forks, log capture, and transports that misbehave."""

from __future__ import annotations

import gc
import logging
import os
import signal as signals
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from parkwarden.telemetry import Tracer
from parkwarden.telemetry.reporter import (
    Account,
    Ending,
    LogRecord,
    Outcome,
    Reason,
    Reporter,
    ReporterSettings,
    Signal,
    Transport,
)
from parkwarden.telemetry.reporter.logs import LogCapture
from parkwarden.telemetry.reporter.noise import LOGGER
from parkwarden.telemetry.reporter.records import Item, Tally, total
from parkwarden.telemetry.reporter.settings import MAX_ITEM_BYTES
from tests.telemetry.reporter.things import TAKEN, UNREACHED, Scripted, log, point, segment

QUICK = ReporterSettings(linger_s=0.0, close_s=5.0)


@pytest.fixture
def made() -> Iterator[Any]:
    """Makes reporters, and closes them."""
    reporters: list[Reporter] = []

    def make(transport: Transport, settings: ReporterSettings = QUICK) -> Reporter:
        reporters.append(Reporter(transport, settings))
        return reporters[-1]

    yield make
    for reporter in reporters:
        reporter.close(0.0)


class Stuck(Scripted):
    """Hangs in each call until it is aborted, or for good."""

    def __init__(self, heeds: bool) -> None:
        super().__init__()
        self.heeds, self.entered, self.free = heeds, threading.Event(), threading.Event()

    def send(self, signal: Signal, items: Sequence[Item], deadline: float) -> Outcome:
        self.entered.set()
        (self.aborted if self.heeds else self.free).wait()
        return UNREACHED


def lost(account: Account) -> dict[str, int]:
    found: Counter[str] = Counter()
    for (_, reason), tally in account.dropped.items():
        found[str(reason)] += tally.items
    return dict(found)


def test_all_that_is_handed_in_is_sent(made: Any) -> None:
    """By signal; closing waits for it, and closing again says the same."""
    transport = Scripted()
    reporter = made(transport)
    for number in range(100):
        reporter.take(segment(str(number)))
        reporter.log(log(str(number)))
        reporter.metrics([point(number)])
    account = reporter.close()
    assert account.balanced()
    assert {one: account.sent[one].items for one in Signal} == dict.fromkeys(Signal, 100)
    assert len(transport.items()) == 300
    assert reporter.close() == account


def test_nothing_happens_before_the_first_item(made: Any) -> None:
    """No thread, no call; closing costs nothing."""
    before = threading.active_count()
    transport = Scripted()
    reporter = made(transport)
    assert threading.active_count() == before
    assert reporter.close().balanced()
    assert transport.got == []


@pytest.mark.parametrize("heeds", [True, False])
def test_a_call_that_hangs_does_not_hold_up_the_end(made: Any, heeds: bool) -> None:
    """Whether it can be ended or not: closing takes what it was given, and all is accounted for."""
    transport = Stuck(heeds)
    reporter = made(transport)
    reporter.log(log())
    assert transport.entered.wait(10)
    began = time.monotonic()
    account = reporter.close(0.1)
    assert time.monotonic() - began < 1.0
    assert account.balanced()
    assert lost(account) == {"exit": 1}
    transport.free.set()


def test_a_call_that_never_comes_back_is_left_behind(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its batch is tried again by another thread; the one that hangs is aborted."""
    monkeypatch.setattr("parkwarden.telemetry.reporter.reporter.OVERDUE_S", 0.0)
    transport = Stuck(heeds=False)
    reporter = made(transport, ReporterSettings(linger_s=0.0, call_s=0.05, backoff_s=0.01))
    reporter.log(log())
    assert transport.aborted.wait(10)
    transport.send = Scripted().send  # type: ignore[method-assign]
    account = reporter.account()
    while account.sent[Signal.LOGS] == Tally():
        account = reporter.account()
        assert account.balanced()
        assert lost(account) == {}
    assert account.requeued == 1
    transport.free.set()


def test_the_books_balance_while_threads_hand_in_and_calls_fail(made: Any) -> None:
    """Asked at any moment, from any thread."""
    answers = [TAKEN, Outcome(Ending.UNSURE, "x"), UNREACHED, Outcome(Ending.REJECTED, "x")]
    calls = iter(range(10**9))
    transport = Scripted(lambda signal, items: answers[next(calls) % 4])
    reporter = made(transport, ReporterSettings(linger_s=0.0, backoff_s=0.001, backoff_max_s=0.001, queue_items=200))

    def work() -> None:
        for number in range(3_000):
            reporter.log(log(str(number)))
            reporter.metrics([point(number)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert reporter.account().balanced()
    account = reporter.close()
    assert account.balanced()
    assert total(account.accepted.values()).items == 4 * 3_000 * 2


def test_what_cannot_be_taken_is_counted_and_nothing_raises(made: Any) -> None:
    """Too large, not what it says it is, a value that raises, an iterable that raises, after closing."""

    class Bad:
        def __str__(self) -> str:
            raise RuntimeError

    def broken() -> Iterator[Any]:
        yield point()
        raise RuntimeError

    reporter = made(Scripted())
    reporter.take(segment(spans=MAX_ITEM_BYTES // 300))
    reporter.log(LogRecord(0.0, 9, "", "", {"x": Bad()}))  # type: ignore[dict-item]
    reporter.log("no record")
    reporter.metrics(broken())
    reporter.metrics(None)
    reporter.close()
    reporter.log(log())
    account = reporter.account()
    assert account.balanced()
    assert lost(account) == {"too_large": 1, "not_encodable": 4, "closed": 1}
    assert account.sent[Signal.METRICS].items == 1


def test_what_a_reporter_says_is_not_reported(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its logger captured by itself, everything full, each call failing loudly: its own lines are none of its items."""
    said: list[str] = []

    class Loud(Scripted):
        def send(self, signal: Signal, items: Sequence[Item], deadline: float) -> Outcome:
            logging.getLogger("h2.connection").warning("from within a call")
            reporter.log(log("by the courier itself"))
            raise RuntimeError("broke")

    root = logging.getLogger()
    reporter = made(Loud(), ReporterSettings(linger_s=0.0, queue_items=1, backoff_s=0.001, backoff_max_s=0.001))
    capture = LogCapture(reporter)
    monkeypatch.setattr(logging.getLogger(LOGGER), "propagate", True)
    root.addHandler(capture)
    spy = logging.Handler()
    spy.emit = lambda record: said.append(record.name)  # type: ignore[method-assign]
    root.addHandler(spy)
    try:
        for number in range(500):
            logging.getLogger("shop").error("line %d", number)
        while LOGGER not in said or "h2.connection" not in said:
            reporter.log(log())
            time.sleep(0)
        account = reporter.close()
    finally:
        root.removeHandler(capture)
        root.removeHandler(spy)
    assert account.balanced()
    assert 0 < said.count(LOGGER) <= 6
    assert account.dropped[Signal.LOGS, Reason.OWN].items > 0


def test_a_captured_line_keeps_what_it_says_and_not_an_errors_message(made: Any) -> None:
    """Severity, logger, place, and of an exception its type."""
    transport = Scripted()
    reporter = made(transport)
    logger = logging.Logger("shop")
    logger.addHandler(LogCapture(reporter))
    try:
        raise ValueError("password=secret")
    except ValueError:
        logger.exception("order %s", 7)
    logger.debug("not taken")
    logger.error("%d", "no number")
    reporter.close()
    [record] = transport.items()
    assert isinstance(record, LogRecord)
    assert (record.severity, record.body) == (17, "order 7")
    assert record.attributes["exception.type"] == "ValueError"
    assert "secret" not in str(record)


def test_a_finalizer_or_signal_that_reports_does_not_deadlock(made: Any) -> None:
    """Collections and signals in the middle of handing in, which hand in themselves."""
    reporter = made(Scripted())
    told = iter(range(10**9))

    class Cyclic:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            next(told)
            reporter.log(log("finalizer"))

    def handler(*_: object) -> None:
        next(told)
        reporter.log(log("signal"))

    was = signals.signal(signals.SIGALRM, handler)
    signals.setitimer(signals.ITIMER_REAL, 0.0005, 0.0005)
    threshold = gc.get_threshold()
    gc.set_threshold(5)
    try:
        for number in range(2_000):
            Cyclic()
            reporter.log(log(str(number)))
    finally:
        gc.set_threshold(*threshold)
        signals.setitimer(signals.ITIMER_REAL, 0)
        signals.signal(signals.SIGALRM, was)
    gc.collect()
    account = reporter.close()
    assert account.balanced()
    assert total(account.accepted.values()).items == 2_000 + next(told)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_begins_with_empty_books_and_sends_its_own(made: Any) -> None:
    """The parent's items are the parent's; the child has its own threads, also when a lock was held while it was forked."""
    transport = Scripted()
    reporter = made(transport, ReporterSettings(linger_s=60.0))
    for _ in range(10):
        reporter.log(log("parent"))
    while reporter.account().accepted[Signal.LOGS].items < 10:
        time.sleep(0)
    with reporter._lock:
        pid = os.fork()
        if pid == 0:
            began = total(reporter.account().accepted.values())
            reporter.log(log("child"))
            account = reporter.close()
            right = began == Tally() and account.balanced() and account.sent[Signal.LOGS].items == 1
            right = right and [getattr(item, "body", "") for item in transport.items()] == ["child"]
            os._exit(0 if right else 1)
    _, status = os.waitpid(pid, 0)
    assert status == 0
    assert reporter.close().sent[Signal.LOGS].items == 10


def test_a_reporter_is_a_tracers_sink_and_does_not_trace_itself(made: Any) -> None:
    """Spans begun on its threads end in it as its own."""
    transport = Scripted()
    reporter = made(transport)
    tracer = Tracer(reporter, service="s", instance="i", rate=1.0)
    ended = threading.Event()

    class Traced(Scripted):
        def send(self, signal: Signal, items: Sequence[Item], deadline: float) -> Outcome:
            with tracer.exit("POST", "there"):
                pass
            ended.set()
            return TAKEN

    transport.send = Traced().send  # type: ignore[method-assign]
    with tracer.entry("GET /"):
        pass
    assert ended.wait(10)
    account = reporter.close()
    assert account.sent[Signal.TRACES].items == 1
    assert account.dropped[Signal.TRACES, Reason.OWN].items == 1
