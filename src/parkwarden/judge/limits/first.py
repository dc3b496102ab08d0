"""What breaks first: every limit with its use, what happens there, when the present trend reaches it, how many requests do.

`limits_of` names the limits in force; `by_trend` extrapolates the looks' robust slopes (Sen, with its 90 % interval) no further than
HORIZON_SPANS times as long as was looked; `by_load` divides the room by what one request takes (`needs`). Both rank, first to break first.
Limits that only slow the process down (GOMEMLIMIT, memory.high) are ranked too, but never called the one that breaks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from parkwarden.judge.fleet.time_left import MAX_PAIRS_FROM, by_slope
from parkwarden.judge.limits.facts import Facts, Look, State, Unit
from parkwarden.judge.limits.needs import MIN_LOOKS, Need, What
from parkwarden.model import TimeLeft, Verdict

TIGHT_SHARE = 0.8
"""Of a limit in use from which it is tight: what is left must hold until somebody reads this."""

HORIZON_SPANS = 360
"""Times as long as was looked that a trend is drawn on: ten seconds say nothing about tomorrow, but something about the next hour."""

TIGHT_SPANS = 8_640
"""Times as long as was looked within which a reached limit is told as tight: a day from ten seconds."""


class Effect(StrEnum):
    """What passing a limit does."""

    DIES = "dies"
    FAILS = "fails"
    """The process lives, but new work is refused."""
    SLOWS = "slows"


@dataclass(frozen=True, slots=True)
class _Kind:
    column: str
    what: What
    effect: Effect
    then: str


KINDS: Mapping[str, _Kind] = {
    "fd-limit": _Kind(
        "descriptors", What.DESCRIPTORS, Effect.FAILS,
        "accept, open and dial fail with EMFILE (too many open files); net/http waits up to 1 s and tries again: nobody new is served",
    ),
    "process-limit": _Kind(
        "user_threads", What.THREADS, Effect.DIES,
        "the kernel refuses a thread: Go ends the process (runtime: failed to create new OS thread ... ulimit -u)",
    ),
    "pids-limit": _Kind(
        "group_threads", What.THREADS, Effect.DIES,
        "the kernel refuses a thread: Go ends the process (runtime: failed to create new OS thread)",
    ),
    "threads-system": _Kind(
        "system_threads", What.THREADS, Effect.DIES, "no process of the machine gets another thread; this one is ended by Go",
    ),
    "go-max-threads": _Kind(
        "threads", What.THREADS, Effect.DIES, "Go ends the process (runtime: program exceeds N-thread limit)",
    ),
    "memory-limit": _Kind("memory", What.MEMORY, Effect.DIES, "the kernel kills the process (OOM), without a word from Go"),
    "address-space": _Kind(
        "address_space",
        What.MEMORY,
        Effect.DIES,
        "mmap fails: Go ends the process (runtime: out of memory: cannot allocate), however little it uses",
    ),
    "memory-high": _Kind("memory", What.MEMORY, Effect.SLOWS, "the kernel makes every allocation wait"),
    "gomemlimit": _Kind(
        "go_memory", What.MEMORY, Effect.SLOWS, "garbage collection takes up to half of the processors (runtime/mgclimit.go)",
    ),
}  # fmt: skip
"""Limits that run out: which column of `Look` counts against them, and what happens beyond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit in force, and how it stands."""

    name: str
    limit: float
    now: float | None
    unit: Unit
    effect: Effect
    then: str
    assumed: bool = False
    """Go's default, which the program may have changed unseen."""
    time_left: TimeLeft | None = None
    """By the trend; None where nothing approaches it."""
    requests: float | None = None
    """Concurrent requests at which it is reached; None where it does not depend on them, or nothing was told."""
    at_load: float | None = None
    """What the load asked about takes of it."""
    basis: str = ""
    """What `requests` and `at_load` rest on."""
    verdict: Verdict = Verdict.OK

    @property
    def share(self) -> float | None:
        """Of the limit in use, 0..1 and above."""
        return None if self.now is None else self.now / self.limit

    @property
    def passed(self) -> bool:
        """Whether the load asked about does not fit."""
        return self.at_load is not None and self.at_load > self.limit


def limits_of(facts: Facts, needs: Mapping[What, Need]) -> list[Limit]:
    """Every finite limit with its use, its trend and its load, first to break first: by the trend, then by the load, then by use."""
    found = []
    for name, kind in KINDS.items():
        limit = facts.limit(name)
        if limit is None or (name == "process-limit" and facts.root):
            continue
        now: int | None = getattr(facts.now, kind.column)
        left = _time_left(name, facts.looks, kind.column, limit)
        requests, at_load, basis = _by_load(facts, kind, limit, now, needs.get(kind.what))
        one = Limit(
            name=name, limit=limit, now=now, unit=facts.settings[name].unit, effect=kind.effect, then=kind.then,
            assumed=facts.settings[name].state is State.DEFAULT, time_left=left, requests=requests, at_load=at_load, basis=basis,
        )  # fmt: skip
        found.append(_judged(one, facts.looks))
    return sorted(found, key=_order)


def first_by_trend(limits: Sequence[Limit]) -> Limit | None:
    """The one the present trend breaks first, of those that break; None where none is approached."""
    reached = [one for one in limits if one.time_left is not None and one.effect is not Effect.SLOWS]
    return min(reached, key=lambda one: one.time_left.seconds if one.time_left else math.inf, default=None)


def first_by_load(limits: Sequence[Limit]) -> Limit | None:
    """The one that more and more requests break first, of those that break; None where nothing is known of requests."""
    known = [one for one in limits if one.requests is not None and one.effect is not Effect.SLOWS]
    return min(known, key=lambda one: one.requests if one.requests is not None else math.inf, default=None)


def _order(one: Limit) -> tuple[float, float, float, str]:
    return (
        one.time_left.seconds if one.time_left is not None else math.inf,
        one.requests if one.requests is not None else math.inf,
        -(one.share or 0.0),
        one.name,
    )


def _judged(one: Limit, looks: Sequence[Look]) -> Limit:
    span = looks[-1].at - looks[0].at
    soon = one.time_left is not None and one.time_left.seconds <= span * HORIZON_SPANS
    if one.effect is not Effect.SLOWS and (soon or (one.share is not None and one.share >= 1.0)):
        return replace(one, verdict=Verdict.EXHAUSTING)
    if one.time_left is not None or one.passed or (one.share is not None and one.share >= TIGHT_SHARE):
        return replace(one, verdict=Verdict.TIGHT)
    return replace(one, verdict=Verdict.UNKNOWN) if one.now is None else one


def _time_left(name: str, looks: Sequence[Look], column: str, limit: float) -> TimeLeft | None:
    """By the looks' robust slope; None where it may as well not grow (its interval holds zero), or too far away to be told."""
    pairs = [(look.at, value) for look in looks if (value := getattr(look, column)) is not None]
    if len(pairs) < MIN_LOOKS:
        return None
    times, values = np.array(pairs, dtype=np.float64).T
    left = by_slope(name, times, values, limit, float(times[-1]), MIN_LOOKS)
    span = float(times[-1] - times[-MAX_PAIRS_FROM:][0])
    return left if left is not None and left.seconds <= TIGHT_SPANS * span else None


def _by_load(
    facts: Facts, kind: _Kind, limit: float, now: float | None, need: Need | None
) -> tuple[float | None, float | None, str]:
    """(requests at which it is reached, what the load asked about takes, what that rests on)."""
    if need is None or now is None:
        return None, None, ""
    own: int | None = getattr(facts.now, need.what.value)
    fixed = need.fixed + (now - own if own is not None else 0.0)  # what others hold of a shared limit stays as it is
    requests = max(limit - fixed, 0.0) / need.each if need.each > 0 else None
    at_load = fixed + need.each * facts.load if facts.load is not None else None
    return requests, at_load, need.text
