"""One service: its series with what happened to it, sites over time, replicas by age, two threshold sets side by side.

Pictures up to a day come from memory (`kept` and the site tables), longer ones from history. Everything is of one moment.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from parkwarden.aggregate.sites import FLOORS, LEVELS_S
from parkwarden.aggregate.windows import Floats
from parkwarden.alert.story import key_of
from parkwarden.model import EvidenceItem, Finding, Incident, ServiceKey, Site, StoreError, Verdict
from parkwarden.report.redact import Redactor
from parkwarden.run.board.fleet import Fleet, InstanceRow, Picture, ServiceRow, told
from parkwarden.run.board.kept import FIELDS
from parkwarden.stacks.culprit import culprit

if TYPE_CHECKING:
    from parkwarden.aggregate.sites import SiteTable
    from parkwarden.judge.fleet.stack_persistence import PersistenceRule
    from parkwarden.run.board.host import Host
    from parkwarden.store.history import Series, SiteSteps

RANGES: dict[str, float] = {
    "24m": 1_440.0,
    "2h": 7_200.0,
    "8h": 28_800.0,
    "24h": 86_400.0,
    "7d": 604_800.0,
    "30d": 2_592_000.0,
}
"""What can be looked back on; up to a day the sites' time slots are kept in memory, one level for each (see aggregate/sites)."""

SLOTS_S = {"24m": 60.0, "2h": 300.0, "8h": 1_200.0, "24h": 3_600.0, "7d": 21_600.0, "30d": 86_400.0}
"""A cell of the heat map in each: those of LEVELS_S are in memory, the others come from history, which is up to an hour behind."""

YOUNG_RANGE, USUAL_RANGE = "24m", "2h"
"""What is shown unless asked for: the first while no older numbers are in memory, two hours would be an empty picture."""

PARTS = ("series", "heat", "sets", "replicas")
"""Pictures of the page; each can be asked for alone."""

POINTS = 400
"""Points of a series: as many as a chart is wide."""

HEAT_SITES = 25
MAX_HEAT_SITES = 200
"""Rows of the heat map, and how many may be asked for."""

MAX_TABLES = 1_000
"""Instances whose sites are added up: those findings name first, then by id. A service of more is shown by these, and says so."""

MAX_REPLICAS = 40
"""Replicas laid over each other: those findings name first, then the largest. More lines cannot be told apart."""

REPLICA_POINTS = 48
MAX_MARKS = 200
"""Marks on a series, the newest."""

MAX_CAPTURES = 100
"""Captures among the marks, the newest: a service under suspicion is looked at every few seconds, and its deploys must not be pushed out."""

MAX_SETS = 100
"""Sites of the comparison of two threshold sets."""

HEAT_STEPS = 9
"""Colours of the heat map above nothing, on a log scale: 1, 2-3, 4-9, 10-27 and so on by `HEAT_BASE`."""

HEAT_BASE = 3.0
"""A count three times as large is a step darker: the ninth begins at 6,561 goroutines."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened: `deploy`, `restart`, `capture`, `incident`, `resolved`."""

    at: float
    kind: str
    text: str
    id: str = ""
    """An incident's id, a capture's digest."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica over its age: seconds since its start and goroutines, oldest first."""

    id: str
    version: str
    age_s: tuple[float, ...]
    goroutines: tuple[float, ...]
    found: bool


@dataclass(frozen=True, slots=True)
class HeatRow:
    """One site over time: `counts` per time slot over all instances, NaN where nobody looked."""

    site: str
    where: Site
    culprit: tuple[str, str, int]
    """Function, file, line: the user's own nearest to the wait, else the blocked line."""
    verdict: Verdict | None
    counts: tuple[float, ...]
    shades: tuple[int, ...]
    """0 = none, 1..HEAT_STEPS, -1 = nobody looked."""
    change: float
    """Last count less the first."""


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Sites worst first by time slots of `slot_s` seconds that begin at `times`."""

    slot_s: float
    times: tuple[float, ...]
    rows: list[HeatRow]
    sites: int
    """All sites there are."""
    instances: int
    """Those whose sites are added up."""


@dataclass(frozen=True, slots=True)
class SetRow:
    """One site under two threshold sets; for each how many instances fire and since when (None = none does)."""

    site: str
    culprit: tuple[str, str, int]
    fires: tuple[tuple[int, float | None], ...]
    count: int
    """Goroutines there now, over all instances."""

    @property
    def earlier(self) -> int | None:
        """Index of the set that fired first, None where it was at the same time."""
        since = [math.inf if at is None else at for _, at in self.fires]
        return None if since[0] == since[1] else since.index(min(since))


@dataclass(frozen=True, slots=True)
class Sets:
    """The comparison: the sets' names with their thresholds, and the sites that fire under one of them."""

    names: tuple[str, ...]
    rules: tuple[PersistenceRule, ...]
    rows: list[SetRow]
    judged_since: float | None
    """What fires since then may have fired before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePage:
    """What the page of one service shows."""

    at: float
    key: ServiceKey
    row: ServiceRow
    instances: tuple[InstanceRow, ...]
    range: str
    since: float
    series: Series | None = None
    marks: list[Mark]
    heat: HeatMap | None = None
    sets: Sets | None = None
    replicas: list[Replica] | None = None
    findings: list[tuple[Finding, Incident | None]]
    """With the open incident of each."""
    incidents: list[Incident]
    """Open ones first, then those resolved lately."""
    trouble: str = ""
    """Why history could not be read."""


class Services:
    """The board of single services, beside the fleet's whose picture it shares."""

    def __init__(self, host: Host, fleet: Fleet) -> None:
        self._host = host
        self._fleet = fleet
        self._redactor = Redactor()

    def usual_range(self, key: ServiceKey) -> str:
        """Of RANGES, for who did not ask for one."""
        now = self._fleet.picture()
        if (i := now.roster.index.get(key)) is None:
            return USUAL_RANGE
        ids = [member.id for member in now.roster.services[i].members[:MAX_TABLES]]
        times, means = self._host.kept.past.series(ids, now.at - RANGES[USUAL_RANGE], ("goroutines",))
        older = times < now.at - RANGES[YOUNG_RANGE]
        return USUAL_RANGE if not np.isnan(means[0][:, older]).all() else YOUNG_RANGE

    async def page(
        self, key: ServiceKey, range_: str, parts: Collection[str] = PARTS, heat_sites: int = HEAT_SITES
    ) -> ServicePage | None:
        """One service's page, None where there is no such service. `range_` of RANGES, `parts` of PARTS: the others are None."""
        began = self._fleet.picture()
        if (i := began.roster.index.get(key)) is None:
            return None
        ids = [member.id for member in began.roster.services[i].members]
        raw_keys = began.roster.services[i].raw_keys
        since = began.at - RANGES[range_]
        series: Series | None = None
        captures: list[EvidenceItem] = []
        trouble = ""
        if "series" in parts:
            series, captures, trouble = await self._past(ids, raw_keys, since, began.at)
        older: SiteSteps | None = None
        if "heat" in parts and SLOTS_S[range_] not in LEVELS_S:
            try:
                older = await self._host.history_sites(raw_keys, since, began.at, SLOTS_S[range_], MAX_HEAT_SITES)
            except StoreError as error:
                trouble = error.message
        now = self._fleet.picture()  # others may have been served, and judged, meanwhile
        if (i := now.roster.index.get(key)) is None:
            return None
        findings, incidents = now.findings.get(i, []), self._incidents(now, i)
        shown = {member.id: member.shown for member in now.roster.services[i].members}
        named = _named(findings)
        culprits = {f.site.id: f for f in reversed(findings) if f.site is not None}
        tables = self._tables(shown, named)
        return ServicePage(
            at=now.at,
            key=key,
            row=self._fleet.rows(now, [i], set())[0],
            instances=self._fleet.instances(now, i),
            range=range_,
            since=since,
            series=series,
            marks=self._marks(raw_keys, shown, incidents, captures, since),
            heat=self._heat(raw_keys[0], tables, culprits, range_, heat_sites, older) if "heat" in parts else None,
            sets=self._sets(raw_keys[0], tables, culprits) if "sets" in parts else None,
            replicas=self._replicas(now, i, named, since) if "replicas" in parts else None,
            findings=[(finding, now.incident_of.get(key_of(finding))) for finding in findings],
            incidents=incidents,
            trouble=trouble,
        )

    # series and marks

    async def _past(
        self, ids: Sequence[str], raw_keys: Sequence[ServiceKey], since: float, until: float
    ) -> tuple[Series, list[EvidenceItem], str]:
        """The numbers in at most POINTS steps, from memory as far as it reaches back, before that from history; what was kept as
        evidence; and why one of them could not be read."""
        times, means = self._host.kept.past.series(ids, since)
        series = _added(times, means, max((until - since) / POINTS, 1.0))
        begins = float(times[0]) if len(times) else until
        captures: list[EvidenceItem] = []
        try:
            for service in dict.fromkeys(key[0] for key in raw_keys):
                kept = await self._host.evidence(service=service)
                captures += [item for item in kept if item.at >= since][:MAX_CAPTURES]
            if begins - since > 0.05 * (until - since):
                older = await self._host.history(raw_keys, since, begins, max((until - since) / POINTS, 60.0))
                series = series if older is None or not len(older.t) else _joined(older, series)
        except StoreError as error:
            return series, captures, error.message
        return series, captures, ""

    def _marks(
        self,
        raw_keys: Sequence[ServiceKey],
        shown: Mapping[str, str],
        incidents: Iterable[Incident],
        captures: Iterable[EvidenceItem],
        since: float,
    ) -> list[Mark]:
        marks = [
            Mark(
                item.at,
                "capture",
                f"{item.kind} of {shown[item.instance]}, {item.why or 'on beat'}",
                item.digest,
            )
            for item in captures
            if item.instance in shown
        ]
        marks += [
            Mark(at, "deploy", f"version {self._redactor.label('version', version)}")
            for key in raw_keys
            for at, version in self._host.engine.sites.deploys(key)
        ]
        marks += [
            Mark(one.at, "restart", f"{shown[one.instance]} restarted")
            for one in self._host.kept.restarts
            if one.instance in shown
        ]
        for row in incidents:
            began = row.firing_since or row.pending_since
            marks.append(Mark(began, "incident", f"{row.priority} {row.title}", row.id))
            if row.resolved_at:
                marks.append(Mark(row.resolved_at, "resolved", row.title, row.id))
        return sorted((mark for mark in marks if mark.at >= since), key=lambda mark: mark.at)[-MAX_MARKS:]

    def _incidents(self, now: Picture, i: int) -> list[Incident]:
        key = now.roster.services[i].key
        open_ones = now.incidents.get(i, [])
        known = {row.id for row in open_ones}
        others = [
            row for row in self._host.incidents() if row.service_key == key and row.id not in known and row.firing_since
        ]
        return [*open_ones, *sorted(others, key=lambda row: -row.resolved_at)]

    # sites

    def _tables(self, shown: dict[str, str], named: set[str]) -> list[SiteTable]:
        tables = self._host.engine.sites.tables
        there = [name for name in shown if name in tables]
        there.sort(key=lambda name: (shown[name] not in named, name))
        return [tables[name] for name in there[:MAX_TABLES]]

    def _place(self, key: ServiceKey, site: Site, finding: Finding | None) -> tuple[str, str, int]:
        """Who is to blame at a site, as far as its stack says."""
        frame = finding.culprit if finding is not None else culprit(site, self._host.engine.modules_of(key))
        if frame is not None:
            return frame.function, frame.file, frame.line
        return site.function, site.file, site.line

    def _heat(
        self,
        key: ServiceKey,
        tables: list[SiteTable],
        culprits: dict[str, Finding],
        range_: str,
        most: int,
        older: SiteSteps | None,
    ) -> HeatMap:
        slot_s = SLOTS_S[range_]
        said: dict[str, dict[str, Any]] = {}
        if older is not None and len(older.t):
            names, counts, times = [one["site"] for one in older.sites], older.counts, older.t
            said = {one["site"]: one for one in older.sites}
        elif tables and slot_s in LEVELS_S:
            names, counts, times = _counts(tables, LEVELS_S.index(slot_s))
        else:
            return HeatMap(slot_s, (), [], 0, 0)
        looked: npt.NDArray[np.bool_] = np.any(~np.isnan(counts), axis=0)
        first = int(np.argmax(looked)) if looked.any() else len(looked)
        counts, times = counts[:, first:], times[first:]
        change = _change(counts)
        known = np.nan_to_num(counts)
        last = known[:, -1] if known.shape[1] else np.zeros(len(names))
        rank = np.array([culprits[name].verdict.rank if name in culprits else 0 for name in names])
        there = np.flatnonzero(known.any(axis=1) | (rank > 0))
        order = there[np.lexsort((-last[there], -np.maximum(change[there], 0), -rank[there]))]
        shades = _shades(counts)
        rows = []
        for j in order[:most].tolist():
            finding = culprits.get(names[j])
            site = self._redactor.site(_known(self._host.engine.sites.site(names[j]), said.get(names[j])))
            rows.append(
                HeatRow(
                    site=names[j],
                    where=site,
                    culprit=self._place(key, site, finding),
                    verdict=finding.verdict if finding is not None else None,
                    counts=tuple(counts[j].tolist()),
                    shades=tuple(shades[j].tolist()),
                    change=float(change[j]),
                )
            )
        return HeatMap(slot_s, tuple(times.tolist()), rows, len(there), len(tables))

    def _sets(self, key: ServiceKey, tables: list[SiteTable], culprits: dict[str, Finding]) -> Sets:
        sets = self._host.kept.sets
        ids = [table.instance.id for table in tables]
        firing = [sets.firing(name, ids) for name in sets.rules]
        now: dict[str, int] = {}
        for table in tables:
            for site in (site for site in table.rows if any(site in one for one in firing)):
                now[site] = now.get(site, 0) + max(int(table.recent[table.rows[site], -1]), 0)
        rows = []
        for site in sorted(now, key=lambda site: -now[site])[:MAX_SETS]:
            said = [one.get(site, {}) for one in firing]
            place = self._place(key, self._redactor.site(self._host.engine.sites.site(site)), culprits.get(site))
            fires = tuple((len(one), min(one.values(), default=None)) for one in said)
            rows.append(SetRow(site, place, fires, now[site]))
        return Sets(tuple(sets.rules), tuple(sets.rules.values()), rows, sets.since_start)

    # replicas

    def _replicas(self, now: Picture, i: int, named: set[str], since: float) -> list[Replica]:
        members = now.roster.services[i].members
        times, means = self._host.kept.past.series([m.id for m in members], since, ("goroutines",))
        counts = means[0].astype(np.float64)
        newest = _latest(counts)
        order = sorted(range(len(members)), key=lambda j: (members[j].shown not in named, -newest[j]))[:MAX_REPLICAS]
        mine = np.flatnonzero(now.roster.service_of == i)
        edges = (
            np.unique(np.linspace(0, len(times) - 1, REPLICA_POINTS).astype(np.int64))
            if len(times)
            else np.empty(0, np.int64)
        )
        out = []
        for j in order:
            start = self._host.engine.instance(members[j].id).start_time
            start = start if start is not None else told(now.began[mine[j]])
            if start is None:
                continue
            points = [(float(times[e] - start), float(counts[j, e])) for e in edges]
            points = [(age, n) for age, n in points if age >= 0 and n == n]
            ages, numbers = tuple(age for age, _ in points), tuple(round(n, 1) for _, n in points)
            out.append(Replica(members[j].shown, members[j].version, ages, numbers, members[j].shown in named))
        return out


def _named(findings: Iterable[Finding]) -> set[str]:
    """Instances that findings name."""
    return {name for finding in findings for name in (*finding.instances, finding.instance) if name}


def _added(times: Floats, means: np.ndarray[tuple[int, int, int], np.dtype[np.float32]], step_s: float) -> Series:
    """Sums over instances in steps of at least `step_s`."""
    from parkwarden.store.history import Series

    if not len(times):
        return Series(times, {name: np.empty(0) for name in FIELDS}, np.empty(0), np.empty(0))
    edges = np.flatnonzero(np.diff(np.floor(times / step_s), prepend=-math.inf))
    values = means.astype(np.float64)
    known = ~np.isnan(values)
    number = np.add.reduceat(known.astype(np.float64), edges, axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.add.reduceat(np.where(known, values, 0.0), edges, axis=2) / number
    there = number > 0
    some: npt.NDArray[np.bool_] = np.any(there, axis=1)
    totals = np.where(some, np.where(there, mean, 0.0).sum(axis=1), math.nan)
    largest = np.where(some[0], np.where(there[0], mean[0], -math.inf).max(axis=0, initial=-math.inf), math.nan)
    return Series(
        times[edges], dict(zip(FIELDS, totals, strict=True)), largest, there[0].sum(axis=0).astype(np.float64)
    )


def _joined(older: Series, recent: Series) -> Series:
    """Two series, the second going on where the first ends."""
    from parkwarden.store.history import Series

    keep = older.t < recent.t[0] if len(recent.t) else np.ones(len(older.t), bool)
    return Series(
        np.concatenate([older.t[keep], recent.t]),
        {name: np.concatenate([older.total[name][keep], recent.total[name]]) for name in FIELDS},
        np.concatenate([older.largest[keep], recent.largest]),
        np.concatenate([older.instances[keep], recent.instances]),
    )


def _known(site: Site, said: dict[str, Any] | None) -> Site:
    """A site as history names it, where nobody else does any more."""
    if said is None or site.frames or site.function != site.id:
        return site
    return Site(site.id, said["wait_reason"], said["function"] or site.id, said["file"], int(said["line"] or 0), ())


def _counts(tables: Sequence[SiteTable], level: int) -> tuple[list[str], Floats, Floats]:
    """Sites' ids, their counts per time slot summed over the instances (sites, FLOORS), and when the slots begin.

    An instance that was not looked at in one slot counts as in the one before: looks are a minute apart, and so are the shortest slots.
    """
    newest = max(int(table.bucket[level]) for table in tables)
    index: dict[str, int] = {}
    which = np.concatenate(
        [np.fromiter((index.setdefault(site, len(index)) for site in t.rows), np.int64, len(t.rows)) for t in tables]
    )
    source = np.arange(FLOORS) + newest - np.array([int(t.bucket[level]) for t in tables])[:, None]
    known = (source >= 0) & (source < FLOORS)
    source = np.where(known, source, 0)
    looked = known & np.stack([t.told[level] for t in tables])[np.arange(len(tables))[:, None], source]
    carried = ~looked[:, 1:] & looked[:, :-1]
    table = np.repeat(np.arange(len(tables)), [len(t.rows) for t in tables])
    means = np.concatenate([t.means[level, t.named] for t in tables])
    values = np.where(looked[table], means[np.arange(len(table))[:, None], source[table]], 0.0)
    values[:, 1:] += np.where(carried[table], values[:, :-1], 0.0)
    looked[:, 1:] |= carried
    counts = np.zeros((len(index), FLOORS))
    np.add.at(counts, which, values)
    counts[:, ~looked.any(axis=0)] = math.nan
    times: Floats = (newest - np.arange(FLOORS - 1, -1, -1, dtype=np.float64)) * LEVELS_S[level]
    return list(index), counts, times


def _latest(counts: Floats) -> Floats:
    """The last told number of each row, 0 where there is none."""
    known = ~np.isnan(counts)
    at = counts.shape[1] - 1 - np.argmax(known[:, ::-1], axis=1) if counts.shape[1] else np.zeros(len(counts), np.int64)
    latest: Floats = np.zeros(len(counts))
    some = np.flatnonzero(np.any(known, axis=1))
    latest[some] = counts[some, at[some]]
    return latest


def _change(counts: Floats) -> Floats:
    """Last told count less the first, per row."""
    looked = np.flatnonzero(~np.isnan(counts[0])) if len(counts) else np.empty(0, np.int64)
    if not len(looked):
        return np.zeros(len(counts))
    change: Floats = counts[:, looked[-1]] - counts[:, looked[0]]
    return change


def _shades(counts: Floats) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Steps of the log scale."""
    known = np.nan_to_num(counts)
    with np.errstate(divide="ignore"):
        steps = np.floor(np.log(np.maximum(known, 1.0)) / math.log(HEAT_BASE) + 1e-9) + 1
    shades = np.where(known >= 0.5, np.minimum(steps, HEAT_STEPS), 0)
    return np.where(np.isnan(counts), -1, shades).astype(np.int64)
