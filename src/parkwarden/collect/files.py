"""Files, folders and standard input -> artefacts.

`gather(paths)` reads each path by content (formats/detect.py). What cannot be read is a Problem of an Artefact of kind UNKNOWN with
the path's name; only if nothing at all could be read the first error is raised. Limits: collect/limits.py.

`Artefact.taken_at` is what the artefact itself tells; where it does not, the file's modification time (an archive's for its
members): someone who saves two profiles a minute apart has said when, and looks must be put in order.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from parkwarden.collect import limits
from parkwarden.collect.limits import Tell
from parkwarden.formats.detect import read_bytes
from parkwarden.model.artefact import Artefact, Kind, Problem
from parkwarden.model.errors import LimitError, ParkwardenError, UnreachableError

STDIN = "-"
_CHUNK = 1 << 20
_TRACE_MAGIC = b"go 1."


@dataclass(slots=True)
class _File:
    """One file to read, or why not."""

    path: str
    size: int = 0
    mtime: float | None = None
    error: ParkwardenError | None = None


@dataclass(slots=True)
class _Walk:
    """The files of all paths and what was passed over, in the order of the paths."""

    files: list[_File] = field(default_factory=list)
    skipped: dict[str, list[Problem]] = field(default_factory=dict)
    entries: int = 0
    seen: set[tuple[int, int]] = field(default_factory=set)


def gather(paths: Sequence[str | os.PathLike[str]], progress: Tell | None = None) -> list[Artefact]:
    """All artefacts of files, folders (recursively, without hidden entries) and `-` (standard input).

    Symbolic links are followed, each folder once. Pipes, sockets and devices given by name are refused: reading one may never end.
    Raises UnreachableError or LimitError only where not one input could be read.
    """
    walk = _Walk()
    for path in paths:
        _find(os.fspath(path), walk)
    found: list[Artefact] = []
    errors: list[ParkwardenError] = []
    total = sum(f.size for f in walk.files) or 1
    done = budget = 0
    for file in walk.files:
        if progress is not None:
            progress(f"reading {file.path}", min(done / total, 1.0))
        try:
            if file.error is not None:
                raise file.error
            budget += file.size
            if budget > limits.MAX_BAG_BYTES:
                what = f"the files before it fill MAX_BAG_BYTES = {limits.MAX_BAG_BYTES >> 20:,} MiB"
                raise LimitError("bag-too-large", f"{file.path} was not read: {what}", hint="name fewer files")
            found += _read(file)
        except ParkwardenError as error:
            errors.append(error)
            problem = Problem(error.code, "", " ".join(p for p in (error.message, error.hint) if p))
            found.append(Artefact(name=file.path, kind=Kind.UNKNOWN, size=file.size, problems=[problem]))
        done += file.size
    if errors and len(errors) == len(walk.files):
        raise errors[0]
    for folder, problems in walk.skipped.items():
        found.append(Artefact(name=folder, kind=Kind.UNKNOWN, size=0, problems=problems))
    if progress is not None:
        progress("read", 1.0)
    return found


def _find(path: str, walk: _Walk) -> None:
    if path == STDIN:
        walk.files.append(_File(STDIN))
        return
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        walk.files.append(_File(path, error=_unreadable(path, error)))
        return
    if stat.S_ISDIR(status.st_mode):
        before = len(walk.files)
        walk.skipped.setdefault(path, [])
        for file in _walk(path, path, 0, walk):
            if len(walk.files) >= limits.MAX_FILES:
                text = f"more than MAX_FILES = {limits.MAX_FILES:,} files; the rest was not read"
                walk.skipped[path].append(Problem("too-many-files", "", text))
                break
            walk.files.append(file)
        if len(walk.files) == before and not walk.skipped[path]:
            walk.skipped[path].append(Problem("empty", "", "a folder without files (hidden ones are not read)"))
        if not walk.skipped[path]:
            del walk.skipped[path]
    elif not stat.S_ISREG(status.st_mode):
        hint = "pipe it in instead and give -"
        refusal = _refused("not-a-file", f"{path} is no file or folder but a pipe, socket or device", hint)
        walk.files.append(_File(path, error=refusal))
    else:
        walk.files.append(_File(path, status.st_size, status.st_mtime))


def _walk(top: str, folder: str, depth: int, walk: _Walk) -> Iterator[_File]:
    """Files below a folder in name order; what is passed over goes to `walk.skipped[top]`."""
    skipped = walk.skipped[top]
    if depth > limits.MAX_FOLDER_DEPTH:
        text = f"{folder}: deeper than MAX_FOLDER_DEPTH = {limits.MAX_FOLDER_DEPTH} folders"
        _skip(skipped, Problem("too-deep", "", text))
        return
    try:
        here = os.stat(folder)
        if (here.st_dev, here.st_ino) in walk.seen:
            return  # a link back: these files are read already
        walk.seen.add((here.st_dev, here.st_ino))
        entries = []
        with os.scandir(folder) as listing:
            for entry in listing:
                walk.entries += 1
                if walk.entries > limits.MAX_FOLDER_ENTRIES:
                    text = f"more than MAX_FOLDER_ENTRIES = {limits.MAX_FOLDER_ENTRIES:,} entries; the rest was not looked at"
                    _skip(skipped, Problem("too-many-files", "", text))
                    break
                entries.append(entry)
    except OSError as error:
        _skip(skipped, Problem("unreadable", "", f"{folder}: {error.strerror or error}"))
        return
    for entry in sorted(entries, key=lambda e: e.name):
        if entry.name.startswith("."):
            _skip(skipped, Problem("hidden", "", f"{entry.path}: hidden, not read; name it to read it"))
            continue
        try:
            status = entry.stat()
        except OSError as error:
            _skip(skipped, Problem("unreadable", "", f"{entry.path}: {error.strerror or error}"))
            continue
        if stat.S_ISDIR(status.st_mode):
            yield from _walk(top, entry.path, depth + 1, walk)
        elif not stat.S_ISREG(status.st_mode):
            _skip(skipped, Problem("not-a-file", "", f"{entry.path}: a pipe, socket or device, not read"))
        elif status.st_size > limits.MAX_FOLDER_FILE_BYTES and not _is_trace(entry.path):
            text = f"{entry.path}: {status.st_size >> 20:,} MiB, more than MAX_FOLDER_FILE_BYTES; name it to read it"
            _skip(skipped, Problem("too-large", "", text))
        else:
            yield _File(entry.path, status.st_size, status.st_mtime)


MAX_SKIPPED = 50
"""Things passed over that are listed per folder; the rest is counted."""


def _skip(skipped: list[Problem], problem: Problem) -> None:
    if len(skipped) < MAX_SKIPPED:
        skipped.append(problem)
    elif len(skipped) == MAX_SKIPPED:
        skipped.append(Problem("more", "", "1 more was passed over"))
    else:
        count = int(skipped[-1].text.split(" ", 1)[0]) + 1
        skipped[-1] = Problem("more", "", f"{count} more were passed over")


def _read(file: _File) -> list[Artefact]:
    if file.path == STDIN:
        return read_bytes(read_stdin(sys.stdin.buffer), "stdin")
    try:
        # O_NONBLOCK: between stat and open the file may have become a pipe, and opening that waits for ever
        descriptor = os.open(file.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError) as error:
        raise _unreadable(file.path, error) from None
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _refused("not-a-file", f"{file.path} is no file any more", "")
        try:
            return read_opened(file.path, opened, file.size, file.mtime)
        except OSError as error:
            raise _unreadable(file.path, error) from None


def read_opened(name: str, opened: BinaryIO, size: int, mtime: float | None) -> list[Artefact]:
    """What an open file of `size` bytes holds; `mtime` stands in for the times that artefacts do not tell. Raises LimitError, OSError."""
    artefacts = _read_whole(name, opened, size)
    for artefact in artefacts:
        if artefact.taken_at is None:
            artefact.taken_at = mtime
        if artefact.snapshot is not None and artefact.snapshot.taken_at is None:
            artefact.snapshot.taken_at = artefact.taken_at
    return artefacts


def _read_whole(name: str, opened: BinaryIO, size: int) -> list[Artefact]:
    head = opened.read(16)
    opened.seek(0)
    if head.startswith(_TRACE_MAGIC) and size > limits.MAP_FROM_BYTES:
        if size > limits.MAX_TRACE_BYTES:
            raise LimitError(
                "too-large", f"{name} has more than MAX_TRACE_BYTES = {limits.MAX_TRACE_BYTES >> 20:,} MiB"
            )
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            return read_bytes(memoryview(mapped), name)
        finally:
            # what still looks into the mapping keeps it alive, which is only memory
            with contextlib.suppress(BufferError):
                mapped.close()
    if size > limits.MAX_FILE_BYTES:
        hint = "if it is a log, keep its end: tail -c 500M"
        text = f"{name} has {size >> 20:,} MiB, more than MAX_FILE_BYTES = {limits.MAX_FILE_BYTES >> 20:,} MiB"
        raise LimitError("too-large", text, hint=hint)
    # a file that grows while it is read ends where it ended; files of /proc have no size
    return read_bytes(opened.read(size or limits.MAX_FILE_BYTES), name)


def read_stdin(stream: BinaryIO) -> bytes:
    """All of a stream up to MAX_STDIN_BYTES; raises LimitError beyond, without having read the rest."""
    data = bytearray()
    while chunk := stream.read(_CHUNK):
        if len(data) + len(chunk) > limits.MAX_STDIN_BYTES:
            raise LimitError(
                "too-large",
                f"standard input has more than MAX_STDIN_BYTES = {limits.MAX_STDIN_BYTES >> 20:,} MiB",
                hint="keep the part that matters, e.g. with tail -c 500M, or save it to a file",
            )
        data += chunk
    return bytes(data)


def _is_trace(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(_TRACE_MAGIC)) == _TRACE_MAGIC
    except OSError:
        return False


def _unreadable(path: str, error: Exception) -> UnreachableError:
    why = getattr(error, "strerror", None) or str(error)
    return _refused("unreadable", f"{path} cannot be read: {why}", "does it exist, and may you read it?")


def _refused(code: str, message: str, hint: str) -> UnreachableError:
    refusal = UnreachableError(code, message, hint=hint)
    refusal.exit_code = ParkwardenError.exit_code  # a file, not a target
    return refusal
