"""Artefacts: what one input turned out to be, and everything it testifies to."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from parkwarden.model.snapshot import Ints, Snapshot
from parkwarden.model.stack import Frame, Stack
from parkwarden.model.timeline import Timeline


class Kind(StrEnum):
    """Kinds of artefact, in the words of the report schema."""

    GOROUTINE_DUMP = "goroutine-dump"
    GOROUTINE_PROFILE = "goroutine-profile"
    GOROUTINELEAK_PROFILE = "goroutineleak-profile"
    HEAP_PROFILE = "heap-profile"
    ALLOCS_PROFILE = "allocs-profile"
    CPU_PROFILE = "cpu-profile"
    BLOCK_PROFILE = "block-profile"
    MUTEX_PROFILE = "mutex-profile"
    THREADCREATE_PROFILE = "threadcreate-profile"
    OTHER_PROFILE = "other-profile"
    TRACE = "trace"
    EXPVAR = "expvar"
    METRICS = "metrics"
    CRASH_LOG = "crash-log"
    KERNEL_LOG = "kernel-log"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in an input that could not be read; it costs one record, not the file.

    `code` is stable kebab-case (`truncated-record`), `where` a line or byte offset (`line 12`, `byte 4096`, `` = the
    whole input), `text` a sentence with a short snippet.
    """

    code: str
    where: str
    text: str


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """What is known of the program: Go's version, the main module's path and the other modules'."""

    go_version: str = ""
    main_module: str = ""
    modules: tuple[str, ...] = ()
    binary: str = ""


@dataclass(slots=True, kw_only=True)
class Profile:
    """A pprof profile: samples over stacks.

    `values` has shape (samples, sample types), int64, in the units of `sample_types`; `stack` and `label` index the
    tables; `labels[0]` is the empty set.
    """

    sample_types: list[tuple[str, str]]
    stacks: list[Stack]
    stack: Ints
    values: Ints
    labels: list[dict[str, str]]
    label: Ints
    period_type: tuple[str, str] = ("", "")
    period: int = 0
    time_nanos: int = 0
    duration_nanos: int = 0
    binary: str = ""
    build_id: str = ""
    comments: tuple[str, ...] = ()

    def column(self, sample_type: str) -> Ints | None:
        """Values of one sample type (`inuse_space`), shape (samples,), or None if the profile has none."""
        for i, (name, _unit) in enumerate(self.sample_types):
            if name == sample_type:
                return self.values[:, i]
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """One `go` statement seen from one call chain during a trace."""

    stack: Stack
    """Where the `go` statement ran: `frames[0]` holds it."""
    start: Frame
    """The function the new goroutines run."""
    count: int
    first_s: float
    last_s: float
    """Seconds from the trace's begin of the first and last creation."""
    peak_per_s: float
    """Most created within any one bin of the trace, per second."""
    alive: int
    """How many of them had not ended when the trace did."""
    parents: int = 0
    """Distinct goroutines that ran the statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """What goroutines waited for at one stack during a trace."""

    stack: Stack
    reason: str
    count: int
    total_s: float
    max_s: float
    open: int
    """Waits that had not ended when the trace did (their time up to the end is in `total_s`)."""


@dataclass(slots=True, kw_only=True)
class Trace:
    """An execution trace, summed up; times in seconds from its begin."""

    version: str
    """The header's, e.g. "1.26" (Go 1.27 writes it too)."""
    duration_s: float
    started_at: float | None
    events: int
    generations: int
    created: int
    ended: int
    creations: list[Creation]
    waits: list[Wait]
    census: Snapshot | None
    """All goroutines alive at the end, None where the trace's version tells no stacks at all."""
    created_per_s: Ints | tuple[int, ...] = ()
    """Creations in each of equal bins over the trace, for drawing."""
    timeline: Timeline | None = None
    """Over time in fine bins, where that was asked for; its creations are the first of `creations`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """Why a process died, as its log (or the kernel's) tells."""

    cause: str
    """stack-overflow, out-of-memory, concurrent-map, deadlock, thread-limit, nil-dereference, panic, signal, oom-kill,
    fatal-error."""
    message: str
    goid: int | None = None
    stack: Stack | None = None
    cycle: tuple[Frame, ...] = ()
    """For recursion: the frames of one round, leaf first."""
    rounds: int = 0
    """How often the cycle repeats in the frames shown (elided ones not counted)."""
    where: str = ""
    details: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Reading:
    """The cheap numbers of one instance at one time; None = not told. Bytes, seconds, counts.

    `gc_cpu_fraction` is an average since the process began (runtime.MemStats.GCCPUFraction), never a rate.
    No slots: what is not told is the class's None, so that a reading costs what it tells (`of`).
    """

    at: float | None = None
    goroutines: int | None = None
    blocked: int | None = None
    """Goroutines that wait for something (/sched/goroutines/waiting, Go 1.26 and later)."""
    heap_alloc: int | None = None
    heap_inuse: int | None = None
    heap_idle: int | None = None
    heap_objects: int | None = None
    stack_inuse: int | None = None
    sys: int | None = None
    total_alloc: int | None = None
    next_gc: int | None = None
    num_gc: int | None = None
    last_gc_at: float | None = None
    gc_cpu_fraction: float | None = None
    gc_cpu_s: float | None = None
    cpu_s: float | None = None
    open_fds: int | None = None
    max_fds: int | None = None
    threads: int | None = None
    max_threads: int | None = None
    """Threads at which the system refuses another: the cgroup's pids.max, RLIMIT_NPROC, threads-max; Go's own 10,000 is no part of it."""
    gomaxprocs: int | None = None
    rss: int | None = None
    mem_limit: int | None = None
    mem_used: int | None = None
    """What counts against the memory limit and cannot be reclaimed: of a cgroup its use less the inactive page cache."""
    mem_stall_share: float | None = None
    """Share of the last 10 s in which something waited for memory (PSI `some avg10`), 0..1."""
    oom_kills: int | None = None
    """Processes of the cgroup the kernel has killed for memory, since the cgroup began."""
    requests_total: int | None = None
    start_time: float | None = None
    go_version: str | None = None

    @classmethod
    def of(cls, told: dict[str, Any]) -> Reading:
        """A reading of checked values by field, which become its own; a fleet-day has millions, and naming each field that was not told costs
        five times as much."""
        reading = cls.__new__(cls)
        object.__setattr__(reading, "__dict__", told)
        return reading


@dataclass(slots=True, kw_only=True)
class Artefact:
    """One input, read. One input may testify to several things: a crash log holds a dump and a cause."""

    name: str
    kind: Kind
    size: int
    """Bytes, after unpacking."""
    records: int = 0
    problems: list[Problem] = field(default_factory=list)
    snapshot: Snapshot | None = None
    profile: Profile | None = None
    trace: Trace | None = None
    reading: Reading | None = None
    crashes: list[Crash] = field(default_factory=list)
    build: BuildInfo | None = None
    taken_at: float | None = None
    """Unix seconds the artefact itself tells (or the collector knows), None otherwise."""
    lost: int = 0
    """Records known to be damaged or missing."""


@dataclass(frozen=True, slots=True)
class LookCost:
    """The price of one look at a live service; None where it was not taken, and `note` says why."""

    what: str
    took_s: float | None = None
    bytes: int | None = None
    """As they came over the wire."""
    note: str = ""
