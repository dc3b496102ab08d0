"""Which instances are near a limit or on the way to it: the part that the detectors of single limits share.

All rows of the fleet are screened in columns (share of the limit, and how soon the rise since the window's begin would end in it); only those that
pass are looked at by `approach`, the most urgent `MAX_LOOKED_AT` of them. The others are counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from parkwarden.aggregate.windows import LIMITS, ROW
from parkwarden.judge.fleet.approach import Approach, approach
from parkwarden.model import Verdict

if TYPE_CHECKING:
    import numpy.typing as npt

    from parkwarden.aggregate.windows import Windows

    Floats = npt.NDArray[np.float64]

MAX_LOOKED_AT = 64
"""Rows of one limit looked at closely in one tick: 50 ms. Of a fleet that moves as a whole the others wait until they are more urgent."""
TEETH = 6
"""Readings at either end of the window whose maximum is screened: a single one may be just after a collection."""
FLOOR = 0.5
"""Share of its peaks to which a saw tooth falls: half, where the heap doubles between collections."""
SLACK = 2.0
"""How much later than the rule asks a screened row may arrive: two readings are a rough slope."""
HALF = 0.5
"""Share of a limit above which whoever moved is looked at."""
STANDS = 6
"""Newest readings whose median is near the limit, for standing near it: half a minute; a peak is none."""
REFUSED = 0.995
"""Share of a limit at which the next one is refused: between two readings there are always some more."""
SHORTEST_S = 20.0
"""Growth that arrives, at the latest, within as long as it has been seen needs no `min_span_s`, but this: who has half a minute is told before it is over."""


class LimitRule(Protocol):
    """What the rules of single limits have in common; each says why it has which value."""

    @property
    def tight_share(self) -> float: ...
    @property
    def tight_way(self) -> float: ...
    @property
    def exhausting_way(self) -> float: ...
    @property
    def tight_left_s(self) -> float: ...
    @property
    def horizon_s(self) -> float: ...
    @property
    def reach(self) -> float: ...
    @property
    def min_samples(self) -> int: ...
    @property
    def min_span_s(self) -> float: ...
    @property
    def max_gap_s(self) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """What is known of one instance and one limit. `way` is None where readings are too few for one; `cause` says why it is unknown."""

    verdict: Verdict
    value: float
    limit: float
    why: str
    """grows, near, refused; "" of `ok` and `unknown`."""
    way: Approach | None = None
    start: float = math.inf
    """The value at which growth began, as far as known; infinite where none is seen."""
    cause: str = ""

    @property
    def share(self) -> float:
        return self.value / self.limit


def limit_of(windows: Windows, name: str) -> Floats:
    """The limit of every row, NaN where none is told."""
    limits: Floats = windows.limits[LIMITS.index(name), : windows.size]
    return limits


def newest(windows: Windows, field: str) -> Floats:
    """The newest told value of every row in its present life; NaN where none was."""
    values: Floats = windows.latest[ROW[field], : windows.size]
    return values


def oldest(windows: Windows, field: str, rows: npt.NDArray[np.int64]) -> Floats:
    """What the oldest readings held of these rows told; NaN where they did not."""
    begin = np.where(windows.count[rows] < windows.samples, 0, windows.head[rows])
    told: Floats = windows.columns[ROW[field], rows, begin]
    return told


def screen(
    windows: Windows, field: str, value: Floats, limit: Floats, rule: LimitRule, *, peaks: bool = False
) -> npt.NDArray[np.int64]:
    """Rows worth a closer look, the most urgent first. `peaks`: both ends of the window are the highest of the last `TEETH` readings there."""
    rows = np.flatnonzero(value >= (FLOOR if peaks else 1.0) * rule.tight_way * limit)  # NaN is not
    if not len(rows):
        return rows
    last, first = value[rows], oldest(windows, field, rows)
    span = windows.latest[0, rows] - oldest(windows, "at", rows)
    if peaks:
        ring, head, count = windows.columns[ROW[field]], windows.head[rows], windows.count[rows]
        begin = np.where(count < windows.samples, 0, head)
        for k in range(TEETH):
            last = np.fmax(last, np.where(count > k, ring[rows, head - 1 - k], np.nan))
            first = np.fmax(first, np.where(count > k, ring[rows, (begin + k) % windows.samples], np.nan))
    share = last / limit[rows]
    with np.errstate(divide="ignore", invalid="ignore"):
        rise = np.where(np.isnan(first), last, last - first)
        left = np.where(rise > 0, (limit[rows] - last) * span / rise, np.inf)
    moves = (rise > 0.01 * limit[rows]) & (
        left <= SLACK * np.minimum(max(rule.horizon_s, rule.tight_left_s), rule.reach * span)
    )
    # a step down within the window hides a rise from its two ends: who is above half is looked at if anything moved at all
    moves |= (share >= HALF) & (rise != 0)
    wanted = moves | (share >= rule.tight_share)
    urgent = np.lexsort((-share[wanted], left[wanted], share[wanted] < REFUSED))
    found: npt.NDArray[np.int64] = rows[wanted][urgent]
    return found


def near(
    times: Floats,
    values: Floats,
    limit: float,
    now: float,
    rule: LimitRule,
    *,
    peaks: bool = False,
    grain: float = 1.0,
    start: float = math.inf,
    borne_out: bool = False,
) -> Near:
    """One instance's verdict. `start`: the value at which growth was first seen to begin, where that was before these readings; `borne_out`:
    what holds the resource was judged a leak by itself, so growth needs no part of the way."""
    if not len(values):
        return Near(verdict=Verdict.UNKNOWN, value=math.nan, limit=limit, why="", cause="the number is not told")
    value = float(values[-1])
    told = partial(Near, value=value, limit=limit)
    if now - times[-1] > rule.max_gap_s:
        return told(verdict=Verdict.UNKNOWN, why="", cause="a gap in the readings")
    way = approach(times, values, limit, now, peaks=peaks, grain=grain)
    if value >= REFUSED * limit:
        return told(verdict=Verdict.EXHAUSTING, why="refused", way=way)
    is_near = float(np.median(values[-STANDS:])) >= rule.tight_share * limit
    if way is None or len(values) < rule.min_samples or way.span_s < min(rule.min_span_s, max(way.high_s, SHORTEST_S)):
        if is_near:
            return told(verdict=Verdict.TIGHT, why="near", way=way)
        return told(verdict=Verdict.UNKNOWN, why="", way=way, cause="too short a span")
    start = min(start, way.value - way.risen) if way.sure else math.inf
    told = partial(told, way=way, start=start)
    gone = (way.value - start) / max(limit - start, grain) if way.sure else 0.0
    believed = rule.reach * way.span_s
    far_enough = borne_out or gone >= rule.exhausting_way
    if way.sure and not way.slowing and far_enough and way.high_s <= min(rule.horizon_s, believed):
        return told(verdict=Verdict.EXHAUSTING, why="grows")
    if way.sure and gone >= rule.tight_way and way.low_s <= min(rule.tight_left_s, believed):
        return told(verdict=Verdict.TIGHT, why="grows")
    if is_near:
        return told(verdict=Verdict.TIGHT, why="near")
    return told(verdict=Verdict.OK, why="")


def since(times: Floats, values: Floats, at: float | None) -> tuple[Floats, Floats]:
    """The readings from `at` on (a deploy that nobody told the windows of)."""
    if at is None or not len(times) or times[0] >= at:
        return times, values
    keep = times >= at
    return times[keep], values[keep]


def numbers(found: Near, more: Sequence[tuple[str, float]] = ()) -> dict[str, float]:
    """What a signal rests on; `fuse` makes the time left of it again."""
    out = {"value": found.value, "limit": found.limit, "share": found.share}
    way = found.way
    if found.why == "refused":
        yet = way is not None and way.sure and found.value < found.limit
        out |= {
            "left_s": 0.0,
            "left_low_s": 0.0,
            "left_high_s": way.high_s if way is not None and yet else 0.0,
            "rate_per_s": max(way.rate_per_s, 0.0) if way else 0.0,
        }
    elif found.why == "grows" and way is not None:
        out |= {"left_s": way.seconds, "left_low_s": way.low_s, "left_high_s": way.high_s, "rate_per_s": way.rate_per_s}
        out |= {"span_s": way.span_s}
    return out | dict(more)
