"""The sender: empties the outbox, a worker per channel. At least once, in order per incident, and a dead channel holds no other up.

Waiting is written down (`next_at`), not slept: a killed process goes on where it stopped. That is why no retry library is used here:
theirs keep their waiting in memory. Nothing is kept here but what is under way; the outbox is the queue.

Order: of each incident only the earliest notification that waits is tried. A channel that failed rests as a whole and is then probed
with one notification: an hour's backlog is not thrown at a receiver that is still down. Unless the receiver asked for quiet, what was
never tried is tried even then: the failure may have been one notification's own.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

import structlog

from parkwarden.act.notifier import DeliveryError, Notifier, Refreshing
from parkwarden.model import Incident, Notification
from parkwarden.store.state import Queued
from parkwarden.telemetry import Ring, Tracer

log = structlog.get_logger()

BACKOFF_S = 2.0
MAX_BACKOFF_S = 300.0
"""Between attempts: 2 s, doubled, at most 5 min (a receiver that is back after an hour is told within five minutes); each wait is
shortened by a random part of up to a half, so that channels do not knock together."""

MAX_RETRY_AFTER_S = 3_600.0
"""The longest a receiver may ask us to be quiet."""

MAX_AGE_S = 86_400.0
"""A notification that could not be delivered for a day is parked: yesterday's page helps nobody."""

WINDOW = 500
"""Waiting notifications of a channel looked at in one go: bounds memory, and is more than a minute's worth of any pace."""

IDLE_S = 5.0
"""Longest sleep of a worker: another process, or a clock that was set, is heard of this soon."""


class Outbox(Protocol):
    """What the sender needs of the outbox (run/outbox, over store/state)."""

    async def due(self, now: float, limit: int = 100, channel: str | None = None) -> list[Queued]: ...

    async def delivered(self, key: str, at: float) -> None: ...

    async def failed(self, key: str, at: float, error: str, next_at: float | None) -> None: ...


Told = Callable[[Notification, str], None]
"""Called with each notification that was delivered (error "") or given up."""


class Rest(NamedTuple):
    """How long a channel should be left alone; `firm`: the receiver asked for it."""

    seconds: float = 0.0
    firm: bool = False


class Sender:
    """See the module. `active` gives the open incidents, for channels that must be told again and again (Alertmanager)."""

    def __init__(
        self,
        outbox: Outbox,
        notifiers: Iterable[Notifier],
        clock: Callable[[], float],
        *,
        told: Told | None = None,
        active: Callable[[], Iterable[Incident]] | None = None,
        rng: Callable[[], float] = random.random,
        tracer: Tracer | None = None,
    ) -> None:
        self.outbox = outbox
        self._tracer = tracer or Tracer(Ring(segments=1), service="", instance="", rate=0.0)
        self._notifiers = {notifier.name: notifier for notifier in notifiers}
        self.clock = clock
        self._told = told or (lambda notification, error: None)
        self._active = active
        self._rng = rng
        self._workers = [_Worker(self, notifier) for notifier in self._notifiers.values()]
        self.counts: Counter[tuple[str, str]] = Counter()
        """(channel, outcome) -> deliveries: delivered, retried, parked, expired, refreshed, refresh-failed."""

    @property
    def waiting(self) -> int:
        """Notifications seen waiting when each channel was last looked at."""
        return sum(worker.waiting for worker in self._workers)

    def wake(self) -> None:
        """Something was committed: look now."""
        for worker in self._workers:
            worker.wake.set()

    async def run(self) -> None:
        """Deliver until cancelled; then the channels are closed. What is under way is cut and sent again by the next process."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._orphans())
                for worker in self._workers:
                    group.create_task(worker.run())
                for notifier in self._notifiers.values():
                    if isinstance(notifier, Refreshing) and self._active is not None:
                        group.create_task(self._refresh(notifier, notifier.name))
        finally:
            for notifier in self._notifiers.values():
                await notifier.close()

    async def deliver(self, notifier: Notifier, queued: Queued, failures: int = 0) -> Rest:
        """One attempt, its outcome written down. Whether the channel should rest; `failures`: how often in a row it has failed before."""
        n = queued.notification
        now = self.clock()
        try:
            if now - n.at > MAX_AGE_S:
                raise DeliveryError("older than a day", retry=False)
            with self._tracer.exit("deliver", notifier.name) as span:
                span.tag("incident", n.incident_id)
                async with asyncio.timeout(notifier.pace.timeout_s + 5.0):
                    await notifier.send(n)
        except DeliveryError as error:
            return await self._failed(notifier, queued, failures, error)
        except TimeoutError:
            return await self._failed(notifier, queued, failures, DeliveryError("no answer in time", retry=True))
        except Exception as error:
            # a notifier's bug costs its channel a retry, not the sender; its words may hold secrets
            log.error("a notifier failed", channel=notifier.name, error=type(error).__name__)
            return await self._failed(notifier, queued, failures, DeliveryError(type(error).__name__, retry=True))
        self.counts[notifier.name, "delivered"] += 1
        await self.outbox.delivered(n.key, self.clock())
        self._told(n, "")
        return Rest()

    async def _failed(self, notifier: Notifier, queued: Queued, failures: int, error: DeliveryError) -> Rest:
        n = queued.notification
        now = self.clock()
        if not error.retry or now - n.at > MAX_AGE_S:
            self.counts[notifier.name, "expired" if now - n.at > MAX_AGE_S else "parked"] += 1
            await self.outbox.failed(n.key, now, str(error), None)
            self._told(n, str(error))
            return Rest()
        self.counts[notifier.name, "retried"] += 1
        asked = min(error.after_s or 0.0, MAX_RETRY_AFTER_S)
        chance = self._rng()
        wait = max(backoff(max(queued.attempts, failures), chance), asked)
        await self.outbox.failed(n.key, now, str(error), now + wait)
        if not queued.attempts:  # that somebody is not told yet is news once
            self._told(n, f"{error}; it is tried again for a day")
        log.warning(
            "a notification waits", channel=notifier.name, key=n.key, error=str(error), again_in_s=round(wait, 1)
        )
        return Rest(max(backoff(failures, chance), asked), asked > 0)

    async def _orphans(self) -> None:
        """Notifications for channels that are no longer configured are parked."""
        while True:
            for queued in await self.outbox.due(self.clock(), WINDOW):
                n = queued.notification
                if n.channel not in self._notifiers:
                    self.counts["(unknown)", "parked"] += 1
                    await self.outbox.failed(n.key, self.clock(), "no such channel", None)
                    self._told(n, "no such channel")
            await asyncio.sleep(60.0)

    async def _refresh(self, notifier: Refreshing, name: str) -> None:
        while True:
            rows = list(self._active()) if self._active else []
            try:
                await notifier.refresh(rows)
                self.counts[name, "refreshed"] += 1
            except DeliveryError as error:
                self.counts[name, "refresh-failed"] += 1
                log.warning("alerts could not be refreshed", channel=name, error=str(error))
            await asyncio.sleep(notifier.refresh_s)


class _Worker:
    """One channel."""

    def __init__(self, sender: Sender, notifier: Notifier) -> None:
        self._sender = sender
        self._notifier = notifier
        self._sent: deque[float] = deque()
        self._failures = 0
        self.wake = asyncio.Event()
        self.waiting = 0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        rest, until = Rest(), 0.0
        while True:
            left = max(until - loop.time(), 0.0)
            firm = rest.firm and left > 0
            await self._sleep(left if firm else min(left or IDLE_S, IDLE_S), firm)
            learnt = await self._round(probe=rest.seconds > 0, fresh=loop.time() < until)
            if learnt is not None:
                rest, until = learnt, loop.time() + learnt.seconds

    async def _sleep(self, seconds: float, firm: bool) -> None:
        """Until something was committed or the time is over; firmly: only that."""
        try:
            async with asyncio.timeout(seconds):
                if firm:
                    await asyncio.Event().wait()
                await self.wake.wait()
        except TimeoutError:
            pass
        self.wake.clear()

    async def _round(self, probe: bool, fresh: bool) -> Rest | None:
        """Send everything that can be sent now; the rest the channel should take after it, None if nothing was learnt.

        `probe`: one first, to see whether the channel is back. `fresh`: only what was never tried: the channel rests from what
        may be one notification's fault.
        """
        learnt = None
        while True:
            now = self._sender.clock()
            waiting = await self._sender.outbox.due(now + MAX_RETRY_AFTER_S, WINDOW, self._notifier.name)
            self.waiting = len(waiting)
            ready = [q for q in heads(waiting) if q.next_at <= now and not (fresh and q.attempts)]
            ready = ready[: 1 if probe else min(self._notifier.pace.concurrency, self._room(now))]
            if not ready:
                return learnt
            rests = await asyncio.gather(*(self._sender.deliver(self._notifier, q, self._failures) for q in ready))
            self._sent.extend([now] * len(ready))
            if max(rests) > Rest():
                self._failures = self._failures + 1 if min(rests) > Rest() else 0
                return max(rests)
            self._failures, probe, fresh, learnt = 0, False, False, Rest()

    def _room(self, now: float) -> int:
        """How many more may be sent in this minute."""
        while self._sent and not 0 <= now - self._sent[0] < 60.0:
            self._sent.popleft()
        return max(self._notifier.pace.per_minute - len(self._sent), 0)


def heads(waiting: Sequence[Queued]) -> list[Queued]:
    """The earliest notification of each incident, in the order in which they are to be sent."""
    first: dict[str, Queued] = {}
    for queued in sorted(waiting, key=lambda q: (q.notification.incident.revision, q.notification.at)):
        first.setdefault(queued.notification.incident_id, queued)
    return sorted(first.values(), key=lambda q: (q.notification.incident.priority, q.next_at, q.notification.at))


def backoff(attempts: int, chance: float) -> float:
    """Seconds until the next attempt after `attempts` failed ones; `chance` in 0..1."""
    return float(min(BACKOFF_S * 2.0 ** min(attempts, 20), MAX_BACKOFF_S)) * (1.0 - chance / 2)
