"""Every scenario of tests/scenarios means what it says: the judges' behaviour, written so that a user could write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from parkwarden.judge.fleet.fuse import KINDS
from parkwarden.run.replay import Options, replay

FOLDER = Path(__file__).parent.parent / "scenarios"
SCENARIOS = sorted(FOLDER.glob("*.txt"))


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda f: f.stem)
def test_scenario(file: Path) -> None:
    """All expectations of the scenario are met."""
    result = replay([str(file)], Options())
    assert result.checked, "a scenario without expectations guards nothing"
    assert [f"line {one.line}: {one.text}: {one.told}" for one in result.checked if not one.met] == []


def test_every_detector_has_a_scenario() -> None:
    """Each detector of the fleet has a scenario of its name."""
    assert KINDS.keys() - {file.stem for file in SCENARIOS} == set()
