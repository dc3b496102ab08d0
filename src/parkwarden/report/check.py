"""A check's answer as text, JSON (`parkwarden.check/1`) and JUnit XML, as pipelines read them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from parkwarden.model import Finding, Frame
from parkwarden.model.baseline import Remainder, Standing
from parkwarden.report.json import report_to_json
from parkwarden.report.safe import inert
from parkwarden.report.words import short_place

if TYPE_CHECKING:
    from rich.console import Console

    from parkwarden.model.check import CheckResult, Subject

CHECK_SCHEMA = "parkwarden.check/1"
MAX_SITES = 8
"""Sites named per function that goroutines began in; the counts are of all."""
MAX_STARTS = 12
"""Functions named in text and JUnit; JSON has all."""

MAX_SUSPECTS = 3
"""Suspicions named in text, which fail nobody; JSON has all in its report."""


def check_to_json(result: CheckResult) -> str:
    """The answer for machines; `report` is a whole `parkwarden.report/1`."""
    document = {
        "schema": CHECK_SCHEMA,
        "checked_at": result.checked_at,
        "took_s": round(result.took_s, 3),
        "passed": result.passed,
        "subjects": [_subject(one) for one in result.subjects],
        "cost": [
            {
                "look": c.what,
                "took_s": None if c.took_s is None else round(c.took_s, 6),
                "bytes": c.bytes,
                "note": c.note,
            }
            for c in result.cost
        ],
        "report": json.loads(report_to_json(result.report)),
    }
    return json.dumps(document, indent=2, allow_nan=False)


def _subject(one: Subject) -> dict[str, Any]:
    return {
        "name": one.name,
        "passed": one.passed,
        "unreachable": one.unreachable or None,
        "incomplete": one.incomplete or None,
        "goroutines": one.goroutines,
        "baseline": one.before,
        "more": one.more,
        "tolerance": one.tolerance,
        "new": [
            {
                "start": r.start,
                "before": r.before,
                "now": r.now,
                "sites": [{**_site(site), "before": before} for site, before in r.sites],
            }
            for r in one.remainders
        ],
        "leaks": [_named(f) for f in one.leaks],
        "known": [_named(f) for f in one.known],
    }


def _site(site: Standing) -> dict[str, Any]:
    return {
        "id": site.site_id,
        "function": site.function,
        "file": site.file,
        "line": site.line,
        "wait_reason": site.wait_reason,
        "count": site.count,
        "created_by": site.created_by._asdict() if site.created_by else None,
    }


def _named(finding: Finding) -> dict[str, Any]:
    """Enough to find a finding in `report`."""
    return {"code": finding.code, "title": finding.title, "site": finding.site.id if finding.site else None}


def check_to_junit(result: CheckResult) -> bytes:
    """JUnit XML: a suite per subject; one case for leaks and, where there is a baseline, one for what remained."""
    suites = ElementTree.Element("testsuites", name="parkwarden check")
    for one in result.subjects:
        suite = ElementTree.SubElement(suites, "testsuite", name=_xml(one.name))
        cases = [("does not leak", "; ".join(f.title for f in one.leaks), _leak_lines(one.leaks))]
        if one.before is not None:
            words = "" if one.clean else _sentence(one)
            cases.append(("ends with the goroutines it began with", words, _remainder_lines(one.remainders)))
        for name, failed, lines in cases:
            case = ElementTree.SubElement(suite, "testcase", classname=_xml(f"parkwarden.{one.name}"), name=name)
            case.set("time", f"{result.took_s:.3f}")
            if one.unreachable:
                ElementTree.SubElement(case, "error", message=_xml(one.unreachable), type="unreachable")
            elif one.goroutines is None:
                ElementTree.SubElement(case, "error", message="no goroutines were told", type="unreadable")
            elif one.incomplete:
                ElementTree.SubElement(case, "error", message=_xml(one.incomplete), type="incomplete")
            elif failed:
                ElementTree.SubElement(case, "failure", message=_xml(failed), type="goroutine-leak").text = _xml(
                    "\n".join(lines)
                )
        found = list(suite)
        suite.set("tests", str(len(found)))
        suite.set("failures", str(sum(case.find("failure") is not None for case in found)))
        suite.set("errors", str(sum(case.find("error") is not None for case in found)))
    ElementTree.indent(suites)
    body: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return body + b"\n"


def print_check(result: CheckResult, console: Console) -> None:
    """A line per subject with its answer; below it what is new, by where it began and where it stands."""
    for one in result.subjects:
        passed = one.passed and one.goroutines is not None
        console.print("PASS" if passed else "FAIL", style="bold green" if passed else "bold red", end="  ")
        console.print(inert(one.name, 200), style="bold", end="")
        console.print(f": {inert(_sentence(one), 1000)}", soft_wrap=True)
        lines = _remainder_lines(one.remainders) + _leak_lines(one.leaks)
        lines += [f"known  {f.title}: the baseline has it too" for f in one.known]
        lines += [f"suspect  {f.title}" for f in one.suspects[:MAX_SUSPECTS]]
        if len(one.suspects) > MAX_SUSPECTS:
            lines.append(f"suspect  {len(one.suspects) - MAX_SUSPECTS} more sites")
        for line in lines:
            console.print(f"      {inert(line, 1000)}", soft_wrap=True)


def _sentence(one: Subject) -> str:
    if one.unreachable:
        return f"not checked: {one.unreachable}"
    if one.goroutines is None:
        return "not checked: no goroutines were told"
    said = [f"{one.goroutines:,} goroutine{'s' * (one.goroutines != 1)}"]
    if one.before is not None:
        room = f" ({one.tolerance} tolerated)" if one.more else ""
        said.append(f"{one.more:,} more than the {one.before:,} it began with{room}")
    leaking = len(one.leaks)
    said.append(
        "nothing found leaking" if not leaking else "1 leak found" if leaking == 1 else f"{leaking} leaks found"
    )
    if one.incomplete:
        said.append(one.incomplete)
    return ", ".join(said)


def _remainder_lines(remainders: Sequence[Remainder]) -> list[str]:
    lines = []
    for one in remainders[:MAX_STARTS]:
        lines.append(
            f"+{one.more:,}  began in {one.start or 'a function that is not told'} ({one.before:,} -> {one.now:,})"
        )
        for site, before in one.sites[:MAX_SITES]:
            reason = f" in {site.wait_reason}" if site.wait_reason else ""
            where = short_place(Frame(site.function, site.file, site.line))
            lines.append(f"    {site.count:,} (were {before:,}) at {site.function} {where}{reason}")
            if site.created_by is not None:
                lines.append(f"        created by {site.created_by.function} {short_place(site.created_by)}")
        if len(one.sites) > MAX_SITES:
            lines.append(f"    and at {len(one.sites) - MAX_SITES} more sites")
    if len(remainders) > MAX_STARTS:
        rest = sum(r.more for r in remainders[MAX_STARTS:])
        lines.append(f"+{rest:,}  began in {len(remainders) - MAX_STARTS} other functions")
    return lines


def _leak_lines(findings: Sequence[Finding]) -> list[str]:
    lines = []
    for finding in findings:
        lines.append(f"{finding.code}  {finding.title}")
        if finding.culprit is not None:
            lines.append(f"    culprit {finding.culprit.function} {short_place(finding.culprit)}")
    return lines


def _xml(text: str) -> str:
    """Without what XML 1.0 cannot hold."""
    return "".join(
        c for c in text if c in "\n\t" or (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff")
    )
