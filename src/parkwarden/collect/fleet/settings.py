"""How a fleet is looked at: how often, how long, and what it may cost those who are watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from parkwarden.collect import limits
from parkwarden.collect.streams.prometheus.settings import PrometheusSource


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectSettings:
    """All of collecting. Seconds, bytes, counts; a `Target` may override what it names."""

    interval_s: float = 5.0
    """Between two readings of one instance."""
    timeout_s: float = 4.0
    """One reading, all its sources together; below the interval, so that a slow target falls behind nobody but itself."""
    max_page_bytes: int = 4 << 20
    """Of one page of readings: 150 series have 10 kB, 40,000 series 4 MiB."""
    backoff_max_s: float = 20.0
    """Longest pause after failures (it doubles from the interval on, and varies by a quarter): with the time-out a
    recovery is seen within 30 s."""

    profile_every_s: float = 60.0
    """Goroutine profile on beat: sites by count. 0 = never."""
    census_every_s: float = 300.0
    """Census on beat: who is still here. 0 = never."""
    census_s: float = 0.2
    """Length of a census' trace; every goroutine is in it however short it is."""

    close_watch_s: float = 60.0
    """On suspicion: how long a goroutine profile is taken every `close_every_s`."""
    close_every_s: float = 5.0
    """See `close_watch_s`: two profiles tell growth, a dozen its rate."""
    second_census_after_s: float = 10.0
    """Two censuses so far apart tell who stays."""
    trace_s: float = 1.0
    """Longer trace on suspicion, while there are few goroutines: who creates them."""
    suspect_again_s: float = 600.0
    """The same suspicion of the same instance is followed again only after this long."""
    leak_profile: bool = True
    """Whether the leak profile may be taken at all (on suspicion only): it is a GC cycle, 22 ms of stall at 10,000 goroutines."""
    census: bool = True
    """Whether a census may be taken at all: 1 to 5 ms of stall. Without it a leak is judged by floors, later and less surely."""
    text_dump: bool = True
    """Whether a text dump may be taken at all (on suspicion only): it stops the world, 13 ms at 1,000 goroutines."""
    heap: bool = True
    """Whether a heap profile may be taken at all (on suspicion only): 1 to 2 ms."""
    longer_trace: bool = True
    """Whether the trace of `trace_s` may be taken at all (on suspicion only)."""

    local: Literal["auto", "off"] = "auto"
    """Whether the host is asked about targets that run on it (`auto`: those that are found, by their port): descriptors by kind,
    threads, limits, control group, for readings whose pages do not tell them. The service is not asked and not held up; it takes
    us at most 2 % of one processor. Needs the right to read the service's /proc/PID/fd (the same user, or root)."""
    proc: str = "/proc"
    """The proc filesystem that is read for it: in a container that shares the host's pid namespace, where the host's is mounted."""

    leak_profile_max_goroutines: int = limits.LEAK_PROFILE_MAX_GOROUTINES
    """Above, no leak profile: it stalls for 5.8 s at 100,000."""
    text_dump_max_goroutines: int = limits.TEXT_DUMP_MAX_GOROUTINES
    """Above, no text dump: it stalls for 94 ms at 10,000."""
    trace_max_goroutines: int = limits.RATE_TRACE_MAX_GOROUTINES
    """Above, no longer trace: its size and its stacks cost too much."""
    census_max_goroutines: int = limits.CENSUS_MAX_GOROUTINES
    """Above, no census: it writes every stack, 1.7 MB at 100,000."""

    stall_s_per_hour: float = 2.0
    """Estimated stall that looks may cause one instance in any hour: half a per mille. Beats alone take 0.2 s."""
    dear_per_instance_hour: int = 8
    """Dear looks (leak profile, text dump, longer trace) at one instance in any hour."""
    dear_per_service_hour: int = 24
    """The same over all replicas of a service."""
    dear_per_minute: int = 60
    """The same over the whole fleet: a suspicion that half of the fleet falls under (a bad release, a detector gone wrong) must not
    become a storm of looks, nor of evidence."""
    close_per_service: int = 3
    """Replicas of one service watched closely at once: they tell the same story, and load must have somewhere to go."""
    captures_at_once: int = 16
    """Looks under way over the whole fleet (readings are not looks), a quarter of them kept for suspicions."""
    before_bytes: int = 32 << 20
    """Memory for the last answers on beat, which become evidence of "before" when a suspicion comes."""
    prometheus: tuple[PrometheusSource, ...] = ()
    """Prometheus, Thanos, Mimir or VictoriaMetrics that are asked for readings, instead of scraping every instance ourselves."""
