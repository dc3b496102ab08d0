"""The journal: what was appended is read back; a torn tail costs only itself; a full disk costs only what memory cannot hold."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.formats import recording
from parkwarden.model import Gone, Instance, Named, Read, Reading, Site, Started, StoreError
from parkwarden.store import journal as journal_module
from parkwarden.store.journal import Journal, segments
from parkwarden.store.settings import StoreSettings, Sync

NOON = 1_700_006_400.0
"""2023-11-15 00:00 UTC: an hour begins."""


class Clock:
    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def line(at: float, n: int = 1, instance: str = "a") -> bytes:
    return recording.write(Read(at, instance, Reading(at=at, goroutines=n)))


def site(site_id: str) -> bytes:
    return recording.write(Named(Site(site_id, "chan send", "main.f", "m.go", 7, ())))


def start(instance: str) -> bytes:
    return recording.write(Started(Instance(id=instance, labels={"service": "shop"}), NOON))


def whole(journal: Journal, since: float = 0.0) -> bytes:
    return b"".join(journal.replay(since))


def test_what_was_appended_is_replayed(tmp_path: Path) -> None:
    """Lines come back byte for byte, also through a second journal on the same folder, which goes on with the same segment."""
    clock = Clock()
    first = [start("a"), site("s1"), line(NOON), line(NOON + 5)]
    with Journal(tmp_path, clock) as journal:
        journal.append(first[:2])
        journal.append(first[2:])
        assert whole(journal) == b"".join(first)
    with Journal(tmp_path, clock) as journal:
        journal.append([line(NOON + 10)])
        assert whole(journal) == b"".join(first) + line(NOON + 10)
        assert len(journal.segments()) == 1


def test_replay_begins_where_it_is_told(tmp_path: Path) -> None:
    """Older readings are left out; who was introduced is always told."""
    with Journal(tmp_path, Clock()) as journal:
        journal.append([start("a"), site("s1"), *(line(NOON + n) for n in range(10))])
        assert whole(journal, NOON + 8) == start("a") + site("s1") + line(NOON + 8) + line(NOON + 9)


def test_each_hour_has_a_segment_that_stands_alone(tmp_path: Path) -> None:
    """A new hour begins with the instances and sites known, without those that are gone."""
    clock = Clock()
    with Journal(tmp_path, clock) as journal:
        journal.append([start("a"), start("b"), site("s1"), line(NOON)])
        journal.append([recording.write(Gone(NOON + 1, "b"))])
        clock.now += 3600
        journal.append([line(clock.now)])
        [old, new] = journal.segments()
        assert new.path.read_bytes() == start("a") + site("s1") + line(clock.now)
        assert journal.closed() == [old]
        journal.done(old)
        assert journal.closed() == []
        assert [segment.done for segment in journal.segments()] == [True, False]
        # a replay that needs only the second hour does not read the first
        assert whole(journal, clock.now) == new.path.read_bytes()


def test_headers_survive_a_restart(tmp_path: Path) -> None:
    """A journal opened anew still knows whom to introduce in the next segment."""
    clock = Clock()
    with Journal(tmp_path, clock) as journal:
        journal.append([start("a"), site("s1")])
    clock.now += 7200
    with Journal(tmp_path, clock) as journal:
        journal.append([line(clock.now)])
        assert journal.segments()[-1].path.read_bytes() == start("a") + site("s1") + line(clock.now)


def test_a_clock_that_jumps_back_keeps_the_order(tmp_path: Path) -> None:
    """Segments are numbered: after a jump of the clock they still come in the order they were written."""
    clock = Clock()
    with Journal(tmp_path, clock) as journal:
        for at in (NOON, NOON + 90_000, NOON + 5):
            clock.now = at
            journal.append([line(at)])
        assert [segment.number for segment in journal.segments()] == [1, 2, 3]
        assert whole(journal) == line(NOON) + line(NOON + 90_000) + line(NOON + 5)


TAILS = [
    b'{"t":17000',
    b'{"t":1,"instance":"a"}',
    b"\0" * 4096,
    b"\0\0\n\0\0\n",
    b"\xff\xfe garbage \n more \n",
    b"\n\n",
]


@pytest.mark.parametrize("tail", TAILS)
def test_a_damaged_tail_costs_only_itself(tmp_path: Path, tail: bytes) -> None:
    """What stands before a torn or corrupt end is kept, what is cut off is counted, and writing goes on cleanly."""
    with Journal(tmp_path, Clock()) as journal:
        journal.append([start("a"), line(NOON)])
        path = journal.segments()[0].path
    with path.open("ab") as file:
        file.write(tail)
    with Journal(tmp_path, Clock()) as journal:
        assert journal.lost_bytes == len(tail)
        journal.append([line(NOON + 5)])
        assert whole(journal) == start("a") + line(NOON) + line(NOON + 5)


@given(cut=st.integers(0, 400), garbage=st.binary(max_size=40))
def test_any_cut_leaves_a_prefix(tmp_path_factory: pytest.TempPathFactory, cut: int, garbage: bytes) -> None:
    """Cut anywhere and add anything: the replay reads as a prefix of what was written, and the reader has little to complain of."""
    folder = tmp_path_factory.mktemp("journal")
    lines = [line(NOON + n) for n in range(8)]
    with Journal(folder, Clock()) as journal:
        journal.append(lines)
        path = journal.segments()[0].path
    damaged = path.read_bytes()[:cut] + garbage.replace(b"{", b"(")
    path.write_bytes(damaged)
    with Journal(folder, Clock()) as journal:
        # the longest run of whole lines: garbage may happen to end one as it was
        assert whole(journal) == max((r for n in range(9) if damaged.startswith(r := b"".join(lines[:n]))), key=len)


class Disk:
    """os.write that can be full: takes `room` more bytes, then refuses as the real one does (a part, then ENOSPC)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room: int | None = None
        self.write = os.write
        monkeypatch.setattr(journal_module.os, "write", self)

    def __call__(self, fd: int, data: memoryview) -> int:
        if self.room is None:
            return self.write(fd, data)
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self.write(fd, data[: self.room])
        self.room -= written
        return written


def test_a_full_disk_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk is full lines wait in memory and the file stays clean; when there is room all are written in order."""
    disk = Disk(monkeypatch)
    with Journal(tmp_path, Clock()) as journal:
        journal.append([start("a"), line(NOON)])
        disk.room = 11
        journal.append([line(NOON + 1)])
        journal.append([line(NOON + 2)])
        assert "space" in journal.trouble
        assert journal.held_bytes == 2 * len(line(NOON))
        assert whole(journal) == start("a") + line(NOON)
        disk.room = None
        journal.append([line(NOON + 3)])
        assert (journal.trouble, journal.held_bytes, journal.dropped_lines) == ("", 0, 0)
        assert whole(journal) == start("a") + b"".join(line(NOON + n) for n in range(4))


def test_memory_is_bounded_while_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond MAX_HELD the oldest lines are dropped and counted; a name among them is told by the next segment."""
    monkeypatch.setattr(journal_module, "MAX_HELD", 1000)
    disk = Disk(monkeypatch)
    clock = Clock()
    with Journal(tmp_path, clock) as journal:
        disk.room = 0
        journal.append([start("a"), *(line(NOON + n) for n in range(100))])
        assert journal.held_bytes <= 1000
        disk.room = None
        journal.append([line(NOON + 100)])
        kept = whole(journal).count(b"\n")
        assert journal.dropped_lines == 102 - kept
        assert whole(journal).endswith(line(NOON + 100))
        clock.now += 3600
        journal.append([line(clock.now)])
        assert journal.segments()[-1].path.read_bytes() == start("a") + line(clock.now)


def test_an_hour_that_cannot_begin_is_begun_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment whose headers do not fit on the disk is taken back, and begun whole when there is room."""
    disk = Disk(monkeypatch)
    clock = Clock()
    with Journal(tmp_path, clock) as journal:
        journal.append([start("a"), site("s1")])
        disk.room = 10
        clock.now += 3600
        journal.append([line(clock.now)])
        assert [segment.number for segment in journal.segments()] == [1]
        disk.room = None
        journal.append([line(clock.now + 1)])
        assert journal.segments()[-1].path.read_bytes() == (
            start("a") + site("s1") + line(clock.now) + line(clock.now + 1)
        )


def test_a_segment_deleted_under_us_is_begun_anew(tmp_path: Path) -> None:
    """Somebody cleans up the folder: the next append writes to a file that is there, with its headers."""
    with Journal(tmp_path, Clock()) as journal:
        journal.append([start("a"), line(NOON)])
        journal.segments()[0].path.unlink()
        journal.append([line(NOON + 1)])
        assert whole(journal) == start("a") + line(NOON + 1)


def test_one_process_writes_a_journal(tmp_path: Path) -> None:
    """A second journal on the folder is refused, until the first is closed; closing twice is fine."""
    journal = Journal(tmp_path)
    with pytest.raises(StoreError) as refused:
        Journal(tmp_path)
    assert refused.value.code == "store-in-use"
    journal.close()
    journal.close()
    Journal(tmp_path).close()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """Where the folder's place is a file the error is typed and says what to do."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError) as refused:
        Journal(tmp_path / "file" / "journal")
    assert refused.value.code == "store-unwritable"


def test_pruning_keeps_the_warm_start_and_what_is_not_history(tmp_path: Path) -> None:
    """Done segments go after `journal_hours`; the others only beyond `journal_max_bytes`, and then they are counted."""
    clock = Clock()
    settings = StoreSettings(journal_hours=2.0, journal_max_bytes=1 << 20)
    with Journal(tmp_path, clock, settings) as journal:
        for _ in range(6):
            journal.append([line(clock.now)])
            clock.now += 3600
        for segment in journal.closed()[1:]:
            journal.done(segment)
        assert journal.prune(clock.now) == 3
        assert [segment.number for segment in journal.segments()] == [1, 5, 6, 7]
        assert journal.pruned_unread == 0
    with Journal(tmp_path, clock, StoreSettings(journal_max_bytes=10)) as journal:
        journal.append([line(clock.now)])
        assert journal.prune(clock.now) == 3
        assert journal.pruned_unread == 1
        assert whole(journal) == line(clock.now)


@pytest.mark.parametrize(("sync", "expected"), [(Sync.APPEND, 5), (Sync.INTERVAL, 2), (Sync.CLOSE, 0)])
def test_syncing_as_often_as_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: Sync, expected: int) -> None:
    """fsync with each append, once per interval, or only when a segment is closed."""
    calls: list[int] = []
    monkeypatch.setattr(journal_module.os, "fdatasync", calls.append)
    clock = Clock()
    with Journal(tmp_path, clock, StoreSettings(sync=sync, sync_interval_s=2.0)) as journal:
        for _ in range(5):
            journal.append([line(clock.now)])
            clock.now += 1
        assert len(calls) == expected
    assert len(calls) == expected + 1


def test_opening_and_closing_leaks_nothing(tmp_path: Path) -> None:
    """100 times open, write, close: as many file descriptors and threads as before."""

    def cycle() -> tuple[int, int]:
        with Journal(tmp_path) as journal:
            journal.append([line(NOON)])
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    first = cycle()
    assert {cycle() for _ in range(100)} == {first}
    assert len(segments(tmp_path)) >= 1


def test_replay_feeds_the_reader(tmp_path: Path) -> None:
    """The chunks of a replay make the events that were written, without a problem."""
    events = [
        Started(Instance(id="a", labels={"service": "shop"}), NOON),
        *(Read(NOON + n, "a", Reading(at=NOON + n, goroutines=n)) for n in range(3)),
    ]
    with Journal(tmp_path, Clock()) as journal:
        journal.append([recording.write(event) for event in events])
        reader = recording.Reader()
        found = [event for chunk in journal.replay(0.0) for event in reader.feed(chunk)] + reader.close()
    assert found == events
    assert reader.problems == []
