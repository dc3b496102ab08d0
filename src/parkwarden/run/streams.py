"""The streams of a watch: made from its configuration, tidied, asked to look closer."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from parkwarden.collect.streams.admission import Admission
from parkwarden.collect.streams.roll import Roll

if TYPE_CHECKING:
    from parkwarden.collect.fleet.collector import Collector
    from parkwarden.collect.streams.stream import Part, Stream
    from parkwarden.model import Capture, Event, Instance
    from parkwarden.run.config import Config

TIDY_S = 60.0
"""Between two looks for those who were silent for too long."""


def made(
    config: Config,
    roll: Roll,
    clock: Callable[[], float],
    tell: Callable[[str], None],
    collector: Collector,
    known: Callable[[str], bool],
    emit: Callable[[Event], None],
    keep: Callable[[Capture], None],
) -> list[Stream]:
    """The streams of a configuration; `tell(text)` is told where they listen, `known(id)` says whether there are readings of an instance
    from before a restart of ours; `emit` and `keep` get what closer looks bring. What they need is imported where they are wanted."""
    receive = config.receive
    admission = Admission(time.monotonic, points_per_s=receive.points_per_s)
    streams: list[Stream] = []
    if receive.otlp.grpc.listen or receive.otlp.http.listen:
        from parkwarden.collect.streams.otlp.receiver import OtlpStream

        streams.append(OtlpStream(receive.otlp, receive.labels, roll, admission, clock, tell))
    if receive.skywalking.listen:
        from parkwarden.collect.streams.skywalking.receiver import SkyWalkingStream

        skywalking = SkyWalkingStream(
            receive.skywalking,
            receive.labels,
            roll,
            admission,
            config.collect,
            emit=emit,
            keep=keep,
            tell=tell,
            clock=clock,
        )
        streams.append(skywalking)
    if receive.remote_write.listen:
        from parkwarden.collect.streams.remote_write import RemoteWriteStream

        streams.append(RemoteWriteStream(receive.remote_write, receive.labels, roll, admission, tell))
    if config.collect.prometheus:
        from parkwarden.collect.streams.prometheus.stream import PrometheusStream

        streams += [
            PrometheusStream(f"prometheus[{n}]", one, roll, clock, known=known, looks=collector, tell=tell)
            for n, one in enumerate(config.collect.prometheus)
        ]
    return streams


def kernels(config: Config) -> list[str]:
    """What reading the streams of a configuration takes (kernels/__init__.py)."""
    wanted = {"remote_write": config.receive.remote_write.listen, "prometheus_json": config.collect.prometheus}
    return [name for name, there in wanted.items() if there]


class Streams:
    """All streams and the roll they share. `emit`, `clock`, `direct` and `room` are the roll's; `make(roll)` makes the streams."""

    def __init__(
        self,
        emit: Callable[[Event], None],
        clock: Callable[[], float],
        direct: Callable[[str], bool],
        make: Callable[[Roll], Sequence[Stream]],
        *,
        room: Callable[[int], None] = lambda _more: None,
    ) -> None:
        self.roll = Roll(emit, clock, direct=direct, forgotten=self._forgotten, room=room)
        self._by_name = {stream.name: stream for stream in make(self.roll)}

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def parts(self) -> dict[str, Part]:
        """What is to be kept running."""
        parts: dict[str, Part] = {}
        for stream in self._by_name.values():
            parts |= stream.parts()
        return parts | {"roll": self._tidy} if self else {}

    def resumed(self, instances: Sequence[Instance]) -> None:
        """Who was known before a restart of ours and is no direct target may be somebody's whom a stream will tell of again."""
        for instance in instances:
            if instance.id not in self.roll:
                self.roll.resumed(instance)

    def suspect(self, instance_id: str, why: str) -> bool:
        stream = self._stream_of(instance_id)
        return stream is not None and stream.suspect(instance_id, why)

    def last_chance(self, instance_id: str, limit: str, low_s: float) -> bool:
        stream = self._stream_of(instance_id)
        return stream is not None and stream.last_chance(instance_id, limit, low_s)

    def points(self) -> Counter[tuple[str, str]]:
        """(stream, outcome) -> points since the start."""
        return Counter({(s.name, outcome): n for s in self._by_name.values() for outcome, n in s.points.items()})

    def troubles(self) -> Mapping[str, str]:
        """What is wrong with which stream now."""
        return {stream.name: stream.trouble for stream in self._by_name.values() if stream.trouble}

    def instances(self) -> Counter[str]:
        """Instances by the stream that tells of them."""
        return self.roll.by_stream()

    def _stream_of(self, instance_id: str) -> Stream | None:
        return self._by_name.get(self.roll.stream_of(instance_id) or "")

    def _forgotten(self, stream: str, instance_id: str) -> None:
        if stream in self._by_name:
            self._by_name[stream].gone(instance_id)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_S)
            self.roll.tidy()
