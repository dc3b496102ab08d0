"""Reports as JSON for machines: versioned, stable in field names and order, one line per record.

`parkwarden.report/1` is the schema of the Diagnose issue, field by field; our extra fields (`grade`, `explanation`, `path`,
`source`, and what only judges over time tell: `instances`, `labels`, `first_seen`, `last_seen`, `since_version`, `time_left`) come after its own. `parkwarden.stacks/1` and `parkwarden.trace/1` follow the same words. JSON Schemas:
docs/schema/. Names from inputs stay as they are, escaped by `ensure_ascii`; numbers that are not finite become null.

Frames repeat a hundredfold, so each distinct frame is encoded once and joined in; this module imports neither Rich nor
Jinja: a trace of thousands of stacks costs tenths of a second.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from parkwarden.model import (
    Artefact,
    Case,
    Change,
    Cluster,
    Creation,
    Finding,
    FormatError,
    Frame,
    InputEntry,
    Problem,
    Report,
    Site,
    SourceExcerpt,
    Stack,
    TimeLeft,
    Trace,
    Wait,
)
from parkwarden.report.compare import Checked, Comparison, Row

if TYPE_CHECKING:
    from parkwarden.stacks.raw import RawStack

STACKS_SCHEMA = "parkwarden.stacks/1"
TRACE_SCHEMA = "parkwarden.trace/1"

_encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(", ", ": ")).encode


class _Frames:
    """Encodes frames and stacks, each distinct one once."""

    def __init__(self) -> None:
        self._frames: dict[Frame, str] = {}
        self._chains: dict[tuple[Frame, ...], str] = {}

    def frame(self, frame: Frame | None) -> str:
        if frame is None:
            return "null"
        known = self._frames.get(frame)
        if known is None:
            known = _encode({"function": frame.function, "file": frame.file, "line": int(frame.line)})
            self._frames[frame] = known
        return known

    def chain(self, frames: tuple[Frame, ...]) -> str:
        known = self._chains.get(frames)
        if known is None:
            known = self._chains[frames] = "[" + ", ".join(map(self.frame, frames)) + "]"
        return known

    def site(self, site: Site | None) -> str:
        if site is None:
            return "null"
        return _object(
            id=site.id,
            wait_reason=site.wait_reason,
            function=site.function,
            file=site.file,
            line=int(site.line),
            frames=_Raw(self.chain(site.frames)),
            created_by=_Raw(self.frame(site.created_by)),
        )

    def stack(self, stack: Stack) -> dict[str, Any]:
        return {
            "frames": _Raw(self.chain(stack.frames)),
            "created_by": _Raw(self.frame(stack.created_by)),
            "elided": int(stack.elided),
        }


class _Raw(str):
    """Text that is JSON already."""

    __slots__ = ()


def _value(value: Any) -> str:
    if isinstance(value, _Raw):
        return str(value)
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else "null"
    return _encode(value)


def _object(**fields: Any) -> _Raw:
    """A JSON object in the order given."""
    return _Raw("{" + ", ".join(f'"{name}": {_value(value)}' for name, value in fields.items()) + "}")


def _list(items: Iterable[str], indent: str = "  ") -> _Raw:
    """A JSON array with one item per line, so that two reports can be compared by line."""
    lines = f",\n{indent}".join(items)
    return _Raw(f"[\n{indent}{lines}\n]" if lines else "[]")


def _document(**fields: Any) -> str:
    return "{\n" + ",\n".join(f'"{name}": {_value(value)}' for name, value in fields.items()) + "\n}"


def _number(value: float | None) -> float | int | None:
    """NumPy scalars to Python's own; what is not finite is not known."""
    if value is None:
        return None
    number = value.item() if hasattr(value, "item") else value
    return number if math.isfinite(number) else None


def _rounded(value: float, digits: int = 6) -> float | None:
    number = _number(value)
    return None if number is None else round(float(number), digits)


# ---- parkwarden.report/1


def report_to_json(
    report: Report, *, comparison: Comparison | None = None, checked: Sequence[Checked] | None = None
) -> str:
    """The report in the schema `parkwarden.report/1`; ends without a newline.

    A replay adds `compare` where a second set of rules judged too, and `expectations` where scenarios had some.
    """
    frames = _Frames()
    extra: dict[str, Any] = {}
    if comparison is not None:
        extra["compare"] = _comparison(comparison, frames)
    if checked:
        extra["expectations"] = _list(
            _object(file=c.file, line=c.line, text=c.text, met=c.met, told=c.told) for c in checked
        )
    return _document(
        schema=report.schema,
        generated_at=report.generated_at,
        inputs=_list(_input(entry) for entry in report.inputs),
        findings=_list(_finding(finding, frames) for finding in report.findings),
        redacted=int(report.redacted),
        **extra,
    )


def _comparison(comparison: Comparison, frames: _Frames) -> _Raw:
    """A's findings are the report's; B's are here, and a row for each thing that either found."""
    return _object(
        a=comparison.a,
        b=comparison.b,
        rows=_list((_row(row) for row in comparison.rows), "    "),
        findings_b=_list((_finding(finding, frames) for finding in comparison.findings_b), "    "),
    )


def _row(row: Row) -> _Raw:
    def side(finding: Finding | None) -> dict[str, Any] | None:
        if finding is None:
            return None
        return {
            "verdict": str(finding.verdict),
            "confidence": _rounded(finding.confidence, 4) or 0.0,
            "first_seen": _number(finding.first_seen),
            "last_seen": _number(finding.last_seen),
        }

    one = row.either
    return _object(
        service=one.service,
        site=one.site.id if one.site else None,
        pattern=one.pattern,
        earlier=row.earlier,
        a=side(row.a),
        b=side(row.b),
    )


def _problems(problems: Iterable[Problem]) -> list[dict[str, str]]:
    return [{"code": p.code, "where": p.where, "text": p.text} for p in problems]


def _input(entry: InputEntry) -> str:
    return _object(
        name=entry.name,
        kind=str(entry.kind),
        bytes=int(entry.bytes),
        records=int(entry.records),
        problems=_problems(entry.problems),
        used=bool(entry.used),
        why=entry.why,
    )


def _finding(finding: Finding, frames: _Frames) -> str:
    return _object(
        code=finding.code,
        verdict=str(finding.verdict),
        confidence=_rounded(finding.confidence, 4) or 0.0,
        title=finding.title,
        pattern=finding.pattern,
        service=finding.service,
        instance=finding.instance,
        site=_Raw(frames.site(finding.site)),
        culprit=_Raw(frames.frame(finding.culprit)),
        count=_number(finding.count),
        share=_number(finding.share),
        rate_per_min=_number(finding.rate_per_min),
        since=finding.since,
        wait_min_s=_number(finding.wait_min_s),
        advice=finding.advice,
        evidence=[{"source": e.source, "what": e.what, "value": e.value} for e in finding.evidence],
        grade=str(finding.grade),
        explanation=finding.explanation,
        path=_Raw(frames.chain(finding.path)),
        source=_excerpt(finding.source),
        instances=list(finding.instances),
        labels={key: finding.labels[key] for key in sorted(finding.labels)},
        first_seen=_number(finding.first_seen),
        last_seen=_number(finding.last_seen),
        since_version=finding.since_version,
        time_left=_time_left(finding.time_left),
    )


def _time_left(left: TimeLeft | None) -> dict[str, Any] | None:
    if left is None:
        return None
    return {
        "limit": left.limit,
        "at": _number(left.at),
        "seconds": _number(left.seconds),
        "low_s": _number(left.low_s),
        "high_s": _number(left.high_s),
        "value": _number(left.value),
        "limit_value": _number(left.limit_value),
        "rate_per_s": _number(left.rate_per_s),
        "coverage": _number(left.coverage),
    }


def _excerpt(source: SourceExcerpt | None) -> dict[str, Any] | None:
    if source is None:
        return None
    return {
        "file": source.file,
        "first_line": source.first_line,
        "lines": list(source.lines),
        "statement": list(source.statement),
        "function": source.function,
        "blame": source.blame,
    }


# ---- parkwarden.stacks/1


def clusters_to_json(case: Case, redacted: int = 0) -> str:
    """All clusters of a case in the schema `parkwarden.stacks/1`; `counts[i]` belongs to `looks[i]`."""
    frames = _Frames()
    return _document(
        schema=STACKS_SCHEMA,
        looks=_list(
            _object(
                name=look.artefact.name,
                source=str(look.snapshot.source),
                at=_number(look.at),
                goroutines=look.snapshot.total,
                headers_seen=int(look.snapshot.headers_seen),
                lost=int(look.artefact.lost),
            )
            for look in case.looks
        ),
        go_version=case.build.go_version,
        main_module=case.build.main_module,
        user_modules=list(case.user_modules),
        clusters=_list(_cluster(cluster, frames) for cluster in case.clusters),
        problems=_list(
            _object(input=artefact.name, code=p.code, where=p.where, text=p.text)
            for artefact in case.artefacts
            for p in artefact.problems
        ),
        redacted=int(redacted),
    )


def _cluster(cluster: Cluster, frames: _Frames) -> str:
    return _object(
        id=cluster.site.id,
        count=int(cluster.count),
        share=_rounded(cluster.share),
        counts=[int(n) for n in cluster.counts],
        growth_per_min=_number(cluster.growth_per_min),
        stayed=_number(cluster.stayed),
        since=_number(cluster.since),
        leaked=int(cluster.leaked),
        states={state: int(n) for state, n in cluster.states.most_common()},
        wait_min=[int(n) for n in cluster.wait_min] if cluster.wait_min else None,
        mean_depth=_rounded(cluster.mean_depth, 2),
        blocking_points={name: int(n) for name, n in cluster.blocking_points.most_common()},
        module_entropy=_rounded(cluster.module_entropy, 4),
        labels=[{"key": k, "value": v, "count": int(n)} for (k, v), n in cluster.labels.most_common()],
        goids=[int(goid) for goid in cluster.goids],
        objects=int(cluster.objects),
        damaged=int(cluster.damaged),
        members=list(cluster.members),
        site=_Raw(frames.site(cluster.site)),
    )


# ---- what the explorer's routes answer (docs/page.md), in the words of parkwarden.stacks/1


def raw_stacks_json(raw: Iterable[RawStack]) -> str:
    """A JSON array of the raw stacks behind a cluster."""
    frames = _Frames()
    return _list(
        _object(
            count=one.count,
            states=dict(one.states),
            goids=list(one.goids),
            wait_min=one.wait_min,
            **frames.stack(one.stack),
        )
        for one in raw
    )


def changes_json(changes: Iterable[Change]) -> str:
    """A JSON array of what became of sites between two looks; `stayed`, `born` and `died` are null where ids do not tell."""
    frames = _Frames()
    return _list(
        _object(
            site=_Raw(frames.site(change.cluster.site)),
            before=int(change.counts[0]),
            after=int(change.counts[-1]),
            delta=int(change.delta),
            stayed=_number(change.stayed),
            born=_number(change.born),
            died=_number(change.died),
        )
        for change in changes
    )


# ---- parkwarden.trace/1


def trace_to_json(artefact: Artefact, redacted: int = 0, *, user_modules: Sequence[str] = ()) -> str:
    """A trace in the schema `parkwarden.trace/1`: every `go` statement and every wait, by stack, most first.

    Raises FormatError when the artefact holds no trace.
    """
    trace = artefact.trace
    if trace is None:
        raise FormatError("no-trace", "the input holds no execution trace", context=artefact.name)
    frames = _Frames()
    bins = len(trace.created_per_s)
    return _document(
        schema=TRACE_SCHEMA,
        name=artefact.name,
        bytes=int(artefact.size),
        version=trace.version,
        started_at=_number(trace.started_at),
        duration_s=_rounded(trace.duration_s, 9),
        events=int(trace.events),
        generations=int(trace.generations),
        created=int(trace.created),
        ended=int(trace.ended),
        created_bins=[int(n) for n in trace.created_per_s],
        bin_s=_rounded(trace.duration_s / bins, 9) if bins else None,
        creations=_list(_creation(one, trace, frames, user_modules) for one in trace.creations),
        waits=_list(_wait(one, frames, user_modules) for one in trace.waits),
        census=_census(trace),
        problems=_problems(artefact.problems),
        redacted=int(redacted),
    )


def _creation(one: Creation, trace: Trace, frames: _Frames, user_modules: Sequence[str]) -> str:
    return _object(
        count=int(one.count),
        per_s=_rounded(one.count / trace.duration_s, 3) if trace.duration_s > 0 else None,
        peak_per_s=_rounded(one.peak_per_s, 3),
        alive=int(one.alive),
        parents=int(one.parents),
        first_s=_rounded(one.first_s, 9),
        last_s=_rounded(one.last_s, 9),
        start=_Raw(frames.frame(one.start)),
        user=_Raw(frames.frame(user_frame(one.stack.frames, user_modules))),
        **frames.stack(one.stack),
    )


def _wait(one: Wait, frames: _Frames, user_modules: Sequence[str]) -> str:
    return _object(
        reason=one.reason,
        count=int(one.count),
        total_s=_rounded(one.total_s, 9),
        max_s=_rounded(one.max_s, 9),
        open=int(one.open),
        user=_Raw(frames.frame(user_frame(one.stack.frames, user_modules))),
        **frames.stack(one.stack),
    )


def _census(trace: Trace) -> dict[str, int] | None:
    if trace.census is None:
        return None
    return {"goroutines": trace.census.total, "stacks": len(trace.census.stacks)}


def user_frame(frames: Sequence[Frame], user_modules: Sequence[str]) -> Frame | None:
    """The first frame, from the leaf on, that is the user's own code; None if there is none."""
    from parkwarden.stacks.modules import is_user_function

    return next((frame for frame in frames if is_user_function(frame.function, user_modules)), None)
