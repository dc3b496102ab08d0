"""A reporter: takes segments, log records and metric points, and brings them to a back end without ever harming its host.

    reporter = Reporter(OtlpGrpc(Target(host="collector", port=4317), Origin("shop", "shop-1")))
    tracer = Tracer(reporter, service="shop", instance="shop-1")
    reporter.log(LogRecord(time.time(), Severity.ERROR, "", "out of stock"))
    ...
    reporter.close()          # or leave it to the interpreter's end

What is handed in lands in an inbox by one append (telemetry/reporter/inbox.py). Two threads, begun with the first item, do the
rest: the *keeper* counts, bounds, decides and logs, and never touches the network; the *courier* makes one call at a time. A
call that outlives its deadline costs a courier, nothing else.

Host processes may be plain, asyncio, or fork: a child begins with empty books and threads of its own. `os._exit` and SIGKILL
(SIGTERM, too, where nobody handles it) end a process without a word: what is queued in memory is then lost.
"""

from __future__ import annotations

import atexit
import sys
import threading
import time
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from random import random as _random

from parkwarden.telemetry.forks import heed_forks
from parkwarden.telemetry.reporter.gently import ALONE, PAUSE_S, pace
from parkwarden.telemetry.reporter.inbox import Inbox
from parkwarden.telemetry.reporter.noise import Noise, own_thread
from parkwarden.telemetry.reporter.pump import Batch, Job, Pump
from parkwarden.telemetry.reporter.queue import weigh
from parkwarden.telemetry.reporter.records import (
    Account,
    Item,
    LogRecord,
    MetricPoint,
    Reason,
    Signal,
    Tally,
    clean_log,
    clean_point,
)
from parkwarden.telemetry.reporter.settings import MAX_ITEM_BYTES, ReporterSettings
from parkwarden.telemetry.reporter.spool import Spool
from parkwarden.telemetry.reporter.transport import Ending, Outcome, Transport
from parkwarden.telemetry.segment import Segment

TURN_S = 0.1
"""How often the keeper looks into the inbox: ten times a second costs a thousandth of a core."""
AT_ONCE = 32
"""Items the keeper counts before it lets others have the books, and the interpreter: some 50 µs."""
SHARE = 4
"""Or this part of what waits, if that is more: a host that never lets go of the interpreter is kept up with."""
OVERDUE_S = 1.0
"""Beyond its deadline (and after being aborted) a call has this long to come back; then its courier is left alone for good."""
MAX_COURIERS = 3
"""Threads that may hang; beyond, calls wait in the last one's line (and are overdue again) until one comes back."""
SPOOL_S = 0.5
"""Of the time for closing, what is kept for writing to disk, where there is a spool."""
ENDING_S = 0.1
"""For the threads to end after the time for closing is over."""


class Reporter:
    """See the module. All methods are safe on any thread, in signal handlers and finalizers; none raises, logs or waits, but `close`."""

    def __init__(
        self,
        transport: Transport,
        settings: ReporterSettings | None = None,
        *,
        spool: Spool | None = None,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = _random,
    ) -> None:
        self._transport = transport
        self._settings = settings or ReporterSettings()
        self._clock, self._random = clock, random
        self._spool = spool
        self._fresh()
        heed_forks(self)
        atexit.register(self.close)

    def _fresh(self) -> None:
        """Empty books, no threads."""
        self._inbox = Inbox()
        self._lock = threading.RLock()
        transport = self._transport
        self._pump = Pump(
            self._settings, transport.where, self._random, transport.heartbeat_s, spools=self._spool is not None
        )
        self._noise = Noise(self._settings.lines_per_minute, self._clock)
        self._not_begun = threading.Lock()
        self._keeper: threading.Thread | None = None
        self._calls: SimpleQueue[tuple[Batch, float] | None] = SimpleQueue()
        self._outcomes: SimpleQueue[Outcome] = SimpleQueue()
        self._couriers: list[threading.Thread] = []
        self._overdue_at: float | None = None
        self._close_at: float | None = None
        self._send_until = 0.0
        self._closed = False

    # the host's side

    def take(self, segment: Segment) -> None:
        """A finished segment: a reporter is a tracer's sink."""
        self._put(Signal.TRACES, lambda: segment)

    def log(self, record: LogRecord) -> None:
        self._put(Signal.LOGS, lambda: clean_log(record))

    def metrics(self, points: Iterable[MetricPoint]) -> None:
        try:
            for point in points:
                self._put(Signal.METRICS, lambda point=point: clean_point(point))  # type: ignore[misc]
        except Exception:  # the iterable is the host's
            self._inbox.turn_away(Signal.METRICS, Reason.NOT_ENCODABLE)

    def _put(self, signal: Signal, made: Callable[[], Item]) -> None:
        if self._closed or own_thread():
            self._inbox.turn_away(signal, Reason.CLOSED if self._closed else Reason.OWN)
            return
        try:
            item = made()
            weight = weigh(item)
        except Exception:
            self._inbox.turn_away(signal, Reason.NOT_ENCODABLE)
            return
        if weight > MAX_ITEM_BYTES:
            self._inbox.turn_away(signal, Reason.TOO_LARGE)
            return
        self._inbox.put(signal, item, weight)
        if self._keeper is None:
            self._begin()

    def _begin(self) -> None:
        """The threads, once; where none can be had now, with a later item."""
        if not self._not_begun.acquire(blocking=False):
            return
        try:
            keeper = threading.Thread(target=self._keep, name="parkwarden-reporter", daemon=True)
            keeper.start()
            self._keeper = keeper
        except RuntimeError:  # no more threads; or the interpreter is ending
            self._not_begun.release()

    def account(self) -> Account:
        with self._lock:
            account = self._pump.account()
            waiting, away = self._inbox.waiting()
        accepted, queued, dropped = dict(account.accepted), dict(account.queued), dict(account.dropped)
        for signal, _, weight in waiting:
            accepted[signal] += Tally(1, weight)
            queued[signal] += Tally(1, weight)
        for (signal, reason), count in away.items():
            accepted[signal] += Tally(count)
            dropped[signal, reason] = dropped.get((signal, reason), Tally()) + Tally(count)
        return Account(
            accepted, account.sent, dropped, queued,
            spooled=account.spooled, requeued=account.requeued, healthy=account.healthy, trouble=account.trouble,
        )  # fmt: skip

    def close(self, timeout_s: float | None = None) -> Account:
        """Send what is queued, for `timeout_s` at most (default: settings.close_s), and give up the rest. Again: the same account."""
        atexit.unregister(self.close)
        now = self._clock()
        limit = self._settings.close_s if timeout_s is None else timeout_s
        sending = limit - (SPOOL_S if self._spool is not None else 0.0)
        if not self._pump.healthy:
            sending = min(sending, self._settings.close_down_s)
        if self._close_at is None:
            self._send_until = now + sending
            self._close_at = now + (limit if self._spool is not None else sending)
        self._closed = True
        keeper = self._keeper
        if keeper is not None and keeper is not threading.current_thread():
            self._inbox.ring()
            keeper.join(max(0.0, self._close_at - now))
            if keeper.is_alive():
                self._transport.abort()
                self._inbox.ring()
                keeper.join(ENDING_S)
        if self._lock.acquire(timeout=ENDING_S):
            try:
                self._settle()
                self._pump.give_up(Reason.EXIT)
            finally:
                self._lock.release()
        self._noise.last(self._pump.lost())
        return self.account()

    # the keeper's

    def _keep(self) -> None:
        own_thread(True)
        self._hire()  # now: while the interpreter ends no thread may be begun
        done = False
        while not done:
            more = False
            try:
                done, more = self._turn()
            except Exception as error:  # a fault of ours must not end the counting
                self._noise.say([f"a fault of the reporter's own: {type(error).__name__}: {error}"[:200]], {})
            if more:
                time.sleep(PAUSE_S)  # whoever waits for the books or the interpreter
            elif not done:
                self._inbox.wait(TURN_S)
        self._calls.put(None)

    def _turn(self) -> tuple[bool, bool]:
        """One look at everything; whether all is done, and whether more waits to be counted."""
        self._hear()
        more = self._settle(max(AT_ONCE, len(self._inbox) // SHARE))
        now = self._clock()
        closing = self._close_at is not None
        with self._lock:
            if closing and now >= (self._close_at or 0.0):
                return True, False
            batch = self._pump.due(now, closing, late=closing and now >= self._send_until)
            idle = batch is None and self._pump.under_way is None
            lost, news = self._pump.lost(), self._pump.news
            self._pump.news = []
        self._noise.say(news, lost)
        if batch is not None:
            self._send(batch, now)
        return closing and idle and not more, more

    def _send(self, batch: Batch, now: float) -> None:
        self._couriers = [courier for courier in self._couriers if courier.is_alive()]
        if not self._couriers and not self._hire():
            with self._lock:
                self._pump.ended(Outcome(Ending.UNREACHED, "no thread to be had"), now, self._close_at is not None)
            return
        deadline = now + self._settings.call_s
        if self._close_at is not None:
            deadline = min(deadline, self._close_at if batch.job is Job.STORE else self._send_until)
        self._overdue_at = deadline + OVERDUE_S
        self._calls.put((batch, deadline))

    def _hire(self) -> bool:
        """A courier, if there is a thread to be had."""
        self._calls, self._outcomes = SimpleQueue(), SimpleQueue()
        courier = threading.Thread(
            target=self._carry, args=(self._calls, self._outcomes), name="parkwarden-courier", daemon=True
        )
        try:
            courier.start()
        except RuntimeError:
            return False
        self._couriers.append(courier)
        return True

    def _settle(self, most: int = 0) -> bool:
        """Count what is in the inbox (`most` items of it at a time) and queue it; whether there may be more."""
        with self._lock:
            now = self._clock()
            for (signal, reason), count in self._inbox.turned_away().items():
                self._pump.turned_away(signal, reason, count)
            taken = 0
            while not most or taken < most:
                found = self._inbox.take()
                if found is None:
                    return False
                self._pump.accept(*found, now)
                taken += 1
            return True

    def _hear(self) -> None:
        """How the call that was under way ended; of one that does not come back, that it did not."""
        now = self._clock()
        closing = self._close_at is not None
        try:
            outcome = self._outcomes.get_nowait()
        except Empty:
            if self._overdue_at is None or now < (self._send_until if self._to_be_cut() else self._overdue_at):
                return
            outcome = Outcome(Ending.UNSURE, "a call did not come back")
            self._abandon()
        self._overdue_at = None
        with self._lock:
            self._pump.ended(outcome, now, closing)

    def _to_be_cut(self) -> bool:
        """Whether the call under way keeps the courier from writing what is left to disk."""
        batch = self._pump.under_way
        return (
            self._close_at is not None and self._spool is not None and batch is not None and batch.job is not Job.STORE
        )

    def _abandon(self) -> None:
        """Leave a courier that hangs (in a name's look-up, for which there is no deadline) to itself, and begin another."""
        self._transport.abort()
        self._calls.put(None)
        if len(self._couriers) < MAX_COURIERS:
            self._hire()

    # the courier's

    def _carry(self, calls: SimpleQueue[tuple[Batch, float] | None], outcomes: SimpleQueue[Outcome]) -> None:
        own_thread(True)
        pace(self._behind)
        while (call := calls.get()) is not None:
            batch, deadline = call
            try:
                outcome = self._job(batch, deadline)
            except Exception as error:
                outcome = Outcome(Ending.UNSURE, f"{type(error).__name__}: {error}"[:200])
            outcomes.put(outcome)
            self._inbox.ring()

    def _behind(self) -> int:
        """Items that wait."""
        return ALONE if self._closed else len(self._inbox) + self._pump.queue.items

    def _job(self, batch: Batch, deadline: float) -> Outcome:
        items = [entry.item for entry in batch.entries]
        if batch.job is Job.SEND or self._spool is None:
            return self._transport.send(batch.signal, items, deadline)
        if batch.job is Job.STORE:
            batch.stored = self._spool.store(batch.signal, items)
            return Outcome(Ending.TAKEN)
        stored = self._spool.oldest()
        if stored is None:
            return Outcome(Ending.TAKEN)
        batch.signal, batch.stored = stored.signal, stored.path.name
        batch.held = Tally(len(stored.items), sum(weigh(item) for item in stored.items))
        taken = False
        try:
            outcome = self._transport.send(stored.signal, stored.items, deadline)
            taken = outcome.ending not in (Ending.UNREACHED, Ending.UNSURE)
        finally:
            (self._spool.done if taken else self._spool.release)(stored)
        return outcome

    def forked(self) -> None:
        """In a forked child: what the parent took is the parent's to tell; threads are not there; its lock may be held for ever."""
        self._transport.forked()
        self._fresh()
        if util := sys.modules.get("multiprocessing.util"):  # its children end without the interpreter's own end
            util.register_after_fork(self, _close_with_process)


def _close_with_process(reporter: Reporter) -> None:
    """In a child of multiprocessing, once it is one: close as the last of what it does at its end."""
    sys.modules["multiprocessing.util"].Finalize(None, reporter.close, exitpriority=-1)
