"""What a spool promises: at least once, over processes, within its bound; a bad disk costs telemetry and nothing else."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkwarden.telemetry import Segment, SpanLog
from parkwarden.telemetry.reporter import (
    Account,
    LogRecord,
    MetricKind,
    MetricPoint,
    Reason,
    Reporter,
    ReporterSettings,
    Signal,
)
from parkwarden.telemetry.reporter.records import total
from parkwarden.telemetry.reporter.spool import Spool, SpoolFullError
from tests.telemetry.reporter.test_encode import OURS, W3C, traced
from tests.telemetry.reporter.test_reporter import Stuck
from tests.telemetry.reporter.things import TAKEN, UNREACHED, Scripted, log

QUICK = ReporterSettings(linger_s=0.0, backoff_s=0.01, backoff_max_s=0.01, queue_items=300, close_s=5.0)


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*"))


def settled(reporter: Reporter, sent: int) -> Account:
    """Once so much is sent."""
    while total((account := reporter.account()).sent.values()).items < sent:
        assert account.balanced()
        time.sleep(0.001)
    return account


def test_items_come_back_as_they_were(tmp_path: Path) -> None:
    """All three kinds, with everything in them; the oldest file first; each until it is done."""
    spool = Spool(tmp_path)
    segment: Segment = traced(W3C, OURS)
    assert segment.spans[1].logs == (SpanLog(11.0, (("event", "error"), ("error.kind", "KeyError"))),)
    record = LogRecord(5.0, 17, "incident", "ü\ud800", {"n": 3, "f": float("inf"), "b": True}, "t", "s")
    number = MetricPoint("looks", "1", MetricKind.COUNTER, 3.0, 9.0, 1.0, {"kind": "heap"}, "Looks")
    told = [(Signal.TRACES, [segment]), (Signal.LOGS, [record]), (Signal.METRICS, [number])]
    for signal, items in told:
        spool.store(signal, items)
    for signal, items in told:
        found = spool.oldest()
        assert found is not None
        spool.release(found)
        found = Spool(tmp_path).oldest()
        assert found is not None
        assert (found.signal, found.items) == (signal, items)
        spool.done(found)
    assert spool.oldest() is None
    assert files(tmp_path) == []


def test_a_file_is_one_senders(tmp_path: Path) -> None:
    """Two processes that share a folder never send the same file at the same time."""
    spool, other = Spool(tmp_path), Spool(tmp_path)
    spool.store(Signal.LOGS, [log("a")])
    first = spool.oldest()
    assert first is not None
    assert other.oldest() is None
    spool.release(first)
    assert other.oldest() is not None


def test_a_spool_keeps_to_its_bound(tmp_path: Path) -> None:
    """What is beyond is refused, and no half file stays."""
    spool = Spool(tmp_path, max_bytes=400)
    with pytest.raises(SpoolFullError):
        _fill(spool)
    assert 0 < sum(path.stat().st_size for path in files(tmp_path)) <= 400
    assert all(path.suffix == ".spool" for path in files(tmp_path))


def _fill(spool: Spool) -> None:
    for _ in range(100):
        spool.store(Signal.LOGS, [log("x")])


@settings(max_examples=60)
@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 200))
def test_a_broken_file_is_passed_over(tmp_path_factory: pytest.TempPathFactory, junk: bytes, cut: int, at: int) -> None:
    """Anything, a torn file, a changed one: counted and deleted, or read; the next one comes."""
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder)
    (folder / "0.spool").write_bytes(junk)
    whole = (folder / spool.store(Signal.LOGS, [log("torn")])).read_bytes()
    (folder / "1.spool").write_bytes(whole[: cut % len(whole)])
    changed = bytearray(whole)
    changed[at % len(whole)] ^= 0x55
    (folder / "2.spool").write_bytes(changed)
    seen = 0
    while (found := spool.oldest()) is not None:
        seen += 1
        spool.done(found)
    assert seen + spool.broken == 4
    assert spool.broken >= 2
    assert files(folder) == []


def test_an_outage_that_memory_is_too_small_for_loses_nothing(tmp_path: Path) -> None:
    """Beyond the queue's bound items go to disk, and come back when the back end does; the books balance all along."""
    up: list[bool] = []
    transport = Scripted(lambda signal, items: TAKEN if up else UNREACHED)
    reporter = Reporter(transport, QUICK, spool=Spool(tmp_path))
    for number in range(2_000):
        reporter.log(log(str(number)))
        if number % 100 == 0:
            assert reporter.account().balanced()
            time.sleep(0.001)
    while reporter.account().spooled.items < 1_000:
        time.sleep(0.001)
    up.append(True)
    transport.got.clear()
    for _ in range(300):  # a file is written when there is enough for one
        reporter.log(log())
    account = settled(reporter, 1_900)
    final = reporter.close()
    assert final.balanced()
    assert account.dropped.get((Signal.LOGS, Reason.QUEUE_FULL)) is None
    sent = {item.body for item in transport.items() if isinstance(item, LogRecord)}
    spooled = {item.body for stored in iter(Spool(tmp_path).oldest, None) for item in _taken(tmp_path, stored)}
    assert sent | spooled == {*map(str, range(2_000)), "line"}


def _taken(folder: Path, stored: object) -> list[LogRecord]:
    found = [item for item in stored.items if isinstance(item, LogRecord)]  # type: ignore[attr-defined]
    Spool(folder).done(stored)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("stuck", [True, False])
def test_what_is_queued_at_the_end_is_sent_by_the_next_process(tmp_path: Path, stuck: bool) -> None:
    """Whether the back end refuses or hangs; the next one accepts and sends it, and the folder is empty."""
    transport = Stuck(heeds=False) if stuck else Scripted(lambda signal, items: UNREACHED)
    first = Reporter(transport, ReporterSettings(linger_s=0.0, close_s=1.0), spool=Spool(tmp_path))
    for number in range(50):
        first.log(log(str(number)))
    if isinstance(transport, Stuck):
        assert transport.entered.wait(10)
    account = first.close()
    assert account.balanced()
    assert (account.spooled.items, account.queued[Signal.LOGS].items, account.dropped) == (50, 50, {})
    if isinstance(transport, Stuck):
        transport.free.set()
    works = Scripted()
    second = Reporter(works, QUICK, spool=Spool(tmp_path))
    second.log(log("new"))
    settled(second, 51)
    assert second.close().balanced()
    assert sorted(item.body for item in works.items() if isinstance(item, LogRecord)) == sorted(
        ["new", *map(str, range(50))]
    )
    assert files(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="the folder is made a file")
def test_a_disk_that_fails_costs_telemetry_and_nothing_else(tmp_path: Path) -> None:
    """Counted as `spool`."""
    (tmp_path / "file").write_text("no folder")
    reporter = Reporter(Scripted(lambda *_: UNREACHED), QUICK, spool=Spool(tmp_path / "file" / "folder"))
    for _ in range(20):
        reporter.log(log())
    account = reporter.close()
    assert account.balanced()
    assert account.dropped[Signal.LOGS, Reason.SPOOL].items == 20
