"""What is sent when, what becomes of it, and the books of that. A state machine: time comes in, no thread, no socket.

Healthy: batches of up to `batch_items`, after `linger_s` or as soon as one is full, events at once. They grow only
as far as a call has time for (ROOM), so that behind a slow one what is sent also arrives. After a failed call: a pause that doubles, then a *probe* -
a call with nothing in it, so that finding out costs no item - and once that is answered small batches that double (PROBE_ITEMS,
PACE_S): a back end that just came back is not buried by everybody's backlog.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto

from parkwarden.telemetry.reporter.overflow import WORTH_ITEMS, Overflow
from parkwarden.telemetry.reporter.queue import Entry, Lane, Queue, lane_of
from parkwarden.telemetry.reporter.records import Account, Item, Reason, Signal, Tally, total
from parkwarden.telemetry.reporter.settings import ReporterSettings
from parkwarden.telemetry.reporter.transport import Ending, Outcome

FIRST_ITEMS = 64
"""Items of the first batch of all: even a few KiB a second bring it over in time."""
PROBE_ITEMS = 8
"""Items of the first batch after an outage; each full one that is taken in time doubles it."""
ROOM = 0.8
"""What of its deadline a call may take: batches double while twice the time would be within it, and are halved beyond it."""
PACE_S = 0.05
"""Between batches until they are full size again."""
MAX_TRIES = 2
"""Calls that may have brought an item over without anybody saying so: the first, and once more."""
CLOSING_FAILURES = 2
"""Failed calls while closing after which the rest is given up: the first may have met a connection that had gone stale."""


class Job(Enum):
    SEND = auto()
    """Bring `entries` over; with none it is a probe."""
    STORE = auto()
    """Write `entries` to disk."""
    RECALL = auto()
    """Bring the oldest file on disk over."""


@dataclass(slots=True)
class Batch:
    """What the courier is asked to do. It adds the file's name (`stored`, "": there is none) and of a RECALL what it `held`."""

    signal: Signal
    entries: list[Entry] = field(default_factory=list)
    job: Job = Job.SEND
    stored: str = ""
    held: Tally = field(default_factory=Tally)


class _Sum:
    """A tally that is added to: many times a turn, so without making a new one each time."""

    __slots__ = ("bytes", "items")

    def __init__(self) -> None:
        self.items = self.bytes = 0

    def add(self, items: int, weight: int) -> None:
        self.items += items
        self.bytes += weight

    def tally(self) -> Tally:
        return Tally(self.items, self.bytes)


class Pump:
    def __init__(
        self,
        settings: ReporterSettings,
        where: str,
        random: Callable[[], float],
        heartbeat_s: float = 0.0,
        spools: bool = False,
    ) -> None:
        self._settings, self._where, self._random, self._heartbeat_s = settings, where, random, heartbeat_s
        self._overflow = Overflow() if spools else None
        self._last_call: float | None = None
        self.queue = Queue(settings.queue_items, settings.queue_bytes)
        self.under_way: Batch | None = None
        self.healthy = True
        self.trouble = ""
        self.news: list[str] = []
        """Lines to be logged, at most one a turn."""
        self._answers = True
        """Whether the probe after the last failure was answered."""
        self._failures = 0
        self._closing_failures = 0
        self._not_before = 0.0
        self._limit = min(FIRST_ITEMS, settings.batch_items)
        self._absent: dict[Signal, float] = {}
        self._accepted = {signal: _Sum() for signal in Signal}
        self._sent = {signal: _Sum() for signal in Signal}
        self._dropped: dict[tuple[Signal, Reason], _Sum] = {}
        self._requeued = 0

    # what comes in

    def accept(self, signal: Signal, item: Item, weight: int, now: float) -> None:
        self._accepted[signal].add(1, weight)
        entry = Entry(signal, item, lane_of(item), weight, now)
        if self._absent and self._absent.get(signal, 0.0) > now:
            self.drop([entry], Reason.UNIMPLEMENTED)
        else:
            if gone := self.queue.push(entry):
                self._no_room(gone)

    def turned_away(self, signal: Signal, reason: Reason, count: int) -> None:
        """Of what was not even looked at only the number is known: it weighs nothing in the account."""
        self._accepted[signal].add(count, 0)
        self._lose(signal, reason, count, 0)

    # what goes out

    def due(self, now: float, closing: bool = False, late: bool = False) -> Batch | None:
        """The next call, if it is time for one; it is under way until `ended`. `late`: there is only time for the disk."""
        if self.under_way is not None:
            return None
        over = late or (closing and self._closing_failures >= CLOSING_FAILURES)
        batch = self._store(over, closing)
        if batch is None and not over and (closing or now >= self._not_before):
            batch = self._batch(now, closing)
            self._last_call = now if batch is not None else self._last_call
        self.under_way = batch
        return batch

    def _store(self, over: bool, closing: bool) -> Batch | None:
        """What is to be written to disk: while there is time what found no room, at the end all there is."""
        if self._overflow is None:
            return None
        if over:
            self._overflow.add(self.queue.pop_all(), force=True)
        found = self._overflow.next(1 if over or closing else WORTH_ITEMS)
        return None if found is None else Batch(*found, job=Job.STORE)

    def _batch(self, now: float, closing: bool) -> Batch | None:
        absent = [signal for signal, until in self._absent.items() if until > now]
        first = self.queue.first(absent)
        if first is None or (not closing and self._answers and not self._worth(first, absent, now)):
            if self._overflow is not None and self._overflow.more and self.healthy and not closing:
                return Batch(Signal.TRACES, job=Job.RECALL)
            return Batch(Signal.TRACES) if self._beat_due(now) and not closing else None
        if not self._answers and not closing:
            return Batch(first.signal)
        return Batch(first.signal, self.queue.pop_batch(first.signal, self._limit, self._settings.batch_bytes))

    def _beat_due(self, now: float) -> bool:
        return self._heartbeat_s > 0 and (self._last_call is None or now - self._last_call >= self._heartbeat_s)

    def _worth(self, first: Entry, absent: list[Signal], now: float) -> bool:
        oldest = self.queue.oldest(absent)
        return (
            first.lane is Lane.EVENTS
            or self.queue.items >= self._limit
            or self.queue.bytes >= self._settings.batch_bytes
            or (oldest is not None and now - oldest >= self._settings.linger_s)
        )

    def ended(self, outcome: Outcome, now: float, closing: bool = False) -> None:
        """How the call that was under way ended."""
        batch, self.under_way = self.under_way, None
        if batch is None:
            return
        if batch.job is not Job.SEND:
            self._ended_on_disk(batch, outcome, now)
            return
        if not batch.entries:
            self._probed(outcome, now)
            return
        if outcome.ending is Ending.TAKEN:
            self._taken(batch, outcome, now)
            return
        if outcome.ending is Ending.ABSENT:
            self._absent[batch.signal] = now + self._settings.absent_s
            self.drop([*batch.entries, *self.queue.pop_all(batch.signal)], Reason.UNIMPLEMENTED)
            self.news.append(
                f"{self._where} takes no {batch.signal}: dropped and counted for {self._settings.absent_s:.0f} s"
            )
            return
        self._closing_failures += closing
        if outcome.ending is Ending.REJECTED:
            self.drop(batch.entries, Reason.REJECTED)
        else:
            self._again(batch.entries, outcome)
        self._fail(outcome, now)
        self._limit = max(1, len(batch.entries) // 2) if outcome.smaller else PROBE_ITEMS

    def _taken(self, batch: Batch, outcome: Outcome, now: float) -> None:
        entries = batch.entries
        for count, reason in ((outcome.not_encodable, Reason.NOT_ENCODABLE), (outcome.rejected, Reason.REJECTED)):
            kept = max(0, len(entries) - max(count, 0))
            self.drop(entries[kept:], reason)  # which ones nobody says: the last are taken for them
            entries = entries[:kept]
        for entry in entries:
            self._sent[entry.signal].add(1, entry.weight)
        if not self.healthy:
            lost = sum(tally.items for tally in self._dropped.values())
            self.news.append(f"{self._where} takes it again; {self.queue.items} queued, {lost} lost so far")
        self.healthy, self.trouble, self._failures = True, "", 0
        self._fit(len(batch.entries), now)

    def _fit(self, count: int, now: float) -> None:
        """After a call that brought so many items over: how many the next one may bring, and when."""
        took, room = now - (self._last_call or 0.0), ROOM * self._settings.call_s
        if took > room:
            self._limit = max(min(PROBE_ITEMS, self._limit), min(self._limit, count) // 2)
        elif self._limit < self._settings.batch_items:
            if 2 * took <= room and count >= self._limit:
                self._limit = min(self._limit * 2, self._settings.batch_items)
            self._not_before = now + PACE_S

    def _ended_on_disk(self, batch: Batch, outcome: Outcome, now: float) -> None:
        assert self._overflow is not None  # jobs of the disk's come from there
        if batch.job is Job.STORE:
            if outcome.ending is Ending.TAKEN:
                self._overflow.stored(batch.stored, batch.signal, batch.entries)
            else:
                self.drop(batch.entries, Reason.SPOOL)
                self.news.append(f"the spool does not take it: {outcome.trouble}")
            return
        if not batch.stored:
            self._overflow.more = False
            return
        if outcome.ending in (Ending.UNREACHED, Ending.UNSURE):
            self._fail(outcome, now)
            return
        held = self._overflow.recalled(batch.stored)
        if held is None:  # an earlier process' file, or another one's
            held = batch.held
            self._accepted[batch.signal].add(held.items, held.bytes)
        self._not_before = now + PACE_S
        if outcome.ending is Ending.TAKEN:
            lost = Tally(min(held.items, max(0, outcome.rejected) + max(0, outcome.not_encodable)))
            self._sent[batch.signal].add(held.items - lost.items, held.bytes)
            self._lose(batch.signal, Reason.REJECTED, lost.items, lost.bytes)
        else:
            absent = outcome.ending is Ending.ABSENT
            reason = Reason.UNIMPLEMENTED if absent else Reason.REJECTED
            self._lose(batch.signal, reason, held.items, held.bytes)

    def _probed(self, outcome: Outcome, now: float) -> None:
        if outcome.ending in (Ending.TAKEN, Ending.ABSENT):
            self._answers = True
        else:
            self._fail(outcome, now)

    def _again(self, entries: list[Entry], outcome: Outcome) -> None:
        unsure = outcome.ending is Ending.UNSURE
        for entry in entries:
            entry.tries += unsure
        self.drop([entry for entry in entries if entry.tries >= MAX_TRIES], outcome.give_up_as)
        back = [entry for entry in entries if entry.tries < MAX_TRIES]
        self._requeued += len(back) if unsure else 0
        self._no_room(self.queue.push_back(back))

    def _fail(self, outcome: Outcome, now: float) -> None:
        settings = self._settings
        if self.healthy:
            self.news.append(
                f"{self._where}: {outcome.trouble}; {self.queue.items} items are kept, what finds no room is dropped and counted"
            )
        self.healthy, self.trouble, self._answers = False, outcome.trouble, False
        pause = settings.backoff_s * 2 ** min(self._failures, 10)
        if outcome.after_s is not None:
            pause = max(pause, outcome.after_s)
        self._failures += 1
        self._not_before = now + min(pause, settings.backoff_max_s) * (0.8 + 0.4 * self._random())

    # the books

    def drop(self, entries: Iterable[Entry], reason: Reason) -> None:
        for entry in entries:
            self._lose(entry.signal, reason, 1, entry.weight)

    def _no_room(self, entries: list[Entry]) -> None:
        if self._overflow is not None:
            entries = self._overflow.add(entries)
        self.drop(entries, Reason.QUEUE_FULL)

    def give_up(self, reason: Reason) -> None:
        """All that is queued or under way."""
        if self.under_way is not None:
            self.drop(self.under_way.entries, reason)
            self.under_way = None
        self.drop(self.queue.pop_all(), reason)
        if self._overflow is not None:
            self.drop(self._overflow.clear(), reason)

    def _lose(self, signal: Signal, reason: Reason, items: int, weight: int) -> None:
        key = signal, reason
        if key not in self._dropped:
            self._dropped[key] = _Sum()
        self._dropped[key].add(items, weight)

    def lost(self) -> dict[tuple[Signal, Reason], Tally]:
        return {key: told.tally() for key, told in self._dropped.items()}

    def account(self) -> Account:
        queued = dict.fromkeys(Signal, Tally())
        spooled = dict.fromkeys(Signal, Tally())
        waiting = [*self.queue, *(self.under_way.entries if self.under_way else ())]
        if self._overflow is not None:
            spooled = self._overflow.spooled()
            waiting += self._overflow.waiting()
        for entry in waiting:
            queued[entry.signal] += Tally(1, entry.weight)
        return Account(
            {signal: told.tally() for signal, told in self._accepted.items()},
            {signal: told.tally() for signal, told in self._sent.items()},
            self.lost(),
            {signal: queued[signal] + spooled[signal] for signal in Signal},
            spooled=total(spooled.values()), requeued=self._requeued, healthy=self.healthy, trouble=self.trouble,
        )  # fmt: skip
