"""Alerting rules on `go_goroutines` as they are found in the wild.

Rules, each for one instance, with `for` as published:
- `go_goroutines > 1000` for 5m, and `deriv(go_goroutines[5m]) > 10` for 5m: samber/awesome-prometheus-alerts@549dd017,
  dist/rules/golang/golang-exporter.yml (GoGoroutineCountHigh, GoGoroutineSpike);
- `go_goroutines > 10000` for 5m to 15m: the most copied one, in many repositories; the shortest `for` is taken; `> 5000` likewise;
- `go_goroutines > (go_goroutines offset 1h * 1.2) and go_goroutines > 100` for 15m: a published guide to Go in production;
- `deriv(go_goroutines[1h]) > 0.5 and go_goroutines > 1000` for 1h, and `deriv(go_goroutines[15m]) > 0` for 15m, and
  `deriv(go_goroutines[1h]) > 0` "sustained for six hours": guides and seed rule sets. The last two are the most sensitive ones we found.
Semantics: Prometheus' own. `deriv` is the least-squares slope per second of the samples within the range; `offset` the newest sample
at most 5 minutes older than that time; `for` means the condition held at every evaluation since; a condition that fails once starts over.
Assumed: scraped every 15 s (the shipped configuration), evaluated every minute (the default). A series goes on over a restart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from bench.leakbench.peers.base import WHOLE, Beat, WholeProcess

SCRAPE_S = 15.0
EVALUATE_S = 60.0
LOOKBACK_S = 300.0
KEPT_S = 3600.0 + LOOKBACK_S
MINUTE_S, HOUR_S = 60.0, 3600.0


class Series:
    """The last hour of one series, as PromQL sees it."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()
        self._values: deque[float] = deque()

    def add(self, at: float, value: float) -> None:
        self._times.append(at)
        self._values.append(value)
        while self._times[0] < at - KEPT_S:
            self._times.popleft()
            self._values.popleft()

    def now(self) -> float:
        return self._values[-1]

    def deriv(self, at: float, range_s: float) -> float | None:
        """Per second; None = fewer than two samples."""
        times = np.fromiter(self._times, float)
        first = int(np.searchsorted(times, at - range_s, "right"))
        if len(times) - first < 2:
            return None
        t = times[first:] - times[first:].mean()
        values = np.fromiter(self._values, float)[first:]
        return float(t @ (values - values.mean()) / (t @ t))

    def offset(self, at: float, ago_s: float) -> float | None:
        times = np.fromiter(self._times, float)
        last = int(np.searchsorted(times, at - ago_s, "right")) - 1
        return None if last < 0 or times[last] <= at - ago_s - LOOKBACK_S else self._values[last]


Expression = Callable[[Series, float], bool]


class Rule(WholeProcess):
    """One alerting rule: accused while it fires."""

    def __init__(self, name: str, expression: Expression, for_s: float) -> None:
        super().__init__(name, SCRAPE_S)
        self._expression = expression
        self._for_s = for_s
        self._series = Series()
        self._evaluations = Beat(EVALUATE_S)
        self._active_since: float | None = None
        self._firing = False

    def take(self, at: float, goroutines: int) -> bool:
        self._series.add(at, goroutines)
        if self._evaluations.due(at):
            if not self._expression(self._series, at):
                self._active_since = None
            elif self._active_since is None:
                self._active_since = at
            self._firing = self._active_since is not None and at - self._active_since >= self._for_s
        return self._firing

    def tick(self, now: float) -> set[str]:
        return {WHOLE} if self._firing else set()


def above(limit: float) -> Expression:
    return lambda series, at: series.now() > limit


def rising(range_s: float, per_s: float, least: float = 0.0) -> Expression:
    """deriv(...) > per_s and the count > least."""

    def holds(series: Series, at: float) -> bool:
        if series.now() <= least:
            return False
        slope = series.deriv(at, range_s)
        return slope is not None and slope > per_s

    return holds


def grown(ago_s: float, factor: float, least: float) -> Expression:
    """More than `factor` times what it was `ago_s` ago, and more than `least`."""

    def holds(series: Series, at: float) -> bool:
        before = series.offset(at, ago_s)
        return before is not None and series.now() > before * factor and series.now() > least

    return holds


def rules() -> list[Rule]:
    """All of them, newly made."""
    return [
        Rule("prom >1000", above(1000), 5 * MINUTE_S),
        Rule("prom >5000", above(5000), 5 * MINUTE_S),
        Rule("prom >10000", above(10_000), 5 * MINUTE_S),
        Rule("prom deriv5m>10", rising(5 * MINUTE_S, 10.0), 5 * MINUTE_S),
        Rule("prom deriv1h>0.5", rising(HOUR_S, 0.5, least=1000), HOUR_S),
        Rule("prom +20%/1h", grown(HOUR_S, 1.2, least=100), 15 * MINUTE_S),
        Rule("prom deriv15m>0", rising(15 * MINUTE_S, 0.0), 15 * MINUTE_S),
        Rule("prom deriv1h>0", rising(HOUR_S, 0.0), 6 * HOUR_S),
    ]
