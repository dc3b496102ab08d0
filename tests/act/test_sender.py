"""The sender, on virtual time, over an outbox in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.act.notifier import DeliveryError
from parkwarden.act.sender import MAX_BACKOFF_S, MAX_RETRY_AFTER_S, Sender, backoff, heads
from parkwarden.act.settings import Pace
from parkwarden.model import Incident, Notification
from parkwarden.store.state import Queued
from parkwarden.telemetry import Ring, Tracer
from tests.act.build import FakeOutbox, incident, note
from tests.act.virtual import run

NEVER = 1e9


class Fake:
    """A channel that fails until `back_at`, takes `slow_s`, and writes down what it was asked."""

    def __init__(
        self,
        name: str = "hook",
        *,
        error: DeliveryError | Exception | None = None,
        back_at: float = NEVER,
        slow_s: float = 0.0,
    ) -> None:
        self.name = name
        self.pace = Pace(concurrency=2, per_minute=60, timeout_s=10.0)
        self.error, self.back_at, self.slow_s = error, back_at, slow_s
        self.asked: list[tuple[float, str]] = []
        self.under_way = self.most = 0
        self.closed = False

    async def send(self, n: Notification) -> None:
        now = asyncio.get_running_loop().time()
        self.asked.append((round(now, 3), n.key))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self.slow_s)
            if self.error is not None and now < self.back_at:
                raise self.error
        finally:
            self.under_way -= 1

    async def close(self) -> None:
        self.closed = True


def deliver(
    outbox: FakeOutbox,
    *channels: Fake,
    for_s: float = 60.0,
    told: Callable[[Notification, str], None] | None = None,
    tracer: Tracer | None = None,
) -> Sender:
    """Run a sender for a while of virtual time."""

    async def main() -> Sender:
        sender = Sender(outbox, channels, asyncio.get_running_loop().time, told=told, rng=lambda: 0.0, tracer=tracer)
        sender.wake()
        with suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                await sender.run()
        return sender

    return run(main())


def test_delivers_once_and_says_so() -> None:
    """What a receiver took is marked delivered, counted, told, and not sent again."""
    told: list[tuple[str, str]] = []
    hook = Fake()
    outbox = FakeOutbox(note(), note("i2"))
    sender = deliver(outbox, hook, told=lambda n, error: told.append((n.key, error)))
    assert sorted(key for _, key in hook.asked) == ["i1.1.hook", "i2.1.hook"]
    assert sorted(told) == [("i1.1.hook", ""), ("i2.1.hook", "")]
    assert sender.counts == {("hook", "delivered"): 2}
    assert hook.closed


def test_each_attempt_is_a_span() -> None:
    """Its peer is the channel; one that failed is an error."""
    spans = Ring()
    deliver(
        FakeOutbox(note()),
        Fake(error=DeliveryError("503", retry=True), back_at=1.0),
        tracer=Tracer(spans, service="parkwarden", instance="x"),
    )
    found = [span for segment in spans.drain() for span in segment.spans]
    assert [(span.name, span.peer, span.error) for span in found] == [
        ("deliver", "hook", True),
        ("deliver", "hook", False),
    ]
    assert found[0].tags == (("incident", "i1"),)


def test_a_dead_channel_holds_no_other_up() -> None:
    """One channel hangs, one refuses everything; the third is told at once."""
    outbox = FakeOutbox(*(note(f"i{i}", channel=name) for i in range(5) for name in ("hangs", "down", "fine")))
    fine = Fake("fine")
    deliver(outbox, Fake("hangs", slow_s=NEVER), Fake("down", error=DeliveryError("503", retry=True)), fine)
    assert len(fine.asked) == 5
    assert all(at == 0 for at, _ in fine.asked)


def test_backs_off_and_recovers_by_itself() -> None:
    """A webhook that is down for an hour is asked ever more rarely, and told within five minutes of its return."""
    hook = Fake(error=DeliveryError("no", retry=True), back_at=3600.0)
    outbox = FakeOutbox(*(note(f"i{i}") for i in range(50)))
    deliver(outbox, hook, for_s=4200.0)
    before = [at for at, _ in hook.asked if at < 3600]
    assert len(before) < 50 + 20
    assert len(outbox.done) == 50
    assert next(at for at, _ in hook.asked if at >= 3600) <= 3600 + MAX_BACKOFF_S


def test_a_backlog_is_not_thrown_at_a_receiver_that_is_back() -> None:
    """After an hour away it is told what waits no faster than its pace, each once."""
    hook = Fake(error=DeliveryError("no", retry=True), back_at=3600.0)
    outbox = FakeOutbox(*(note(f"i{i}") for i in range(200)))
    deliver(outbox, hook, for_s=4500.0)
    after = [at for at, _ in hook.asked if at >= 3600]
    assert len(after) == len(outbox.done) == 200
    assert all(sum(start <= at < start + 60 for at in after) <= hook.pace.per_minute for start in after)
    assert hook.most <= hook.pace.concurrency


def test_that_somebody_is_not_told_yet_is_news_once() -> None:
    """A receiver that is down is told about at the first attempt and when it took the notification, not at each of many."""
    told: list[str] = []
    outbox = FakeOutbox(note())
    hook = Fake(error=DeliveryError("503", retry=True), back_at=30.0)
    deliver(outbox, hook, told=lambda _, error: told.append(error), for_s=120.0)
    assert len(hook.asked) > 2
    assert told == ["503; it is tried again for a day", ""]


def test_retry_after_is_honoured_within_reason() -> None:
    """A receiver may ask for quiet, at most an hour of it."""
    hook = Fake(error=DeliveryError("429", retry=True, after_s=100.0), back_at=50.0)
    deliver(FakeOutbox(note()), hook, for_s=300.0)
    assert [at for at, _ in hook.asked] == [0.0, 100.0]
    rude = Fake(error=DeliveryError("429", retry=True, after_s=1e9), back_at=50.0)
    deliver(FakeOutbox(note()), rude, for_s=2 * MAX_RETRY_AFTER_S)
    assert [at for at, _ in rude.asked] == [0.0, MAX_RETRY_AFTER_S]


def test_permanent_failures_are_parked() -> None:
    """What can never be taken is tried once, parked with its reason, and holds nothing up."""
    told: list[tuple[str, str]] = []
    hook = Fake(error=DeliveryError("host answered 400", retry=False), back_at=0.5)
    outbox = FakeOutbox(note(), note("i1", revision=2, at=10.0))
    sender = deliver(outbox, hook, told=lambda n, error: told.append((n.key, error)))
    assert outbox.rows["i1.1.hook"].parked
    assert told == [("i1.1.hook", "host answered 400"), ("i1.2.hook", "")]
    assert sender.counts["hook", "parked"] == 1


def test_order_per_incident_is_kept_over_failures() -> None:
    """A later word about an incident waits until the earlier one has been taken."""

    class Picky(Fake):
        async def send(self, n: Notification) -> None:
            await super().send(n)
            if n.key == "i1.1.hook" and len(self.asked) < 4:
                raise DeliveryError("not yet", retry=True)

    hook = Picky()
    outbox = FakeOutbox(note(), note(revision=2), note(revision=3), note("i2"))
    deliver(outbox, hook)
    mine = [key for key in outbox.done if key.startswith("i1")]
    assert mine == ["i1.1.hook", "i1.2.hook", "i1.3.hook"]
    assert outbox.done[0] == "i2.1.hook"


def test_one_poisoned_notification_does_not_slow_the_rest() -> None:
    """A body that a receiver always fails on is retried on its own; new ones go out within seconds."""

    class Allergic(Fake):
        async def send(self, n: Notification) -> None:
            await super().send(n)
            if n.incident_id == "bad":
                raise DeliveryError("500", retry=True)

    outbox = FakeOutbox(note("bad"), *(note(f"i{i}", at=600.0 + i) for i in range(20)))
    deliver(outbox, Allergic(), for_s=700.0)
    late = [q.delivered_at - q.notification.at for q in outbox.rows.values() if q.delivered_at is not None]
    assert len(late) == 20
    assert max(late) <= 10


def test_concurrency_and_rate_are_limited() -> None:
    """At most `concurrency` at once and `per_minute` in a minute; nothing is lost."""
    hook = Fake(slow_s=0.1)
    outbox = FakeOutbox(*(note(f"i{i}") for i in range(100)))
    deliver(outbox, hook, for_s=150.0)
    assert hook.most == 2
    assert sum(at < 60 for at, _ in hook.asked) == 60
    assert len(outbox.done) == 100


def test_urgent_ones_go_first() -> None:
    """A backlog is told by priority."""
    from parkwarden.model import Priority

    outbox = FakeOutbox(note("slow", priority=Priority.P3), note("now", priority=Priority.P0))
    queued = list(outbox.rows.values())
    assert [q.notification.incident_id for q in heads(queued)] == ["now", "slow"]


def test_a_bug_in_a_notifier_costs_a_retry_and_tells_no_secret() -> None:
    """An unexpected exception is retried; of its words, which may hold a URL, nothing is kept."""
    hook = Fake(error=RuntimeError("https://token@host"))
    outbox = FakeOutbox(note())
    deliver(outbox, hook, for_s=10.0)
    assert outbox.rows["i1.1.hook"].attempts >= 2
    assert outbox.rows["i1.1.hook"].error == "RuntimeError"


def test_yesterdays_news_and_unknown_channels_are_parked() -> None:
    """Nothing waits for ever: too old, or for a channel that is no longer there."""
    hook = Fake()
    outbox = FakeOutbox(note(at=-90_000.0), note("i2", channel="removed"))
    sender = deliver(outbox, hook)
    assert hook.asked == []
    assert {q.error for q in outbox.rows.values()} == {"older than a day", "no such channel"}
    assert sender.counts == {("hook", "expired"): 1, ("(unknown)", "parked"): 1}


def test_a_kill_in_the_middle_sends_again_under_the_same_key() -> None:
    """Sent but not written down: the next process sends it again, with the same key; nothing else twice."""
    outbox = FakeOutbox(note(), note("i2"))
    first = Fake(slow_s=5.0)
    deliver(outbox, first, for_s=2.0)
    second = Fake()
    deliver(outbox, second)
    assert sorted(key for _, key in second.asked) == ["i1.1.hook", "i2.1.hook"]
    third = Fake()
    deliver(outbox, third)
    assert third.asked == []


def test_what_is_active_is_told_again_and_again() -> None:
    """A channel that refreshes is given the open incidents each time, and its failure stops nothing."""
    seen: list[float] = []

    class Manager(Fake):
        refresh_s = 60.0

        async def refresh(self, incidents: list[Incident]) -> None:
            seen.append(asyncio.get_running_loop().time())
            assert [row.id for row in incidents] == ["i1"]
            if len(seen) == 2:
                raise DeliveryError("away", retry=True)

    async def main() -> Sender:
        sender = Sender(FakeOutbox(), [Manager()], asyncio.get_running_loop().time, active=lambda: [incident()])
        with suppress(TimeoutError):
            async with asyncio.timeout(200):
                await sender.run()
        return sender

    sender = run(main())
    assert seen == [0.0, 60.0, 120.0, 180.0]
    assert sender.counts == {("hook", "refreshed"): 3, ("hook", "refresh-failed"): 1}


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_backoff_is_bounded(attempts: int, chance: float) -> None:
    """Every wait lies between one second and five minutes."""
    assert 1.0 <= backoff(attempts, chance) <= MAX_BACKOFF_S


@pytest.mark.parametrize("count", [0, 3])
def test_waiting_is_known(count: int) -> None:
    """How many wait is told for /metrics."""
    outbox = FakeOutbox(*(note(f"i{i}") for i in range(count)))
    sender = deliver(outbox, Fake(error=DeliveryError("no", retry=True)), for_s=1.0)
    assert sender.waiting == count
    assert all(isinstance(q, Queued) for q in outbox.rows.values())
