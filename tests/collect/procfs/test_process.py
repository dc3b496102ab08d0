"""One look at one process, of a tree of files that stands for the kernel."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.collect.procfs import descriptors, look, process, reading, sockets
from parkwarden.model.descriptors import KINDS
from parkwarden.model.errors import UnreachableError
from tests.collect.procfs.tree import HEADER, PID, grow, row, stat

FDS = {
    0: "/dev/null",
    1: "pipe:[1]",
    2: "pipe:[2]",
    3: "socket:[101]",
    4: "socket:[102]",
    5: "socket:[103]",
    6: "socket:[104]",
    7: "socket:[105]",
    8: "anon_inode:[eventpoll]",
    9: "anon_inode:[eventfd]",
    10: "anon_inode:inotify",
    11: "anon_inode:[timerfd]",
    12: "anon_inode:[pidfd]",
    13: "/tmp/upload-1 (deleted)",
    14: "/tmp/upload-2 (deleted)",
    15: "/srv/films/a.mkv",
    16: "/memfd:x (deleted)",
    17: "net:[4026531840]",
    18: "/dev/shm/ring",
    19: "pidfd:[77]",
}
LITTLE = sys.byteorder == "little"
TABLES = {
    f"{PID}/net/tcp": HEADER
    + row(101, "00000000:1F90", "00000000:0000", "0A")
    + row(102, "0100007F:1F90", "0900000A:C350", "01")
    + row(103, "0500000A:D431", "0700000A:01BB", "08")
    + row(999, "0500000A:D432", "0700000A:01BB", "01"),
    f"{PID}/net/tcp6": HEADER
    + row(104, "0000000000000000FFFF00000500000A:1F91", "0000000000000000FFFF00000700000A:01BB", "01"),
    f"{PID}/net/unix": "Num RefCount Protocol Flags Type St Inode Path\n0: 00000002 00000000 00010000 0001 01 105 /run/media.sock\n",
}


def test_descriptors_by_kind_and_in_groups(tmp_path: Path) -> None:
    """Each link is of one kind; sockets say protocol, state and peer (clients without their port), files their folder."""
    local = look(PID, root=grow(tmp_path, FDS, TABLES))
    assert local.kinds == {
        "device": 1, "pipe": 2, "socket": 5, "eventpoll": 1, "eventfd": 1, "inotify": 1, "timerfd": 1, "pidfd": 2, "deleted-file": 2,
        "file": 2, "other": 2,
    }  # fmt: skip
    assert local.open_fds == len(FDS)
    groups = {(g.kind, g.what): g.count for g in local.open_files}
    assert groups["deleted-file", "/tmp"] == 2
    assert groups["file", "/srv/films"] == 1
    assert local.open_files[0].count == 2
    if LITTLE:
        told = {what for kind, what in groups if kind == "socket"}
        assert told == {
            "tcp LISTEN 0.0.0.0:8080", "tcp ESTABLISHED 10.0.0.9", "tcp CLOSE_WAIT 10.0.0.7:443", "tcp ESTABLISHED 10.0.0.7:443",
            "unix LISTEN /run/media.sock",
        }  # fmt: skip
        assert ("CLOSE_WAIT", "10.0.0.7:443", 1) in {(c.state, c.peer, c.count) for c in local.connections}
    assert [p.code for p in local.problems] == ["other-namespace"]


def test_the_numbers_and_the_reading(tmp_path: Path) -> None:
    """Limits, threads and memory arrive in their units; the reading has those the judges know."""
    local = look(PID, root=grow(tmp_path, FDS), at=1_700_000_500.0)
    assert (local.command, local.threads, local.rss) == ("media", 17, 2048 << 10)
    assert (local.max_fds, local.max_fds_hard, local.max_processes, local.max_memory) == (1024, 524288, 4096, None)
    assert local.max_threads == 4096
    assert local.start_time == pytest.approx(1_700_000_000 + 12_300 / os.sysconf("SC_CLK_TCK"))
    told = reading(local)
    assert (told.at, told.open_fds, told.max_fds, told.threads, told.max_threads) == (
        1_700_000_500.0,
        20,
        1024,
        17,
        4096,
    )
    assert told.mem_limit is None
    assert told.goroutines is None


@pytest.mark.parametrize(
    ("uid", "caps", "ids", "unbound"),
    [
        (1000, 0, "0 0 4294967295", False),
        (0, 0, "0 0 4294967295", True),
        (1000, 1 << 24, "0 0 4294967295", True),
        (1000, 1 << 21, "0 0 4294967295", True),
        (1000, 1 << 20, "0 0 4294967295", False),
        (0, 1 << 24, "0 100000 65536", False),
        (0, 0, None, None),
    ],
)
def test_whom_the_process_limit_does_not_bind(
    tmp_path: Path, uid: int, caps: int, ids: str | None, unbound: bool | None
) -> None:
    """The machine's root, and who has CAP_SYS_RESOURCE or CAP_SYS_ADMIN there; root of a user namespace is bound. Where it binds nobody
    it is no limit on threads, or watch would foretell an end that never comes."""
    files = {f"{PID}/status": f"Uid:\t{uid}\t0\t0\t0\nThreads:\t17\nCapEff:\t{caps:016x}\nSeccomp:\t0\n"}
    if ids is not None:
        files[f"{PID}/uid_map"] = f"         {ids}\n"
    local = look(PID, root=grow(tmp_path, FDS, files))
    assert local.unbound is unbound
    assert reading(local).max_threads == (30_000 if unbound else 4096)


def test_only_the_number_when_kinds_are_not_wanted(tmp_path: Path) -> None:
    """A cheap look counts the descriptors and reads none of them."""
    local = look(PID, files=False, root=grow(tmp_path, FDS))
    assert local.kinds is None
    assert local.open_files == ()
    assert local.open_fds is not None


def test_refused_descriptors_are_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another user's descriptors may not be read all else is told, and the problem says what would help."""
    root = grow(tmp_path, FDS)
    plain = os.open

    def refuse(path: str, *args: int, **kwargs: int) -> int:
        if str(path).endswith("/fd"):
            raise PermissionError(13, "Permission denied")
        return plain(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    local = look(PID, root=root)
    assert local.kinds is None
    assert local.threads == 17
    assert [(p.code, p.where) for p in local.problems] == [("denied", f"{root}/{PID}/fd")]
    assert "CAP_SYS_PTRACE" in local.problems[0].text


def test_links_that_may_not_be_read_are_no_descriptors_of_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the right to trace a process of our own user its numbers can be listed and no link be read: their number is told, no kind."""
    root = grow(tmp_path, FDS)

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "readlink", refuse)
    local = look(PID, root=root)
    assert (local.kinds, local.open_files, local.open_fds) == (None, (), look(PID, root=root, files=False).open_fds)
    assert local.open_fds
    assert [(p.code, p.where) for p in local.problems] == [("denied", f"{root}/{PID}/fd/*")]


def test_a_link_too_long_to_be_read_is_open_nevertheless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens files below a path longer than a page hides no descriptor by it."""
    plain = os.readlink

    def long(name: str, **kwargs: int) -> str:
        if name == "15":
            raise OSError(36, "File name too long")
        return plain(name, **kwargs)

    monkeypatch.setattr(os, "readlink", long)
    local = look(PID, root=grow(tmp_path, FDS))
    assert local.open_fds == len(FDS)
    assert local.kinds is not None
    assert (local.kinds["file"], local.kinds["other"]) == (1, 3)


def test_missing_parts_are_problems_and_no_error(tmp_path: Path) -> None:
    """A /proc that hides most of itself (a sandbox) still tells the rest."""
    root = grow(tmp_path, {0: "/dev/null", 1: "socket:[7]"})
    for name in ("limits", "status", "net/tcp", "cgroup"):
        (tmp_path / str(PID) / name).unlink()
    (tmp_path / "stat").unlink()
    process._boot_time.cache_clear()
    local = look(PID, root=root)
    assert local.kinds == {"device": 1, "socket": 1}
    assert (local.max_fds, local.threads, local.start_time, local.cgroup) == (None, None, None, None)
    assert {p.where.rpartition("/")[2] for p in local.problems} >= {"limits", "status", "tcp"}
    assert local.open_files[1].what == "socket neither bound nor connected"


def test_no_such_process_and_no_procfs(tmp_path: Path) -> None:
    """Both are errors with a next step, and they are told apart."""
    root = grow(tmp_path)
    with pytest.raises(UnreachableError) as none:
        look(PID + 1, root=root)
    assert none.value.code == "no-such-process"
    assert "hostPID" in none.value.hint
    with pytest.raises(UnreachableError) as bare:
        look(PID, root=str(tmp_path / "nowhere"))
    assert bare.value.code == "no-procfs"
    assert "--proc" in bare.value.hint


def test_a_process_that_ends_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pid that is somebody else's at the end of the look tells of nobody."""
    root = grow(tmp_path, FDS)

    def replaced(*_: object) -> None:
        (tmp_path / str(PID) / "stat").write_text(stat(ticks=99_999))

    monkeypatch.setattr(process, "cgroup", replaced)
    with pytest.raises(UnreachableError, match="ended while"):
        look(PID, root=root)


def test_a_zombie_holds_nothing(tmp_path: Path) -> None:
    """A process that ended and was not waited for is gone, and said to be."""
    ended = stat().replace(" S ", " Z ")
    with pytest.raises(UnreachableError, match="zombie"):
        look(PID, root=grow(tmp_path, FDS, {f"{PID}/stat": ended}))


def test_descriptors_closed_meanwhile_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A descriptor that was listed and is gone when it is read is not counted and no problem."""
    root = grow(tmp_path, FDS)
    monkeypatch.setattr(os, "listdir", lambda _: ["0", "1", "555"])
    local = look(PID, root=root, sockets=False)
    assert local.open_fds == 2
    assert local.problems == ()


def test_more_than_the_limit_are_only_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond MAX_FDS descriptors are counted as other, groups beyond MAX_GROUPS left out; both are said."""
    root = grow(tmp_path, {n: f"/var/d{n}/f" for n in range(30)})
    monkeypatch.setattr(descriptors, "MAX_FDS", 20)
    monkeypatch.setattr(descriptors, "MAX_GROUPS", 5)
    local = look(PID, root=root)
    assert local.kinds == {"file": 20, "other": 10}
    assert local.open_fds == 30
    assert len(local.open_files) == 5
    assert {p.code for p in local.problems} == {"too-many", "groups-left-out"}


def test_a_table_beyond_its_size_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network table is read up to its cap, at a whole line, and that is a problem."""
    monkeypatch.setattr(sockets, "MAX_TABLE", len(HEADER) + 300)
    table = HEADER + "".join(row(100 + i, "0100007F:1F90", "0900000A:C350", "01") for i in range(9))
    local = look(PID, root=grow(tmp_path, {3: "socket:[100]", 4: "socket:[108]"}, {f"{PID}/net/tcp": table}))
    assert "too-large" in {p.code for p in local.problems}
    assert local.kinds == {"socket": 2}


@given(st.text(min_size=1, max_size=400).filter(lambda s: "\0" not in s))
def test_any_link_has_one_kind(target: str) -> None:
    """Names are hostile: each is of one known kind, bounded, and can be written."""
    found = descriptors.sorted_out([target, target])
    assert found.count == 2
    assert set(found.kinds) <= set(KINDS)
    groups, _ = descriptors.grouped(found, {})
    assert sum(g.count for g in groups) == 2
    assert all(len(g.example) <= 16 * descriptors.MAX_EXAMPLE and g.what.encode() is not None for g in groups)


@given(st.binary(max_size=300))
def test_any_table_is_answered(text: bytes) -> None:
    """Lines of nobody's kernel are skipped."""
    import tempfile

    from parkwarden.collect.procfs.files import Proc

    with tempfile.TemporaryDirectory() as folder:
        net = Path(folder, str(PID), "net")
        net.mkdir(parents=True)
        for name in ("tcp", "tcp6", "udp", "unix", "netlink", "packet", "raw"):
            (net / name).write_bytes(b"header\n" + text)
        proc = Proc(folder)
        assert set(sockets.sockets(proc, PID, frozenset(range(1, 50)))) <= set(range(1, 50))
        assert all(port >= 0 for _, port in sockets.listeners(proc, PID).values())
