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
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from parkwarden.model import Artefact, Case, Cluster, Finding, Frame, Report, Trace
from parkwarden.report import flame, words
from parkwarden.report.json import user_frame
from parkwarden.report.picture import NARROW, WIDE, draw
from parkwarden.report.safe import inert, inert_lines
from parkwarden.stacks.normalise import blocked_frame

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_HTML_BYTES = 1_900_000
"""Bytes of the whole file. Two million open at once on any machine and pass any mail gateway; exporters that inline
everything end at 300 MB pages nobody can open (bloomberg/memray discussion 1088, joerick/pyinstrument issue 385)."""

MAX_SPARK = 24
"""Looks drawn per cluster; of more, the last ones."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one page holds; halved until the page fits into MAX_HTML_BYTES."""

    findings: int = 30
    clusters: int = 400
    frames: int = 60
    flame: int = 3_000
    name: int = 300
    """Characters of one name."""
    rows: int = 20
    """Rows of the trace tables."""
    problems: int = 60
    inputs: int = 200
    evidence: int = 30

    def half(self) -> Limits:
        return Limits(
            findings=max(1, self.findings // 2),
            clusters=max(5, self.clusters // 2),
            frames=max(8, self.frames // 2),
            flame=max(50, self.flame // 2),
            name=max(80, self.name * 2 // 3),
            rows=max(3, self.rows // 2),
            problems=max(3, self.problems // 2),
            inputs=max(5, self.inputs // 2),
            evidence=max(4, self.evidence // 2),
        )


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
    css, js = _asset("report.css"), _asset("report.js")

    def source(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    policy = (
        f"default-src 'none'; style-src {source(css)}; script-src {source(js)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return {"css": css, "js": js, "policy": policy}


def _view(report: Report, case: Case, limits: Limits) -> dict[str, Any]:
    """Everything the template shows: texts inert, numbers in words, lists cut."""
    findings = [_finding(finding, limits) for finding in report.findings[: limits.findings]]
    worst, sentence = words.overall(report)
    clusters, data = _clusters(case, limits)
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
        "data": _json_block(data),
        "flame_left_out": data["flame"]["left_out"],
        "flame_boxes": len(data["flame"]["parent"]),
        "traces": [_trace(a, a.trace, case.user_modules, limits) for a in case.artefacts if a.trace is not None][:3],
        "inputs": [_input(entry, limits) for entry in report.inputs[: limits.inputs]],
        "inputs_total": len(report.inputs),
        "problems": _problems(report, limits),
        "problems_total": sum(len(entry.problems) for entry in report.inputs),
        "limits": limits,
    }


def _json_block(data: dict[str, Any]) -> Any:
    """JSON that no HTML parser can be lured out of."""
    from markupsafe import Markup

    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


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


# ---- findings


def _frame(frame: Frame, limits: Limits) -> dict[str, str]:
    return {
        "name": inert(frame.function, limits.name),
        "short": inert(words.short_function(frame.function) or frame.function, limits.name),
        "place": inert(words.place(frame), limits.name),
        "short_place": inert(words.short_place(frame), limits.name),
    }


def _finding(finding: Finding, limits: Limits) -> dict[str, Any]:
    source = finding.source
    return {
        "verdict": str(finding.verdict),
        "word": words.VERDICT_WORDS[finding.verdict],
        "title": inert(words.title(finding)),
        "caption": words.path_caption(finding),
        "code": inert(finding.code, 40),
        "pattern": inert(finding.pattern or "", 80),
        "service": inert(finding.service or "", 120),
        "instance": inert(finding.instance or "", 120),
        "culprit": _frame(finding.culprit, limits) if finding.culprit else None,
        "confidence": round(max(0.0, min(1.0, finding.confidence)) * 100),
        "facts": [(fact.name, inert(fact.value, 80)) for fact in words.facts(finding)],
        "grade": str(finding.grade),
        "explanation": _prose(finding.explanation),
        "advice": _prose(finding.advice),
        "evidence": [
            (inert(e.what, 200), inert(e.value, limits.name), inert(e.source, 120))
            for e in finding.evidence[: limits.evidence]
        ],
        "evidence_total": len(finding.evidence),
        "wide": draw(finding, WIDE),
        "narrow": draw(finding, NARROW),
        "source": None
        if source is None
        else {
            "file": inert(source.file, limits.name),
            "function": inert(source.function, limits.name),
            "blame": inert(source.blame, limits.name),
            "lines": [
                (source.first_line + i, line, source.statement[0] <= source.first_line + i <= source.statement[1])
                for i, line in enumerate(inert_lines("\n".join(source.lines), max_lines=120))
            ],
        },
    }


def _prose(text: str) -> list[tuple[str, list[tuple[bool, str]]]]:
    """Blocks of (kind, pieces); a piece is (is code, text): backticks make code inside a line."""
    blocks: list[tuple[str, list[tuple[bool, str]]]] = []
    for block in words.prose(text):
        if block.kind == "code":
            blocks.append(("code", [(True, "\n".join(inert_lines("\n".join(block.lines))))]))
            continue
        pieces = inert(block.lines[0], 4000).split("`")
        blocks.append((block.kind, [(i % 2 == 1 and i < len(pieces) - 1, piece) for i, piece in enumerate(pieces)]))
    return blocks


# ---- clusters and flame graph


class _Strings:
    """Texts of the data block, each once."""

    def __init__(self, limit: int) -> None:
        self.index: dict[str, int] = {}
        self.texts: list[str] = []
        self._limit = limit

    def add(self, text: str) -> int:
        at = self.index.get(text)
        if at is None:
            at = self.index[text] = len(self.texts)
            self.texts.append(inert(text, self._limit))
        return at


def _clusters(case: Case, limits: Limits) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows for the table, and the data block: interned texts, stacks of the rows, the flame graph."""
    strings = _Strings(limits.name)
    # what was big in any look is worth its row; shown by what there is now
    ranked = sorted(case.clusters, key=lambda c: -max(c.count, max(c.counts, default=0)))[: limits.clusters]
    ranked.sort(key=lambda c: -c.count)
    peak = max((c.count for c in ranked), default=1) or 1
    rows = [_cluster(cluster, case, limits, peak) for cluster in ranked]
    stacks = [_stack(cluster, case, strings, limits) for cluster in ranked]
    graph = flame.build(case.clusters, max_nodes=limits.flame)
    names = [strings.add(name) for name in graph.names]
    return rows, {
        "stacks": stacks,
        "flame": {
            "names": names,
            "kinds": [_kind(name, case.user_modules) for name in graph.names],
            "parent": graph.parent,
            "name": graph.name,
            "now": graph.now,
            "before": graph.before if graph.compared else None,
            "left_out": graph.left_out,
        },
        "strings": strings.texts,
    }


def _cluster(cluster: Cluster, case: Case, limits: Limits, peak: int) -> dict[str, Any]:
    site = cluster.site
    mine = user_frame(site.frames, case.user_modules)
    counts = cluster.counts[-MAX_SPARK:]
    top = max(counts, default=0) or 1
    return {
        "id": inert(site.id, 40),
        "count": cluster.count,
        "bar": round(100 * cluster.count / peak, 2),
        "share": words.percent(cluster.share),
        "change": cluster.count - cluster.counts[0] if cluster.counts else 0,
        "heat": [(n, 0 if n <= 0 else max(1, round(9 * n / top))) for n in counts],
        "state": inert(site.wait_reason, 60) or "not told",
        "blocked": _frame(words.site_frame(cluster), limits),
        "starts": _frame(site.created_by, limits) if site.created_by else None,
        "mine": _frame(mine, limits) if mine else None,
        "waits": words.waits(cluster),
        "wait_sort": cluster.wait_min[1] if cluster.wait_min else -1,
        "leaked": cluster.leaked,
    }


def _stack(cluster: Cluster, case: Case, strings: _Strings, limits: Limits) -> dict[str, Any]:
    site = cluster.site
    frames = [
        [strings.add(f.function), strings.add(f.file), f.line, _KINDS.index(_kind_of(f.function, case.user_modules))]
        for f in site.frames[: limits.frames]
    ]
    start = site.created_by
    traits = []
    if cluster.stayed is not None:
        traits.append(f"{words.count(cluster.stayed)} of them were there in the first look")
    if cluster.growth_per_min:
        traits.append(f"grows by {words.rate(cluster.growth_per_min)}")
    if cluster.leaked:
        traits.append(f"{words.count(cluster.leaked)} proven leaked by the Go runtime")
    if len(cluster.states) > 1:
        traits.append(", ".join(f"{inert(s, 40)} × {words.count(n)}" for s, n in cluster.states.most_common(4)))
    if cluster.objects:
        traits.append(f"{words.count(cluster.objects)} distinct objects waited on")
    if len(cluster.members) > 1:
        traits.append(f"{len(cluster.members)} near-equal stacks merged")
    if cluster.damaged:
        traits.append(f"{words.count(cluster.damaged)} damaged records")
    if cluster.goids:
        traits.append("goroutines " + ", ".join(map(str, cluster.goids[:8])))
    labels = [f"{inert(k, 60)}={inert(v, 80)} × {words.count(n)}" for (k, v), n in cluster.labels.most_common(8)]
    return {
        "f": frames,
        "more": max(0, len(site.frames) - limits.frames),
        "go": [strings.add(start.function), strings.add(start.file), start.line] if start else None,
        "t": traits,
        "l": labels,
    }


_KINDS = ("yours", "other", "std", "note")


def _kind_of(function: str, user_modules: Sequence[str]) -> str:
    from parkwarden.stacks.modules import is_stdlib_function, is_user_function

    if is_user_function(function, user_modules):
        return "yours"
    return "std" if is_stdlib_function(function) else "other"


def _kind(name: str, user_modules: Sequence[str]) -> int:
    """Kind of a flame box, as an index of _KINDS: whose code it is, or a note of ours."""
    if name.startswith(flame.STARTED):
        return _KINDS.index(_kind_of(name.removeprefix(flame.STARTED), user_modules))
    if name.startswith(("[", "(")) or name == "all goroutines":
        return _KINDS.index("note")
    return _KINDS.index(_kind_of(name, user_modules))


def _looks(case: Case) -> list[dict[str, str]]:
    return [
        {"name": inert(look.artefact.name, 120), "total": words.count(look.snapshot.total)}
        for look in case.looks[-MAX_SPARK:]
    ]


# ---- traces, inputs, problems


def _trace(artefact: Artefact, trace: Trace, user_modules: Sequence[str], limits: Limits) -> dict[str, Any]:
    bins = [int(n) for n in trace.created_per_s]
    columns = min(len(bins), 200)
    summed = [sum(bins[i * len(bins) // columns : (i + 1) * len(bins) // columns]) for i in range(columns)]
    top = max(summed, default=0) or 1
    width = 1000 / columns if columns else 0
    creations = sorted(trace.creations, key=lambda one: -one.count)
    waits = sorted(trace.waits, key=lambda one: -one.total_s)
    return {
        "name": inert(artefact.name, 120),
        "duration": words.seconds(trace.duration_s),
        "created": words.count(trace.created),
        "ended": words.count(trace.ended),
        "peak": f"{top * columns / trace.duration_s:,.0f}" if columns and trace.duration_s > 0 else "0",
        "bars": [
            (round(i * width, 2), round(max(width - 1, width * 0.8), 2), round(98 * n / top, 2), words.count(n))
            for i, n in enumerate(summed)
        ],
        "creations": [
            {
                "count": words.count(one.count),
                "per_s": f"{one.count / trace.duration_s:,.1f}" if trace.duration_s > 0 else "",
                "peak": f"{one.peak_per_s:,.0f}",
                "alive": words.count(one.alive),
                "kept": one.count > 0 and one.alive * 2 > one.count,
                "at": _frame(one.stack.frames[0] if one.stack.frames else Frame("unknown"), limits),
                "start": _frame(one.start, limits),
                "mine": _mine(one.stack.frames, user_modules, limits),
            }
            for one in creations[: limits.rows]
        ],
        "creations_total": len(creations),
        "waits": [
            {
                "total": words.seconds(one.total_s),
                "reason": inert(one.reason, 60),
                "count": words.count(one.count),
                "max": words.seconds(one.max_s),
                "open": words.count(one.open),
                "at": _frame(blocked_frame(one.stack.frames) if one.stack.frames else Frame("unknown"), limits),
                "mine": _mine(one.stack.frames, user_modules, limits),
            }
            for one in waits[: limits.rows]
        ],
        "waits_total": len(waits),
    }


def _mine(frames: tuple[Frame, ...], user_modules: Sequence[str], limits: Limits) -> dict[str, str] | None:
    mine = user_frame(frames, user_modules)
    return _frame(mine, limits) if mine is not None and mine != frames[0] else None


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
