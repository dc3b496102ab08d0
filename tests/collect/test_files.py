"""Files, folders and standard input: everything is read once, nothing hangs, and what is passed over is told."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from parkwarden.collect import files, limits
from parkwarden.collect.files import gather, read_stdin
from parkwarden.model import Exit, Kind, LimitError, UnreachableError

PANIC = b"panic: x\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:1 +0x1d\n"


def test_files_in_the_order_given_with_their_times(tmp_path: Path) -> None:
    """The file's time stands in where the artefact tells none: two saved dumps are two moments."""
    for name, at in (("b", 1_000_000), ("a", 2_000_000)):
        (tmp_path / name).write_bytes(PANIC)
        os.utime(tmp_path / name, (at, at))
    found = gather([tmp_path / "b", str(tmp_path / "a")])
    assert [(Path(a.name).name, a.taken_at) for a in found] == [("b", 1_000_000), ("a", 2_000_000)]
    assert all(a.snapshot is not None and a.snapshot.taken_at == a.taken_at for a in found)


def test_folders_are_walked_in_name_order_without_hidden_ones(tmp_path: Path) -> None:
    """Hidden entries, loops of links, pipes and sockets are passed over and told; nothing is read twice."""
    (tmp_path / "pod" / "deep").mkdir(parents=True)
    (tmp_path / "pod" / "deep" / "crash.txt").write_bytes(PANIC)
    (tmp_path / "a.txt").write_bytes(PANIC)
    (tmp_path / ".git").mkdir()
    (tmp_path / "pod" / "loop").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    found = gather([tmp_path])
    names = [os.path.relpath(a.name, tmp_path) for a in found]
    assert names == ["a.txt", "pod/deep/crash.txt", "."]
    assert sorted(p.code for p in found[-1].problems) == ["hidden", "not-a-file", "unreadable"]


def test_a_pipe_or_device_by_name_is_refused(tmp_path: Path) -> None:
    """Opening a pipe nobody writes to waits for ever; /dev/zero never ends."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(UnreachableError) as refused:
            gather([path])
        assert refused.value.code == "not-a-file"
        assert refused.value.exit_code is Exit.UNREADABLE


def test_an_unreadable_file_is_a_problem_beside_a_readable_one(tmp_path: Path) -> None:
    """Only if nothing at all could be read is it an error."""
    (tmp_path / "ok").write_bytes(PANIC)
    found = gather([tmp_path / "ok", tmp_path / "missing", "nul\0name"])
    assert [a.kind for a in found] == [Kind.CRASH_LOG, Kind.UNKNOWN, Kind.UNKNOWN]
    assert found[1].problems[0].code == "unreadable"
    with pytest.raises(UnreachableError):
        gather([tmp_path / "missing"])


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    """Nothing found is not nothing said."""
    (only,) = gather([tmp_path])
    assert only.problems[0].code == "empty"


def test_limits_of_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many files, too large ones, too deep folders, too full a bag: each is told by its name, the rest is read."""
    for i in range(5):
        (tmp_path / f"f{i}").write_bytes(PANIC)
    (tmp_path / "big").write_bytes(PANIC * 100)
    monkeypatch.setattr(limits, "MAX_FOLDER_FILE_BYTES", 1000)
    monkeypatch.setattr(limits, "MAX_FILES", 3)
    found = gather([tmp_path])
    assert len(found) == 4
    assert [p.code for p in found[-1].problems] == ["too-large", "too-many-files"]
    monkeypatch.setattr(limits, "MAX_BAG_BYTES", 150)
    assert [a.kind for a in gather([tmp_path])][:3] == [Kind.CRASH_LOG, Kind.CRASH_LOG, Kind.UNKNOWN]
    monkeypatch.setattr(limits, "MAX_FILE_BYTES", 10)
    with pytest.raises(LimitError, match="MAX_FILE_BYTES"):
        gather([tmp_path / "f1"])


def test_the_list_of_what_was_passed_over_is_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand hidden files are counted, not listed."""
    monkeypatch.setattr(files, "MAX_SKIPPED", 3)
    for i in range(9):
        (tmp_path / f".h{i}").touch()
    (only,) = gather([tmp_path])
    assert len(only.problems) == 4
    assert only.problems[-1].text.startswith("6 more")


def test_stdin_ends_at_its_limit_without_reading_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A 10 GB stream is refused after the limit's bytes, not after its own."""

    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return bytes(size)

    stream = Endless()
    monkeypatch.setattr(limits, "MAX_STDIN_BYTES", 5 << 20)
    with pytest.raises(LimitError, match="MAX_STDIN_BYTES"):
        read_stdin(stream)  # type: ignore[arg-type]
    assert stream.given <= 7 << 20


def test_stdin_is_read(tmp_path: Path) -> None:
    """`kubectl logs | parkwarden diagnose -` works with a real pipe."""
    code = "from parkwarden.collect.files import gather; a, = gather(['-']); print(a.name, a.kind, len(a.crashes))"
    done = subprocess.run([sys.executable, "-c", code], input=PANIC, capture_output=True, check=True)
    assert done.stdout.decode().split() == ["stdin", "crash-log", "1"]


def test_a_large_trace_is_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traces are read in place: the reader sees a view of the file, and the file may be removed after."""
    seen: list[type] = []

    def look(data: bytes | memoryview, name: str) -> list[object]:
        seen.append(type(data))
        return []

    monkeypatch.setattr(files, "read_bytes", look)
    monkeypatch.setattr(limits, "MAP_FROM_BYTES", 100)
    (tmp_path / "trace").write_bytes(b"go 1.26 trace\0\0\0" + bytes(200))
    (tmp_path / "text").write_bytes(bytes(300))
    gather([tmp_path / "trace", tmp_path / "text"])
    assert seen == [memoryview, bytes]


def test_progress_ends_at_one(tmp_path: Path) -> None:
    """Fractions rise from 0 to 1."""
    (tmp_path / "a").write_bytes(PANIC)
    (tmp_path / "b").write_bytes(PANIC)
    told: list[float | None] = []
    gather([tmp_path], progress=lambda _what, fraction: told.append(fraction))
    assert told == [0.0, 0.5, 1.0]
