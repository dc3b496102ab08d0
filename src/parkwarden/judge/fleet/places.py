"""All site judges over what changed: the one call of the engine for everything that has a line of code.

Only instances with news are judged anew; what was said of the others stands (it is kept in `SiteWindows.remembered`, per set of
rules). Rows of all changed instances are walked at once, in columns.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from parkwarden.aggregate.sites import Remembered
from parkwarden.judge.fleet import (
    close_look,
    load_growth,
    new_since_deploy,
    proven_leak,
    replica_age,
    site_floor_growth,
    stack_persistence,
    survivors,
    waits_without_deadline,
)
from parkwarden.model import Signal, Verdict

if TYPE_CHECKING:
    from parkwarden.aggregate.sites import Rows, SiteTable, SiteWindows
    from parkwarden.aggregate.windows import Windows
    from parkwarden.judge.fleet.rules import Rules

LOAD_WINDOW_S = 300.0
"""Requests are counted over so long: shorter is noise, longer hides that the load has come down again."""


def judge_places(
    sites: SiteWindows, windows: Windows, now: float, rules: Rules, changed: Collection[str] | None = None
) -> list[Signal]:
    """Signals of all sites of all instances, `suspect` or worse. `changed`: where there may be news (None = look everywhere)."""
    known = sites.remembered.setdefault(rules, {})
    fresh = sites.changed_since(known, changed)
    for name in fresh:
        known.setdefault(name, Remembered()).signals = []
    for signal in _judge(sites, windows, fresh, known, now, rules):
        known[signal.instance].signals.append(signal)
        if signal.verdict is Verdict.LEAK and signal.site is not None:
            sites.judged_leak(signal.instance, signal.site, now)
    for name in fresh:
        known[name].revision = sites.tables[name].revision
    out = [signal for remembered in known.values() for signal in remembered.signals]
    return out + _across(sites, fresh, now, rules)


def _judge(
    sites: SiteWindows, windows: Windows, fresh: list[str], known: dict[str, Remembered], now: float, rules: Rules
) -> list[Signal]:
    for name in fresh:
        sites.loaded(name, _requests_per_s(windows, name, now))
    rows = sites.rows(fresh)
    if not len(rows):
        return []
    notes = [known[t.instance.id].notes for t in rows.tables]
    standing = stack_persistence.judge(rows, rules.persistence)
    _risen(sites, rows, known, now, rules)
    out = stack_persistence.signals(rows, standing, now, rules.persistence)
    for table, note in zip(rows.tables, notes, strict=True):
        waiting = waits_without_deadline.judge(table, sites, sites.waits, rules.deadline)
        out += waits_without_deadline.signals(table, waiting, now)
        risen: dict[int, site_floor_growth.Rise] = note["risen"]
        closely = close_look.judges(table)
        close = _close(sites, table, note, rules) if closely else []
        stayed = [] if closely else [_believed(sites, table, j, rules) for j in _stayed(sites, table, note, now, rules)]
        if not (stayed or close or risen or table.proofs):
            continue
        risen = {row: _believed(sites, table, r, rules) for row, r in risen.items()}
        if survivors.knows(table, now):  # censuses see more than counts: these alone accuse nobody there
            here = {j.row for j in stayed if j.leak} | {j.row for j in close if j.steady}
            risen = {row: r if row in here else replace(r, leak=False) for row, r in risen.items()}
        out += survivors.signals(table, stayed, now)
        out += close_look.signals(table, close, now)
        out += site_floor_growth.signals(table, risen, now)
        out += load_growth.signals(table, load_growth.judge(risen, rules.load), now)
        suspected = [*risen, *(j.row for j in stayed), *(j.row for j in close), *table.proofs]
        out += new_since_deploy.signals(table, new_since_deploy.judge(sites, table, suspected, now, rules.deploy), now)
        if table.proofs:
            out += proven_leak.signals(table, proven_leak.judge(table, rules.proof), now)
    return out


def _across(sites: SiteWindows, fresh: list[str], now: float, rules: Rules) -> list[Signal]:
    """Replicas of one service beside each other, at most once per beat; what was said last stands in between."""
    services = sites.services.setdefault(rules, {})
    for service in {sites.tables[name].instance.service_key for name in fresh}:
        remembered = services.setdefault(service, Remembered())
        last = remembered.notes.get("at")
        if last is None or now - last >= replica_age.BEAT_S:
            remembered.notes["at"] = now
            ageing = replica_age.judge(sites, service, now, rules.age)
            remembered.notes["lines"] = frozenset(j.site for j in ageing if j.line)
            remembered.signals = replica_age.signals(ageing, now)
    return [s for remembered in services.values() for s in remembered.signals if s.instance in sites.tables]


Case = TypeVar("Case", survivors.Judged, site_floor_growth.Rise)


def _believed(sites: SiteWindows, table: SiteTable, case: Case, rules: Rules) -> Case:
    """What is held back only because it may be filling is a leak where an earlier life, or another replica, leaked at this site, and
    where the replicas' counts go with their age beyond the age of full pools."""
    if not case.held:
        return case
    name = next((site for site, row in table.rows.items() if row == case.row), None)
    if name is None:
        return case
    memory = sites.memory(table.instance, name)
    across = sites.services.get(rules, {}).get(table.instance.service_key)
    if (
        memory.leak_at is None
        and memory.proven_at is None
        and (across is None or name not in across.notes.get("lines", ()))
    ):
        return case
    return replace(case, leak=True, held=False, filling=False)


def _stayed(
    sites: SiteWindows, table: SiteTable, note: dict[str, Any], now: float, rules: Rules
) -> list[survivors.Judged]:
    """Survivors are judged anew only after a census."""
    stamp = (table.lives, table.life.censuses)
    if note.get("life") != stamp:
        note["life"], note["stayed"] = stamp, survivors.judge(table, now, rules.survivors, sites)
    stayed: list[survivors.Judged] = note["stayed"]
    return stayed


def _risen(sites: SiteWindows, rows: Rows, known: dict[str, Remembered], now: float, rules: Rules) -> None:
    """Notes what rose where; counts are judged anew at each look, but where censuses are taken, and counts accuse nobody, with these."""
    due = []
    for table in rows.tables:
        note, stamp = known[table.instance.id].notes, (table.lives, table.life.censuses)
        if not survivors.knows(table, now) or note.get("rose") != stamp:
            note["rose"] = stamp
            due.append(table.instance.id)
    if len(due) < len(rows.tables):
        rows = sites.rows(due)
    floors = [known[t.instance.id].notes.setdefault("floors", site_floor_growth.Known()) for t in rows.tables]
    for table, risen in zip(rows.tables, site_floor_growth.judge(rows, now, rules.floor, floors), strict=True):
        known[table.instance.id].notes["risen"] = risen


def _close(sites: SiteWindows, table: SiteTable, note: dict[str, Any], rules: Rules) -> list[close_look.Judged]:
    """A close look is judged anew only after a census."""
    stamp = (table.lives, table.life.censuses)
    if note.get("closely") != stamp:
        note["closely"], note["close"] = stamp, close_look.judge(table, rules.close, sites)
    close: list[close_look.Judged] = note["close"]
    return close


def _requests_per_s(windows: Windows, instance_id: str, now: float) -> float:
    """Load over the last `LOAD_WINDOW_S`; NaN where requests are not told."""
    times, totals = windows.series(instance_id, "requests_total", now, LOAD_WINDOW_S)
    if len(times) < 2:
        return math.nan
    begin, end, first, last = float(times[0]), float(times[-1]), float(totals[0]), float(totals[-1])
    return (last - first) / (end - begin) if last >= first else math.nan
