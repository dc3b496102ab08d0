"""The health probe of B7: many open descriptors and a large heap at once, and a collector that runs hard.

Watches     `open_fds` and `heap_inuse` of each reading, every 5 s; and whether the collector runs hard, as gc-pressure judges it.
Why         a streaming service that gets stuck has both: connections that are not given back, and the buffers of each. Numbers of that one service, kept
            exactly: they say "this size and it was dying", not that any service of this size is.
Input       Readings of the present life; those closer together than the probe's beat are taken as one.
Method      A state machine over readings. WARN: descriptors > `warn_fds` and heap > `warn_heap_bytes`, both strictly. CRITICAL: `warns` WARNs in a row,
            the last one now, while the collector runs hard. STUCK: descriptors > `stuck_fds` and heap > `stuck_heap_bytes`. A reading that tells not both
            numbers says nothing; one below, a hole of `max_gap_s` or a restart ends the row.
Verdicts    `tight`, never more: these are no limits, and a healthy gateway of 6,000 websockets stands above all of them. WARN has confidence 0.5 (nobody is
            told), CRITICAL 0.85 and STUCK 0.9 (somebody is); a STUCK whose numbers have stood still through the window, without a collector that
            runs hard, is the size of that service: 0.7, and the text says which settings to raise.
Parameters  `EventLoopRule`.
If wrong    an incident of low priority for a large service; give it its own numbers under `rules: loop:`.
Blind       services that get stuck while smaller; Go has no event loop of its own to probe but the netpoller.
Example     3,000 descriptors and 500 MiB: nothing. 3,001 and 100 MiB + 1 byte: WARN; three readings of that at 20 % GC: CRITICAL.
Source      the map's B7.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from parkwarden.judge.fleet import gc_pressure
from parkwarden.judge.fleet.nearing import newest
from parkwarden.kernels._fleet_layout import SUSPECT
from parkwarden.model import Signal, Verdict
from parkwarden.model.words import size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from parkwarden.aggregate.windows import Windows

NAME = "event-loop-health"
CODE = "PW524"
MIB = 1 << 20
STANDS = 1.02
"""Growth over the window below which a number stands still."""
CONFIDENCE = (0.0, 0.5, 0.85, 0.9)
"""By state."""
ITS_SIZE = 0.7
"""Of a STUCK that has stood like that: below `alert.suspect_confidence`."""
PATIENT = 20
"""Readings that must have stood still for that: 100 s."""


class State(IntEnum):
    """What the probe says."""

    FINE = 0
    WARN = 1
    CRITICAL = 2
    STUCK = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLoopRule:
    """B7's numbers; all comparisons are strict."""

    warn_fds: float = 3000.0
    """Open descriptors to be passed for a WARN. Set it to what your service has at its peak."""
    warn_heap_bytes: float = 100.0 * MIB
    """Heap in use to be passed at the same time, bytes."""
    stuck_fds: float = 5000.0
    """Descriptors to be passed for STUCK."""
    stuck_heap_bytes: float = 200.0 * MIB
    """Heap in use to be passed at the same time, bytes."""
    warns: int = 3
    """WARNs in a row for CRITICAL: 15 s. Fewer: a burst of requests is critical."""
    beat_s: float = 5.0
    """The probe's beat: readings that come faster count once per beat. Shorter: three WARNs say less."""
    max_gap_s: float = 30.0
    """A hole this long ends the row of WARNs, and an older reading says nothing about now."""


def state(fds: float, heap: float, warns_before: int, hard: bool, rule: EventLoopRule) -> tuple[State, int]:
    """One step of the machine: what a reading says, and how many WARNs there are in a row with it."""
    if not (fds > rule.warn_fds and heap > rule.warn_heap_bytes):
        return State.FINE, 0
    warns = warns_before + 1
    if fds > rule.stuck_fds and heap > rule.stuck_heap_bytes:
        return State.STUCK, warns
    return (State.CRITICAL if hard and warns >= rule.warns else State.WARN), warns


def run(readings: Iterable[tuple[float, float, float]], hard: bool, rule: EventLoopRule) -> tuple[State, int]:
    """The machine over readings (time, descriptors, heap), oldest first; `hard`: does the collector run hard now."""
    warns, last, now = 0, -float("inf"), State.FINE
    for at, fds, heap in readings:
        if at - last > rule.max_gap_s:
            warns = 0
        elif at - last < 0.8 * rule.beat_s and warns:
            warns -= 1  # the same beat again
            now, warns = state(fds, heap, warns, hard, rule)
            continue
        now, warns = state(fds, heap, warns, hard, rule)
        last = at
    return now, warns


def signals(windows: Windows, now: float, rule: EventLoopRule, gc: gc_pressure.GcPressureRule) -> list[Signal]:
    """A signal for each instance whose state is not fine."""
    large = np.flatnonzero(
        (newest(windows, "open_fds") > rule.warn_fds) & (newest(windows, "heap_inuse") > rule.warn_heap_bytes)
    )
    if not len(large):
        return []
    pressed = gc_pressure.judge(windows, now, gc).verdict >= SUSPECT
    return [s for row in large.tolist() if (s := _judge(windows, row, now, bool(pressed[row]), rule)) is not None]


def _judge(windows: Windows, row: int, now: float, hard: bool, rule: EventLoopRule) -> Signal | None:
    name = windows.instance(row).id
    fd_times, fds = windows.series(name, "open_fds", now)
    heap_times, heaps = windows.series(name, "heap_inuse", now)
    _, mine, others = np.intersect1d(fd_times, heap_times, assume_unique=True, return_indices=True)
    times, fds, heaps = fd_times[mine], fds[mine], heaps[others]
    if not len(times) or now - times[-1] > rule.max_gap_s:
        return None
    found, warns = run(zip(times.tolist(), fds.tolist(), heaps.tolist(), strict=True), hard, rule)
    if found is State.FINE:
        return None
    stands = found is State.STUCK and not hard and _stands(fds) and _stands(heaps)
    said = f"{fds[-1]:,.0f} open file descriptors and {size(heaps[-1])} of heap in use"
    gone = f", {warns} readings in a row" if warns > 1 else ""
    because = {
        State.WARN: "both above the probe's warning",
        State.CRITICAL: "and the collector runs hard",
        State.STUCK: "both above what a stuck service had",
    }[found]
    if stands:
        because += "; they stand still and the collector is calm: if that is this service's size, raise rules: loop:"
    return Signal(
        detector=NAME,
        code=CODE,
        at=now,
        instance=name,
        site=None,
        verdict=Verdict.TIGHT,
        confidence=ITS_SIZE if stands else CONFIDENCE[found],
        text=f"{found.name}: {said}{gone}, {because}",
        count=int(fds[-1]),
        numbers={
            "state": float(found),
            "warns": float(warns),
            "open_fds": float(fds[-1]),
            "heap_inuse_bytes": float(heaps[-1]),
        },
    )


def _stands(values: Sequence[float] | npt.NDArray[np.float64]) -> bool:
    """Whether a number has been where it is for a while."""
    few = 5
    if len(values) < PATIENT:
        return False
    return float(np.median(values[-few:])) <= STANDS * float(np.median(values[:few]))
