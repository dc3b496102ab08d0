"""/api/v1/incidents and /api/v1/silences: what is wrong, and what people do about it. The same words as `parkwarden incidents`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, StringConstraints

from parkwarden.alert.match import MAX_PATTERN
from parkwarden.run.board.incidents import Filter, listed
from parkwarden.run.incidents import MAX_MATCHERS, MAX_NAME, MAX_REASON, as_json
from parkwarden.web.api.openapi import Asked, Call, Operation, Paged, Reply, signed
from parkwarden.web.problems import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parkwarden.model import Incident, Silence

MAX_FILTER = 500
"""Characters of a filter's text."""

MAX_DURATION = 40
"""Characters of `1d12h30m`."""

SCHEMA = "incidents-1"


Label = Annotated[str, StringConstraints(min_length=1, max_length=MAX_FILTER, pattern="^[^=]+$")]
Wanted = Annotated[str, StringConstraints(max_length=MAX_PATTERN)]


class Incidents(Paged):
    """Which incidents."""

    state: Literal["", "open", "resolved", "pending", "firing", "flapping", "no-data"] = Field(
        "open", description="`open` is all but resolved, empty all that are kept."
    )
    priority: Literal["", "P0", "P1", "P2", "P3"] = Field("", description="Of this priority.")
    service: str = Field("", max_length=MAX_FILTER, description="Of this service.")
    env: str = Field("", max_length=MAX_FILTER, description="Of this env.")
    q: str = Field("", max_length=MAX_FILTER, description="Words that all stand in its title, line, labels or id.")


class Deed(Asked):
    """Who does it and why."""

    by: str = Field("", max_length=MAX_NAME, description="Who; needed where the token has no name.")
    why: str = Field("", max_length=MAX_REASON, description="Why; whoever looks at the incident reads it.")


class Hush(Deed):
    """A silence of one incident."""

    lasts: str = Field(
        "2h",
        alias="for",
        max_length=MAX_DURATION,
        pattern=r"^([0-9]{1,6}[smhd])+$",
        description="How long: 30m, 2h, 1d12h.",
    )


class NewSilence(Hush):
    """A silence of all that matches."""

    matchers: dict[Label, Wanted] = Field(
        min_length=1, max_length=MAX_MATCHERS, description="Label -> value or `~regex`; all must match."
    )


def _told(rows: Sequence[Incident], silences: Sequence[Silence]) -> dict[str, object]:
    return as_json(rows, silences)


async def list_incidents(call: Call) -> Reply:
    asked: Incidents = call.query
    wanted = Filter(state=asked.state, priority=asked.priority, service=asked.service, env=asked.env, words=asked.q)
    rows = await listed(call.desk.host, wanted)
    return Reply(_told(call.cut(rows), await call.desk.host.silences()), total=len(rows))


async def get_incident(call: Call) -> Reply:
    return Reply(_told([await _found(call)], []))


async def _found(call: Call) -> Incident:
    row = await call.desk.host.incident(call.path("id"))
    if row is None:
        raise NotFoundError("no-such-incident", "no incident has this id", hint="GET /api/v1/incidents?state=")
    return row


async def acknowledge(call: Call) -> Reply:
    row = await call.desk.host.acknowledge(call.path("id"), signed(call, call.body.by), call.body.why)
    return Reply(_told([row], []))


async def resolve(call: Call) -> Reply:
    row = await call.desk.host.resolve(call.path("id"), signed(call, call.body.by), call.body.why)
    return Reply(_told([row], []))


async def silence_incident(call: Call) -> Reply:
    body: Hush = call.body
    before = await _found(call)
    made = await call.desk.host.silence([f"incident={before.id}"], signed(call, body.by), body.why, body.lasts)
    return Reply(_told([await _found(call)], [made]))


async def list_silences(call: Call) -> Reply:
    found = await call.desk.host.silences()
    return Reply(_told([], call.cut(found)), total=len(found))


async def begin_silence(call: Call) -> Reply:
    body: NewSilence = call.body
    matchers = [f"{name}={value}" for name, value in body.matchers.items()]
    made = await call.desk.host.silence(matchers, signed(call, body.by), body.why, body.lasts)
    return Reply(_told([], [made]), status=201)


async def end_silence(call: Call) -> Reply:
    ended = await call.desk.host.unsilence(call.path("id"), signed(call, call.query.by), call.query.why)
    return Reply(_told([], [ended]))


_ID = {"id": "The incident's id, whole."}
_SILENCE = {"id": "The silence's id."}

OPERATIONS = (
    Operation(
        method="GET", path="/incidents", id="listIncidents", summary="Incidents, open and most urgent first.",
        family="incidents", answer=list_incidents, query=Incidents, schema=SCHEMA,
    ),
    Operation(
        method="GET", path="/incidents/{id}", id="getIncident", summary="One incident, older ones too.",
        family="incidents", answer=get_incident, parts=_ID, schema=SCHEMA,
    ),
    Operation(
        method="POST", path="/incidents/{id}/acknowledge", id="acknowledgeIncident",
        summary="Take an incident on: reminders stop.", family="incidents", answer=acknowledge, body=Deed, parts=_ID,
        schema=SCHEMA,
    ),
    Operation(
        method="POST", path="/incidents/{id}/resolve", id="resolveIncident", summary="Say that an incident is over.",
        family="incidents", answer=resolve, body=Deed, parts=_ID, schema=SCHEMA,
    ),
    Operation(
        method="POST", path="/incidents/{id}/silence", id="silenceIncident",
        summary="Tell nobody of an incident for a while.", family="incidents", answer=silence_incident, body=Hush,
        parts=_ID, schema=SCHEMA,
    ),
    Operation(
        method="GET", path="/silences", id="listSilences", summary="Silences that last.", family="silences",
        answer=list_silences, query=Paged, schema=SCHEMA,
    ),
    Operation(
        method="POST", path="/silences", id="beginSilence", summary="Tell nobody of what matches for a while.",
        family="silences", answer=begin_silence, body=NewSilence, schema=SCHEMA, status=201,
    ),
    Operation(
        method="DELETE", path="/silences/{id}", id="endSilence", summary="End a silence now.", family="silences",
        answer=end_silence, query=Deed, parts=_SILENCE, schema=SCHEMA,
    ),
)  # fmt: skip
