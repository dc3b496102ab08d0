"""What breaks first: of every service each limit that is told, by the replica that is nearest to it.

Two sources: what the judges found (a finding with time left, or with a verdict of a limit), and the newest readings in columns, so that a
limit nobody worries about yet is shown as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
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

NAMES = {
    "fd-limit": "file descriptors",
    "thread-limit": "threads",
    "memory-limit": "memory",
    "goroutine-budget": "goroutines (your budget)",
}
"""Limits in words; any other is called by its name."""

LIMIT_NAMES = ("fd-limit", "thread-limit", "memory-limit")
"""Limits that readings tell, each with its use."""

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


class Headrooms:
    """All of them, what breaks first first. What nobody worries about stays in columns: only the part that is shown becomes rows, so
    that a fleet of 10,000 services costs milliseconds."""

    def __init__(
        self, host: Host, words: str = "", takes: Callable[[str, str], bool] = lambda _service, _env: True
    ) -> None:
        """`words` must all stand in a row's names; `takes(service, env)` picks services."""
        self._windows = host.engine.windows
        wanted = words.lower().split()
        self._used = _Used(self._windows, float(host.engine.rules.time_left.thread_limit))
        found = _found(host, self._used)
        self.found = [row for row in found if takes(row.service, row.env) and _says(_text(row), wanted)]
        groups = [takes(*key) for key in self._used.services]
        names = [f"{service}\n{env}".lower() for service, env in self._used.services] if wanted else []
        rest: list[tuple[int, int]] = []
        accused = {row.key for row in found}
        for at, (limit, group) in enumerate(zip(self._used.limit.tolist(), self._used.group.tolist(), strict=True)):
            name = LIMIT_NAMES[limit]
            if not groups[group] or (wanted and not _says(f"{names[group]}\n{name}\n{NAMES[name]}", wanted)):
                continue
            if accused and (*self._used.services[group], name) in accused:
                continue
            rest.append((at, group))
        self._rest = rest

    def __len__(self) -> int:
        return len(self.found) + len(self._rest)

    def part(self, offset: int, limit: int) -> list[Headroom]:
        """Rows from `offset` on, `limit` at most."""
        rows = self.found[offset : offset + limit]
        first = max(offset - len(self.found), 0)
        return rows + [self._used.row(at) for at, _ in self._rest[first : first + limit - len(rows)]]


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


class _Used:
    """For each service and limit the replica with the largest share in use, in columns, the fullest first."""

    def __init__(self, windows: Windows, go_threads: float) -> None:
        self._windows = windows
        keys: dict[ServiceKey, int] = {}
        slots = np.fromiter(windows.slots.values(), np.int64, len(windows.slots))
        groups = np.fromiter(
            (keys.setdefault(windows.instance(slot).service_key, len(keys)) for slot in slots.tolist()),
            np.int64,
            len(slots),
        )
        self.services = list(keys)
        columns = []
        for i, (used, most) in enumerate(_told(windows, go_threads)):
            use, end = used[slots], most[slots]
            with np.errstate(invalid="ignore", divide="ignore"):
                share = use / end
            known = np.flatnonzero(np.isfinite(share) & (end > 0))
            order = known[np.lexsort((-share[known], groups[known]))]
            found, first = np.unique(groups[order], return_index=True)
            best = order[first]
            count = np.bincount(groups[order], minlength=len(keys))[found]
            columns.append((np.full(len(best), i), found, slots[best], count, use[best], end[best], share[best]))
        joined = [np.concatenate(column) for column in zip(*columns, strict=True)]
        fullest = np.argsort(-joined[-1], kind="stable")
        self.limit, self.group, self._slot, self._count, self._use, self._end = (
            column[fullest] for column in joined[:-1]
        )
        self._at = {
            (*self.services[group], LIMIT_NAMES[limit]): at
            for at, (limit, group) in enumerate(zip(self.limit.tolist(), self.group.tolist(), strict=True))
        }

    def row(self, at: int) -> Headroom:
        service, env = self.services[self.group[at]]
        return Headroom(
            service=service,
            env=env,
            limit=LIMIT_NAMES[self.limit[at]],
            instance=self._windows.instance(int(self._slot[at])).id,
            instances=int(self._count[at]),
            used=float(self._use[at]),
            most=float(self._end[at]),
        )

    def of(self, key: tuple[str, str, str]) -> Headroom | None:
        at = self._at.get(key)
        return None if at is None else self.row(at)


def _told(windows: Windows, go_threads: float) -> Iterator[tuple[Floats, Floats]]:
    """Newest use and limit of every slot, in the order of LIMIT_NAMES; NaN = not told."""
    latest, limits = windows.latest, windows.limits
    most = {name: limits[i] for i, name in enumerate(LIMITS)}
    yield latest[ROW["open_fds"]], most["max_fds"]
    yield latest[ROW["threads"]], np.fmin(most["max_threads"], go_threads)
    used, rss = latest[ROW["mem_used"]], latest[ROW["rss"]]
    yield np.where(np.isnan(used), rss, used), np.where(most["mem_limit"] < NO_LIMIT, most["mem_limit"], np.nan)


def _open(host: Host) -> dict[tuple[str, str, str], str]:
    """(service, env, detector) -> id of the open incident."""

    def about(row: Incident) -> tuple[str, str, str]:
        return row.service, row.env, row.detector

    return {about(row): row.id for row in host.incidents() if row.state is not IncidentState.RESOLVED}


def _found(host: Host, used: _Used) -> list[Headroom]:
    """What the judges found of each limit, the nearest of each, what breaks first first."""
    incidents = _open(host)
    rows: dict[tuple[str, str, str], Headroom] = {}
    for finding in host.tick().findings:
        row = _row(host, finding, used)
        if row is None or (row.key in rows and rows[row.key].order <= row.order):
            continue
        about = (row.service, row.env, finding.pattern or finding.code)
        rows[row.key] = replace(row, incident=incidents.get(about, ""))
    return sorted(rows.values(), key=lambda row: (row.order, row.key))


def _row(host: Host, finding: Finding, used: _Used) -> Headroom | None:
    """What a finding says of a limit, None if nothing."""
    left, pattern = finding.time_left, finding.pattern or ""
    if left is None and pattern not in LIMIT_DETECTORS:
        return None
    limit = left.limit if left is not None else LIMIT_OF.get(pattern, pattern)
    service, env = finding.service or "", finding.labels.get("env", "")
    known = used.of((service, env, limit)) or Headroom(service=service, env=env, limit=limit, instance="")
    frame = finding.culprit
    row = replace(
        known,
        verdict=finding.verdict,
        confidence=finding.confidence,
        line=f"{frame.function} {frame.file}:{frame.line}" if frame is not None else "",
        code=finding.code,
    )
    instance = finding.instance or (finding.instances[0] if finding.instances else "")
    if left is None:
        return row if known.instance else replace(row, instance=instance)
    gone = max(host.now() - left.at, 0.0)
    seconds, low, high = (_finite(value - gone) for value in (left.seconds, left.low_s, left.high_s))
    return replace(
        row,
        instance=instance or known.instance,
        used=_finite(left.value),
        most=_finite(left.limit_value),
        left_s=seconds,
        low_s=low,
        high_s=high,
    )


def _text(row: Headroom) -> str:
    return "\n".join((row.service, row.env, row.limit, NAMES.get(row.limit, ""), row.instance, row.line)).lower()


def _says(text: str, words: Sequence[str]) -> bool:
    return all(word in text for word in words)


def _finite(value: float) -> float | None:
    return max(value, 0.0) if math.isfinite(value) else None
