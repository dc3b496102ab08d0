"""What is sent when, and the books: whatever happens, accepted = sent + dropped + queued."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from parkwarden.telemetry.reporter import Ending, Outcome, Reason, ReporterSettings, Signal
from parkwarden.telemetry.reporter.pump import FIRST_ITEMS, PACE_S, PROBE_ITEMS, ROOM, Batch, Job, Pump
from parkwarden.telemetry.reporter.records import Item, Tally, total
from tests.telemetry.reporter.things import TAKEN, UNREACHED, UNSURE, log, point, segment

SETTINGS = ReporterSettings(queue_items=40, queue_bytes=4_000, batch_items=16, backoff_s=1.0, backoff_max_s=8.0)
OUTCOMES = st.builds(
    Outcome,
    st.sampled_from(Ending),
    st.just("x"),
    st.none() | st.floats(0, 100),
    st.integers(0, 3),
    st.integers(0, 3),
    st.booleans(),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("log"), st.integers(1, 30)),
        st.tuples(st.just("point"), st.integers(1, 30)),
        st.tuples(st.just("segment"), st.integers(1, 30)),
        st.tuples(st.just("away"), st.integers(1, 5)),
        st.tuples(st.just("wait"), st.floats(0, 20)),
        st.tuples(st.just("end"), OUTCOMES),
    ),
    max_size=60,
)
MADE = {
    "log": (Signal.LOGS, lambda: log(event="incident")),
    "point": (Signal.METRICS, point),
    "segment": (Signal.TRACES, segment),
}


def pump(settings: ReporterSettings = SETTINGS, heartbeat_s: float = 0.0) -> Pump:
    return Pump(settings, "there", lambda: 0.5, heartbeat_s)


def feed(it: Pump, count: int, item: Item, now: float = 0.0, signal: Signal = Signal.LOGS) -> None:
    for _ in range(count):
        it.accept(signal, item, 10, now)


def sent(it: Pump, now: float, closing: bool = False) -> int:
    """How many items the next call brings; -1: there is none."""
    batch = it.due(now, closing)
    return -1 if batch is None else len(batch.entries)


@given(STEPS, st.booleans())
def test_the_books_balance_whatever_happens(steps: list[tuple[str, object]], closing: bool) -> None:
    """In items and in bytes, by signal, after each step; nothing is tried a third time; bounds hold; at the end nothing is queued."""
    it, now, handed = pump(), 0.0, 0
    for kind, told in steps:
        if kind in MADE:
            signal, make = MADE[kind]
            for _ in range(int(told)):  # type: ignore[call-overload]
                it.accept(signal, make(), 10 + handed % 7, now)
                handed += 1
        elif kind == "away":
            it.turned_away(Signal.TRACES, Reason.INBOX_FULL, int(told))  # type: ignore[call-overload]
            handed += int(told)  # type: ignore[call-overload]
        elif kind == "wait":
            now += float(told)  # type: ignore[arg-type]
            it.due(now)
        else:
            it.ended(told, now)  # type: ignore[arg-type]
        account = it.account()
        assert account.balanced()
        assert total(account.accepted.values()).items == handed
        assert it.queue.items <= SETTINGS.queue_items
        assert it.queue.bytes <= SETTINGS.queue_bytes
        assert all(entry.tries < 2 for entry in it.queue)
    it.due(now, closing)
    it.give_up(Reason.EXIT)
    account = it.account()
    assert account.balanced()
    assert total(account.queued.values()) == Tally()


def test_an_event_goes_at_once_and_the_rest_waits_for_company() -> None:
    """Nobody waits a second to hear of an incident; a segment waits `linger_s`, or until a batch is full."""
    it = pump()
    feed(it, 1, segment(), signal=Signal.TRACES)
    assert sent(it, 0.5) == -1
    feed(it, 1, log(event="incident"), 0.5)
    batch = it.due(0.5)
    assert batch is not None
    assert batch.signal is Signal.LOGS
    it.ended(TAKEN, 0.5)
    assert sent(it, 0.9) == -1
    feed(it, 15, segment(), 0.9, Signal.TRACES)
    assert sent(it, 0.9) == 16
    it.ended(TAKEN, 0.9)
    feed(it, 1, segment(), 0.9, Signal.TRACES)
    assert sent(it, 2.0) == 1


def test_what_nobody_confirmed_is_sent_once_more_and_then_given_up() -> None:
    """In flight twice is enough: who knows how often it has arrived. It goes back to its place, not to the end."""
    it = pump()
    first = log(event="first")
    feed(it, 1, first)
    assert sent(it, 0.0) == 1
    feed(it, 3, log(event="later"))
    it.ended(UNSURE, 0.0)
    assert (it.account().requeued, it.queue.items) == (1, 4)
    assert sent(it, 2.0) == 0
    it.ended(TAKEN, 2.0)
    batch = it.due(2.0)
    assert batch is not None
    assert batch.entries[0].item is first
    it.ended(UNSURE, 2.0)
    assert it.account().dropped == {(Signal.LOGS, Reason.UNCONFIRMED): Tally(1, 10)}
    assert it.account().requeued == 4


def test_what_was_not_reached_is_tried_as_often_as_it_takes() -> None:
    """A back end that is away for a day costs what finds no room, not what is kept."""
    it, now = pump(), 0.0
    feed(it, 5, log(event="incident"))
    for _ in range(50):
        assert sent(it, now) in (0, 5)
        it.ended(UNREACHED, now)
        now += 100.0
    assert it.queue.items == 5
    assert it.account().dropped == {}


def test_after_a_failure_empty_probes_and_pauses_that_double() -> None:
    """A probe costs no item; pauses double to the longest, a back end's own wish goes before, but not beyond the longest."""
    it, now, pauses = pump(), 0.0, []
    feed(it, 20, log(event="incident"))
    assert sent(it, now) == 16
    it.ended(UNREACHED, now)
    for _ in range(5):
        began = now
        while (count := sent(it, now)) == -1:
            now += 0.25
        assert count == 0
        pauses.append(now - began)
        it.ended(UNREACHED, now)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 8.0]
    now += 8.0
    assert sent(it, now) == 0
    it.ended(dataclasses.replace(UNREACHED, after_s=1e9), now)
    assert sent(it, now + 8.0) == 0


def test_a_back_end_that_is_back_is_not_buried() -> None:
    """After an outage batches begin small and double, a pause between them, until they are full again."""
    it, now, sizes = pump(ReporterSettings(batch_items=64)), 0.0, []
    feed(it, 400, log(event="incident"))
    it.due(now)
    it.ended(UNREACHED, now)
    now = 2.0
    assert sent(it, now) == 0
    it.ended(TAKEN, now)
    while it.queue.items:
        batch = it.due(now)
        if batch is None:
            now += 0.01
            continue
        sizes.append(len(batch.entries))
        it.ended(TAKEN, now)
    assert sizes[:5] == [PROBE_ITEMS, 16, 32, 64, 64]
    assert now >= 2.0 + 3 * 0.05
    assert it.healthy


def test_a_signal_that_is_not_implemented_is_dropped_and_offered_again_later() -> None:
    """It does not stop the others, and costs one call in five minutes."""
    it = pump()
    feed(it, 3, point(), signal=Signal.METRICS)
    feed(it, 1, segment(), signal=Signal.TRACES)
    assert sent(it, 5.0) == 3
    it.ended(Outcome(Ending.ABSENT), 5.0)
    feed(it, 2, point(), 6.0, Signal.METRICS)
    assert it.account().dropped == {(Signal.METRICS, Reason.UNIMPLEMENTED): Tally(5, 50)}
    assert it.healthy
    batch = it.due(6.0)
    assert batch is not None
    assert batch.signal is Signal.TRACES
    it.ended(TAKEN, 6.0)
    feed(it, 1, point(), 306.0, Signal.METRICS)
    assert sent(it, 308.0) == 1


def test_closing_sends_at_once_and_gives_up_after_two_failures() -> None:
    """No lingering, no pause, no probe; a stale connection costs the first failure, an outage ends it."""
    it = pump()
    feed(it, 5, segment(), signal=Signal.TRACES)
    assert sent(it, 0.0) == -1
    assert sent(it, 0.0, closing=True) == 5
    it.ended(UNSURE, 0.0, closing=True)
    assert sent(it, 0.0, closing=True) == 5
    it.ended(UNREACHED, 0.0, closing=True)
    assert sent(it, 0.0, closing=True) == -1


def test_partial_success_is_lost_and_the_rest_is_sent() -> None:
    """As the back end says; more than there was is all there was."""
    it = pump()
    for rejected in (3, 1_000):
        feed(it, 10, log(event="e"))
        it.due(0.0)
        it.ended(Outcome(Ending.TAKEN, rejected=rejected, not_encodable=1), 0.0)
        assert it.account().balanced()
    lost = it.account().dropped
    assert lost[Signal.LOGS, Reason.REJECTED].items == 3 + 9
    assert lost[Signal.LOGS, Reason.NOT_ENCODABLE].items == 2


def test_a_batch_that_is_too_large_is_halved() -> None:
    """For the next call."""
    it = pump()
    feed(it, 16, log(event="e"))
    assert sent(it, 0.0) == 16
    it.ended(Outcome(Ending.UNSURE, smaller=True), 0.0)
    it.due(5.0)
    it.ended(TAKEN, 5.0)
    assert sent(it, 5.0) == 8


def behind_a_link(items_per_s: float, delay_s: float = 0.0) -> tuple[Pump, list[int]]:
    """Two minutes behind a back end that takes `delay_s` for a call and so many items a second; 30 are made a second: the batches."""
    it, now, made, sizes = pump(ReporterSettings()), 0.0, 0, []
    while now < 120.0:
        feed(it, int(30 * now) - made, segment(), now, Signal.TRACES)
        made = int(30 * now)
        batch = it.due(now)
        if batch is None:
            now += 0.05
            continue
        took, deadline = delay_s + len(batch.entries) / items_per_s, it._settings.call_s
        now += min(took, deadline)
        sizes.append(len(batch.entries))
        it.ended(TAKEN if took <= deadline else UNSURE, now)
    return it, sizes


def test_behind_a_slow_link_batches_fit_into_their_time() -> None:
    """Though more is made than can be brought over: no call runs into its deadline, nothing goes twice, the link is used."""
    it, sizes = behind_a_link(20.0)
    assert it.healthy
    assert it.account().requeued == 0
    assert max(sizes) / 20.0 <= ROOM * ReporterSettings().call_s
    assert sum(sizes) > 0.9 * 20.0 * 120.0


def test_a_back_end_that_is_only_late_gets_full_batches() -> None:
    """What a call takes whatever is in it is no reason to send less: it keeps up."""
    it, sizes = behind_a_link(1e6, delay_s=1.5)
    assert it.queue.items < 30 * 5
    assert max(sizes) > FIRST_ITEMS
    feed(it, 2_000, segment(), 120.0, Signal.TRACES)
    found, now = [], 120.0
    while it.queue.items > 100:
        if (batch := it.due(now)) is not None:
            found.append(len(batch.entries))
            it.ended(TAKEN, now + 1.5)
            now += 1.5
        now += PACE_S
    assert found[:3] == [128, 256, 512]


def test_a_link_that_grew_slow_gets_half_of_it() -> None:
    """A call that hardly made it would not have made it again."""
    it = pump()
    feed(it, 40, segment(), signal=Signal.TRACES)
    assert sent(it, 0.0) == 16
    it.ended(TAKEN, 4.9)
    assert sent(it, 5.0) == 8
    it.ended(TAKEN, 5.1)
    assert sent(it, 5.2) == 16


def test_a_heartbeat_is_an_empty_call_when_there_is_nothing_to_send() -> None:
    """Only for transports that want one."""
    assert pump().due(100.0) is None
    it = pump(heartbeat_s=20.0)
    assert it.due(0.0) == Batch(Signal.TRACES)
    it.ended(TAKEN, 0.0)
    assert it.due(19.0) is None
    assert it.due(20.0) == Batch(Signal.TRACES)


def test_what_waits_for_the_disk_is_written_at_the_end() -> None:
    """However little it is, and however well the back end is: nothing is given up that there is room for."""
    it = Pump(SETTINGS, "there", lambda: 0.5, spools=True)
    feed(it, SETTINGS.queue_items + 3, log())
    batch = it.due(0.0, closing=True)
    assert batch is not None
    assert (batch.job, len(batch.entries)) == (Job.STORE, 3)
