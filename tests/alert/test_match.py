"""Matchers of routes and silences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.alert.match import matches, problem_of

LABELS = {"service": "orders", "env": "prod"}


@pytest.mark.parametrize(
    ("matchers", "holds"),
    [
        ({}, True),
        ({"service": "orders"}, True),
        ({"service": "orders", "env": "test"}, False),
        ({"service": "~ord.*"}, True),
        ({"service": "~ord"}, False),
        ({"team": ""}, True),
        ({"team": "~.+"}, False),
        ({"service": "~("}, False),
        ({"service": "~" + "a" * 600}, False),
    ],
)
def test_matching(matchers: dict[str, str], holds: bool) -> None:
    """All must hold; a regex matches the whole value; a missing label is empty; a broken regex matches nothing."""
    assert matches(matchers, LABELS) is holds


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=30), max_size=3))
def test_what_has_no_problem_can_be_asked(matchers: dict[str, str]) -> None:
    """No matcher raises; only a broken one is called so."""
    assert matches(matchers, LABELS) in (True, False)
    if not any(value.startswith("~") for value in matchers.values()):
        assert problem_of(matchers) == ""
