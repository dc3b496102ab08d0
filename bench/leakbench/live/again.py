"""Judging again what checks saw: the same looks, the engine as it is now, seconds instead of an hour.

A row of live.json whose check was recorded (`--keep`) becomes a row with today's verdicts; what was planted stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.leakbench.live.score import judge
from parkwarden.formats import recording, unpack
from parkwarden.model import Finding
from parkwarden.model.artefact import Problem
from parkwarden.run.engine import Engine, Tick
from parkwarden.run.replay import Beat


def findings(data: bytes) -> list[Finding]:
    """What the engine says at the end of a recording, ticking as `check` does."""
    problems: list[Problem] = []
    reader, engine = recording.Reader(), Engine()
    last: list[Tick] = []

    def tick(now: float) -> None:
        last[:] = [engine.tick(now)]

    beat = Beat([], tick)
    events = [e for piece in unpack.streamed(memoryview(data), problems) for e in reader.feed(piece)]
    for event in [*events, *reader.close()]:
        if (at := getattr(event, "at", None)) is not None:  # who a site is has no time
            beat.before(at)
        engine.feed(event)
    if problems or reader.problems:
        raise ValueError(f"a recording that is not whole: {[*problems, *reader.problems][:3]}")
    beat.finish(-float("inf"))
    return list(last[0].findings) if last else []


def rejudged(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with the verdicts of today."""
    again = {**row, **judge([_plain(f) for f in findings(Path(row["recording"]).read_bytes())], row["truth"])}
    again["planted"] = [{**p, "verdict": again["best"][p["kind"]]} for p in row["planted"]]
    return again


def _plain(finding: Finding) -> dict[str, Any]:
    """What the score reads of a finding, as in `check`'s JSON."""
    site, culprit = finding.site, finding.culprit
    return {
        "code": finding.code,
        "verdict": str(finding.verdict),
        "title": finding.title,
        "site": {"frames": [{"function": frame.function} for frame in site.frames]} if site else None,
        "culprit": {"function": culprit.function} if culprit else None,
        "evidence": [{"what": e.what, "value": e.value} for e in finding.evidence],
    }
