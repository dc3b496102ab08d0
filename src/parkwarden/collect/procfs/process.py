"""One look of the host at one process: everything /proc tells of it, as a `Local`. Nothing is sent to the process, nothing stops it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import lru_cache

from parkwarden.collect.procfs import descriptors, tcp, texts
from parkwarden.collect.procfs.cgroups import cgroup
from parkwarden.collect.procfs.files import Proc
from parkwarden.collect.procfs.sockets import sockets
from parkwarden.model.artefact import Problem, Reading
from parkwarden.model.descriptors import OpenFiles
from parkwarden.model.errors import UnreachableError
from parkwarden.model.local import Connections, Local

MAX_COMMAND = 64
"""Characters kept of a process's name (the kernel's own limit is 15)."""

_EXEMPT = 1 << 24 | 1 << 21
"""CAP_SYS_RESOURCE and CAP_SYS_ADMIN (include/uapi/linux/capability.h)."""

ENDED = ("Z", "X", "x")
"""States of a process that has ended: it holds nothing any more."""


def look(
    pid: int,
    *,
    at: float | None = None,
    files: bool = True,
    sockets: bool = True,
    tcp_info: bool = True,
    root: str = "/proc",
) -> Local:
    """What the host tells of a process now.

    `files`: descriptors by kind, else only how many there are. `sockets`: their state and peer (reads the tables of the network
    namespace). `tcp_info`: what netlink tells of connections. `at`: the time it is dated by, Unix seconds. `root`: the proc filesystem.
    Raises UnreachableError (`no-procfs`, `no-such-process`) where there is nothing to look at; any part that is refused is a problem.
    """  # fmt: skip
    began = time.perf_counter()
    proc = Proc(root)
    name, ticks = _identity(proc, pid)
    limits = texts.limits(proc.text(proc.path(pid, "limits")) or "")
    told = proc.text(proc.path(pid, "status")) or ""
    status = texts.numbers(told)
    opened = _open_files(proc, pid, sockets, tcp_info) if files else _Files(count=descriptors.count(proc, pid))
    group = cgroup(proc, pid)
    system = texts.number(proc.text(proc.path("sys/kernel/threads-max"), wanted=False))
    soft, hard = limits.get("Max open files", (None, None))
    if _still(proc, pid) != ticks:
        raise gone(pid, "it ended while it was looked at")
    return Local(
        pid=pid,
        at=time.time() if at is None else at,
        start_time=_started(proc, ticks),
        command=name[:MAX_COMMAND],
        kinds=opened.kinds,
        open_files=opened.groups,
        connections=opened.connections,
        open_fds=opened.count,
        max_fds=soft,
        max_fds_hard=hard,
        max_processes=limits.get("Max processes", (None, None))[0],
        unbound=_unbound(proc, pid, status.get("Uid"), texts.capabilities(told)),
        max_memory=limits.get("Max address space", (None, None))[0],
        threads=status.get("Threads"),
        threads_system=system,
        rss=None if (kib := status.get("VmRSS")) is None else kib << 10,
        cgroup=group,
        took_s=time.perf_counter() - began,
        problems=tuple(proc.problems),
    )


def reading(local: Local) -> Reading:
    """The cheap numbers among them, as a fleet's judges read them."""
    group = local.cgroup
    told = {
        "at": local.at,
        "open_fds": local.open_fds,
        "max_fds": local.max_fds,
        "threads": local.threads,
        "max_threads": local.max_threads,
        "rss": local.rss,
        "start_time": local.start_time,
        "mem_limit": group.mem_limit if group else None,
        "mem_used": group.mem_used if group else None,
        "mem_stall_share": group.mem_stall_share if group else None,
        "oom_kills": group.oom_kills if group else None,
    }
    return Reading.of({key: value for key, value in told.items() if value is not None})


def gone(pid: int, why: str) -> UnreachableError:
    """A process that is not there (any more)."""
    return UnreachableError(
        "no-such-process", f"there is no process {pid}: {why}",
        hint="ps -e lists those of this pid namespace; in a container share the pod's (shareProcessNamespace) or the host's (hostPID)",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Files:
    count: int | None = None
    kinds: dict[str, int] | None = None
    groups: tuple[OpenFiles, ...] = ()
    connections: tuple[Connections, ...] = ()


def _open_files(proc: Proc, pid: int, tables: bool, tcp_info: bool) -> _Files:
    opened = descriptors.opened(proc, pid)
    if opened is None:
        return _Files(count=descriptors.count(Proc(proc.root), pid))  # newer kernels tell the number to anybody
    wanted = frozenset(opened.inodes)
    asked = tcp.ask(proc, pid, wanted) if tables and tcp_info and wanted else None
    known = sockets(proc, pid, wanted, asked) if tables else {}
    connections = tcp.connections(
        ((i, one.state, one.peer) for i, one in known.items() if one.protocol == "tcp"), asked
    )
    groups, left_out = descriptors.grouped(opened, known)
    if left_out:
        text = f"{left_out:,} groups beyond MAX_GROUPS = {descriptors.MAX_GROUPS} were left out, the smallest ones"
        proc.problems.append(Problem("groups-left-out", proc.path(pid, "fd"), text))
    return _Files(opened.count, dict(opened.kinds), groups, connections)


def _unbound(proc: Proc, pid: int, uid: int | None, capabilities: int) -> bool | None:
    """Only rights in the machine's own user namespace count, which maps all ids to themselves; in any other nobody is exempt."""
    ids = proc.text(proc.path(pid, "uid_map"), wanted=False)
    if uid is None or ids is None:
        return None
    return ids.split() == ["0", "0", "4294967295"] and (uid == 0 or bool(capabilities & _EXEMPT))


def _identity(proc: Proc, pid: int) -> tuple[str, int]:
    """(name, start in ticks). Raises UnreachableError."""
    try:
        with open(proc.path(pid, "stat"), "rb") as file:
            told = texts.stat(file.read(4096).decode("utf-8", "backslashreplace"))
    except (FileNotFoundError, ProcessLookupError):
        if not os.path.exists(proc.path("self", "stat")):
            raise UnreachableError(
                "no-procfs", f"there is no proc filesystem at {proc.root}",
                hint="this needs Linux; in a container mount the host's and give it with --proc /host/proc",
            ) from None  # fmt: skip
        raise gone(pid, "it has ended, is in another pid namespace, or hidden by hidepid") from None
    except PermissionError as error:
        raise UnreachableError(
            "process-denied", f"process {pid} may not be looked at", context=str(error.strerror),
            hint="run as root or as the user of that process; in a container with CAP_SYS_PTRACE",
        ) from None  # fmt: skip
    if told is None:
        raise gone(pid, "its stat file cannot be read")
    name, state, ticks = told
    if state in ENDED:
        raise gone(pid, "it has ended, and its parent has not waited for it (a zombie)")
    return name, ticks


def _still(proc: Proc, pid: int) -> int | None:
    """Start in ticks of who has the pid now."""
    told = texts.stat(proc.text(proc.path(pid, "stat"), wanted=False) or "")
    return told[2] if told and told[1] not in ENDED else None


def _started(proc: Proc, ticks: int) -> float | None:
    boot = _boot_time(proc.root)
    return None if boot is None else boot + ticks / os.sysconf("SC_CLK_TCK")


@lru_cache(maxsize=4)
def _boot_time(root: str) -> int | None:
    """Read once: /proc/stat is long on large machines, and the boot does not change."""
    return texts.boot_time(Proc(root).text(f"{root}/stat", wanted=False) or "")
