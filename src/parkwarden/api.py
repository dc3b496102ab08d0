"""The public calls. `from parkwarden import cluster` imports what `cluster` needs; `import parkwarden` alone imports nothing."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from parkwarden.formats.goroutine_dump import read as read_dump
from parkwarden.model import Artefact, Cluster, FormatError, Report
from parkwarden.stacks.cluster import clusters


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
    snapshot = read_dump(data).snapshot
    if snapshot is None:
        raise FormatError("no-goroutines", "no goroutine header was found", hint="read() recognises other formats")
    return clusters([snapshot])


def diagnose(
    inputs: Sequence[str | PathLike[str]],
    *,
    modules: Sequence[str] = (),
    source: str | PathLike[str] | None = None,
    redact: bool = True,
) -> Report:
    """Diagnose files, folders and live base URLs together.

    `modules`: module paths that are your own code (found out by itself where possible); `source`: your source tree.
    """
    from parkwarden.run.diagnose import Options
    from parkwarden.run.diagnose import diagnose as run

    options = Options(modules=tuple(modules), source=Path(source) if source else None, redact=redact)
    return run([str(i) for i in inputs], options).report
