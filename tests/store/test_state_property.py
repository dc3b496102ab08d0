"""Any order of calls leaves the state database as a plain model says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from parkwarden.store.state import State
from tests.store.state_machine import machine


def test_sqlite_does_as_the_model(tmp_path: Path) -> None:
    """Commits, deliveries, failures, acknowledgements, pruning and restarts in any order, on SQLite."""
    folder = tmp_path / "state"
    run = machine(
        lambda clock: State.open(str(folder / "state.db"), clock), lambda: shutil.rmtree(folder, ignore_errors=True)
    )
    run_state_machine_as_test(run, settings=settings(max_examples=8, stateful_step_count=20))
    assert folder.exists()


@pytest.mark.full
def test_sqlite_does_as_the_model_for_long(tmp_path: Path) -> None:
    """The same with more examples and longer runs."""
    folder = tmp_path / "state"
    run = machine(
        lambda clock: State.open(str(folder / "state.db"), clock), lambda: shutil.rmtree(folder, ignore_errors=True)
    )
    run_state_machine_as_test(run, settings=settings(max_examples=300, stateful_step_count=50))
    assert folder.exists()
