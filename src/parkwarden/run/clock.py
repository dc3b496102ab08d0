"""A clock for judging: runs steadily and stands near the wall's, and says when the wall's has jumped.

Wall clocks are set (NTP, a resumed machine, an operator). Windows, rates and timers must not see that as growth, silence or
an hour gone by: the steady clock is the wall's time at one anchor plus what the monotonic clock counted since.
"""

from __future__ import annotations

import time
from collections.abc import Callable

JUMP_S = 2.0
"""A difference of wall and steady time that is a jump: slewing clocks drift some milliseconds between two looks."""


class SteadyClock:
    """Unix seconds that never step by themselves; `jumped` re-anchors and tells by how much the wall had stepped."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._anchor()

    def now(self) -> float:
        return self._at + (self._monotonic() - self._since)

    def jumped(self) -> float:
        """Seconds the wall clock stepped since it was last asked (0 = it did not); from then on the new time counts.

        A drift below JUMP_S is taken over silently where it leads forward; steady time never runs backwards for it.
        """
        step = self._wall() - self.now()
        if abs(step) >= JUMP_S:
            self._anchor()
            return step
        if step > 0:
            self._anchor()
        return 0.0

    def _anchor(self) -> None:
        self._at = self._wall()
        self._since = self._monotonic()
