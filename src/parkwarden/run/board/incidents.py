"""Incidents in a list: which, and in which order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parkwarden.model import Incident, IncidentState, Priority

if TYPE_CHECKING:
    from parkwarden.run.board.host import Host

OPEN = "open"
"""The filter's word for every state but resolved."""

_URGENT = {priority: i for i, priority in enumerate(Priority)}
_STATES = {state: i for i, state in enumerate(IncidentState)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What is asked for; "" asks for everything."""

    state: str = OPEN
    """A state, `open`, or "" for all that are kept."""
    priority: str = ""
    service: str = ""
    env: str = ""
    words: str = ""
    """All of them must stand somewhere in what people know an incident by."""

    def takes(self, row: Incident) -> bool:
        if self.state and (row.state.value != self.state and (self.state != OPEN or is_over(row))):
            return False
        if self.priority not in ("", row.priority.value) or self.env not in ("", row.env):
            return False
        if self.service not in ("", row.service):
            return False
        words = self.words.lower().split()
        if not words:
            return True
        known = (
            row.id,
            row.service,
            row.title,
            row.line,
            row.code,
            row.detector,
            row.since_version,
            row.acknowledged_by,
        )
        labels = (f"{name}={value}" for name, value in row.labels.items())
        text = "\n".join((*known, *labels, *row.instances)).lower()
        return all(word in text for word in words)


def is_over(row: Incident) -> bool:
    return row.state is IncidentState.RESOLVED


async def listed(host: Host, wanted: Filter) -> list[Incident]:
    """The most urgent open one first, then those that are over, the newest first. Raises StoreError."""
    rows = {row.id: row for row in host.incidents()}
    if wanted.state in ("", IncidentState.RESOLVED.value):
        for row in await host.past(wanted.service or None):
            rows.setdefault(row.id, row)
    return in_order(row for row in rows.values() if wanted.takes(row))


def in_order(rows: Iterable[Incident]) -> list[Incident]:
    return sorted(
        rows,
        key=lambda r: (
            is_over(r),
            -r.resolved_at if is_over(r) else _URGENT[r.priority],
            _STATES[r.state],
            -r.last_seen,
            r.id,
        ),
    )
