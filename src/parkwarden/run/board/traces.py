"""Traces of opened bags over time: cut into tiles, so that a picture of any part of any trace costs the same few kilobytes.

A bag keeps an execution trace's bytes (run/board/dumps.py). Who asks for its picture first has them read once more, now with a timeline
(`formats/trace_timeline`): 0.3 s for 76 MB, and 13 MB that are kept. Names come from the bag's own artefact, which is redacted.

Tiles: level 0 is one tile over the whole trace, each level has twice as many, each tile TILE_BINS bins.
Bounded: MAX_OPEN timelines and MAX_KEPT_BYTES of them, who was not asked for longest goes first and is read again when asked for.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from parkwarden.model import Frame, UsageError
from parkwarden.report.redact import Redactor

if TYPE_CHECKING:
    from mmap import mmap

    from parkwarden.model import Artefact
    from parkwarden.model.artefact import Trace
    from parkwarden.model.timeline import Timeline
    from parkwarden.run.board.dumps import Bags, OpenedBag

TILE_BINS = 256
"""Bins of a tile: four tiles fill a wide screen at a pixel each; one is 10 to 30 kB of JSON."""

MAX_OPEN = 8
"""Timelines kept at once: several people, several traces of an incident."""

MAX_KEPT_BYTES = 160 << 20
"""Of all timelines kept. 76 MB of trace with 13 states take 13 MB; 32 states, the most there can be, 31 MB."""

HEADER = 16
"""Bytes that tell a trace from all else."""

ROWS = 20
"""Rows of the table that tells the picture in words."""


@dataclass(slots=True, kw_only=True)
class OpenedTrace:
    """One trace with its timeline. Texts are redacted, not made inert."""

    bag: OpenedBag
    name: str
    artefact: Artefact
    """The bag's, without a timeline."""
    trace: Trace
    timeline: Timeline
    states: tuple[str, ...]
    """Of the timeline, redacted."""
    stops: tuple[tuple[str, float, float], ...]
    """The longest stops: why (redacted), when, how long."""

    @property
    def levels(self) -> int:
        """0 up to this, not included; at the last one a tile's bins are the timeline's."""
        return max((self.timeline.bins - 1).bit_length() - (TILE_BINS - 1).bit_length(), 0) + 1

    @property
    def drawn(self) -> int:
        """Creations that tiles tell apart; the others are one."""
        return int(self.timeline.made.shape[1]) - 1

    def view(self) -> dict[str, Any]:
        """What `parkwarden.trace-view/1` holds: all one needs to ask for tiles and to name what is in them."""
        line = self.timeline
        return {
            "schema": "parkwarden.trace-view/1",
            "bag": self.bag.id,
            "name": self.name,
            "duration_s": line.duration_ns / 1e9,
            "levels": self.levels,
            "tile_bins": TILE_BINS,
            "bin_s": line.bin_ns / 1e9,
            "states": list(self.states),
            "creations": [
                {
                    "function": at.function,
                    "file": at.file,
                    "line": at.line,
                    "starts": creation.start.function,
                    "count": creation.count,
                }
                for creation in self.trace.creations[: self.drawn]
                for at in ((*creation.stack.frames, Frame(""))[0],)
            ],
            "collections": line.collections,
            "stops": line.stops,
            "longest_stops": [{"why": why, "at_s": at, "took_s": took} for why, at, took in self.stops],
        }

    def tile(self, level: int, index: int) -> dict[str, Any]:
        """What `parkwarden.trace-tile/1` holds. Raises UsageError where there is no such tile."""
        if not (0 <= level < self.levels and 0 <= index < 1 << level):
            raise UsageError(
                "no-such-tile",
                f"there is no tile {index} of level {level}",
                hint=f"levels are 0 to {self.levels - 1}, a level L has 2^L tiles",
            )
        line = self.timeline
        step = 1 << self.levels - 1 - level
        first = index * TILE_BINS * step
        edges = np.minimum(first + step * np.arange(TILE_BINS + 1), line.bins)
        edges = edges[: int(np.searchsorted(edges, line.bins)) + 1]
        times = line.time_ns(edges)
        widths = np.maximum(np.diff(times), 1)
        mean = np.diff(line.spent[edges], axis=0) / widths[:, None]
        made = np.diff(line.made[edges], axis=0)
        return {
            "schema": "parkwarden.trace-tile/1",
            "level": level,
            "index": index,
            "from_s": float(times[0]) / 1e9,
            "to_s": float(times[-1]) / 1e9,
            "bin_s": step * line.bin_ns / 1e9,
            "bins": len(widths),
            "alive": line.counts[edges].sum(axis=1).tolist(),
            "states": _sparse(np.round(mean, 3).T),
            "created": _sparse(made.T),
            "gc": np.round(np.diff(line.marking[edges]) / widths, 4).tolist(),
            "stopped_s": np.round(np.diff(line.stopped[edges]) / 1e9, 9).tolist(),
        }

    def rows(self) -> list[dict[str, Any]]:
        """The whole trace in ROWS equal parts: what the picture shows, as numbers."""
        line = self.timeline
        edges = np.unique(np.linspace(0, line.bins, ROWS + 1).astype(np.int64))
        times = line.time_ns(edges)
        widths = np.maximum(np.diff(times), 1)
        mean = np.diff(line.spent[edges], axis=0) / widths[:, None]
        made = np.diff(line.made[edges], axis=0).sum(axis=1)
        marked = np.diff(line.marking[edges]) / widths
        return [
            {
                "from_s": times[i] / 1e9,
                "to_s": times[i + 1] / 1e9,
                "created": int(made[i]),
                "per_s": float(made[i] / widths[i] * 1e9),
                "alive": int(line.counts[edges[i + 1]].sum()),
                "running": float(mean[i, 0]),
                "runnable": float(mean[i, 1]),
                "syscall": float(mean[i, 2]),
                "waiting": float(mean[i, 3:].sum()),
                "gc": float(marked[i]),
            }
            for i in range(len(widths))
        ]

    def in_states(self) -> list[tuple[str, float, float, int]]:
        """By state: the seconds goroutines spent in it, how many on average, how many at the end."""
        line = self.timeline
        whole = max(line.duration_ns, 1)
        return [
            (name, line.spent[-1, i] / 1e9, line.spent[-1, i] / whole, int(line.counts[-1, i]))
            for i, name in enumerate(self.states)
        ]


class Traces:
    """The traces of `bags` that were looked at, with their timelines. Used on one loop."""

    def __init__(self, bags: Bags) -> None:
        self._bags = bags
        bags.when_forgotten.append(self._forget)
        self._kept: OrderedDict[tuple[str, str], OpenedTrace] = OrderedDict()
        self._reading: dict[tuple[str, str], asyncio.Task[OpenedTrace]] = {}

    async def get(self, bag_id: str, name: str = "") -> OpenedTrace:
        """A trace of a bag ("" = its first one). Raises UsageError where there is none, BusyError where too much is being read."""
        bag = self._bags.get(bag_id)
        name = name or next(iter(bag.traces), "")
        if name not in bag.traces:
            raise UsageError(
                "no-such-trace",
                "there is no such execution trace in this bag",
                hint="open one: curl -o trace.out 'http://HOST:6060/debug/pprof/trace?seconds=5'",
            )
        key = (bag_id, name)
        known = self._kept.get(key)
        if known is not None:
            self._kept.move_to_end(key)
            return known
        if key not in self._reading:  # whoever asks meanwhile waits for the same one
            self._reading[key] = asyncio.ensure_future(self._read(bag, name, bag.traces[name].mapped()))
            self._reading[key].add_done_callback(partial(self._done, key))
        return await asyncio.shield(self._reading[key])

    async def _read(self, bag: OpenedBag, name: str, mapped: mmap) -> OpenedTrace:
        try:
            with self._bags.admitted():
                opened = await self._bags.work(_read, bag, name, mapped)
        finally:
            with suppress(BufferError):  # what still looks into the mapping keeps it alive, which is only memory
                mapped.close()
        if self._bags.known(bag.id) is bag:
            self._kept[bag.id, name] = opened
            self._fit()
        return opened

    def _done(self, key: tuple[str, str], task: asyncio.Task[OpenedTrace]) -> None:
        del self._reading[key]
        if not task.cancelled():
            task.exception()  # told to those who still wait; nobody may be left

    def _fit(self) -> None:
        """Let go of who was not asked for longest while there is too much; the newest stays."""
        total = sum(one.timeline.nbytes for one in self._kept.values())
        while len(self._kept) > 1 and (len(self._kept) > MAX_OPEN or total > MAX_KEPT_BYTES):
            total -= self._kept.popitem(last=False)[1].timeline.nbytes

    def _forget(self, bag_id: str) -> None:
        """A bag is gone: what is kept of it would keep it in memory."""
        for key in [key for key in self._kept if key[0] == bag_id]:
            del self._kept[key]


def _read(bag: OpenedBag, name: str, mapped: mmap) -> OpenedTrace:
    """In a thread."""
    from parkwarden.formats import trace, unpack

    line: Timeline | None = None
    for member in unpack.members(memoryview(mapped), name):
        if trace.sniff(bytes(member.data[:HEADER])):
            read = trace.read(member.data, timeline=True)
            line = read.trace.timeline if read.trace is not None else None
            break
    told = next((a for a in bag.case.artefacts if a.name == name and a.trace is not None), None)
    if told is None or told.trace is None or line is None:
        raise UsageError("no-events", "this trace holds no events", hint="record another one, some seconds long")
    redactor = Redactor()
    return OpenedTrace(
        bag=bag,
        name=name,
        artefact=told,
        trace=told.trace,
        timeline=line,
        states=tuple(redactor.text(state) for state in line.states),
        stops=tuple((redactor.text(stop.kind), stop.at_s, stop.took_s) for stop in line.longest),
    )


def _sparse(rows: Any) -> dict[str, list[float]]:
    """Rows by their index, without those that are zero all along."""
    return {str(i): row.tolist() for i, row in enumerate(rows) if row.any()}
