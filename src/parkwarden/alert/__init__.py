"""The life of an incident: grade, group, route, remind, resolve. Decisions only; nothing here sends or stores."""

from parkwarden.alert.advance import Outcome, advance
from parkwarden.alert.match import matches, problem_of
from parkwarden.alert.policy import Policy, Route, Runbook
from parkwarden.alert.presence import Presence, presence

__all__ = ["Outcome", "Policy", "Presence", "Route", "Runbook", "advance", "matches", "presence", "problem_of"]
