"""Policy: who is told what, when and how often. Everything `alert:` in the configuration sets; pydantic validates it as it is.

Times are seconds. Each field says what it is, why its default, and what raising or lowering it costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from parkwarden.alert.match import matches, names
from parkwarden.model import Grade, Incident, Priority, Verdict

MAX_REMEMBERED = 32
"""Transitions an incident remembers: more than any sensible `flap_transitions`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where incidents that match go. Routes are asked in order, the first that matches is taken."""

    matchers: Mapping[str, str] = field(default_factory=dict)
    """Label -> value or `~regex`. Besides the incident's labels: priority, code, detector, verdict, grade, site, incident. Empty
    matches everything."""
    channels: tuple[str, ...] = ()
    """Names of channels. Empty: these incidents are told to nobody (they are still kept and shown)."""
    unanswered: tuple[str, ...] = ()
    """Channels told as well once the time to answer has passed without an acknowledgement: the next in line."""
    more: bool = False
    """Ask the routes after this one too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """Which runbook an incident of a kind carries."""

    match: str
    """A finding code or detector/pattern name; `*` and `?` as in file names: `PW104`, `send-*`."""
    id: str
    """What your runbook system calls it; travels in every webhook."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The decisions of alerting that are yours to make."""

    suspect_confidence: float = 0.8
    """A `suspect` opens an incident from this confidence on (0..1); a `leak` always does. Standing pools and hot caches stay suspects
    of small confidence. Lower: earlier word of slow leaks, more false alarms."""
    fast_confidence: float = 0.5
    """The same for a suspect that grows fast (grade red, above 15 goroutines a minute): a fast leak leaves no time to be surer. The
    goroutine trend (A1) speaks with at least this confidence when its numbers are passed."""
    for_s: float = 4.0
    """A leak, or a suspect that grows fast, must be found at two beats (5 s) in a row before it is told. The rules look at minutes
    already; raising it only adds delay."""
    suspect_for_s: float = 120.0
    """The same for a slow suspect: it may be a burst that goes by itself."""
    keep_firing_s: float = 300.0
    """An incident is resolved when its condition has been judged gone for this long. Five minutes bridge the gap between two
    censuses. Shorter: more flapping; longer: the good news comes later."""
    reopen_s: float = 900.0
    """A condition that comes back this soon after its resolution opens the same incident again, under its old id."""
    believe_s: float = 3600.0
    """What somebody has resolved by hand and is found all the time since stays resolved for this long: after a fix is out the windows show
    the old growth for a while. It opens again under its id when it is more urgent than it was, and after this time in any case: a
    leak that goes on must not stay quiet. Once it was really away, `reopen_s` counts. Longer: a mistaken word hides a leak for longer."""
    flap_transitions: int = 5
    """This many firings and resolutions within `flap_window_s` make an incident `flapping`: told once, then only what is worse."""
    flap_window_s: float = 3600.0
    """See `flap_transitions`."""
    flap_calm_s: float = 1800.0
    """A flapping incident that has not changed for this long is called by its name (firing, resolved) again."""
    no_data_after_s: float = 120.0
    """No instance of a service answers for this long: the incident `no-data`, and its other incidents wait in that state. Longer than a
    restart takes, or every deploy is told."""
    no_data_alone: bool = True
    """Whether a service that stops answering is an incident although nothing was wrong with it before."""
    rejudge_s: float = 300.0
    """An instance is judged only when this much of its present life was seen: until then a restart has cured nothing. As long as the
    longest window of the detectors that open incidents."""
    gone_after_s: float = 86_400.0
    """An incident whose service has no target any more (removed, scaled to zero) is closed after this long."""
    critical_tiers: tuple[str, ...] = ("0", "tier-0", "tier0", "p0", "critical", "platinum", "gold")
    """Values of the label `sla_tier` (any case) whose leaks are P0."""
    low_tiers: tuple[str, ...] = ("3", "tier-3", "tier3", "p3", "low", "best-effort", "bronze", "internal", "dev")
    """Values of `sla_tier` whose incidents are a step less urgent."""
    p0_left_s: float = 1800.0
    """A leak that reaches a limit in this time (the interval's early end) is P0 whatever the tier: the process is about to die."""
    p1_left_s: float = 14_400.0
    """The same for P1: somebody has to look while there is time for a normal deploy."""
    answer_s: Mapping[Priority, float] = field(
        default_factory=lambda: {Priority.P0: 300.0, Priority.P1: 1800.0, Priority.P2: 28_800.0, Priority.P3: 0.0}
    )
    """Time to answer (acknowledge) by priority: A10's 5 and 30 minutes, a working day; 0 = nobody has to. When it has passed, a
    reminder goes to the route's `unanswered` too."""
    remind_s: Mapping[Priority, float] = field(
        default_factory=lambda: {Priority.P0: 900.0, Priority.P1: 3600.0, Priority.P2: 28_800.0, Priority.P3: 0.0}
    )
    """Between reminders of an incident nobody acknowledged; 0 = none."""
    acknowledged_remind_s: float = 14_400.0
    """Between reminders of an acknowledged one that still fires; 0 = none."""
    update_min_s: float = 60.0
    """Least time between two messages of one incident. A culprit newly named and a priority raised do not wait."""
    touch_s: float = 15.0
    """How often fresh numbers (count, rate, time left) of an incident that has no news are written down."""
    routes: tuple[Route, ...] = ()
    """Who is told; see Route. Without a route that matches: `channels`."""
    channels: tuple[str, ...] = ()
    """The channels of incidents that no route matches."""
    runbooks: tuple[Runbook, ...] = ()
    """The first that matches the code or the detector; without one the runbook is the finding code (docs/findings.md)."""
    link: str = ""
    """Where our web page is seen from outside (`https://parkwarden.example`), for links in messages; "" = no links."""
    max_incidents: int = 2_000
    """Open incidents. Past it new ones are dropped and counted: a storm must not take the watcher along (a tick costs 0.2 ms each)."""
    max_per_service: int = 50
    """Open incidents of one service in one env: a service that lies about its sites floods nobody."""

    def alerts(self, verdict: Verdict, confidence: float, grade: Grade = Grade.NONE) -> bool:
        """Whether a finding of this verdict, confidence and grade is worth somebody's attention."""
        if verdict.doubted:
            return confidence >= (self.fast_confidence if grade is Grade.RED else self.suspect_confidence)
        return verdict.certain

    def pending_s(self, verdict: Verdict, grade: Grade = Grade.NONE) -> float:
        """How long a condition must last before it is told."""
        return self.for_s if verdict.certain or grade is Grade.RED else self.suspect_for_s

    def priority(self, verdict: Verdict, grade: Grade, sla_tier: str, left_s: float | None) -> Priority:
        """How soon somebody must answer. `left_s`: the early end of the time left, None where no limit is near."""
        tier = sla_tier.strip().lower()
        certain = verdict.certain
        if certain:
            level = 1 if grade is Grade.RED else 2
        else:
            level = 3 if verdict.doubted else 2  # silence may be the end of what was only suspected
        if tier in self.critical_tiers:
            level = 0 if certain else 1
        elif tier in self.low_tiers:
            level += 1
        if left_s is not None:
            if left_s <= self.p0_left_s:
                level = min(level, 0 if certain else 1)
            elif left_s <= self.p1_left_s:
                level = min(level, 1 if certain else 2)
        return tuple(Priority)[min(level, 3)]

    def routed(self, incident: Incident) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Channels of an incident, and those told when nobody answers; each name once, in the order of the routes."""
        labels = names(incident)
        channels: dict[str, None] = {}
        unanswered: dict[str, None] = {}
        found = False
        for route in self.routes:
            if matches(route.matchers, labels):
                found = True
                channels.update(dict.fromkeys(route.channels))
                unanswered.update(dict.fromkeys(route.unanswered))
                if not route.more:
                    break
        return (tuple(channels) if found else tuple(dict.fromkeys(self.channels))), tuple(unanswered)

    def runbook(self, incident: Incident) -> str:
        for book in self.runbooks:
            if fnmatchcase(incident.code, book.match) or fnmatchcase(incident.detector, book.match):
                return book.id
        return incident.code

    def evidence_url(self, incident: Incident) -> str:
        """Where the evidence of an incident is seen, "" without a page."""
        return f"{self.link.rstrip('/')}/incidents/{incident.id}" if self.link else ""
