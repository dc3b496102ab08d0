"""Grades of growth at its boundaries."""

from __future__ import annotations

import pytest

from parkwarden.judge.grade import grade
from parkwarden.model import Grade


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (None, Grade.NONE), (0.0, Grade.NONE), (2.99, Grade.NONE), (3.0, Grade.YELLOW), (8.0, Grade.YELLOW),
        (8.01, Grade.AMBER), (15.0, Grade.AMBER), (15.01, Grade.RED), (60_000.0, Grade.RED),
    ],
)  # fmt: skip
def test_boundaries(rate: float | None, expected: Grade) -> None:
    """Yellow is 3 to 8 a minute, red above 15, amber between; slower growth has no grade."""
    assert grade(rate) is expected
