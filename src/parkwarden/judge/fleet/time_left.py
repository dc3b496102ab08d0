"""How long until something breaks: the nearest limit of one instance, with an interval and not only a point.

Watches memory against the memory limit, open files against their limit, threads against Go's own crash limit or the system's,
goroutines against a budget somebody stated. Why: "grows by 50 a second" does not say whether to get up; "9 minutes (7-14)" does.

Input: the readings since growth began (or of the rule's window). The slope is Theil's and Sen's median of all pairwise
slopes: a GC's saw tooth and single spikes do not bend it; its interval is Sen's, from the variance of Kendall's S.
Source: P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63 (1968).

A leak too slow to be seen in the readings is judged by the site's own rate: goroutines a minute, each taking at least
MIN_GOROUTINE_BYTES and at most what the process holds per goroutine now; the interval is then as wide as that is unsure.

Blind spots: a limit nobody exports is no limit here (GOMEMLIMIT or a cgroup's must be told); growth that is not a line
(a cache that fills) ends later than said; samples are not independent, so the interval is a little too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from parkwarden.model import TimeLeft

if TYPE_CHECKING:
    import numpy.typing as npt

    from parkwarden.aggregate.windows import Windows

THREAD_LIMIT = 10_000
"""runtime/debug.SetMaxThreads' default: the process ends itself beyond ("program exceeds 10000-thread limit")."""

NO_LIMIT = float(1 << 60)
"""A memory limit above is Go's way of saying none (math.MaxInt64)."""

MIN_GOROUTINE_BYTES = 2048
"""A goroutine's smallest stack (runtime/stack.go: stackMin)."""

MAX_PAIRS_FROM = 96
"""Newest readings a slope is taken from: 4,560 pairs, 0.1 ms."""

_NORMAL_90 = 1.6449
"""Half width of a 90 % interval in standard deviations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLeftRule:
    """When a time left is told."""

    window_s: float = 600.0
    """Seconds of readings looked back on where the onset is not known. Longer is steadier and notices later that growth ended."""
    min_samples: int = 5
    """Readings needed; fewer have no interval worth telling."""
    horizon_s: float = 30 * 86_400.0
    """Longer than this is not told: nobody acts on it, and few processes live that long."""
    thread_limit: int = THREAD_LIMIT
    """Threads at which the process ends itself; set it if the service calls debug.SetMaxThreads."""
    goroutine_budget: int = 0
    """Goroutines an instance should never pass; 0 = none stated."""


def time_left(
    windows: Windows,
    instance: str,
    now: float,
    rule: TimeLeftRule,
    *,
    since: float | None = None,
    rate_per_min: float = 0.0,
    goroutine_budget: int = 0,
) -> TimeLeft | None:
    """The limit that comes first, None where none is approached within the horizon.

    `since` narrows the readings to those after growth began; `rate_per_min` is the net growth of goroutines by witnesses
    that see more than the readings do (0 = not told); `goroutine_budget` is the instance's own, before the rule's.
    """
    if goroutine_budget > 0:
        rule = replace(rule, goroutine_budget=goroutine_budget)
    span = rule.window_s if since is None else max(now - since, 1.0)
    limits = _limits(windows, instance, rule)
    times, values = windows.block(instance, [field for _, field, _ in limits], now, span)
    moving = (values[:, :1] != values).any(axis=1).tolist()  # most have stood still all the time
    found = [
        left
        for (name, _, limit), series, moves in zip(limits, values, moving, strict=True)
        if moves and (left := by_slope(name, times, series, limit, now, rule.min_samples)) is not None
    ]
    if not found and rate_per_min > 0:
        found = list(_by_rate(windows, instance, now, rule, rate_per_min))
    found = [left for left in found if left.seconds <= rule.horizon_s]
    return min(found, key=lambda left: left.seconds, default=None)


def _limits(windows: Windows, instance: str, rule: TimeLeftRule) -> list[tuple[str, str, float]]:
    """What can run out: name, the field of its use, the limit."""
    found = []
    memory = windows.last(instance, "mem_limit")
    if 0 < memory < NO_LIMIT:
        found.append(("memory-limit", _memory_of(windows, instance), memory))
    files = windows.last(instance, "max_fds")
    if files > 0:
        found.append(("fd-limit", "open_fds", files))
    if math.isfinite(windows.last(instance, "threads")):
        system = windows.last(instance, "max_threads")
        most = min(rule.thread_limit, system) if system > 0 else rule.thread_limit
        found.append(("thread-limit", "threads", float(most)))
    if rule.goroutine_budget > 0:
        found.append(("goroutine-budget", "goroutines", float(rule.goroutine_budget)))
    return found


def _memory_of(windows: Windows, instance: str) -> str:
    """The number that counts against the memory limit, by the best who tells it: the control group, the system, Go."""
    return next((name for name in ("mem_used", "rss") if math.isfinite(windows.last(instance, name))), "sys")


def by_slope(
    name: str,
    times: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    limit: float,
    now: float,
    min_samples: int,
) -> TimeLeft | None:
    """When the robust slope of the newest readings meets a limit; None of too few, and where they may as well not grow (the interval holds zero)."""
    told = np.isfinite(values)
    times, values = times[told][-MAX_PAIRS_FROM:], values[told][-MAX_PAIRS_FROM:]
    if len(values) < min_samples or values.min() == values.max():
        return None
    slope, low, high = sen_slope(times, values)
    if slope <= 0 or low <= 0:
        return None
    value = float(np.median(values - slope * (times - now)))  # the line's height now, not the last saw tooth
    room = max(float(limit) - value, 0.0)
    return TimeLeft(
        limit=name,
        at=now,
        seconds=room / slope,
        low_s=room / high,
        high_s=room / low,
        value=value,
        limit_value=limit,
        rate_per_s=slope,
    )


def _by_rate(
    windows: Windows, instance: str, now: float, rule: TimeLeftRule, rate_per_min: float
) -> Iterator[TimeLeft]:
    """From a site's own growth, where the process's numbers do not show it (yet)."""
    count = windows.last(instance, "goroutines")
    per_s = rate_per_min / 60
    if rule.goroutine_budget > 0 and math.isfinite(count):
        seconds = max(rule.goroutine_budget - count, 0.0) / per_s
        yield TimeLeft(
            limit="goroutine-budget", at=now, seconds=seconds, low_s=seconds / 2, high_s=seconds * 2,
            value=count, limit_value=float(rule.goroutine_budget), rate_per_s=per_s,
        )  # fmt: skip
    memory, held = windows.last(instance, "mem_limit"), windows.last(instance, _memory_of(windows, instance))
    if 0 < memory < NO_LIMIT and math.isfinite(held) and count > 0:
        most = max(held / count, MIN_GOROUTINE_BYTES)
        each = math.sqrt(most * MIN_GOROUTINE_BYTES)  # between the two bounds there is nothing to choose by
        room = max(memory - held, 0.0)
        yield TimeLeft(
            limit="memory-limit", at=now, seconds=room / (each * per_s), low_s=room / (most * per_s),
            high_s=room / (MIN_GOROUTINE_BYTES * per_s), value=held, limit_value=memory, rate_per_s=each * per_s,
        )  # fmt: skip


@lru_cache(maxsize=MAX_PAIRS_FROM + 1)
def _pairs(n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Indices of all pairs of n, the earlier first; 7 MB if all lengths are asked for."""
    first, second = np.triu_indices(n, 1)
    return first, second


def sen_slope(times: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Median of the pairwise slopes and its 90 % interval (Sen 1968), per second; (0, 0, 0) where times do not differ."""
    n = len(times)
    first, second = _pairs(n)
    apart = times[second] - times[first]
    usable = apart > 0
    if not usable.any():
        return 0.0, 0.0, 0.0
    slopes = np.sort((values[second] - values[first])[usable] / apart[usable])
    half = _NORMAL_90 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18.0)
    pairs = len(slopes)
    low = slopes[max(int((pairs - half) / 2), 0)]
    high = slopes[min(int((pairs + half) / 2), pairs - 1)]
    return float(np.median(slopes)), float(low), float(high)
