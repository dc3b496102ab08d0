"""Open descriptors of one process by kind and in groups: one readlink each, nothing is opened and nothing stat-ed.

Source: fs/proc/fd.c: proc_readfd, proc_fd_getattr (Linux 6.2+: the directory's size is the number of descriptors, told to anybody),
fs/d_path.c (` (deleted)`), fs/anon_inodes.c: the names of what has none.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

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

    count: int
    kinds: Counter[str]
    groups: Counter[tuple[str, str]]
    """By (kind, what), without sockets."""
    examples: dict[tuple[str, str], str]
    inodes: list[int]
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
    """All descriptors of a process; None where that is refused. One that was closed meanwhile is none.

    Who is of the same user but may not trace the process (another container's root, one that is not dumpable) may list the numbers and read
    no link: fs/proc/base.c: proc_fd_access_allowed. That is a refusal too, not a process without descriptors.
    """
    path = proc.path(pid, "fd")
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        proc.refused(path, error)
        return None
    targets: list[str] = []
    try:
        try:
            names = os.listdir(folder)
        except OSError as error:
            proc.refused(path, error)
            return None
        for name in names[:MAX_FDS]:
            try:
                targets.append(os.readlink(name, dir_fd=folder))
            except FileNotFoundError:
                continue
            except PermissionError as error:
                proc.refused(f"{path}/*", error)
                return None
            except OSError:  # a path longer than a page is ENAMETOOLONG: open it is nevertheless
                targets.append("unreadable:")
    finally:
        os.close(folder)
    found = sorted_out(targets)
    if len(names) > MAX_FDS:
        found.kinds["other"] += len(names) - MAX_FDS
        found.groups["other", "not looked at"] += len(names) - MAX_FDS
        text = f"{len(names):,} descriptors: beyond MAX_FDS = {MAX_FDS:,} they were only counted"
        proc.problems.append(Problem("too-many", path, text))
        found.count = len(names)
    return found


def sorted_out(targets: Iterable[str]) -> Opened:
    """Links' targets by kind and group."""
    groups: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    inodes: list[int] = []
    pipes = 0
    for target in targets:
        if target.startswith("socket:["):
            number = target[8:-1]
            inodes.append(int(number) if number.isascii() and number.isdecimal() else 0)
        elif target.startswith("pipe:["):
            pipes += 1
            if pipes == 1:
                examples["pipe", "pipe"] = _shown(target)
        else:
            key = place(target)
            groups[key] += 1
            if groups[key] == 1:
                examples[key] = _shown(target)
    if pipes:
        groups["pipe", "pipe"] = pipes
    kinds: Counter[str] = Counter({"socket": len(inodes)} if inodes else {})
    for (kind, _what), number_of in groups.items():
        kinds[kind] += number_of
    return Opened(sum(kinds.values()), kinds, groups, examples, inodes)


@lru_cache(maxsize=4096)
def place(target: str) -> tuple[str, str]:
    """(kind, group) of what a link in /proc/PID/fd points to: `/tmp/up-1 (deleted)` -> (deleted-file, /tmp)."""
    if target.startswith("pipe:["):
        return "pipe", "pipe"
    if target.startswith("socket:["):
        return "socket", "socket"
    if target.startswith("anon_inode:"):
        name = target[11:].strip("[]").partition(":")[0]
        return _ANONYMOUS.get(name, "other"), _shown(name)
    if target.startswith("pidfd:["):  # Linux 6.9 and later: a filesystem of its own
        return "pidfd", "pidfd"
    if target.startswith("/memfd:"):
        return "other", "memfd"
    if not target.startswith("/"):
        return "other", _shown(target.partition(":")[0])
    if target.endswith(_DELETED):
        return "deleted-file", _folder(target.removesuffix(_DELETED))
    if target.startswith("/dev/") and not target.startswith(("/dev/shm/", "/dev/mqueue/")):
        return "device", _shown(target)
    return "file", _folder(target)


def _folder(path: str) -> str:
    return _shown(path.rpartition("/")[0]) or "/"


def _shown(text: str) -> str:
    """Bounded, and such that it can be written: names are bytes that need not be text."""
    return text[:MAX_EXAMPLE].encode("utf-8", "backslashreplace").decode()


def grouped(found: Opened, known: Mapping[int, Socket]) -> tuple[tuple[OpenFiles, ...], int]:
    """Groups, largest first, at most MAX_GROUPS; and how many groups were left out."""
    groups = Counter(found.groups)
    examples = dict(found.examples)
    alike: dict[tuple[str, str, str], list[Socket]] = {}
    for inode in found.inodes:
        one = known.get(inode, UNKNOWN)
        alike.setdefault((one.protocol, one.state, one.peer), []).append(one)
    for many in alike.values():
        one = many[0]
        key = "socket", one.what
        groups[key] += len(many)
        examples[key] = f"{one.local} -> {one.remote}" if one.remote and one.local != one.remote else one.local
    ranked = sorted(groups.items(), key=lambda item: (-item[1], item[0]))
    kept = tuple(OpenFiles(kind, what, n, examples.get((kind, what), "")) for (kind, what), n in ranked[:MAX_GROUPS])
    return kept, max(0, len(ranked) - MAX_GROUPS)
