"""Headlines: what somebody who watches the watch wants to see happen, each thing once.

What each target offers and whether it answers, a suspicion, the looks it caused, the culprit, the incident, the alert that
went out, trouble of our own; at the end what all of it was. Text comes from watched processes: printers must treat it as
hostile. docs/schema/headline-1.json has them as JSON lines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from parkwarden.collect.fleet.status import LOCAL, TargetState, TargetStatus
from parkwarden.judge.fleet import event_loop_health, fd_exhaustion, memory_exhaustion, thread_exhaustion
from parkwarden.model import (
    Capture,
    Finding,
    Incident,
    IncidentState,
    Instance,
    Notification,
    Signal,
    Verdict,
    words,
)
from parkwarden.run.status import WatchStatus

SCHEMA = "parkwarden.headline/1"

QUIET_S = 600.0
"""A suspicion or finding that came back is news again after this long without it."""

TARGET_QUIET_S = 30.0
"""A target that comes and goes is told this often at most."""

SHOWN_ID = 8
"""Letters of an incident's id: `parkwarden incidents` takes the first ones."""

MAX_TARGET_LINES = 12
"""Targets told one by one at one beat; more are told as one sum: a zone that goes down is one headline."""

MAX_REMEMBERED = 20_000
"""Things remembered as told; beyond it the oldest are forgotten and may be told again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """`kind` is target, suspicion, capture, finding, incident, delivery, trouble, recovered or info; `text` one line; `data` for
    machines."""

    kind: str
    at: float
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """As one JSON line says it, docs/schema/headline-1.json."""
        return {"schema": SCHEMA, "at": self.at, "kind": self.kind, "text": self.text, **self.data}


Tell: TypeAlias = Callable[[Headline], None]


_IMPOSSIBLE = {
    "old-go": "Go is older than 1.23",
    "not-there": "its pprof has none",
    "switched-off": "switched off",
}
_LOOKS = {
    "goroutine": "goroutine profile",
    "goroutineleak": "leak profile",
    "goroutine?debug=2": "text dump",
}


PICTURED: Mapping[str, tuple[str, ...]] = {
    fd_exhaustion.CODE: ("open_fds",),
    thread_exhaustion.CODE: ("threads",),
    memory_exhaustion.CODE: ("mem_used", "rss"),
    event_loop_health.CODE: ("open_fds",),
}
"""What the picture beside a finding about a limit shows, the first of these numbers that is told; beside all others it is goroutines."""
GOROUTINES = ("goroutines",)

SURE = 0.8
"""Confidence from which somebody may be told of what is not certain (`alert.suspect_confidence` as it comes): reaching it is news, such as
the step from WARN to CRITICAL of the event loop's probe, which leaves the verdict as it is."""


class Headlines:
    """Turns what happens into headlines, each once. `tell` is given them.

    `instance` tells who an id is; `counts` its numbers of late, oldest first, for a picture: the first told of the fields asked for.
    """

    def __init__(
        self,
        tell: Tell,
        *,
        instance: Callable[[str], Instance] = lambda name: Instance(id=name),
        counts: Callable[[str, Sequence[str]], Sequence[float]] = lambda name, fields: (),
    ) -> None:
        self.tell = tell
        self._instance = instance
        self._counts = counts
        self._seen: dict[tuple[object, ...], float] = {}
        self._targets: dict[str, tuple[TargetState, float, int]] = {}
        self._troubles: dict[str, str] = {}

    def info(self, at: float, text: str, **data: object) -> None:
        self.tell(Headline(kind="info", at=at, text=text, data=data))

    def news_of(self, at: float, states: Mapping[str, tuple[TargetState, int]]) -> list[str]:
        """Targets whose state or restarts are news, so that only they are asked for all they know; who is gone is forgotten."""
        for gone in self._targets.keys() - states.keys():
            del self._targets[gone]
        return [name for name, (state, restarts) in states.items() if self._is_news(at, name, state, restarts)]

    def _is_news(self, at: float, name: str, state: TargetState, restarts: int) -> bool:
        before, told_at, counted = self._targets.get(name, (TargetState.STARTING, -math.inf, restarts))
        if state is TargetState.STARTING or (state is before and restarts == counted):
            return False
        return at - told_at >= TARGET_QUIET_S

    def targets(self, at: float, now: Sequence[TargetStatus]) -> None:
        """What is known of each target when it first answers or fails to, and when that changes."""
        changed = []
        for t in now:
            if not self._is_news(at, t.id, t.state, t.restarts):
                continue
            state, _, restarts = self._targets.get(t.id, (TargetState.STARTING, -math.inf, t.restarts))
            changed.append((t, _target_words(t, first=state is TargetState.STARTING, restarted=t.restarts > restarts)))
            self._targets[t.id] = (t.state, at, t.restarts)
        if len(changed) <= MAX_TARGET_LINES:
            for t, said in changed:
                data = {"target": t.id, "service": t.service, "state": str(t.state), "url": t.url, "error": t.error}
                self.tell(Headline(kind="target", at=at, text=f"{_named(t.service, t.id)}: {said}", data=data))
            return
        for state in TargetState:
            ids = [t.id for t, _ in changed if t.state is state]
            if ids:
                named = ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
                sums = {"targets": len(ids), "state": str(state)}
                self.tell(Headline(kind="target", at=at, text=f"{len(ids):,} targets {state}: {named}", data=sums))

    def judged(self, at: float, findings: Iterable[Finding], signals: Iterable[Signal]) -> None:
        """What is suspected or found for the first time in a while, or more surely than before.

        A detector that speaks of what a finding accuses already is that finding's witness, and no news.
        """
        accused: set[tuple[str, str | None]] = set()
        for f in findings:
            if f.verdict.rank < Verdict.SUSPECT.rank:
                continue
            accused |= {(name, site) for name in f.instances for site in (None, f.site.id if f.site else None)}
            sure = f.verdict.certain or f.confidence >= SURE
            if self._new(at, "finding", f.service, f.site.id if f.site else f.pattern, f.verdict, sure):
                self._found(at, f)
        for s in signals:
            if s.verdict.rank < Verdict.SUSPECT.rank or (s.instance, s.site) in accused:
                continue
            if self._new(at, "signal", s.detector, s.instance, s.site, s.verdict):
                numbers = {name: n for name, n in s.numbers.items() if math.isfinite(n)}  # JSON knows no others
                data = {"detector": s.detector, "code": s.code, "instance": s.instance, "site": s.site, **numbers}
                text = self._pictured(f"{self._who(s.instance)}: {s.text} ({s.detector})", s.instance, s.code)
                self.tell(Headline(kind="suspicion", at=at, text=text, data=data))

    def _found(self, at: float, f: Finding) -> None:
        """A leak is a finding; what is only suspected is told as such."""
        culprit = f"{f.culprit.function} {f.culprit.file}:{f.culprit.line}" if f.culprit else ""
        who = self._who(f.instances[0]) if len(f.instances) == 1 else f"{f.service}"
        parts = [f"{who}: {f.title}", f"{f.verdict}, {f.confidence:.0%} sure"]
        if f.culprit and f.culprit.function not in f.title:
            parts += [f"culprit {culprit}"]
        parts += [words.rate(f.rate_per_min)] if f.rate_per_min else []
        parts += [words.time_left(left.seconds, left.limit, left.low_s, left.high_s)] if (left := f.time_left) else []
        data = {"code": f.code, "service": f.service, "verdict": str(f.verdict), "culprit": culprit}
        text = self._pictured(" | ".join(parts), f.instances[0] if f.instances else "", f.code)
        kind = "finding" if f.verdict.certain else "suspicion"
        self.tell(Headline(kind=kind, at=at, text=text, data=data))

    def captured(self, at: float, capture: Capture) -> None:
        """The first capture of a kind; those that follow while the suspicion lasts are no news."""
        if not self._new(at, "capture", capture.instance, capture.kind):
            return
        size, why = words.size(len(capture.body)), capture.why
        took = f" in {words.seconds(capture.took_s)}" if capture.took_s else ""
        because = f"from {why}" if why.startswith("before ") else f"because of {why}"
        text = f"{self._who(capture.instance)}: {capture.kind}, {size}{took}, {because}"
        data = {"instance": capture.instance, "artefact": capture.kind, "bytes": len(capture.body), "why": why}
        self.tell(Headline(kind="capture", at=at, text=text, data=data))

    def incidents(self, at: float, changed: Iterable[Incident]) -> None:
        """Incidents that began, moved to another state, got their culprit, or of which it is known how long there is left."""
        for i in changed:
            by = i.acknowledged_by if i.acknowledged else ""
            clear = i.state is IncidentState.FIRING and i.clear_since > 0
            what = (i.id, i.state, i.line, i.priority, by, clear)
            # how long there is left is news, that it is not told at present is none
            left = i.time_left_s is not None or ("incident", *what, True) in self._seen
            if i.state is IncidentState.PENDING or not self._new(at, "incident", *what, left):
                continue
            known = f" (acknowledged by {by})" if by else ""
            parts = [f"{i.state}{known} {i.priority} {i.service}: {i.title}"]
            if i.state is IncidentState.RESOLVED:
                parts += [f"lasted {words.seconds(i.resolved_at - i.firing_since)}"] if i.firing_since else []
            elif clear:
                parts += ["no longer found: resolved if it stays so"]
            else:
                parts += [i.line] if i.line and i.line.partition(" ")[0] not in i.title else []
                parts += [words.rate(i.rate_per_min)] if i.rate_per_min else []
                parts += [f"since {i.since_version}"] if i.since_version else []
                parts += [words.time_left(i.time_left_s, i.limit)] if i.time_left_s is not None else []
            parts += [f"incidents show {i.id[:SHOWN_ID]}"]
            data = {
                "incident": i.id,
                "service": i.service,
                "state": str(i.state),
                "priority": str(i.priority),
                "line": i.line,
            }
            text = self._pictured(" | ".join(parts), i.instances[0] if i.instances else "", i.code)
            self.tell(Headline(kind="incident", at=at, text=text, data=data))

    def delivered(self, at: float, notification: Notification, error: str = "") -> None:
        """A channel took a notification, or did not."""
        n = notification
        said = f"{n.channel} did not take it: {error}" if error else f"{n.channel} has been told"
        text = f"{said} ({n.tell} {n.incident.priority} {n.incident.service})"
        self.tell(
            Headline(kind="delivery", at=at, text=text, data={"key": n.key, "channel": n.channel, "error": error})
        )

    def mishap(self, at: float, part: str, text: str) -> None:
        """Something that went wrong and is over: what was damaged and what became of it."""
        self.tell(Headline(kind="trouble", at=at, text=f"{part}: {text}", data={"part": part}))

    def troubles(self, at: float, now: Mapping[str, str]) -> None:
        """What is wrong with ourselves, when it begins and when it ends."""
        for part, text in now.items():
            if self._troubles.get(part) != text:
                self.tell(Headline(kind="trouble", at=at, text=f"{part}: {text}", data={"part": part}))
        for part in self._troubles.keys() - now.keys():
            self.tell(Headline(kind="recovered", at=at, text=f"{part}: well again", data={"part": part}))
        self._troubles = dict(now)

    def _who(self, instance_id: str) -> str:
        return _named(self._instance(instance_id).service, instance_id)

    def _pictured(self, text: str, instance_id: str, code: str) -> str:
        """With the last minutes of what this is about, `▁▁▃▅█`, where they are known: goroutines, or what runs out."""
        picture = words.sparkline(self._counts(instance_id, PICTURED.get(code, GOROUTINES)))
        return f"{text} | {picture}" if picture else text

    def _new(self, at: float, *what: object) -> bool:
        last = self._seen.pop(what, None)
        self._seen[what] = at  # newest last
        if len(self._seen) > MAX_REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return last is None or at - last > QUIET_S


def _until(seconds: float, limit: str) -> str:
    """As alerts and `parkwarden incidents` say it."""
    return f"{words.seconds(seconds)} until {limit.replace('-', ' ')}"


def _named(service: str, instance_id: str) -> str:
    """`shop (10.0.0.1:6060)`: the service first, then which of its replicas."""
    return instance_id if service in ("", instance_id) else f"{service} ({instance_id})"


def _target_words(t: TargetStatus, *, first: bool, restarted: bool) -> str:
    """What a target offers and lacks, or what is wrong with it and what to do."""
    if t.state in (TargetState.UNREACHABLE, TargetState.FAILING):
        return f"{t.state}: {t.error} | parkwarden doctor {t.url} says more"
    parts = ["restarted" if restarted and not first else str(t.state)]
    if t.state is TargetState.SLOW:
        parts[0] += f" (an answer takes {words.seconds(t.took_s)})"
    parts[0] += f", {t.goroutines:,} goroutines" if t.goroutines is not None else ""
    if not first:
        return parts[0]
    parts[0] += f", {t.go_version}" if t.go_version else ", Go version not told"
    parts += [f"counts from {', '.join(t.sources)}"] if t.sources else []
    impossible = {look: reason for look, reason in t.impossible if look not in ("trace", "heap")}
    if impossible.get("goroutine") == "not-there":
        parts += ["no looks: there is no net/http/pprof, so no line can be named"]
    else:
        parts += [
            f"no {_LOOKS.get(look, look)}: {_IMPOSSIBLE.get(reason, reason)}" for look, reason in impossible.items()
        ]
    parts += [f"not told: {', '.join(t.missing)}"] if t.missing else []
    return " | ".join(parts)


def now_words(s: WatchStatus, goroutines: float, picture: str) -> str:
    """How the fleet is now, on one line."""
    parts = [_watched_words(s), f"{words.count(goroutines)} goroutines {picture}".rstrip()]
    parts += [f"{s.findings['leak']} found leaking"] if s.findings["leak"] else []
    parts += [f"{s.findings['suspect']} suspected"] if s.findings["suspect"] else []
    parts += [f"{_open(s)} open"]
    return " · ".join(parts)


def account(s: WatchStatus, now: float) -> str:
    """What a watch that ends has seen and done, and what it cost the watched."""
    read = s.scrapes.total()
    failed = read - s.scrapes["ok"]
    taken = sum(n for (look, outcome), n in s.looks.items() if outcome == "ok" and look != LOCAL)
    told = sum(n for (_, outcome), n in s.notifications.items() if outcome == "delivered")
    stood = sum(s.stall_seconds.values())
    parts = [
        f"after {words.seconds(now - s.started_at)}: {_watched_words(s)}",
        _several(read, "reading") + (f" ({failed:,} failed)" if failed else ""),
        _several(taken, "look")
        + (f" that cost the watched some {words.seconds(stood)} of standing still" if stood else ""),
        f"{_several(s.findings['leak'], 'leak')} and {_several(s.findings['suspect'], 'suspicion')} at the end",
        f"{_open(s)} open",
    ]
    parts += [f"{_several(told, 'notification')} delivered"] if told else []
    parts += [f"{_several(s.evidence_kept, 'piece')} of evidence kept"] if s.evidence_kept else []
    return " | ".join(parts)


def _watched_words(s: WatchStatus) -> str:
    """Targets by state, and instances that streams tell of."""
    total, told = s.targets.total(), s.stream_instances.total()
    states = [f"{n:,} {state}" for state in TargetState if (n := s.targets[str(state)])]
    if len(states) == 1:
        targets = f"{_several(total, 'target')} {states[0].partition(' ')[2]}"
    else:
        targets = f"{_several(total, 'target')}" + (f" ({', '.join(states)})" if states else "")
    streamed = (
        f"{_several(told, 'instance')} from {_several(sum(n > 0 for n in s.stream_instances.values()), 'stream')}"
    )
    return " + ".join(part for part, there in ((targets, total or not told), (streamed, told)) if there)


def _open(s: WatchStatus) -> str:
    """Incidents that somebody was told of; those pending may yet go by themselves."""
    return _several(sum(i.state.active for i in s.incidents), "incident")


def _several(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
