"""The last readings of every instance of a fleet, in columns: a ring of 128 samples for each, gaps and restarts explicit.

One float64 array of shape (fields, capacity, samples) holds the rings, so that a judge walks one number of 100,000 instances
without touching the others; NaN means "not told". Field 0 is the time. What hardly ever moves (file descriptor limit, memory
limit, GOMAXPROCS) is kept once per instance instead of once per sample. That makes 19 KiB per instance.

Times are Unix seconds (or a recording's own) and rise within a window. A reading that is not newer than the last one is dropped
and counted; when `STEPPED_BACK` of them come in a row, rising among themselves, it is the clock that was set back (or one reading
that was stamped in the future): the window begins anew. A new start time, or an allocation total that fell, is a new life: the
window begins anew and the life is counted. `began` says why a window begins where it does, so that "too few samples" has a cause.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from parkwarden.model import Instance, Reading, other_life

Floats: TypeAlias = npt.NDArray[np.float64]

FIELDS = (
    "at", "goroutines", "heap_inuse", "heap_alloc", "total_alloc", "sys", "next_gc", "num_gc", "gc_cpu_s", "gc_cpu_fraction",
    "cpu_s", "open_fds", "threads", "requests_total", "rss", "mem_used", "mem_stall_share",
    "oom_kills", "blocked_share",
)  # fmt: skip
"""Rows of `Windows.columns`: `at`, fields of Reading, and `blocked_share` (0..1), see `Windows.blocked`."""
LIMITS = ("max_fds", "max_threads", "mem_limit", "gomaxprocs")
"""Rows of `Windows.limits`: fields of Reading of which the last value told is enough."""
ROW = {name: i for i, name in enumerate(FIELDS)}

SAMPLES = 128
"""A2's ring: 640 s at 5 s, five windows of the goroutine trend; at 1 s still one whole window."""
MAX_INSTANCES = 1 << 18
"""Instances held at once, 4 GiB of rings: a discovery gone wild must not eat the machine. Those beyond are refused and counted."""
MAX_VALUE = 1e18
"""Greatest number believed (an exabyte); what is above, negative or not a number is a lie of the page and kept as "not told"."""
STEPPED_BACK = 3
"""Older readings in a row, rising among themselves, after which the clock is taken to have been set back: 15 s at 5 s. Fewer: two late
answers would end a window; more: a stepped clock blinds us for longer."""

NEW, RESTARTED, STEPPED = range(3)
"""Why a window begins where it does: first seen; the process restarted; the clock was set back."""

MAX_MEMORIES = 32
"""Judges' memories kept: eight sets of rules side by side. A configuration that is reloaded for ever drops the oldest."""

_FIRST_CAPACITY = 64
_ODD = 5
"""Added at each doubling: with a power of two all of a row's rings would fall into one set of the processor's caches (3 x slower)."""
WAITING = 512
"""Readings that wait at most: written together they hold the loop for 10 to 35 ms where their rings have no memory yet, a fleet's 100,000 for seconds."""
_UNTOLD = dict.fromkeys((*FIELDS[1:-1], *LIMITS), math.nan)
_VALUES = itemgetter(*_UNTOLD)
"""Of a reading's fields, with NaN for what it does not tell: an array takes thrice as long to be made of None."""


class Windows:
    """Rings of readings of a fleet. Not thread-safe: one loop feeds and judges.

    `slots` names each instance's row; rows 0..`size`-1 may hold free ones (`count` 0). Public arrays are for judges to read:
    `columns` (fields, capacity, samples), `limits` (limits, capacity), and per row `head` (where the next sample goes), `count`
    (samples held), `began` (NEW, RESTARTED, STEPPED) and `lives`.

    Readings wait, one per row, and are written in one go when somebody looks: a row at a time costs five times as much.
    """

    def __init__(self, samples: int = SAMPLES) -> None:
        if samples < 2:
            raise ValueError("a window needs two samples")
        self.samples = samples
        self.slots: dict[str, int] = {}
        self.size = 0
        """Rows ever used: what a judge has to walk."""
        self.dropped = 0
        """Readings not newer than the one before, or without a usable time."""
        self.refused = 0
        """Events of instances beyond MAX_INSTANCES."""
        self._instances: list[Instance | None] = []
        self._free: list[int] = []
        self._memories: dict[Hashable, Floats] = {}
        self._late: dict[int, tuple[int, float]] = {}
        self._newest: dict[int, tuple[float, float]] = {}
        """Row -> time and allocation total of its newest reading; NaN = not told."""
        self._told_share: dict[int, float] = {}
        self._last: dict[tuple[str, str], float] = {}
        """Answers of `last` since something was written."""
        self._waiting: dict[int, tuple[Any, ...]] = {}
        """Row -> its reading that is not written yet: time, blocked share, then `_VALUES`."""
        self._columns: Floats
        self._limits: Floats
        self._latest: Floats
        self._rows: npt.NDArray[np.int64]
        self._allocate(_FIRST_CAPACITY)

    def _allocate(self, capacity: int) -> None:
        """Arrays of this capacity, with what there was. Empty pages cost no memory until they are used, so nothing is filled ahead."""
        columns: Floats = np.empty((len(FIELDS), capacity, self.samples))
        limits = np.full((len(LIMITS), capacity), np.nan)
        latest = np.full((len(FIELDS), capacity), np.nan)
        rows = np.zeros((4, capacity), dtype=np.int64)
        if self.size:
            columns[:, : self.size] = self._columns[:, : self.size]
            limits[:, : self.size] = self._limits[:, : self.size]
            latest[:, : self.size] = self._latest[:, : self.size]
            rows[:, : self.size] = self._rows[:, : self.size]
        self.capacity = capacity
        self._columns, self._limits, self._latest, self._rows = columns, limits, latest, rows
        self._head, self._count, self.began, self.lives = rows
        for key, old in self._memories.items():
            self._memories[key] = np.full((len(old), capacity), np.nan)
            self._memories[key][:, : old.shape[1]] = old

    def reserve(self, more: int) -> None:
        """So many more instances are about to come: room for them is made at once, while there is little to copy."""
        wanted = min(len(self.slots) + more, MAX_INSTANCES)
        if wanted > self.capacity:
            self._allocate(wanted | _ODD)

    # what happened

    def started(self, instance: Instance) -> None:
        """An instance is there, or there again: another start time is a new life, the same one only brings new labels."""
        slot = self._slot(instance.id)
        if slot is None:
            return
        known = self._instances[slot]
        if known is not None and instance.start_time is None:
            instance = replace(instance, start_time=known.start_time)
        elif known is not None and other_life(known.start_time, instance.start_time):
            self._new_life(slot)
        self._instances[slot] = instance

    def read(self, instance_id: str, at: float, reading: Reading) -> bool:
        """One reading of an instance; one nobody announced is announced by it. Whether it shows that the clock was set back."""
        slot = self._slot(instance_id)
        if slot is None:
            return False
        if slot in self._waiting or len(self._waiting) >= WAITING:
            self._write()
        newest, held = self._newest.get(slot, (-math.inf, math.nan))
        late = at <= newest
        if not math.isfinite(at) or (late and not self._stepped_back(slot, at)):
            self.dropped += 1
            return False
        if self._late:
            self._late.pop(slot, None)
        total = math.nan if reading.total_alloc is None else reading.total_alloc
        if 0 <= total < held and slot in self._newest:
            self._new_life(slot)  # an allocation total never falls within one life: a restart nobody told us of
        self._newest[slot] = at, total if 0 <= total <= MAX_VALUE else math.nan
        self._waiting[slot] = (at, self._share(slot, reading), *_VALUES(_UNTOLD | vars(reading)))
        return late

    def _write(self) -> None:
        """Take what waits into the rings."""
        told = list(self._waiting.values())
        try:
            block = np.array(told, np.float64)  # None becomes NaN
        except OverflowError:  # a whole number that no float can hold
            block = np.array(
                [[v if v is None or v <= MAX_VALUE else math.nan for v in row] for row in told], np.float64
            )
        slots = np.fromiter(self._waiting, np.int64, len(told))
        self._waiting.clear()
        self._last.clear()
        values = block[:, 2:].T
        values[~((values >= 0) & (values <= MAX_VALUE))] = math.nan
        head = self._head[slots]
        rings = len(FIELDS) - 2
        written = np.vstack((block[:, 0], values[:rings], block[:, 1]))
        self._columns[:, slots, head] = written
        self._latest[:, slots] = np.where(np.isnan(written), self._latest[:, slots], written)
        self._head[slots] = (head + 1) % self.samples
        self._count[slots] = np.minimum(self._count[slots] + 1, self.samples)
        for i, limit in enumerate(values[rings:]):
            known = limit > 0
            self._limits[i, slots[known]] = limit[known]

    def blocked(self, instance_id: str, blocked: int, total: int) -> None:
        """How many goroutines of a profile or census were blocked; kept as a share with the next reading.

        This is for instances whose page does not say `Reading.blocked` (Go before 1.26): the wait reasons of the sites do.
        """
        slot = self.slots.get(instance_id)
        if slot is not None and total > 0:
            self._told_share[slot] = min(max(blocked / total, 0.0), 1.0)

    def gone(self, instance_id: str) -> None:
        """No longer a target: its row is free for another. Unknown ids are no error."""
        slot = self.slots.pop(instance_id, None)
        if slot is None:
            return
        self._clear(slot, NEW)
        self._instances[slot] = None
        self.lives[slot] = 0
        self._free.append(slot)

    # what is known

    @property
    def columns(self) -> Floats:
        """The rings, shape (fields, capacity, samples)."""
        if self._waiting:
            self._write()
        return self._columns

    @property
    def limits(self) -> Floats:
        """Newest limits told, shape (limits, capacity)."""
        if self._waiting:
            self._write()
        return self._limits

    @property
    def latest(self) -> Floats:
        """The newest told value of every field in this life, shape (fields, capacity); NaN where none was. Field 0 is the newest reading's time."""
        if self._waiting:
            self._write()
        return self._latest

    @property
    def head(self) -> npt.NDArray[np.int64]:
        """Where each row's next sample goes."""
        if self._waiting:
            self._write()
        return self._head

    @property
    def count(self) -> npt.NDArray[np.int64]:
        """Samples each row holds."""
        if self._waiting:
            self._write()
        return self._count

    def instance(self, slot: int) -> Instance:
        """Who lives in a row. Raises KeyError for a free one."""
        instance = self._instances[slot] if 0 <= slot < self.size else None
        if instance is None:
            raise KeyError(f"no instance in row {slot}")
        return instance

    def last(self, instance_id: str, field: str) -> float:
        """The newest told value of a field in this life; NaN where none was told or the instance is not known."""
        if self._waiting:
            self._write()
        key = (instance_id, field)
        known = self._last.get(key)
        if known is None:
            known = self._last[key] = self._find_last(instance_id, field)
        return known

    def _find_last(self, instance_id: str, field: str) -> float:
        slot = self.slots.get(instance_id)
        if slot is None:
            return math.nan
        if field in LIMITS:
            return float(self.limits[LIMITS.index(field), slot])
        row = ROW[field]
        if self._count[slot] and (newest := float(self._columns[row, slot, self._head[slot] - 1])) == newest:
            return newest
        told = self._ordered(row, slot)
        told = told[~np.isnan(told)]
        return float(told[-1]) if len(told) else math.nan

    def series(self, instance_id: str, field: str, now: float, window_s: float = math.inf) -> tuple[Floats, Floats]:
        """Times and told values of a field in (now - window_s, now], oldest first; a limit's is its last value throughout."""
        slot = self.slots.get(instance_id)
        if slot is None:
            return np.empty(0), np.empty(0)
        times = self._ordered(0, slot)
        if field in LIMITS:
            values = np.full(len(times), self.last(instance_id, field))
        else:
            values = self._ordered(ROW[field], slot)
        first, end = self._between(times, now, window_s)
        times, values = times[first:end], values[first:end]
        told = values == values
        return (times, values) if told.all() else (times[told], values[told])

    def block(
        self, instance_id: str, fields: Sequence[str], now: float, window_s: float = math.inf
    ) -> tuple[Floats, Floats]:
        """Times and, shape (fields, times), values of several of FIELDS in (now - window_s, now], oldest first; NaN = not told."""
        slot = self.slots.get(instance_id)
        if slot is None:
            return np.empty(0), np.empty((len(fields), 0))
        times = self._ordered(0, slot)
        first, end = self._between(times, now, window_s)
        ring = self._columns[[ROW[field] for field in fields], slot]
        if len(times) == self.samples:
            head = int(self._head[slot])
            ring = np.concatenate((ring[:, head:], ring[:, :head]), axis=1)
        return times[first:end], ring[:, first:end]

    def memory(self, key: Hashable, width: int) -> Floats:
        """What a judge remembers per row (a frozen base line): shape (width, capacity), NaN = nothing, forgotten with the row's life.

        The key names detector and rule, so that two sets of thresholds over one fleet do not share a memory.
        """
        if key not in self._memories:
            while len(self._memories) >= MAX_MEMORIES:
                del self._memories[next(iter(self._memories))]
            self._memories[key] = np.full((width, self.capacity), np.nan)
        return self._memories[key]

    @property
    def bytes_per_instance(self) -> float:
        """Bytes of all arrays per row of capacity."""
        arrays = (self._columns, self._limits, self._latest, self._rows, *self._memories.values())
        return sum(a.nbytes for a in arrays) / self.capacity

    # rows

    def _slot(self, instance_id: str) -> int | None:
        slot = self.slots.get(instance_id)
        if slot is not None:
            return slot
        if len(self.slots) >= MAX_INSTANCES:
            self.refused += 1
            return None
        if self._free:
            slot = self._free.pop()
        else:
            slot = self.size
            if slot == self.capacity:
                self._allocate(self.capacity * 2 + _ODD)
            self.size += 1
            self._instances.append(None)
        self._instances[slot] = Instance(id=instance_id)
        self.lives[slot] = 1
        self.slots[instance_id] = slot
        return slot

    def _clear(self, slot: int, why: int) -> None:
        if self._waiting:
            self._write()
        self._last.clear()
        self._newest.pop(slot, None)
        self._head[slot] = self._count[slot] = 0
        self.began[slot] = why
        self._late.pop(slot, None)
        self._told_share.pop(slot, None)
        for memory in self._memories.values():
            memory[:, slot] = np.nan
        self._latest[:, slot] = np.nan
        if why != STEPPED:
            self._limits[:, slot] = np.nan

    def _new_life(self, slot: int) -> None:
        self._clear(slot, RESTARTED)
        self.lives[slot] += 1

    def _stepped_back(self, slot: int, at: float) -> bool:
        """Whether an old reading is the one that shows the clock was set back (then the window is empty)."""
        times, before = self._late.get(slot, (0, -math.inf))
        if at == self._newest[slot][0] or at == before:
            return False  # told twice: says nothing about the clock
        times = times + 1 if at > before else 1
        self._late[slot] = (times, at)
        if times < STEPPED_BACK:
            return False
        self._clear(slot, STEPPED)
        return True

    def _share(self, slot: int, reading: Reading) -> float:
        told = self._told_share.pop(slot, math.nan) if self._told_share else math.nan
        if reading.blocked is None or not reading.goroutines or not 0 <= reading.blocked <= MAX_VALUE:
            return told
        return min(reading.blocked / reading.goroutines, 1.0) if reading.goroutines > 0 else told

    @staticmethod
    def _between(times: Floats, now: float, window_s: float) -> tuple[int, int]:
        """Which of these times, which rise, are in (now - window_s, now]."""
        return int(times.searchsorted(now - window_s, "right")), int(times.searchsorted(now, "right"))

    def _ordered(self, row: int, slot: int) -> Floats:
        """A copy of one ring, oldest first."""
        if self._waiting:
            self._write()
        count, head = int(self._count[slot]), int(self._head[slot])
        ring = self._columns[row, slot]
        return ring[:head].copy() if count < self.samples else np.concatenate((ring[head:], ring[:head]))
