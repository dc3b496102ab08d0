"""Finding codes: one catalogue, complete."""

from __future__ import annotations

import re

from parkwarden.judge.codes import CODES
from parkwarden.stacks.patterns import PATTERNS


def test_codes_are_unique_and_explained() -> None:
    """Every code and every name is there once, with a title and an explanation."""
    assert len({c.name for c in CODES.values()}) == len(CODES)
    for code in CODES.values():
        assert re.fullmatch(r"PW\d{3}", code.code)
        assert len(code.text) > 40


def test_every_pattern_has_a_code() -> None:
    """The atlas is part of the catalogue."""
    assert {p.code for p in PATTERNS.values()} <= set(CODES)
