"""Memory and file descriptors get tight together: what neither would wake anybody for alone.

Watches     the verdicts of fd-exhaustion and memory-exhaustion on the same instance.
Why         alone, descriptors above their usual share are a busy hour, and memory near its limit is Go using what it was given. Both at once are streams that
            pile up: each holds a socket or pipe and its buffers, and the process dies of whichever comes first.
Input       Signals of both detectors of one instance at one time.
Verdicts    `tight` with a confidence that is told (0.85; one of them alone has at most 0.7, below `alert.suspect_confidence`), when both are
            `tight` and above 0.7 of their limits. Nothing, when one is `exhausting`: then that one says so, and when.
Parameters  `TogetherRule`, and those of both detectors.
If wrong    an incident of the least priority for a service that stands near both limits and lives well with it: raise the limits.
Blind       instances that tell only one of the two.
Example     900 of 1,024 descriptors and 890 MiB of 1 GiB: tight. Either of them with the other at its half: nothing that is told.
Source      the map's B7: `fd > 3000 and heap > 100 MiB`, one number never alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parkwarden.judge.fleet import fd_exhaustion, memory_exhaustion
from parkwarden.model import Signal, Verdict

NAME = "memory-and-descriptors"
CODE = "PW523"


@dataclass(frozen=True, slots=True, kw_only=True)
class TogetherRule:
    """Thresholds of memory-and-descriptors."""

    share: float = 0.7
    """Of both limits: load that rises takes more of both, and is no matter while there is room. Lower: busy hours are told."""
    confidence: float = 0.85
    """With which it is said. Above `alert.suspect_confidence` (0.8) somebody is told; below, it is a line in a report."""


def signals(said: Sequence[Signal], now: float, rule: TogetherRule) -> list[Signal]:
    """One for each instance of which both are tight."""
    by: dict[str, dict[str, Signal]] = {}
    for signal in said:
        if signal.detector in (fd_exhaustion.NAME, memory_exhaustion.NAME):
            by.setdefault(signal.instance, {})[signal.detector] = signal
    return [
        _signal(name, found[fd_exhaustion.NAME], found[memory_exhaustion.NAME], now, rule)
        for name, found in by.items()
        if len(found) == 2
        and all(s.verdict is Verdict.TIGHT and s.numbers["share"] >= rule.share for s in found.values())
    ]


def _signal(instance: str, files: Signal, memory: Signal, now: float, rule: TogetherRule) -> Signal:
    first = min((files, memory), key=lambda s: s.numbers.get("left_low_s", float("inf")))
    return Signal(
        detector=NAME,
        code=CODE,
        at=now,
        instance=instance,
        site=files.site or memory.site,
        verdict=Verdict.TIGHT,
        confidence=rule.confidence,
        text=f"both get tight together: {files.text}; {memory.text}",
        since=min((s.since for s in (files, memory) if s.since is not None), default=None),
        count=files.count,
        numbers={
            **first.numbers,
            "of_memory": float(first is memory),
            "fd_share": files.numbers["share"],
            "memory_share": memory.numbers["share"],
        },
    )
