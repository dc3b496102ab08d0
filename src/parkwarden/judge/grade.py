"""How fast a site grows, in three colours: pure numbers to grades."""

from __future__ import annotations

from parkwarden.model import Grade

YELLOW_PER_MIN = 3.0
"""Slower growth is not graded."""

AMBER_PER_MIN = 8.0
"""A6 ends yellow here and begins red at 15; the space between is ours."""

RED_PER_MIN = 15.0

ADVICE = {
    Grade.NONE: "",
    Grade.YELLOW: "Grows slowly: look for an endless select or a channel that is never closed; check timeouts, contexts and deferred closes.",
    Grade.AMBER: "Grows: plan the fix for today; watch memory meanwhile.",
    Grade.RED: "Grows fast: roll back if a release began it; record a trace to see who creates them.",
}


def grade(rate_per_min: float | None) -> Grade:
    """Grade of a growth in goroutines per minute; NONE below yellow or where the rate is not known."""
    if rate_per_min is None or rate_per_min < YELLOW_PER_MIN:
        return Grade.NONE
    if rate_per_min <= AMBER_PER_MIN:
        return Grade.YELLOW
    return Grade.AMBER if rate_per_min <= RED_PER_MIN else Grade.RED
