"""A check's answer in text, JSON and JUnit: complete, well formed, inert."""

from __future__ import annotations

import io
import json
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from rich.console import Console

from parkwarden.model import Finding, Frame, Report, Verdict
from parkwarden.model.baseline import Remainder, Standing
from parkwarden.model.check import CheckResult, Subject
from parkwarden.report.check import MAX_SITES, MAX_STARTS, check_to_json, check_to_junit, print_check

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schema" / "check-1.json").read_text())
HOSTILE = "main.f\x1b[31m]]><x>&\ufffe\u202e\x00"


def site(number: int = 1, function: str = "main.f") -> Standing:
    return Standing(
        site_id=f"s{number}", start=function, function=function, file="/src/shop/x.go", line=number, wait_reason="select",
        count=5, created_by=Frame("main.g", "/src/shop/y.go", 8),
    )  # fmt: skip


def result(*subjects: Subject) -> CheckResult:
    report = Report(generated_at="2026-11-21T00:00:00Z", inputs=[], findings=[])
    return CheckResult(
        subjects=list(subjects), report=report, cost=[], checked_at="2026-11-21T00:00:00Z",
        took_s=1.5,
    )  # fmt: skip


def text(of: CheckResult) -> str:
    out = io.StringIO()
    print_check(of, Console(file=out, width=100, no_color=True, highlight=False, markup=False))
    return out.getvalue()


GROWN = Subject(
    name="http://h:1",
    goroutines=20,
    before=5,
    remainders=[Remainder(start="main.f", before=5, now=20, sites=((site(), 0),))],
    leaks=[Finding(code="PW104", verdict=Verdict.LEAK, confidence=0.9, title="Send: 15 at main.f")],
)


def test_text_says_what_where_and_how_many() -> None:
    """One line with the answer, then function of begin, site, line and creator."""
    said = text(result(GROWN, Subject(name="http://ok:1", goroutines=3)))
    assert "FAIL  http://h:1: 20 goroutines, 15 more than the 5 it began with (2 tolerated), 1 leak found" in said
    assert "+15  began in main.f (5 -> 20)" in said
    assert "5 (were 0) at main.f shop/x.go:1 in select" in said
    assert "created by main.g shop/y.go:8" in said
    assert "PASS  http://ok:1: 3 goroutines, nothing found leaking" in said


def test_suspicions_are_said_and_fail_nobody() -> None:
    """What may leak is named below a PASS, the first few of it."""
    many = [
        Finding(code="PW104", verdict=Verdict.SUSPECT, confidence=0.5, title=f"Send at main.f{i}") for i in range(5)
    ]
    one = Subject(name="http://ok:1", goroutines=3, suspects=many)
    said = text(result(one))
    assert said.startswith("PASS")
    assert "suspect  Send at main.f2" in said
    assert "main.f3" not in said
    assert "suspect  2 more sites" in said
    assert result(one).passed


def test_long_lists_are_cut_and_say_so() -> None:
    """A thousand sites do not fill the screen; the numbers still add up."""
    sites = tuple((site(i), 0) for i in range(MAX_SITES + 3))
    many = [Remainder(start=f"main.f{i}", before=0, now=4, sites=sites) for i in range(MAX_STARTS + 5)]
    said = text(result(Subject(name="x", goroutines=99, before=0, remainders=many)))
    assert "and at 3 more sites" in said
    assert "+20  began in 5 other functions" in said


@pytest.mark.parametrize(
    ("subject", "cases", "failures", "errors"),
    [
        (GROWN, 2, 2, 0),
        (Subject(name="a", goroutines=3), 1, 0, 0),
        (Subject(name="a", goroutines=3, before=3), 2, 0, 0),
        (Subject(name="a", unreachable="no connection"), 1, 0, 1),
        (Subject(name="a"), 1, 0, 1),
        (Subject(name="a", goroutines=3, before=3, incomplete="1 goroutines could not be read"), 2, 0, 2),
    ],
)
def test_junit_counts_what_failed(subject: Subject, cases: int, failures: int, errors: int) -> None:
    """Each subject is a suite; leaks and what remained are its cases; silence is an error, never a pass."""
    (suite,) = ElementTree.fromstring(check_to_junit(result(subject)))
    assert (len(suite), int(suite.get("tests", "")), int(suite.get("failures", "")), int(suite.get("errors", ""))) == (
        cases,
        cases,
        failures,
        errors,
    )
    assert len(suite.findall(".//failure")) == failures
    assert len(suite.findall(".//error")) == errors


def test_hostile_names_stay_names() -> None:
    """Escapes, controls and markup from a watched process break neither terminal nor XML nor JSON."""
    bad = Subject(
        name=HOSTILE,
        goroutines=9,
        before=0,
        remainders=[Remainder(start=HOSTILE, before=0, now=9, sites=((site(1, HOSTILE), 0),))],
        leaks=[Finding(code="PW100", verdict=Verdict.LEAK, confidence=1.0, title=HOSTILE)],
    )
    assert "\x1b" not in text(result(bad))
    assert "\u202e" not in text(result(bad))
    assert len(ElementTree.fromstring(check_to_junit(result(bad)))) == 1
    told = json.loads(check_to_json(result(bad)))
    assert told["subjects"][0]["new"][0]["start"] == HOSTILE


def test_json_follows_its_schema() -> None:
    """Every answer validates against docs/schema/check-1.json, and holds a whole report."""
    told = json.loads(check_to_json(result(GROWN, Subject(name="x", unreachable="gone"))))
    jsonschema.validate(told, SCHEMA)
    assert told["passed"] is False
    assert told["subjects"][0]["leaks"][0]["code"] == "PW104"
    assert told["report"]["schema"] == "parkwarden.report/1"
