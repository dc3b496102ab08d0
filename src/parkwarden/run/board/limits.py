"""What breaks first: of every service each limit that is told, by the replica that is nearest to it.

Two sources: what the judges found (a finding with time left, or with a verdict of a limit), and the newest readings in columns, so that a
limit nobody worries about yet is shown as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from parkwarden.aggregate.windows import LIMITS, ROW, Floats, Windows
from parkwarden.judge.fleet.fuse import LIMIT_OF
from parkwarden.judge.fleet.fuse import LIMITS as LIMIT_DETECTORS
from parkwarden.judge.fleet.time_left import NO_LIMIT
from parkwarden.model import Finding, Incident, IncidentState, ServiceKey, Verdict
from parkwarden.store.codec import clean

if TYPE_CHECKING:
    from typing import Any

    from parkwarden.run.board.host import Host

SCHEMA = "parkwarden.headroom/1"

BYTES = frozenset(("memory-limit",))
"""Limits that are counted in bytes; the others are counted in pieces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """One limit of one service. Times in seconds from now, None = no end is seen."""

    service: str
    env: str
    limit: str
    """fd-limit, thread-limit, memory-limit, goroutine-budget; of a finding about no single limit its detector."""
    instance: str
    """The replica this row is about: the one nearest to its limit."""
    instances: int = 0
    """Replicas that tell use and limit."""
    used: float | None = None
    most: float | None = None
    verdict: Verdict = Verdict.OK
    confidence: float = 0.0
    left_s: float | None = None
    low_s: float | None = None
    high_s: float | None = None
    line: str = ""
    """Who holds it: `function file:line`."""
    code: str = ""
    incident: str = ""
    """Id of the open incident about it."""

    @property
    def share(self) -> float | None:
        return None if self.used is None or not self.most else self.used / self.most

    @property
    def key(self) -> tuple[str, str, str]:
        return self.service, self.env, self.limit

    @property
    def order(self) -> tuple[float, int, float]:
        """What breaks first comes first."""
        return (
            math.inf if self.left_s is None else self.left_s,
            -self.verdict.rank,
            -(self.share if self.share is not None else -1.0),
        )


def headrooms(host: Host) -> list[Headroom]:
    """All of them, what breaks first first."""
    rows = {row.key: row for row in _used(host)}
    incidents = _open(host)
    for finding in host.tick().findings:
        found = _found(host, finding, rows)
        if found is None:
            continue
        known = rows.get(found.key)
        if known is None or not known.code or found.order < known.order:
            rows[found.key] = replace(
                found,
                instances=known.instances if known else 0,
                incident=incidents.get((found.service, found.env, finding.pattern or finding.code), ""),
            )
    return sorted(rows.values(), key=lambda row: (row.order, row.key))


def as_json(rows: list[Headroom], at: float) -> dict[str, Any]:
    """`parkwarden.headroom/1` (docs/schema/headroom-1.json) as plain JSON values."""
    return {
        "schema": SCHEMA,
        "at": at,
        "limits": [
            {
                "service": clean(row.service),
                "env": clean(row.env),
                "limit": row.limit,
                "instance": clean(row.instance),
                "instances": row.instances,
                "used": row.used,
                "most": row.most,
                "verdict": row.verdict.value,
                "confidence": round(row.confidence, 4),
                "left_s": row.left_s,
                "low_s": row.low_s,
                "high_s": row.high_s,
                "line": clean(row.line),
                "code": row.code,
                "incident": row.incident,
            }
            for row in rows
        ],
    }


def _used(host: Host) -> Iterator[Headroom]:
    """For each service and limit the replica with the largest share in use."""
    windows, go_threads = host.engine.windows, float(host.engine.rules.time_left.thread_limit)
    if not windows.size:
        return
    keys: dict[ServiceKey, int] = {}
    slots = np.fromiter(windows.slots.values(), np.int64, len(windows.slots))
    group = np.fromiter(
        (keys.setdefault(windows.instance(int(slot)).service_key, len(keys)) for slot in slots), np.int64, len(slots)
    )
    services = list(keys)
    for limit, used, most in _told(windows, go_threads):
        with np.errstate(invalid="ignore", divide="ignore"):
            share = (used / most)[slots]
        known = np.flatnonzero(np.isfinite(share) & (most[slots] > 0))
        order = known[np.lexsort((-share[known], group[known]))]
        firsts = order[np.unique(group[order], return_index=True)[1]]
        count = np.bincount(group[order], minlength=len(services))
        for i in firsts.tolist():
            service, env = services[group[i]]
            yield Headroom(
                service=service,
                env=env,
                limit=limit,
                instance=windows.instance(int(slots[i])).id,
                instances=int(count[group[i]]),
                used=float(used[slots[i]]),
                most=float(most[slots[i]]),
            )


def _told(windows: Windows, go_threads: float) -> Iterator[tuple[str, Floats, Floats]]:
    """Limit, newest use and limit of every slot; NaN = not told."""
    latest, limits = windows.latest, windows.limits
    most = {name: limits[i] for i, name in enumerate(LIMITS)}
    yield "fd-limit", latest[ROW["open_fds"]], most["max_fds"]
    yield "thread-limit", latest[ROW["threads"]], np.fmin(most["max_threads"], go_threads)
    used, rss = latest[ROW["mem_used"]], latest[ROW["rss"]]
    memory = np.where(most["mem_limit"] < NO_LIMIT, most["mem_limit"], np.nan)
    yield "memory-limit", np.where(np.isnan(used), rss, used), memory


def _open(host: Host) -> dict[tuple[str, str, str], str]:
    """(service, env, detector) -> id of the open incident."""

    def about(row: Incident) -> tuple[str, str, str]:
        return row.service, row.env, row.detector

    return {about(row): row.id for row in host.incidents() if row.state is not IncidentState.RESOLVED}


def _found(host: Host, finding: Finding, rows: Mapping[tuple[str, str, str], Headroom]) -> Headroom | None:
    """What a finding says of a limit, None if nothing."""
    left, pattern = finding.time_left, finding.pattern or ""
    if left is None and pattern not in LIMIT_DETECTORS:
        return None
    limit = left.limit if left is not None else LIMIT_OF.get(pattern, pattern)
    service, env = finding.service or "", finding.labels.get("env", "")
    known = rows.get((service, env, limit))
    frame = finding.culprit
    instance = finding.instance or (finding.instances[0] if finding.instances else "")
    row = Headroom(
        service=service,
        env=env,
        limit=limit,
        instance=instance,
        verdict=finding.verdict,
        confidence=finding.confidence,
        line=f"{frame.function} {frame.file}:{frame.line}" if frame is not None else "",
        code=finding.code,
    )
    if left is None:
        return row if known is None else replace(row, used=known.used, most=known.most, instance=known.instance)
    gone = max(host.now() - left.at, 0.0)
    seconds, low, high = (_finite(value - gone) for value in (left.seconds, left.low_s, left.high_s))
    return replace(
        row, used=_finite(left.value), most=_finite(left.limit_value), left_s=seconds, low_s=low, high_s=high
    )


def _finite(value: float) -> float | None:
    return max(value, 0.0) if math.isfinite(value) else None
