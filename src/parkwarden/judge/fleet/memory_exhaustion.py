"""Memory on its way to the limit at which the kernel kills.

Watches     what counts against `mem_limit`: the cgroup's use less what can be reclaimed (`mem_used`), else the process's `rss`; beside it the share of
            time in which something waited for memory (PSI, `mem_stall_share`), the group's `oom_kills`, and collections (`num_gc`).
Why         the OOM killer asks nobody: the process dies in mid-request with all evidence, and restarts empty.
Input       Up to 128 readings of the present life.
Method      As for descriptors (approach.py), through the maxima of each slot: the collector's saw tooth runs below them, and it is the peak that
            meets the limit. Growth without a collection in between may all be garbage (GOGC=off with a memory limit is meant to grow so): until
            `min_gcs` have run since it began it is `tight` at most, where collections are told.
Verdicts    As for descriptors, with `MemoryRule`'s numbers. Refused already: above `reclaiming_share` while the stall share is above `stall_share`, or
            the kernel killed something of the group within the window. Standing near the limit alone is never more than `tight`: Go stays below
            GOMEMLIMIT for as long as it can, and that is what it is for.
Parameters  `MemoryRule`.
If wrong    as for descriptors; a cache that fills in a line beyond `exhausting_way` of its way and ends below the limit wakes somebody once. In 200 simulated days
            of one instance, caches filling to 0.8 of the memory and teeth to 0.9, no `exhausting` was false; `tight` were 1,052, most of them teeth at 0.9
            (`python -m bench.limits_quiet --instances 100`, seeds 4 and 5).
Blind       a limit that nobody tells (no cgroup, no GOMEMLIMIT); memory of other processes of the group where only `rss` is told; one huge allocation.
Example     620 MiB of 1 GiB and 0.5 MiB more a second: reached in 13 min, exhausting. Teeth between 300 and 600 MiB for ten minutes: nothing.
Source      Linux Documentation/admin-guide/cgroup-v2.rst (memory), Documentation/accounting/psi.rst; runtime/mgcpacer.go; runtime/debug.SetMemoryLimit.
"""

from __future__ import annotations

from dataclasses import dataclass

NAME = "memory-exhaustion"
CODE = "PW522"
LIMIT = "memory-limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRule:
    """Thresholds of memory-exhaustion."""

    tight_share: float = 0.85
    """Of the limit, standing or not. Kubernetes' own advice is to leave a sixth. Lower: services that are sized well are named."""
    tight_way: float = 0.25
    """Part of the way from where growth began to the limit, from which on growth is worth a word. Lower: every start of a process is named."""
    exhausting_way: float = 0.6
    """Part of the way from where growth began to the limit, below which it is `tight` at most: caches fill, heaps double before a collection. Lower: those
    wake people."""
    tight_left_s: float = 7200.0
    """Growth that may arrive so soon is worth a closer look (a heap profile before the end)."""
    horizon_s: float = 14_400.0
    """The late end of the interval must be within. Shorter than for descriptors: memory follows the day's traffic more."""
    reach: float = 8.0
    """Times as long as growth has been seen, beyond which it is not believed to go on."""
    min_samples: int = 10
    """Readings since the window's begin."""
    min_span_s: float = 45.0
    """Seconds since the last change point; fewer, as for descriptors, where the end is near."""
    max_gap_s: float = 60.0
    """A newest reading older than this says nothing about now."""
    min_gcs: int = 2
    """Collections since growth began, where they are told: what survived two is held by somebody. Fewer: garbage is taken for growth."""
    grain_share: float = 0.002
    """Of the limit: changes below are the allocator's, no step and no growth."""
    reclaiming_share: float = 0.95
    """Of the limit: above, with stalls, the kernel already takes back what it can with every allocation."""
    stall_share: float = 0.1
    """Of the last ten seconds in which something waited for memory (PSI `some`). A healthy host has 0; a tenth is felt by every request."""
