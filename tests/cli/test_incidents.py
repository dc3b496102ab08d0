"""`parkwarden incidents`: on a state database as a watch keeps it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from parkwarden.cli.incidents import app
from parkwarden.model import IncidentState, UsageError
from parkwarden.run.incidents import duration
from parkwarden.store.settings import StoreSettings
from parkwarden.store.state import State
from tests.act.build import incident

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schema" / "incidents-1.json").read_text())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two open incidents, one of them with a hostile name, and one that is over."""
    with State.open(settings=StoreSettings(folder=str(tmp_path))) as state:
        rows = [
            incident("aa11"),
            incident("ab22", service="\x1b[31mpay", detector="x"),
            incident("cc33", state=IncidentState.RESOLVED, resolved_at=500.0),
        ]
        state.commit(rows, [])
    return tmp_path


def run(folder: Path, *args: str) -> Any:
    result = CliRunner().invoke(app, [*args, "--data", str(folder)], catch_exceptions=True)
    if isinstance(result.exception, UsageError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_list_shows_what_is_open(folder: Path) -> None:
    """Open ones by default, all with --all; hostile names are inert."""
    told = run(folder, "list")
    assert "aa11" in told
    assert "cc33" not in told
    assert "\x1b" not in told
    assert "cc33" in run(folder, "list", "--all")
    rows = json.loads(run(folder, "list", "--all", "--format", "json"))
    jsonschema.validate(rows, SCHEMA)
    assert [row["state"] for row in rows["incidents"]] == ["firing", "firing", "resolved"]


def test_show_tells_the_story(folder: Path) -> None:
    """The first letters of an id are enough, if they are one's only."""
    assert "Line: main.Serve /src/serve.go:7" in run(folder, "show", "aa")
    with pytest.raises(UsageError, match="several"):
        run(folder, "show", "a")
    with pytest.raises(UsageError, match="no incident"):
        run(folder, "show", "zz")


def test_ack_is_kept(folder: Path) -> None:
    """Who took it on stands in the state; what is over cannot be taken on."""
    assert "aa11 is acknowledged by ada" in run(folder, "ack", "aa11", "--by", "ada")
    assert "firing (acknowledged)" in run(folder, "list")
    with pytest.raises(UsageError, match="resolved"):
        run(folder, "ack", "cc33")


def test_resolve_is_kept_with_who_and_why(folder: Path) -> None:
    """What is resolved by hand is no longer listed; who said so, when and why is."""
    assert "aa11 is resolved by ada" in run(folder, "resolve", "aa11", "--by", "ada", "--why", "rolled back")
    assert "aa11" not in run(folder, "list")
    shown = run(folder, "show", "aa11")
    assert re.search(r"Resolved: by ada, \d{4}-\d\d-\d\d [\d:]{8} UTC: rolled back", shown), shown
    [one] = json.loads(run(folder, "show", "aa11", "--format", "json"))["incidents"]
    assert (one["state"], one["closed_by"], one["closed_why"]) == ("resolved", "ada", "rolled back")
    assert one["closed_at"] == one["resolved_at"] > 0
    with pytest.raises(UsageError, match="resolved"):
        run(folder, "resolve", "aa11")


@pytest.mark.parametrize("option", [("--by", " "), ("--by", "x" * 101), ("--why", "x" * 1001)])
def test_names_and_reasons_are_bounded(folder: Path, option: tuple[str, str]) -> None:
    """Nobody acts without a name; what travels to every channel has an end."""
    with pytest.raises(UsageError):
        run(folder, "ack", "aa11", *option)
    assert "acknowledged" not in run(folder, "list")


def test_silence_and_unsilence(folder: Path) -> None:
    """A silence names labels or an incident, lasts as long as told, and can be ended."""
    made = json.loads(run(folder, "silence", "service=~ord.*", "env=prod", "--for", "2h", "--format", "json"))[
        "silences"
    ][0]
    assert made["matchers"] == {"service": "~ord.*", "env": "prod"}
    assert 7100 < made["ends_at"] - time.time() <= 7200
    assert f"silence {made['id']}" in run(folder, "list")
    run(folder, "silence", "aa11")
    run(folder, "unsilence", made["id"])
    left = json.loads(run(folder, "list", "--format", "json"))["silences"]
    assert [s["matchers"] for s in left] == [{"incident": "aa11"}]
    with pytest.raises(UsageError, match="no silence"):
        run(folder, "unsilence", made["id"])


@pytest.mark.parametrize("matcher", ["service=~(", "=x"])
def test_bad_matchers_are_told(folder: Path, matcher: str) -> None:
    """A silence that could never match is refused."""
    with pytest.raises(UsageError):
        run(folder, "silence", matcher)


def test_without_a_state_the_way_to_it_is_told(tmp_path: Path) -> None:
    """Looking makes no database."""
    with pytest.raises(UsageError, match="no state database"):
        run(tmp_path, "list")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("1d12h", 129_600)])
def test_durations(text: str, seconds: float) -> None:
    """Numbers with units, together."""
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "0s", "91d", "1w", "-1h", "1h 2m", "٣h"])
def test_durations_that_are_none(text: str) -> None:
    """Anything else is refused with an example."""
    with pytest.raises(UsageError, match=r"duration|within"):
        duration(text)
