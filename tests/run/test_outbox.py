"""The outbox over a state database that comes and goes: nothing is told before it is written, unless it cannot be written."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from parkwarden.model import Incident, IncidentState, Notification, Priority, StoreError, Tell, Verdict
from parkwarden.run import outbox as module
from parkwarden.run.outbox import Outbox
from parkwarden.store.state import State


class Runs:
    """The state's thread, which may lose its disk."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.away = False

    async def run(self, call):
        if self.away:
            raise StoreError("disk-full", "The disk is full.", passing=True)
        return call(self.state)


def incident(number: int = 1) -> Incident:
    return Incident(
        id=f"i{number}", key=f"k{number}", state=IncidentState.FIRING, service="shop", title="t", code="PW100",
        detector="goroutine-leak", verdict=Verdict.LEAK, confidence=0.9, priority=Priority.P1,
    )  # fmt: skip


def notification(number: int = 1) -> Notification:
    told = incident(number)
    return Notification(
        key=f"i{number}:1:hook", incident_id=told.id, channel="hook", tell=Tell.FIRING, at=10.0, incident=told
    )


@pytest.fixture
def runs(tmp_path: Path):
    with State.open(str(tmp_path / "state.db"), lambda: 10.0) as state:
        yield Runs(state)


def test_what_is_written_is_told_from_the_database(runs: Runs) -> None:
    """The usual way: one commit, one row, nothing in memory."""

    async def scene() -> None:
        outbox = Outbox(runs)
        await outbox.commit([incident()], [notification()])
        assert outbox.unwritten == 0
        assert [q.notification.key for q in await outbox.due(10.0)] == ["i1:1:hook"]
        await outbox.delivered("i1:1:hook", 11.0)
        assert await outbox.due(99.0) == []

    asyncio.run(scene())
    assert runs.state.outbox_counts() == {"waiting": 0, "delivered": 1, "parked": 0}


def test_a_full_disk_does_not_keep_an_alert_back(runs: Runs) -> None:
    """While the database is away the notification goes out from memory; when it is back all is written, and not sent again."""

    async def scene() -> None:
        outbox = Outbox(runs)
        runs.away = True
        await outbox.commit([incident()], [notification()])
        assert outbox.trouble == "The disk is full."
        assert [q.notification.key for q in await outbox.due(10.0)] == ["i1:1:hook"]
        await outbox.delivered("i1:1:hook", 11.0)
        assert await outbox.due(99.0) == []
        runs.away = False
        await outbox.commit([], [])
        assert (outbox.trouble, outbox.unwritten) == ("", 0)
        assert await outbox.due(99.0) == []

    asyncio.run(scene())
    assert runs.state.outbox_counts() == {"waiting": 0, "delivered": 1, "parked": 0}
    assert [i.id for i in runs.state.incidents()] == ["i1"]


def test_failures_while_away_are_written_later_with_their_next_try(runs: Runs) -> None:
    """A failed delivery keeps its back-off over the database's absence."""

    async def scene() -> list[int]:
        outbox = Outbox(runs)
        runs.away = True
        await outbox.commit([incident()], [notification()])
        await outbox.due(10.0)
        await outbox.failed("i1:1:hook", 11.0, "503", 44.0)
        runs.away = False
        await outbox.commit([], [])
        return [len(await outbox.due(now)) for now in (43.9, 44.0)]

    assert asyncio.run(scene()) == [0, 1]


def test_memory_is_bounded_and_what_is_given_up_is_counted(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour without a database must not fill memory: the delivered go first, then the oldest, counted."""
    monkeypatch.setattr(module, "MAX_UNWRITTEN", 3)

    async def scene() -> Outbox:
        outbox = Outbox(runs)
        runs.away = True
        await outbox.commit([], [notification(n) for n in (1, 2, 3)])
        await outbox.due(10.0)
        await outbox.delivered("i2:1:hook", 11.0)
        await outbox.commit([], [notification(4)])
        assert outbox.given_up == 0
        await outbox.commit([], [notification(5)])
        return outbox

    outbox = asyncio.run(scene())
    assert (outbox.unwritten, outbox.given_up) == (3, 1)


def test_a_database_that_hangs_does_not_hold_the_beat(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that does not come back is given up on after PATIENCE_S, and what it held is told from memory."""
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    hung = True

    async def scene() -> tuple[str, list[str], int]:
        outbox = Outbox(runs)
        run = runs.run

        async def slow(call):
            if hung:
                await asyncio.Event().wait()
            return await run(call)

        runs.run = slow  # type: ignore[method-assign]
        await outbox.commit([incident()], [notification()])
        trouble = outbox.trouble
        nonlocal_hung()
        keys = [q.notification.key for q in await outbox.due(10.0)]
        await outbox.commit([], [])
        return trouble, keys, outbox.unwritten

    def nonlocal_hung() -> None:
        nonlocal hung
        hung = False

    trouble, keys, unwritten = asyncio.run(scene())
    assert "did not answer" in trouble
    assert (keys, unwritten) == (["i1:1:hook"], 0)


def test_what_was_told_while_the_disk_is_full_is_not_told_again_and_again(runs: Runs) -> None:
    """Stored before the disk filled up, delivered while it is full: not due again, and written when there is room."""

    async def scene() -> None:
        outbox = Outbox(runs)
        await outbox.commit([incident(1), incident(2)], [notification(1), notification(2)])
        full = runs.state
        runs.state = FullForWriting(full)
        await outbox.delivered("i1:1:hook", 11.0)
        await outbox.failed("i2:1:hook", 11.0, "refused", 40.0)
        assert await outbox.due(12.0) == []
        assert [q.notification.key for q in await outbox.due(41.0)] == ["i2:1:hook"]
        runs.state = full
        await outbox.commit([], [])
        assert outbox.trouble == ""
        assert [(q.attempts, q.error) for q in await outbox.due(41.0)] == [(1, "refused")]

    asyncio.run(scene())
    assert runs.state.outbox_counts() == {"waiting": 1, "delivered": 1, "parked": 0}


def test_a_clock_set_back_delays_no_retry(runs: Runs) -> None:
    """What was to be tried again at a time that is now far away is due at once, stored or not; what was delivered stays so."""

    async def scene() -> None:
        outbox = Outbox(runs)
        await outbox.commit([incident(1), incident(2)], [notification(1), notification(2)])
        await outbox.delivered("i2:1:hook", 9000.0)
        await outbox.failed("i1:1:hook", 9000.0, "refused", 9060.0)
        runs.away = True
        await outbox.commit([incident(3)], [notification(3)])
        await outbox.failed("i3:1:hook", 9000.0, "refused", 9060.0)
        await outbox.hasten(5400.0)
        assert [q.notification.key for q in await outbox.due(5400.0)] == ["i3:1:hook"]
        runs.away = False
        await outbox.commit([], [])
        await outbox.hasten(5400.0)
        assert sorted(q.notification.key for q in await outbox.due(5400.0)) == ["i1:1:hook", "i3:1:hook"]

    asyncio.run(scene())


class FullForWriting:
    """A state that can be read but takes nothing."""

    def __init__(self, state: State) -> None:
        self._state = state

    def __getattr__(self, name: str):
        if name in ("commit", "delivered", "failed", "ping"):
            raise StoreError("disk-full", "The disk is full.", passing=True)
        return getattr(self._state, name)


def test_a_database_that_hangs_does_not_keep_an_alert_back(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading what is due has a limit too: what is in memory goes out."""
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)

    class Hangs:
        async def run(self, call):
            await asyncio.Event().wait()

    async def scene() -> None:
        outbox = Outbox(Hangs())
        await outbox.commit([incident()], [notification()])
        assert [q.notification.key for q in await outbox.due(10.0)] == ["i1:1:hook"]
        assert "did not answer" in outbox.trouble

    asyncio.run(scene())
