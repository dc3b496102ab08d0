"""What the host tells of a process only because it is Go's: its settings from the environment, its version, its user's threads.

Of the environment nothing is kept but the values of GOGC, GOMEMLIMIT, GOMAXPROCS and two words of GODEBUG: it holds secrets.
What the environment says is how the process *began*; debug.SetGCPercent and its like change it unseen.
"""

from __future__ import annotations

import math
import mmap
import os
import re
from dataclasses import dataclass, field

from parkwarden.model.artefact import Problem

MAX_ENVIRON = 4 << 20
"""Bytes of an environment that are read: the kernel allows a quarter of the stack's limit (8 MB) for it and the arguments."""

MAX_VALUE = 64
"""Characters of a value; GOMEMLIMIT's longest has 20."""

MAX_BINARY = 1 << 30
"""Bytes of a binary searched for its version; the largest of Go have some hundred MB."""

MAX_PROCESSES = 50_000
"""Processes whose threads are counted: 10 us each."""

_KEPT = frozenset(("GOGC", "GOMEMLIMIT", "GOMAXPROCS"))
_GODEBUG = frozenset(("containermaxprocs", "updatemaxprocs"))
"""Settings of GODEBUG that change what GOMAXPROCS follows (runtime/runtime1.go)."""
_MAGIC = b"\xff Go buildinf:"
_VERSION = re.compile(rb"(?:devel )?go(\d{1,2})\.(\d{1,3})")
_BYTES = re.compile(r"(\d{1,19})(B|KiB|MiB|GiB|TiB|)")
_UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


@dataclass(frozen=True, slots=True, kw_only=True)
class GoProcess:
    """None = not told; an empty `environment` was read and holds none of them."""

    version: tuple[int, int] | None = None
    environment: dict[str, str] | None = None
    problems: tuple[Problem, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """None = not told."""

    user_threads: int | None = None
    """Of all visible processes of its user."""
    system_threads: int | None = None
    address_space: int | None = None
    """Bytes mapped, touched or not (VmSize)."""


def look_go(pid: int, *, root: str = "/proc") -> GoProcess:
    """One look. Never raises for what is refused or gone: that is a problem."""
    problems: list[Problem] = []
    folder = f"{root}/{pid}"
    return GoProcess(
        version=_version(f"{folder}/exe", problems),
        environment=_environment(f"{folder}/environ", problems),
        problems=tuple(problems),
    )


def look_around(pid: int, *, root: str = "/proc") -> Around:
    """What counts against limits that are not the process's alone, and its address space. Never raises."""
    one = _status(f"{root}/{pid}")
    everybody = _user_threads(one.uid, root) if one.uid is not None else None
    return Around(user_threads=everybody, system_threads=_system_threads(root), address_space=one.address_space)


def memory_of(text: str) -> float | None:
    """GOMEMLIMIT's value in bytes (runtime/string.go: parseByteCount); `off` = infinite; None where Go would refuse it."""
    if text in ("", "off"):
        return math.inf
    found = _BYTES.fullmatch(text)
    if found is None:
        return None
    value = int(found[1]) * _UNITS[found[2]]
    return math.inf if value >= (1 << 63) - 1 else float(value)


def percent_of(text: str) -> float | None:
    """GOGC's value (runtime/mgcpacer.go: readGOGC): `off` and anything negative = infinite; what is no number is Go's 100."""
    if text == "off":
        return math.inf
    try:
        value = int(text)
    except ValueError:
        return 100.0 if text.strip() else None
    return float(value) if 0 <= value < 1 << 31 else math.inf


def _environment(path: str, problems: list[Problem]) -> dict[str, str] | None:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_ENVIRON)
    except OSError as error:
        problems.append(
            Problem(
                "environment-unread",
                "environ",
                f"{os.strerror(error.errno or 0)}: GOGC, GOMEMLIMIT and GOMAXPROCS are not known",
            )
        )
        return None
    found: dict[str, str] = {}
    for entry in data.split(b"\0"):
        if not entry.startswith(b"GO"):
            continue
        name, _, value = entry.decode("utf-8", "replace").partition("=")
        if name in found:
            continue  # the runtime takes the first (runtime/runtime.go: gogetenv)
        if name in _KEPT:
            found[name] = value[:MAX_VALUE]
        elif name == "GODEBUG":
            kept = [one for one in value[:4096].split(",") if one.partition("=")[0] in _GODEBUG]
            if kept:
                found[name] = ",".join(kept)[:MAX_VALUE]
    return found


def _version(path: str, problems: list[Problem]) -> tuple[int, int] | None:
    """From the build info that the linker puts into each binary (debug/buildinfo/buildinfo.go: from Go 1.18 on the string stands inline)."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if 64 < size <= MAX_BINARY:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as binary:
                    at = -1
                    while (at := binary.find(_MAGIC, at + 1)) >= 0:
                        found = _VERSION.match(binary[at + 33 : at + 33 + 32])
                        if found is not None:
                            return int(found[1]), int(found[2])
    except (OSError, ValueError) as error:
        words = os.strerror(error.errno or 0) if isinstance(error, OSError) else "cannot be mapped"
        problems.append(Problem("binary-unread", "exe", f"{words}: Go's version is not known"))
        return None
    problems.append(
        Problem("no-build-info", "exe", "no build info of Go 1.18 or later in the binary: is it a Go program?")
    )
    return None


@dataclass(slots=True)
class _Status:
    uid: int | None = None
    threads: int = 0
    address_space: int | None = None


def _status(folder: str) -> _Status:
    """Real user id, threads and address space of a process; what is hidden or gone is empty."""
    found = _Status()
    try:
        with open(f"{folder}/status", "rb") as file:
            for line in file.read(16 << 10).split(b"\n"):
                if line.startswith(b"Uid:"):
                    found.uid = int(line.split()[1])
                elif line.startswith(b"Threads:"):
                    found.threads = int(line.split()[1])
                elif line.startswith(b"VmSize:"):
                    found.address_space = int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        pass  # gone, or hidden
    return found


def _user_threads(uid: int, root: str) -> int | None:
    total = 0
    try:
        with os.scandir(root) as entries:
            for number, entry in enumerate(entries):
                if number >= MAX_PROCESSES:
                    return None  # half a count would look like room
                if entry.name.isdigit():
                    one = _status(entry.path)
                    total += one.threads if one.uid == uid else 0
    except OSError:
        return None
    return total or None


def _system_threads(root: str) -> int | None:
    """The second number of `running/all` (fs/proc/loadavg.c): all threads of the machine."""
    try:
        with open(f"{root}/loadavg", "rb") as file:
            return int(file.read(256).split()[3].partition(b"/")[2])
    except (OSError, ValueError, IndexError):
        return None
