"""Matchers: label -> value, or `~regex` that must match the whole value. Routes, silences and inhibitions speak this language.

A label that an incident does not have is "": `{"team": ""}` matches incidents without a team. A regex that is none matches nothing
(`problem_of` says so to whoever wrote it).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from parkwarden.model import Incident, Silence

MAX_PATTERN = 500
"""Characters of one matcher; the regex is an operator's, not a watched process's, and still has an end."""


def names(incident: Incident) -> dict[str, str]:
    """Everything a matcher may ask for: the incident's labels, and what we know of it by name."""
    return {
        **incident.labels,
        "service": incident.service,
        "env": incident.env,
        "incident": incident.id,
        "site": incident.site_id,
        "code": incident.code,
        "detector": incident.detector,
        "priority": incident.priority.value,
        "verdict": incident.verdict.value,
        "grade": incident.grade.value,
        "state": incident.state.value,
    }


def matches(matchers: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether every matcher holds; no matchers match everything."""
    return all(_holds(wanted, labels.get(name, "")) for name, wanted in matchers.items())


def problem_of(matchers: Mapping[str, str]) -> str:
    """What is wrong with matchers somebody wrote, in words; "" if nothing."""
    for name, wanted in matchers.items():
        if len(wanted) > MAX_PATTERN:
            return f"the matcher of {name} has more than {MAX_PATTERN} characters"
        if wanted.startswith("~") and _compiled(wanted[1:]) is None:
            return f"the matcher of {name} is no regular expression: {wanted[1:]}"
    return ""


def silenced_until(incident: Incident, silences: Iterable[Silence], now: float) -> float:
    """When the last silence that covers the incident ends, 0.0 if none does. A silence without matchers covers nothing."""
    labels = names(incident)
    ends = (s.ends_at for s in silences if s.ends_at > now and s.matchers and matches(s.matchers, labels))
    return max(ends, default=0.0)


def _holds(wanted: str, value: str) -> bool:
    if not wanted.startswith("~"):
        return wanted == value
    pattern = _compiled(wanted[1:])
    return pattern is not None and pattern.fullmatch(value) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    if len(pattern) > MAX_PATTERN:
        return None
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return None
