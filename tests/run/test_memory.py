"""The watch's memory: what was seen is there again after a restart, and a disk that is slow or away costs only itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from parkwarden.formats.recording import write
from parkwarden.model import Finding, Gone, Instance, Read, Reading, Started, Verdict
from parkwarden.run import memory as module
from parkwarden.run.memory import Memory
from parkwarden.store.settings import StoreSettings

NOW = 1_700_000_000.0


def a_memory(folder: Path, now: float = NOW) -> Memory:
    made = Memory(StoreSettings(folder=str(folder)), lambda: now)
    made.open()
    return made


async def remembered(folder: Path, now: float = NOW) -> list:
    made = a_memory(folder, now)
    events = [event async for event in made.replay(now)]
    await made.close()
    return events


def test_what_was_seen_is_there_after_a_restart(tmp_path: Path) -> None:
    """Events come back in order, as they were; those before the warm hour do not, but who they introduced does."""
    events = [Started(Instance(id="i", labels={"service": "shop"}), NOW - 8000)]
    events += [Read(NOW - 7200 + 600 * k, "i", Reading(at=NOW - 7200 + 600 * k, goroutines=k)) for k in range(13)]

    async def scene() -> list:
        first = a_memory(tmp_path)
        for event in events:
            first.remember(event)
        await first.close()
        return await remembered(tmp_path)

    found = asyncio.run(scene())
    assert found[0] == events[0]
    assert found[1:] == [e for e in events[1:] if e.at >= NOW - module.WARM_S]


@pytest.mark.parametrize(
    ("limit", "most"), [("MAX_LINES", 3), ("MAX_WAITING_BYTES", 3 * len(write(Gone(NOW, "i0"))) + 10)]
)
def test_lines_that_cannot_wait_any_longer_are_counted(tmp_path: Path, monkeypatch, limit: str, most: int) -> None:
    """A writer that hangs fills a bounded queue, in lines and in bytes; what falls out is counted, the newest stay."""
    monkeypatch.setattr(module, limit, most)

    async def scene() -> tuple[int, list]:
        made = a_memory(tmp_path)
        for k in range(5):
            made.remember(Gone(NOW + k, f"i{k}"))
        dropped = made.dropped
        await made.close()
        return dropped, await remembered(tmp_path, NOW + 5)

    dropped, found = asyncio.run(scene())
    assert dropped == 2
    assert [e.instance for e in found if isinstance(e, Gone)] == ["i2", "i3", "i4"]


def test_closed_hours_become_history(tmp_path: Path) -> None:
    """An hour later readings and findings of the hour before are in the tables."""

    async def scene() -> None:
        now = [NOW]
        made = Memory(StoreSettings(folder=str(tmp_path)), lambda: now[0])
        made.open()
        made.remember(Started(Instance(id="i", labels={"service": "shop"}), NOW))
        made.remember(Read(NOW, "i", Reading(at=NOW, goroutines=77)))
        made.found(NOW, [Finding(code="PW104", verdict=Verdict.LEAK, confidence=0.9, title="t", service="shop")])
        made.flush()
        await asyncio.wait([made._flushing])
        now[0] = NOW + 3700
        await made.tidy(now[0])
        assert made.trouble == ""
        assert list(made.history.readings("i", NOW - 1, NOW + 1)["goroutines"]) == [77]
        assert made.history.query("SELECT service, verdict FROM findings").rows == [("shop", "leak")]
        await made.close()

    asyncio.run(scene())


def test_an_hour_that_cannot_be_converted_does_not_keep_room_from_being_made(tmp_path: Path, monkeypatch) -> None:
    """A full disk fails the conversion; pruning still happens, the trouble is told, and the hour is tried again."""
    from parkwarden.model import StoreError

    async def scene() -> None:
        now = [NOW]
        made = Memory(StoreSettings(folder=str(tmp_path)), lambda: now[0])
        made.open()
        made.remember(Started(Instance(id="i"), NOW))
        made.flush()
        now[0] = NOW + 3700
        pruned: list[float] = []
        monkeypatch.setattr(made._events, "prune", lambda at: pruned.append(at) or 0)

        def full(_segment: object) -> int:
            raise StoreError("disk-full", "The disk is full.", passing=True)

        with monkeypatch.context() as while_full:
            while_full.setattr(made.history, "convert", full)
            await made.tidy(now[0])
        assert (made.trouble, pruned) == ("The disk is full.", [NOW + 3700])
        await made.tidy(now[0])
        assert made.trouble == ""
        assert all(segment.done for segment in made._events.segments()[:-1])
        await made.close()

    asyncio.run(scene())


def test_a_journal_nobody_can_read_keeps_no_watch_from_starting(tmp_path: Path) -> None:
    """A first line of another version, or lines that are damaged: counted, what can be read is read."""

    async def after(damage: bytes) -> tuple[int, int]:
        folder = tmp_path / str(len(damage))
        first = a_memory(folder)
        first.remember(Read(NOW, "i", Reading(at=NOW, goroutines=1)))
        await first.close()
        (segment,) = (folder / "journal").iterdir()
        segment.write_bytes(damage + segment.read_bytes())
        second = a_memory(folder)
        events = [event async for event in second.replay(NOW)]
        await second.close()
        return second.unread_lines, sum(isinstance(event, Read) for event in events)

    assert asyncio.run(after(b'{"v":99,"instance":"i"}\n')) == (2, 0)
    assert asyncio.run(after(b"\x00\x01 garbage\n")) == (1, 1)
