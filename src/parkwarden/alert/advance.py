"""One tick of alerting: rows and findings in, changed rows and notifications out. Pure; whoever stores both in one transaction has
durable alerting: everything a timer needs is in the rows, and a tick that was not stored is simply done again.

Rules
- One incident per (service, env, site) over all replicas; findings without a site are one per symptom.
- A process-level incident that is open when a site of the same service is accused goes on under the site's name (same id): one
  story for whoever is on call.
- While a site fires, growth of its service's goroutines is no second incident: it makes the site's as urgent as the growth is.
- What runs out (descriptors, threads, memory) is an incident of its own, neither explained by a site nor explaining one.
- A site that fires keeps the service's process-level incidents quiet, as long as it is at least as urgent; a service without data
  keeps its waiting incidents quiet. Silenced and inhibited ones live on and are shown; they are only not told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter

from parkwarden.alert import story
from parkwarden.alert.life import Condition, believed, rested, settled, step
from parkwarden.alert.match import silenced_until
from parkwarden.alert.news import news, told
from parkwarden.alert.policy import Policy
from parkwarden.alert.presence import Presence
from parkwarden.model import (
    EvidenceItem,
    Finding,
    Happening,
    Incident,
    IncidentState,
    Notification,
    Priority,
    ServiceKey,
    Silence,
    Tell,
    Verdict,
)

MOVING = frozenset(
    (
        *("last_seen", "title", "confidence", "rate_per_min", "count", "since", "why", "instances", "advice", "limit"),
        *("time_left_s", "time_left_low_s", "time_left_high_s", "grade", "code", "detector", "labels"),
    )
)
"""Fields that change from tick to tick; alone they are written down only every `Policy.touch_s`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one tick changed, to be stored in one transaction: rows (closed ones first) and what is to be told."""

    changed: list[Incident] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)
    dropped: int = 0
    """Findings that should have opened an incident and met a limit of the policy."""


def advance(
    incidents: Iterable[Incident],
    findings: Iterable[Finding],
    blind: Presence | Mapping[ServiceKey | str, float],
    now: float,
    policy: Policy,
    silences: Sequence[Silence],
    new_id: Callable[[], str],
    *,
    evidence: Sequence[EvidenceItem] = (),
    saved: Sequence[EvidenceItem] = (),
    happened: Sequence[Happening] = (),
) -> Outcome:
    """One tick.

    `incidents`: all rows that are not resolved, and those resolved less than `policy.reopen_s` ago; always the rows as stored (give
    `Outcome.changed` back in, nothing else). `blind`: who does not answer since when, as `presence` tells; a plain mapping of services
    (service, env) and instances (by id) will do where nobody restarts. `evidence`: what was stored since the last tick; `saved`: of what
    was stored lately that which an incident opened now should have. `happened`: what befell instances since the last tick.
    """
    present = blind if isinstance(blind, Presence) else Presence(dict(blind), frozenset(), {}, {})
    tick = _Tick(incidents, present, now, policy)
    return tick.run(list(findings), silences, new_id, evidence, saved, happened)


class _Tick:
    """The rows on their way through one tick."""

    def __init__(self, incidents: Iterable[Incident], present: Presence, now: float, policy: Policy) -> None:
        self.before = {row.id: row for row in incidents}
        self.rows = {row.id: settled(row, now) for row in self.before.values()}
        self.open = {row.key: row.id for row in self.rows.values() if row.state is not IncidentState.RESOLVED}
        self.present, self.now, self.policy = present, now, policy
        self.resting = {row.key: row for row in self.rows.values() if believed(row, now, policy)}
        self.resting_sites = {
            row.service_key: row for row in self.resting.values() if row.site_id and not story.is_limit(row.detector)
        }
        self.on: set[str] = set()
        self.waiting = self._by_service()
        self.lifted: dict[str, Priority] = {}
        self.dropped = 0

    def run(
        self,
        findings: list[Finding],
        silences: Sequence[Silence],
        new_id: Callable[[], str],
        evidence: Sequence[EvidenceItem],
        saved: Sequence[EvidenceItem],
        happened: Sequence[Happening],
    ) -> Outcome:
        found = self._by_key(findings + self._no_data())
        self._adopt(found)
        self._open_new(found, new_id)
        for row in [self.rows[i] for i in self.open.values()]:
            finding = found.get(row.key)
            condition = self._condition(row, finding)
            if finding is not None and (condition.on or row.state is IncidentState.PENDING):
                kept = {i for i in row.instances if i in self.present.blind or i in self.present.young}
                row = self._urgent(story.with_finding(row, finding, kept, self.now, self.policy))
            if condition.on:
                self.on.add(row.id)
            row = story.with_happenings(step(row, self.now, condition, self.policy), happened)
            self.rows[row.id] = story.with_evidence(row, evidence if row.id in self.before else [*evidence, *saved])
        for row in self.resting.values():
            if self.rows[row.id] is row:
                self.rows[row.id] = rested(row, self.now, self._condition(row, found.get(row.key)))
        self._inhibit()
        notifications = [n for row in self._in_order() for n in self._tell(row, silences)]
        changed = [row for row in self.rows.values() if self._material(row)]
        changed.sort(key=lambda row: row.state is not IncidentState.RESOLVED)
        return Outcome(changed, notifications, self.dropped)

    def _by_service(self) -> dict[ServiceKey, list[Incident]]:
        """Open incidents of each service beside its no-data one, as the tick began."""
        found: dict[ServiceKey, list[Incident]] = defaultdict(list)
        for row in (self.rows[i] for i in self.open.values()):
            if row.state.active and row.detector != story.NO_DATA:
                found[row.service_key].append(row)
        return found

    def _urgent(self, row: Incident) -> Incident:
        """A site is as urgent as the growth it stands for; a service that falls silent as what was wrong with it before."""
        if row.id in self.lifted:
            row = row.changed(priority=min(row.priority, self.lifted[row.id]))
        if row.detector != story.NO_DATA:
            return row
        return row.changed(priority=min([row.priority, *(r.priority for r in self.waiting.get(row.service_key, ()))]))

    def _in_order(self) -> list[Incident]:
        """The same order whatever order the rows were stored and read in."""
        return sorted(self.rows.values(), key=lambda row: (row.key, row.id))

    def _no_data(self) -> list[Finding]:
        """A finding for each service that answers nobody."""
        findings = []
        for key, since in self.present.blind.items():
            if isinstance(key, str) or self.now - since < self.policy.no_data_after_s:
                continue
            rows = self.waiting.get(key, [])
            if rows or self.policy.no_data_alone:
                instances = dict.fromkeys(i for row in rows for i in row.instances)
                labels = self.present.labels.get(key) or (rows[0].labels if rows else {})
                findings.append(story.no_data_finding(key, since, instances, len(rows), labels))
        return findings

    def _alerts(self, finding: Finding) -> bool:
        return finding.pattern == story.NO_DATA or self.policy.alerts(
            finding.verdict, finding.confidence, finding.grade
        )

    def _by_key(self, findings: Iterable[Finding]) -> dict[str, Finding]:
        """The worst finding of each incident, about the instances of all of them; worst first."""
        found: dict[str, Finding] = {}
        for finding in sorted(findings, key=lambda f: (-self._alerts(f), -f.verdict.rank, -f.confidence)):
            key = story.key_of(finding)
            worst = found.setdefault(key, finding)
            if worst is not finding and self._alerts(finding):
                both = (*story.instances_of(worst), *story.instances_of(finding))
                found[key] = replace(worst, instances=tuple(dict.fromkeys(both)))
        return found

    def _adopt(self, found: Mapping[str, Finding]) -> None:
        """Process-level incidents go on under the name of the worst site of their service that nobody has been told of."""
        processes: dict[ServiceKey, Incident] = {}
        for process in (self.rows[i] for i in self.open.values()):
            if story.is_adoptable(process):
                processes.setdefault(process.service_key, process)
        for key, finding in found.items():
            row = processes.get(story.service_of(finding))
            if row is None or finding.site is None or story.is_limit(finding.pattern):
                continue
            if not self._alerts(finding) or not self._answers(finding):
                continue
            if self._rests(key, finding):
                continue
            known = self.rows.get(self.open.get(key, ""))
            if known is not None:
                row = self._speaking(row, found.get(row.key))
                if known.state is not IncidentState.PENDING or row is None:
                    continue  # it has a story of its own
                self.rows[known.id] = known.changed(
                    state=IncidentState.RESOLVED, resolved_at=self.now, inhibited_by=row.id
                )
            del processes[story.service_of(finding)]
            del self.open[row.key]
            self.open[key] = row.id
            self.rows[row.id] = row.changed(key=key, site_id=finding.site.id, clear_since=0.0)

    def _speaking(self, row: Incident, finding: Finding | None) -> Incident | None:
        """The incident if it has been told, or as it will be told at this tick; None if it has to wait."""
        if row.state is IncidentState.PENDING and finding is not None:
            row = story.with_finding(row, finding, (), self.now, self.policy)
            row = step(row, self.now, self._condition(row, finding), self.policy)
        return row if row.state.active else None

    def _open_new(self, found: Mapping[str, Finding], new_id: Callable[[], str]) -> None:
        """Pending rows for findings that have none; a row resolved a short while ago is opened again."""
        recent = {
            row.key: row
            for row in sorted(self.rows.values(), key=lambda row: row.resolved_at)
            if row.state is IncidentState.RESOLVED
            and row.firing_since
            and (self.now - row.resolved_at <= self.policy.reopen_s or (row.closed and not row.clear_since))
        }
        sites = self._chief_sites()
        per_service: dict[ServiceKey, int] = defaultdict(int)
        for row in (self.rows[i] for i in self.open.values()):
            per_service[row.service_key] += row.detector != story.NO_DATA
        for key, finding in found.items():
            if key in self.open or not self._alerts(finding) or not self._answers(finding) or self._rests(key, finding):
                continue
            service = story.service_of(finding)
            if finding.site is None and service in sites and story.symptom_of(finding) in story.ADOPTABLE:
                self.lifted[sites[service].id] = story.priority_of(finding, finding.labels, self.policy)
                continue
            full = per_service[service] >= self.policy.max_per_service or len(self.open) >= self.policy.max_incidents
            if full and finding.pattern != story.NO_DATA:
                self.dropped += 1
                continue
            old = recent.get(key)
            if old is None:
                row = story.blank(finding, new_id(), self.now)
            else:
                row = old.changed(state=IncidentState.PENDING, pending_since=self.now, clear_since=0.0)
            per_service[service] += finding.pattern != story.NO_DATA
            self.rows[row.id] = row
            self.open[key] = row.id

    def _rests(self, key: str, finding: Finding) -> bool:
        """Whether somebody has resolved it by hand, or the site that explains it, and it is no more urgent than it was."""
        row = self.resting.get(key)
        if row is None and finding.site is None and story.symptom_of(finding) in story.ADOPTABLE:
            row = self.resting_sites.get(story.service_of(finding))
        return row is not None and story.priority_of(finding, finding.labels, self.policy) >= row.priority

    def _answers(self, finding: Finding) -> bool:
        """Whether anybody the finding is about was heard: what a blind instance said last is not said again."""
        if finding.pattern == story.NO_DATA:
            return True
        names = story.instances_of(finding)
        return not names or any(name not in self.present.blind for name in names)

    def _condition(self, row: Incident, finding: Finding | None) -> Condition:
        if finding is not None and self._alerts(finding) and self._answers(finding):
            return Condition(on=True)
        service = row.service_key
        if row.detector == story.NO_DATA:
            return Condition(held=service in self.present.blind)
        dark = [self.present.blind[i] for i in row.instances if i in self.present.blind]
        if service in self.present.blind:
            dark.append(self.present.blind[service])
        held = (
            (finding is not None and finding.verdict.rank >= Verdict.UNKNOWN.rank)
            or service in self.present.young
            or any(i in self.present.young for i in row.instances)
        )
        return Condition(held=held, dark_since=max(dark, default=None), gone_since=self.present.gone.get(service))

    def _chief_sites(self) -> dict[ServiceKey, Incident]:
        """The most urgent site that fires, of each service."""
        firing = [
            r
            for r in self.rows.values()
            if r.site_id and r.state.active and r.state is not IncidentState.NO_DATA and not story.is_limit(r.detector)
        ]
        firing.sort(key=lambda r: (r.priority, r.firing_since, r.id), reverse=True)
        return {row.service_key: row for row in firing}

    def _inhibit(self) -> None:
        """Who explains whom: written down while it holds."""
        active = [row for row in self.rows.values() if row.state.active]
        silent = {row.service_key: row for row in active if row.detector == story.NO_DATA}
        sites = self.resting_sites | self._chief_sites()
        for row in active:
            service = row.service_key
            by = ""
            if row.detector != story.NO_DATA:
                if row.state is IncidentState.NO_DATA and service in silent:
                    by = silent[service].id
                elif story.is_limit(row.detector):
                    by = ""  # what runs out, and when, is worth telling beside the leak that drives it
                elif not row.site_id and service in sites and sites[service].priority <= row.priority:
                    by = sites[service].id
            if by != row.inhibited_by:
                self.rows[row.id] = row.changed(inhibited_by=by)

    def _tell(self, row: Incident, silences: Sequence[Silence]) -> list[Notification]:
        if row.state is IncidentState.PENDING or (row.state is IncidentState.RESOLVED and not row.told):
            return []
        until = silenced_until(row, silences, self.now)
        if until != row.silenced_until:
            row = self.rows[row.id] = row.changed(silenced_until=until)
        found = news(row, row.id in self.on, self.now, self.policy)
        muted = until > 0 or (row.inhibited_by and row.state is not IncidentState.RESOLVED)
        if muted and row.state is IncidentState.RESOLVED:
            self.rows[row.id] = row.changed(told={})
        if found is None or muted:
            return []
        channels, unanswered = self.policy.routed(row)
        before = tuple(name for name in str(row.told.get("channels", "")).split(",") if name)
        also = unanswered if found.unanswered else ()
        if found.tell is Tell.REMINDER:
            names = dict.fromkeys((*channels, *also))
        else:
            names = dict.fromkeys((*channels, *also, *before))  # whoever was told of it is told how it goes on
        row = row.changed(
            revision=row.revision + 1,
            last_told=self.now,
            told=told(row, found.tell, tuple(dict.fromkeys((*before, *names))), found.unanswered, self.now),
        )
        self.rows[row.id] = row
        return [
            Notification(
                key=f"{row.id}.{row.revision}.{name}",
                incident_id=row.id,
                channel=name,
                tell=found.tell,
                at=self.now,
                incident=row,
                runbook=self.policy.runbook(row),
                evidence_url=self.policy.evidence_url(row),
                news=found.words,
            )
            for name in names
        ]

    def _material(self, row: Incident) -> bool:
        """Whether a row must be written down: anything but moving numbers has changed, or they are old."""
        old = self.before.get(row.id)
        if old is None:
            return True
        if row == old:
            return False
        if row.last_seen - old.last_seen >= self.policy.touch_s or set(row.instances) != set(old.instances):
            return True
        return _STEADY(row) != _STEADY(old)


_STEADY = attrgetter(*(f.name for f in fields(Incident) if f.name not in MOVING))
