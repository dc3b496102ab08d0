"""`parkwarden check` as a pipeline calls it."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import typer
from typer.testing import CliRunner

from parkwarden.cli import check
from parkwarden.model import UsageError

DUMP = "goroutine {id} [chan send]:\nexample.com/shop.quote.func1()\n\t/src/shop/quote.go:9 +0x44\n\n"

app = typer.Typer()
app.command("check")(check.command)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A dump of two goroutines, and one of seven."""
    for name, n in (("before.txt", 2), ("after.txt", 7)):
        (tmp_path / name).write_text("".join(DUMP.format(id=i + 5) for i in range(n)))
    return [str(tmp_path / "before.txt"), str(tmp_path / "after.txt")]


def test_exit_codes_are_the_answer(files: list[str]) -> None:
    """0 passed, 1 failed, 2 usage; nothing readable is 3."""
    runner = CliRunner()
    assert runner.invoke(app, files).exit_code == 1
    assert runner.invoke(app, [*files, "--tolerance", "5"]).exit_code == 0
    assert runner.invoke(app, [files[0], files[0]]).exit_code == 0
    assert runner.invoke(app, [*files, "--for", "soon"]).exit_code == 2
    Path(files[1]).write_text("not a dump at all")
    assert runner.invoke(app, files[1:]).exit_code == 3


def test_formats_and_files(files: list[str], tmp_path: Path) -> None:
    """JSON to standard output, JUnit into a file, a baseline beside it; nothing is overwritten without --force."""
    runner = CliRunner()
    told = json.loads(runner.invoke(app, [*files, "--format", "json"]).stdout)
    assert (told["schema"], told["passed"]) == ("parkwarden.check/1", False)
    out, kept = tmp_path / "leaks.xml", tmp_path / "b.json"
    runner.invoke(app, [*files, "--format", "junit", "-o", str(out), "--write-baseline", str(kept)])
    assert ElementTree.parse(out).getroot().tag == "testsuites"
    assert json.loads(kept.read_text())["subjects"][0]["goroutines"] == 7
    assert runner.invoke(app, [files[1], "--baseline", str(kept)]).exit_code == 0
    refused = runner.invoke(app, [*files, "--write-baseline", str(kept)])
    assert isinstance(refused.exception, UsageError)
    assert runner.invoke(app, [files[0], "--write-baseline", str(kept), "--force"]).exit_code == 0
    assert json.loads(kept.read_text())["subjects"][0]["goroutines"] == 2


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30.0), ("500ms", 0.5), ("2m", 120.0), ("1.5", 1.5), ("1h", 3600.0), (" 3 s ", 3.0)]
)
def test_times_are_written_as_go_writes_them(text: str, seconds: float) -> None:
    """Seconds may stand alone."""
    assert check._seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-3s", "1d", "1e3", "nan", "3 s s"])
def test_other_times_are_refused(text: str) -> None:
    """What is no time is said with an example."""
    with pytest.raises(typer.BadParameter):
        check._seconds(text)
