"""Who holds what runs out: which kind of descriptor grows, and which goroutines' line it goes with.

Watches     kinds of descriptors over time (aggregate/descriptors.py), and counts per site (aggregate/sites.py) over the same time.
Method      The kind that grows most (the most numerous one, where none does) and, among sites whose frames say that they hold it (stacks/holders.py), the
            one that grows most; of those that grow alike the one with a line of the user's. Where the holder is a library's goroutine, the site
            of the user's that grows with it, one for one (whoever keeps a response open waits beside it). Where no frames fit, the site whose count grows in step:
            one goroutine for each 1/4 to 4 of what grows. For threads, sites in system calls; for memory, whatever grows most.
Blind       what no goroutine waits for (a temporary file kept in a map): then the kind is told, and no line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from parkwarden.aggregate.sites import LEVELS_S, NOT_TOLD
from parkwarden.judge.fleet import serving
from parkwarden.model import Site
from parkwarden.stacks import holders

if TYPE_CHECKING:
    import numpy.typing as npt

    from parkwarden.aggregate.descriptors import DescriptorWindows
    from parkwarden.aggregate.sites import SiteTable, SiteWindows

    Floats = npt.NDArray[np.float64]

KIN: Mapping[str, frozenset[str]] = {
    "pipe": frozenset(("pipe", "pidfd")),
    "pidfd": frozenset(("pidfd", "pipe")),
    "deleted-file": frozenset(("file",)),
    "file": frozenset(("file",)),
}
"""Kinds that come together: a child process has pipes and a pidfd; a file that was deleted was one."""

MAIN_SHARE = 0.3
"""Of the descriptors' growth (or number) that a kind must have to be named."""
STEP = 4.0
"""Goroutines and what they hold may differ by this factor: a child process holds two or three pipes, a proxied request two sockets."""
ALIKE = 0.5
"""Share of the fastest candidate's growth from which on another one, with a line of the user's, is named in its place."""
PAIRED = 1.25
"""How far the growth of two sites of which each has one goroutine for one of the other's may lie apart: they are counted together, yet some
of a library's end a moment later."""
LEAST_PER_MIN = 0.2
"""Goroutines a minute below which a site does not grow: one in five minutes is chance."""
LOOKBACK_S = 600.0
"""Growth of sites is looked at over no less: profiles come once a minute."""
LOOKS = ("runtime/trace.", "runtime/pprof.", "net/http/pprof.")
"""Frames of whoever looks at the process, or writes what is looked at: they come when a limit is near, because it is near."""
CALLS = ("syscall",)
"""Wait reasons of goroutines that hold a thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What grows, and by whom. `kind` and `site` are "" where nothing is known."""

    kind: str = ""
    site: str = ""
    words: str = ""
    """What the site holds, in words, where its frames tell."""
    goroutines: int = 0
    """At the site now."""
    per_min: float = 0.0
    """By which the site grows."""
    in_step: bool = False
    """Known by growth alone."""
    kinds: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """Kind -> open now, growth a minute; the largest growth first."""


@dataclass(frozen=True, slots=True)
class _Place:
    site: Site
    count: int
    per_min: float
    own: bool
    """Whether a line of the user's is on its way."""


def of_descriptors(
    sites: SiteWindows,
    descriptors: DescriptorWindows,
    instance: str,
    now: float,
    since: float | None,
    per_min: float,
    own: Callable[[Site], bool],
) -> Held:
    """Who holds descriptors. `per_min`: their growth in all (0 = they stand), since `since`; `own`: has a site a line of the user's."""
    kinds = kinds_of(descriptors, instance, now, since)
    kind = _main_kind(kinds, per_min)
    places = _places(sites, instance, now, since, own)
    fitting = [p for p in places if (held := holders.holds(p.site)) and (not kind or held in KIN.get(kind, {kind}))]
    fitting = [p for p in fitting if holders.each(p.site)] or fitting
    grown = kinds[kind][1] if kind else per_min
    return _named(fitting, places, kind, kinds, grown if per_min > 0 else 0.0, kinds[kind][0] if kind else 0)


def of_threads(
    sites: SiteWindows, instance: str, now: float, since: float | None, per_min: float, own: Callable[[Site], bool]
) -> Held:
    """Who holds threads: goroutines in system calls."""
    places = _places(sites, instance, now, since, own)
    return _named([p for p in places if p.site.wait_reason in CALLS], places, "", {}, per_min, 0)


def of_memory(sites: SiteWindows, instance: str, now: float, since: float | None, own: Callable[[Site], bool]) -> Held:
    """Whose goroutines grow while memory does: what they hold on to is what they reach. Nobody, where none grows."""
    places = [p for p in _places(sites, instance, now, since, own) if p.per_min >= 1.0 and not serving.reads(p.site)]
    return _named(places, [], "", {}, 1.0, 0) if places else Held()


def kinds_of(
    descriptors: DescriptorWindows, instance: str, now: float, since: float | None
) -> dict[str, tuple[int, float]]:
    """Kind -> open now and growth a minute, the largest growth first."""
    times, series = descriptors.series(instance, now, math.inf if since is None else max(now - since, 60.0))
    if not len(times):
        return {}
    minutes = float(times[-1] - times[0]) / 60
    few = min(3, len(times))
    out = {
        kind: (int(counts[-1]), float(np.median(counts[-few:]) - np.median(counts[:few])) / minutes if minutes else 0.0)
        for kind, counts in series.items()
    }
    return dict(sorted(out.items(), key=lambda item: (-item[1][1], -item[1][0])))


def _main_kind(kinds: Mapping[str, tuple[int, float]], per_min: float) -> str:
    if not kinds:
        return ""
    fastest = next(iter(kinds))
    if per_min > 0 and kinds[fastest][1] >= MAIN_SHARE * per_min:
        return fastest
    most = max(kinds, key=lambda kind: kinds[kind][0])
    return most if kinds[most][0] >= MAIN_SHARE * sum(n for n, _ in kinds.values()) else ""


def _named(
    fitting: list[_Place],
    places: list[_Place],
    kind: str,
    kinds: Mapping[str, tuple[int, float]],
    grown: float,
    held: int,
) -> Held:
    """The place to name: one that fits, else one in step."""
    chief = _chief(fitting, grown) if grown > 0 else None
    in_step = False
    if chief is None and grown > 0:
        step = [p for p in places if p.per_min >= LEAST_PER_MIN and grown / STEP <= p.per_min <= grown * STEP]
        step.sort(key=lambda p: (not p.own, abs(math.log(p.per_min / grown)), -p.count))
        chief, in_step = (step[0], True) if step else (None, False)
    if chief is None and grown <= 0 and fitting:
        most = max(fitting, key=lambda p: (p.count, p.own))
        chief = most if most.count >= held / STEP else None
    if chief is None:
        return Held(kind=kind, kinds=kinds)
    if not in_step and grown > 0 and (user := _companion(chief, places)) is not None:
        words = holders.describe(chief.site)
        return Held(
            kind=kind,
            site=user.site.id,
            words=words,
            goroutines=user.count,
            per_min=user.per_min,
            in_step=True,
            kinds=kinds,
        )
    return Held(
        kind=kind,
        site=chief.site.id,
        words=holders.describe(chief.site) if not in_step else "",
        goroutines=chief.count,
        per_min=chief.per_min,
        in_step=in_step,
        kinds=kinds,
    )


def _chief(fitting: list[_Place], grown: float) -> _Place | None:
    """The fastest of those that fit, if it accounts for the growth; of those that grow alike one of the user's."""
    fastest = max((p.per_min for p in fitting), default=0.0)
    if fastest < max(LEAST_PER_MIN, grown / (2 * STEP)):
        return None
    alike = [p for p in fitting if p.per_min >= ALIKE * fastest]
    return max(alike, key=lambda p: (p.own, p.per_min, p.count, p.site.id))


def _companion(chief: _Place, places: list[_Place]) -> _Place | None:
    """Of a library's goroutines (an HTTP client's, two for each connection): who of the user's grows with them, one for one."""
    if chief.own or chief.per_min <= 0:
        return None
    alike = [p for p in places if p.own and p.per_min > 0 and 1 / PAIRED <= p.per_min / chief.per_min <= PAIRED]
    return min(alike, key=lambda p: (abs(math.log(p.per_min / chief.per_min)), -p.count, p.site.id), default=None)


def _places(
    sites: SiteWindows, instance: str, now: float, since: float | None, own: Callable[[Site], bool]
) -> list[_Place]:
    """All sites of an instance with goroutines now, but for our own looks at it, and how they grow."""
    table = sites.tables.get(instance)
    if table is None or table.last_at is None or not len(table.rows):
        return []
    rows = list(table.rows.values())
    count = table.recent[rows, -1]
    growth = _growth(table, min(now - LOOKBACK_S, now if since is None else since))[rows]
    return [
        _Place(site, int(n), float(g), own(site))
        for site, n, g in zip(map(sites.site, table.rows), count.tolist(), growth.tolist(), strict=True)
        if n > 0 and not any(frame.function.startswith(LOOKS) for frame in site.frames)
    ]


def _growth(table: SiteTable, since: float) -> Floats:
    """Goroutines a minute of every row since then: over the last looks, or where these reach back less far, over the minutes' means."""
    told = np.flatnonzero(table.times >= since)
    recent = float(table.times[told[-1]] - table.times[told[0]]) if len(told) > 1 else 0.0
    level = 0
    slot = LEVELS_S[level]
    ends = (table.bucket[level] - np.arange(table.weights.shape[1])[::-1]) * slot
    slots = np.flatnonzero((table.weights[level] > 0) & (ends + slot > since))
    if len(slots) > 2 and float(ends[slots[-1]] - ends[slots[0]]) > recent:
        first, last = slots[0], slots[-1]
        rise = table.means[level][:, last].astype(np.float64) - table.means[level][:, first]
        apart = float(ends[last] - ends[first])
    elif recent > 0:
        counts = np.where(table.recent[:, told] == NOT_TOLD, 0, table.recent[:, told]).astype(np.float64)
        few = max(min(2, len(told) // 2), 1)
        rise = counts[:, -few:].mean(axis=1) - counts[:, :few].mean(axis=1)
        apart = float(table.times[told[-few:]].mean() - table.times[told[:few]].mean())
    else:
        return np.zeros(len(table.recent))
    return np.asarray(rise * 60 / apart, np.float64)
