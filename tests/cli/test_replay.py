"""`replay` and `record` as a user types them: exit codes, errors with a next step."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).with_name("parkwarden")
LEAK = """
instance gw-1 service=gateway
site hub "chan send" shop/cart.(*Hub).Publish hub.go:42
load 1m leaked hub 0 6x1
load 20s site hub 3x2 6x7
"""


def run(*args: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([str(BIN), *map(str, args)], input=stdin, capture_output=True, check=False)


@pytest.fixture
def leak(tmp_path: Path) -> Path:
    file = tmp_path / "leak.txt"
    file.write_text(LEAK)
    return file


def test_a_leak_is_one(leak: Path) -> None:
    """A leak ends with 1 and names the line; the same as JSON has the site's id and the virtual times."""
    ran = run("replay", leak)
    assert ran.returncode == 1
    assert b"hub.go:42" in ran.stdout
    found = json.loads(run("replay", leak, "--format", "json").stdout)["findings"][0]
    assert (found["verdict"], found["site"]["id"], found["instance"]) == ("leak", "hub", "gw-1")
    assert found["first_seen"] == 60.0


def test_expectations_decide(leak: Path) -> None:
    """Met expectations end with 0 although a leak was found, one that is not met with 1 and its line."""
    leak.write_text(LEAK + "expect at 1m leak proven-leak site hub\n")
    assert run("replay", leak).returncode == 0
    leak.write_text(LEAK + "expect never leak\n")
    ran = run("replay", leak)
    assert ran.returncode == 1
    assert b"leak.txt:6: expect never leak" in ran.stdout


def test_a_recording_beside_scenarios_is_reported(leak: Path, tmp_path: Path) -> None:
    """What a recording shows is not kept back because a scenario's expectations are checked in the same call."""
    recording = tmp_path / "r.jsonl"
    recording.write_text('{"v":1,"instance":"i"}\n{"t":1,"instance":"i","goroutines":5}\n')
    leak.write_text(LEAK + "expect at 1m leak proven-leak site hub\n")
    assert b"r.jsonl" in run("replay", leak, recording).stdout
    assert b"Inputs" not in run("replay", leak).stdout


def test_errors_have_a_next_step(leak: Path, tmp_path: Path) -> None:
    """A missing file is unreadable (3), a wrong line or rule is told with its place."""
    assert run("replay", tmp_path / "nowhere").returncode == 3
    leak.write_text("lod 5s goroutines 1\n")
    ran = run("replay", leak)
    assert ran.returncode == 3
    assert b"line 1" in ran.stderr
    assert b"did you mean `load`?" in ran.stderr
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: {trent: {}}\n")
    leak.write_text(LEAK)
    ran = run("replay", leak, "--rules", rules)
    assert ran.returncode == 2
    assert b"trend" in ran.stderr


def test_record_wants_targets(tmp_path: Path) -> None:
    """Neither URL nor configuration, or a length that is none: usage, and no file is made."""
    file = tmp_path / "x.jsonl"
    assert run("record", "-o", file).returncode == 2
    assert run("record", "http://127.0.0.1:9", "-o", file, "--for", "soon").returncode == 2
    assert not file.exists()
