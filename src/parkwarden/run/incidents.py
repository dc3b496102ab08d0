"""What people do about incidents, on the state database: look, acknowledge, silence, resolve. The one way for the command line, the
pages and the API; a watch that runs hears of it at once when it is asked, else within a second."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from parkwarden.act.body import incident_json
from parkwarden.alert.match import problem_of
from parkwarden.model import Act, Action, Incident, IncidentState, Priority, Silence, UsageError
from parkwarden.run.evidence import settings_of
from parkwarden.store.codec import clean, to_plain
from parkwarden.store.state import State

SCHEMA = "parkwarden.incidents/1"

MAX_SILENCE_S = 90 * 86_400.0
"""The longest silence: what is to be quiet for longer needs a route, where others see it."""

MAX_NAME = 100
"""Characters of a name: it is shown in every list."""

MAX_REASON = 1_000
"""Characters of a reason: it travels to every channel; what is longer belongs into a ticket."""

LATER_S = 0.001
"""What is said after something else is this much later at least, whatever the clocks say."""

MAX_MATCHERS = 20
"""Of one silence; more than anybody can read."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def open_state(config: Path | None, data: Path | None, *, read_only: bool = False) -> State:
    """The state database of a configuration, of a folder, or of the default folder. Raises UsageError where there is none."""
    settings = settings_of(config, data)
    file = Path(settings.folder) / "state.db"
    if not settings.url and not file.exists():
        hint = "parkwarden watch makes it; name its folder with --data or its configuration with -c"
        raise UsageError("no-state", f"there is no state database at {file}", hint=hint)
    return State.open(settings=settings, read_only=read_only)


def listed(state: State, *, everything: bool, service: str | None) -> list[Incident]:
    """Open incidents (all that are kept with `everything`), the most urgent first."""
    rows = state.incidents(active=not everything, service=service)
    order = list(IncidentState)
    urgent = {priority: i for i, priority in enumerate(Priority)}
    return sorted(
        rows, key=lambda r: (r.state is IncidentState.RESOLVED, urgent[r.priority], order.index(r.state), -r.last_seen)
    )


def as_json(rows: Sequence[Incident], silences: Sequence[Silence]) -> dict[str, Any]:
    """`parkwarden.incidents/1` (docs/schema/incidents-1.json) as plain JSON values."""
    return {
        "schema": SCHEMA,
        "incidents": [
            {
                **incident_json(row),
                "stack": [clean(frame) for frame in row.stack],
                "silenced_until": row.silenced_until or None,
            }
            for row in rows
        ],
        "silences": [to_plain(silence) for silence in silences],
    }


def found(state: State, start: str) -> Incident:
    """The incident whose id begins so. Raises UsageError where there is none, or several."""
    exact = state.incident(start)
    if exact is not None:
        return exact
    rows = [row for row in state.incidents(active=False) if start and row.id.startswith(start)]
    if len(rows) == 1:
        return rows[0]
    what = "several incidents" if rows else "no incident"
    raise UsageError(
        "no-such-incident", f"{what} of an id that begins with {start!r}", hint="parkwarden incidents list --all"
    )


def acknowledge(state: State, start: str, by: str, now: float, why: str = "") -> Incident:
    """Somebody takes it on: reminders stop. Raises UsageError for one that is over."""
    return _done(state, Act.ACKNOWLEDGE, _open(state, start), by, now, why)


def resolve(state: State, start: str, by: str, now: float, why: str = "") -> Incident:
    """Somebody has seen to it: it is over now, and stays so unless it gets worse, goes away and comes back, or is found for another hour
    (`alert.believe_s`). Raises UsageError for one that is over."""
    return _done(state, Act.RESOLVE, _open(state, start), by, now, why)


def _open(state: State, start: str) -> Incident:
    row = found(state, start)
    if row.state is IncidentState.RESOLVED:
        raise UsageError(
            "incident-over", f"incident {row.id} is resolved", hint="parkwarden incidents list shows the open ones"
        )
    return row


def _done(state: State, act: Act, row: Incident, by: str, now: float, why: str) -> Incident:
    # after the incident began, and after what was last said: two hosts' clocks are not one
    last = row.acknowledged_at if act is Act.ACKNOWLEDGE else row.closed_at
    at = max(now, row.pending_since, last + LATER_S if last else 0.0)
    return state.act(Action(act=act, at=at, by=named(by), why=reason(why), incident_id=row.id)) or row


def silence(
    state: State, matchers: Sequence[str], lasts: str, now: float, new_id: str, *, by: str = "", comment: str = ""
) -> Silence:
    """Begin a silence. `matchers`: `label=value`, `label=~regex`, or an incident's id. Raises UsageError."""
    wanted: dict[str, str] = {}
    for text in matchers:
        name, equals, value = text.partition("=")
        if not equals:
            name, value = "incident", found(state, text).id
        if not name or name in wanted:
            raise UsageError("bad-matcher", f"{text!r} names no label, or one twice", hint="service=orders env=~prod.*")
        wanted[name] = value
    if not wanted:
        raise UsageError(
            "no-matcher", "a silence of everything is none", hint="service=orders, or the id of an incident"
        )
    if len(wanted) > MAX_MATCHERS:
        raise UsageError("bad-matcher", f"{len(wanted)} matchers are too many", hint=f"at most {MAX_MATCHERS}")
    if wrong := problem_of(wanted):
        raise UsageError("bad-matcher", wrong, hint="service=orders env=~prod.*")
    ends_at = now + duration(lasts)
    by, why = named(by), reason(comment)
    made = Silence(id=new_id, matchers=wanted, ends_at=ends_at, created_by=by, comment=why, created_at=now)
    one = state.incident(wanted["incident"]) if list(wanted) == ["incident"] else None
    state.act(Action(act=Act.SILENCE, at=now, by=by, why=why, incident_id=one.id if one else "", silence=made))
    return made


def unsilence(state: State, silence_id: str, by: str, now: float, why: str = "") -> Silence:
    """End a silence now. Raises UsageError where none of that id lasts."""
    kept = next((one for one in state.silences(now) if one.id == silence_id), None)
    if kept is None:
        hint = "parkwarden incidents list shows those that last"
        raise UsageError("no-such-silence", f"no silence is called {silence_id!r}", hint=hint)
    about = kept.matchers.get("incident", "") if len(kept.matchers) == 1 else ""
    known = about if about and state.incident(about) is not None else ""
    state.act(Action(act=Act.UNSILENCE, at=now, by=named(by), why=reason(why), incident_id=known, silence=kept))
    return kept


def named(by: str) -> str:
    """Who did something, in one line. Raises UsageError for nobody and for a name too long."""
    name = " ".join(by.split())
    if not name:
        raise UsageError("no-name", "who does this has no name", hint="say who you are: others will ask")
    if len(name) > MAX_NAME:
        raise UsageError("name-too-long", f"a name of {len(name)} characters", hint=f"at most {MAX_NAME}")
    return name


def reason(why: str) -> str:
    """Why, in one line. Raises UsageError for one too long."""
    text = " ".join(why.split())
    if len(text) > MAX_REASON:
        raise UsageError("reason-too-long", f"a reason of {len(text)} characters", hint=f"at most {MAX_REASON}")
    return text


def duration(text: str) -> float:
    """`30m`, `2h`, `1d12h` in seconds. Raises UsageError for anything else, for nothing and for more than MAX_SILENCE_S."""
    if not re.fullmatch(r"(\d{1,6}[smhd])+", text, re.ASCII):
        raise UsageError("bad-duration", f"{text!r} is no duration", hint="30m, 2h, 1d12h")
    seconds = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", text, re.ASCII))
    if not 0 < seconds <= MAX_SILENCE_S:
        raise UsageError("bad-duration", f"{text} is not within 1s to 90d", hint="30m, 2h, 1d12h")
    return seconds
