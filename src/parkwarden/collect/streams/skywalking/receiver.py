"""The SkyWalking stream: the services that agents of Go programs call, one handler each.

Streams of an agent never end: each message is taken when it comes, and one that breaks keeps what arrived. A damaged message is counted,
and the stream goes on. Meters beyond what is taken end their stream with RESOURCE_EXHAUSTED (agents begin a new one); segments and logs,
which are only kept for evidence, are left out and counted. Questions for configuration and profile tasks are answered with nothing; only
for pprof tasks there may be one.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from parkwarden.collect.discovery.addresses import clean_labels, is_address
from parkwarden.collect.streams import grpc_server
from parkwarden.collect.streams.admission import Admission
from parkwarden.collect.streams.assembly import Assembly
from parkwarden.collect.streams.grpc_server import Call, both_streams, client_stream, come_back_later, unary
from parkwarden.collect.streams.roll import MAX_ID
from parkwarden.collect.streams.skywalking.brought import Brought
from parkwarden.collect.streams.skywalking.lately import FILE, MAX_BYTES_OF_ALL, Lately
from parkwarden.collect.streams.skywalking.meters import Batch, batches
from parkwarden.collect.streams.skywalking.tasks import EVENTS, Tasks
from parkwarden.collect.streams.stream import Part, Stream
from parkwarden.model.capture import LAST_CHANCE, SEGMENTS, Capture
from parkwarden.model.instance import Instance
from parkwarden.model.safe import inert
from parkwarden.protos import skywalking_paths as paths
from parkwarden.protos import skywalking_pb2 as pb

if TYPE_CHECKING:
    from parkwarden.collect.fleet.settings import CollectSettings
    from parkwarden.collect.streams.roll import Roll
    from parkwarden.collect.streams.settings import Listener
    from parkwarden.model.events import Event

MAX_MESSAGE = 5 << 18
"""Bytes of one message, unpacked: a profile's pieces have 1 MiB, a batch of meters 60 KB."""
MAX_HELD = 1_000
"""Meters of one time that are gathered where each is a message of its own: agents have 60."""
SEGMENTS_PER_S = 4_000
"""Segments and log records that are looked at, of all agents: they are evidence, and must not take the time of meters. A quarter of a core."""
MAX_REMEMBERED = 32_768
"""Segments whose ids are remembered, so that those sent again after a reconnect are not kept twice."""
SAVES_S = (0.0, 30.0, 120.0)
"""After the begin of a suspicion, while it lasts: what ran lately is saved. Its incident may open later than it is first suspected."""
MAX_MUTE = 1_000
"""Instances remembered as told of that nobody can ask them for a profile."""
NOTHING = b""
"""`Commands` with no command."""

M = TypeVar("M", bound=Message)


def place(service: str, instance: str) -> str:
    """The id of an instance: its name where that is an address, as our own targets are named; else `service/instance`."""
    if is_address(instance):
        return instance
    return inert("/".join(filter(None, (service, instance))), MAX_ID)


@dataclass(slots=True)
class _Agent:
    instance: Instance
    lately: Lately = field(default_factory=Lately)
    saves: list[float] = field(default_factory=list)
    """When what it told lately is still to be saved, while it is suspected."""


class SkyWalkingStream(Stream):
    """See the module. `labels` are every instance's; `emit` gets what profiles tell, `keep` what is evidence, `tell(text)` where it listens."""

    def __init__(
        self,
        listener: Listener,
        labels: Mapping[str, str],
        roll: Roll,
        admission: Admission,
        collect: CollectSettings,
        *,
        emit: Callable[[Event], None],
        keep: Callable[[Capture], None],
        tell: Callable[[str], None],
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("skywalking")
        self._listener = listener
        self._labels = labels
        self._roll = roll
        self._admission = admission
        self._evidence = Admission(monotonic, points_per_s=SEGMENTS_PER_S)
        self._keep = keep
        self._tell = tell
        self._clock = clock
        self._monotonic = monotonic
        self._assembly = Assembly(roll, self.points, monotonic)
        self._tasks = Tasks(collect, clock, monotonic)
        self._brought = Brought(
            self._tasks, roll, admission, self.points, place=place, emit=emit, keep=keep, clock=clock
        )
        self._agents: dict[str, _Agent] = {}
        """By instance; who brought a segment or a log record last is the last."""
        self._kept_bytes = 0
        self._segments: dict[int, None] = {}
        self._mute: set[str] = set()

    # what the watch calls

    def parts(self) -> Mapping[str, Part]:
        return {"skywalking": self._serve, "skywalking-readings": self._flush}

    def suspect(self, instance_id: str, why: str) -> bool:
        agent, instance = self._agents.get(instance_id), self._roll.instance(instance_id)
        if agent is None or instance is None:
            return False
        now = self._monotonic()
        if self._tasks.wanted(instance_id, why) and self._tasks.suspect(instance, why, self._goroutines(instance_id)):
            agent.saves = [now + after_s for after_s in SAVES_S]
        if agent.saves and now >= agent.saves[0]:
            agent.saves = [at for at in agent.saves if at > now]
            self._save(agent, why)
        return True

    def last_chance(self, instance_id: str, limit: str, low_s: float) -> bool:
        agent, instance = self._agents.get(instance_id), self._roll.instance(instance_id)
        if agent is None or instance is None:
            return False
        if self._tasks.nearing(instance_id, limit, low_s):
            self._tasks.last_chance(instance, limit, low_s, self._goroutines(instance_id))
            self._save(agent, f"{LAST_CHANCE} {limit}")
        return True

    def gone(self, instance_id: str) -> None:
        agent = self._agents.pop(instance_id, None)
        if agent is not None:
            self._kept_bytes -= agent.lately.forget()
        self._assembly.forget(instance_id)
        self._tasks.gone(instance_id)
        self._brought.gone(instance_id)
        self._mute.discard(instance_id)

    def methods(self) -> grpc_server.Methods:
        """All that agents ask for; v3's under their old names, too."""
        of_v3 = {
            paths.SEGMENTS: client_stream(self._on_segments),
            paths.SEGMENTS_AT_ONCE: unary(self._on_segments_at_once),
            paths.METERS: client_stream(self._on_meters),
            paths.METER_BATCHES: client_stream(self._on_meter_batches),
            paths.LOGS: client_stream(self._on_logs),
            paths.PROPERTIES: unary(self._on_properties),
            paths.KEEP_ALIVE: unary(self._on_keep_alive),
            paths.CONFIGURATION: unary(_nothing),
            paths.PROFILE_TASKS: unary(_nothing),
            paths.PROFILE_REPORT: client_stream(_drained),
            paths.PROFILE_FINISH: unary(_nothing),
        }
        of_v10 = {paths.PPROF_TASKS: unary(self._on_poll), paths.PPROF_COLLECT: both_streams(self._brought.profile)}
        return {**of_v3, **{paths.old(path): method for path, method in of_v3.items()}, **of_v10}

    # parts

    async def _serve(self) -> None:
        def bound(address: str) -> None:
            self._tell(f"skywalking: grpc://{address} takes what agents report")

        # agents ask for their configuration without showing a token; there is none
        unguarded = frozenset((paths.CONFIGURATION, paths.old(paths.CONFIGURATION)))
        await grpc_server.serve(
            self._listener,
            self.methods(),
            setting="skywalking",
            bound=bound,
            max_message=MAX_MESSAGE,
            unguarded=unguarded,
        )

    async def _flush(self) -> None:
        await self._assembly.keep_flushing(self._tasks.tidy)

    # meters

    async def _on_meter_batches(self, messages: AsyncIterator[bytes], call: Call) -> bytes:
        async for body in messages:
            found = self._read(pb.MeterDataCollection, body)
            if found is not None and (again_s := self._take_meters(found.meterData)):
                await come_back_later(call, again_s, "more points a second than are taken")
        return NOTHING

    async def _on_meters(self, messages: AsyncIterator[bytes], call: Call) -> bytes:
        """One meter in each message: those of one time are gathered, and taken even where the stream breaks."""
        held: list[pb.MeterData] = []
        last = pb.MeterData()
        try:
            async for body in messages:
                meter = self._read(pb.MeterData, body)
                if meter is None:
                    continue
                meter.service = meter.service or last.service
                meter.serviceInstance = meter.serviceInstance or last.serviceInstance
                meter.timestamp = meter.timestamp or last.timestamp
                if held and (meter.timestamp != last.timestamp or len(held) >= MAX_HELD):
                    again_s = self._take_meters(held)
                    held = []
                    if again_s:
                        await come_back_later(call, again_s, "more points a second than are taken")
                held.append(meter)
                last = meter
        finally:
            if held:
                self._take_meters(held)
        return NOTHING

    def _take_meters(self, meters: Sequence[pb.MeterData]) -> float:
        """Take them; or nothing, and the seconds after which to come back."""
        again_s = self._admission.refusal(len(meters))
        if again_s:
            self.points["over-limit"] += len(meters)
            return again_s
        for batch in batches(meters):
            self._take_batch(batch)
        return 0.0

    def _take_batch(self, batch: Batch) -> None:
        if not batch.service or not batch.instance:
            self.points["no-instance"] += batch.points
            return
        agent = self._agent(batch.service, batch.instance, announce=batch.of_go)
        if agent is None:
            self.points["not-taken" if batch.of_go else "not-go"] += batch.points
            return
        self.points["no-field"] += batch.unused
        agent.lately.meters(batch.histograms)
        if batch.values:
            self._assembly.tell(agent.instance.id, batch.at or self._clock(), batch.values)

    # who

    def _agent(
        self, service: str, instance: str, *, announce: bool = False, told: Mapping[str, str] | None = None
    ) -> _Agent | None:
        """Whose it is; None where it is nobody's we know, or who is not taken. `told` are labels it has told besides."""
        name = place(service, instance)
        agent = self._agents.get(name)
        if agent is not None and not told:
            return agent if self._roll.seen(self.name, agent.instance) else None
        if agent is None and not announce:
            return None
        before = self._roll.instance(name)
        known = before.labels if before is not None else self._labels
        labels, _lost = clean_labels({**known, "service": inert(service), **(told or {})})
        who = Instance(id=name, labels=labels)
        if not self._roll.seen(self.name, who):
            return None
        if agent is None:
            agent = self._agents[name] = _Agent(who)
        agent.instance = who
        return agent

    async def _on_properties(self, body: bytes, call: Call) -> bytes:
        found = await self._question(pb.InstanceProperties, body, call)
        told = {pair.key: pair.value for pair in found.properties}
        if found.service and found.serviceInstance and told.get("language", "") in ("go", "golang"):
            labels = {"host": told.get("hostname", ""), "pid": told.get("Process No.", "")}
            labels = {name: inert(value) for name, value in labels.items() if value}
            self._agent(found.service, found.serviceInstance, announce=True, told=labels)
        return NOTHING

    async def _on_keep_alive(self, body: bytes, call: Call) -> bytes:
        found = await self._question(pb.InstancePingPkg, body, call)
        self._roll.hear(place(found.service, found.serviceInstance))
        return NOTHING

    # evidence

    async def _on_segments(self, messages: AsyncIterator[bytes], _call: Call) -> bytes:
        async for body in messages:
            self._take_segment(body)
        return NOTHING

    async def _on_segments_at_once(self, body: bytes, call: Call) -> bytes:
        found = await self._question(pb.SegmentCollection, body, call)
        for segment in found.segments:
            self._take_segment(segment.SerializeToString())
        return NOTHING

    def _take_segment(self, body: bytes) -> None:
        if self._evidence.refusal(1):
            self.points["segment-over-limit"] += 1
            return
        segment = self._read(pb.SegmentObject, body)
        if segment is None:
            return
        agent = self._agent(segment.service, segment.serviceInstance)
        if agent is None:
            self.points["segment-of-nobody"] += 1
            return
        key = hash((agent.instance.id, segment.traceSegmentId))  # ids are as long as their senders make them
        if key in self._segments:
            self.points["segment-again"] += 1
            return
        if len(self._segments) >= MAX_REMEMBERED:
            del self._segments[next(iter(self._segments))]
        self._segments[key] = None
        self.points["segment"] += 1
        self._kept(agent, agent.lately.segment(body, len(segment.spans)))

    def _kept(self, agent: _Agent, more: int) -> None:
        """So many bytes more of an agent's are kept; who has been silent longest gives way where all take too many."""
        name = agent.instance.id
        self._agents[name] = self._agents.pop(name)
        self._kept_bytes += more
        if self._kept_bytes <= MAX_BYTES_OF_ALL:
            return
        for agent in self._agents.values():
            self._kept_bytes -= agent.lately.forget()
            if self._kept_bytes <= MAX_BYTES_OF_ALL:
                return

    async def _on_logs(self, messages: AsyncIterator[bytes], _call: Call) -> bytes:
        service = instance = ""
        async for body in messages:
            if self._evidence.refusal(1):
                self.points["log-over-limit"] += 1
                continue
            record = self._read(pb.LogData, body)
            if record is None:
                continue
            service, instance = record.service or service, record.serviceInstance or instance
            agent = self._agent(service, instance)
            if agent is None:
                self.points["log-of-nobody"] += 1
                continue
            self.points["log"] += 1
            self._kept(agent, agent.lately.log(record, record.timestamp or int(self._clock() * 1000)))
        return NOTHING

    def _save(self, agent: _Agent, why: str) -> None:
        """What ran lately becomes evidence; said once where the agent cannot be asked for more."""
        name = agent.instance.id
        if agent.lately:
            body = agent.lately.text(name, self._clock()).encode()
            service = agent.instance.service
            self._keep(
                Capture(instance=name, service=service, kind=SEGMENTS, at=self._clock(), body=body, why=why, file=FILE)
            )
        if not self._tasks.polls(name) and name not in self._mute and len(self._mute) < MAX_MUTE:
            self._mute.add(name)
            self._tell(
                f"skywalking: {inert(name)} is suspected, and its agent does not ask for pprof tasks (skywalking-go has them from"
                " 0.7 on): its line is named if its pprof is a target, too"
            )

    # tasks

    async def _on_poll(self, body: bytes, call: Call) -> bytes:
        found = await self._question(pb.PprofTaskCommandQuery, body, call)
        agent = self._agent(found.service, found.serviceInstance)
        instance = self._roll.instance(agent.instance.id) if agent is not None else None
        task = self._tasks.poll(instance, found.lastCommandTime) if instance is not None else None
        if task is None:
            return NOTHING
        args = {
            "SerialNumber": task.id,
            "TaskId": task.id,
            "Events": EVENTS[task.look],
            "Duration": "0",
            "DumpPeriod": "0",
            "CreateTime": str(task.at_ms),
        }
        pairs = [pb.KeyStringValuePair(key=key, value=value) for key, value in args.items()]
        return pb.Commands(commands=[pb.Command(command="PprofTaskQuery", args=pairs)]).SerializeToString()

    # reading

    def _goroutines(self, instance_id: str) -> int | None:
        last = self._roll.last(instance_id)
        return last.goroutines if last is not None else None

    def _read(self, kind: type[M], body: bytes) -> M | None:
        try:
            return kind.FromString(body)
        except DecodeError:
            self.points["malformed"] += 1
            return None

    async def _question(self, kind: type[M], body: bytes, call: Call) -> M:
        found = self._read(kind, body)
        if found is None:
            await call.abort(grpc.StatusCode.INVALID_ARGUMENT, f"no {kind.DESCRIPTOR.name}")
        assert found is not None
        return found


async def _nothing(_body: bytes, _call: Call) -> bytes:
    return NOTHING


async def _drained(messages: AsyncIterator[bytes], _call: Call) -> bytes:
    async for _body in messages:
        pass
    return NOTHING
