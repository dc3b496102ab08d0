"""How many goroutines are at each site of each instance, over time: the columns that site judges walk.

Per instance one table, a row per site. A row holds the last `RECENT` counts as they came and, for each of `LEVELS_S`, the floor
(least count) of the last `FLOORS` time slots of that length: minutes for what is fast, hours for what grows by six a day, and the mean beside it. That is 840 bytes a
row, whatever the cadence. A floor is what stays when bursts have gone; a mean is four times sharper where there are none. `jitter` is how much a
row's counts change from look to look: of a queue of seconds that is Poisson's noise, of a crowd that stays for hours it is next to nothing.

Goroutine profiles and censuses both give counts; a site absent from one has none there. `NOT_TOLD` marks slots without any
look (a gap) and everything before the first look of this life. Censuses also feed the instance's life table (aggregate/life.py).

A new start time is a new life: series begin anew, but what was proven or judged at a site, and at which age its goroutines used to leave,
is remembered (per service and site, `Memory`). A new `version` label is a deploy, remembered per service.

Limits: `SITES_PER_INSTANCE`, `INSTANCES`, `SITES_NAMED`, `REMEMBERED`; what does not fit is dropped, smallest or oldest first, and
counted in `dropped`. Looks not newer than the last one are dropped and counted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from parkwarden import kernels
from parkwarden.aggregate.close import CloseLook
from parkwarden.aggregate.life import LifeTable
from parkwarden.kernels import _site_layout as layout
from parkwarden.model import Census, Instance, Leaked, ServiceKey, Signal, Site, SiteCounts, other_life
from parkwarden.model.snapshot import Ints

Counts = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

RECENT = 16
"""Last counts kept as they came: the judges of the last few samples look at 10."""
LEVELS_S = (60.0, 300.0, 1200.0, 3600.0)
"""Lengths of the time slots whose floors are kept: 24 of each reach back 24 min, 2 h, 8 h and a day."""
FLOORS = 24
"""Slots of each length: enough for a trend test to reach one in a million, few enough for 840 bytes a site."""
NOT_TOLD = layout.NOT_TOLD

SITES_PER_INSTANCE = 512
"""A usual process has 40 sites; above 512 (generated code, hostile names) the smallest are dropped."""
INSTANCES = 100_000
"""Instances with site tables, 34 KiB each: more belong to a second watcher."""
SITES_NAMED = 100_000
"""Distinct sites of the whole fleet with their frames (about 1 KB each)."""
REMEMBERED = 50_000
"""(service, site) pairs of which a past is kept; the longest unused go first."""
DEPLOYS = 16
"""Version changes remembered per service."""
DEPLOYED = 20_000
"""Services whose versions are remembered: names that come and go (a branch, a job) push out those longest unheard of."""

JITTER_LOOKS = 40
"""Looks over which the change from look to look is averaged: 40 tell a variance to 22 %, and that is 40 minutes."""
AGED_LEAST_S = 10_800.0
"""A life watched for less says nothing about what a process of its age has."""

_COUNT_MAX = 2**31 - 1

_NO_COUNTS, _NO_FLOORS = np.empty((0, RECENT), np.int32), np.empty((len(LEVELS_S), 0, FLOORS), np.int32)
_NO_MEANS = np.empty((len(LEVELS_S), 0, FLOORS), np.float32)
_NO_FLOAT32, _NO_INT32, _NO_FLOATS = np.empty(0, np.float32), np.empty(0, np.int32), np.empty(0)
# Columns of a table without rows: nothing can be written into them, so all share them. Of whom a stream tells there are 100,000, and few of
# them are ever looked at.


@dataclass(slots=True)
class Memory:
    """What is known of a site of a service from all lives and replicas of it."""

    last_used: float = 0.0
    proven_at: float | None = None
    """When the runtime first proved goroutines leaked there."""
    leak_at: float | None = None
    """When it was first judged a leak."""
    first_seen: float | None = None
    first_version: str = ""
    reached: float = 0.0
    """Highest five-minute mean in any life that has ended."""


@dataclass(slots=True)
class Proof:
    """What leak profiles said of one site in this life."""

    count: int
    """Most they proved at one time."""
    first_at: float
    last_at: float
    looks: int = 1
    came: bool = False
    """Whether some of them were seen to come (the judge of proof finds out); what was seen stays so."""


@dataclass(slots=True)
class SiteTable:
    """One life of one instance: a row per site. Arrays have room for more rows than `rows` names; those in `free` are empty."""

    instance: Instance
    watched_since: float | None = None
    """First look of this life."""
    last_at: float | None = None
    looks: int = 0
    revision: int = 0
    """Rises with everything that a judge must look at again."""
    lives: int = 1
    rows: dict[str, int] = field(default_factory=dict)
    free: list[int] = field(default_factory=list)
    times: Floats = field(default_factory=lambda: np.full(RECENT, np.nan))
    recent: Counts = field(default_factory=lambda: _NO_COUNTS)
    floors: Counts = field(default_factory=lambda: _NO_FLOORS)
    told: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros((len(LEVELS_S), FLOORS), bool))
    """Slots in which anything was told at all; a site without goroutines there had none."""
    load: npt.NDArray[np.float32] = field(default_factory=lambda: np.full((len(LEVELS_S), FLOORS), np.nan, np.float32))
    """Requests per second in the same time slots, NaN where not told."""
    bucket: Ints = field(default_factory=lambda: np.full(len(LEVELS_S), -1, np.int64))
    """Number of the newest time slot of each level: time // length."""
    means: npt.NDArray[np.float32] = field(default_factory=lambda: _NO_MEANS)
    """Mean count per time slot, where `told`."""
    weights: Counts = field(default_factory=lambda: np.zeros((len(LEVELS_S), FLOORS), np.int32))
    """Looks in each time slot."""
    jitter: npt.NDArray[np.float32] = field(default_factory=lambda: _NO_FLOAT32)
    """Variance from look to look of each row, trend taken out, over about the last `JITTER_LOOKS`."""
    reached: npt.NDArray[np.float32] = field(default_factory=lambda: _NO_FLOAT32)
    """Highest five-minute mean that earlier lives had at the site."""
    aged: float = 0.0
    """Age that an earlier life of the service reached, seconds: what was not there then does not belong to a full-grown process."""
    peak: Counts = field(default_factory=lambda: _NO_INT32)
    """Highest five-minute floor that is older than the slots kept."""
    first_at: Floats = field(default_factory=lambda: _NO_FLOATS)
    """When the site was first seen with goroutines in this life."""
    proofs: dict[int, Proof] = field(default_factory=dict)
    asked_at: float | None = None
    """Last leak profile, whatever it said."""
    life: LifeTable = field(default_factory=LifeTable)
    close: CloseLook | None = None
    """Every goroutine seen, while all censuses of this life were seconds apart."""
    values: Counts = field(default_factory=lambda: _NO_INT32)
    """The counts of a look by row, which `into_columns` takes in, at the time in `state` and in the time slots `fresh`."""
    state: Floats = field(default_factory=lambda: np.zeros(layout.STATE))
    fresh: Ints = field(default_factory=lambda: np.zeros(len(LEVELS_S), np.int64))
    into_columns: Callable[[], int] | None = None
    _order: Ints | None = None
    """Rows in the order of their sites, as long as no site comes or goes."""
    _dense: bool = False

    @property
    def order(self) -> Ints:
        """The rows that stand for a site, in the order of `rows`."""
        if self._order is None:
            self._order = np.fromiter(self.rows.values(), np.int64, len(self.rows))
            self._dense = bool((self._order == np.arange(len(self._order))).all())
        return self._order

    @property
    def named(self) -> Ints | slice:
        """The same, to pick them from a column: a slice where that says it, which costs no copy."""
        order = self.order
        return slice(len(order)) if self._dense else order

    def forget_order(self) -> None:
        """A site has come or gone."""
        self._order = None

    @property
    def nbytes(self) -> int:
        """Bytes held in columns, life table included."""
        columns = (
            self.times, self.recent, self.floors, self.told, self.load, self.means, self.weights, self.jitter, self.reached,
            self.peak, self.first_at,
        )  # fmt: skip
        return sum(c.nbytes for c in columns) + self.life.nbytes + (self.close.nbytes if self.close else 0)


@dataclass(frozen=True)
class Rows:
    """Rows of several instances side by side, ready to be judged. n rows of m instances.

    `table[i]` (int) is the index into `tables` of row i, `row[i]` its row there. `recent` (n, RECENT), `times` (m, RECENT),
    `floors` (levels, n, FLOORS) with time slots that ended first; all oldest first, NOT_TOLD where nothing was told. Columns are put together
    when they are asked for: most are looked at seldom.
    """

    tables: tuple[SiteTable, ...]
    table: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]

    @cached_property
    def sites(self) -> tuple[str, ...]:
        return tuple(chain.from_iterable(t.rows for t in self.tables))

    @cached_property
    def recent(self) -> Counts:
        return np.concatenate([t.recent[t.named] for t in self._any])

    @cached_property
    def times(self) -> Floats:
        return np.stack([t.times for t in self._any])[: len(self.tables)]

    @cached_property
    def floors(self) -> Counts:
        return np.concatenate([t.floors[:, t.named] for t in self._any], axis=1)

    @cached_property
    def means(self) -> npt.NDArray[np.float32]:
        return np.concatenate([t.means[:, t.named] for t in self._any], axis=1)

    @cached_property
    def jitter(self) -> npt.NDArray[np.float32]:
        return np.concatenate([t.jitter[t.named] for t in self._any])

    @cached_property
    def peak(self) -> Counts:
        return np.concatenate([t.peak[t.named] for t in self._any])

    @cached_property
    def first_at(self) -> Floats:
        return np.concatenate([t.first_at[t.named] for t in self._any])

    @property
    def _any(self) -> tuple[SiteTable, ...]:
        """The tables, or an empty one."""
        return self.tables or (SiteTable(Instance(id="")),)

    def instance(self, i: int) -> Instance:
        return self.tables[int(self.table[i])].instance

    def __len__(self) -> int:
        return len(self.row)


@dataclass(slots=True)
class Remembered:
    """What a judge keeps of one instance: its signals as of a revision of the table, and by-products to save work."""

    revision: int = -1
    signals: list[Signal] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)


class SiteWindows:
    """Site series of a fleet. Not thread-safe: one loop feeds and judges."""

    def __init__(self) -> None:
        self.tables: dict[str, SiteTable] = {}
        self.dropped: Counter[str] = Counter()
        """What did not fit or came late, by kind: site, instance, named, memory, late, unannounced."""
        self.remembered: dict[Hashable, dict[str, Remembered]] = {}
        """What judges keep of each instance between calls, by set of rules: two sets over the same data share nothing."""
        self.services: dict[Hashable, dict[ServiceKey, Remembered]] = {}
        """The same per (service, env), for judges that look across replicas; `revision` is theirs to use."""
        self.waits: dict[str, tuple[Site, bool]] = {}
        """Site -> what it is, and whether it waits for a peer, as its judge found out."""
        self._named: dict[str, Site] = {}
        self._members: dict[ServiceKey, set[str]] = {}
        self._memory: dict[tuple[str, str, str], Memory] = {}
        self._deploys: dict[ServiceKey, list[tuple[float, str]]] = {}
        self._aged: dict[ServiceKey, float] = {}

    # what happened

    def started(self, instance: Instance, at: float | None = None) -> None:
        """An instance is there: first seen, a new life (another start time), or with new labels (a deploy)."""
        table = self.tables.get(instance.id)
        when = at if at is not None else instance.start_time
        if table is None:
            table = self._new_table(instance)
            if table is None:
                return
        else:
            known = table.instance
            self._members.get(known.service_key, set()).discard(known.id)
            if instance.start_time is None and instance.version == known.version:
                instance = replace(instance, start_time=known.start_time)
            elif other_life(known.start_time, instance.start_time) or instance.version != known.version:
                self._new_life(table, instance)
            table.instance = instance
            table.revision += 1
        self._members.setdefault(instance.service_key, set()).add(instance.id)
        self._deployed(instance, when)

    def named(self, site: Site) -> None:
        """What a site id stands for."""
        self._named[site.id] = site
        if len(self._named) > SITES_NAMED:
            used = {name for table in self.tables.values() for name in table.rows}
            spare = [name for name in self._named if name not in used][: SITES_NAMED // 4] or [next(iter(self._named))]
            for name in spare:
                del self._named[name]
            self.dropped["named"] += len(spare)

    def counted(self, event: SiteCounts) -> None:
        """All sites of one goroutine profile."""
        self._sample(event.instance, event.at, event.counts)

    def census(self, event: Census) -> None:
        """All goroutines of one census: counts, and who is still there."""
        counts = {site: len(ids) for site, ids in event.goids.items()}
        table = self._sample(event.instance, event.at, counts, repeated=True)
        if table is None or (table.life.last_at is not None and event.at <= table.life.last_at):
            return
        ids = [(table.rows[site], goids) for site, goids in event.goids.items() if site in table.rows]
        slots = np.repeat(np.array([s for s, _ in ids], np.int32), [len(g) for _, g in ids])
        goids = np.concatenate([np.asarray(g, np.int64) for _, g in ids]) if ids else np.empty(0, np.int64)
        if _jumped_back(table.life, event.max_goid):
            self.dropped["unannounced"] += 1
            self._new_life(table, table.instance, keep_counts=True)
        ran = None if event.ran is None else np.concatenate([np.empty(0, np.int64), *event.ran.values()])
        if not table.life.censuses:
            table.close = CloseLook(table.instance.start_time)
        if table.close is not None and not table.close.goes_on(event.at):
            table.close = None
        if table.close is not None:
            table.close.update(event.at, slots, goids, event.max_goid, ran)
        table.life.update(event.at, slots, goids, event.max_goid, ran)

    def leaked(self, event: Leaked) -> None:
        """A leak profile: what it proves stays proven for this life, also where the next one is silent (golang/go#79452)."""
        table = self._table(event.instance)
        if table is None:
            return
        table.asked_at = event.at
        table.revision += 1
        self._make_room(table, event.counts)
        for site, count in event.counts.items():
            row = self._row(table, site) if count > 0 else None
            if row is None:
                continue
            proof = table.proofs.get(row)
            if proof is None:
                table.proofs[row] = Proof(count, event.at, event.at)
            else:
                proof.count, proof.last_at, proof.looks = max(proof.count, count), event.at, proof.looks + 1
            memory = self.memory(table.instance, site, event.at)
            memory.proven_at = memory.proven_at or event.at
            if math.isnan(table.first_at[row]):
                table.first_at[row] = event.at

    def loaded(self, instance_id: str, per_s: float) -> None:
        """Requests per second at the time of the last look, where they are told: the load its counts are judged against."""
        table = self.tables.get(instance_id)
        if table is not None and table.last_at is not None and math.isfinite(per_s):
            newest = table.load[:, -1]  # the mean over the slot's looks: a burst at its end is not its load
            more = (np.float32(per_s) - newest).tolist()
            told = zip(newest.tolist(), more, table.weights[:, -1].tolist(), strict=True)
            table.load[:, -1] = [old + d / max(looks, 1) if old == old else per_s for old, d, looks in told]

    def set_back(self, instance_id: str) -> None:
        """The clock was set back: what stands at later times says nothing any more, and would shut out what comes."""
        table = self.tables.get(instance_id)
        if table is not None:
            table.life.new_life(table.instance.start_time)
            self._begin_anew(table)
            table.revision += 1

    def gone(self, instance_id: str) -> None:
        """No longer a target: its tables are given up, what its service's sites did is remembered."""
        table = self.tables.pop(instance_id, None)
        if table is None:
            return
        members = self._members.get(table.instance.service_key, set())
        members.discard(instance_id)
        if not members:
            self._members.pop(table.instance.service_key, None)
            for services in self.services.values():
                services.pop(table.instance.service_key, None)
        for signals in self.remembered.values():
            signals.pop(instance_id, None)

    def judged_leak(self, instance_id: str, site_id: str, at: float) -> None:
        """A judge says leak: the next life of this service's site is judged knowing it."""
        table = self.tables.get(instance_id)
        if table is not None:
            memory = self.memory(table.instance, site_id, at)
            memory.leak_at = memory.leak_at or at

    # what is known

    def site(self, site_id: str) -> Site:
        """What the id stands for; a place without a name where nobody said."""
        return self._named.get(site_id) or Site(site_id, "", site_id, "", 0, ())

    def counts(self, instance_id: str, site_id: str) -> tuple[Floats, Floats]:
        """Series of one site, oldest first: times and counts; floors by hour, 20, 5 and one minutes, then the last looks."""
        table = self.tables.get(instance_id)
        row = table.rows.get(site_id) if table is not None else None
        if table is None or row is None:
            return np.empty(0), np.empty(0)
        known = ~np.isnan(table.times)
        times, values = [table.times[known]], [table.recent[row, known]]
        until = times[0][0] if known.any() else math.inf
        for level, length in enumerate(LEVELS_S):
            starts = (table.bucket[level] - np.arange(FLOORS - 1, -1, -1)) * length
            floors = table.floors[level, row]
            use = (floors != NOT_TOLD) & (starts + length <= until)
            times.insert(0, starts[use])
            values.insert(0, floors[use])
            until = min(until, starts[use][0]) if use.any() else until
        return np.concatenate(times), np.concatenate(values).astype(np.float64)

    def instances_of(self, service: ServiceKey) -> list[str]:
        """Ids of the instances of (service, env), sorted."""
        return sorted(self._members.get(service, ()))

    def deploys(self, service: ServiceKey) -> list[tuple[float, str]]:
        """(time, version) of each version first seen at a service, oldest first."""
        return self._deploys.get(service, [])

    def memory(self, instance: Instance, site_id: str, at: float | None = None) -> Memory:
        """The past of a site of a service; asking creates it."""
        key = (*instance.service_key, site_id)
        memory = self._memory.get(key)
        if memory is None:
            if len(self._memory) >= REMEMBERED:
                oldest = sorted(self._memory, key=lambda k: self._memory[k].last_used)[: REMEMBERED // 8]
                for old in oldest:
                    del self._memory[old]
                self.dropped["memory"] += len(oldest)
            memory = self._memory[key] = Memory()
        if at is not None:
            memory.last_used = max(memory.last_used, at)
        return memory

    def rows(self, instance_ids: Iterable[str]) -> Rows:
        """Rows of these instances in columns; instances without any look have none."""
        tables = [t for i in instance_ids if (t := self.tables.get(i)) is not None and t.rows]
        numbers = [t.order for t in tables]
        table = np.repeat(np.arange(len(tables)), [len(n) for n in numbers])
        return Rows(tuple(tables), table, np.concatenate([np.empty(0, np.int64), *numbers]))

    def changed_since(self, known: Mapping[str, Remembered], among: Collection[str] | None) -> list[str]:
        """Instances (of `among`, or all) whose revision is not the one known."""
        ids = self.tables if among is None else [i for i in among if i in self.tables]
        return [i for i in ids if (seen := known.get(i)) is None or seen.revision != self.tables[i].revision]

    # a life's series

    def _sample(
        self, instance_id: str, at: float, counts: Mapping[str, int], *, repeated: bool = False
    ) -> SiteTable | None:
        """One look's counts. `repeated`: a look at the very time of the last one is the same moment seen twice."""
        table = self._table(instance_id)
        if table is None:
            return None
        if not math.isfinite(at) or (table.last_at is not None and at <= table.last_at):
            if repeated and at == table.last_at:
                table.revision += 1
                return table
            self.dropped["late"] += 1
            return None
        if table.rows.keys() >= counts.keys():
            rows, numbers = [table.rows[site] for site in counts], list(counts.values())
        else:
            self._make_room(table, counts)
            largest = sorted(counts.items(), key=itemgetter(1), reverse=True)  # where there is no room it is for them
            told = {row: count for site, count in largest if (row := self._row(table, site)) is not None}
            rows, numbers = list(told), list(told.values())
        if numbers and not 0 <= min(numbers) <= max(numbers) <= _COUNT_MAX:
            numbers = [min(max(count, 0), _COUNT_MAX) for count in numbers]
        if table.into_columns is None:
            table.into_columns = _into_columns(table)
        values = table.values
        values[:] = 0
        values[rows] = numbers
        for row in [row for row, proof in table.proofs.items() if values[row] < proof.count]:
            del table.proofs[row]  # some of the proven have left after all: nothing about the others is proven any more
        table.state[layout.AT] = at
        table.fresh[:] = [at // length for length in LEVELS_S]
        table.into_columns()
        if table.watched_since is None:
            table.watched_since = at
        table.last_at = at
        table.looks += 1
        table.revision += 1
        return table

    def _row(self, table: SiteTable, site: str) -> int | None:
        """The row of a site, a new one if need be; None where `_make_room` has none for it."""
        row = table.rows.get(site)
        if row is not None:
            return row
        if not table.free:
            self.dropped["site"] += 1
            return None
        row = table.free.pop()
        table.rows[site] = row
        table.forget_order()
        table.recent[row] = np.where(np.isnan(table.times), NOT_TOLD, 0)
        table.floors[:, row] = np.where(table.told, 0, NOT_TOLD)
        table.means[:, row] = 0
        table.jitter[row] = 0
        table.peak[row] = 0
        table.first_at[row] = math.nan
        memory = self.memory(table.instance, site)
        table.reached[row] = memory.reached
        if memory.first_seen is None:
            memory.first_seen, memory.first_version = table.last_at, table.instance.version
        return row

    def _make_room(self, table: SiteTable, counts: Mapping[str, int]) -> None:
        """Free rows for all sites of a look that have none: rows of sites long empty are given up first; then the arrays grow; at the
        limit the smallest sites go, as far as they are smaller than those that come."""
        fresh = [site for site in counts if site not in table.rows]
        if len(fresh) <= len(table.free):
            return
        highest = np.maximum(table.recent.max(axis=1, initial=0), table.floors.max(axis=(0, 2), initial=0))
        idle = [
            site for site, row in table.rows.items() if not (highest[row] or counts.get(site) or row in table.proofs)
        ]
        _give_up(table, idle)
        held, short = len(table.recent), len(fresh) - len(table.free)
        if short > 0 and held < SITES_PER_INSTANCE:
            _grow(table, min(held + max(short, 8, held // 4), SITES_PER_INSTANCE))
            short = len(fresh) - len(table.free)
        if short > 0:
            newest = table.recent.max(axis=1)
            size = {
                site: max(int(newest[row]), counts.get(site, 0))
                for site, row in table.rows.items()
                if row not in table.proofs
            }
            small = sorted(size, key=lambda site: size[site])[:short]
            large = sorted((counts[site] for site in fresh), reverse=True)[len(table.free) :]
            smaller = [site for site, count in zip(small, large, strict=False) if size[site] < count]
            _give_up(table, smaller)
            self.dropped["site"] += sum(
                site not in counts for site in smaller
            )  # the others are counted when no row is left

    def _table(self, instance_id: str) -> SiteTable | None:
        """The table of an instance; one nobody announced is announced by its first look."""
        table = self.tables.get(instance_id)
        if table is None:
            self.started(Instance(id=instance_id))
            table = self.tables.get(instance_id)
        return table

    def _new_table(self, instance: Instance) -> SiteTable | None:
        if len(self.tables) >= INSTANCES:
            self.dropped["instance"] += 1
            return None
        table = self.tables[instance.id] = SiteTable(instance, life=LifeTable(instance.start_time))
        table.aged = self._aged.get(instance.service_key, 0.0)
        return table

    def _new_life(self, table: SiteTable, instance: Instance, *, keep_counts: bool = False) -> None:
        """Series begin anew for the same sites."""
        table.life.new_life(instance.start_time)
        if keep_counts:
            return
        table.lives += 1
        self._remember(table)
        self._begin_anew(table)

    def _remember(self, table: SiteTable) -> None:
        """What an ended life had reached at its sites, and at which age: the next one may have as much."""
        if table.last_at is None or table.watched_since is None:
            return
        start = table.instance.start_time if table.instance.start_time is not None else table.watched_since
        key = table.instance.service_key
        aged = table.last_at - start if table.last_at - table.watched_since >= AGED_LEAST_S else 0.0
        self._aged[key] = table.aged = max(self._aged.pop(key, 0.0), aged)
        if len(self._aged) > DEPLOYED:
            del self._aged[next(iter(self._aged))]
        highest = np.maximum(np.where(table.told[1:, None], table.means[1:], 0).max(axis=(0, 2)), table.peak)
        for site, row in table.rows.items():
            memory = self.memory(table.instance, site, table.last_at)
            memory.reached = table.reached[row] = max(memory.reached, float(highest[row]))

    def _begin_anew(self, table: SiteTable) -> None:
        table.looks = 0
        table.watched_since = table.last_at = table.asked_at = None
        table.times[:] = math.nan
        table.recent[:] = NOT_TOLD
        table.floors[:] = NOT_TOLD
        table.told[:] = False
        table.means[:] = 0
        table.weights[:] = 0
        table.jitter[:] = 0
        table.state[layout.SHAKEN] = 0
        table.load[:] = np.nan
        table.bucket[:] = -1
        table.peak[:] = 0
        table.first_at[:] = math.nan
        table.proofs.clear()

    def _deployed(self, instance: Instance, at: float | None) -> None:
        known = self._deploys[instance.service_key] = self._deploys.pop(instance.service_key, [])
        if len(self._deploys) > DEPLOYED:
            del self._deploys[next(iter(self._deploys))]
        if instance.version and at is not None and all(version != instance.version for _, version in known):
            known.append((at, instance.version))
            known.sort()
            del known[:-DEPLOYS]


def _into_columns(table: SiteTable) -> Callable[[], int]:
    """What takes `table.values` into the columns as they are now."""
    shape = np.zeros(layout.SHAPE, np.int64)
    shape[layout.CAPACITY], shape[layout.RECENT], shape[layout.FLOORS] = len(table.recent), RECENT, FLOORS
    shape[layout.LEVELS], shape[layout.PEAK_LEVEL] = len(LEVELS_S), LEVELS_S.index(300.0)
    shape[layout.JITTER_LOOKS] = JITTER_LOOKS
    table.values = np.zeros(len(table.recent), np.int32)
    return kernels.load("site_series")["look"].bound(
        shape, table.state, table.bucket, table.fresh, table.values, table.times, table.recent, table.first_at, table.jitter, table.peak,
        table.floors, table.means, table.weights, table.told.view(np.uint8), table.load,
    )  # fmt: skip


def _give_up(table: SiteTable, sites: Iterable[str]) -> None:
    """Rows of these sites stand for others from now on."""
    table.forget_order()
    for site in sites:
        row = table.rows.pop(site)
        table.life.drop(row)
        if table.close is not None:
            table.close.drop(row)
        table.free.append(row)


def _grow(table: SiteTable, capacity: int) -> None:
    old = len(table.recent)
    more = capacity - old
    table.recent = np.concatenate([table.recent, np.full((more, RECENT), NOT_TOLD, np.int32)])
    table.floors = np.concatenate([table.floors, np.full((len(LEVELS_S), more, FLOORS), NOT_TOLD, np.int32)], axis=1)
    table.peak = np.concatenate([table.peak, np.zeros(more, np.int32)])
    table.means = np.concatenate([table.means, np.zeros((len(LEVELS_S), more, FLOORS), np.float32)], axis=1)
    table.jitter = np.concatenate([table.jitter, np.zeros(more, np.float32)])
    table.reached = np.concatenate([table.reached, np.zeros(more, np.float32)])
    table.first_at = np.concatenate([table.first_at, np.full(more, math.nan)])
    table.into_columns = None
    table.free.extend(range(capacity - 1, old - 1, -1))


def _jumped_back(life: LifeTable, max_goid: int) -> bool:
    """Ids never fall within a process: a census below the last one's highest id is of another life nobody announced."""
    return life.censuses > 0 and 0 < max_goid < life.highest_goid
