"""The atlas of leak patterns: what kind of wait a cluster shows, and whether the numbers accuse it.

    for cluster in case.clusters:
        context = contexts(case, grouping)[cluster.site.id]
        best = match(cluster, context)      # [Match, ...], best first
        verdict = accuse(cluster, context)  # Accusation

`match` reads the stack (and, where there are any, source, creators, traces); `accuse` reads the numbers. They are kept
apart because every pattern has an innocent twin with the same stack.
"""

from __future__ import annotations

from parkwarden.model import Cluster
from parkwarden.stacks.patterns import calls, channels, locks, timers, transfers
from parkwarden.stacks.patterns.accusing import SPIN_MIN, Accusation, accuse
from parkwarden.stacks.patterns.base import LifeCycle, Match, Pattern, PatternContext, View
from parkwarden.stacks.patterns.context import Excerpt, contexts

__all__ = [
    "PATTERNS",
    "SPIN_MIN",
    "Accusation",
    "Excerpt",
    "LifeCycle",
    "Match",
    "Pattern",
    "PatternContext",
    "accuse",
    "contexts",
    "describe",
    "match",
]

MIN_MATCH = 0.1
"""Matches below this confidence are not worth telling."""

_ENTRIES = tuple(
    sorted(
        (*transfers.ENTRIES, *timers.ENTRIES, *channels.ENTRIES, *locks.ENTRIES, *calls.ENTRIES),
        key=lambda entry: entry.pattern.code,
    )
)

PATTERNS: dict[str, Pattern] = {entry.pattern.id: entry.pattern for entry in _ENTRIES}
"""All patterns by id, in order of their codes."""


def match(cluster: Cluster, context: PatternContext | None = None) -> list[Match]:
    """Patterns whose kind of wait this cluster shows, best first; [] if the atlas has none."""
    view = View(cluster, context or PatternContext())
    found = []
    for entry in _ENTRIES:
        weight = entry.matcher(view)
        if weight is not None and weight[0] >= MIN_MATCH:
            found.append(Match(entry.pattern, *weight))
    found.sort(key=lambda m: (-m.confidence, m.pattern.code))
    return found


def describe(pattern_id: str) -> Pattern:
    """The pattern of an id (`nil-channel`) or a code (`PW108`). Raises KeyError for anything else."""
    if pattern_id in PATTERNS:
        return PATTERNS[pattern_id]
    for pattern in PATTERNS.values():
        if pattern.code == pattern_id.upper():
            return pattern
    raise KeyError(pattern_id)
