"""`diagnose`: inputs -> bags -> cases -> findings -> one report. Wires the stages, decides nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from parkwarden.collect.limits import Tell, quiet
from parkwarden.model import Case, Finding, Kind, LookCost, Report, Verdict
from parkwarden.run.bags import Bag, collect_bags
from parkwarden.run.cases import assemble, source_tree
from parkwarden.run.seldom import seldom_collected

if TYPE_CHECKING:
    from parkwarden.collect.live import LiveOptions
    from parkwarden.stacks.cluster import Grouping
    from parkwarden.stacks.patterns import Excerpt


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user chose."""

    modules: tuple[str, ...] = ()
    source: Path | None = None
    redact: bool = True
    live: LiveOptions | None = None
    """How live services are looked at; None = the defaults, which never take a look that could hurt."""
    save: Path | None = None
    """Where answers of live services are kept as they came."""


@dataclass(slots=True, kw_only=True)
class Diagnosis:
    """What `diagnose` hands to the reporters; everything in it is already redacted (unless switched off).

    `case` is the one the first finding is about (of several live services, the worst), with the artefacts of all.
    """

    report: Report
    case: Case
    cost: list[LookCost]
    nothing_readable: bool
    unreachable: bool
    """Some live service did not answer (the others were judged)."""
    grouping: Grouping
    """What `case`'s clusters were made of: which stack belongs to which. Not redacted: nothing of its tables is for showing."""


@seldom_collected()
def diagnose(inputs: Sequence[str], options: Options | None = None, tell: Tell | None = None) -> Diagnosis:
    """One verdict over everything given. Raises UnreachableError / FormatError only when there is nothing to judge."""
    options = options or Options()
    tell = tell or quiet
    return judge_bags(collect_bags(inputs, options.live, options.save, tell), options, tell)


def judge_bags(bags: Sequence[Bag], options: Options, tell: Tell) -> Diagnosis:
    """One verdict over bags already read, each judged as a case of its own."""
    from parkwarden.judge import judge_case
    from parkwarden.judge.fuse import rank
    from parkwarden.judge.inputs import entries
    from parkwarden.report.redact import Redactor, redact_case, redact_report

    judged: list[tuple[list[Finding], Case, Grouping]] = []
    cost: list[LookCost] = []
    for bag in bags:
        tell("clustering and judging", None)
        case, grouping = assemble(bag.artefacts, options.modules, options.source)
        case.local = bag.local
        findings = judge_case(case, grouping, _excerpts(options.source) if options.source is not None else None)
        for finding in findings:
            finding.instance = bag.instance
        judged.append((findings, case, grouping))
        cost += bag.cost
    if options.source is not None:
        _attach_source([f for findings, *_ in judged for f in findings], options.source)
    report = Report(
        generated_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        inputs=[entry for findings, case, _ in judged for entry in entries(case, findings)],
        findings=sorted((f for findings, *_ in judged for f in findings), key=rank),
    )
    _, case, grouping = min(judged, key=lambda one: rank(one[0][0]) if one[0] else (1,))
    case.artefacts = [a for _, one, _ in judged for a in one.artefacts]
    if options.redact:
        redactor = Redactor()
        case = redact_case(case, redactor)
        report = redact_report(report, redactor)
    return Diagnosis(
        report=report,
        case=case,
        cost=cost,
        nothing_readable=all(a.kind is Kind.UNKNOWN for a in case.artefacts),
        unreachable=any(bag.unreachable for bag in bags),
        grouping=grouping,
    )


def open_case(inputs: Sequence[str], options: Options, tell: Tell) -> tuple[Case, int]:
    """Read and cluster the inputs as one case, redacted (with the number of redactions): for commands that only show."""
    from parkwarden.report.redact import Redactor, redact_case

    artefacts = [a for bag in collect_bags(inputs, options.live, options.save, tell) for a in bag.artefacts]
    tell("clustering", None)
    case, _ = assemble(artefacts, options.modules, options.source)
    if not options.redact:
        return case, 0
    redactor = Redactor()
    return redact_case(case, redactor), redactor.count


def _excerpts(folder: Path) -> Excerpt:
    from parkwarden.collect.source import excerpt

    return partial(excerpt, source_tree(folder), blame=False)


def _attach_source(findings: list[Finding], folder: Path) -> None:
    from parkwarden.collect.source import excerpt

    tree = source_tree(folder)
    for finding in findings:
        if finding.culprit is not None and finding.verdict.rank >= Verdict.SUSPECT.rank:
            finding.source = excerpt(tree, finding.culprit)
