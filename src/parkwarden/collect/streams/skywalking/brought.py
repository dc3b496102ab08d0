"""Profiles that agents bring for their tasks: received, read, told.

The order on the wire: the agent says what it has and how large it is, waits for our word, sends pieces of at most 1 MiB, ends its side.
What nobody asked for, of another instance, or larger than such a profile may be is refused before a piece is sent.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from parkwarden.collect.fleet.http import FetchError
from parkwarden.collect.fleet.looks import (
    AT_ONCE_BYTES,
    KINDS,
    MAX_BODY_BYTES,
    MAX_UNPACKED,
    MAX_UNPACKED_AT_ONCE,
    file_name,
    understood,
)
from parkwarden.collect.fleet.telling import Teller
from parkwarden.collect.streams.grpc_server import Call, come_back_later
from parkwarden.model.capture import Capture
from parkwarden.model.errors import ParkwardenError
from parkwarden.model.snapshot import Source
from parkwarden.protos import skywalking_pb2 as pb

if TYPE_CHECKING:
    from parkwarden.collect.fleet.sites import Sites
    from parkwarden.collect.streams.admission import Admission
    from parkwarden.collect.streams.roll import Roll
    from parkwarden.collect.streams.skywalking.tasks import Task, Tasks
    from parkwarden.model.artefact import Artefact
    from parkwarden.model.events import Event

UPLOAD_S = 60.0
"""From the first message of a profile to its last: agents give themselves as long."""
BUSY_S = 5.0
"""When a profile may come again for which there is no room."""

SUCCESS, REFUSED, TOO_LARGE = pb.PPROF_PROFILING_SUCCESS, pb.PPROF_EXECUTION_TASK_ERROR, pb.PPROF_TERMINATED_BY_OVERSIZE


class Brought:
    """See the module. `points` counts profiles by what became of them."""

    def __init__(
        self,
        tasks: Tasks,
        roll: Roll,
        admission: Admission,
        points: Counter[str],
        *,
        place: Callable[[str, str], str],
        emit: Callable[[Event], None],
        keep: Callable[[Capture], None],
        clock: Callable[[], float],
    ) -> None:
        self._tasks = tasks
        self._roll = roll
        self._admission = admission
        self._points = points
        self._place = place
        self._keep = keep
        self._clock = clock
        self._teller = Teller(emit)
        self._reading = asyncio.Semaphore(1)
        """Large profiles are read on a thread, one at a time."""

    def gone(self, instance_id: str) -> None:
        self._teller.new_life(instance_id)

    async def profile(self, messages: AsyncIterator[bytes], call: Call) -> None:
        """One profile, from its first message to what it tells."""
        task = None
        outcome = "profile-broken"
        try:
            async with asyncio.timeout(UPLOAD_S):
                first = _part(await anext(messages, b""))
                task = self._tasks.take(first.metadata.taskId)
                answer = self._word(task, first)
                if task is None or answer is not SUCCESS:
                    outcome = "profile-unasked" if task is None else "profile-refused"
                    await call.write(pb.PprofCollectionResponse(status=answer).SerializeToString())
                    return
                with self._admission.room(first.metadata.contentSize) as fits:
                    if not fits:
                        await come_back_later(call, BUSY_S, "too much is under way")
                    await call.write(pb.PprofCollectionResponse(status=SUCCESS).SerializeToString())
                    body = await _pieces(messages, first.metadata.contentSize)
                    outcome = "profile-cut" if body is None else await self._tell(task, body)
        except (TimeoutError, DecodeError):
            outcome = "profile-late-or-malformed"
        finally:
            self._points[outcome] += 1
            if task is not None:
                (self._tasks.done if outcome == "profile" else self._tasks.failed)(task)

    def _word(self, task: Task | None, first: pb.PprofData) -> pb.PprofProfilingStatus:
        """Whether what is announced may come."""
        told = first.metadata
        if task is None or self._place(told.service, told.serviceInstance) != task.instance.id:
            return REFUSED
        if told.type != SUCCESS or told.contentSize <= 0:
            return REFUSED
        return SUCCESS if told.contentSize <= MAX_BODY_BYTES[task.look] else TOO_LARGE

    async def _tell(self, task: Task, body: bytes) -> str:
        """The events and the capture of a profile; what became of it."""
        try:
            if len(body) <= AT_ONCE_BYTES:
                artefact, sites = understood(task.look, body, MAX_UNPACKED_AT_ONCE)
            else:
                async with self._reading:
                    artefact, sites = await asyncio.to_thread(understood, task.look, body, MAX_UNPACKED)
        except (ParkwardenError, FetchError):
            return "profile-unreadable"
        except Exception:  # a reader's mistake about hostile bytes costs this profile, not the stream
            return "profile-unreadable"
        return self._told(task, body, artefact, sites)

    def _told(self, task: Task, body: bytes, artefact: Artefact, sites: Sites | None) -> str:
        name, now = task.instance.id, self._clock()
        there = self._roll.instance(name)
        if there is None or there.start_time != task.instance.start_time:
            return "profile-of-another-life"
        ids: tuple[str, ...] = ()
        if sites is not None:
            self._teller.sites(name, Source.PROFILE, sites, now)
            ids = tuple(sites.counts)
        self._keep(
            Capture(
                instance=name,
                service=there.service,
                kind=KINDS[task.look].value,
                at=now,
                body=body,
                why=task.why,
                site_ids=ids,
                file=file_name(task.look),
            )
        )
        return "profile"


def _part(body: bytes) -> pb.PprofData:
    """Raises DecodeError."""
    return pb.PprofData.FromString(body)


async def _pieces(messages: AsyncIterator[bytes], size: int) -> bytes | None:
    """What was announced, None where it is another size."""
    body = bytearray()
    async for message in messages:
        body += _part(message).content
        if len(body) > size:
            return None
    return bytes(body) if len(body) == size else None
