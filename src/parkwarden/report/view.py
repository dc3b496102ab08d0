"""What templates and scripts show of findings, sites and flame graphs: texts inert, numbers in words, lists cut.

Shared by the HTML report and the pages (report/templates/_parts.html and report/static/ show it). Safety: every text goes through
`inert` here and through Jinja's autoescape there; data for a script travels as JSON in a block that is not executed (`json_block`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from parkwarden.model import Case, Cluster, Finding, Frame
from parkwarden.report import flame, words
from parkwarden.report.json import user_frame
from parkwarden.report.picture import NARROW, WIDE, draw
from parkwarden.report.safe import inert, inert_lines

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


def json_block(data: dict[str, Any]) -> Any:
    """JSON that no HTML parser can be lured out of."""
    from markupsafe import Markup

    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


# ---- findings


def frame_view(frame: Frame, limits: Limits) -> dict[str, str]:
    """A function and its place, each whole and short."""
    return {
        "name": inert(frame.function or words.NO_STACK, limits.name),
        "short": inert(words.short_function(frame.function) or frame.function or words.NO_STACK, limits.name),
        "place": inert(words.place(frame), limits.name),
        "short_place": inert(words.short_place(frame), limits.name),
    }


def finding_view(finding: Finding, limits: Limits) -> dict[str, Any]:
    """A finding as the macro `body` of _parts.html shows it, its leak path drawn wide and narrow."""
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
        "culprit": frame_view(finding.culprit, limits) if finding.culprit else None,
        "confidence": round(max(0.0, min(1.0, finding.confidence)) * 100),
        "facts": [(fact.name, inert(fact.value, 80)) for fact in words.facts(finding)],
        "grade": str(finding.grade),
        "explanation": prose(finding.explanation),
        "advice": prose(finding.advice),
        "evidence": [
            (inert(e.what, 200), inert(e.value, limits.name), inert(e.source, 120))
            for e in finding.evidence[: limits.evidence]
        ],
        "evidence_total": len(finding.evidence),
        **paths_view(finding),
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


def prose(text: str) -> list[tuple[str, list[tuple[bool, str]]]]:
    """Blocks of (kind, pieces); a piece is (is code, text): backticks make code inside a line, and a code block's pieces are its lines."""
    blocks: list[tuple[str, list[tuple[bool, str]]]] = []
    for block in words.prose(text):
        if block.kind == "code":
            blocks.append(("code", [(True, line) for line in inert_lines("\n".join(block.lines))]))
            continue
        pieces = inert(block.lines[0], 4000).split("`")
        blocks.append((block.kind, [(i % 2 == 1 and i < len(pieces) - 1, piece) for i, piece in enumerate(pieces)]))
    return blocks


def paths_view(finding: Finding, holder: Frame | None = None) -> dict[str, Any]:
    """A leak path alone, drawn wide and narrow, None where there is too little to draw."""
    return {"wide": draw(finding, WIDE, holder), "narrow": draw(finding, NARROW, holder)}


# ---- sites and flame graph


class Strings:
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


def clusters_view(case: Case, limits: Limits) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows for the table, and the data block: interned texts, stacks of the rows, the flame graph."""
    strings = Strings(limits.name)
    # what was big in any look is worth its row; shown by what there is now
    ranked = sorted(case.clusters, key=lambda c: -max(c.count, max(c.counts, default=0)))[: limits.clusters]
    ranked.sort(key=lambda c: -c.count)
    peak = max((c.count for c in ranked), default=1) or 1
    rows = [cluster_view(cluster, case, limits, peak) for cluster in ranked]
    stacks = [stack_view(cluster, case, strings, limits) for cluster in ranked]
    graph = flame.build(case.clusters, max_nodes=limits.flame)
    data = {"stacks": stacks, "flame": flame_view(graph, case.user_modules, strings), "strings": strings.texts}
    return rows, data


def flame_view(graph: flame.Flame, user_modules: Sequence[str], strings: Strings) -> dict[str, Any]:
    """A flame graph as static/flame.js takes it: names and kinds refer to `strings` and KINDS."""
    return {
        "names": [strings.add(name) for name in graph.names],
        "kinds": [_kind_of_box(name, user_modules) for name in graph.names],
        "parent": graph.parent,
        "name": graph.name,
        "now": graph.now,
        "before": graph.before if graph.compared else None,
        "left_out": graph.left_out,
    }


def cluster_view(cluster: Cluster, case: Case, limits: Limits, peak: int) -> dict[str, Any]:
    """A row of a table of sites; `peak` is what a whole bar stands for."""
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
        "blocked": frame_view(words.site_frame(cluster), limits),
        "starts": frame_view(site.created_by, limits) if site.created_by else None,
        "mine": frame_view(mine, limits) if mine else None,
        "waits": words.waits(cluster),
        "wait_sort": cluster.wait_min[1] if cluster.wait_min else -1,
        "leaked": cluster.leaked,
    }


def stack_view(cluster: Cluster, case: Case, strings: Strings, limits: Limits) -> dict[str, Any]:
    """What a row opens to: its frames, who started it, what is known of it besides."""
    site = cluster.site
    frames = [
        [strings.add(f.function), strings.add(f.file), f.line, KINDS.index(kind_of(f.function, case.user_modules))]
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
        traits.append(f"{words.count(cluster.objects)} distinct object{'s' * (cluster.objects > 1)} waited on")
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


KINDS = ("yours", "other", "std", "mark")
"""Whose code a box of a flame graph or a frame is, or a note of ours; classes of parts.css."""


def kind_of(function: str, user_modules: Sequence[str]) -> str:
    """Whose code a function is: one of KINDS."""
    from parkwarden.stacks.modules import is_stdlib_function, is_user_function

    if is_user_function(function, user_modules):
        return "yours"
    return "std" if is_stdlib_function(function) else "other"


def _kind_of_box(name: str, user_modules: Sequence[str]) -> int:
    """Kind of a flame box, as an index of KINDS: whose code it is, or a note of ours."""
    if name.startswith(flame.STARTED):
        return KINDS.index(kind_of(name.removeprefix(flame.STARTED), user_modules))
    if name.startswith(("[", "(")) or name == "all goroutines":
        return KINDS.index("mark")
    return KINDS.index(kind_of(name, user_modules))


def mine_view(frames: tuple[Frame, ...], user_modules: Sequence[str], limits: Limits) -> dict[str, str] | None:
    """The user's own frame on a stack, None where that is the first one or there is none."""
    mine = user_frame(frames, user_modules)
    return frame_view(mine, limits) if mine is not None and mine != frames[0] else None
