"""Open descriptors of one process by kind and in groups: one readlink each, nothing is opened and nothing stat-ed.

Source: fs/proc/fd.c: proc_readfd, proc_fd_getattr (Linux 6.2+: the directory's size is the number of descriptors, told to anybody),
fs/d_path.c (` (deleted)`), fs/anon_inodes.c: the names of what has none.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from parkwarden.collect.procfs.files import Proc
from parkwarden.collect.procfs.sockets import UNKNOWN, Socket
from parkwarden.model.artefact import Problem
from parkwarden.model.descriptors import OpenFiles

MAX_FDS = 200_000
"""Descriptors looked at one by one: some 2 us each of our time. Of more than that the rest is only counted (kind `other`)."""
MAX_GROUPS = 200
"""Groups kept, largest first: a report shows dozens; a proxy may have a peer per client."""
MAX_EXAMPLE = 300
"""Characters kept of a path: the kernel allows 4,096, and whoever names files may fill them."""

_ANONYMOUS = {
    "eventpoll": "eventpoll", "eventfd": "eventfd", "inotify": "inotify", "timerfd": "timerfd", "pidfd": "pidfd", "fanotify": "inotify",
}  # fmt: skip
_DELETED = " (deleted)"


@dataclass(slots=True)
class Opened:
    """What the descriptors point to; sockets are told apart later (`grouped`), when their tables were read."""

    count: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    groups: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By (kind, what), without sockets."""
    examples: dict[tuple[str, str], str] = field(default_factory=dict)
    inodes: list[int] = field(default_factory=list)
    """Of sockets, one per descriptor."""


def count(proc: Proc, pid: int) -> int | None:
    """How many are open: from the directory's size where the kernel tells it (that needs no permission), else by listing it."""
    path = proc.path(pid, "fd")
    try:
        return os.stat(path).st_size or len(os.listdir(path))
    except OSError as error:
        proc.refused(path, error)
        return None


def opened(proc: Proc, pid: int) -> Opened | None:
    """All descriptors of a process; None where that is refused. One that was closed meanwhile is none."""
    path = proc.path(pid, "fd")
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        proc.refused(path, error)
        return None
    found = Opened()
    refused: OSError | None = None
    try:
        try:
            names = os.listdir(folder)
        except OSError as error:
            proc.refused(path, error)
            return None
        for name in names[:MAX_FDS]:
            try:
                _add(found, os.readlink(name, dir_fd=folder))
            except FileNotFoundError:
                continue
            except OSError as error:
                refused = error
    finally:
        os.close(folder)
    if refused is not None:
        proc.refused(f"{path}/*", refused)
    if len(names) > MAX_FDS:
        found.kinds["other"] += len(names) - MAX_FDS
        found.groups["other", "not looked at"] += len(names) - MAX_FDS
        text = f"{len(names):,} descriptors: beyond MAX_FDS = {MAX_FDS:,} they were only counted"
        proc.problems.append(Problem("too-many", path, text))
    found.count = sum(found.kinds.values())
    return found


def _add(found: Opened, target: str) -> None:
    if target.startswith("socket:["):
        found.kinds["socket"] += 1
        found.inodes.append(int(target[8:-1]) if target[8:-1].isdecimal() else 0)
        return
    kind, what = place(target)
    found.kinds[kind] += 1
    key = kind, what
    found.groups[key] += 1
    if found.groups[key] == 1:
        found.examples[key] = target.encode("utf-8", "backslashreplace").decode()[:MAX_EXAMPLE]


def place(target: str) -> tuple[str, str]:
    """(kind, group) of what a link in /proc/PID/fd points to: `/tmp/up-1 (deleted)` -> (deleted-file, /tmp)."""
    if target.startswith("pipe:["):
        return "pipe", "pipe"
    if target.startswith("socket:["):
        return "socket", "socket"
    if target.startswith("anon_inode:"):
        name = target[11:].strip("[]").partition(":")[0]
        return _ANONYMOUS.get(name, "other"), name[:MAX_EXAMPLE].encode("utf-8", "backslashreplace").decode()
    if target.startswith("pidfd:["):  # Linux 6.9 and later: a filesystem of its own
        return "pidfd", "pidfd"
    if target.startswith("/memfd:"):
        return "other", "memfd"
    if target.startswith("/"):
        gone = target.endswith(_DELETED)
        path = (target.removesuffix(_DELETED) if gone else target).encode("utf-8", "backslashreplace").decode()
        folder = path.rpartition("/")[0][:MAX_EXAMPLE] or "/"
        if gone:
            return "deleted-file", folder
        if path.startswith("/dev/") and not path.startswith(("/dev/shm/", "/dev/mqueue/")):
            return "device", path[:MAX_EXAMPLE]
        return "file", folder
    return "other", target.partition(":")[0][:MAX_EXAMPLE].encode("utf-8", "backslashreplace").decode()


def grouped(found: Opened, known: Mapping[int, Socket]) -> tuple[tuple[OpenFiles, ...], int]:
    """Groups, largest first, at most MAX_GROUPS; and how many groups were left out."""
    groups = Counter(found.groups)
    examples = dict(found.examples)
    for inode in found.inodes:
        one = known.get(inode, UNKNOWN)
        key = "socket", one.what
        groups[key] += 1
        if groups[key] == 1:
            examples[key] = f"{one.local} -> {one.remote}" if one.remote and one.local != one.remote else one.local
    ranked = sorted(groups.items(), key=lambda item: (-item[1], item[0]))
    kept = tuple(OpenFiles(kind, what, n, examples.get((kind, what), "")) for (kind, what), n in ranked[:MAX_GROUPS])
    return kept, max(0, len(ranked) - MAX_GROUPS)
