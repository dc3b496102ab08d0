"""What a drill saw: services, what was done to their back end, and what that did to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Harm(StrEnum):
    """How a service came through, in the order of how bad it is. Telemetry that is lost while nobody takes it is no harm."""

    UNHARMED = "unharmed"
    HARMED = "harmed"
    """Slower, larger, with errors or goroutines that pile up, or unable to end."""
    DIED = "died"


@dataclass(frozen=True, slots=True, kw_only=True)
class Growing:
    """What the detectors found while a phase ran."""

    code: str
    verdict: str
    """`leak` or `suspect`."""
    title: str
    place: str = ""
    """Function and line of the site, or of the line of the user's own that is to blame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of load: before, during or after the fault. None = not told."""

    name: str
    seconds: float
    requests: int | None = None
    errors: int | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    late_ms: float | None = None
    """The p99 of how late the load generator itself was woken: what this machine adds to any latency."""
    cpu_cores: float | None = None
    """Processors the service kept busy."""
    rss_max: int | None = None
    """Bytes resident, the most seen."""
    goroutines_max: int | None = None
    goroutines_end: int | None = None
    said_lines: int | None = None
    """Lines the telemetry wrote into the service's own log."""
    growing: tuple[Growing, ...] = ()
    not_judged: str = ""
    """Why the detectors say nothing, where they do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One signal's items over the whole trial, until the back end was well again for a while."""

    signal: str
    """`spans`, `segments`, `logs`."""
    made: int | None
    """None where the service does not tell."""
    arrived: int

    @property
    def lost(self) -> int | None:
        return None if self.made is None else max(0, self.made - self.arrived)


@dataclass(slots=True, kw_only=True)
class Trial:
    """One service in front of one fault."""

    service: str
    fault: str
    phases: list[Phase] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    died: str = ""
    """How and when, with its last words; empty if it lived."""
    recovered_s: float | None = None
    """From the end of the fault until telemetry came again; None if none came while we waited."""
    exit_s: float | None = None
    """From SIGTERM to the end of the process, with the fault there again; None if it had to be killed."""
    exit_limit_s: float = 0.0
    harm: Harm = Harm.UNHARMED
    reasons: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    """What could not be judged, and why."""

    def phase(self, name: str) -> Phase | None:
        return next((one for one in self.phases if one.name == name), None)


@dataclass(slots=True, kw_only=True)
class Drill:
    """A whole drill."""

    name: str
    begun_at: str
    """RFC 3339, UTC."""
    took_s: float
    rate_per_s: float
    versions: dict[str, str]
    """Of what was drilled, by name."""
    trials: list[Trial]

    @property
    def harm(self) -> Harm:
        """The worst of its trials."""
        ranks = list(Harm)
        return max((one.harm for one in self.trials), key=ranks.index, default=Harm.UNHARMED)
