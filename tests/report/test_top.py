"""A profile's functions by what they hold."""

from __future__ import annotations

import numpy as np

from parkwarden.model import Frame, Profile, Stack
from parkwarden.report.top import default_column, tops

LEAF, MID, ROOT = Frame("main.leaf", "/a.go", 3), Frame("main.mid", "/a.go", 2), Frame("main.root", "/a.go", 1)


def _profile(*rows: tuple[tuple[Frame, ...], int]) -> Profile:
    return Profile(
        sample_types=[("inuse_objects", "count"), ("inuse_space", "bytes"), ("alloc_space", "bytes")],
        stacks=[Stack(frames) for frames, _ in rows],
        stack=np.arange(len(rows), dtype=np.int64),
        values=np.array([[1, value, 2 * value] for _, value in rows], dtype=np.int64).reshape(len(rows), 3),
        labels=[{}],
        label=np.zeros(len(rows), dtype=np.int64),
    )


def test_flat_and_cum() -> None:
    """Flat is a function's own line, cum all below it; the place is where it holds most."""
    told = tops(_profile(((LEAF, MID, ROOT), 70), ((MID._replace(line=9), ROOT), 30)), 1, 10)
    rows = {row.frame.function: (row.flat, row.cum, row.frame.line) for row in told.rows}
    assert rows == {"main.leaf": (70, 70, 3), "main.mid": (30, 100, 2), "main.root": (0, 100, 1)}
    assert (told.name, told.unit, told.total, told.functions) == ("inuse_space", "bytes", 100, 3)
    assert [row.frame.function for row in told.rows] == ["main.leaf", "main.mid", "main.root"]


def test_recursion_counts_once() -> None:
    """A function that stands ten times on a stack holds it once."""
    (row,) = tops(_profile(((ROOT,) * 10, 5)), 1, 10).rows
    assert (row.flat, row.cum) == (5, 5)


def test_limit_and_first_column() -> None:
    """Rows are cut, and how many there were is told; memory in use is what a heap profile is asked for first."""
    profile = _profile(((LEAF, MID, ROOT), 1))
    assert (len(tops(profile, 1, 2).rows), tops(profile, 1, 2).functions) == (2, 3)
    assert default_column(profile) == 1
