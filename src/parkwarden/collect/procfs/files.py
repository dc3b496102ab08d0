"""Reading /proc with bounds: small texts whole, large ones up to a limit; what is refused or gone is a Problem."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from parkwarden.model.artefact import Problem

MAX_TEXT = 256 << 10
"""Bytes read of a small text: mountinfo of a host with hundreds of containers has 200 kB, all others a few."""


@dataclass(slots=True)
class Proc:
    """A proc filesystem at `root` (/proc; a container may have its host's at /host/proc), and what could not be read of it."""

    root: str = "/proc"
    problems: list[Problem] = field(default_factory=list)

    def path(self, *parts: object) -> str:
        return "/".join((self.root, *map(str, parts)))

    def text(self, path: str, *, wanted: bool = True) -> str | None:
        """A small file; None where it cannot be read, which is a problem unless nobody expects it (`wanted`)."""
        data = self.bytes(path, MAX_TEXT, wanted=wanted)
        return None if data is None else data.decode("utf-8", "backslashreplace")

    def bytes(self, path: str, limit: int, *, wanted: bool = True) -> bytes | None:
        """Up to `limit` bytes; a longer file is cut at its last whole line, which is a problem."""
        try:
            with open(path, "rb", buffering=0) as file:
                data = bytearray()
                while len(data) <= limit and (part := file.read(min(1 << 20, limit + 1 - len(data)))):
                    data += part
        except OSError as error:
            if wanted or not isinstance(error, FileNotFoundError):
                self.refused(path, error)
            return None
        if len(data) > limit:
            self.problems.append(Problem("too-large", path, f"more than {limit >> 10:,} kB: the rest was left out"))
            return bytes(data[: data.rfind(b"\n", 0, limit) + 1])
        return bytes(data)

    def refused(self, path: str, error: OSError) -> None:
        """One problem for what cannot be read, with what would help."""
        if isinstance(error, PermissionError):
            text = "permission denied: run as root or as the user of that process, with CAP_SYS_PTRACE in a container"
            self.problems.append(Problem("denied", path, text))
        elif isinstance(error, FileNotFoundError | ProcessLookupError):
            self.problems.append(Problem("not-there", path, "is not there (any more)"))
        else:
            self.problems.append(Problem("unreadable", path, os.strerror(error.errno or 0)))
