"""The life of one incident: a pure step from one tick to the next.

    (new) -> pending -> firing -> resolved          the condition is there, lasts, and is judged gone for long enough
                          |  ^
                          v  |
                    flapping, no-data               it comes and goes; nobody who could tell answers

All timers are absolute times in the row, so a process that was killed in between goes on where it stopped. Silence, a restart of
the watched process and an `unknown` resolve nothing: only a condition really judged `ok` does.
"""

from __future__ import annotations

from dataclasses import dataclass

from parkwarden.alert.policy import MAX_REMEMBERED, Policy
from parkwarden.alert.story import NO_DATA
from parkwarden.model import Incident, IncidentState

PENDING, FIRING, FLAPPING = IncidentState.PENDING, IncidentState.FIRING, IncidentState.FLAPPING
RESOLVED, DARK = IncidentState.RESOLVED, IncidentState.NO_DATA


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How an incident's condition stands at a tick."""

    on: bool = False
    """A finding worth an alert, about somebody who answers."""
    held: bool = False
    """It cannot be judged now (unknown, restarted, a weak suspicion): nothing moves."""
    dark_since: float | None = None
    """Since when those it is about do not answer; None = they do."""
    gone_since: float | None = None
    """Since when its service has no target at all; None = it has."""


def step(row: Incident, now: float, condition: Condition, policy: Policy) -> Incident:
    """The incident after this tick."""
    if row.closed and row.state is not RESOLVED:  # said by another process while this row was written
        return _resolve(row, now)
    if row.state is PENDING:
        return _pending(row, now, condition, policy)
    if row.state is RESOLVED:
        return row
    if condition.on:
        return _on(row, now, policy)
    if condition.gone_since is not None:
        if now - condition.gone_since >= policy.gone_after_s:
            return _resolve(row, now)
        return _darken(row, condition.gone_since, now, policy)
    if condition.dark_since is not None:
        return _darken(row, condition.dark_since, now, policy)
    if condition.held:
        return row.changed(clear_since=0.0) if row.clear_since and row.state is not FLAPPING else row
    return _off(row, now, policy)


def flaps(transitions: tuple[float, ...], now: float, policy: Policy) -> bool:
    """Whether these times of firing and resolving are too many."""
    return sum(now - policy.flap_window_s < at <= now for at in transitions) >= policy.flap_transitions


def rested(row: Incident, now: float, condition: Condition) -> Incident:
    """One that was resolved by hand, after this tick: from when on (`clear_since`) what it is about is really away."""
    if condition.on or condition.held or condition.dark_since is not None:
        return row.changed(clear_since=0.0) if row.clear_since else row
    return row if row.clear_since else row.changed(clear_since=now)


def believed(row: Incident, now: float, policy: Policy) -> bool:
    """Whether it was resolved by hand, and what is found of it since is taken for the rest of what was seen to."""
    if row.state is not RESOLVED or not row.closed or now - row.closed_at >= policy.believe_s:
        return False
    return not row.clear_since or now - row.clear_since < policy.keep_firing_s


def remembered(row: Incident, now: float, policy: Policy) -> bool:
    """Whether a resolved incident may still come back under its id."""
    if now - row.resolved_at < policy.reopen_s:
        return True
    return row.closed and now - row.closed_at < policy.believe_s + policy.reopen_s


_TIMES = (
    *("pending_since", "firing_since", "clear_since", "no_data_since"),
    *("resolved_at", "closed_at", "last_seen", "last_told"),
)


def settled(row: Incident, now: float) -> Incident:
    """The row with no time in the future: after a clock was set back, timers start from now instead of never running out."""
    ahead = {name: now for name in _TIMES if getattr(row, name) > now}
    row = row.changed(**ahead) if ahead else row
    if row.told and float(row.told["at"]) > now:
        row = row.changed(told=row.told | {"at": now})
    if any(at > now for at in row.transitions):
        row = row.changed(transitions=tuple(at for at in row.transitions if at <= now))
    return row


def _pending(row: Incident, now: float, condition: Condition, policy: Policy) -> Incident:
    if condition.on:
        wait = (
            0.0 if row.detector == NO_DATA else policy.pending_s(row.verdict, row.grade)
        )  # silence has lasted already
        return row if now - row.pending_since < wait else _fire(row, now, policy)
    if (condition.held or condition.dark_since is not None) and condition.gone_since is None:
        return row
    return row.changed(state=RESOLVED, resolved_at=row.resolved_at or now)


def _steady(row: Incident) -> IncidentState:
    """What an incident is called whose condition is there and does not flap."""
    return DARK if row.detector == NO_DATA else FIRING


def _fire(row: Incident, now: float, policy: Policy) -> Incident:
    transitions = _with(row, now)
    state = FLAPPING if flaps(transitions, now, policy) else _steady(row)
    dark_since = row.since if row.detector == NO_DATA else 0.0
    return row.changed(
        state=state,
        transitions=transitions,
        firing_since=now,
        no_data_since=dark_since,
        clear_since=0.0,
        resolved_at=0.0,
    )


def _on(row: Incident, now: float, policy: Policy) -> Incident:
    if row.state is FLAPPING:
        transitions = _with(row, now) if row.clear_since else row.transitions
        state = _steady(row) if _calm(transitions, now, policy) else FLAPPING
        return row.changed(state=state, transitions=transitions, clear_since=0.0)
    if row.state is _steady(row):
        return row.changed(clear_since=0.0) if row.clear_since else row
    transitions = _with(row, now)  # data is back, and with it the condition
    state = FLAPPING if flaps(transitions, now, policy) else FIRING
    return row.changed(state=state, transitions=transitions, clear_since=0.0, no_data_since=0.0)


def _off(row: Incident, now: float, policy: Policy) -> Incident:
    """Judged and not there: the time until it is resolved runs."""
    if not row.clear_since:
        if row.state is FLAPPING:
            return row.changed(clear_since=now, transitions=_with(row, now))
        dark_since = row.no_data_since if row.detector == NO_DATA else 0.0
        row = row.changed(state=_steady(row), clear_since=now, no_data_since=dark_since)
    wait = policy.keep_firing_s
    if row.state is FLAPPING:
        wait = max(wait, policy.flap_calm_s)
    elif row.detector == NO_DATA:
        wait = min(wait, policy.no_data_after_s)
    return _resolve(row, now) if now - row.clear_since >= wait else row


def _darken(row: Incident, since: float, now: float, policy: Policy) -> Incident:
    """Nobody who could tell answers: no step towards resolved, and after a while a state of its own."""
    if row.detector == NO_DATA:
        return _off(row, now, policy)
    if row.state is DARK:
        return row
    if now - since < policy.no_data_after_s or (row.state is FLAPPING and not _calm(row.transitions, now, policy)):
        return row.changed(clear_since=0.0) if row.clear_since and row.state is not FLAPPING else row
    return row.changed(state=DARK, no_data_since=since, clear_since=0.0, transitions=_with(row, now))


def _resolve(row: Incident, now: float) -> Incident:
    return row.changed(state=RESOLVED, resolved_at=now, transitions=_with(row, now), no_data_since=0.0, inhibited_by="")


def _with(row: Incident, now: float) -> tuple[float, ...]:
    return (*row.transitions, now)[-MAX_REMEMBERED:]


def _calm(transitions: tuple[float, ...], now: float, policy: Policy) -> bool:
    return not transitions or now - transitions[-1] >= policy.flap_calm_s
