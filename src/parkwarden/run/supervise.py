"""Keeps the parts of a long-running process running: one that fails is started again, later each time, and counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

FIRST_WAIT_S = 0.5
MAX_WAIT_S = 30.0
"""Between restarts of a part that keeps failing: soon enough after a fault has gone, seldom enough to leave the log readable."""

CALM_S = 60.0
"""A part that ran this long is well again: its next failure is a first one."""


async def keep_running(
    name: str, part: Callable[[], Awaitable[None]], failed: Callable[[str, Exception, float], None]
) -> None:
    """Run `part` for ever. `failed(name, error, wait_s)` is told of each failure; a part that simply ends is left ended.

    Cancelling this cancels the part.
    """
    wait = FIRST_WAIT_S
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        try:
            await part()
            return
        except Exception as error:
            if loop.time() - began >= CALM_S:
                wait = FIRST_WAIT_S
            failed(name, error, wait)
        await asyncio.sleep(wait)
        wait = min(wait * 2, MAX_WAIT_S)
