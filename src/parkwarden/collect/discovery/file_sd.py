"""Targets from files in Prometheus's format, read again when they change.

Looks at time stamp, size and inode of each file every `refresh_interval_s`: a file that was replaced by a rename, a swapped symbolic
link (Kubernetes' ConfigMaps) and a network file system are all noticed. A file that cannot be read or does not parse keeps its last good
targets; one that is gone loses them. Reading and parsing run in a thread: 4 MB of YAML must not hold up the readings.
"""

from __future__ import annotations

import asyncio
import glob
import os
import stat
from dataclasses import dataclass, field
from typing import Any

from parkwarden.collect.discovery.prometheus import MAX_BYTES, read_targets
from parkwarden.collect.discovery.settings import FileSd
from parkwarden.collect.discovery.source import Publish, Source
from parkwarden.model.artefact import Problem
from parkwarden.model.errors import ParkwardenError
from parkwarden.model.instance import Target

MAX_FILES = 1_000
"""Files of one source's globs; those beyond are a problem. One stat each per refresh."""

_Stamp = tuple[int, int, int, int]


@dataclass(slots=True)
class _File:
    """One file as last seen."""

    stamp: _Stamp | None = None
    targets: list[Target] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


class FileDiscovery(Source):
    """`discovery.file_sd` entry. Publishes the union of its files, in the order of their names."""

    def __init__(self, settings: FileSd, name: str = "file_sd", **outside: Any) -> None:
        super().__init__(name, **outside)
        self._settings = settings
        self._files: dict[str, _File] = {}

    async def run(self, publish: Publish) -> None:
        while True:
            await self.look(publish)
            await self.sleep(self._settings.refresh_interval_s)

    async def look(self, publish: Publish) -> None:
        """One look at all files; reads those that changed."""
        self.attempt()
        await asyncio.to_thread(self._look)
        targets: dict[str, Target] = {}
        broken = False
        for name in sorted(self._files):
            one = self._files[name]
            for p in one.problems:
                self.problem(p.code, p.where, p.text)
            broken = broken or one.stamp is None
            for target in one.targets:
                targets.setdefault(target.id, target)
        self.published(publish, list(targets.values()), whole=not broken)
        self.failures += broken

    def _look(self) -> None:
        names = sorted({n for pattern in self._settings.files for n in self._names(pattern)})
        if len(names) > MAX_FILES:
            self.problem("too-many-files", "", f"only the first {MAX_FILES:,} of {len(names):,} files are read")
            names = names[:MAX_FILES]
        if not names:
            self.problem("no-files", "", "no file of these names is there (yet)")
        self._files = {n: self._files.get(n) or _File() for n in names}
        for name, one in self._files.items():
            try:
                status = os.stat(name)
                stamp = (status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev)
                if stamp == one.stamp:
                    continue
                one.problems = []
                if not stat.S_ISREG(status.st_mode):
                    raise OSError(None, "not a regular file")
                with open(name, "rb") as stream:
                    raw = stream.read(MAX_BYTES + 1)
                problems: list[Problem] = []

                def complain(
                    code: str, where: str, text: str, name: str = name, into: list[Problem] = problems
                ) -> None:
                    if len(into) < 5:  # of one file; the source keeps MAX_PROBLEMS of all
                        into.append(Problem(code, f"{name}: {where}", text))

                one.targets = read_targets(raw, yaml=not name.endswith(".json"), per=self._settings, problem=complain)
                one.problems, one.stamp = problems, stamp
            except OSError as error:
                self._broken(name, one, "file-unreadable", error.strerror or "unreadable")
            except ParkwardenError as error:
                self._broken(name, one, error.code, error.message)

    def _names(self, pattern: str) -> list[str]:
        """The files of a glob; a name without wildcards is a file that should be there."""
        return glob.glob(pattern) if glob.has_magic(pattern) else [pattern]

    def _broken(self, name: str, one: _File, code: str, why: str) -> None:
        """Its last good targets stay; without a stamp it is read again at the next look."""
        one.stamp = None
        kept = f"; its last good {len(one.targets):,} targets stay" if one.targets else ""
        one.problems = [Problem(code, name, f"{why}{kept}")]
