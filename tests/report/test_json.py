"""JSON reports: the documented schema, stable order, safe for any name, and fast."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from parkwarden.model import Artefact, Case, Creation, FormatError, Frame, Kind, Report, Stack, Wait
from parkwarden.report.json import clusters_to_json, report_to_json, trace_to_json
from tests.report import samples

FOLDER = Path(__file__).parents[2] / "docs" / "schema"
SCHEMA, STACKS, TRACE = (
    json.loads((FOLDER / f"{name}-1.json").read_text("utf-8")) for name in ("report", "stacks", "trace")
)

FINDING_FIELDS = [
    "code",
    "verdict",
    "confidence",
    "title",
    "pattern",
    "service",
    "instance",
    "site",
    "culprit",
    "count",
    "share",
    "rate_per_min",
    "since",
    "wait_min_s",
    "advice",
    "evidence",
    "grade",
    "explanation",
    "path",
    "source",
    "instances",
    "labels",
    "first_seen",
    "last_seen",
    "since_version",
    "time_left",
]


def keys(value: dict[str, Any]) -> list[str]:
    return list(value)


def breaches(document: str, schema: dict[str, Any]) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(json.loads(document))]


@pytest.mark.parametrize(
    "report",
    [
        samples.report(),
        samples.report(samples.recursion()),
        samples.hostile()[0],
        Report(generated_at="2026-01-01T00:00:00Z", inputs=[], findings=[]),
    ],
    ids=["leak", "recursion", "hostile", "empty"],
)
def test_report_follows_its_schema(report: Report) -> None:
    """Every report validates against docs/schema/report-1.json."""
    assert breaches(report_to_json(report), SCHEMA) == []


@pytest.mark.parametrize(
    "case", [samples.case(), samples.hostile()[1], samples.case(2, 1)], ids=["leak", "hostile", "one look"]
)
def test_clusters_and_traces_follow_their_schemas(case: Case) -> None:
    """Every `stacks` and `trace` document validates against its schema in docs/schema/."""
    assert breaches(clusters_to_json(case), STACKS) == []
    for artefact in case.artefacts:
        if artefact.trace is not None:
            assert breaches(trace_to_json(artefact), TRACE) == []


def test_fields_come_in_the_documented_order() -> None:
    """Names and order are the issue's; extra fields of ours come after them."""
    document = json.loads(report_to_json(samples.report()))
    assert keys(document) == ["schema", "generated_at", "inputs", "findings", "redacted"]
    assert document["schema"] == "parkwarden.report/1"
    assert keys(document["inputs"][0]) == ["name", "kind", "bytes", "records", "problems", "used", "why"]
    assert keys(document["findings"][0]) == FINDING_FIELDS
    site = document["findings"][0]["site"]
    assert keys(site) == ["id", "wait_reason", "function", "file", "line", "frames", "created_by"]
    assert document["findings"][0]["culprit"] == {
        "function": samples.QUOTE.function,
        "file": samples.QUOTE.file,
        "line": 42,
    }
    assert document["findings"][1]["culprit"] is None


def test_numpy_and_infinite_numbers_are_plain_json() -> None:
    """Columns are NumPy and rates may be infinite; JSON has neither, so they become plain numbers and null."""
    finding = samples.leak()
    finding.count = np.int64(7)  # type: ignore[assignment]
    finding.rate_per_min = float("inf")
    finding.share = float(np.float64(0.5))
    one = json.loads(report_to_json(samples.report(finding)))["findings"][0]
    assert one["count"] == 7
    assert one["rate_per_min"] is None
    assert one["share"] == 0.5


def test_hostile_names_survive_as_data() -> None:
    """JSON is for machines: names come back exactly, and the text is pure ASCII without control characters."""
    report, case = samples.hostile()
    text = report_to_json(report)
    assert text.isascii()
    assert not any(ord(c) < 32 and c != "\n" for c in text)
    assert [f["title"] for f in json.loads(text)["findings"]] == list(samples.HOSTILE)
    assert clusters_to_json(case).isascii()


def test_same_report_same_text() -> None:
    """Two runs over the same inputs can be compared by diff."""
    assert report_to_json(samples.report()) == report_to_json(samples.report())


def test_clusters_name_their_looks_and_counts() -> None:
    """`counts[i]` belongs to `looks[i]`; every cluster is listed with its site."""
    case = samples.case(10)
    document = json.loads(clusters_to_json(case, 4))
    assert document["schema"] == "parkwarden.stacks/1"
    assert document["redacted"] == 4
    assert len(document["clusters"]) == 10
    first = document["clusters"][0]
    assert len(first["counts"]) == len(document["looks"]) == 3
    assert first["site"]["created_by"]["function"] == samples.NEW_WHEEL.function
    assert first["labels"][0] == {"key": "path", "value": "/quote", "count": 18412}
    assert first["wait_min"] == [3, 47]


def test_trace_names_the_user_frame_and_rates() -> None:
    """A creation tells its rate, its `go` statement's stack and the first frame of the user's own code on it."""
    artefact = samples.case().artefacts[2]
    document = json.loads(trace_to_json(artefact, user_modules=("shop",)))
    assert document["schema"] == "parkwarden.trace/1"
    creation = document["creations"][0]
    assert creation["per_s"] == pytest.approx(3680.0)
    assert creation["user"]["function"] == samples.QUOTE.function
    assert creation["frames"][0]["function"] == samples.NEW_WHEEL.function
    assert document["waits"][0]["open"] == 18400
    assert sum(document["created_bins"]) == 20412


def test_no_trace_is_an_error_with_a_code() -> None:
    """Asking for the trace of something else is refused, typed."""
    with pytest.raises(FormatError) as refused:
        trace_to_json(Artefact(name="x", kind=Kind.HEAP_PROFILE, size=0))
    assert refused.value.code == "no-trace"


def test_thousands_of_stacks_cost_tenths_of_a_second() -> None:
    """4,000 creations and waits over stacks of 20 frames: the encoder must not be what a user waits for."""
    frames = [Frame(f"shop/pkg{i % 97}.(*T).f{i}", f"/src/shop/pkg{i % 97}/file.go", i) for i in range(3000)]
    stacks = [Stack(tuple(frames[(i * 7 + j) % 3000] for j in range(20))) for i in range(4000)]
    trace = dataclasses.replace(
        samples.trace(),
        creations=[
            Creation(stack=s, start=frames[0], count=i, first_s=0.1, last_s=0.2, peak_per_s=1.5, alive=1)
            for i, s in enumerate(stacks)
        ],
        waits=[Wait(stack=s, reason="select", count=1, total_s=0.5, max_s=0.1, open=0) for s in stacks],
    )
    artefact = Artefact(name="t", kind=Kind.TRACE, size=1, trace=trace)
    began = time.process_time()
    text = trace_to_json(artefact, user_modules=("shop",))
    took = time.process_time() - began
    assert len(json.loads(text)["creations"]) == 4000
    assert took < 1.5  # 0.2 s on an idle machine


def test_json_loads_neither_rich_nor_jinja() -> None:
    """A JSON report pays for no terminal and no template library."""
    code = (
        "import sys, parkwarden.report.json as j; from parkwarden.model import Report; "
        "j.report_to_json(Report(generated_at='', inputs=[], findings=[])); "
        "print([m for m in ('rich', 'jinja2', 'numba') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
