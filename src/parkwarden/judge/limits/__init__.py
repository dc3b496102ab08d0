"""The tuner's thinking: limits that must fit together, which breaks first, what to set instead (map row B6).

`tune(facts, profile)` is the whole of it, pure: facts in, `Tuning` out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from parkwarden.judge.limits.facts import Facts, Look, Profile, Server, Setting, State, Unit, told
from parkwarden.judge.limits.first import Effect, Limit, first_by_load, first_by_trend, limits_of
from parkwarden.judge.limits.needs import Basis, Need, What, needs
from parkwarden.judge.limits.presets import GATEWAY, PRESETS, STREAMING, custom
from parkwarden.judge.limits.proposals import Proposal, propose, proposed_server
from parkwarden.judge.limits.rules import RULES, Breach, Rule, Severity, breaches
from parkwarden.model import Problem, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """The answer: limits ranked, rules that do not hold, values that fit together."""

    facts: Facts
    profile: Profile
    needs: Mapping[What, Need]
    limits: tuple[Limit, ...]
    breaches: tuple[Breach, ...]
    proposals: tuple[Proposal, ...]

    @property
    def by_trend(self) -> Limit | None:
        return first_by_trend(self.limits)

    @property
    def by_load(self) -> Limit | None:
        return first_by_load(self.limits)

    @property
    def found(self) -> bool:
        """Whether something is wrong: a limit that is running out, a load that does not fit, a contradiction."""
        return any(
            one.verdict.certain or (one.passed and one.effect is not Effect.SLOWS) for one in self.limits
        ) or any(one.severity is Severity.BREAKS for one in self.breaches)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A tuning and whom it is about; what reporters print."""

    target: str
    """A pid, or a URL without credentials."""
    pid: int | None
    command: str
    checked_at: str
    """RFC 3339, UTC."""
    watched_s: float
    kinds: Mapping[str, int] | None
    """Open descriptors by kind; None = not told."""
    source_calls: tuple[str, ...]
    """Calls found in source that change a limit: `SetMaxThreads(1536) at main.go:31`."""
    problems: tuple[Problem, ...]
    tuning: Tuning


def tune(facts: Facts, profile: Profile) -> Tuning:
    """Everything that can be said of the facts; never raises for what is not visible."""
    procs = facts.value("gomaxprocs")
    found = needs(facts.looks, profile, procs if procs is not None and math.isfinite(procs) else None)
    return Tuning(
        facts=facts,
        profile=profile,
        needs=found,
        limits=tuple(limits_of(facts, found)),
        breaches=tuple(breaches(facts, profile, found)),
        proposals=tuple(propose(facts, profile, found)),
    )


__all__ = [
    "GATEWAY",
    "PRESETS",
    "RULES",
    "STREAMING",
    "Basis",
    "Breach",
    "Effect",
    "Examined",
    "Facts",
    "Limit",
    "Look",
    "Need",
    "Profile",
    "Proposal",
    "Rule",
    "Server",
    "Setting",
    "Severity",
    "State",
    "Tuning",
    "Unit",
    "Verdict",
    "What",
    "custom",
    "proposed_server",
    "told",
    "tune",
]
