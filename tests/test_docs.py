"""Docs are tests: generated pages are up to date, every code and exit code has its entry, decisions are listed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import typer

from parkwarden.cli import app
from parkwarden.judge.codes import CODES
from parkwarden.judge.fleet.fuse import KINDS
from parkwarden.model.finding import Exit

ROOT = Path(__file__).resolve().parent.parent


def test_generated_pages_are_up_to_date() -> None:
    """docs/cli.md and docs/findings.md are what `make docs` writes."""
    ran = subprocess.run(
        [sys.executable, "tools/gen_docs.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout


def test_every_code_has_an_entry() -> None:
    """Each finding code has a section in docs/findings.md, each exit code a row in docs/cli.md."""
    findings = (ROOT / "docs/findings.md").read_text()
    assert all(f"\n## {code}\n" in findings for code in CODES)
    cli = (ROOT / "docs/cli.md").read_text()
    assert all(f"| {int(code)} |" in cli for code in Exit)


def test_every_help_teaches() -> None:
    """Each command shows an example of itself, each argument and option says what it is."""

    def leaves(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
        if isinstance(command, click.Group):
            for name, child in command.commands.items():
                yield from leaves(child, f"{path} {name}")
        else:
            yield path, command

    for path, command in leaves(typer.main.get_command(app), "parkwarden"):
        assert (
            f"  {path}"
            in command.get_help(click.Context(command, info_name=path, terminal_width=120)).partition("\n")[2]
        ), path
        assert all(getattr(p, "help", "") for p in command.params), path


def test_every_decision_is_listed() -> None:
    """docs/decisions/README.md links every decision and nothing else."""
    folder = ROOT / "docs/decisions"
    linked = set(re.findall(r"\]\((\d{4}-[a-z-]+\.md)\)", (folder / "README.md").read_text()))
    assert linked == {p.name for p in folder.glob("0*.md")}


def test_links_between_pages_lead_somewhere() -> None:
    """Relative links and pictures in README and docs exist."""
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_architecture_names_every_folder() -> None:
    """docs/architecture.md is kept true: every package of the house has its row."""
    text = (ROOT / "docs/architecture.md").read_text()
    packages = [p.name for p in (ROOT / "src/parkwarden").iterdir() if (p / "__init__.py").exists()]
    assert packages
    assert all(f"`{name}/`" in text for name in packages)


def test_every_detector_has_its_page() -> None:
    """Each detector of the fleet has a page in docs/detectors with its numbers and its scenario."""
    for name in KINDS:
        text = (ROOT / f"docs/detectors/{name}.md").read_text()
        assert "## Scenario" in text, name
        assert "## Numbers" in text, name
