"""The `Host` of `parkwarden open`: files instead of a watch. Recordings are a fleet, all else is a bag for the explorer."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from parkwarden.run.board.dumps import Bags, OpenedBag
from parkwarden.run.board.recorded import Recorded
from parkwarden.run.status import WatchStatus

if TYPE_CHECKING:
    from parkwarden.collect.limits import Tell
    from parkwarden.run.board.host import Host
    from parkwarden.run.diagnose import Options


HEAD = 4_096
"""Bytes by which a recording is known."""


class Unwatched(Recorded):
    """A host without a fleet: nobody is watched, time is the present."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._began = clock()

    def now(self) -> float:
        return self._clock()

    def status(self) -> WatchStatus:
        return WatchStatus(started_at=self._began, last_tick_at=self._clock())


@dataclass(frozen=True, slots=True)
class OpenedFiles:
    """What was opened: `recordings` are in `host`, everything else is `bag` in `bags`."""

    host: Host
    bags: Bags
    bag: OpenedBag | None
    recordings: tuple[str, ...]


def open_files(paths: Sequence[str], options: Options, clock: Callable[[], float], tell: Tell) -> OpenedFiles:
    """Read everything that is named. Raises ParkwardenError where something named cannot be read at all."""
    recordings = tuple(path for path in paths if _is_recording(path))
    others = [path for path in paths if path not in recordings]
    host: Host = Unwatched(clock)
    if recordings:
        host = Recorded.opened(recordings, modules=options.modules, tell=tell)
    bags = Bags(clock, options)
    bag = bags.read_paths(others, tell) if others else None
    return OpenedFiles(host, bags, bag, recordings)


def _is_recording(path: str) -> bool:
    """By its first bytes, packed or not; what cannot be read is left to who reads the bag."""
    from parkwarden.formats import recording, unpack

    try:
        with (
            Path(path).open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as data,
        ):
            pieces = unpack.streamed(data, [])
            head = next(pieces, b"")[:HEAD]
            del pieces  # it looks into the mapping
    except (OSError, ValueError):
        return False
    return recording.sniff(head.removeprefix(b"\xef\xbb\xbf"))
