"""What the tuner is told: the limits in force, their use over some looks, the servers found in source."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

GO_GOGC = 100
"""GOGC where nobody set it, percent (runtime/mgcpacer.go: readGOGC)."""


class State(StrEnum):
    """How well a setting is known."""

    TOLD = "told"
    NONE = "none"
    """Known to be no limit at all."""
    DEFAULT = "default"
    """Not seen; what Go does where nobody sets it."""
    HIDDEN = "hidden"
    """Not visible from here."""


class Unit(StrEnum):
    """What a number counts."""

    THREADS = "threads"
    DESCRIPTORS = "descriptors"
    BYTES = "bytes"
    PERCENT = "percent"
    PROCESSORS = "processors"
    SECONDS = "seconds"


SETTINGS: Mapping[str, tuple[Unit, str]] = {
    "process-limit": (Unit.THREADS, "RLIMIT_NPROC (ulimit -u): processes and threads of the whole user"),
    "pids-limit": (Unit.THREADS, "pids.max of the control group (TasksMax): processes and threads of the group"),
    "threads-system": (Unit.THREADS, "kernel.threads-max: threads of the whole machine"),
    "go-max-threads": (Unit.THREADS, "debug.SetMaxThreads: Go ends the process beyond"),
    "fd-limit": (Unit.DESCRIPTORS, "RLIMIT_NOFILE soft (ulimit -n)"),
    "fd-limit-hard": (Unit.DESCRIPTORS, "RLIMIT_NOFILE hard"),
    "memory-limit": (Unit.BYTES, "memory.max of the control group: the kernel kills beyond"),
    "memory-high": (Unit.BYTES, "memory.high: the kernel slows the group down beyond"),
    "address-space": (Unit.BYTES, "RLIMIT_AS (ulimit -v): address space, not memory"),
    "gomemlimit": (Unit.BYTES, "GOMEMLIMIT: the garbage collector works harder beyond"),
    "gogc": (Unit.PERCENT, "GOGC: how much the heap may grow before the next collection"),
    "cpus": (Unit.PROCESSORS, "CPU quota of the control group"),
    "gomaxprocs": (Unit.PROCESSORS, "GOMAXPROCS: threads that run Go code at once"),
}
"""Every setting the tuner knows but the servers' timeouts, which stand in `Server`: unit, and what it is."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `value` is None where hidden, infinite where there is no limit; `source` is who told it."""

    name: str
    value: float | None = None
    state: State = State.HIDDEN
    source: str = ""

    @property
    def unit(self) -> Unit:
        return SETTINGS[self.name][0]


def told(name: str, value: float, source: str) -> Setting:
    """A setting that was seen; infinite = no limit."""
    return Setting(name, value, State.TOLD if math.isfinite(value) else State.NONE, source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The timeouts of one http.Server, seconds: 0 = never (Go's zero value), None = set to what only running tells.

    `where` is `main.go:31`; `literal` False for http.ListenAndServe and its like, which have no timeout at all.
    """

    where: str
    literal: bool = True
    read_header_s: float | None = 0.0
    read_s: float | None = 0.0
    write_s: float | None = 0.0
    idle_s: float | None = 0.0

    @property
    def header_in_force_s(self) -> float | None:
        """net/http/server.go: Server.readHeaderTimeout: ReadTimeout stands in for zero; negative is never."""
        return _in_force(self.read_header_s, self.read_s)

    @property
    def idle_in_force_s(self) -> float | None:
        """net/http/server.go: Server.idleTimeout: ReadTimeout stands in for zero; negative is never."""
        return _in_force(self.idle_s, self.read_s)


def _in_force(own: float | None, read: float | None) -> float | None:
    if own is None:
        return None
    chosen = own if own != 0 else read
    return None if chosen is None else max(chosen, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The use at one time; None = not told. Counts and bytes."""

    at: float
    """Seconds."""
    descriptors: int | None = None
    threads: int | None = None
    user_threads: int | None = None
    """Of all processes of the same user that can be seen: what RLIMIT_NPROC counts."""
    group_threads: int | None = None
    """Of the control group: what pids.max counts."""
    system_threads: int | None = None
    memory: int | None = None
    """What counts against the control group's limit and cannot be reclaimed; else the resident set."""
    address_space: int | None = None
    """Mapped, touched or not: what RLIMIT_AS counts."""
    go_memory: int | None = None
    """What counts against GOMEMLIMIT: all that Go's runtime has from the system and has not given back."""
    heap: int | None = None
    """Heap in use and stacks, bytes."""
    next_gc: int | None = None
    goroutines: int | None = None
    connections: int | None = None
    """That the service serves: busy and idle ones."""
    requests: int | None = None
    """In flight, without our own look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that is known. `looks` in order of time, at least one; the last is the present."""

    settings: Mapping[str, Setting]
    looks: tuple[Look, ...]
    go: tuple[int, int] | None = None
    """Go's version: (1, 27)."""
    root: bool | None = None
    """Whether the process runs as the machine's root, whom RLIMIT_NPROC does not bind; None = not known."""
    servers: tuple[Server, ...] = ()
    source_read: bool = False
    """Whether source was searched: no servers then means that none were found."""
    stalled: int | None = None
    """Goroutines seen waiting a minute or longer for a connection's bytes (IO wait); None = not looked for."""
    load: int | None = None
    """Concurrent requests asked about."""
    peer_keepalive_s: float | None = None
    """How long balancers or clients keep an idle connection before they close it themselves."""
    local: bool = True

    @property
    def now(self) -> Look:
        return self.looks[-1]

    def value(self, name: str) -> float | None:
        """A setting's value: None = not visible, infinite = none."""
        setting = self.settings.get(name)
        return setting.value if setting is not None else None

    def seen(self, name: str) -> bool:
        """Whether somebody told it, limit or none; a default of Go is not seen."""
        setting = self.settings.get(name)
        return setting is not None and setting.state in (State.TOLD, State.NONE)

    def limit(self, name: str) -> float | None:
        """A finite, positive limit, else None."""
        value = self.value(name)
        return value if value is not None and math.isfinite(value) and value > 0 else None

    def with_values(self, values: Mapping[str, float], **other: object) -> Facts:
        """The same with other settings, as if they were in force."""
        return replace(
            self,
            settings={**self.settings, **{name: told(name, value, "proposed") for name, value in values.items()}},
            **other,  # type: ignore[arg-type]
        )

    def threads_limit(self) -> tuple[str, float] | None:
        """The nearest limit at which the kernel refuses this process a thread, less what others hold: (name, threads)."""
        now = self.now
        counted = {
            "process-limit": now.user_threads,
            "pids-limit": now.group_threads,
            "threads-system": now.system_threads,
        }
        rooms = [
            (name, limit - max((all_of_them or 0) - (now.threads or 0), 0))
            for name, all_of_them in counted.items()
            if (limit := self.limit(name)) is not None and not (name == "process-limit" and self.root)
        ]
        return min(rooms, key=lambda one: one[1], default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a kind of service needs: the map's three numbers, and what stands in where nothing was measured.

    `process_limit` is `ulimit -u`, `max_threads` debug.SetMaxThreads, `timeout_s` the server's timeouts.
    """

    name: str
    what: str
    process_limit: int
    max_threads: int
    timeout_s: float
    streaming: bool
    fds_per_request: float
    """Assumed where nothing is measured."""
    disagrees: tuple[str, ...] = field(default=())
    """Where these numbers and Go do not agree."""
