"""Limits of the lab's services, without a kernel that would enforce them: which group is made where, and that it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from parkwarden.run import _lab_limits
from parkwarden.run._lab_limits import MemoryGroup, memory_group


def test_where_no_group_can_be_made_there_is_none(tmp_path: Path) -> None:
    """No cgroup file system, or none that is writable: None, not an error."""
    with memory_group("x", 1 << 20, root=tmp_path / "missing") as group:
        assert group is None


def test_version_1_comes_first(tmp_path: Path) -> None:
    """Where v1's memory controller is mounted it is the one that limits."""
    (tmp_path / "memory").mkdir()
    with memory_group("x", 5 << 20, root=tmp_path) as group:
        assert group is not None
        assert group.kind == "memory cgroup v1"
        assert (group.folder / "memory.limit_in_bytes").read_text() == str(5 << 20)
        for file in group.folder.iterdir():  # a real one's files go with it
            file.unlink()
    assert list((tmp_path / "memory").iterdir()) == []


def test_a_group_is_entered_by_a_shell_that_becomes_the_program(tmp_path: Path) -> None:
    """So that no page is charged elsewhere, and the pid is the program's own."""
    command = MemoryGroup(tmp_path, "memory cgroup v2", 1).wrap(["prog", "-x", "a b"])
    assert command[:2] == ["/bin/sh", "-c"]
    assert command[3:] == [str(tmp_path / "cgroup.procs"), "prog", "-x", "a b"]


@pytest.mark.parametrize(
    ("kind", "file", "text"),
    [
        ("memory cgroup v1", "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
        ("memory cgroup v2", "memory.events", "low 0\nhigh 0\nmax 12\noom 4\noom_kill 3\noom_group_kill 0\n"),
    ],
)
def test_kills_are_read_in_both_versions(tmp_path: Path, kind: str, file: str, text: str) -> None:
    """v1 and v2 tell them in files of different names; where none is there it is 0."""
    group = MemoryGroup(tmp_path, kind, 1)
    assert group.oom_kills() == 0
    (tmp_path / file).write_text(text)
    assert group.oom_kills() == 3


def test_a_group_that_cannot_go_does_not_hold_up_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's process that does not die costs a few seconds, not the run."""
    monkeypatch.setattr(_lab_limits, "EMPTY_S", 0.0)
    (tmp_path / "child").mkdir()
    MemoryGroup(tmp_path, "memory cgroup v1", 1).close()
    assert tmp_path.exists()
