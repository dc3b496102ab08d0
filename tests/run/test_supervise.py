"""Parts that fail are started again; a part that ends, ends."""

from __future__ import annotations

import asyncio

from parkwarden.run import supervise


def test_a_failing_part_is_started_again_and_later_each_time(monkeypatch) -> None:
    """Waits double from FIRST_WAIT_S on, and every failure is told with the wait that follows."""
    monkeypatch.setattr(supervise, "FIRST_WAIT_S", 0.001)
    told: list[tuple[str, str, float]] = []
    runs = 0

    async def part() -> None:
        nonlocal runs
        runs += 1
        if runs < 4:
            raise OSError(f"try {runs}")

    asyncio.run(supervise.keep_running("p", part, lambda n, e, w: told.append((n, str(e), w))))
    assert told == [("p", "try 1", 0.001), ("p", "try 2", 0.002), ("p", "try 3", 0.004)]
    assert runs == 4


def test_cancelling_ends_the_part() -> None:
    """Ctrl-C must not be mistaken for a failure that is to be repaired."""

    async def scene() -> bool:
        ended = False

        async def part() -> None:
            nonlocal ended
            try:
                await asyncio.Event().wait()
            finally:
                ended = True

        task = asyncio.create_task(supervise.keep_running("p", part, lambda *_: None))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return ended and task.cancelled()

    assert asyncio.run(scene())
