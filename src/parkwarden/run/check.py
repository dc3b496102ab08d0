"""`check`: watch briefly, judge, and say yes or no: for pipelines, and for tests that must leave no goroutine behind.

    result = check(["http://localhost:6060"], CheckOptions(for_s=30))
    result.passed, result.exit, result.subjects[0].remainders

Two questions, each answered where it can be: *does it leak?* (the engine that `watch` and `replay` run, over dense looks), and, given a
baseline, *does it end with the goroutines it began with?* Live services are looked at side by side. Files are dumps or profiles of one
process: the first is the baseline of the last, unless one is given; their times, where they tell any, are those of the looks.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from parkwarden.collect.limits import LOOK_TIMEOUT_S, Tell, quiet
from parkwarden.model import Artefact, Event, InputEntry, Report, Source, UsageError
from parkwarden.model.baseline import Baseline
from parkwarden.model.check import TOLERANCE, CheckResult, Subject

if TYPE_CHECKING:
    from parkwarden.collect.live import LiveOptions
    from parkwarden.model.local import Local
    from parkwarden.report.redact import Redactor
    from parkwarden.run.bags import Bag
    from parkwarden.run.hearing import Hearing
    from parkwarden.run.record import Sink

MIN_FOR_S, MAX_FOR_S = 0.5, 3600.0
"""Shorter than half a second no growth can be told from a breath; for longer than an hour there is `watch`."""

KEEP_EVERY_S = 5.0
"""What stands is kept so often, to be compared with the baseline: a burst has ended by the next."""

FAR_APART_S = 2 * 3600.0
"""Further apart than any KEEP_EVERY_S: every file is kept."""

MAX_KEPT = 30
"""Times it is kept in all, however long the check is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """What the user chose."""

    for_s: float = 30.0
    leak_profile: bool = True
    census: bool = True
    baseline: Path | None = None
    tolerance: int = TOLERANCE
    modules: tuple[str, ...] = ()
    redact: bool = True
    record: Path | None = None
    """Where what was seen is recorded, for `replay`."""
    force: bool = False
    """Whether the recording may replace a file."""


def check(inputs: Sequence[str], options: CheckOptions | None = None, tell: Tell | None = None) -> CheckResult:
    """Yes or no about every input. Raises UsageError, FormatError (baseline), UnreachableError (no service answered)."""
    from parkwarden.judge.fuse import rank
    from parkwarden.report.redact import Redactor, redact_report
    from parkwarden.run.bags import collect_bags, is_url

    options = options or CheckOptions()
    inputs = list(dict.fromkeys(text.rstrip("/") if is_url(text) else text for text in inputs))
    redactor = Redactor(options.redact)
    _usable(inputs, options)
    kept = read_baselines(options.baseline, redactor) if options.baseline is not None else []
    began = time.monotonic()
    with ExitStack() as stack:
        hall = _Hall(options, redactor, stack)
        live = any(map(is_url, inputs))
        bags = collect_bags(
            inputs, _live(options, hall) if live else None, None, _bar(tell or quiet, options.for_s if live else None)
        )
        heard = [hall.of(bag) for bag in bags]
        ticks = [hearing.end() for hearing in heard]
    found = [(i, finding) for i, tick in enumerate(ticks) if tick is not None for finding in tick.findings]
    found.sort(key=lambda one: rank(one[1]))
    moment = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    report = redact_report(
        Report(
            generated_at=moment,
            inputs=[_entry(a, hearing) for bag, hearing in zip(bags, heard, strict=True) for a in bag.artefacts],
            findings=[finding for _, finding in found],
        ),
        redactor,
    )
    subjects = []
    for i, (bag, hearing) in enumerate(zip(bags, heard, strict=True)):
        subject = _subject(bag, options, redactor)
        mine = [f for (which, _), f in zip(found, report.findings, strict=True) if which == i]
        subject.leaks = [f for f in mine if f.verdict.certain]
        subject.suspects = [f for f in mine if f.verdict.doubted and f.site is not None]
        _compare(subject, hearing, kept, live=bag.instance is not None)
        subjects.append(subject)
    return CheckResult(
        subjects=subjects,
        report=report,
        cost=[cost for bag in bags for cost in bag.cost],
        checked_at=moment,
        took_s=time.monotonic() - began,
        nothing_readable=all(s.goroutines is None and not s.unreachable for s in subjects),
    )


@dataclass(slots=True)
class _Hall:
    """All processes that are heard, by name."""

    options: CheckOptions
    redactor: Redactor
    stack: ExitStack
    hearings: dict[str, Hearing] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _sink: Sink | None = None

    def __post_init__(self) -> None:
        if self.options.record is not None:
            from parkwarden.run.record import Sink

            self._sink = Sink(self.options.record, force=self.options.force)
            self.stack.callback(self._sink.close)

    def heard(self, service: str, artefact: Artefact, at: float) -> bool:
        """One look at a live service; called in threads, one at a time for each service."""
        hearing = self._hearing(service)
        snapshot = artefact.snapshot
        if snapshot is not None and (
            snapshot.source is Source.PROFILE or (snapshot.source is not Source.LEAK_PROFILE and not hearing.profiles)
        ):
            hearing.keep(snapshot, at)
        return hearing.heard(artefact, at)

    def heard_local(self, service: str, local: Local, _at: float) -> None:
        """A look of the host, before the readings it goes with."""
        self._hearing(service).host(local)

    def of(self, bag: Bag) -> Hearing:
        """What was heard of a bag's process; that of files is heard now."""
        if bag.instance is not None:
            return self._hearing(bag.instance)
        hearing = self._hearing(", ".join(a.name for a in bag.artefacts[:4]) or "nothing")
        for i, artefact in enumerate(bag.artefacts):
            if artefact.snapshot is not None and artefact.snapshot.source is not Source.LEAK_PROFILE:
                hearing.keep(artefact.snapshot, i * FAR_APART_S)  # in the order given
        for artefact, at in _in_time(bag.artefacts):
            hearing.heard(artefact, at)
        return hearing

    def _hearing(self, name: str) -> Hearing:
        with self._lock:
            if name not in self.hearings:
                from parkwarden.run.hearing import Hearing

                self.hearings[name] = Hearing(
                    name,
                    self.redactor,
                    modules=self.options.modules,
                    keep_every_s=max(KEEP_EVERY_S, self.options.for_s / MAX_KEPT),
                    record=self._record if self._sink is not None else None,
                )
            return self.hearings[name]

    def _record(self, event: Event) -> None:
        assert self._sink is not None
        with self._lock:
            self._sink.put(event)


def _in_time(artefacts: Sequence[Artefact]) -> list[tuple[Artefact, float]]:
    """Files that tell goroutines, with their times. Where the times are no order, the last one alone can be judged (by what the runtime
    itself says of it), beside leak profiles."""
    told = [a for a in artefacts if a.snapshot is not None]
    timed = [(a, a.taken_at) for a in told if a.taken_at is not None]
    timed.sort(key=lambda one: one[1])
    if len(timed) == len(told) and all(a < b for (_, a), (_, b) in pairwise(timed)):
        return timed
    last = next((a for a in reversed(told) if a.snapshot and a.snapshot.source is not Source.LEAK_PROFILE), None)
    return [
        (a, float(i))
        for i, a in enumerate(told)
        if a is last or (a.snapshot is not None and a.snapshot.source is Source.LEAK_PROFILE)
    ]


def _entry(artefact: Artefact, hearing: Hearing) -> InputEntry:
    """What became of an input; of a service's looks the last of each kind stands for all."""
    used = artefact.snapshot is not None or artefact.reading is not None
    looks = f"{hearing.profiles} profiles and {hearing.censuses} looks at who is there"
    why = (
        f"judged together: {looks}" if used else next((p.text for p in artefact.problems), "says nothing of goroutines")
    )
    return InputEntry(
        name=artefact.name,
        kind=artefact.kind.value,
        bytes=artefact.size,
        records=artefact.records,
        problems=artefact.problems,
        used=used,
        why=why,
    )


def baselines_of(result: CheckResult) -> list[Baseline]:
    """What `--write-baseline` keeps: each subject that answered, as it stood at the end."""
    return [Baseline(subject=s.name, standing=s.standing) for s in result.subjects if s.goroutines is not None]


def read_baselines(path: Path, redactor: Redactor) -> list[Baseline]:
    """The baselines of a file: one that `check` wrote, or any dump or profile of goroutines, whose goroutines are it."""
    from parkwarden.collect.files import gather
    from parkwarden.formats import baseline as form
    from parkwarden.run.hearing import standing_of

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
    return [Baseline(subject=path.name, standing=standing_of(snapshots[-1], redactor))]


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


def _live(options: CheckOptions, hall: _Hall) -> LiveOptions:
    import parkwarden.run.hearing  # noqa: F401  # the first look must not wait for it
    from parkwarden.collect.live import LiveOptions

    return LiveOptions(
        interval_s=options.for_s,
        leak_profile=options.leak_profile,
        census=options.census,
        heard=hall.heard,
        heard_local=hall.heard_local,
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


def _subject(bag: Bag, options: CheckOptions, redactor: Redactor) -> Subject:
    name = bag.instance or ", ".join(a.name for a in bag.artefacts[:4])
    subject = Subject(name=redactor.text(name), tolerance=options.tolerance)
    if bag.unreachable:
        subject.unreachable = redactor.text(_first_problem(bag.artefacts))
    return subject


def _first_problem(artefacts: Sequence[Artefact]) -> str:
    return next((p.text for a in artefacts for p in a.problems), "did not answer")


def _compare(subject: Subject, hearing: Hearing, kept: Sequence[Baseline], *, live: bool) -> None:
    """Fill in what stands at the end and, where there is a baseline, what is more than it."""
    from parkwarden.stacks.remains import remains

    # live: the second half of the looks, of which the fewest count; files: the last one
    ends = hearing.ends if live else hearing.ends[-1:]
    if not ends:
        return
    lost = sum(lost for _, lost in ends)
    subject.incomplete = f"{lost:,} goroutines could not be read" if lost else ""
    subject.standing = ends[-1][0]
    subject.goroutines = sum(one.count for one in subject.standing)
    baseline = _baseline_for(subject.name, kept)
    if baseline is None and not live and hearing.stands > 1:
        baseline = Baseline(subject=subject.name, standing=hearing.first)
    if baseline is None:
        return
    subject.before = baseline.goroutines
    subject.remainders = remains(baseline.standing, [stood for stood, _ in ends])
    grown = {one.site_id for remainder in subject.remainders for one, _before in remainder.sites}
    had = {one.site_id for one in baseline.standing}
    subject.known = [f for f in subject.leaks if f.site is not None and f.site.id in had and f.site.id not in grown]
    subject.leaks = [f for f in subject.leaks if f not in subject.known]


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
