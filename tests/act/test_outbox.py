"""Alerting over the real state database: what advance decided is what channels get, also by another process."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from parkwarden.act.notifier import DeliveryError
from parkwarden.act.sender import Sender
from parkwarden.act.settings import Pace
from parkwarden.alert.policy import Policy
from parkwarden.model import Notification
from parkwarden.run.outbox import Outbox
from parkwarden.store.state import AsyncState, State
from tests.alert.build import World, leak


class Hook:
    name = "hook"
    pace = Pace()

    def __init__(self, enough: int, *, broken: bool = False) -> None:
        self.keys: list[str] = []
        self.broken = broken
        self.enough = enough
        self.done = asyncio.Event()

    async def send(self, n: Notification) -> None:
        self.keys.append(n.key)
        if len(self.keys) >= self.enough:
            self.done.set()
        if self.broken:
            raise DeliveryError("down", retry=True)

    async def close(self) -> None:
        pass


def test_a_process_killed_while_a_channel_is_down_loses_nothing(tmp_path: Path) -> None:
    """Committed, refused, killed; the next process delivers every word once, in order, and finds its rows as they were."""
    world = World(Policy(channels=("hook",), keep_firing_s=30))
    database = str(tmp_path / "state.db")

    async def process(hook: Hook, later: float) -> list[str]:
        state = AsyncState(State.open(database, clock=lambda: world.now))
        outbox = Outbox(state)
        if not world.rows:
            for findings in ([leak()] * 10, []):
                for _ in range(10):
                    world.now += 5
                    out = world.ask(findings, {})
                    await outbox.commit(out.changed, out.notifications)
                    world.commit(out)
        sender = Sender(outbox, [hook], lambda: world.now + later)
        sender.wake()
        task = asyncio.create_task(sender.run())
        async with asyncio.timeout(20):
            await hook.done.wait()
        while not hook.broken and (await state.run(lambda s: s.outbox_counts()))["waiting"]:
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        rows = await state.run(lambda s: s.incidents(active=False))
        assert {row.id: row for row in rows} == world.rows
        await state.close()
        return hook.keys

    async def both() -> None:
        assert await process(Hook(1, broken=True), 0.0) == ["i1.1.hook"]
        assert await process(Hook(2), 400.0) == ["i1.1.hook", "i1.2.hook"]

    asyncio.run(both())
