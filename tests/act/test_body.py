"""`parkwarden.alert/1`."""

from __future__ import annotations

import json
import math
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.act.body import encoded, payload
from parkwarden.model import Grade, IncidentState, Tell
from tests.act.build import note

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schema" / "alert-1.json").read_text())
TEXT = st.text(st.characters(exclude_categories=[]), max_size=20)
NUMBER = st.one_of(st.none(), st.floats())


@given(
    TEXT, NUMBER, st.sampled_from(Tell), st.sampled_from([s for s in IncidentState if s is not IncidentState.PENDING])
)
def test_every_body_keeps_the_schema(text: str, number: float | None, tell: Tell, state: IncidentState) -> None:
    """Hostile names, numbers that are none and lone surrogates: the body is ASCII JSON of the documented shape."""
    n = note(
        tell=tell,
        state=state,
        title=text,
        line=text,
        labels={"env": text, text: text},
        why=(text,),
        rate_per_min=number,
        time_left_s=number,
        time_left_low_s=number,
        time_left_high_s=number,
        since=number or 0.0,
        grade=Grade.RED,
    )
    body = encoded(n)
    assert body.isascii()
    assert b"\n" not in body
    told = json.loads(body)
    jsonschema.validate(told, SCHEMA)
    told["incident"]["title"].encode()


def test_an_endless_time_left_is_null() -> None:
    """JSON has no infinity: perhaps never is null."""
    n = note(time_left_s=60.0, time_left_low_s=30.0, time_left_high_s=math.inf, limit="fd-limit")
    assert payload(n)["incident"]["time_left"] == {"limit": "fd-limit", "seconds": 60.0, "low_s": 30.0, "high_s": None}


@pytest.mark.parametrize(("at", "by"), [(200.0, "ada"), (0.0, ""), (50.0, "")])
def test_an_old_acknowledgement_is_not_told(at: float, by: str) -> None:
    """Who took it on before it came back has not taken it on now."""
    told = payload(note(acknowledged_by="ada", acknowledged_at=at, pending_since=90.0))["incident"]
    assert told["acknowledged_by"] == by
