"""`parkwarden limits` as it is called."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from parkwarden.cli import limits
from parkwarden.model import UsageError

app = typer.Typer()
app.command("limits")(limits.command)
OWN = str(os.getpid())


def run(*arguments: str) -> tuple[int, str]:
    ran = CliRunner().invoke(app, [OWN, "--for", "0", *arguments], catch_exceptions=False)
    return ran.exit_code, ran.stdout


def test_json_is_the_schemas(tmp_path: Path) -> None:
    """--format json prints one document; -o writes it, and never over a file."""
    code, told = run("--format", "json")
    assert (json.loads(told)["schema"], json.loads(told)["pid"]) == ("parkwarden.limits/1", os.getpid())
    assert code == int(json.loads(told)["found"])
    out = tmp_path / "out.json"
    run("--format", "json", "-o", str(out))
    assert json.loads(out.read_text())["target"] == OWN
    with pytest.raises(UsageError):
        run("-o", str(out))


def test_the_load_that_does_not_fit_is_exit_1() -> None:
    """More requests than descriptors: 1; the sentence says so."""
    code, told = run("--load", "1000000000")
    assert code == 1
    assert "do not fit" in told


def test_snippets_are_printed_as_asked() -> None:
    """One kind, or all."""
    assert "LimitNOFILE=" in run("--snippet", "systemd")[1]
    assert "LimitNOFILE=" not in run("--snippet", "go")[1]


def test_a_profile_of_ones_own() -> None:
    """custom takes numbers; the presets take none."""
    told = json.loads(run("--profile", "custom", "--max-threads", "300", "--timeout", "5s", "--format", "json")[1])
    assert (told["profile"]["name"], told["profile"]["max_threads"], told["profile"]["timeout_s"]) == ("custom", 300, 5)
    assert json.loads(run("--profile", "streaming", "--format", "json")[1])["profile"]["process_limit"] == 4096
    with pytest.raises(UsageError) as caught:
        run("--max-threads", "300")
    assert "--profile custom" in caught.value.hint
