"""CockroachDB's goroutinedumper: dump when the number of goroutines has doubled since the last dump.

Rule (cockroachdb/cockroach@009fcf56, pkg/server/goroutinedumper/goroutinedumper.go, `doubleSinceLastDumpHeuristic`; the threshold is
the setting `server.goroutine_dump.num_goroutines_threshold`): more than 1,000 goroutines and at least twice the greatest number a dump
was taken at. Asked with every sample of the runtime, each 10 s (`DefaultMetricsSampleInterval`). A restart forgets all.
Assumed: nothing.
"""

from __future__ import annotations

from bench.leakbench.peers.base import WholeProcess

INTERVAL_S = 10.0
THRESHOLD = 1000


class GoroutineDumper(WholeProcess):
    def __init__(self, name: str = "goroutinedumper") -> None:
        super().__init__(name, INTERVAL_S)
        self.restart()

    def restart(self) -> None:
        self._dumped = 0

    def take(self, at: float, goroutines: int) -> bool:
        if goroutines <= THRESHOLD or goroutines < 2 * self._dumped:
            return False
        self._dumped = goroutines
        return True
