"""Storing: what a commit, a journal line, an hour of history and a piece of evidence cost, beside the plainest way to do the same.

Ours does more each time (an outbox's identity, headers and recovery, labels and site names, redaction); the peers are SQLite's own
driver with the same durability, a bare write, and pyarrow's JSON reader and Parquet writer. `python -m bench.storing` prints ours as text.
"""

from __future__ import annotations

import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bench.sections import Row
from parkwarden.formats import recording
from parkwarden.model import (
    Capture,
    Incident,
    IncidentState,
    Instance,
    Named,
    Notification,
    Priority,
    Read,
    Reading,
    Site,
    SiteCounts,
    Started,
    Tell,
    Verdict,
)
from parkwarden.run.evidence import open_store
from parkwarden.store.history import History
from parkwarden.store.journal import Journal, Segment
from parkwarden.store.settings import StoreSettings
from parkwarden.store.state import State

INSTANCES = 1_000
QUICK_INSTANCES = 100
BEGAN = 1_700_006_400.0
EVERY_S = 5
COMMITS = 500


def an_hour(instances: int) -> list[bytes]:
    """Lines of one hour: a reading every 5 s and a profile of 15 sites a minute of every instance."""
    chance = random.Random(1)
    names = [f"10.0.{n // 250}.{n % 250}:6060" for n in range(instances)]
    lines = [
        recording.write(
            Started(Instance(id=name, labels={"service": f"svc{n % 40}", "env": "prod"}, start_time=1.5), BEGAN)
        )
        for n, name in enumerate(names)
    ]
    lines += [
        recording.write(
            Named(Site(f"{n:016x}", "chan send", f"example.com/shop/p{n}.(*T).run", f"/src/p{n}/t.go", n, ()))
        )
        for n in range(200)
    ]
    for beat in range(3600 // EVERY_S):
        for n, name in enumerate(names):
            at = BEGAN + beat * EVERY_S + n * EVERY_S / instances
            heap = 10_000_000 + chance.randrange(9_000_000)
            reading = Reading(
                at=at, goroutines=100 + chance.randrange(40), heap_alloc=heap, heap_inuse=heap + 500_000, next_gc=20_000_000,
                num_gc=beat, gc_cpu_s=beat * 0.01, cpu_s=beat * 0.1 + n * 0.001, open_fds=20 + chance.randrange(5), max_fds=1024,
                threads=12, requests_total=beat * 500 + chance.randrange(50), rss=30_000_000 + 4096 * chance.randrange(1000),
            )  # fmt: skip
            lines.append(recording.write(Read(at, name, reading)))
            if beat % 12 == 0:
                counts = {f"{(n + i) % 200:016x}": 1 + chance.randrange(40) for i in range(15)}
                lines.append(recording.write(SiteCounts(at, name, counts)))
    return lines


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _incident(n: int) -> Incident:
    return Incident(
        id=f"i{n}", key=f"k{n}", state=IncidentState.FIRING, service="shop", title="goroutines leak at main.go:12", code="PW501",
        detector="site-floor-growth", verdict=Verdict.LEAK, confidence=0.9, priority=Priority.P1, why=("a sentence " * 8,),
        instances=tuple(f"10.0.0.{i}:6060" for i in range(10)),
    )  # fmt: skip


def commits(folder: Path) -> Row:
    """An incident and its notification, on the disk, one transaction each."""
    incidents = [_incident(n) for n in range(COMMITS)]
    notes = [
        Notification(key=f"n{n}", incident_id=one.id, channel="webhook", tell=Tell.FIRING, at=1.0, incident=one)
        for n, one in enumerate(incidents)
    ]
    with State.open(str(folder / "ours.db")) as state:
        ours = _timed(lambda: [state.commit([one], [note]) for one, note in zip(incidents, notes, strict=True)])
    peer = sqlite3.connect(folder / "peer.db", isolation_level=None)
    for statement in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "CREATE TABLE a (id TEXT PRIMARY KEY, body TEXT)",
    ):
        peer.execute(statement)

    def plainly() -> None:
        for n in range(COMMITS):
            peer.execute("BEGIN IMMEDIATE")
            peer.execute("INSERT INTO a VALUES (?, ?)", (f"i{n}", "x" * 900))
            peer.execute("INSERT INTO a VALUES (?, ?)", (f"n{n}", "x" * 1200))
            peer.execute("COMMIT")

    theirs = _timed(plainly)
    peer.close()
    return Row(f"{COMMITS} commits of an incident and its alert, synced", "sqlite3, two inserts", ours, theirs, None,
               f"{COMMITS / ours:,.0f} commits/s")  # fmt: skip


def journal(folder: Path, lines: list[bytes], instances: int) -> Row:
    """An hour's lines, appended a second's worth at a time, synced once a (virtual) second."""
    batch = max(1, instances // EVERY_S)
    batches = [lines[i : i + batch] for i in range(0, len(lines), batch)]
    clock = iter(range(len(batches) * 4)).__next__
    with Journal(folder / "journal", lambda: BEGAN + clock() % 3600, StoreSettings()) as ours:
        took = _timed(lambda: [ours.append(some) for some in batches])
    fd = os.open(folder / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def plainly() -> None:
        for some in batches:
            os.write(fd, b"".join(some))
            os.fdatasync(fd)

    theirs = _timed(plainly)
    os.close(fd)
    size = sum(map(len, lines))
    return Row(f"journal: an hour of {instances:,} instances", "write + fdatasync", took, theirs, None,
               f"{size / took / 1e6:,.0f} MB/s, {size / 1e6:,.0f} MB")  # fmt: skip


def history(folder: Path, lines: list[bytes], instances: int) -> Row:
    """The hour to Parquet, one thread."""
    import pyarrow as pa
    import pyarrow.json
    import pyarrow.parquet

    path = folder / "00000001-20231115T00.jsonl"
    path.write_bytes(b"".join(lines))
    ours = History(folder / "history")
    took = median(_timed(lambda: ours.convert(Segment(path, 1, "20231115T00", done=False))) for _ in range(3))
    readings = [line for line in lines if b'"goroutines"' in line]
    plain = folder / "readings.jsonl"
    plain.write_bytes(b"".join(readings))

    def plainly() -> None:
        table = pyarrow.json.read_json(plain, read_options=pyarrow.json.ReadOptions(use_threads=False))
        table = table.sort_by([("instance", "ascending"), ("t", "ascending")])
        pyarrow.parquet.write_table(table, folder / "peer.parquet", compression="zstd")

    pa.set_cpu_count(1)
    theirs = median(_timed(plainly) for _ in range(3))
    sizes = {table: sum(part.size for part in ours.parts(table)) for table in ("readings", "sites")}
    counts = ours.query("SELECT (SELECT count(*) FROM readings), (SELECT count(*) FROM sites)").rows[0]
    asked = _timed(lambda: ours.readings("10.0.0.7:6060", 0, 2e9))
    return Row(f"Parquet of an hour of {instances:,} instances (readings and sites)", "pyarrow, readings only", took, theirs, None,
               f"{sizes['readings'] / counts[0]:.1f} bytes per reading, {sizes['sites'] / counts[1]:.1f} per site count, "
               f"one instance's hour read in {asked * 1e3:.0f} ms")  # fmt: skip


def evidence(folder: Path) -> Row:
    """A text dump redacted, compressed, hashed, synced."""
    body = b"".join(
        b"goroutine %d [chan send, 5 minutes]:\nmain.worker(0xc000%06x)\n\t/src/shop/worker.go:%d +0x1d\n\n"
        % (n, n, n % 90)
        for n in range(100_000)
    )
    store = open_store(StoreSettings(folder=str(folder)))
    capture = Capture(instance="a", service="s", kind="goroutine-dump", at=1.0, body=body, why="", file="d.txt")
    took = _timed(lambda: store.put(capture))

    def plainly() -> None:
        with (folder / "peer.txt").open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())

    stored = store.list()[0].stored_bytes
    return Row(f"evidence: a dump of 100,000 goroutines ({len(body) / 1e6:.0f} MB)", "write + fsync", took, _timed(plainly), None,
               f"{len(body) / took / 1e6:.0f} MB/s, stored {len(body) / stored:.0f}x smaller")  # fmt: skip


def section(runs: int, quick: bool) -> list[Row]:
    """All of it in a folder of its own, on the disk the temporary folder is on."""
    instances = QUICK_INSTANCES if quick else INSTANCES
    lines = an_hour(instances)
    with tempfile.TemporaryDirectory(prefix="parkwarden-bench-") as name:
        folder = Path(name)
        return [commits(folder), journal(folder, lines, instances), history(folder, lines, instances), evidence(folder)]


if __name__ == "__main__":
    for row in section(1, quick=False):
        print(f"{row.work}: {row.ours_s:.2f} s ({row.peer}: {row.peer_s:.2f} s); {row.note}")
