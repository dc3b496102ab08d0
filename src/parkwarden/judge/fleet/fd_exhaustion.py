"""Open file descriptors on their way to the process's limit.

Watches     `open_fds` of each instance against `max_fds` (RLIMIT_NOFILE, soft), and what they are by kind where the host tells.
Why         a process without descriptors accepts nobody, opens nothing, and cannot even log why. A leaked goroutine often holds one.
Input       Up to 128 readings of the present life (5 s apart: ten minutes); a restart, or a deploy under the same name, begins it anew.
Method      A robust line through what came after the last change point, with an interval that counts with correlated readings (approach.py).
Verdicts    `exhausting`: it grows for sure, no slower than at first, has come `exhausting_way` of the way from where that began (or its holder is judged
            a leak), and the late end of the interval is within `horizon_s` and `reach` times what was seen, all of that for a minute (less, where little is left); or descriptors are refused already. `tight`: standing
            above `tight_share`, or growing, `tight_way` of the way on, with the early end within `tight_left_s`. `unknown`: too few readings, a gap, no limit told.
Parameters  `FdRule`.
If wrong    `exhausting` wakes somebody: before `exhausting_way` nothing does, since a pool that fills looks the same until it is full. `tight`
            is a line in a report and leads to a closer look. Who never needs half of the limit cannot be accused by growth. Of services sized so
            tightly that storms and ramps reach 0.9 of it, 1 `exhausting` was false in 200 simulated days of one instance, and 101 `tight`
            (`python -m bench.limits_quiet --instances 100`, seeds 4 and 5).
Blind       growth slower than about 1 % of the limit in ten minutes, until it is near; bursts that come and go between two readings; a limit set
            by setrlimit after the last look.
Example     640 of 1,024 open and 0.2 more a second, seen for ten minutes: run out in 32 min, exhausting. 640 for ten minutes: nothing.
Source      getrlimit(2); Go raises the soft limit to the hard one at start (os/rlimit.go, since 1.19).
"""

from __future__ import annotations

from dataclasses import dataclass

NAME = "fd-exhaustion"
CODE = "PW520"
LIMIT = "fd-limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class FdRule:
    """Thresholds of fd-exhaustion."""

    tight_share: float = 0.8
    """Of the limit, standing or not. Above it a reconnect of all clients, which doubles sockets for a moment, may not fit. Lower: services that are
    sized well are named."""
    tight_way: float = 0.25
    """Part of the way from where growth began to the limit, from which on growth is worth a word. Lower: every start of a process is named."""
    exhausting_way: float = 0.5
    """Part of the way from where growth began to the limit, below which it is `tight` at most: load that rises, and pools that fill, end somewhere,
    mostly below half of it. Lower: earlier by some minutes, and ramps of load wake people; higher: a fast leak leaves less time."""
    tight_left_s: float = 7200.0
    """Growth that may arrive so soon is worth a closer look. Longer: slow drifts of traffic are named."""
    horizon_s: float = 21_600.0
    """The late end of the interval must be within; what is further away is still told by the leak's own finding."""
    reach: float = 8.0
    """Times as long as growth has been seen, beyond which it is not believed to go on: two minutes of it say nothing about the evening."""
    min_samples: int = 10
    """Readings since the window's begin. Fewer have no error worth the name."""
    min_span_s: float = 45.0
    """Seconds since the last change point; fewer, but 20, where growth arrives within as long as it was seen. Shorter: every start of a process is growth."""
    max_gap_s: float = 60.0
    """A newest reading older than this says nothing about now."""
