"""How a watch is doing: what /metrics, /readyz and the terminal show. Plain numbers, taken at one moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from parkwarden.model import Incident


@dataclass(slots=True, kw_only=True)
class WatchStatus:
    """Counters rise for the life of the process; all else is as it is now. Seconds, bytes, Unix times."""

    started_at: float
    last_tick_at: float = 0.0
    tick_s: float = 0.0
    """Duration of the last judgement, all of it."""
    ticks: int = 0
    targets: Counter[str] = field(default_factory=Counter)
    """By state (up, slow, failing, ...)."""
    targets_left_out: int = 0
    """Beyond `discovery.max_targets`: nobody looks at them."""
    looks: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(kind, outcome) -> looks."""
    look_seconds: Mapping[str, float] = field(default_factory=dict)
    """Seconds that looks took, by kind; `stall_seconds` what they are estimated to have cost the watched."""
    stall_seconds: Mapping[str, float] = field(default_factory=dict)
    look_bytes: Mapping[str, int] = field(default_factory=dict)
    scrapes: Counter[str] = field(default_factory=Counter)
    """Readings, by outcome."""
    scrape_seconds: float = 0.0
    scrape_bytes: int = 0
    suspicions: int = 0
    """Times a judge's suspicion called for closer looks."""
    instance_restarts: int = 0
    """Restarts of the watched that readings showed."""
    stream_points: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(stream, outcome) -> points that others brought."""
    stream_instances: Counter[str] = field(default_factory=Counter)
    """Instances by the stream that tells of them."""
    stream_refused: Counter[str] = field(default_factory=Counter)
    """Announcements and readings of streams that were not taken, by why."""
    telemetry: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(back end, signal, outcome) -> items that were reported to it, or dropped."""
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Looks not taken: (kind, reason)."""
    findings: Counter[str] = field(default_factory=Counter)
    """By verdict."""
    incidents: list[Incident] = field(default_factory=list)
    """Those not resolved."""
    notifications: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(channel, outcome) -> notifications."""
    outbox_waiting: int = 0
    evidence_kept: int = 0
    evidence_bytes: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """What had to be given up, by what it was; never silently."""
    restarts: Counter[str] = field(default_factory=Counter)
    """Parts of the watch that failed and were started again, by name."""
    troubles: dict[str, str] = field(default_factory=dict)
    """What is wrong with us now: part -> sentence. Empty = ready."""
