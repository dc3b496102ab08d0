"""Real limits for a lab's service: open files and processes by prlimit(2), memory by a cgroup of its own where one can be made.

    with memory_group("oom", 96 << 20) as group:             # None where this machine lets no group be made
        service = start_service(..., into=group)
        lower(service.pid, files=160)

A memory cgroup needs a writable hierarchy (root, or a delegated one): v1's memory controller, else v2 with the memory controller handed
down. What the kernel kills in it is a real OOM kill. Nothing is left behind: processes still in a group are killed, the group is removed.
Source: Documentation/admin-guide/cgroup-v1/memory.rst, cgroup-v2.rst of Linux; prlimit(2).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from parkwarden.model.errors import UsageError

CGROUPS = Path("/sys/fs/cgroup")
PREFIX = "parkwarden-lab-"
EMPTY_S = 5.0
"""Killed processes have left their group by then."""
POLL_S = 0.02
_JOIN = 'echo $$ > "$0" && exec "$@"'
"""A shell that enters a group and becomes the program, so that every page of it is counted."""


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """A memory cgroup of our own. `kind` says which: "memory cgroup v1" or "memory cgroup v2"."""

    folder: Path
    kind: str
    limit: int

    def wrap(self, command: Sequence[str]) -> list[str]:
        """The command that runs `command` inside the group, under the same pid."""
        return ["/bin/sh", "-c", _JOIN, str(self.folder / "cgroup.procs"), *command]

    def oom_kills(self) -> int:
        """Processes the kernel has killed here for memory."""
        name = "memory.oom_control" if self.kind.endswith("v1") else "memory.events"
        with contextlib.suppress(OSError, ValueError):
            for line in (self.folder / name).read_text().splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
        return 0

    def close(self) -> None:
        """Kill who is still inside, and remove the group. Idempotent."""
        until = time.monotonic() + EMPTY_S
        while self.folder.exists():
            with contextlib.suppress(OSError, ValueError):
                for pid in (self.folder / "cgroup.procs").read_text().split():
                    os.kill(int(pid), signal.SIGKILL)
            try:
                self.folder.rmdir()
            except OSError:
                if time.monotonic() > until:
                    return
                time.sleep(POLL_S)


@contextlib.contextmanager
def memory_group(name: str, limit: int, root: Path = CGROUPS) -> Iterator[MemoryGroup | None]:
    """A group limited to so many bytes for the block, None where this machine lets none be made."""
    group = _made(f"{PREFIX}{name}-{os.getpid()}-{time.monotonic_ns() % 10**9}", limit, root)
    try:
        yield group
    finally:
        if group is not None:
            group.close()


def _made(name: str, limit: int, root: Path) -> MemoryGroup | None:
    for parent, kind, files in (
        (root / "memory", "memory cgroup v1", {"memory.limit_in_bytes": limit}),
        (_own_v2(root), "memory cgroup v2", {"memory.max": limit, "memory.swap.max": 0}),
        (root, "memory cgroup v2", {"memory.max": limit, "memory.swap.max": 0}),
    ):
        group = MemoryGroup(parent / name, kind, limit)
        try:
            group.folder.mkdir()
        except OSError:
            continue
        first = True
        try:
            for file, value in files.items():
                if first or (group.folder / file).exists():  # no swap controller: nothing to forbid
                    (group.folder / file).write_text(str(value))
                first = False
        except OSError:
            group.close()
            continue
        return group
    return None


def _own_v2(root: Path) -> Path:
    """The parent of our own group in a v2 hierarchy: where a sibling of ours would be."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::/"):
                return (root / line[4:]).parent if line[4:] else root
    return root


def lower(pid: int, *, files: int | None = None, processes: int | None = None) -> None:
    """Lower a running process's limits, soft and hard, from outside: Go raises a soft limit to the hard one at its start.

    `processes` (RLIMIT_NPROC) counts a user's tasks and does not bind root. Raises UsageError where the system has no prlimit.
    """
    try:
        import resource

        prlimit = resource.prlimit
    except (ImportError, AttributeError):  # macOS, BSD
        raise UsageError("lab-unsupported", "lowering a process's limits needs Linux (prlimit)") from None
    if files is not None:
        prlimit(pid, resource.RLIMIT_NOFILE, (files, files))
    if processes is not None:
        prlimit(pid, resource.RLIMIT_NPROC, (processes, processes))
