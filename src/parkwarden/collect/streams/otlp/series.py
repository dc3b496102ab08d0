"""What one instance's points come to: sums added up, deltas accumulated, lives told apart. Pure; one `Series` per instance.

    values = series.take(points, counts)        # [(at, {field: value})], in the order the times came

*Deltas* are added to what was there. *Several points at a time* (states of a CPU, routes of a server) are one number: their sum. A message that
comes twice changes nothing, which OTLP says may happen.

*Lives.* When a process began is told best by itself (`process.creation.time`, `process_start_time_seconds`, its uptime), else by the start of
its sums. Of those a later one alone proves nothing: a Collector that was restarted says so, too. A counter that fell as well is another life; one
that rose, though its sum began while the one before was still told of, is another process under the same name: the younger one is
believed, and points of the older are refused as `shared-identity`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from parkwarden.collect.streams.assembly import SAME_S
from parkwarden.formats.otlp_metrics import Point
from parkwarden.formats.runtime_names import ADDED, RISING, UPTIME
from parkwarden.model.instance import START_JITTER_S

MAX_PIECES = 10_000
"""Series of one field of one instance at a time: SDKs stop at 2,000 per instrument."""


@dataclass(slots=True)
class _Sum:
    metric: str
    at: float
    base: float = 0.0
    """Deltas of times before `at`."""
    total: float = 0.0
    pieces: dict[int, float] = field(default_factory=dict)


@dataclass(slots=True)
class Series:
    """See the module."""

    life: float | None = None
    """When the process began, Unix seconds."""
    certain: bool = False
    """Whether it told that itself."""
    _sums: dict[str, _Sum] = field(default_factory=dict)
    _rising: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    """Metric -> (start, time, value) of its last point, of counters told in one series."""

    def take(self, points: Iterable[Point], counts: Counter[str]) -> list[tuple[float, dict[str, float]]]:
        """Values by time. What is not taken is in `counts`: late, too-many-series, shared-identity, other-name."""
        found: list[tuple[float, dict[str, float]]] = []
        for point in points:
            value: float | None = point.value
            if point.field == UPTIME or point.field == "start_time":
                self._told_life(point.value if point.field == "start_time" else point.at - point.value)
                field_, value = "start_time", self.life
            else:
                field_ = point.field
                if not point.delta and not self._lives_on(point):
                    counts["shared-identity"] += 1
                    continue
                if point.delta or field_ in ADDED:
                    value = self._added(point, counts)
            if value is not None:
                _values_at(found, point.at)[field_] = value
        if self.life is not None:
            for _at, values in found:
                values["start_time"] = self.life
        return found

    def _told_life(self, start: float) -> None:
        if self.life is None or not self.certain or abs(start - self.life) > START_JITTER_S:
            self.life = start
        self.certain = True

    def _lives_on(self, point: Point) -> bool:
        """Take note of when a sum began; False where it is another process's."""
        if not 0 < point.start < point.at:
            return True
        if point.field not in RISING or point.field in ADDED:
            if not self.certain and self.life is None:
                self.life = point.start
            return True
        known = self._rising.get(point.metric)
        if known is not None:
            start, at, value = known
            if point.start < start - START_JITTER_S:
                return False
            begun = point.start > start + START_JITTER_S and (point.value < value or point.start < at)
            if begun and not self.certain:
                self.life = point.start
        elif not self.certain:
            self.life = point.start if self.life is None else min(self.life, point.start)
        self._rising[point.metric] = (point.start, point.at, point.value)
        return True

    def _added(self, point: Point, counts: Counter[str]) -> float | None:
        """The sum of all points of a field up to this time, None where this one does not belong to it."""
        held = self._sums.get(point.field)
        if held is None:
            held = self._sums[point.field] = _Sum(point.metric, point.at)
        why = ""
        if held.metric != point.metric:
            why = "other-name"  # the same thing under two names counts once
        elif held.at - point.at > SAME_S:
            why = "late"
        elif len(held.pieces) >= MAX_PIECES and point.key not in held.pieces:
            why = "too-many-series"
        if why:
            counts[why] += 1
            return None
        if point.at - held.at > SAME_S:
            held.base = held.base + held.total if point.delta else 0.0
            held.at, held.total = point.at, 0.0
            held.pieces.clear()
        held.total += point.value - held.pieces.get(point.key, 0.0)
        held.pieces[point.key] = point.value
        return held.base + held.total


def _values_at(found: list[tuple[float, dict[str, float]]], at: float) -> dict[str, float]:
    for known, values in reversed(found):
        if abs(at - known) <= SAME_S:
            return values
    found.append((at, {}))
    return found[-1][1]
