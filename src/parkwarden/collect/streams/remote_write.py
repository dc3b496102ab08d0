"""Prometheus remote write, 1.0 and 2.0: a Prometheus (or an agent of its kind) brings what it scrapes.

What a sender is told (prometheus.io/docs/specs/prw/remote_write_spec, remote_write_spec_2_0):

    taken                         204, and how much was written (2.0); samples we have no use for are taken, too: they are no mistake of the sender's
    damaged, or too large         400, 413; not to be sent again
    another protocol or packing   415; a 2.0 sender falls back to 1.0 then, and need not
    too much at once              429 with Retry-After; a Prometheus sends it again where `retry_on_http_429` is set, and drops it otherwise

An instance is a label set without the name; it begins with a metric that only Go programs have. Numbers of requests are not read: their series
come in pieces, and half a sum looks like a restart.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from parkwarden.collect.streams.assembly import Assembly
from parkwarden.collect.streams.http_server import HttpServer, Message, RefusedError, Route
from parkwarden.collect.streams.prometheus.fleet import identity
from parkwarden.collect.streams.stream import Part, Stream
from parkwarden.formats import remote_write
from parkwarden.formats.runtime_names import FIELDS, NO_LIMIT
from parkwarden.model.errors import FormatError, LimitError

if TYPE_CHECKING:
    from starlette.responses import Response

    from parkwarden.collect.streams.admission import Admission
    from parkwarden.collect.streams.roll import Roll
    from parkwarden.collect.streams.settings import Listener

PATH = "/api/v1/write"
MAX_SENDERS_SERIES = 1 << 18
"""Label sets remembered: of as many instances as the roll takes, twice."""
SHARDS_S = 6.0
"""How far apart the pieces of one scrape come: a shard of a sender waits up to 5 s (`batch_send_deadline`) until it has enough."""
TIMES = 8
"""Scrapes of one instance whose pieces are waited for at once: at an interval of a second."""
DOUBLE_S = 300.0
"""How long an id belongs to the label set that had it: as long as Prometheus shows a series that is not marked stale."""
PAUSE_POINTS = 2_000
"""Points after which others have their turn: a few milliseconds."""

_VERSIONS = {"": 1, "prometheus.WriteRequest": 1, "io.prometheus.write.v2.Request": 2}
_FIELDS = {name.encode(): field for name, field in FIELDS.items()}
_GO = b"go_"


class RemoteWriteStream(Stream):
    """See the module. `labels` are every instance's; `clock` gives Unix seconds, `monotonic` what waiting goes by."""

    def __init__(
        self,
        listener: Listener,
        labels: Mapping[str, str],
        roll: Roll,
        admission: Admission,
        tell: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("remote-write")
        self._labels = labels
        self._roll = roll
        self._admission = admission
        self._monotonic = monotonic
        self._seed = secrets.randbits(63)
        self._assembly = Assembly(roll, self.points, monotonic, linger_s=SHARDS_S, times=TIMES)
        self._ids: dict[int, str] = {}
        """Hash of a label set -> its instance."""
        self._owners: dict[str, tuple[int, float]] = {}
        """Instance -> the hash of its label set, and when it was heard last."""
        self._doubled_at = -DOUBLE_S
        self._server = HttpServer(
            "remote_write", listener, [Route(PATH, self.take, ("snappy",))], admission, self.points, tell
        )

    @property
    def port(self) -> int:
        """Where it listens, once it does."""
        return self._server.port

    def parts(self) -> Mapping[str, Part]:
        return {self.name: self._server.run, f"{self.name} readings": self._flush}

    def gone(self, instance_id: str) -> None:
        self._assembly.forget(instance_id)
        owner = self._owners.pop(instance_id, None)
        if owner is not None:
            self._ids.pop(owner[0], None)

    async def take(self, message: Message) -> Response:
        """One message: its samples become values of readings. Raises RefusedError."""
        from starlette.responses import Response

        version = _version(message)
        try:
            found = await self._read(message.body, version)
        except LimitError as error:
            raise RefusedError(413, "too-large", error.message) from None
        except FormatError as error:
            raise RefusedError(400, "malformed", f"{error.message} {error.context}") from None
        size = len(found.values)
        again_s = self._admission.refusal(size)
        if again_s:
            self.points["over-limit"] += size
            raise RefusedError(
                429,
                "messages-over-limit",
                f"more points a second than are taken; come back in {again_s:.0f} s",
                again_s,
            )
        await self._tell(found)
        written = {
            "X-Prometheus-Remote-Write-Samples-Written": str(size),
            "X-Prometheus-Remote-Write-Histograms-Written": str(found.histograms),
            "X-Prometheus-Remote-Write-Exemplars-Written": str(found.exemplars),
        }
        return Response(status_code=204, headers=written)

    async def _read(self, body: bytes, version: int) -> remote_write.WriteMessage:
        if len(body) < 1 << 20:  # 5 ms
            return remote_write.read(body, version, self._seed)
        return await asyncio.to_thread(remote_write.read, body, version, self._seed)

    async def _tell(self, found: remote_write.WriteMessage) -> None:
        """The values by instance and time, in the order of time: what waited at the sender comes several scrapes at once."""
        hashes, firsts = found.hashes.tolist(), found.firsts.tolist()
        fields = [_FIELDS.get(found.name(i), "") for i in range(len(hashes))]
        self.points["no-field"] += sum(firsts[i + 1] - firsts[i] for i, field in enumerate(fields) if not field)
        ids = self._whose(found, hashes, fields)
        values, times, stale = found.values.tolist(), found.times.tolist(), found.stale.tolist()
        readings: dict[tuple[float, str], dict[str, float]] = defaultdict(dict)
        for i, field in enumerate(fields):
            name = ids.get(hashes[i], "") if field else ""
            if not field:
                continue
            if not name:
                self.points["no-instance"] += firsts[i + 1] - firsts[i]
                continue
            for at in range(firsts[i], firsts[i + 1]):
                if stale[at]:
                    self.points["stale"] += 1
                elif field != "mem_limit" or values[at] < NO_LIMIT:
                    readings[times[at], name][field] = values[at]
        told = 0
        for (at_s, name), reading in sorted(readings.items(), key=lambda item: item[0][0]):
            self._assembly.tell(name, at_s, reading)
            told += len(reading)
            if told >= PAUSE_POINTS:
                told = 0
                await asyncio.sleep(0)

    def _whose(self, found: remote_write.WriteMessage, hashes: list[int], fields: list[str]) -> dict[int, str]:
        """Hash -> instance, of the label sets of this message that are somebody's; who is new is announced."""
        now = self._monotonic()
        whose: dict[int, str] = {}
        for i, key in enumerate(hashes):
            if not fields[i] or key in whose:
                continue
            name = self._ids.get(key, "")
            if not name and found.name(i).startswith(_GO):
                name = self._met(key, found.labels(i), now)
            if name:
                known = self._roll.instance(name)
                if known is None or not self._roll.seen(self.name, known):
                    self.gone(name)
                    continue
                whose[key] = name
                self._owners[name] = key, now
        return whose

    def _met(self, key: int, labels: dict[str, str], now: float) -> str:
        """The instance of a label set that is seen for the first time; "" where it is nobody's."""
        who = identity(labels, ("instance",), self._labels)
        if who is None:
            self.points["no-identity"] += 1
            return ""
        owner = self._owners.get(who.id)
        if owner is not None and owner[0] != key and now - owner[1] < DOUBLE_S:
            self._doubled_at = now
            return ""
        if owner is None and len(self._owners) >= MAX_SENDERS_SERIES:
            self.points["too-many-instances"] += 1
            return ""
        if not self._roll.seen(self.name, who):
            return ""
        if owner is not None:
            self._ids.pop(owner[0], None)
        self._ids[key] = who.id
        return who.id

    async def _flush(self) -> None:
        await self._assembly.keep_flushing(self._look_at_ourselves)

    def _look_at_ourselves(self) -> None:
        doubled = self._monotonic() - self._doubled_at < DOUBLE_S
        self.trouble = (
            "several label sets have the same `instance`: its readings are those of the first" if doubled else ""
        )


def _version(message: Message) -> int:
    """1 or 2, by the content type's `proto`. Raises RefusedError."""
    proto = ""
    for part in message.parameters.split(";"):
        name, _, value = part.partition("=")
        if name.strip().lower() == "proto":
            proto = value.strip().strip('"')
    version = _VERSIONS.get(proto)
    if message.content_type != "application/x-protobuf" or version is None:
        known = "prometheus.WriteRequest or io.prometheus.write.v2.Request"
        raise RefusedError(415, "unknown-content", f"send application/x-protobuf, of the proto {known}")
    return version
