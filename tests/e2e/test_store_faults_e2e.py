"""The store under real faults: killed at random moments, a disk that is full, read-only or too small."""

from __future__ import annotations

import os
import random
import resource
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from parkwarden.formats import recording
from parkwarden.model import Capture, Read, Reading, StoreError
from parkwarden.run.evidence import open_store
from parkwarden.store.history import History
from parkwarden.store.journal import Journal, segments
from parkwarden.store.settings import StoreSettings
from parkwarden.store.state import State
from tests.store.words import incident, notification

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
NOON = 1_700_006_400.0


def line(n: int) -> bytes:
    return recording.write(Read(NOON + n, "a", Reading(at=NOON + n, goroutines=n)))


def killed_writer(folder: Path, turn: int, after_s: float) -> dict[str, list[str]]:
    """Run the writer, kill -9 it `after_s` after it is ready; what it had acknowledged, by kind."""
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.store_writer", folder, str(turn)], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert writer.stdout is not None
    ready, _, _ = select.select([writer.stdout], [], [], 60)
    assert ready, "the writer did not start"
    time.sleep(after_s)
    writer.kill()
    said, _ = writer.communicate()
    told: dict[str, list[str]] = {"state": [], "journal": [], "evidence": [], "history": [], "ready": []}
    for words in said.decode().splitlines():
        kind, _, what = words.partition(" ")
        told[kind].append(what)
    return told


def kill_many_times(folder: Path, times: int, seed: int) -> dict[str, int]:
    """Kill a writer at random moments and check after each that all it acknowledged is there; how much that was, by kind."""
    chance = random.Random(seed)
    settings = StoreSettings(folder=str(folder))
    told: dict[str, set[str]] = {"state": set(), "journal": set(), "evidence": set(), "history": set()}
    for turn in range(times):
        now = killed_writer(folder, turn, chance.uniform(0, 0.4))
        for kind in told:
            told[kind].update(now[kind])
        with State.open(settings=settings) as state:
            assert state.notices == []
            kept = {one.id for one in state.incidents()}
            assert {f"i{key}" for key in now["state"]} <= kept
            queued = {one.notification.key for one in state.due(1e12, 1_000_000)}
            assert {f"k{key}" for key in now["state"]} <= queued
            assert {key[1:] for key in queued} == {one[1:] for one in kept}  # never one without the other
        evidence = open_store(settings)
        for digest in now["evidence"]:
            evidence.open(digest)
        assert evidence.damaged == 0
    with Journal(folder / "journal", lambda: NOON, settings) as journal:
        lines = b"".join(journal.replay(0.0))
        assert all(f'"j{key}"'.encode() in lines for key in told["journal"])
        history = History(folder / "history", settings)
        history.heal()
        for segment in journal.closed():
            history.convert(segment)
            journal.done(segment)
    rows = [row[0] for row in history.query("SELECT instance FROM readings").rows]
    assert len(rows) == len(set(rows)), "a reading twice"
    assert {f"j{key}" for key in told["journal"]} <= set(rows)
    return {kind: len(what) for kind, what in told.items()}


def test_killed_at_random_moments_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """kill -9 twenty times: every commit, line, piece of evidence and hour that was acknowledged is there, once."""
    counts = kill_many_times(tmp_path, 20, seed=random.randrange(1 << 30))
    assert counts["state"] > 20
    assert counts["evidence"] > 5


@pytest.mark.full
def test_killed_200_times_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """The same 200 times."""
    assert kill_many_times(tmp_path, 200, seed=random.randrange(1 << 30))["state"] > 200


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB of its own. Only root can mount: others have the test with RLIMIT_FSIZE below."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(disk: Path) -> Path:
    """Take all space there is."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler


def test_a_full_disk_is_told_and_waited_out(disk: Path) -> None:
    """Every part tells a full disk, typed and passing, keeps what it had, and works by itself when there is room."""
    settings = StoreSettings(folder=str(disk))
    evidence = open_store(settings)
    history = History(disk / "history", settings)
    with State.open(settings=settings) as state, Journal(disk / "journal", lambda: NOON, settings) as journal:
        state.commit([incident("before")], [notification("before")])
        journal.append([line(0)])
        filler = fill(disk)
        many = [
            incident(f"i{n}", title="x" * 4000) for n in range(500)
        ]  # more than the WAL may have room for of its own
        with pytest.raises(StoreError) as full:
            state.commit(many)
        assert (full.value.code, full.value.passing) == ("disk-full", True)
        for n in range(1, 3000):
            journal.append([line(n)])
        assert "space" in journal.trouble
        capture = Capture(
            instance="a",
            service="s",
            kind="other",
            at=1.0,
            body=os.urandom(100_000).hex().encode(),
            why="",
            file="x.txt",
        )
        with pytest.raises(StoreError) as refused:
            evidence.put(capture)
        assert refused.value.code == "disk-full"
        with pytest.raises(StoreError) as unwritten:
            history.convert(segments(disk / "journal")[0])
        assert unwritten.value.passing
        assert {one.id for one in state.incidents()} >= {"before"}

        filler.unlink()
        state.commit([incident("after")], [notification("after")])
        journal.append([line(3000)])
        assert (journal.trouble, journal.dropped_lines) == ("", 0)
        assert b"".join(journal.replay(0)) == b"".join(line(n) for n in range(3001))
        assert evidence.open(evidence.put(capture).digest)[1] == capture.body
        assert history.convert(segments(disk / "journal")[0]) == 3001
    with State.open(settings=settings) as state:
        assert {one.id for one in state.incidents()} >= {"before", "after"}
        assert not [path for path in disk.rglob("*") if path.name.startswith(".tmp")]


def test_a_read_only_disk_is_told_and_waited_out(disk: Path) -> None:
    """A disk that turns read-only (an error of its own, an operator): typed, passing, and over when it is writable again."""
    settings = StoreSettings(folder=str(disk))
    evidence = open_store(settings)
    capture = Capture(instance="a", service="s", kind="other", at=1.0, body=b"text", why="", file="x.txt")
    State.open(settings=settings).close()
    journal = Journal(disk / "journal", lambda: NOON, settings)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(StoreError) as refused:
        State.open(settings=settings)
    assert refused.value.code == "state-read-only"
    with pytest.raises(StoreError) as unwritable:
        evidence.put(capture)
    assert (unwritable.value.code, unwritable.value.passing) == ("evidence-unwritable", True)
    journal.append([line(0)])
    assert "ead-only" in journal.trouble
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    journal.append([line(1)])
    assert b"".join(journal.replay(0)) == line(0) + line(1)
    journal.close()
    evidence.put(capture)
    with State.open(settings=settings) as state:
        state.commit([incident("i1")])


def test_a_file_that_may_not_grow_is_waited_out(tmp_path: Path) -> None:
    """RLIMIT_FSIZE, a quota's likeness that needs no root: lines are held, none is torn, none is lost."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal(tmp_path, lambda: NOON) as journal:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
            for n in range(500):
                journal.append([line(n)])
            assert journal.trouble
            assert journal.held_bytes > 0
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        journal.append([line(500)])
        assert b"".join(journal.replay(0)) == b"".join(line(n) for n in range(501))
