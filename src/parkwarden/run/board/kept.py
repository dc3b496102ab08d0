"""What the pages keep beside the engine: hours of every instance's numbers, restarts, and two threshold sets over the same sites.

The engine's windows reach back ten minutes; a picture of a service needs hours. `Kept.heed` is called once after every judgement
and takes the newest numbers of the whole fleet in columns (no Python per instance): a mean per instance and step. That is 5.6 KiB
per instance, beside the windows' 19.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from parkwarden.aggregate.sites import SiteWindows
from parkwarden.aggregate.windows import ROW, Floats, Windows
from parkwarden.judge.fleet import stack_persistence
from parkwarden.judge.fleet.stack_persistence import SET_A, SET_B, PersistenceRule
from parkwarden.run.engine import Engine

FIELDS = ("goroutines", "heap_inuse", "rss")
"""What is kept for hours: what leaks, and what it costs."""

STEP_S = 5.0
"""The step that a picture begins with, the cadence of the readings. It doubles whenever the steps are used up ..."""

LONGEST_STEP_S = 80.0
"""... until here in a watch: eight hours, then the oldest goes (history has it). A recording's doubles until all of it has room."""

STEPS = 360
"""Steps kept: as many points as a picture has room for."""

STALE_S = 90.0
"""A number older than this is no news of its step: who is silent leaves a gap, not a line."""

MAX_RESTARTS = 2_000
"""Restarts remembered over the whole fleet, the newest."""

THRESHOLD_SETS: dict[str, PersistenceRule] = {"A": SET_A, "B": SET_B}
"""A5's two sets, by the names they are shown under."""

Floats32 = npt.NDArray[np.float32]

_LATEST = [ROW[name] for name in FIELDS]


class Past:
    """Means per instance and step, shape (FIELDS, instances, STEPS). Where there is no room two steps become one, up to `longest_s`;
    from then on the oldest quarter is let go.
    """

    def __init__(self, longest_s: float = LONGEST_STEP_S, *, step_s: float = STEP_S, steps: int = STEPS) -> None:
        self.step_s = step_s
        self._longest_s, self._steps = longest_s, steps
        self._first: int | None = None
        """Number of the first column's step: time // step_s."""
        self._newest = -1
        """The last column in use."""
        self._means: Floats32 = np.empty((len(FIELDS), 0, steps), np.float32)
        self._looks: npt.NDArray[np.int32] = np.empty((0, steps), np.int32)
        self._slots: dict[str, int] = {}
        """Rows are the windows' slots."""

    def heed(self, windows: Windows, now: float) -> None:
        """Take the newest numbers of everybody in. A time before the first step (a clock set back) begins anew."""
        if windows.slots != self._slots:
            self._follow(windows)
        column, size = self._column(now), windows.size
        if not size:
            return
        latest = windows.latest[:, :size]
        with np.errstate(invalid="ignore"):
            fresh = now - latest[0] <= STALE_S
        told = np.where(fresh, latest[_LATEST], np.nan).astype(np.float32)
        before, looks = self._means[:, :size, column], self._looks[:size, column]
        looks += fresh
        mean = before + (told - before) / np.maximum(looks, 1)
        self._means[:, :size, column] = np.where(np.isnan(told), before, np.where(np.isnan(before), told, mean))

    def series(
        self, instances: Sequence[str], since: float = -math.inf, fields: Sequence[str] = FIELDS
    ) -> tuple[Floats, Floats32]:
        """Beginnings of the steps that end after `since`, and means, shape (fields, instances, steps); NaN = not told for STALE_S."""
        if self._first is None:
            return np.empty(0), np.empty((len(fields), len(instances), 0), np.float32)
        times: Floats = (self._first + np.arange(self._newest + 1, dtype=np.float64)) * self.step_s
        first = int(np.searchsorted(times, since - self.step_s, side="right"))
        means = np.full((len(fields), len(instances), len(times) - first), np.nan, np.float32)
        rows = np.array([self._slots.get(name, -1) for name in instances], np.int64)
        for i, name in enumerate(fields):
            means[i, rows >= 0] = self._means[FIELDS.index(name), rows[rows >= 0], first : self._newest + 1]
        for _ in range(int(STALE_S / self.step_s)):  # who is read more seldom than the step is as it was
            holes = np.isnan(means[:, :, 1:]) & ~np.isnan(means[:, :, :-1])
            if not holes.any():
                break
            means[:, :, 1:][holes] = means[:, :, :-1][holes]
        return times[first:], means

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._means.nbytes + self._looks.nbytes

    def _column(self, now: float) -> int:
        number = math.floor(now / self.step_s)
        if self._first is None or number < self._first:
            self._begin(number)
        assert self._first is not None
        while number - self._first >= self._steps:
            if self.step_s < self._longest_s:
                self._halve()
                number = math.floor(now / self.step_s)
            else:
                self._let_go(number)
        self._newest = max(self._newest, number - self._first)
        return number - self._first

    def _begin(self, number: int) -> None:
        self._first, self._newest = number, -1
        self._means[:] = np.nan
        self._looks[:] = 0

    def _let_go(self, number: int) -> None:
        """Room for the step `number`: the oldest quarter goes, or all where the gap is longer than what is kept."""
        assert self._first is not None
        away = max(self._steps // 4, number - self._first - self._steps + 1)
        if away >= self._steps:
            self._begin(number)
            return
        self._means[:, :, :-away] = self._means[:, :, away:].copy()
        self._looks[:, :-away] = self._looks[:, away:].copy()
        self._means[:, :, -away:] = np.nan
        self._looks[:, -away:] = 0
        self._first += away
        self._newest -= away

    def _halve(self) -> None:
        """Two steps become one; pairs begin at even numbers, so that times stay on the grid of the longer step."""
        assert self._first is not None
        odd = self._first % 2
        pad = ((0, 0), (0, 0), (odd, odd))
        means = np.pad(self._means, pad, constant_values=np.nan)
        looks = np.pad(self._looks, pad[1:])
        weights = np.where(np.isnan(means), 0, looks).astype(np.float32)
        total = np.nan_to_num(means) * weights
        paired, weight = total[:, :, 0::2] + total[:, :, 1::2], weights[:, :, 0::2] + weights[:, :, 1::2]
        used = paired.shape[2]
        self._means[:, :, :used] = np.divide(paired, weight, out=np.full_like(paired, np.nan), where=weight > 0)
        self._means[:, :, used:] = np.nan
        self._looks[:, :used] = looks[:, 0::2] + looks[:, 1::2]
        self._looks[:, used:] = 0
        self._first, self._newest = self._first // 2, (self._newest + odd) // 2
        self.step_s *= 2

    def _follow(self, windows: Windows) -> None:
        """Who moved out takes its past along; who came has none."""
        held = len(self._looks)
        if held < windows.size:
            more = max(windows.size, 2 * held) - held
            nothing = np.full((len(FIELDS), more, self._steps), np.nan, np.float32)
            self._means = np.concatenate([self._means, nothing], axis=1)
            self._looks = np.concatenate([self._looks, np.zeros((more, self._steps), np.int32)])
        left = [row for name, row in self._slots.items() if windows.slots.get(name) != row]
        self._means[:, left] = np.nan
        self._looks[left] = 0
        self._slots = dict(windows.slots)


class ThresholdSets:
    """Which site of which instance fires under which set, and since which look. Judges only tables with news (see places)."""

    def __init__(self, rules: Mapping[str, PersistenceRule] = THRESHOLD_SETS) -> None:
        self.rules = dict(rules)
        self.since_start: float | None = None
        """From when on it was heeded: what fired then may have done so before."""
        self._seen: dict[str, int] = {}
        self._firing: dict[str, dict[str, dict[str, float]]] = {name: {} for name in self.rules}

    def heed(self, sites: SiteWindows, now: float) -> None:
        """Judge what changed since the last call."""
        if self.since_start is None:
            self.since_start = now
        fresh = [name for name, table in sites.tables.items() if self._seen.get(name) != table.revision]
        if len(self._seen) > len(sites.tables):
            for name in self._seen.keys() - sites.tables.keys():
                del self._seen[name]
                for firing in self._firing.values():
                    firing.pop(name, None)
        self._seen.update((name, sites.tables[name].revision) for name in fresh)
        rows = sites.rows(fresh)
        for set_name, rule in self.rules.items():
            firing = self._firing[set_name]
            before = {name: said for name in fresh if (said := firing.pop(name, None))}
            if not len(rows):
                continue
            for i in np.flatnonzero(stack_persistence.judge(rows, rule).suspect).tolist():
                table, site = rows.tables[int(rows.table[i])], rows.sites[i]
                name, at = table.instance.id, table.last_at if table.last_at is not None else now
                firing.setdefault(name, {})[site] = before.get(name, {}).get(site, at)

    def firing(self, name: str, instances: Iterable[str]) -> dict[str, dict[str, float]]:
        """Site -> instance -> since when (Unix seconds) under the set of this name, for these instances."""
        out: dict[str, dict[str, float]] = {}
        for instance in instances:
            for site, since in self._firing[name].get(instance, {}).items():
                out.setdefault(site, {})[instance] = since
        return out


@dataclass(frozen=True, slots=True)
class Restart:
    """One instance began a new life."""

    at: float
    instance: str


class Kept:
    """Past, threshold sets and restarts of one engine; see the module."""

    def __init__(self, longest_s: float = LONGEST_STEP_S) -> None:
        self.past = Past(longest_s)
        self.sets = ThresholdSets()
        self.restarts: deque[Restart] = deque(maxlen=MAX_RESTARTS)
        self._lives: npt.NDArray[np.int64] = np.zeros(0, np.int64)

    def heed(self, engine: Engine, now: float) -> None:
        """After a judgement at `now`."""
        self.past.heed(engine.windows, now)
        self.sets.heed(engine.sites, now)
        lives = engine.windows.lives[: engine.windows.size].copy()
        known = self._lives[: len(lives)]
        for slot in np.flatnonzero((lives[: len(known)] > known) & (known > 0)).tolist():
            instance = engine.windows.instance(slot)
            at = instance.start_time
            self.restarts.append(Restart(at if at is not None and at <= now else now, instance.id))
        self._lives = lives
