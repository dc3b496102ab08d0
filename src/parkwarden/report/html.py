"""The HTML report: one self-contained file that works offline, opens on a telephone and can be handed on.

Input: a Report and its Case. Output: HTML text, always below MAX_HTML_BYTES: tables and graph are cut at the named limits
of `Limits`, and cut further when hostile input makes even that too much; what was left out is said in the page.

Safety: every text goes through `inert` and Jinja's autoescape; the data for the script travels as JSON in a block that is
not executed, with `<`, `>` and `&` escaped; the script sets text by `textContent` only; a Content-Security-Policy allows
exactly our own style and script (by hash) and no request to anywhere.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from parkwarden.model import Case, Report
from parkwarden.report import words
from parkwarden.report.safe import inert
from parkwarden.report.trace_view import trace_view
from parkwarden.report.view import MAX_SPARK, Limits, clusters_view, finding_view, json_block

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_HTML_BYTES = 1_900_000
"""Bytes of the whole file. Two million open at once on any machine and pass any mail gateway; exporters that inline
everything end at 300 MB pages nobody can open (bloomberg/memray discussion 1088, joerick/pyinstrument issue 385)."""


def render(report: Report, case: Case) -> str:
    """The report as one HTML file, below MAX_HTML_BYTES in UTF-8."""
    limits = Limits()
    template = _environment().get_template("report.html")
    while True:
        page = template.render(_view(report, case, limits))
        if len(page.encode("utf-8", "replace")) <= MAX_HTML_BYTES or limits == limits.half():
            return page.encode("utf-8", "replace").decode()
        limits = limits.half()


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    env = Environment(
        loader=PackageLoader("parkwarden.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(count=words.count, percent=words.percent, size=words.size, seconds=words.seconds)
    return env


def _asset(name: str) -> str:
    from importlib.resources import files

    return files("parkwarden.report").joinpath("static", name).read_text("utf-8")


@lru_cache(maxsize=1)
def _assets() -> dict[str, str]:
    css, js = _asset("report.css") + _asset("parts.css"), "".join(map(_asset, ("parts.js", "flame.js", "report.js")))

    def source(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    policy = (
        f"default-src 'none'; style-src {source(css)}; script-src {source(js)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return {"css": css, "js": js, "policy": policy}


def _view(report: Report, case: Case, limits: Limits) -> dict[str, Any]:
    """Everything the template shows: texts inert, numbers in words, lists cut."""
    findings = [finding_view(finding, limits) for finding in report.findings[: limits.findings]]
    worst, sentence = words.overall(report)
    clusters, data = clusters_view(case, limits)
    modules = case.user_modules
    return {
        **_assets(),
        "verdict": str(worst),
        "verdict_word": words.VERDICT_WORDS[worst],
        "verdict_sentence": sentence,
        "title": findings[0]["title"] if findings else sentence,
        "generated_at": inert(report.generated_at, 40),
        "schema": inert(report.schema, 60),
        "redacted": report.redacted,
        "findings": findings,
        "findings_total": len(report.findings),
        "facts": _case_facts(report, case),
        "clusters": clusters,
        "clusters_total": len(case.clusters),
        "looks": _looks(case),
        "data": json_block(data),
        "flame_left_out": data["flame"]["left_out"],
        "flame_boxes": len(data["flame"]["parent"]),
        "traces": [trace_view(a.name, a.trace, modules, limits) for a in case.artefacts if a.trace is not None][:3],
        "inputs": [_input(entry, limits) for entry in report.inputs[: limits.inputs]],
        "inputs_total": len(report.inputs),
        "problems": _problems(report, limits),
        "problems_total": sum(len(entry.problems) for entry in report.inputs),
        "limits": limits,
    }


def _case_facts(report: Report, case: Case) -> list[tuple[str, str]]:
    out = [("inputs that helped", f"{sum(e.used for e in report.inputs)} of {len(report.inputs)}")]
    if case.looks:
        out.append(("goroutines", words.count(case.looks[-1].snapshot.total)))
    if len(case.looks) > 1:
        out.append(("looks", str(len(case.looks))))
    if case.build.go_version:
        out.append(("Go", inert(case.build.go_version.removeprefix("go"), 40)))
    if case.build.main_module:
        out.append(("module", inert(case.build.main_module, 80)))
    return out


def _looks(case: Case) -> list[dict[str, str]]:
    return [
        {"name": inert(look.artefact.name, 120), "total": words.count(look.snapshot.total)}
        for look in case.looks[-MAX_SPARK:]
    ]


# ---- inputs, problems


def _input(entry: Any, limits: Limits) -> dict[str, Any]:
    return {
        "name": inert(entry.name, limits.name),
        "kind": inert(entry.kind, 60),
        "size": words.size(entry.bytes),
        "records": words.count(entry.records),
        "problems": len(entry.problems),
        "used": entry.used,
        "why": inert(entry.why, limits.name),
    }


def _problems(report: Report, limits: Limits) -> list[tuple[str, str, str, str]]:
    every = ((entry.name, p) for entry in report.inputs for p in entry.problems)
    cut = [item for item, _ in zip(every, range(limits.problems), strict=False)]
    return [(inert(name, 120), inert(p.where, 80), inert(p.text, limits.name), inert(p.code, 60)) for name, p in cut]
