"""holmes (MOSN): dump when the number of goroutines jumps, or is very high.

Rule (mosn/holmes@efb1a776, `util.go: matchRule`, line 170; `holmes.go: startDumpLoop`, `goroutineCheckAndDump`, line 339; defaults in
`consts.go`, lines 35-51 and 101): every 5 s the count is pushed into a ring of ten; from the tenth sample on, and not within the
cool-down of the last dump: no dump below `min`; none at or above `max` where one is set; a dump above `abs`; a dump at or above
(100 + `diff`) % of the ring's mean, in integers, the present sample included. A restart forgets all.
Linear growth therefore passes the 20 % rule only from 3.7 % of the count per sample on: c >= 1.2 (c - 4.5 d) <=> d >= c / 27.
Settings: the library's defaults (3000, 20 %, 200,000, no max, 10 min), and the two of its readme.md, lines 61 and 213:
(10, 25 %, 2000, max 10,000, 1 min) and (500, 25 %, 20,000, no max, 1 min).
Assumed: the CPU guard (`EnableDump`) never holds it back.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from bench.leakbench.peers.base import WholeProcess

INTERVAL_S = 5.0
RING = 10
"""minCollectCyclesBeforeDumpStart: the ring's length and the first sample that is judged."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Arguments of WithGoroutineDump; `most` 0 = none set."""

    least: int = 3000
    diff_percent: int = 20
    absolute: int = 200_000
    most: int = 0
    cooldown_s: float = 600.0


DEFAULTS = Thresholds()
README = Thresholds(10, 25, 2000, 10_000, 60.0)
README_ALL = Thresholds(500, 25, 20_000, 0, 60.0)


class Holmes(WholeProcess):
    def __init__(self, name: str = "holmes", thresholds: Thresholds = DEFAULTS) -> None:
        super().__init__(name, INTERVAL_S)
        self._thresholds = thresholds
        self.restart()

    def restart(self) -> None:
        self._ring: deque[int] = deque(maxlen=RING)
        self._samples = 0
        self._quiet_until = float("-inf")

    def take(self, at: float, goroutines: int) -> bool:
        self._ring.append(goroutines)
        self._samples += 1
        if self._samples < RING or at < self._quiet_until or not self._matches(goroutines):
            return False
        self._quiet_until = at + self._thresholds.cooldown_s
        return True

    def _matches(self, now: int) -> bool:
        rule = self._thresholds
        if now < rule.least or (rule.most and now >= rule.most):
            return False
        return now > rule.absolute or now >= sum(self._ring) // len(self._ring) * (100 + rule.diff_percent) // 100
