"""`diagnose`: inputs -> artefacts -> case -> findings -> one report. Wires the stages, decides nothing itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from parkwarden.model import Artefact, BuildInfo, Case, Finding, Kind, Look, Report, Source, Stack, UsageError, Verdict
from parkwarden.stacks.cluster import Grouping, group, of_grouping
from parkwarden.stacks.modules import guess_user_modules
from parkwarden.stacks.series import growth_per_min, since

if TYPE_CHECKING:
    from parkwarden.collect.live import LiveBag, LiveOptions
    from parkwarden.collect.source import SourceTree
    from parkwarden.report.words import LookCost

_URL = re.compile(r"^(https?|unix)://", re.IGNORECASE)
_HOST_PORT = re.compile(r"^(localhost|[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}(/.*)?$")

Tell = Callable[[str, float | None], None]


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
class Opened:
    """Inputs read and put together; nothing judged yet."""

    case: Case
    grouping: Grouping
    cost: list[LookCost]
    redacted: int = 0


@dataclass(slots=True, kw_only=True)
class Diagnosis:
    """What `diagnose` hands to the reporters; everything in it is already redacted (unless switched off)."""

    report: Report
    case: Case
    cost: list[LookCost]
    nothing_readable: bool


def _quiet(_what: str, _fraction: float | None = None) -> None:
    return None


def is_url(text: str) -> bool:
    """Whether an input names a live service: a URL, or host:port that is no file."""
    return bool(_URL.match(text)) or (bool(_HOST_PORT.match(text)) and not Path(text).exists())


def diagnose(inputs: Sequence[str], options: Options | None = None, tell: Tell | None = None) -> Diagnosis:
    """One verdict over everything given. Raises UnreachableError / FormatError only when there is nothing to judge."""
    from parkwarden.judge import judge_case
    from parkwarden.judge.inputs import entries
    from parkwarden.report.redact import Redactor, redact_case, redact_report

    options = options or Options()
    tell = tell or _quiet
    opened = _open(inputs, options, tell)
    tell("judging", None)
    findings = judge_case(opened.case, opened.grouping)
    if options.source is not None:
        _attach_source(findings, options.source)
    report = Report(
        generated_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        inputs=entries(opened.case, findings),
        findings=findings,
    )
    case = opened.case
    if options.redact:
        redactor = Redactor()
        case = redact_case(case, redactor)
        report = redact_report(report, redactor)
    return Diagnosis(
        report=report,
        case=case,
        cost=opened.cost,
        nothing_readable=all(a.kind is Kind.UNKNOWN for a in case.artefacts),
    )


def open_case(inputs: Sequence[str], options: Options, tell: Tell) -> Opened:
    """Read and cluster the inputs, redacted: what commands that only show need."""
    from parkwarden.report.redact import Redactor, redact_case

    opened = _open(inputs, options, tell)
    if options.redact:
        redactor = Redactor()
        opened.case = redact_case(opened.case, redactor)
        opened.redacted = redactor.count
    return opened


def _open(inputs: Sequence[str], options: Options, tell: Tell) -> Opened:
    artefacts, cost = _gather(inputs, options, tell)
    tell("clustering", None)
    return _assemble(artefacts, cost, options)


def _gather(inputs: Sequence[str], options: Options, tell: Tell) -> tuple[list[Artefact], list[LookCost]]:
    artefacts: list[Artefact] = []
    cost: list[LookCost] = []
    paths = [i for i in inputs if not is_url(i)]
    for url in (i for i in inputs if is_url(i)):
        from parkwarden.collect.live import look_sync

        seen = look_sync(url, options=options.live, progress=tell)
        artefacts += seen.artefacts
        cost += seen.costs
        if options.save is not None:
            _save(seen, options.save)
    if paths:
        from parkwarden.collect.files import gather

        artefacts += _named(gather(paths, tell))
    return artefacts, cost


def _named(artefacts: list[Artefact]) -> list[Artefact]:
    """Names as short as they can be and stay apart: without the folder that all of them share."""
    folders = [a.name.partition("!")[0].rpartition("/")[0].split("/") for a in artefacts]
    shared = 0
    while all(len(f) > shared for f in folders) and len({f[shared] for f in folders}) == 1:
        shared += 1
    for artefact in artefacts:
        artefact.name = "/".join(artefact.name.split("/")[shared:])
    return artefacts


def _save(seen: LiveBag, folder: Path) -> None:
    """Keep every answer as it came; never overwrite what is there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, body in seen.bodies.items():
            safe = re.sub(r"[^A-Za-z0-9._=-]+", "_", name).strip("._") or "answer"
            with (folder / safe).open("xb") as file:
                file.write(body)
    except OSError as error:
        raise UsageError(
            "save-failed", f"cannot keep the answers in {folder}: {error.strerror}", hint="name a new or empty folder"
        ) from error


def _assemble(artefacts: list[Artefact], cost: list[LookCost], options: Options) -> Opened:
    """Snapshots in time order (as given where times are missing), clusters over all of them, whose code is whose."""
    looks = [
        Look(artefact=a, snapshot=a.snapshot, at=a.snapshot.taken_at or a.taken_at)
        for a in artefacts
        if a.snapshot is not None and a.snapshot.source is not Source.LEAK_PROFILE
    ]
    if all(look.at is not None for look in looks):
        looks.sort(key=lambda look: look.at or 0.0)
    leaks = [a.snapshot for a in artefacts if a.snapshot is not None and a.snapshot.source is Source.LEAK_PROFILE]
    grouping = group([look.snapshot for look in looks], leaks)
    clusters = of_grouping(grouping)
    times = [look.at for look in looks]
    if len(looks) > 1:
        by_site = {site.id: i for i, site in enumerate(grouping.named)}
        growth = growth_per_min(grouping.counts[:, : len(looks)], times)
        for cluster in clusters:
            at = by_site[cluster.site.id]
            cluster.since = since(cluster.counts, times)
            cluster.growth_per_min = None if growth is None else float(growth[at])
    build = _build(artefacts)
    return Opened(
        case=Case(
            artefacts=artefacts,
            looks=looks,
            clusters=clusters,
            build=build,
            user_modules=_modules(artefacts, build, options),
        ),
        grouping=grouping,
        cost=cost,
    )


def _build(artefacts: Sequence[Artefact]) -> BuildInfo:
    known = [a.build for a in artefacts if a.build is not None]
    versions = [a.reading.go_version for a in artefacts if a.reading is not None and a.reading.go_version]
    return BuildInfo(
        go_version=next((b.go_version for b in known if b.go_version), versions[0] if versions else "") or "",
        main_module=next((b.main_module for b in known if b.main_module), ""),
        modules=tuple(dict.fromkeys(m for b in known for m in b.modules)),
        binary=next((b.binary for b in known if b.binary), ""),
    )


def _modules(artefacts: Sequence[Artefact], build: BuildInfo, options: Options) -> tuple[str, ...]:
    if options.modules:
        return ("main", *options.modules)
    if options.source is not None:
        declared = tuple(module for module, _folder in _tree(options.source).modules)
        if declared:
            return ("main", *declared)
    stacks: list[Stack] = []
    for artefact in artefacts:
        for holder in (artefact.snapshot, artefact.profile):
            if holder is not None:
                stacks += holder.stacks
        if artefact.trace is not None:
            stacks += [c.stack for c in artefact.trace.creations]
        stacks += [c.stack for c in artefact.crashes if c.stack is not None]
    return guess_user_modules(stacks, build)


@lru_cache(maxsize=4)
def _tree(folder: Path) -> SourceTree:
    from parkwarden.collect.source import index

    try:
        return index(folder)
    except NotADirectoryError as error:
        raise UsageError(
            "no-source", f"--source {folder} is no folder", hint="name the root of your source tree"
        ) from error


def _attach_source(findings: list[Finding], folder: Path) -> None:
    from parkwarden.collect.source import excerpt

    for finding in findings:
        if finding.culprit is not None and finding.verdict.rank >= Verdict.SUSPECT.rank:
            finding.source = excerpt(_tree(folder), finding.culprit)
