"""All site judges over what changed: the one call of the engine for everything that has a line of code.

Only instances with news are judged anew; what was said of the others stands (it is kept in `SiteWindows.remembered`, per set of
rules). Rows of all changed instances are walked at once, in columns.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from parkwarden.judge.fleet import site_floor_growth, stack_persistence
from parkwarden.model import Signal, Verdict

if TYPE_CHECKING:
    from parkwarden.aggregate.sites import SiteWindows
    from parkwarden.aggregate.windows import Windows
    from parkwarden.judge.fleet.rules import Rules


def judge_places(
    sites: SiteWindows, windows: Windows, now: float, rules: Rules, changed: Collection[str] | None = None
) -> list[Signal]:
    """Signals of all sites of all instances, `suspect` or worse. `changed`: where there may be news (None = look everywhere)."""
    known = sites.remembered.setdefault(rules, {})
    fresh = sites.changed_since(known, changed)
    if fresh:
        said: dict[str, list[Signal]] = {name: [] for name in fresh}
        for signal in _judge(sites, fresh, now, rules):
            said[signal.instance].append(signal)
            if signal.verdict is Verdict.LEAK and signal.site is not None:
                sites.judged_leak(signal.instance, signal.site, now)
        for name, signals in said.items():
            known[name] = (sites.tables[name].revision, signals)
    return [signal for _, signals in known.values() for signal in signals]


def _judge(sites: SiteWindows, fresh: list[str], now: float, rules: Rules) -> list[Signal]:
    rows = sites.rows(fresh)
    if not len(rows):
        return []
    standing = stack_persistence.judge(rows, rules.persistence)
    rising = site_floor_growth.judge(rows, now, rules.floor)
    out = stack_persistence.signals(rows, standing, now, rules.persistence)
    return out + site_floor_growth.signals(rows, rising, now, rules.floor)
