"""From findings to the words of an incident: what it is about (its key), and what it says.

Everything in a finding may come from a watched process: labels and names are capped here, so that no row grows without end. They
are made inert where they are shown (`alert/text`, the web page), not here: a matcher must see what the service said.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from parkwarden.alert.policy import Policy
from parkwarden.judge.fleet.fuse import LIMITS, PROCESS_WIDE
from parkwarden.model import (
    EvidenceItem,
    Finding,
    Frame,
    Grade,
    Happening,
    Incident,
    IncidentState,
    Priority,
    ServiceKey,
    Verdict,
)
from parkwarden.model.capture import LAST_CHANCE

NO_DATA = "no-data"
"""Detector (and symptom) of the incident of a service that does not answer."""

NO_DATA_CODE = "PW590"

ADOPTABLE = frozenset(PROCESS_WIDE.values())
"""Process-level symptoms that a site of the same service explains: the incident goes on under the site's name."""

MAX_LABELS = 32
MAX_LABEL = 200
"""Labels of an incident, and characters of a name or value: they travel to every channel."""

MAX_KEY = 512
"""Characters of a key; a longer one (hostile labels) is replaced by its digest."""

MAX_INSTANCES = 50
MAX_WHY = 12
MAX_EVIDENCE = 20
"""Kept in one incident: instances and witnesses' sentences worst first, evidence newest first."""

MAX_SAVED = 9
"""Of the evidence, what was taken before a limit and is not pushed out by newer: three looks of three deaths."""

MAX_HAPPENED = 20
"""Deaths and restarts kept in one incident, the newest: what restarts eighty times a night has told its story by then."""

MAX_STACK = 32
"""Frames kept of the site: the blocked ones and those that led there; 3 kB."""

MAX_FRAME = 300
"""Characters of one."""

MAX_TEXT = 2_000
"""Characters of a title, a sentence or an advice."""


def symptom_of(finding: Finding) -> str:
    """What a finding without a site is about: detectors that see the same thing are one symptom."""
    name = finding.pattern or finding.code
    return PROCESS_WIDE.get(name, name)


def service_of(finding: Finding) -> ServiceKey:
    service = finding.service or finding.labels.get("service") or finding.instance or "unknown"
    return service[:MAX_LABEL], finding.labels.get("env", "")[:MAX_LABEL]


def instances_of(finding: Finding) -> tuple[str, ...]:
    return finding.instances or ((finding.instance,) if finding.instance else ())


def key_of(finding: Finding) -> str:
    """Key of the incident a finding belongs to."""
    if finding.site is not None and not is_limit(finding.pattern):
        return make_key(service_of(finding), "site", finding.site.id)
    return make_key(service_of(finding), "symptom", symptom_of(finding))


def make_key(service: ServiceKey, kind: str, what: str) -> str:
    """Unambiguous whatever stands in the labels, and never longer than MAX_KEY."""
    key = json.dumps([*service, kind, what], ensure_ascii=True)
    return key if len(key) <= MAX_KEY else "blake2b:" + hashlib.blake2b(key.encode(), digest_size=32).hexdigest()


def is_limit(detector: str | None) -> bool:
    """Whether it is about something that runs out: a story of its own, whichever site holds it."""
    return detector in LIMITS


def is_adoptable(incident: Incident) -> bool:
    """Whether it is a process-level incident that a site may explain."""
    return not incident.site_id and PROCESS_WIDE.get(incident.detector, incident.detector) in ADOPTABLE


def blank(finding: Finding, incident_id: str, now: float) -> Incident:
    """A new pending incident, to be filled by `with_finding`."""
    return Incident(
        id=incident_id,
        key=key_of(finding),
        state=IncidentState.PENDING,
        service=service_of(finding)[0],
        title="",
        code=finding.code,
        detector="",
        verdict=finding.verdict,
        confidence=0.0,
        priority=Priority.P3,
        pending_since=now,
        labels=_labels(finding),
    )


def with_finding(row: Incident, finding: Finding, kept: Collection[str], now: float, policy: Policy) -> Incident:
    """The incident as the finding tells it now. `kept`: instances not judged anew, which it must not forget.

    `since` keeps the earliest, the release under which it began stays the first one named, and while somebody has been told the
    priority only rises.
    """
    left = finding.time_left
    low = None if left is None else _finite(left.low_s)
    labels = row.labels | _labels(finding)
    priority = priority_of(finding, labels, policy)
    since = _since(finding) or now
    instances = instances_of(finding)
    return row.changed(
        title=finding.title[:MAX_TEXT],
        code=finding.code,
        detector=finding.pattern or finding.code,
        verdict=finding.verdict,
        confidence=finding.confidence,
        priority=min(row.priority, priority) if row.told else priority,
        grade=finding.grade,
        labels=labels,
        instances=tuple(dict.fromkeys([*instances, *(i for i in row.instances if i in kept)]))[:MAX_INSTANCES],
        site_id=finding.site.id if finding.site is not None else row.site_id,
        line=_line(finding) or row.line,
        stack=_stack(row, finding),
        since=min(row.since, since) if row.since else since,
        since_version=(row.since_version or finding.since_version)[:MAX_LABEL],
        rate_per_min=None if finding.rate_per_min is None else _finite(finding.rate_per_min),
        count=finding.count,
        time_left_s=None if left is None else _finite(left.seconds),
        time_left_low_s=low,
        time_left_high_s=None if left is None else left.high_s,
        limit="" if left is None else left.limit,
        advice=finding.advice[:MAX_TEXT],
        why=tuple(dict.fromkeys(e.value[:MAX_TEXT] for e in finding.evidence))[:MAX_WHY],
        last_seen=now,
    )


def priority_of(finding: Finding, labels: Mapping[str, str], policy: Policy) -> Priority:
    low = None if finding.time_left is None else _finite(finding.time_left.low_s)
    return policy.priority(finding.verdict, finding.grade, labels.get("sla_tier", ""), low)


def no_data_finding(
    service: ServiceKey, since: float, instances: Iterable[str], open_incidents: int, labels: Mapping[str, str]
) -> Finding:
    """A service that does not answer, as a finding: what cannot be seen is told, too."""
    beside = f"; {open_incidents} open incidents of it cannot be judged" if open_incidents else ""
    return Finding(
        code=NO_DATA_CODE,
        verdict=Verdict.UNKNOWN,
        confidence=1.0,
        title=f"no instance of {service[0]} answers{beside}",
        pattern=NO_DATA,
        service=service[0],
        instances=tuple(instances),
        labels={**labels, "service": service[0], "env": service[1]},
        first_seen=since,
        grade=Grade.NONE,
        advice="Look whether the service is down, or only its diagnostics port, the network between or the credentials: "
        "`parkwarden doctor` asks its targets. Silence is no recovery: what was wrong before is still open.",
    )


def with_evidence(row: Incident, items: Iterable[EvidenceItem]) -> Incident:
    """Evidence that names the incident's site, or one of its instances where it has none, newest first."""
    new = [
        item
        for item in sorted(items, key=lambda item: -item.at)
        if item.service == row.service
        and (row.site_id in item.site_ids if row.site_id and item.site_ids else item.instance in row.instances)
        and item.digest not in row.evidence
    ]
    if not new:
        return row
    saved = [item.digest for item in new if item.why.startswith(LAST_CHANCE)]
    saved = [*dict.fromkeys([*saved, *row.saved])][:MAX_SAVED]
    room = MAX_EVIDENCE - len(saved)
    kept = []
    for digest in dict.fromkeys([*(item.digest for item in new), *row.evidence]):
        room -= digest not in saved
        if room >= 0 or digest in saved:
            kept.append(digest)
    return row.changed(evidence=tuple(kept), saved=tuple(saved))


def with_happenings(row: Incident, happened: Iterable[Happening]) -> Incident:
    """What befell the incident's instances meanwhile, oldest first."""
    new = tuple(
        replace(one, instance=one.instance[:MAX_LABEL], text=one.text[:MAX_TEXT])
        for one in happened
        if one.instance in row.instances and one.at >= row.pending_since
    )
    return row.changed(happened=(*row.happened, *new)[-MAX_HAPPENED:]) if new else row


def _labels(finding: Finding) -> dict[str, str]:
    pairs = ((str(name)[:MAX_LABEL], str(value)[:MAX_LABEL]) for name, value in sorted(finding.labels.items()))
    return dict(list(pairs)[:MAX_LABELS]) | _own_labels(finding.labels)


def _own_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels the house gives a meaning are never the ones cut off."""
    return {name: labels[name][:MAX_LABEL] for name in ("env", "sla_tier", "team") if labels.get(name)}


def _line(finding: Finding) -> str:
    site = finding.site
    frame = finding.culprit or (Frame(site.function, site.file, site.line) if site is not None else None)
    return _frame(frame, MAX_TEXT) if frame is not None else ""


def _stack(row: Incident, finding: Finding) -> tuple[str, ...]:
    """The site's frames; made once for each site, as they are the same at every tick."""
    site = finding.site
    if site is None or (row.stack and row.site_id == site.id):
        return row.stack
    frames = [_frame(frame) for frame in site.frames[:MAX_STACK]]
    if len(site.frames) > MAX_STACK:
        frames.append(f"... {len(site.frames) - MAX_STACK} more")
    if site.created_by is not None:
        frames.append(f"created by {_frame(site.created_by)}")
    return tuple(frames)


def _frame(frame: Frame, limit: int = MAX_FRAME) -> str:
    place = f"{frame.file}:{frame.line}" if frame.line else frame.file
    return f"{frame.function} {place}".strip()[:limit]


def _since(finding: Finding) -> float:
    """Unix seconds at which it began, by what the finding tells best; 0 = not told."""
    if finding.since:
        try:
            return datetime.fromisoformat(finding.since).timestamp()
        except (ValueError, OverflowError, OSError):
            pass
    return finding.first_seen or 0.0


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
