"""Operating-system threads on their way to the limit at which Go, or the system, ends the process.

Watches     `threads` of each instance against Go's own limit (`rules.time_left.thread_limit`, 10,000) or the system's, where that is lower
            (`max_threads`: the cgroup's pids.max, kernel.threads-max, RLIMIT_NPROC where it binds, which root it does not).
Why         each goroutine in a blocking system call or C call holds a thread, and Go gives none back. At the limit there is no error to handle:
            `program exceeds 10000-thread limit`, or `runtime: failed to create new OS thread`, and the process is gone.
Input       Up to 128 readings of the present life.
Method      As for descriptors (approach.py): a robust line since the last change point.
Verdicts    As for descriptors, with `ThreadRule`'s numbers.
Parameters  `ThreadRule`.
If wrong    as for descriptors; a pool of blocking workers (cgo, DNS through libc) that fills in a line over a quarter of the way would wake
            somebody; bursts of up to 1,500 threads that stay did not, in 150 simulated days of one instance.
Blind       the system's limits count the threads of all processes of the user or group: others may use them up first.
Example     3,100 threads and 5 more a second: 10,000 in 23 min, exhausting. 3,100 that stand after a burst: nothing.
Source      runtime/proc.go: checkmcount, newosproc; runtime/debug.SetMaxThreads; cgroup v2 pids.max; setrlimit(2).
"""

from __future__ import annotations

from dataclasses import dataclass

NAME = "thread-exhaustion"
CODE = "PW521"
LIMIT = "thread-limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadRule:
    """Thresholds of thread-exhaustion."""

    tight_share: float = 0.7
    """Of the limit. Threads never go, so the next burst comes on top of these. Lower: services with many blocking workers are named."""
    tight_way: float = 0.1
    """Part of the way from where growth began to the limit, from which on growth is worth a word. Lower: every start of a process is named."""
    exhausting_way: float = 0.25
    """Part of the way from where growth began to the limit, below which it is `tight` at most. Half of what descriptors need: healthy services have tens of
    threads and bursts of hundreds, not thousands."""
    tight_left_s: float = 7200.0
    """Growth that may arrive so soon is worth a closer look."""
    horizon_s: float = 21_600.0
    """The late end of the interval must be within."""
    reach: float = 8.0
    """Times as long as growth has been seen, beyond which it is not believed to go on."""
    min_samples: int = 10
    """Readings since the window's begin."""
    min_span_s: float = 45.0
    """Seconds since the last change point; fewer, as for descriptors, where the end is near. Shorter: every burst of file reads is growth."""
    max_gap_s: float = 60.0
    """A newest reading older than this says nothing about now."""
