"""The SkyWalking stream, asked by a scripted agent over the loopback."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import pytest
from grpc import aio

from parkwarden.collect.fleet.settings import CollectSettings
from parkwarden.collect.streams.admission import Admission
from parkwarden.collect.streams.settings import Listener
from parkwarden.collect.streams.skywalking import receiver as module
from parkwarden.collect.streams.skywalking.receiver import SkyWalkingStream, place
from parkwarden.model import Capture, Named, SiteCounts, Started
from parkwarden.model.errors import UsageError
from parkwarden.model.instance import Secret
from parkwarden.protos import skywalking_paths as paths
from parkwarden.protos import skywalking_pb2 as pb
from tests.collect.streams.skywalking.agent import FakeAgent, bodies, log, meters, segment
from tests.collect.streams.world import NOON, World

ID = "shop/i-1@10.1.2.3"
NOON_MS = int(NOON * 1000)
PROFILE = Path(__file__).parents[3] / "data"


class Receiver:
    """A stream in a world of its own, listening."""

    def __init__(self, world: World, *, token: Secret | None = None, points_per_s: int = 50_000) -> None:
        self.world = world
        self.kept: list[Capture] = []
        self.told: list[str] = []
        self.monotonic = 1_000.0
        self.stream = SkyWalkingStream(
            Listener(listen="127.0.0.1:0", token=token),
            {"env": "test"},
            world.roll,
            Admission(lambda: self.monotonic, points_per_s=points_per_s),
            CollectSettings(),
            emit=world.events.append,
            keep=self.kept.append,
            tell=self.told.append,
            clock=lambda: world.now,
            monotonic=lambda: self.monotonic,
        )

    def run(self, script: Callable[[str], Awaitable[None]]) -> None:
        """Serve while `script(address)` runs."""

        async def main() -> None:
            server = asyncio.ensure_future(self.stream.parts()["skywalking"]())
            try:
                async with asyncio.timeout(20):
                    while not self.told:
                        assert not server.done()
                        await asyncio.sleep(0.005)
                    await script(self.told[0].split("grpc://")[1].split()[0])
            finally:
                server.cancel()
                await asyncio.wait([server])

        asyncio.run(main())
        self.stream._assembly.flush(everything=True)


async def settled(stream: SkyWalkingStream, **points: int) -> None:
    """Until so much was counted: an endless stream answers nothing."""
    while any(stream.points[name.replace("_", "-")] < n for name, n in points.items()):
        await asyncio.sleep(0.005)


def test_meters_of_an_endless_stream_become_readings() -> None:
    """Each message counts when it comes; a stream that breaks keeps what arrived, and the next one goes on."""
    there = Receiver(World())

    async def script(address: str) -> None:
        for step in range(2):
            async with FakeAgent(address) as agent:
                await agent.introduce()
                stream = agent.stream(paths.METER_BATCHES)
                for n in (0, 1):
                    at_ms = NOON_MS - 60_000 + (2 * step + n) * 10_000
                    told = meters(agent.service, agent.instance, at_ms, {"goroutines": 10 + 2 * step + n, "num_gc": 3})
                    await stream.write(pb.MeterDataCollection(meterData=told).SerializeToString())
                await agent.beat()
                stream.cancel()
                await settled(there.stream, no_field=2 * (step + 1))

    there.run(script)
    assert [reading.goroutines for reading in there.world.readings(ID)] == [10, 11, 12, 13]
    first = next(event for event in there.world.events if isinstance(event, Started)).instance
    assert first.labels == {"service": "shop", "env": "test", "host": "host-1", "pid": "4711"}


def test_meters_that_come_one_by_one_are_gathered_by_their_time() -> None:
    """`collect`: only the first is named; what was held when the stream broke is taken."""
    there = Receiver(World())

    async def script(address: str) -> None:
        async with FakeAgent(address) as agent:
            stream = agent.stream(paths.METERS)
            for at_ms in (NOON_MS - 20_000, NOON_MS - 10_000):
                for meter in meters(agent.service, agent.instance, at_ms, {"goroutines": at_ms % 7}):
                    await stream.write(meter.SerializeToString())
            await agent.beat()
            stream.cancel()
            await settled(there.stream, no_field=2)

    there.run(script)
    assert [reading.at for reading in there.world.readings(ID)] == [NOON - 20, NOON - 10]


def test_what_ran_is_kept_and_becomes_evidence_on_suspicion() -> None:
    """Segments (each once, whatever is sent again) and warnings, as a text; a suspicion that lasts saves it again, not at every beat."""
    there = Receiver(World())

    async def script(address: str) -> None:
        async with FakeAgent(address) as agent:
            await agent.introduce()
            one = segment(agent.service, agent.instance, NOON_MS, error=True)
            segments, logs = agent.stream(paths.SEGMENTS), agent.stream(paths.LOGS)
            for body in (one, one, segment("other", "nobody", NOON_MS)):
                await segments.write(body.SerializeToString())
            await segments.write(b"\xff\xff damaged")
            nameless = log("", "", NOON_MS, "hold \x1b[31mthe line")
            async for body in bodies(log(agent.service, agent.instance, NOON_MS, "starting", "INFO"), nameless):
                await logs.write(body)
            await settled(there.stream, segment=1, segment_again=1, segment_of_nobody=1, malformed=1, log=2)

    there.run(script)
    for _ in range(3):
        assert there.stream.suspect(ID, "goroutine-trend")
    (capture,) = there.kept
    text = capture.body.decode()
    assert (capture.kind, capture.instance, capture.service, capture.why) == ("segments", ID, "shop", "goroutine-trend")
    assert "# 1 x GET:/order: median 12 ms, longest 12 ms\n" in text
    assert text.index("entry GET:/order by front 200") < text.index("exit /price to 127.0.0.1:81 ERROR")
    assert "hold \\x1b[31mthe line" in text
    assert "starting" not in text
    assert "log records: " in text
    there.monotonic += 31
    there.stream.suspect(ID, "goroutine-trend")
    assert len(there.kept) == 2
    assert any("does not ask for pprof tasks" in line for line in there.told)


def test_a_suspected_instance_is_asked_for_its_profiles() -> None:
    """A goroutine profile at the next poll and another a while later, one task at a time; they name sites and become evidence."""
    there = Receiver(World())
    body = goroutine_profile()

    async def script(address: str) -> None:
        async with FakeAgent(address, profile=lambda _event: body) as agent:
            await agent.introduce()
            await agent.poll()
            assert agent.tasks == []
            assert there.stream.suspect(agent_id(agent), "goroutine-trend")
            await agent.poll()
            await agent.poll()
            assert len(agent.tasks) == 1
            there.monotonic += 20
            there.world.now += 20
            await agent.poll()
            assert [task["Events"] for task in agent.tasks] == ["goroutine", "goroutine"]
            there.monotonic += 20
            there.stream.suspect(agent_id(agent), "heap-growth")
            await agent.poll()
            assert agent.words == [pb.PPROF_PROFILING_SUCCESS] * 3

    there.run(script)
    counts = [event for event in there.world.events if isinstance(event, SiteCounts)]
    assert [event.at for event in counts][:2] == [NOON, NOON + 20]
    named = {event.site.id for event in there.world.events if isinstance(event, Named)}
    assert counts[0].counts.keys() <= named
    assert there.stream.points["profile"] >= 2
    assert there.kept[0].kind == "goroutine-profile"
    assert there.kept[0].body == body


def agent_id(agent: FakeAgent) -> str:
    return place(agent.service, agent.instance)


def goroutine_profile() -> bytes:
    found = next(PROFILE.rglob("goroutine.pb.gz"), None)
    assert found is not None
    return found.read_bytes()


@pytest.mark.parametrize(
    ("size", "said", "counted"),
    [
        (None, pb.PPROF_PROFILING_SUCCESS, "profile-unreadable"),
        (1 << 30, pb.PPROF_TERMINATED_BY_OVERSIZE, "profile-refused"),
        (0, pb.PPROF_EXECUTION_TASK_ERROR, "profile-refused"),
        (10, pb.PPROF_PROFILING_SUCCESS, "profile-cut"),
    ],
)
def test_a_profile_that_is_none_is_refused_or_counted(size: int | None, said: int, counted: str) -> None:
    """Too large before a piece is sent; another size than announced, or no profile at all, costs itself only. A task is brought once."""
    there = Receiver(World())

    async def script(address: str) -> None:
        async with FakeAgent(address) as agent:
            await agent.introduce()
            there.stream.suspect(ID, "goroutine-trend")
            query = pb.PprofTaskCommandQuery(service=agent.service, serviceInstance=agent.instance)
            commands = pb.Commands.FromString(await agent.ask(paths.PPROF_TASKS, query.SerializeToString()))
            task = {pair.key: pair.value for pair in commands.commands[0].args}["TaskId"]
            assert await agent.bring(task, b"x" * 100, size=size) == said
            assert await agent.bring(task, b"x" * 100) == pb.PPROF_EXECUTION_TASK_ERROR
            assert await agent.bring("made-up", b"x") == pb.PPROF_EXECUTION_TASK_ERROR

    there.run(script)
    assert (there.stream.points[counted], there.stream.points["profile-unasked"]) == (1, 2)
    assert there.world.readings() == []


def test_an_agent_that_shows_no_token_gets_nothing_but_its_configuration() -> None:
    """Which the agent asks for without showing it; there is none to hide."""
    there = Receiver(World(), token=Secret("word"))

    async def script(address: str) -> None:
        async with FakeAgent(address) as stranger:
            with pytest.raises(aio.AioRpcError) as refused:
                await stranger.introduce()
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        async with FakeAgent(address, metadata=[("authentication", "word")]) as agent:
            await agent.introduce()
            await agent.beat()

    there.run(script)
    assert len(there.world.roll) == 1


def test_meters_beyond_what_is_taken_end_their_stream_with_a_time_to_come_back() -> None:
    """RESOURCE_EXHAUSTED; the agent begins a new stream."""
    there = Receiver(World(), points_per_s=20)

    async def script(address: str) -> None:
        async with FakeAgent(address) as agent:
            stream = agent.stream(paths.METER_BATCHES)
            told = meters(agent.service, agent.instance, NOON_MS, {})
            body = pb.MeterDataCollection(meterData=told * 2).SerializeToString()
            await stream.write(body)
            await stream.write(body)
            assert await stream.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    there.run(script)
    assert there.stream.points["over-limit"] > 0


def test_an_address_in_use_is_a_known_error() -> None:
    """The part ends with what is wrong and what to do, in words; whoever keeps it running tells them."""
    first, second = Receiver(World()), Receiver(World())

    async def script(address: str) -> None:
        second.stream._listener = Listener(listen=address)
        with pytest.raises(UsageError, match=r"cannot listen on 127.0.0.1:"):
            await second.stream.parts()["skywalking"]()

    first.run(script)


def test_other_languages_agents_are_told_ok_and_nobody_here() -> None:
    """A Java service that shares the address: its properties and meters are no mistake, and no instance."""
    there = Receiver(World())

    async def script(address: str) -> None:
        async with FakeAgent(address) as agent:
            await agent.introduce(language="java")
            await agent.beat()
            jvm = pb.MeterSingleValue(name="instance_jvm_cpu", value=1)
            told = [pb.MeterData(service="j", serviceInstance="1", timestamp=NOON_MS, singleValue=jvm)]
            await agent.stream(paths.METER_BATCHES).write(pb.MeterDataCollection(meterData=told).SerializeToString())
            await settled(there.stream, not_go=1)

    there.run(script)
    assert len(there.world.roll) == 0


def test_a_flood_of_segments_does_not_take_the_meters_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments are evidence: beyond their own rate they are left out, and their room is bounded over all instances."""
    there = Receiver(World())
    monkeypatch.setattr(module, "MAX_BYTES_OF_ALL", 2_000)
    there.stream._agent("shop", "1", announce=True)
    there.stream._agent("shop", "2", announce=True)
    limit = int(2 * module.SEGMENTS_PER_S)
    for n in range(limit + 10):
        there.stream._take_segment(segment("shop", str(1 + n % 2), NOON_MS).SerializeToString())
    assert there.stream.points == {"segment": limit, "segment-over-limit": 10}
    assert there.stream._kept_bytes <= 2_000


def test_log_records_and_ids_are_bounded_over_all_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records share the segments' room, each instance's are the newest; of a segment's id, which may be a megabyte, its hash is remembered."""
    there = Receiver(World())
    monkeypatch.setattr(module, "MAX_BYTES_OF_ALL", 60_000)
    for n in range(4):
        there.stream._agent("shop", str(n), announce=True)

    async def records() -> AsyncIterator[bytes]:
        for n in range(400):
            body = pb.LogDataBody(text=pb.TextLog(text=f"{n} " + "x" * 1_000))
            record = pb.LogData(service="shop", serviceInstance=str(n % 4), timestamp=NOON_MS, body=body)
            yield record.SerializeToString()

    asyncio.run(there.stream._on_logs(records(), None))  # type: ignore[arg-type]
    kept = [record for agent in there.stream._agents.values() for record in agent.lately._logs]
    assert 50 < len(kept) < 130
    assert there.stream._kept_bytes == sum(sum(map(sys.getsizeof, record)) for record in kept) <= 60_000
    for n in range(3):
        long = pb.SegmentObject(service="shop", serviceInstance="1", traceSegmentId="x" * 100_000 + str(n % 2))
        there.stream._take_segment(long.SerializeToString())
    assert there.stream.points["segment-again"] == 1
    assert sum(map(sys.getsizeof, there.stream._segments)) < 1_000


def test_who_is_gone_takes_all_of_it_along() -> None:
    """Nothing is kept of an instance that was silent for too long; an address is an instance's id as it is."""
    there = Receiver(World())
    there.stream._agent("shop", "10.1.2.3:6060", announce=True)
    there.stream._take_segment(segment("shop", "10.1.2.3:6060", NOON_MS).SerializeToString())
    assert there.stream.suspect("10.1.2.3:6060", "goroutine-trend")
    there.stream.gone("10.1.2.3:6060")
    assert there.stream._kept_bytes == 0
    assert not there.stream.suspect("10.1.2.3:6060", "goroutine-trend")
