"""What people do about incidents, on the state database: look, acknowledge, silence. A watch that runs hears of it within seconds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from parkwarden.alert.match import problem_of
from parkwarden.model import Incident, IncidentState, Priority, Silence, UsageError
from parkwarden.run.evidence import settings_of
from parkwarden.store.state import State

MAX_SILENCE_S = 90 * 86_400.0
"""The longest silence: what is to be quiet for longer needs a route, where others see it."""

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


def acknowledge(state: State, start: str, by: str, now: float) -> Incident:
    """Somebody takes it on: reminders stop. Raises UsageError for one that is over."""
    row = found(state, start)
    if row.state is IncidentState.RESOLVED:
        raise UsageError(
            "incident-over", f"incident {row.id} is resolved", hint="parkwarden incidents list shows the open ones"
        )
    return state.acknowledge(row.id, by, now) or row


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
    if wrong := problem_of(wanted):
        raise UsageError("bad-matcher", wrong, hint="service=orders env=~prod.*")
    made = Silence(id=new_id, matchers=wanted, ends_at=now + duration(lasts), created_by=by, comment=comment)
    state.silence(made)
    return made


def duration(text: str) -> float:
    """`30m`, `2h`, `1d12h` in seconds. Raises UsageError for anything else, for nothing and for more than MAX_SILENCE_S."""
    if not re.fullmatch(r"(\d{1,6}[smhd])+", text, re.ASCII):
        raise UsageError("bad-duration", f"{text!r} is no duration", hint="30m, 2h, 1d12h")
    seconds = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", text, re.ASCII))
    if not 0 < seconds <= MAX_SILENCE_S:
        raise UsageError("bad-duration", f"{text} is not within 1s to 90d", hint="30m, 2h, 1d12h")
    return seconds
