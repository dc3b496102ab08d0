"""`parkwarden evidence`: lists, shows and opens what the watch has kept."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from parkwarden.cli.evidence import app
from parkwarden.model import Capture, EvidenceItem, UsageError
from parkwarden.run.evidence import open_store, since_time
from parkwarden.store.settings import StoreSettings

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schema" / "evidence-1.json").read_text())
NOW = 1_700_000_000.0


@pytest.fixture
def kept(tmp_path: Path, data: Path) -> list[EvidenceItem]:
    """A profile, and a dump of an instance with a hostile name."""
    store = open_store(StoreSettings(folder=str(tmp_path)))
    profile = (data / "profile_proto" / "go1.27" / "goroutine.pb.gz").read_bytes()
    dump = (data / "goroutine_dump" / "1.27" / "debug2.txt").read_bytes()
    return [
        store.put(
            Capture(instance="a:1", service="shop", kind="goroutine-profile", at=NOW, body=profile, why="on beat")
        ),
        store.put(Capture(instance="\x1b[31mb", service="pay", kind="goroutine-dump", at=NOW + 9, body=dump, why="x")),
    ]


def run(tmp_path: Path, *args: str) -> tuple[int, str, bytes]:
    result = CliRunner().invoke(app, [*args, "--data", str(tmp_path)])
    return result.exit_code, result.stdout if result.stdout_bytes.isascii() else "", result.stdout_bytes


def test_list_names_what_is_kept(tmp_path: Path, kept: list[EvidenceItem]) -> None:
    """Newest first, filtered by service; hostile names are made harmless."""
    code, text, _ = run(tmp_path, "list")
    assert code == 0
    assert text.index(kept[1].digest[:12]) < text.index(kept[0].digest[:12])
    assert "\x1b" not in text
    assert kept[1].digest[:12] not in run(tmp_path, "list", "--service", "shop")[1]
    assert "no evidence" in run(tmp_path, "list", "--service", "nobody")[1]


def test_json_is_of_its_schema(tmp_path: Path, kept: list[EvidenceItem]) -> None:
    """`list` and `show` print the documented schema."""
    for args in (["list"], ["show", kept[0].digest[:8]]):
        document = json.loads(run(tmp_path, *args, "--format", "json")[2])
        jsonschema.validate(document, SCHEMA)
        assert kept[0].digest in [item["digest"] for item in document["items"]]


def test_show_says_why(tmp_path: Path, kept: list[EvidenceItem]) -> None:
    """Everything known of one item."""
    _, text, _ = run(tmp_path, "show", kept[0].digest)
    assert "on beat" in text
    assert kept[0].digest in text


def test_open_writes_the_artefact(tmp_path: Path, kept: list[EvidenceItem]) -> None:
    """To standard output and to a file, as it opens elsewhere; an existing file needs --force."""
    assert run(tmp_path, "open", kept[0].digest)[2].startswith(b"\x1f\x8b")
    out = tmp_path / "dump.txt"
    assert run(tmp_path, "open", kept[1].digest, "-o", str(out))[0] == 0
    assert b"goroutine 1 " in out.read_bytes()
    assert run(tmp_path, "open", kept[1].digest, "-o", str(out))[0] != 0


def test_open_diagnoses(tmp_path: Path, kept: list[EvidenceItem]) -> None:
    """`--diagnose` is our own verdict over the item."""
    document = json.loads(run(tmp_path, "open", kept[1].digest, "--diagnose", "--format", "json")[2])
    assert document["schema"] == "parkwarden.report/1"
    assert document["inputs"][0]["kind"] == "goroutine-dump"
    assert run(tmp_path, "open", kept[1].digest, "--diagnose")[0] == 0


def test_since_takes_spans_and_times() -> None:
    """`2h` is two hours ago; a time without a zone is UTC; anything else is refused."""
    assert since_time("2h", NOW) == NOW - 7200
    assert since_time("2023-11-14T22:13:20", 0.0) == NOW
    assert since_time("2023-11-15T00:13:20+02:00", 0.0) == NOW
    with pytest.raises(UsageError):
        since_time("yesterday", NOW)
