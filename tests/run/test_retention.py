"""retention: what a heap profile says, and into which findings it is brought."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from parkwarden.model import Capture, Finding, Frame, ParkwardenError, Site, TimeLeft, Verdict
from parkwarden.run import retention
from parkwarden.run.retention import MAX_WAITING, Retained, Retention, read

T0 = 1_700_000_000.0
HEAP = (Path(__file__).parents[1] / "data" / "profile_proto" / "go1.27" / "heap.pb.gz").read_bytes()
LINE = Frame("main.render", "/src/render.go", 71)
SITE = Site("s1", "IO wait", "main.report", "/src/report.go", 63, (Frame("main.report", "/src/report.go", 63),), None)


def capture(instance: str = "i1", body: bytes = HEAP, kind: str = "heap-profile") -> Capture:
    return Capture(instance=instance, service="shop", kind=kind, at=T0, body=body, why="memory-exhaustion")


def finding(code: str = "PW522", limit: str = "memory-limit", culprit: Frame | None = None) -> Finding:
    left = TimeLeft(
        limit=limit, at=T0, seconds=60.0, low_s=40.0, high_s=90.0, value=1.0, limit_value=2.0, rate_per_s=0.1
    )
    return Finding(
        code=code, verdict=Verdict.EXHAUSTING, confidence=0.9, title="", instance="i1", time_left=left, culprit=culprit
    )


def knowing(one: Retained | None) -> Retention:
    """One that has read a heap profile of i1 with this answer."""

    async def ask() -> Retention:
        there = Retention()
        there.heed(capture())
        reading = asyncio.create_task(there.run())
        while there._waiting:
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        reading.cancel()
        return there

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(retention, "read", lambda _capture: one)
        return asyncio.run(ask())


def test_a_real_heap_profile_is_read() -> None:
    """A profile of a real program names the line that holds most of it, with its share and its time."""
    found = read(capture())
    assert found is not None
    assert found.line.function.startswith("main.")
    assert found.line.function in found.text
    assert "of the heap" in found.text
    assert found.text.endswith("by the heap profile of 2023-11-14 22:13:20 UTC")


def test_bytes_that_are_no_profile_are_a_typed_error() -> None:
    """A hostile answer costs itself."""
    with pytest.raises(ParkwardenError):
        read(capture(body=b"no profile"))


def test_findings_about_memory_carry_what_the_heap_says() -> None:
    """First among the evidence; the line becomes the culprit of a finding about memory that names nobody, and of no other."""
    there = knowing(Retained(T0, LINE, "94 % of the heap is held by main.render"))
    memory, named, site, files = there.told(
        [finding(), finding(culprit=SITE.frames[0]), finding("PW114"), finding("PW520", "fd-limit")]
    )
    assert memory.culprit == LINE
    assert memory.evidence[0].value == "94 % of the heap is held by main.render"
    assert named.culprit == SITE.frames[0]
    assert named.evidence[0].source == "heap profile"
    assert site.culprit is None
    assert site.evidence
    assert not files.evidence


def test_without_a_heap_profile_findings_stay_as_they_are() -> None:
    """Nothing known, nothing said; a heap that nobody holds most of says nothing either."""
    assert knowing(None).told([finding()]) == [finding()]


def test_what_waits_is_bounded_and_only_heaps_are_heeded() -> None:
    """The newest of each instance, a few of them; other looks are none of its business."""

    async def ask() -> Retention:
        there = Retention()
        there.heed(capture(kind="trace"))
        for n in range(MAX_WAITING + 5):
            there.heed(capture(f"i{n}"))
            there.heed(capture(f"i{n}"))
        return there

    there = asyncio.run(ask())
    assert len(there._waiting) == MAX_WAITING
    assert there.unread == 5


def test_a_profile_that_cannot_be_read_stops_nobody() -> None:
    """It is counted, and the next one is read."""

    async def ask() -> Retention:
        there = Retention()
        there.heed(capture("bad", b"\x1f\x8bno gzip"))
        there.heed(capture("i1"))
        reading = asyncio.create_task(there.run())
        async with asyncio.timeout(20):
            while "i1" not in there._known:
                await asyncio.sleep(0.01)
        reading.cancel()
        return there

    assert asyncio.run(ask()).unread == 1
