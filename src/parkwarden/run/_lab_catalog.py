"""Which labs there are: lab/<name>/lab.json, in the checkout or in the installed wheel."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parkwarden.model.errors import UsageError

NEEDS = ("stdlib", "modules")
MANIFEST = "lab.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """One lab, as its lab.json describes it; `folder` holds its Go module."""

    name: str
    title: str
    story: str
    needs: str
    """`stdlib`: builds offline. `modules`: third-party modules are fetched through GOPROXY on the first build."""
    seconds: int
    """How long the service is under load at most."""
    saves: tuple[str, ...]
    expect: str
    folder: Path
    memory_limit_mib: int | None = None
    """Where the service is killed, as a container's memory limit would; None = never."""
    patterns: tuple[str, ...] = ()
    """What `--pattern` may name, for labs that can break in several ways."""
    max_files: int | None = None
    """Open files the service is allowed (RLIMIT_NOFILE, lowered from outside); None = as the user's."""
    max_threads: int | None = None
    """Threads at which Go ends the service (debug.SetMaxThreads); None = Go's 10,000."""
    leak_per_s: float | None = None
    """How fast it leaks, for labs of limits."""

    def as_dict(self) -> dict[str, Any]:
        """What `parkwarden lab list --format json` prints."""
        return {
            "name": self.name,
            "title": self.title,
            "story": self.story,
            "needs": self.needs,
            "seconds": self.seconds,
            "saves": list(self.saves),
            "expect": self.expect,
            "memory_limit_mib": self.memory_limit_mib,
            "patterns": list(self.patterns),
            "max_files": self.max_files,
            "max_threads": self.max_threads,
            "leak_per_s": self.leak_per_s,
        }


def parse_lab(text: str, folder: Path) -> Lab:
    """The Lab of one lab.json; a damaged one raises UsageError (it is our own file, so the install is damaged)."""
    try:
        told = json.loads(text)
        lab = Lab(
            name=str(told["name"]),
            title=str(told["title"]),
            story=str(told["story"]),
            needs=str(told["needs"]),
            seconds=int(told["seconds"]),
            saves=tuple(str(name) for name in told["saves"]),
            expect=str(told["expect"]),
            folder=folder,
            memory_limit_mib=_whole(told, "memory_limit_mib"),
            patterns=tuple(str(name) for name in told.get("patterns", ())),
            max_files=_whole(told, "max_files"),
            max_threads=_whole(told, "max_threads"),
            leak_per_s=None if told.get("leak_per_s") is None else float(told["leak_per_s"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            "lab-damaged", f"{folder.name}/{MANIFEST} cannot be read: {error!r}", hint="install parkwarden again"
        ) from error
    if lab.needs not in NEEDS:
        raise UsageError("lab-damaged", f"{folder.name}/{MANIFEST}: needs must be one of {', '.join(NEEDS)}")
    return lab


def _whole(told: dict[str, Any], name: str) -> int | None:
    return None if told.get(name) is None else int(told[name])


def labs_folder() -> Path:
    """The checkout's lab/, else the wheel's parkwarden/lab_sources."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parents[1] / "lab", package / "lab_sources"):
        if any(folder.glob(f"*/{MANIFEST}")):
            return folder
    raise UsageError(
        "lab-missing",
        "the labs' Go sources are not here",
        hint="run from a checkout, or install parkwarden's wheel again",
    )


def labs(folder: Path | None = None) -> list[Lab]:
    """All labs, by name."""
    found = sorted((folder or labs_folder()).glob(f"*/{MANIFEST}"))
    return [parse_lab(path.read_text(encoding="utf-8"), path.parent) for path in found]


def find_lab(name: str) -> Lab:
    """The lab of that name, or UsageError that lists the names there are."""
    known = labs()
    for lab in known:
        if lab.name == name:
            return lab
    raise UsageError(
        "lab-unknown",
        f"there is no lab named {name!r}",
        context="labs: " + ", ".join(lab.name for lab in known),
        hint="parkwarden lab list",
    )
