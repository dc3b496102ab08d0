"""`check`: watch briefly, judge, and say yes or no: for pipelines, and for tests that must leave no goroutine behind.

    result = check(["http://localhost:6060"], CheckOptions(for_s=30))
    result.passed, result.exit, result.subjects[0].remainders

Two questions, each answered where it can be: *does it leak?* (the judge of `diagnose`), and, given a baseline, *does it end with
the goroutines it began with?* Live services are looked at side by side. Files are dumps or profiles of one process: the first
is the baseline of the last, unless one is given.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from parkwarden.collect.limits import LOOK_TIMEOUT_S, Tell, quiet
from parkwarden.model import Artefact, Finding, Snapshot, Source, UsageError, Verdict
from parkwarden.model.baseline import Baseline, Standing
from parkwarden.model.check import TOLERANCE, CheckResult, Subject

if TYPE_CHECKING:
    from parkwarden.collect.live import LiveOptions
    from parkwarden.report.redact import Redactor
    from parkwarden.run.bags import Bag

MIN_FOR_S, MAX_FOR_S = 0.5, 3600.0
"""Shorter than half a second no growth can be told from a breath; for longer than an hour there is `watch`."""

LOOK_EVERY_S = 5.0
"""Goroutine profiles come this far apart: each costs the service 1-2 ms (docs/looks.md), and a burst has ended by the next."""

MAX_LOOKS = 30
"""Profiles in all, however long the check is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """What the user chose."""

    for_s: float = 30.0
    leak_profile: bool = True
    baseline: Path | None = None
    tolerance: int = TOLERANCE
    modules: tuple[str, ...] = ()
    redact: bool = True


def check(inputs: Sequence[str], options: CheckOptions | None = None, tell: Tell | None = None) -> CheckResult:
    """Yes or no about every input. Raises UsageError, FormatError (baseline), UnreachableError (no service answered)."""
    from parkwarden.report.redact import Redactor
    from parkwarden.run.bags import collect_bags, is_url
    from parkwarden.run.diagnose import Options, judge_bags

    options = options or CheckOptions()
    inputs = list(dict.fromkeys(text.rstrip("/") if is_url(text) else text for text in inputs))
    redactor = Redactor(options.redact)
    _usable(inputs, options)
    kept = read_baselines(options.baseline, redactor) if options.baseline is not None else []
    began = time.monotonic()
    live = _live(options)
    bags = collect_bags(inputs, live, None, _bar(tell or quiet, options.for_s if any(map(is_url, inputs)) else None))
    judged = judge_bags(bags, Options(modules=options.modules, redact=options.redact), tell or quiet)
    subjects = []
    for bag in bags:
        subject = _subject(bag, judged.report.findings, options, redactor)
        _compare(subject, _snapshots(bag), kept, live=bag.instance is not None, redactor=redactor)
        subjects.append(subject)
    return CheckResult(
        subjects=subjects,
        report=judged.report,
        case=judged.case,
        cost=judged.cost,
        checked_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        took_s=time.monotonic() - began,
        nothing_readable=all(s.goroutines is None and not s.unreachable for s in subjects),
    )


def baselines_of(result: CheckResult) -> list[Baseline]:
    """What `--write-baseline` keeps: each subject that answered, as it stood at the end."""
    return [Baseline(subject=s.name, standing=s.standing) for s in result.subjects if s.goroutines is not None]


def read_baselines(path: Path, redactor: Redactor) -> list[Baseline]:
    """The baselines of a file: one that `check` wrote, or any dump or profile of goroutines, whose goroutines are it."""
    from parkwarden.collect.files import gather
    from parkwarden.formats import baseline as form

    try:
        with path.open("rb") as file:
            data = file.read(form.MAX_BYTES + 1)
    except OSError as error:
        raise UsageError("baseline-missing", f"cannot read the baseline {path}: {error.strerror}") from error
    if form.sniff(data[:4096]):
        found, problems = form.read(data, path.name)
        if problems:
            first = problems[0]
            raise UsageError(
                "baseline-damaged", f"{path} is damaged", context=f"{first.where}: {first.text}", hint="write it again"
            )
        return found
    snapshots = [s for a in gather([str(path)], quiet) if (s := a.snapshot) is not None]
    if not snapshots:
        raise UsageError(
            "baseline-unreadable",
            f"{path} is neither a baseline nor a dump or profile of goroutines",
            hint="make one with: parkwarden check URL --write-baseline FILE",
        )
    return [Baseline(subject=path.name, standing=_standing(snapshots[-1], redactor))]


def _usable(inputs: Sequence[str], options: CheckOptions) -> None:
    from parkwarden.run.bags import is_url

    if not MIN_FOR_S <= options.for_s <= MAX_FOR_S:
        raise UsageError("bad-duration", f"--for must be {MIN_FOR_S:g} s to {MAX_FOR_S:g} s, not {options.for_s:g} s")
    if options.tolerance < 0:
        raise UsageError("bad-tolerance", "--tolerance must be 0 or more")
    urls = sum(map(is_url, inputs))
    if 0 < urls < len(inputs):
        raise UsageError(
            "mixed-inputs",
            "files and live services in one check",
            hint="a dump of an earlier moment is given as --baseline FILE",
        )


def _live(options: CheckOptions) -> LiveOptions:
    from parkwarden.collect.live import LiveOptions

    looks = min(MAX_LOOKS, max(2, int(options.for_s / LOOK_EVERY_S) + 1))
    return LiveOptions(
        interval_s=options.for_s,
        looks=looks,
        leak_profile=options.leak_profile,
        total_timeout_s=LOOK_TIMEOUT_S + options.for_s,
    )


def _bar(tell: Tell, length_s: float | None) -> Tell:
    """One progress bar for all services: how much of the time has passed."""
    if length_s is None:
        return tell
    began = time.monotonic()

    def told(what: str, _fraction: float | None = None) -> None:
        passed = time.monotonic() - began
        tell(f"{min(passed, length_s):.0f} of {length_s:.0f} s: {what}", min(1.0, passed / length_s))

    return told


def _snapshots(bag: Bag) -> list[Snapshot]:
    """Those that name all goroutines, in order."""
    return [
        a.snapshot for a in bag.artefacts if a.snapshot is not None and a.snapshot.source is not Source.LEAK_PROFILE
    ]


def _subject(bag: Bag, findings: Sequence[Finding], options: CheckOptions, redactor: Redactor) -> Subject:
    name = bag.instance or ", ".join(a.name for a in bag.artefacts[:4])
    subject = Subject(name=redactor.text(name), tolerance=options.tolerance)
    if bag.unreachable:
        subject.unreachable = redactor.text(_first_problem(bag.artefacts))
    subject.leaks = [f for f in findings if f.verdict is Verdict.LEAK and f.instance == bag.instance]
    return subject


def _first_problem(artefacts: Sequence[Artefact]) -> str:
    return next((p.text for a in artefacts for p in a.problems), "did not answer")


def _compare(
    subject: Subject, snapshots: Sequence[Snapshot], kept: Sequence[Baseline], *, live: bool, redactor: Redactor
) -> None:
    """Fill in what stands at the end and, where there is a baseline, what is more than it."""
    from parkwarden.stacks.remains import remains

    if not snapshots:
        return
    profiles = [s for s in snapshots if s.source is Source.PROFILE] if live else []
    # live: the second half of the looks, of which the fewest count; files: the last one
    used = profiles[len(profiles) // 2 :] if profiles else list(snapshots[-1:])
    ends = [_standing(snapshot, redactor) for snapshot in used]
    lost = sum(max(0, snapshot.headers_seen - snapshot.total) for snapshot in used)
    subject.incomplete = f"{lost:,} goroutines could not be read" if lost else ""
    subject.standing = ends[-1]
    subject.goroutines = sum(one.count for one in ends[-1])
    baseline = _baseline_for(subject.name, kept)
    if baseline is None and not live and len(snapshots) > 1:
        baseline = Baseline(subject=subject.name, standing=_standing(snapshots[0], redactor))
    if baseline is None:
        return
    subject.before = baseline.goroutines
    subject.remainders = remains(baseline.standing, ends)
    grown = {one.site_id for remainder in subject.remainders for one, _before in remainder.sites}
    had = {one.site_id for one in baseline.standing}
    subject.known = [f for f in subject.leaks if f.site is not None and f.site.id in had and f.site.id not in grown]
    subject.leaks = [f for f in subject.leaks if f not in subject.known]


def _standing(snapshot: Snapshot, redactor: Redactor) -> tuple[Standing, ...]:
    from parkwarden.stacks.remains import standing

    return tuple(
        replace(
            one,
            start=redactor.text(one.start),
            function=redactor.text(one.function),
            file=redactor.text(one.file),
            created_by=redactor.frame(one.created_by) if one.created_by else None,
        )
        for one in standing(snapshot)
    )


def _baseline_for(name: str, kept: Sequence[Baseline]) -> Baseline | None:
    """A subject's own; the only one there is serves all (replicas, another port)."""
    if not kept:
        return None
    own = [one for one in kept if one.subject == name]
    if own:
        return own[0]
    if len(kept) == 1:
        return kept[0]
    raise UsageError(
        "baseline-other",
        f"the baseline says nothing of {name}",
        context="it knows " + ", ".join(one.subject for one in kept[:5]),
        hint="write it again with all services, or keep one file for each",
    )
