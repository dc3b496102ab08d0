"""Headlines: what somebody who watches the watch wants to see happen, each thing once.

A suspicion, the looks it caused, the culprit, the incident, the alert that went out, trouble of our own. Text comes from
watched processes: printers must treat it as hostile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from parkwarden.model import Capture, Finding, Incident, IncidentState, Notification, Signal, TimeLeft, Verdict, words

QUIET_S = 600.0
"""A suspicion or finding that came back is news again after this long without it."""

MAX_REMEMBERED = 20_000
"""Things remembered as told; beyond it the oldest are forgotten and may be told again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """`kind` is suspicion, capture, finding, incident, delivery, trouble, recovered or info; `text` one line; `data` for machines."""

    kind: str
    at: float
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


Tell: TypeAlias = Callable[[Headline], None]


class Headlines:
    """Turns what happens into headlines, each once. `tell` is given them."""

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self._seen: dict[tuple[object, ...], float] = {}
        self._troubles: dict[str, str] = {}

    def info(self, at: float, text: str, **data: object) -> None:
        self.tell(Headline(kind="info", at=at, text=text, data=data))

    def suspicions(self, at: float, signals: Iterable[Signal]) -> None:
        """Detectors that speak up about an instance or a site for the first time in a while."""
        for s in signals:
            if s.verdict.rank >= Verdict.SUSPECT.rank and self._new(
                at, "signal", s.detector, s.instance, s.site, s.verdict
            ):
                data = {"detector": s.detector, "code": s.code, "instance": s.instance, "site": s.site, **s.numbers}
                self.tell(Headline(kind="suspicion", at=at, text=f"{s.instance}: {s.detector}: {s.text}", data=data))

    def findings(self, at: float, findings: Iterable[Finding]) -> None:
        """Sites and processes accused for the first time, or more severely than before."""
        for f in findings:
            if f.verdict.rank < Verdict.SUSPECT.rank:
                continue
            if not self._new(at, "finding", f.service, f.site.id if f.site else f.pattern, f.verdict):
                continue
            culprit = f"{f.culprit.function} {f.culprit.file}:{f.culprit.line}" if f.culprit else ""
            parts = [f"{f.service}: {f.verdict} ({f.confidence:.0%}): {f.title}"]
            parts += [f"culprit {culprit}"] if culprit else []
            parts += [words.rate(f.rate_per_min)] if f.rate_per_min else []
            parts += [time_left_words(f.time_left)] if f.time_left else []
            data = {"code": f.code, "service": f.service, "verdict": str(f.verdict), "culprit": culprit}
            self.tell(Headline(kind="finding", at=at, text=" | ".join(parts), data=data))

    def captured(self, capture: Capture) -> None:
        """The first capture of a kind; those that follow while the suspicion lasts are no news."""
        if not self._new(capture.at, "capture", capture.instance, capture.kind):
            return
        text = f"{capture.instance}: {capture.kind} captured ({len(capture.body):,} bytes in {capture.took_s:.2f} s) because of {capture.why}"
        data = {"instance": capture.instance, "artefact": capture.kind, "bytes": len(capture.body), "why": capture.why}
        self.tell(Headline(kind="capture", at=capture.at, text=text, data=data))

    def incidents(self, at: float, changed: Iterable[Incident]) -> None:
        """Incidents that began, moved to another state or got their culprit."""
        for i in changed:
            if i.state is IncidentState.PENDING or not self._new(at, "incident", i.id, i.state, i.line, i.priority):
                continue
            parts = [f"{i.state} {i.priority} {i.service}: {i.title}"]
            parts += [i.line] if i.line and i.line not in i.title else []
            parts += [words.rate(i.rate_per_min)] if i.rate_per_min else []
            parts += [f"since {i.since_version}"] if i.since_version else []
            if i.time_left_s is not None:
                parts += [f"{i.limit} in {words.seconds(i.time_left_s)}"]
            data = {"incident": i.id, "state": str(i.state), "priority": str(i.priority), "line": i.line}
            self.tell(Headline(kind="incident", at=at, text=" | ".join(parts), data=data))

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

    def _new(self, at: float, *what: object) -> bool:
        last = self._seen.pop(what, None)
        self._seen[what] = at  # newest last
        if len(self._seen) > MAX_REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return last is None or at - last > QUIET_S


def time_left_words(left: TimeLeft) -> str:
    """`memory-limit in 12 min (9 min to 17 min)`."""
    late = words.seconds(left.high_s) if math.isfinite(left.high_s) else "never"
    return f"{left.limit} in {words.seconds(left.seconds)} ({words.seconds(left.low_s)} to {late})"
