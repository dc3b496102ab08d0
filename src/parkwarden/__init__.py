"""Parkwarden: early warning, diagnosis and self-healing for goroutine leaks in Go services.

Three calls cover most needs from Python:

- `read(source)`: a path, a folder, an archive or the bytes themselves -> list of `Artefact` (records + problems).
- `cluster(data)`: the bytes of a text dump -> list of `Cluster`, biggest first.
- `diagnose(inputs)`: paths and URLs -> `Report`, findings worst first (what `parkwarden diagnose` prints).

Importing the package costs next to nothing; each call imports what it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parkwarden.model import Artefact, Cluster, Report

__version__ = "0.1.0"
__all__ = ["__version__", "cluster", "diagnose", "read"]


def read(source: str | PathLike[str] | bytes) -> list[Artefact]:
    """Read one input of any kind, recognised by content; archives and folders give one artefact per member.

    Never raises for damaged content (see `Artefact.problems`); raises `ParkwardenError` where nothing could be read.
    """
    if isinstance(source, bytes):
        from parkwarden.formats.detect import read_bytes

        return read_bytes(source, "")
    from parkwarden.collect.files import gather

    return gather([str(source)])


def cluster(data: bytes) -> list[Cluster]:
    """Cluster the goroutines of a full text dump (debug=2, SIGQUIT, panic output), biggest cluster first.

    `data` is the dump, uncompressed. Raises `FormatError` if it holds no goroutine at all.
    """
    from parkwarden.formats.goroutine_dump import read as read_dump
    from parkwarden.model import FormatError
    from parkwarden.stacks.cluster import clusters

    snapshot = read_dump(data).snapshot
    if snapshot is None:
        raise FormatError("no-goroutines", "no goroutine header was found", hint="read() recognises other formats")
    return clusters([snapshot])


def diagnose(
    inputs: Sequence[str | PathLike[str]], *, modules: Sequence[str] = (), source: str | PathLike[str] | None = None,
    redact: bool = True,
) -> Report:  # fmt: skip
    """Diagnose files, folders and live base URLs together.

    `modules`: module paths that are your own code (found out by itself where possible); `source`: your source tree.
    """
    from pathlib import Path

    from parkwarden.run.diagnose import Options
    from parkwarden.run.diagnose import diagnose as run

    options = Options(modules=tuple(modules), source=Path(source) if source else None, redact=redact)
    return run([str(i) for i in inputs], options).report
