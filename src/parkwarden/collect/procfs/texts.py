"""The texts under /proc and of control groups -> values. Pure: text in, values out; what cannot be read is left out, nothing raises.

Sources: Linux Documentation/filesystems/proc.rst (1.1, 1.2, 1.9), fs/proc/base.c: proc_pid_limits, fs/proc/array.c: do_task_stat,
Documentation/accounting/psi.rst, Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

NO_LIMIT = 1 << 62
"""cgroup v1 writes the largest page count for "no limit" (9,223,372,036,854,771,712): whatever is larger than this is none."""

_LIMIT = re.compile(r"^(Max [a-z ]{1,30}?) {2,}(\d{1,20}|unlimited) +(\d{1,20}|unlimited)", re.MULTILINE)
_FIELD = re.compile(r"^([A-Za-z_()]{1,40}):?\s+(\d{1,20})(?=\s|\Z)", re.MULTILINE)
_CAPABILITIES = re.compile(r"^CapEff:\s+([0-9a-f]{1,16})\s", re.MULTILINE)
_SOME = re.compile(r"^some avg10=(\d{1,3}(?:\.\d{1,4})?)\b", re.MULTILINE)
_OCTAL = re.compile(r"\\([0-7]{3})")


def limits(text: str) -> dict[str, tuple[int | None, int | None]]:
    """/proc/PID/limits -> name ("Max open files") -> (soft, hard); None = unlimited."""

    def number(word: str) -> int | None:
        return None if word == "unlimited" else int(word)

    return {name.strip(): (number(soft), number(hard)) for name, soft, hard in _LIMIT.findall(text)}


def numbers(text: str) -> dict[str, int]:
    """Lines `name[:] number [unit]` (status, memory.stat, memory.events, memory.oom_control) -> name -> number as written."""
    return {name: int(value) for name, value in _FIELD.findall(text)}


def capabilities(text: str) -> int:
    """/proc/PID/status -> the bits of its effective capabilities; none where they are not told."""
    found = _CAPABILITIES.search(text)
    return int(found[1], 16) if found else 0


def number(text: str | None) -> int | None:
    """A file of one number; None for `max`, for v1's way of saying "no limit", and for anything else."""
    word = (text or "").strip()
    if not word.isascii() or not word.isdecimal() or len(word) > 20:
        return None
    value = int(word)
    return value if value < NO_LIMIT else None


def quota(text: str | None) -> float | None:
    """cgroup v2's cpu.max (`max 100000`, `150000 100000`) -> processors, None = no limit."""
    words = (text or "").split()
    most, period = (number(words[0]), number(words[1])) if len(words) == 2 else (None, None)
    return most / period if most is not None and period else None


def stall_share(text: str | None) -> float | None:
    """A PSI file -> the share of the last 10 s in which something waited (`some avg10`), 0..1."""
    found = _SOME.search(text or "")
    return min(float(found[1]) / 100, 1.0) if found else None


def stat(text: str) -> tuple[str, str, int] | None:
    """/proc/PID/stat -> (name, state, start in clock ticks since boot). The name may hold blanks and brackets: its end is the last one."""
    begin, end = text.find("("), text.rfind(")")
    rest = text[end + 1 :].split()
    if not 0 <= begin < end or len(rest) < 20 or not (rest[19].isascii() and rest[19].isdecimal()):
        return None
    return text[begin + 1 : end], rest[0], int(rest[19])


def boot_time(text: str) -> int | None:
    """/proc/stat -> Unix seconds of the boot."""
    return numbers(text).get("btime")


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a hierarchy of control groups is mounted: `root` is the group that shows at `point`."""

    root: str
    point: str
    version: int
    controllers: frozenset[str]


def cgroup_mounts(text: str) -> list[Mount]:
    """/proc/PID/mountinfo -> control group mounts (Documentation/filesystems/proc.rst, 3.5)."""
    found = []
    for line in text.splitlines():
        left, dash, right = line.partition(" - ")
        words, told = left.split(" "), right.split(" ")
        if not dash or len(words) < 5 or len(told) < 3 or told[0] not in ("cgroup", "cgroup2"):
            continue
        version = 2 if told[0] == "cgroup2" else 1
        found.append(Mount(_plain(words[3]), _plain(words[4]), version, frozenset(told[2].split(","))))
    return found


def cgroup_paths(text: str) -> Mapping[str, str]:
    """/proc/PID/cgroup -> controller -> path; the one of version 2 under ""."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        words = line.split(":", 2)
        if len(words) == 3:
            for name in words[1].split(","):
                found[name] = words[2]
    return found


def _plain(word: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), word)
