"""All limits of a fleet in one call per tick: descriptors, threads, memory, both together, and the event loop's probe.

Each is screened in columns (nearing.py); who holds what runs out is asked only where there is something to say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from parkwarden.judge.fleet import (
    event_loop_health,
    fd_exhaustion,
    memory_and_descriptors,
    memory_exhaustion,
    thread_exhaustion,
)
from parkwarden.judge.fleet.holders import Held, of_descriptors, of_memory, of_threads
from parkwarden.judge.fleet.nearing import (
    MAX_LOOKED_AT,
    LimitRule,
    Near,
    limit_of,
    near,
    newest,
    numbers,
    oldest,
    screen,
    since,
)
from parkwarden.judge.fleet.time_left import NO_LIMIT
from parkwarden.model import ServiceKey, Signal, Site, Verdict, words
from parkwarden.stacks.culprit import culprit

if TYPE_CHECKING:
    import numpy.typing as npt

    from parkwarden.aggregate.descriptors import DescriptorWindows
    from parkwarden.aggregate.sites import SiteWindows
    from parkwarden.aggregate.windows import Windows
    from parkwarden.judge.fleet.rules import Rules

    Floats = npt.NDArray[np.float64]

GROWS = 0.9
"""Confidence of `exhausting` by growth: the interval's own coverage."""
REFUSED = 0.95
"""Of what is refused already: it was read, not forecast (but the next reading may be below)."""
MOVES = 0.6
NEAR = 0.5
"""Of `tight`, moving and standing: alone neither is told to anybody (`alert.suspect_confidence` is 0.8)."""
STALLS = 0.07
"""Added where the kernel's stalls bear memory's growth out."""
PAUSE_S = 180.0
"""Growth that was not sure for so long has ended; what comes after is another."""
HOLD_S = 60.0
"""`exhausting` by growth must be found for so long: a ramp of load that ends looks like it for a moment."""
HOLD_PART = 0.1
"""But for no longer than this part of the earliest time left: who has a minute is told within six seconds."""
MAX_KNOWN = 20_000
"""Sites of which it is remembered whether they have a line of the user's."""
NUMBERS = ("open_fds", "threads", "mem_used", "rss")
"""Fields of a reading that are held against limits."""
KINDS_TOLD = 4
"""Kinds of descriptors named in a sentence."""


@dataclass(slots=True)
class Limits:
    """What judging the limits needs of the engine, and what it counts."""

    windows: Windows
    sites: SiteWindows
    descriptors: DescriptorWindows
    modules: Callable[[ServiceKey], tuple[str, ...]]
    changed_at: Mapping[str, float] = field(default_factory=dict)
    """Instance -> when it was deployed anew under the same name: readings from before are of another program."""
    put_off: int = 0
    """Rows that had to wait for a later tick, since the watch began."""
    _onsets: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    """(instance, number) -> when growth was last sure, and the value at which it began."""
    _exhausting: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    """(instance, number) -> since when, and when last, growth was found to be exhausting."""
    _holders: dict[tuple[str, str], Held] = field(default_factory=dict)
    """(instance, number) -> who grew with it, while it is near: at the limit nothing grows any more, and it is then that the line is wanted."""
    _own: dict[tuple[str, tuple[str, ...]], tuple[Site, bool]] = field(default_factory=dict)

    def judge(self, now: float, rules: Rules, leaking: Collection[tuple[str, str | None]] = ()) -> list[Signal]:
        """Signals (`tight` and worse) of all instances. `leaking`: (instance, site) judged a leak at this tick."""
        if not self.windows.count[: self.windows.size].any():
            return []
        out = [
            *self._files(now, rules, leaking),
            *self._threads(now, rules, leaking),
            *self._memory(now, rules, leaking),
        ]
        out += memory_and_descriptors.signals(out, now, rules.together)
        return out + event_loop_health.signals(self.windows, now, rules.loop, rules.gc)

    def gone(self, name: str) -> None:
        """An instance is no longer there: nothing is remembered of it."""
        for known in (self._onsets, self._exhausting, self._holders):
            for number in NUMBERS:
                known.pop((name, number), None)

    # one limit each

    def _files(self, now: float, rules: Rules, leaking: Collection[tuple[str, str | None]]) -> list[Signal]:
        out = []
        limit = limit_of(self.windows, "max_fds")
        for row in self._rows("open_fds", newest(self.windows, "open_fds"), limit, rules.fds):
            name = self.windows.instance(row).id
            found, held = self._near(name, "open_fds", float(limit[row]), now, rules.fds, leaking, self._holds_files)
            if found.why:
                text = _counted("file descriptors", "open", found) + _kinds(held) + self._holder(held)
                out.append(_signal(fd_exhaustion, name, now, found, held, text))
        return out

    def _threads(self, now: float, rules: Rules, leaking: Collection[tuple[str, str | None]]) -> list[Signal]:
        out = []
        go = float(rules.time_left.thread_limit)
        limit = np.fmin(limit_of(self.windows, "max_threads"), go)
        for row in self._rows("threads", newest(self.windows, "threads"), limit, rules.threads):
            name = self.windows.instance(row).id
            found, held = self._near(
                name, "threads", float(limit[row]), now, rules.threads, leaking, self._holds_threads
            )
            if found.why:
                whose = "Go's own limit" if limit[row] == go else "the system's limit"
                text = f"{_counted('threads', 'there', found)} ({whose}){self._holder(held)}"
                out.append(_signal(thread_exhaustion, name, now, found, held, text))
        return out

    def _memory(self, now: float, rules: Rules, leaking: Collection[tuple[str, str | None]]) -> list[Signal]:
        limit = limit_of(self.windows, "mem_limit").copy()
        limit[~(limit < NO_LIMIT)] = np.nan
        if np.isnan(limit).all():
            return []
        used, rss = newest(self.windows, "mem_used"), newest(self.windows, "rss")
        stalls = newest(self.windows, "mem_stall_share")
        kills = newest(self.windows, "oom_kills")
        some = np.flatnonzero(kills > 0)
        killed = some[kills[some] > oldest(self.windows, "oom_kills", some)].tolist()
        out = []
        for what, value in (("mem_used", used), ("rss", np.where(np.isnan(used), rss, np.nan))):
            rows = dict.fromkeys([*self._rows(what, value, limit, rules.memory, peaks=True), *killed])
            for row in [row for row in rows if not math.isnan(value[row] + limit[row])]:
                name, most = self.windows.instance(row).id, float(limit[row])
                grain = rules.memory.grain_share * most
                found, held = self._near(name, what, most, now, rules.memory, leaking, self._holds_memory, True, grain)
                found, said = self._witnessed(name, found, float(stalls[row]), now, rules.memory)
                if found.why:
                    text = _sized(found) + said + (f"; beside it grow {self._grows(held)}" if held.site else "")
                    out.append(_signal(memory_exhaustion, name, now, found, held, text, STALLS * bool(said)))
        return out

    # what all of them do

    def _rows(self, field: str, value: Floats, limit: Floats, rule: LimitRule, *, peaks: bool = False) -> list[int]:
        rows = screen(self.windows, field, value, limit, rule, peaks=peaks)
        self.put_off += max(len(rows) - MAX_LOOKED_AT, 0)
        found: list[int] = rows[:MAX_LOOKED_AT].tolist()
        return found

    def _near(
        self,
        name: str,
        field: str,
        limit: float,
        now: float,
        rule: LimitRule,
        leaking: Collection[tuple[str, str | None]],
        holder: Callable[[str, float, Near], Held],
        peaks: bool = False,
        grain: float = 1.0,
    ) -> tuple[Near, Held]:
        """The verdict and who holds it; a holder that is judged a leak bears growth out that is below its share of the limit."""
        told = self.windows.series(name, field, now)
        times, values = since(*told, self.changed_at.get(name))
        begun = self._onset(name, field, now, told[0])
        found = near(times, values, limit, now, rule, peaks=peaks, grain=grain, start=begun)
        if math.isfinite(found.start):
            self._onsets[name, field] = (now, found.start)
        if not found.why:
            self._holders.pop((name, field), None)
            return found, Held()
        held = self._last_held(name, field, found, holder(name, now, found))
        if found.verdict is Verdict.TIGHT and found.why == "grows" and held.site and (name, held.site) in leaking:
            found = near(times, values, limit, now, rule, peaks=peaks, grain=grain, start=begun, borne_out=True)
        return self._lasting(name, field, found, now), held

    def _last_held(self, name: str, field: str, found: Near, held: Held) -> Held:
        """Who holds it; where it is refused already and nobody is seen to hold it now, who was seen to on the way there."""
        if held.site:
            self._holders[name, field] = held
        elif found.why == "refused" and (last := self._holders.get((name, field))) is not None:
            return replace(last, per_min=0.0, kinds=held.kinds)
        return held

    def _lasting(self, name: str, field: str, found: Near, now: float) -> Near:
        """`exhausting` by growth must hold for a while, short beside the time left; until then it is tight."""
        if found.verdict is not Verdict.EXHAUSTING or found.why != "grows" or found.way is None:
            return found
        first, last = self._exhausting.get((name, field), (now, now))
        first = now if now - last > PAUSE_S / 2 else first
        self._exhausting[name, field] = (first, now)
        if now - first >= min(HOLD_S, HOLD_PART * found.way.low_s):
            return found
        return replace(found, verdict=Verdict.TIGHT)

    def _onset(self, name: str, field: str, now: float, began: Floats) -> float:
        """The value at which growth that still goes on was first seen to begin: the ring of readings forgets it after ten minutes."""
        seen, start = self._onsets.get((name, field), (-math.inf, math.inf))
        if now - seen > PAUSE_S or not len(began) or seen < began[0]:
            self._onsets.pop((name, field), None)
            return math.inf
        return start

    def _witnessed(
        self, name: str, found: Near, stalls: float, now: float, rule: memory_exhaustion.MemoryRule
    ) -> tuple[Near, str]:
        """Memory's other witnesses: collections between, stalls, kills."""
        refused = Near(verdict=Verdict.EXHAUSTING, value=found.value, limit=found.limit, why="refused", way=found.way)
        times, kills = self.windows.series(name, "oom_kills", now)
        kills = (
            kills[times >= times[0] + rule.min_span_s] if len(times) else kills
        )  # told late: the end of the life before
        if len(kills) > 1 and kills[-1] > kills[0]:
            return refused, f"; the kernel has killed {kills[-1] - kills[0]:.0f} of its group for memory"
        said = (
            f"; something waited for memory {words.percent(stalls)} of the last 10 s"
            if stalls >= rule.stall_share
            else ""
        )
        if said and found.share >= rule.reclaiming_share:
            return refused, said
        tight = Near(verdict=Verdict.TIGHT, value=found.value, limit=found.limit, why="near", way=found.way)
        if found.why == "refused":
            return tight, said  # at the limit without stalls: what Go does at GOMEMLIMIT
        if found.verdict is Verdict.EXHAUSTING and found.way is not None:
            times, cycles = self.windows.series(name, "num_gc", now)
            cycles = cycles[times >= found.way.since]
            if len(cycles) > 1 and cycles[-1] - cycles[0] < rule.min_gcs:
                grows = Near(verdict=Verdict.TIGHT, value=found.value, limit=found.limit, why="grows", way=found.way)
                return grows, said + "; hardly any collection ran meanwhile: it may be garbage"
        return found, said

    def _holds_files(self, name: str, now: float, found: Near) -> Held:
        begin, per_min = _growth(found)
        return of_descriptors(self.sites, self.descriptors, name, now, begin, per_min, self._own_of(name))

    def _holds_threads(self, name: str, now: float, found: Near) -> Held:
        begin, per_min = _growth(found)
        return of_threads(self.sites, name, now, begin, per_min, self._own_of(name))

    def _holds_memory(self, name: str, now: float, found: Near) -> Held:
        return of_memory(self.sites, name, now, _growth(found)[0], self._own_of(name))

    def _own_of(self, name: str) -> Callable[[Site], bool]:
        """Whether a site has a line of the user's on its way; remembered, since it is asked of every site at every tick."""
        table = self.sites.tables.get(name)
        modules = self.modules(table.instance.service_key) if table is not None else ("main",)

        def own(site: Site) -> bool:
            known = self._own.get((site.id, modules))
            if known is None or known[0] is not site:
                if len(self._own) >= MAX_KNOWN:
                    self._own.clear()
                known = self._own[site.id, modules] = (site, culprit(site, modules) is not None)
            return known[1]

        return own

    def _holder(self, held: Held) -> str:
        if not held.site:
            return ""
        why = "by growth in step" if held.in_step else held.words or "system calls"
        return f"; held by {self._grows(held)} ({why})"

    def _grows(self, held: Held) -> str:
        site = self.sites.site(held.site)
        pace = f", {held.per_min:+,.1f}/min" if held.per_min else ""
        return f"{held.goroutines:,} goroutines at {site.where}{pace}"


def _growth(found: Near) -> tuple[float | None, float]:
    way = found.way
    if way is None or not way.sure:
        return None, 0.0
    return way.since, way.rate_per_s * 60


def _counted(what: str, there: str, found: Near) -> str:
    said = f"{found.value:,.0f} of {found.limit:,.0f} {what} are {there} ({words.percent(found.share)})"
    way = found.way
    if way is None or not way.sure:
        return said
    return f"{said}, {way.rate_per_s * 60:+,.3g} a minute for {words.seconds(way.span_s)}"


def _sized(found: Near) -> str:
    said = f"{words.size(found.value)} of {words.size(found.limit)} of memory are used ({words.percent(found.share)})"
    way = found.way
    if way is None or not way.sure:
        return said
    return f"{said}, {words.size(way.rate_per_s * 60)} more a minute for {words.seconds(way.span_s)}"


def _kinds(held: Held) -> str:
    """`; pipe 512 (+20/min), socket 90 (0/min)`."""
    told = [f"{kind} {n:,} ({per_min:+,.3g}/min)" for kind, (n, per_min) in list(held.kinds.items())[:KINDS_TOLD]]
    return f"; {', '.join(told)}" if told else ""


def _signal(
    detector: ModuleType, name: str, now: float, found: Near, held: Held, text: str, more: float = 0.0
) -> Signal:
    by_kind = [pair for k, (n, g) in held.kinds.items() for pair in ((f"{k}_open", float(n)), (f"{k}_per_min", g))]
    sure = {"refused": REFUSED, "grows": GROWS if found.verdict is Verdict.EXHAUSTING else MOVES, "near": NEAR}[
        found.why
    ]
    way = found.way
    memory = detector is memory_exhaustion
    return Signal(
        detector=detector.NAME,
        code=detector.CODE,
        at=now,
        instance=name,
        site=held.site or None,
        verdict=found.verdict,
        confidence=min(sure + more, 0.99),
        text=text,
        rate_per_min=way.rate_per_s * 60 if way is not None and way.sure and not memory else None,
        since=way.since if way is not None and way.sure else None,
        count=None if memory or not math.isfinite(found.value) else int(found.value),
        numbers=numbers(found, by_kind),
    )
