"""What the host tells of one process that runs on it, or in a pid namespace shared with it: limits, use, open files, connections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from parkwarden.model.artefact import Problem
from parkwarden.model.descriptors import OpenFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Cgroup:
    """The control group that limits a process; None = no limit, or not told. Bytes, processes, shares."""

    version: int
    """1 or 2."""
    path: str
    mem_limit: int | None = None
    """The lowest of the group's own and its parents'."""
    mem_high: int | None = None
    """Where the kernel begins to slow it down (v2's memory.high)."""
    mem_current: int | None = None
    mem_used: int | None = None
    """Current less the inactive page cache: what cannot simply be reclaimed."""
    pids_limit: int | None = None
    pids_current: int | None = None
    cpus: float | None = None
    """Processors' worth of time it may use (quota over period)."""
    mem_stall_share: float | None = None
    """PSI `some avg10` of memory, 0..1."""
    oom_kills: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """TCP connections of one state to one peer, as sock_diag's tcp_info tells them; None where netlink was not to be had."""

    state: str
    """ESTABLISHED, CLOSE_WAIT, LISTEN ..."""
    peer: str
    """`10.0.0.7:443`; of a listener its own address. Clients' ports are left out: `10.0.0.9`."""
    count: int
    retransmits: int | None = None
    """Segments sent again, in all."""
    unacked: int | None = None
    rtt_ms: float | None = None
    """Median smoothed round-trip time."""
    send_queue: int | None = None
    """Bytes the peer has not taken yet, in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """One look at one process. None = the host did not tell (`problems` says why)."""

    pid: int
    at: float
    """Unix seconds."""
    start_time: float | None = None
    command: str = ""
    """Its name (comm), never its arguments: they may hold secrets."""
    kinds: Mapping[str, int] | None = None
    """Open descriptors by kind (`model.descriptors.KINDS`)."""
    open_files: tuple[OpenFiles, ...] = ()
    """The same in groups, largest first, as many as are kept."""
    connections: tuple[Connections, ...] = ()
    open_fds: int | None = None
    max_fds: int | None = None
    """RLIMIT_NOFILE, soft: the one in force."""
    max_fds_hard: int | None = None
    max_processes: int | None = None
    """RLIMIT_NPROC, soft: of all processes and threads of that user."""
    unbound: bool | None = None
    """Whether RLIMIT_NPROC does not bind it: the machine's root, or who has CAP_SYS_RESOURCE or CAP_SYS_ADMIN there (kernel/fork.c)."""
    max_memory: int | None = None
    """RLIMIT_AS, soft, bytes."""
    threads: int | None = None
    threads_system: int | None = None
    """kernel.threads-max."""
    rss: int | None = None
    cgroup: Cgroup | None = None
    took_s: float = 0.0
    problems: tuple[Problem, ...] = field(default=())

    @property
    def max_threads(self) -> int | None:
        """The nearest limit at which the kernel refuses another thread."""
        own = None if self.unbound else self.max_processes
        limits = (own, self.threads_system, self.cgroup.pids_limit if self.cgroup else None)
        return min((n for n in limits if n is not None), default=None)
