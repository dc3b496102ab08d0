"""`board`: a watch behind the application, in process (see board.py)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.board import Board, a_board


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    """Nobody is asked for a token: `board.client` is a program on this machine."""
    with a_board(tmp_path) as made:
        yield made
