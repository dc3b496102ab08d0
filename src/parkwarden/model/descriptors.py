"""File descriptors: what kinds there are, and groups of those that are open alike."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = (
    "socket",
    "pipe",
    "file",
    "deleted-file",
    "eventpoll",
    "eventfd",
    "inotify",
    "timerfd",
    "pidfd",
    "device",
    "other",
)
"""Kinds of open descriptors, as /proc/PID/fd tells them; `deleted-file` is one that has no name any more (a temporary file somebody forgot)."""


@dataclass(frozen=True, slots=True)
class OpenFiles:
    """Descriptors of one process that are open alike: same kind, and same state and peer (sockets) or same place (files)."""

    kind: str
    what: str
    """Sockets: `tcp ESTABLISHED 10.0.0.7:443`; files: their folder; else what the kernel calls it. Hostile text: escape it."""
    count: int
    example: str = ""
    """One of them: a path, or both ends of a connection."""
