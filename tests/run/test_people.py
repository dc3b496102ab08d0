"""What people do reaches a running watch, whichever process they do it through, and outlives a kill at any moment."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from parkwarden.model import Act, Incident, IncidentState, UsageError
from parkwarden.run import incidents
from parkwarden.store.state import State
from tests.run.test_watch import NOON, Scene, a_scene


def at_the_terminal(folder: Path, act: Act, row: Incident, now: float) -> None:
    """As another process does it."""
    with State.open(str(folder / "state.db"), lambda: now) as state:
        do = incidents.acknowledge if act is Act.ACKNOWLEDGE else incidents.resolve
        do(state, row.id, "eva", now, "seen to")


def firing(scene: Scene) -> Incident:
    (row,) = [row for row in scene.watch.incidents() if row.state is IncidentState.FIRING]
    return row


def told(scene: Scene) -> list[str]:
    """What was queued for channels, in order."""

    def work() -> list[str]:
        return [f"{q.notification.tell.value}: {'; '.join(q.notification.news)}" for q in state.outbox()[::-1]]

    state = scene.watch._state.state
    return work()


@pytest.mark.parametrize("act", [Act.ACKNOWLEDGE, Act.RESOLVE])
@pytest.mark.parametrize("beat_between", [False, True])
def test_what_is_done_elsewhere_is_heard_of_and_told(tmp_path: Path, act: Act, beat_between: bool) -> None:
    """Also where the watch wrote its own, older row down before it heard: the deed stands in memory, in the state and in the outbox."""

    async def work() -> None:
        async with a_scene(tmp_path) as scene:
            await scene.live(12)
            row = firing(scene)
            rung = scene.watch.bell.rung
            at_the_terminal(tmp_path, act, row, scene.watch.clock.now())
            if beat_between:
                await scene.live(5)  # fresh numbers are written down every 15 s
            await scene.watch.heed_people()
            assert scene.watch.bell.rung > rung
            [heard] = [one for one in scene.watch.incidents() if one.id == row.id]
            kept = await scene.watch.ask(lambda state: state.incident(row.id))
            for one in (heard, kept):
                assert one is not None
                assert one.acknowledged if act is Act.ACKNOWLEDGE else one.closed
                assert (one.state is IncidentState.RESOLVED) == (act is Act.RESOLVE)
            await scene.live(2)
            word = "acknowledged" if act is Act.ACKNOWLEDGE else "resolved"
            assert told(scene)[-1] == f"{word}: {word} by eva: seen to"

    asyncio.run(work())


def test_resolved_elsewhere_while_the_watch_is_killed(tmp_path: Path) -> None:
    """The watch wrote its older row over it and died before it heard: the next one resolves, and tells it once."""

    async def work() -> None:
        async with a_scene(tmp_path) as scene:
            await scene.live(12)
            row = firing(scene)
            at_the_terminal(tmp_path, Act.RESOLVE, row, scene.watch.clock.now())
            await scene.watch.ask(lambda state: state.commit([row.changed(count=999)]))
        async with a_scene(tmp_path) as scene:
            scene.wall, scene.steady = NOON + 70.0, 70.0
            await scene.live(3, leaks=False)
            [kept] = await scene.watch.ask(lambda state: state.incidents(active=False))
            assert (kept.state, kept.closed_by) == (IncidentState.RESOLVED, "eva")
            assert [line for line in told(scene) if line.startswith("resolved")] == [
                "resolved: resolved by eva: seen to"
            ]

    asyncio.run(work())


def test_what_happens_while_a_beat_is_written_is_not_lost(tmp_path: Path) -> None:
    """Somebody acts while the watch waits for the disk: the beat's row does not take it back from memory."""

    async def work() -> None:
        async with a_scene(tmp_path) as scene:
            await scene.live(12)
            row = firing(scene)
            held, go_on = asyncio.Event(), asyncio.Event()
            commit = scene.watch._outbox.commit

            async def slow(changed: list[Incident], notifications: list[object]) -> None:
                held.set()
                await go_on.wait()
                await commit(changed, notifications)  # type: ignore[arg-type]

            scene.watch._outbox.commit = slow  # type: ignore[method-assign, assignment]
            beat = asyncio.create_task(scene.live(1))
            await held.wait()
            at_the_terminal(tmp_path, Act.ACKNOWLEDGE, row, scene.watch.clock.now())
            hearing = asyncio.create_task(scene.watch.heed_people())
            await asyncio.sleep(0)
            go_on.set()
            await asyncio.gather(beat, hearing)
            assert firing(scene).acknowledged_by == "eva"

    asyncio.run(work())


def test_a_deed_needs_somebody_and_something(tmp_path: Path) -> None:
    """No name, no incident, one that is over: refused before anything is written."""

    async def work() -> None:
        async with a_scene(tmp_path) as scene:
            await scene.live(12)
            row = firing(scene)
            now = scene.watch.clock.now()
            for start, by, code in ((row.id, " \n", "no-name"), ("nobody", "eva", "no-such-incident")):
                with pytest.raises(UsageError) as refused:
                    await scene.watch.ask(lambda s, start=start, by=by: incidents.acknowledge(s, start, by, now))  # type: ignore[misc]
                assert refused.value.code == code
            await scene.watch.ask(lambda s: incidents.resolve(s, row.id, "eva", now))
            with pytest.raises(UsageError) as refused:
                await scene.watch.ask(lambda s: incidents.resolve(s, row.id, "eva", now))
            assert refused.value.code == "incident-over"
            assert len(await scene.watch.ask(lambda s: s.actions())) == 1

    asyncio.run(work())
