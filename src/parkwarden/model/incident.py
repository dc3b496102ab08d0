"""Incidents: findings that belong together, over time; and what is told about them to whom."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from parkwarden.model.finding import Grade, Verdict
from parkwarden.model.instance import ServiceKey


class IncidentState(StrEnum):
    """Where an incident is in its life. Acknowledged and silenced are kept apart from it: they say who cares, not how it is."""

    PENDING = "pending"
    FIRING = "firing"
    FLAPPING = "flapping"
    NO_DATA = "no-data"
    RESOLVED = "resolved"

    @property
    def active(self) -> bool:
        return self in (IncidentState.FIRING, IncidentState.FLAPPING, IncidentState.NO_DATA)


class Priority(StrEnum):
    """How soon somebody must answer: P0 5 minutes, P1 30 minutes, P2 a working day, P3 whenever."""

    P0 = "P0"
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"


class Tell(StrEnum):
    """Why a notification is sent."""

    FIRING = "firing"
    UPDATE = "update"
    REMINDER = "reminder"
    NO_DATA = "no-data"
    FLAPPING = "flapping"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Act(StrEnum):
    """What somebody may do about incidents."""

    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"
    SILENCE = "silence"
    UNSILENCE = "unsilence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that happened to an instance while an incident was open: it died and was started again, the kernel killed it."""

    at: float
    """Unix seconds."""
    instance: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One thing wrong with one service, over all its replicas and over time. All times Unix seconds; 0 = not yet.

    `key` says what it is about (service, env, site or symptom) and is unique among incidents that are not resolved; `id` is
    unique for ever. `revision` rises with every change that is told to somebody.
    """

    id: str
    key: str
    state: IncidentState
    service: str
    title: str
    code: str
    detector: str
    """The finding's pattern or symptom (kebab-case): what an alert is named after."""
    verdict: Verdict
    confidence: float
    priority: Priority
    grade: Grade = Grade.NONE
    labels: dict[str, str] = field(default_factory=dict)
    instances: tuple[str, ...] = ()
    site_id: str = ""
    line: str = ""
    """The culprit's (else the blocked) line as `function file:line`."""
    since: float = 0.0
    since_version: str = ""
    rate_per_min: float | None = None
    count: int | None = None
    time_left_s: float | None = None
    time_left_low_s: float | None = None
    time_left_high_s: float | None = None
    limit: str = ""
    advice: str = ""
    why: tuple[str, ...] = ()
    """The witnesses' sentences."""
    evidence: tuple[str, ...] = ()
    """Digests in the evidence store, newest first."""
    saved: tuple[str, ...] = ()
    """Of those the ones taken because a limit was near: what a process left behind, which newer ones do not push out."""
    happened: tuple[Happening, ...] = ()
    """What befell its instances since it began, oldest first."""
    stack: tuple[str, ...] = ()
    """The site's frames as `function file:line`, the blocked one first, at the end `created by ...`."""
    revision: int = 0
    pending_since: float = 0.0
    firing_since: float = 0.0
    clear_since: float = 0.0
    """From when on the condition has been absent while still firing."""
    no_data_since: float = 0.0
    resolved_at: float = 0.0
    last_seen: float = 0.0
    last_told: float = 0.0
    acknowledged_by: str = ""
    acknowledged_at: float = 0.0
    acknowledged_why: str = ""
    closed_by: str = ""
    """Who resolved it by hand, when (`closed_at`) and why (`closed_why`)."""
    closed_at: float = 0.0
    closed_why: str = ""
    silenced_until: float = 0.0
    inhibited_by: str = ""
    """Id of the incident that explains this one."""
    transitions: tuple[float, ...] = ()
    """Times of the last firings and resolutions, for flap detection."""
    told: dict[str, str | float] = field(default_factory=dict)
    """What the last notification said (state, verdict, priority, line, ...), so that only what is worse or new is told again.
    Empty: nobody has been told, or the end of it has been told."""

    @property
    def env(self) -> str:
        return self.labels.get("env", "")

    @property
    def service_key(self) -> ServiceKey:
        return self.service, self.env

    @property
    def acknowledged(self) -> bool:
        """Whether somebody has taken it on, this time: what was acknowledged before it came back is not."""
        return self.acknowledged_at > 0 and self.acknowledged_at >= self.pending_since

    @property
    def closed(self) -> bool:
        """Whether somebody has resolved it by hand, this time."""
        return self.closed_at > 0 and self.closed_at >= self.pending_since

    def changed(self, **fields: object) -> Incident:
        return replace(self, **fields)  # type: ignore[arg-type]

    def after(self, action: Action) -> Incident:
        """The incident after what somebody did about it. What was heard of before, or belongs to an earlier time of an incident that
        came back since, changes nothing: whoever hears of an action twice may say so twice."""
        if action.act is Act.ACKNOWLEDGE and action.at > self.acknowledged_at:
            return self.changed(acknowledged_by=action.by, acknowledged_at=action.at, acknowledged_why=action.why)
        if action.act is Act.RESOLVE and action.at > self.closed_at and action.at >= self.pending_since:
            return self.changed(
                state=IncidentState.RESOLVED,
                resolved_at=action.at,
                no_data_since=0.0,
                inhibited_by="",
                closed_by=action.by,
                closed_at=action.at,
                closed_why=action.why,
            )
        if action.act is Act.SILENCE and action.silence is not None:
            return self.changed(silenced_until=max(self.silenced_until, action.silence.ends_at))
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """Something to tell one channel about one revision of one incident. `key` is the idempotency key: it never changes on
    retries, and two notifications with one key are one."""

    key: str
    incident_id: str
    channel: str
    tell: Tell
    at: float
    incident: Incident
    """As it was then."""
    runbook: str = ""
    evidence_url: str = ""
    news: tuple[str, ...] = ()
    """What is new since the last one, in short sentences (an update), or why now (a reminder)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Nothing is told about incidents whose labels all match, until it ends. `matchers`: label -> value or `~regex`."""

    id: str
    matchers: dict[str, str]
    ends_at: float
    created_by: str = ""
    comment: str = ""
    created_at: float = 0.0
    """Unix seconds; 0 = written down before this was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What somebody did about one incident (`incident_id`), or about all that a silence covers. Written down once, never changed."""

    act: Act
    at: float
    by: str
    why: str = ""
    incident_id: str = ""
    silence: Silence | None = None
    """The one begun or ended."""
    number: int = 0
    """Rises from action to action; given by the state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceItem:
    """One piece of evidence in the store. `digest` is the blake2b-256 hex of the redacted, uncompressed bytes."""

    digest: str
    kind: str
    """Kind of artefact: goroutine-profile, trace ..."""
    instance: str
    service: str
    at: float
    bytes: int
    stored_bytes: int
    site_ids: tuple[str, ...] = ()
    why: str = ""
    """What led to the look: `goroutine-trend`, `on beat` ..."""
    redacted: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    file: str = ""
    """Name it opens under in the field's own tools: `...goroutine.pb.gz`."""
