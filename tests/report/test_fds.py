"""What `fds` found, in text and JSON: complete, inert, readable without colour and at 60 columns."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from rich.console import Console

from parkwarden.model import Frame, LookCost, Problem, Site
from parkwarden.model.descriptors import OpenFiles
from parkwarden.model.fds import FdsResult, Holder, KindRow
from parkwarden.model.local import Connections
from parkwarden.report.fds import MAX_GROUPS, fds_to_json, print_fds

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schema" / "fds-1.json").read_text())
HOSTILE = "/tmp/\x1b[31mred\u202e\x00"
AT = Site("s1", "IO wait", "main.frames", "/src/media/pipes.go", 34, ())


def result(**changes: object) -> FdsResult:
    made = FdsResult(
        name="http://h:1", checked_at="2026-11-21T00:00:00Z", watched_s=10.0, pid=42, command="media", open_fds=900, open_before=880,
        max_fds=1000, max_fds_hard=4096, goroutines=160,
        kinds=(
            KindRow("pipe", 700, 680, (OpenFiles("pipe", "pipe", 700, "pipe:[1]"),)),
            KindRow("socket", 200, 200, tuple(OpenFiles("socket", f"tcp ESTABLISHED 10.0.0.{n}:443", 10) for n in range(20))),
        ),
        holders=(
            Holder(AT, Frame("main.frames", "/src/media/pipes.go", 34), "pipe", "os/exec pipes", 600, 20, 600, "frames"),
            Holder(AT, None, "socket", "connections", 5, 0, 5, "growth"),
        ),
        unexplained={"pipe": 100}, connections=(Connections(state="CLOSE_WAIT", peer="10.0.0.1:443", count=10, retransmits=3, rtt_ms=1.5),),
        problems=(Problem("denied", "/proc/42/fd", "permission denied"),), cost=(LookCost("host", 0.01, None, "/proc"),),
    )  # fmt: skip
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def text(of: FdsResult, width: int = 110, *, show_all: bool = False, encoding: str = "utf-8") -> str:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    print_fds(of, Console(file=out, width=width, no_color=True, highlight=False, markup=False), show_all=show_all)
    out.seek(0)
    return out.read()


def test_text_says_how_many_how_fast_and_who() -> None:
    """Open of the limit, pace and what it means, kinds with what they are, the line that holds them, what nobody explains."""
    said = text(result())
    assert "media, http://h:1 (pid 42)" in said
    assert "900 of 1,000 descriptors open (90 %, hard 4,096)" in said
    assert "+120 a minute: the limit in 50 s at this pace" in said
    assert re.search(r"600 +os/exec pipes +600 +\+20", said)
    assert "main.frames" in said
    assert "media/pipes.go:34" in said
    assert "no goroutine explains: 100 pipe" in said
    assert "10 in CLOSE_WAIT" in said
    assert f"{20 - MAX_GROUPS} more groups" in said
    assert "permission denied" in said
    assert "What looking cost" not in said
    assert "10.0.0.19:443" in text(result(), show_all=True)


def test_json_is_the_schema() -> None:
    """The document holds to docs/schema/fds-1.json, also where next to nothing is known."""
    jsonschema.validate(json.loads(fds_to_json(result())), SCHEMA)
    bare = FdsResult(name="42", checked_at="2026-11-21T00:00:00Z", watched_s=0.0, source="pages")
    document = json.loads(fds_to_json(bare))
    jsonschema.validate(document, SCHEMA)
    assert document["time_left_s"] is None
    assert "not told" in text(bare)


def test_pace_and_time_left() -> None:
    """Per minute between the looks; nothing is left to tell where nothing grows or no limit is known."""
    assert (result().growth_per_min, result().time_left_s) == (120.0, 50.0)
    assert result(open_before=900).time_left_s is None
    assert result(max_fds=None).time_left_s is None
    assert result(watched_s=0.0).growth_per_min is None
    assert result(open_fds=1200, open_before=1190).time_left_s == 0.0


@pytest.mark.parametrize("width", [80, 110])
def test_how_a_holder_is_known_is_said_at_any_width(width: int) -> None:
    """Proof, match and hint are told apart also in 80 columns, which is what a pipe and a log have."""
    said = text(result(), width)
    assert "its frames hold it" in said
    assert "both grew alike" in text(result(), width, show_all=True)


@pytest.mark.parametrize("width", [60, 110])
def test_hostile_names_are_inert(width: int) -> None:
    """Paths, peers and commands with escapes are shown as what they are; an ASCII output gets ASCII."""
    hostile = result(
        command=HOSTILE,
        kinds=(KindRow("file", 3, 1, (OpenFiles("file", HOSTILE, 3),)),),
        holders=(replace(result().holders[0], line=Frame(HOSTILE, HOSTILE, 1)),),
        connections=(Connections(state="x", peer=HOSTILE, count=1),),
        problems=(Problem("x", HOSTILE, HOSTILE),),
    )
    for encoding in ("utf-8", "ascii"):
        said = text(hostile, width, encoding=encoding)
        assert "\x1b" not in said
        assert "\u202e" not in said
        assert "\x00" not in said
        assert encoding != "ascii" or said.isascii()
