"""A drill's answer, printed."""

from __future__ import annotations

import io
import json
from pathlib import Path

import jsonschema
import pytest
from rich.console import Console

from parkwarden.model.drill import Drill, Growing, Harm, Phase, Told, Trial
from parkwarden.report.drill import drill_to_json, print_drill

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schema" / "drill-1.json").read_text())
HOSTILE = "evil\x1b[31m\nname"


def drilled() -> Drill:
    during = Phase(
        name="during",
        seconds=30,
        requests=6000,
        errors=2,
        p50_ms=0.71234,
        p99_ms=3.2,
        max_ms=8,
        late_ms=12.5,
        cpu_cores=0.25,
        rss_max=40 << 20,
        goroutines_max=1234,
        goroutines_end=30,
        said_lines=7,
        growing=(
            Growing(code="PW105", verdict="leak", title=HOSTILE, place="main.f a.go:3"),
            Growing(code="PW106", verdict="suspect", title="perhaps a pile"),
        ),
    )
    harmed = Trial(
        service="otel",
        fault="refused",
        phases=[Phase(name="before", seconds=10, not_judged="did not answer"), during],
        told=[Told(signal="spans", made=18_000, arrived=9_000), Told(signal="logs", made=6_000, arrived=6_000)],
        recovered_s=1.23456,
        exit_limit_s=60,
        harm=Harm.HARMED,
        doubts=["during: latencies not compared"],
        reasons=[f"during: {HOSTILE}", *(f"reason {i}" for i in range(9)), "did not end within 60 s of SIGTERM"],
    )
    died = Trial(service="skywalking", fault="hang", died="died during", harm=Harm.DIED, reasons=["died during"])
    unknown = [Told(signal="spans", made=None, arrived=77)]
    well = Trial(service="otel-http", fault="hang", told=unknown, exit_s=0.5, exit_limit_s=60)
    return Drill(
        name="backend-unreachable",
        begun_at="2026-11-22T00:00:00Z",
        took_s=77.7,
        rate_per_s=200,
        versions={"go": "go1.27.3"},
        trials=[harmed, died, well],
    )


def text(drill: Drill, width: int = 80) -> str:
    out = io.StringIO()
    print_drill(drill, Console(file=out, width=width, highlight=False, markup=False, no_color=True))
    return out.getvalue()


def test_json_holds_to_its_schema() -> None:
    """One document of docs/schema/drill-1.json, whatever is not known; the worst trial is its verdict."""
    told = json.loads(drill_to_json(drilled()))
    jsonschema.validate(told, SCHEMA)
    assert told["harm"] == "died"
    assert told["trials"][0]["telemetry"][0] == {"signal": "spans", "made": 18000, "arrived": 9000, "lost": 9000}
    assert told["trials"][0]["exit_s"] is None
    assert told["trials"][2]["telemetry"] == [{"signal": "spans", "made": None, "arrived": 77, "lost": None}]


def test_text_says_what_happened_to_each() -> None:
    """A row and a paragraph per trial: numbers, what was lost, why it is harmed, what is suspected."""
    said = text(drilled())
    for part in ("HARMED  otel, back end refused", "DIED  skywalking", "UNHARMED  otel-http", "> 60 s", "38%"):
        assert part in said
    assert "lost    9,000 of 18,000 spans, 0 of 6,000 logs" in said
    assert "back    1.2 s after the fault" in said
    assert "? during: latencies not compared" in said
    assert "0.25 cores" in said
    assert "arrived 77 spans" in said
    assert "p99 3.2 ms" in said
    assert "and 3 more reasons" in said
    assert "? during: perhaps a pile" in said
    assert "? before: not judged: did not answer" in said


@pytest.mark.parametrize("width", [80, 120])
def test_no_cell_is_cut(width: int) -> None:
    """Names and numbers are whole, however narrow the terminal."""
    assert "…" not in text(drilled(), width)


def test_names_from_the_service_are_inert() -> None:
    """A finding's title holds names of the watched program: no control characters reach the terminal."""
    assert "\x1b" not in text(drilled())
    assert "evil" in text(drilled())
