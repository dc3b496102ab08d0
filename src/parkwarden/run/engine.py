"""The engine: events in, findings out, on whatever time it is told. One for watch, check and replay.

Holds the windows (aggregate) and asks the judges; knows no clock, no network, no store. Whoever feeds it the same events
and ticks gets the same findings.

Blindness: an instance that has told nothing for BLIND_AFTER_S is *blind*. What was last judged about it is kept (a process
that died of its leak has not been cured of it), and `Tick.blind` says since when, until it answers again or is Gone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from parkwarden.aggregate.descriptors import DescriptorWindows
from parkwarden.aggregate.sites import SITES_NAMED, SiteWindows
from parkwarden.aggregate.windows import Windows
from parkwarden.judge.fleet.counts import judge_counts
from parkwarden.judge.fleet.fuse import Scene, fuse
from parkwarden.judge.fleet.limits import Limits
from parkwarden.judge.fleet.places import judge_places
from parkwarden.judge.fleet.rules import Rules
from parkwarden.model import (
    BuildInfo,
    Census,
    Descriptors,
    Event,
    Finding,
    Gone,
    Instance,
    Leaked,
    Named,
    Read,
    ServiceKey,
    Signal,
    Site,
    SiteCounts,
    Stack,
    Started,
    Verdict,
    other_life,
)
from parkwarden.stacks.modules import guess_user_modules

TICK_S = 5.0
"""Between two judgements: the cadence of the readings (A1, A2)."""

BLIND_AFTER_S = 30.0
"""Without any news of an instance. Six lost readings: a restart or a slow GC is over by then."""

MISSED = 3
"""Readings in a row that may be missing where an instance is read more seldom than every ten seconds."""

SLOWER = 1.25
"""How fast a pace that has become slower is believed: a hole of ten minutes is not the new interval."""

AWAKE = ("running", "runnable", "syscall")
"""States of goroutines that are not blocked on anything in the program."""

MODULE_STACKS = 2_000
"""Sites of a service from which its own modules are guessed: the first ones seen, so that a service that makes up new ones for ever
neither fills memory nor has them guessed anew each time."""


KERNELS = ("fleet_counts", "site_series")
"""What judging takes (kernels/__init__.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """What was judged at one time: findings worst first, the signals behind them, who is blind since when."""

    at: float
    findings: list[Finding]
    signals: list[Signal]
    blind: Mapping[str, float]
    """Instance id -> since when nothing came of it."""


@dataclass(slots=True)
class _Service:
    """What is known of one service over all its instances."""

    sites: set[str] = field(default_factory=set)
    modules: tuple[str, ...] = ("main",)
    guessed_from: int = 0


def _waits(reason: str) -> bool | None:
    return reason not in AWAKE if reason else None


class Engine:
    """See the module. `modules`: the user's own Go modules where they are known; guessed per service otherwise."""

    def __init__(self, rules: Rules | None = None, *, modules: tuple[str, ...] = ()) -> None:
        self.rules = rules or Rules()
        self.windows = Windows()
        self.sites = SiteWindows()
        self.descriptors = DescriptorWindows()
        self.instances: dict[str, Instance] = {}
        self.last_news: dict[str, float] = {}
        self.began: dict[str, float] = {}
        """When the first news of an instance's present life came."""
        self._modules = modules
        self._services: dict[ServiceKey, _Service] = defaultdict(_Service)
        self._read_at: dict[str, float] = {}
        self._paces: dict[str, float] = {}
        self._changed: dict[str, None] = {}
        """Who has news of its sites, in the order in which it came."""
        self._held: dict[str, list[Signal]] = {}
        self._waits: dict[str, bool | None] = {}
        """Site -> does who is there wait; None = not told."""
        self._deployed: dict[str, float] = {}
        """When an instance was deployed anew under the same name and start time."""
        self.limits = Limits(self.windows, self.sites, self.descriptors, self.modules_of, self._deployed)
        self._scene = Scene(
            windows=self.windows,
            site=self.sites.site,
            instance=self.instance,
            modules=self.modules_of,
            version_at=self._version_at,
            present=self._present,
        )

    def instance(self, instance_id: str) -> Instance:
        """The instance of an id; one that never said who it is has no labels."""
        return self.instances.get(instance_id) or Instance(id=instance_id)

    def feed(self, event: Event) -> None:
        """Take one event in. Events of one instance come in time order; what comes late is the windows' to refuse."""
        if isinstance(event, Read):
            self._known(event.instance, event.at)
            self._pace(event.instance, event.at)
            if self.windows.read(event.instance, event.at, event.reading):
                self.sites.set_back(event.instance)
        elif isinstance(event, SiteCounts):
            self._known(event.instance, event.at)
            self.sites.counted(event)
            self._saw(event.instance, event.counts)
            self._blocked(event.instance, event.counts)
        elif isinstance(event, Census):
            self._known(event.instance, event.at)
            self.sites.census(event)
            self._saw(event.instance, event.goids)
            self._blocked(event.instance, {site: len(goids) for site, goids in event.goids.items()})
        elif isinstance(event, Leaked):
            self._known(event.instance, event.at)
            self.sites.leaked(event)
            self._saw(event.instance, event.counts)
        elif isinstance(event, Descriptors):
            self._known(event.instance, event.at)
            self.descriptors.counted(event)
        elif isinstance(event, Named):
            self.sites.named(event.site)
            self._waits.pop(event.site.id, None)
        elif isinstance(event, Started):
            self._started(event)
        else:
            self._gone(event)

    def tick(self, now: float) -> Tick:
        """Judge what is known at `now` (not earlier than the events fed)."""
        silent = [(name, at) for name, at in self.last_news.items() if now - at > BLIND_AFTER_S]
        blind = {name: at for name, at in silent if now - at > self._patience(name)}
        signals = judge_counts(self.windows, now, self.rules)
        signals += judge_places(self.sites, self.windows, now, self.rules, self._changed)
        leaking = {(s.instance, s.site) for s in signals if s.site is not None and s.verdict is Verdict.LEAK}
        signals += self.limits.judge(now, self.rules, leaking)
        self._changed = {}
        self._forget_services()
        signals = self._with_held(signals, blind)
        return Tick(at=now, findings=fuse(signals, self._scene, now, self.rules), signals=signals, blind=blind)

    def expect(self, instance: Instance, now: float) -> None:
        """Somebody who should answer from now on: who never does is blind, too."""
        if instance.id not in self.instances:
            self._started(Started(instance, now))
        self.last_news.setdefault(instance.id, now)

    def resumed(self, now: float) -> None:
        """We were away (a restart of ours, a clock that was set): nobody else was silent meanwhile, and all must be judged anew."""
        for name in self.last_news:
            self.last_news[name] = self.began[name] = now

    def _with_held(self, signals: list[Signal], blind: Mapping[str, float]) -> list[Signal]:
        """The blind keep what was last said about them; of the others the newest is remembered."""
        by_instance: dict[str, list[Signal]] = defaultdict(list)
        for signal in signals:
            by_instance[signal.instance].append(signal)
        held = {name: said for name, said in by_instance.items() if name not in blind}
        self._held = {name: said for name, said in self._held.items() if name in blind} | held
        if not blind:
            return signals
        kept = [s for s in signals if s.instance not in blind]
        return kept + [s for name in blind for s in self._held.get(name, by_instance.get(name, ()))]

    def _pace(self, instance_id: str, at: float) -> None:
        """Learn how often an instance is read; a hole in its readings is not its pace."""
        gap = at - self._read_at.get(instance_id, at)
        self._read_at[instance_id] = at
        if gap > 0 and gap != (pace := self._paces.get(instance_id)):
            self._paces[instance_id] = gap if pace is None else min(gap, SLOWER * pace)

    def _patience(self, instance_id: str) -> float:
        """Seconds without news after which an instance is blind."""
        return max(BLIND_AFTER_S, MISSED * self._paces.get(instance_id, 0.0))

    def _known(self, instance_id: str, at: float) -> None:
        if instance_id not in self.instances:
            self._started(Started(Instance(id=instance_id), at))
        if at >= self.last_news.get(instance_id, at):
            self.last_news[instance_id] = at
        if instance_id not in self.began:
            self.began[instance_id] = at

    def _started(self, event: Started) -> None:
        instance = event.instance
        known = self.instances.get(instance.id)
        if known is not None and other_life(known.start_time, instance.start_time):
            self.began.pop(instance.id, None)  # a new life: what is seen of it begins with its first news
        if known is not None and known.version != instance.version and event.at is not None:
            self._deployed[instance.id] = event.at
        self.instances[instance.id] = instance
        self.windows.started(instance)
        self.sites.started(instance, event.at)
        self.descriptors.started(instance)

    def _gone(self, event: Gone) -> None:
        known_as = self.instance(event.instance)
        self.windows.gone(event.instance)
        self.sites.gone(event.instance)
        self.descriptors.gone(event.instance)
        self.limits.gone(event.instance)
        if not self.sites.instances_of(known_as.service_key):
            self._services.pop(known_as.service_key, None)
        for known in (
            self.instances,
            self.last_news,
            self.began,
            self._held,
            self._read_at,
            self._paces,
            self._deployed,
        ):
            known.pop(event.instance, None)
        self._changed.pop(event.instance, None)

    def _forget_services(self) -> None:
        """Drop those without instances, when they are the most: a discovery may bring other services at every refresh."""
        if len(self._services) > 2 * len(self.instances) + 100:
            live = {instance.service_key for instance in self.instances.values()}
            for key in self._services.keys() - live:
                del self._services[key]

    def _saw(self, instance_id: str, sites: Mapping[str, object]) -> None:
        self._changed[instance_id] = None
        instance = self.instances[instance_id]
        seen = self._services[instance.service_key].sites
        if len(seen) < MODULE_STACKS:
            seen.update(sites)

    def _blocked(self, instance_id: str, counts: Mapping[str, int]) -> None:
        """Tell the windows the share of blocked goroutines, which most services' pages do not say."""
        waits = self._waits
        if not waits.keys() >= counts.keys():
            if len(waits) > SITES_NAMED:
                waits.clear()
            waits.update((site, _waits(self.sites.site(site).wait_reason)) for site in counts)
        told = blocked = 0
        for site, n in counts.items():
            if (wait := waits[site]) is not None:
                told += n
                blocked += n * wait
        self.windows.blocked(instance_id, blocked, told)

    def _present(self, instance_id: str) -> list[tuple[Site, int]]:
        table = self.sites.tables.get(instance_id)
        if table is None:
            return []
        return [(self.sites.site(name), int(table.recent[row, -1])) for name, row in table.rows.items()]

    def modules_of(self, key: ServiceKey) -> tuple[str, ...]:
        """The modules that are the user's own in a service: as told, else guessed from its sites."""
        if self._modules:
            return ("main", *self._modules)
        service = self._services[key]
        if len(service.sites) != service.guessed_from:
            known = [self.sites.site(name) for name in sorted(service.sites)[:MODULE_STACKS]]
            stacks = [Stack(site.frames, site.created_by) for site in known if site.frames]
            service.modules = guess_user_modules(stacks, BuildInfo())
            service.guessed_from = len(service.sites)
        return service.modules

    def _version_at(self, key: ServiceKey, at: float) -> str:
        versions = self.sites.deploys(key)
        before = [version for since, version in versions if since <= at]
        return before[-1] if before else versions[0][1] if versions else ""
