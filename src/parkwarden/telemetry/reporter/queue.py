"""What waits to be sent: bounded in items and in bytes; what goes first where there is no room is of the least value.

Pure: no lock, clock or thread. Lanes from low to high value; within a lane the oldest goes first, in both directions.

    DETAIL    segments without an error, log lines below a warning
    NUMBERS   metric points: an old one is history, the next one says more
    WARNINGS  log lines that warn
    TROUBLE   segments with an error, log lines of errors
    EVENTS    log records with an event's name: findings, incidents
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from sys import getsizeof

from parkwarden.telemetry.reporter.records import Item, LogRecord, MetricPoint, Severity, Signal
from parkwarden.telemetry.segment import Segment

_SEGMENT, _SPAN, _LOG, _RECORD, _PAIR, _REF = 250, 300, 100, 350, 100, 300
"""Bytes of one without its texts: of 64 bit CPython 3.11-3.14, objects and their slots."""


class Lane(IntEnum):
    DETAIL = 0
    NUMBERS = 1
    WARNINGS = 2
    TROUBLE = 3
    EVENTS = 4


@dataclass(slots=True)
class Entry:
    """An item on its way. `tries`: calls it was in that may have brought it over."""

    signal: Signal
    item: Item
    lane: Lane
    weight: int
    since: float
    """When it was queued (monotonic seconds)."""
    tries: int = 0


class Queue:
    """`push` gives back what had to go; `pop_batch` the most valuable of one signal."""

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self.max_items, self.max_bytes = max_items, max_bytes
        self.items = 0
        self.bytes = 0
        self._lanes: dict[Lane, dict[Signal, deque[Entry]]] = {lane: {s: deque() for s in Signal} for lane in Lane}
        self._ordered = [list(self._lanes[lane].values()) for lane in Lane]

    def __len__(self) -> int:
        return self.items

    def __iter__(self) -> Iterator[Entry]:
        return (entry for lines in self._lanes.values() for line in lines.values() for entry in line)

    def push(self, entry: Entry) -> list[Entry]:
        self._put(entry)
        gone: list[Entry] = []
        while self.items > self.max_items or self.bytes > self.max_bytes:
            gone.append(self._pop_least())
        return gone

    def push_back(self, entries: Iterable[Entry]) -> list[Entry]:
        """Entries of a batch that was not taken return to the front, in their order."""
        for entry in reversed(list(entries)):
            self._put(entry, front=True)
        gone: list[Entry] = []
        while self.items > self.max_items or self.bytes > self.max_bytes:
            gone.append(self._pop_least())
        return gone

    def first(self, without: Collection[Signal] = ()) -> Entry | None:
        """The oldest of the most valuable lane there is."""
        for lane in reversed(Lane):
            heads = [line[0] for signal, line in self._lanes[lane].items() if line and signal not in without]
            if heads:
                return min(heads, key=lambda entry: entry.since)
        return None

    def oldest(self, without: Collection[Signal] = ()) -> float | None:
        """When the oldest of the first entries was queued."""
        heads = [
            line[0].since for lane in self._lanes.values() for s, line in lane.items() if line and s not in without
        ]
        return min(heads, default=None)

    def pop_batch(self, signal: Signal, max_items: int, max_bytes: int) -> list[Entry]:
        """At least one (where there is one), at most what fits."""
        batch: list[Entry] = []
        weight = 0
        for lane in reversed(Lane):
            line = self._lanes[lane][signal]
            while line and len(batch) < max_items and (not batch or weight + line[0].weight <= max_bytes):
                entry = line.popleft()
                weight += entry.weight
                batch.append(entry)
            if line:
                break
        self.items -= len(batch)
        self.bytes -= weight
        return batch

    def pop_all(self, signal: Signal | None = None) -> list[Entry]:
        """Everything (of a signal), most valuable first."""
        signals = list(Signal) if signal is None else [signal]
        found = [entry for lane in reversed(Lane) for of in signals for entry in self._lanes[lane][of]]
        for lines in self._lanes.values():
            for of in signals:
                lines[of].clear()
        self.items -= len(found)
        self.bytes -= sum(entry.weight for entry in found)
        return found

    def _put(self, entry: Entry, front: bool = False) -> None:
        line = self._lanes[entry.lane][entry.signal]
        if front:
            line.appendleft(entry)
        else:
            line.append(entry)
        self.items += 1
        self.bytes += entry.weight

    def _pop_least(self) -> Entry:
        for lines in self._ordered:
            found = None
            for line in lines:
                if line and (found is None or line[0].since < found[0].since):
                    found = line
            if found is not None:
                entry = found.popleft()
                self.items -= 1
                self.bytes -= entry.weight
                return entry
        raise LookupError("an empty queue holds nothing")


def lane_of(item: Item) -> Lane:
    if isinstance(item, Segment):
        for span in item.spans:
            if span.error:
                return Lane.TROUBLE
        return Lane.DETAIL
    if isinstance(item, MetricPoint):
        return Lane.NUMBERS
    if item.event_name:
        return Lane.EVENTS
    if item.severity >= Severity.ERROR:
        return Lane.TROUBLE
    return Lane.WARNINGS if item.severity >= Severity.WARN else Lane.DETAIL


def weigh(item: Item) -> int:
    """About the bytes it holds in memory; what is shared with others counts in full."""
    if isinstance(item, Segment):
        return _SEGMENT + sum(
            _SPAN + getsizeof(span.name) + getsizeof(span.peer) + _pairs(span.tags)
            + sum(_LOG + _pairs(log.fields) for log in span.logs) + len(span.refs) * _REF
            for span in item.spans
        )  # fmt: skip
    attributes = sum(_PAIR + getsizeof(key) + getsizeof(value) for key, value in item.attributes.items())
    if isinstance(item, LogRecord):
        return _RECORD + getsizeof(item.body) + getsizeof(item.event_name) + attributes
    return _RECORD + getsizeof(item.name) + getsizeof(item.description) + attributes


def _pairs(pairs: tuple[tuple[str, str], ...]) -> int:
    return sum(_PAIR + getsizeof(key) + getsizeof(value) for key, value in pairs)
