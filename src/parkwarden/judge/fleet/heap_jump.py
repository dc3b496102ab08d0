"""PW502 heap-jump: the heap grew by a third and by megabytes between two samples.

What it watches: heap in use (or, where that is not told, allocated) of each instance, sample to sample. Why: a crowd of goroutines that
appears at once brings its buffers; a cache that is loaded twice shows here first.

Input: columns `heap_inuse`, `heap_alloc` (bytes), `num_gc` (cycles), at any cadence up to `max_gap_s` between samples.

Verdicts: `suspect` when a sample is at least 30 % **and** more than 2 MiB above the one before, and as long afterwards as the heap stays
that far above the frozen level from before the jump, at most `hold_s`. The number of collections is trend only: it never decides, but a heap
that is still up after one was not just garbage, and is told with more confidence. Never `leak`. `unknown`: fewer than two samples, a
hole between the newest two, or a zero that says nothing.

A base of zero: the share is infinite, nothing is divided. A Go heap is never empty, so one lone zero is a hole in the page; only two told
zeros in a row are a real base (a recording that begins before the process allocates), above which more than 2 MiB is a jump.

Cost of being wrong: with GOGC=100 a heap doubles between collections, and a small one may do so within 5 s: such a jump is let go
at the next collection and its confidence is low. Blind spots: growth in many small steps (the time left sees it), memory outside the heap.
Example: 10 MiB, then 13 MiB: suspect. 10 MiB, then 12.9 MiB; or 4 MiB, then 6 MiB: ok.
Source: the A2 rule of the house's map (ring of 128 samples of Alloc, TotalAlloc, Sys, HeapInuse, NumGC).
"""

from __future__ import annotations

from dataclasses import dataclass

from parkwarden.aggregate.windows import Windows
from parkwarden.judge.fleet.judged import Judged, scan
from parkwarden.model import Signal

NAME = "heap-jump"
CODE = "PW502"
NUMBERS = ("base_b", "heap_b", "growth_b", "growth_share", "since_s", "gc_cycles", "from_heap_alloc")
"""`growth_share` does not apply to a zero base; `gc_cycles` are those since the jump; `from_heap_alloc` is 1 where heap in use is not told."""

MIB = float(1 << 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeapJumpRule:
    """Thresholds of heap-jump."""

    growth_share: float = 0.3
    """Of the sample before, to be reached. Lower: every collection's saw-tooth fires; higher: doubling only."""
    growth_b: float = 2 * MIB
    """Bytes, to be passed: the absolute floor beside the share. Lower: small processes, which are all saw-tooth, fire."""
    max_gap_s: float = 60.0
    """Two samples further apart are not compared: what happened between them need not have been sudden."""
    hold_s: float = 900.0
    """How long a heap that stays up is told; as for the trend."""


def judge(windows: Windows, now: float, rule: HeapJumpRule) -> Judged:
    """Verdicts and NUMBERS for every row."""
    params = (now, rule.growth_share, rule.growth_b, rule.max_gap_s, rule.hold_s)
    fields = ("heap_inuse", "heap_alloc", "num_gc")
    return scan(NAME, "heap", windows, fields, params, NUMBERS, ((NAME, rule), 4))


def signals(windows: Windows, judged: Judged) -> list[Signal]:
    """A Signal per suspect row."""
    return [_signal(windows, judged, row, n) for row, n in judged.found()]


def _signal(windows: Windows, judged: Judged, row: int, n: dict[str, float]) -> Signal:
    cycles = n.get("gc_cycles", 0.0)
    share = f" (+{n['growth_share']:.0%})" if "growth_share" in n else ""
    what = "allocated heap" if n["from_heap_alloc"] else "heap in use"
    text = f"{what} jumped from {n['base_b'] / MIB:,.1f} to {n['heap_b'] / MIB:,.1f} MiB{share}"
    if cycles >= 1.0:
        text += f" and is still up after {cycles:.0f} collections"
    return judged.suspicion(
        windows,
        row,
        code=CODE,
        confidence=0.5 if cycles >= 1.0 else 0.3,
        text=text,
        since=n["since_s"],
        numbers=n,
    )
