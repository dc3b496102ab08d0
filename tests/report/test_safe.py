"""Hostile names are inert: nothing a terminal or browser would act on is left."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.report.safe import MAX_TEXT, inert, inert_lines, middle


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("main.(*T).m", "main.(*T).m"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\r\tc\0", "a\\nb\\r\\tc\\0"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202eabc\u2066", "\\u202eabc\\u2066"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("a\u2028b", "a\\u2028b"),
        ("\ud800", "\\ud800"),
        ("\U000e0041x", "\\U000e0041x"),
        ("\u3164\u2800", "\\u3164\\u2800"),
        ("商店.Ügly.é", "商店.Ügly.é"),
    ],
)
def test_known_tricks(text: str, wanted: str) -> None:
    """ANSI, C1, newlines, bidi, zero-width, tags and blanks become visible escapes; real scripts stay."""
    assert inert(text) == wanted


@given(st.text(alphabet=st.characters(codec=None), max_size=600))
def test_output_is_always_inert(text: str) -> None:
    """Whatever comes in, what goes out is printable, on one line, bounded, and stays the same when done again."""
    once = inert(text)
    assert once.isprintable()
    assert len(once) <= MAX_TEXT
    assert not any(
        unicodedata.bidirectional(c) in {"RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI", "FSI"} for c in once
    )
    if len(once) < MAX_TEXT:
        assert inert(once) == once


def test_lines_are_cut_with_a_note() -> None:
    """Source code keeps its lines and indents; what is too much is counted."""
    assert inert_lines("a\n\tb") == ["a", "    b"]
    assert inert_lines("x\n" * 9, max_lines=3)[-1] == "… 7 more lines"


def test_middle_keeps_both_ends() -> None:
    """The ends of paths and names tell most."""
    assert middle("abcdefghij", 5) == "a…hij"
    assert middle("abc", 5) == "abc"
    assert middle("abc", 1) == "…"
    assert middle("abc", 0) == ""
