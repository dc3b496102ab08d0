"""Replay: recordings and scenarios judged on virtual time, by one set of rules or by two in one pass.

Recordings given together are one fleet, merged by time; each scenario is a world of its own. The engine is the one `watch` runs:
every TICK_S of virtual time in which something happened it judges; through gaps it judges on a coarser beat, so that windows run
out and silence is seen, and leaps over what is longer than any window.

Nothing is held but the engine's windows: a day of a fleet is read as it comes.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from heapq import merge
from typing import BinaryIO

from parkwarden.collect.limits import Tell, quiet
from parkwarden.formats import recording, scenario, unpack
from parkwarden.judge.fleet.rules import Rules
from parkwarden.judge.fuse import rank
from parkwarden.model import (
    Event,
    Finding,
    FormatError,
    InputEntry,
    LimitError,
    ParkwardenError,
    Problem,
    Report,
    Started,
    UsageError,
    Verdict,
)
from parkwarden.model.events import time_of
from parkwarden.report.compare import Checked, Comparison, FindingKey, key_of
from parkwarden.report.redact import Redactor, redact_report
from parkwarden.run.engine import TICK_S, Engine, Tick
from parkwarden.run.expectations import Expectations
from parkwarden.run.seldom import seldom_collected

IDLE_TICK_S = 60.0
"""Beat of judging through a gap."""

LONG_IDLE_TICK_S = 3_600.0
"""The same after LONG_IDLE_S of gap: only a service's age and versions still matter then."""

LONG_IDLE_S = 7_200.0

LEAP_S = 7 * 86_400.0
"""A gap longer than this is leapt over: no window looks back so far."""

MAX_STDIN_BYTES = 4 << 30
"""Standard input is kept in a file of ours while it is read: `zcat big.gz | parkwarden replay -` needs no memory."""

TELL_EVERY = 8 << 20
"""Bytes between two words of progress."""

MAX_INSTANCES = 50
"""Instances named in one finding over the whole replay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to judge by. `other` is the second set of rules of `--compare`, with the names both are shown under."""

    rules: Rules = field(default_factory=Rules)
    rules_name: str = "default rules"
    other: Rules | None = None
    other_name: str = ""
    modules: tuple[str, ...] = ()
    redact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a replay says: the report, what the other rules said, every expectation."""

    report: Report
    comparison: Comparison | None
    checked: list[Checked]
    scenarios_only: bool

    @property
    def failed(self) -> bool:
        """Whether an expectation was not met, or, where nothing was expected, whether a leak was found."""
        if any(not one.met for one in self.checked):
            return True
        expected = self.scenarios_only and bool(self.checked)
        return not expected and any(f.verdict.certain for f in self.report.findings)


class Course:
    """One engine over the whole of a replay, and the worst it ever said about each thing."""

    def __init__(self, rules: Rules, modules: tuple[str, ...] = ()) -> None:
        self.engine = Engine(rules, modules=modules)
        self.ticks = 0
        self._worst: dict[FindingKey, Finding] = {}
        self._seen: dict[FindingKey, tuple[float, float]] = {}

    def tick(self, now: float) -> Tick:
        """Judge, and remember: a finding's latest word at its worst verdict, when that was first and last reached."""
        self.ticks += 1
        tick = self.engine.tick(now)
        for finding in tick.findings:
            key = key_of(finding)
            known = self._worst.get(key)
            if known is None or finding.verdict.rank > known.verdict.rank:
                self._worst[key], self._seen[key] = finding, (now, now)
            elif finding.verdict is known.verdict:
                self._worst[key] = _with_instances(finding, known)
                self._seen[key] = (self._seen[key][0], now)
        return tick

    def findings(self) -> list[Finding]:
        """Worst first; `first_seen` and `last_seen` are virtual times of the verdict shown."""
        found = [
            replace(finding, first_seen=self._seen[key][0], last_seen=self._seen[key][1])
            for key, finding in self._worst.items()
            if finding.verdict is not Verdict.OK
        ]
        return sorted(found, key=rank)


def _with_instances(finding: Finding, before: Finding) -> Finding:
    """The finding of now with the instances it concerned before, after its own."""
    if finding.instances == before.instances:
        return finding
    both = tuple(dict.fromkeys((*finding.instances, *before.instances)))[:MAX_INSTANCES]
    return replace(finding, instances=both, instance=both[0] if len(both) == 1 else None)


def replay(files: Sequence[str], options: Options, tell: Tell = quiet, *, now: datetime | None = None) -> Replayed:
    """Judge the files. Raises FormatError, LimitError, UsageError where none of them can be judged."""
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(_opened(name)) for name in files]
        scenarios = [s for s in sources if not s.is_recording]
        recordings = [s for s in sources if s.is_recording]
        worlds: list[_World] = [_scenario_world(s, options) for s in scenarios]
        if recordings:
            worlds.append(_recording_world(recordings, options, tell))
        with seldom_collected():
            for world in worlds:
                world.run()
        entries = [entry for world in worlds for entry in world.entries()]
    findings = sorted((f for world in worlds for f in world.courses[0].findings()), key=rank)
    moment = (now or datetime.now(UTC)).isoformat(timespec="seconds").replace("+00:00", "Z")
    redactor = Redactor(enabled=options.redact)
    report = redact_report(Report(generated_at=moment, inputs=entries, findings=findings), redactor)
    comparison = None
    if options.other is not None:
        others = sorted((f for world in worlds for f in world.courses[1].findings()), key=rank)
        comparison = Comparison(
            a=options.rules_name,
            b=options.other_name,
            findings_a=report.findings,
            findings_b=[redactor.finding(finding) for finding in others],
        )
    return Replayed(
        report=report,
        comparison=comparison,
        checked=[one for world in worlds for one in world.checked()],
        scenarios_only=not recordings,
    )


# ---- files


@contextlib.contextmanager
def recordings(files: Sequence[str], tell: Tell = quiet) -> Iterator[Iterator[tuple[float, Event]]]:
    """(time, event) of these recordings as one fleet, to be read while this is open. Raises as `replay` does, also for scenarios."""
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(_opened(name)) for name in files]
        if wrong := [source.name for source in sources if not source.is_recording]:
            raise FormatError(
                "no-recording", f"{wrong[0]} is a scenario, not a recording", hint="judge it: parkwarden replay"
            )
        with seldom_collected():
            yield _merged(sources, tell)


def _merged(sources: Sequence[_Source], tell: Tell) -> Iterator[tuple[float, Event]]:
    streams = [source.events(tell) for source in sources]
    return streams[0] if len(streams) == 1 else merge(*streams, key=lambda item: item[0])


@dataclass(slots=True)
class _Source:
    """One file, mapped, and what was read of it."""

    name: str
    data: memoryview
    is_recording: bool
    problems: list[Problem] = field(default_factory=list)
    reader: recording.Reader = field(default_factory=recording.Reader)
    bytes: int = 0

    def events(self, tell: Tell) -> Iterator[tuple[float, Event]]:
        """(time, event) of a recording; what has no time of its own happens when the line before did."""
        at, told = -math.inf, 0
        pieces = unpack.streamed(self.data, self.problems)
        for piece in pieces:
            self.bytes += len(piece)
            if self.bytes - told >= TELL_EVERY:
                told = self.bytes
                plain = unpack.container(self.data) is None
                tell(f"replaying {self.name}, {self.bytes >> 20:,} MiB", self.bytes / len(self.data) if plain else None)
            for event in self.reader.feed(piece):
                at = max(at, time_of(event, at))
                yield at, event
        for event in self.reader.close():
            at = max(at, time_of(event, at))
            yield at, event


@contextlib.contextmanager
def _opened(name: str) -> Iterator[_Source]:
    """A file by name, mapped; standard input through a file of ours."""
    with contextlib.ExitStack() as stack:
        if name == "-":
            file: BinaryIO = stack.enter_context(tempfile.TemporaryFile())
            _spool(sys.stdin.buffer, file)
            name = "stdin"
        else:
            file = stack.enter_context(_open(name))
        if not os.fstat(file.fileno()).st_size:
            raise FormatError("no-recording", f"{name} is empty")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            data = memoryview(mapped)
            yield _Source(name, data, _is_recording(name, data))
        finally:
            # what still looks into the mapping while an error is under way keeps it alive, which is only memory
            with contextlib.suppress(BufferError):
                data.release()
                mapped.close()


def _open(name: str) -> BinaryIO:
    try:
        if not stat.S_ISREG(os.stat(name).st_mode):
            raise UsageError(
                "not-a-file", f"{name} is no file", hint="give a recording or a scenario, or - and pipe it in"
            )
        return open(name, "rb")
    except OSError as error:
        refusal = UsageError(
            "unreadable", f"{name} cannot be read: {error.strerror}", hint="does it exist, and may you read it?"
        )
        refusal.exit_code = ParkwardenError.exit_code
        raise refusal from None


def _spool(stream: BinaryIO, file: BinaryIO) -> None:
    size = 0
    while chunk := stream.read(1 << 20):
        size += len(chunk)
        if size > MAX_STDIN_BYTES:
            raise LimitError(
                "too-large", f"standard input has more than MAX_STDIN_BYTES = {MAX_STDIN_BYTES >> 20:,} MiB"
            )
        file.write(chunk)
    file.flush()


def _is_recording(name: str, data: memoryview) -> bool:
    """Whether it is a recording, by its first bytes; else it must be a scenario."""
    problems: list[Problem] = []
    head = next(unpack.streamed(data, problems), b"")[:4096]
    if not head.strip():
        why = problems[0].text if problems else "it is empty"
        raise FormatError("no-recording", f"{name}: {why}", hint="record one: parkwarden record URL -o FILE.jsonl.zst")
    if recording.sniff(head.lstrip(b"\xef\xbb\xbf")) or head.lstrip()[:1] == b"{":
        return True
    if b"\0" in head or len(data) > scenario.MAX_BYTES:
        raise FormatError(
            "no-recording",
            f"{name} is neither a recording (JSON lines) nor a scenario",
            hint="docs/recording.md shows both; for profiles, dumps and traces use `parkwarden diagnose`",
        )
    return False


# ---- worlds


@dataclass(slots=True, kw_only=True)
class _World:
    """One fleet on its own virtual time."""

    events: Iterator[tuple[float, Event]]
    courses: list[Course]
    sources: list[_Source]
    expectations: Expectations | None = None
    until: float = -math.inf
    kind: str = "recording"
    begin: float = math.nan
    end: float = math.nan
    count: int = 0
    instances: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Feed everything and tick in between; see the module."""
        beat = Beat(self.expectations.stops if self.expectations else [], self._tick)
        feeds = [course.engine.feed for course in self.courses]
        for at, event in self.events:
            if at > -math.inf:
                beat.before(at)
            for feed in feeds:
                feed(event)
            self.count += 1
            if isinstance(event, Started):
                self.instances.add(event.instance.id)
        beat.finish(self.until)
        self.begin, self.end = beat.begin, beat.newest

    def _tick(self, now: float) -> None:
        first, *_ = (course.tick(now) for course in self.courses)
        if self.expectations is not None:
            self.expectations.tick(first)

    def entries(self) -> list[InputEntry]:
        """A row for each file."""
        rows = []
        for source in self.sources:
            problems = [*source.problems, *source.reader.problems]
            records = source.reader.events if self.kind == "recording" else self.count
            span = max(self.end - self.begin, 0.0) if records and self.end > -math.inf else 0.0
            who = f"{len(self.instances):,} instance{'s' * (len(self.instances) != 1)}"
            why = f"{records:,} events of {who} over {_long(span)}, judged {self.courses[0].ticks:,} times"
            rows.append(
                InputEntry(
                    name=os.path.basename(source.name),
                    kind=self.kind,
                    bytes=source.bytes or len(source.data),
                    records=records,
                    problems=problems,
                    used=records > 0,
                    why=why if records else "it holds nothing that could be judged",
                )
            )
        return rows

    def checked(self) -> list[Checked]:
        return self.expectations.checked() if self.expectations else []


class Beat:
    """When to tick: on multiples of TICK_S in which something happened, at the stops, coarser through gaps."""

    def __init__(self, stops: Sequence[float], tick: Callable[[float], object]) -> None:
        self._stops = list(stops)
        self._tick = tick
        self._next: float | None = None
        self._due = -math.inf
        """The next tick or stop."""
        self.begin = math.nan
        self.newest = -math.inf

    def before(self, at: float) -> None:
        """Make all ticks that come before something that happens at `at`."""
        if self._next is None:
            self._next, self.begin = _grid(at), at
        if at > self._due:
            self._until(at, inclusive=False)
        if at > self.newest:
            self.newest = at

    def finish(self, until: float) -> None:
        """Make the ticks that are left: of what was fed last, and up to `until`."""
        if self._next is None:
            return
        last = max(_grid(self.newest), until, *self._stops)
        self._until(last, inclusive=True)

    def _until(self, at: float, *, inclusive: bool) -> None:
        assert self._next is not None
        while True:
            stop = self._stops[0] if self._stops else math.inf
            now = self._due = min(self._next, stop)
            if now > at or (now == at and not inclusive):
                return
            self._tick(now)
            if now == stop:
                self._stops.pop(0)
            if now == self._next:
                self._next = self._after(now, at)

    def _after(self, now: float, at: float) -> float:
        """The next beat: in TICK_S where something happens by then, else further on."""
        idle = now - self.newest
        if at - now > LEAP_S and idle > LONG_IDLE_S:
            return _grid(at)
        step = LONG_IDLE_TICK_S if idle > LONG_IDLE_S else IDLE_TICK_S
        return max(now + TICK_S, min(now + step, _grid(at)))


def _grid(at: float) -> float:
    """The first multiple of TICK_S that is not before `at`."""
    return math.ceil(at / TICK_S) * TICK_S


def _long(seconds: float) -> str:
    if seconds >= 7200:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 120 else f"{seconds:.0f} s"


def _courses(options: Options) -> list[Course]:
    rules = [options.rules] if options.other is None else [options.rules, options.other]
    return [Course(one, options.modules) for one in rules]


def _recording_world(sources: list[_Source], options: Options, tell: Tell) -> _World:
    return _World(events=_merged(sources, tell), courses=_courses(options), sources=sources)


def _scenario_world(source: _Source, options: Options) -> _World:
    problems: list[Problem] = []
    text = b"".join(unpack.streamed(source.data, problems))
    read = scenario.read(text, os.path.basename(source.name))
    courses = _courses(options)
    expectations = Expectations(read, courses[0].engine)

    def events() -> Iterator[tuple[float, Event]]:
        at = 0.0
        for event in read.events():
            at = time_of(event, at)
            yield at, event

    return _World(
        events=events(),
        courses=courses,
        sources=[source],
        expectations=expectations,
        until=read.ends_at,
        kind="scenario",
    )
