"""LF Edge EVE's watcher: growth that is steadier than its own scatter, or very many goroutines.

Rule (lf-edge/eve@654970b2, pkg/pillar/cmd/watcher/goroutinesMonitor.go: `detectGoroutineLeaks`, `GoroutinesMonitor`; defaults from
pkg/pillar/types/global.go: threshold 5,000, check every 1 min, window 10 min, keep 24 h, cool-down 5 min): each minute the count is
taken. Above the threshold: an alarm, and the sample is not kept. Otherwise, with more than ten samples kept, the last ten are smoothed
by a moving average of len/10 (= 1: none), their differences taken, and it is a leak if both the mean of the differences and the last
difference exceed their (population) standard deviation. The cool-down holds back only the stack dump, not the warning; the warning is
what counts here. A restart forgets all.
Assumed: nothing. Goroutines whose number does not change have deviation 0 and mean 0: no alarm.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from itertools import pairwise

from bench.leakbench.peers.base import WholeProcess

INTERVAL_S = 60.0
THRESHOLD = 5000
WINDOW = 10
KEPT = 24 * 60


def grows(stats: Sequence[int]) -> bool:
    """`detectGoroutineLeaks`, on counts of equal distance, in the same floating-point order."""
    if len(stats) < WINDOW:
        return False
    width = max(1, len(stats) // 10)
    smooth = [sum(stats[i : i + width]) / width for i in range(len(stats) - width + 1)]
    if len(smooth) < 2:
        return False
    rates = [after - before for before, after in pairwise(smooth)]
    mean = sum(rates) / len(rates)
    variance = sum(rate * rate for rate in rates) / len(rates) - mean * mean
    deviation = (
        math.sqrt(variance) if variance >= 0 else math.nan
    )  # Go's square root of a rounding error: never an alarm
    return mean > deviation and rates[-1] > deviation


class EveWatcher(WholeProcess):
    def __init__(self, name: str = "eve-watcher") -> None:
        super().__init__(name, INTERVAL_S)
        self.restart()

    def restart(self) -> None:
        self._stats: deque[int] = deque(maxlen=KEPT)

    def take(self, at: float, goroutines: int) -> bool:
        if goroutines > THRESHOLD:
            return True
        self._stats.append(goroutines)
        return len(self._stats) > WINDOW and grows([self._stats[i] for i in range(-WINDOW, 0)])
