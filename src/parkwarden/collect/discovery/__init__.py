"""Where targets are found. `Discovery` runs all sources of a configuration and tells the union of what they find.

    discovery = Discovery(config.targets, config.discovery)
    await discovery.run(lambda targets: collector.set_targets(targets))

Each source publishes its full set under its name whenever it changes; a source that fails keeps its last good set and tells a problem.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from parkwarden.collect.discovery.file_sd import FileDiscovery
from parkwarden.collect.discovery.http_sd import HttpDiscovery
from parkwarden.collect.discovery.kubernetes import PodDiscovery
from parkwarden.collect.discovery.settings import (
    DiscoverySettings,
    FileSd,
    HttpSd,
    Kubernetes,
    PerTarget,
    StaticTargets,
)
from parkwarden.collect.discovery.source import Publish, Source, SourceStatus
from parkwarden.collect.discovery.static import Static
from parkwarden.model.instance import Target

__all__ = [
    "Discovery",
    "DiscoveryCounters",
    "DiscoverySettings",
    "FileSd",
    "HttpSd",
    "Kubernetes",
    "PerTarget",
    "Publish",
    "Source",
    "SourceStatus",
    "StaticTargets",
    "make_sources",
]


@dataclass(slots=True)
class DiscoveryCounters:
    """For our own /metrics."""

    published: int = 0
    """Times the fleet changed."""
    conflicts: int = 0
    """Targets now found by several sources that do not say the same of them; the first source in the order of the configuration counts."""
    over_limit: int = 0
    """Targets now left out because of `max_targets`."""


def make_sources(static: Sequence[StaticTargets], settings: DiscoverySettings) -> list[Source]:
    """All sources of a configuration, in its order."""
    sources: list[Source] = []
    if static:
        sources.append(Static(static))
    sources += [FileDiscovery(one, f"file_sd[{i}]") for i, one in enumerate(settings.file_sd)]
    sources += [HttpDiscovery(one, f"http_sd[{i}]") for i, one in enumerate(settings.http_sd)]
    sources += [PodDiscovery(one, f"kubernetes[{one.cluster or i}]") for i, one in enumerate(settings.kubernetes)]
    return sources


class Discovery:
    """All sources together. One target (by id) is one, however many sources name it."""

    def __init__(
        self,
        static: Sequence[StaticTargets] = (),
        settings: DiscoverySettings | None = None,
        *,
        sources: Sequence[Source] | None = None,
    ) -> None:
        self._settings = settings or DiscoverySettings()
        self.sources = list(make_sources(static, self._settings) if sources is None else sources)
        self.counters = DiscoveryCounters()
        self._found: dict[str, Sequence[Target]] = {}
        self._last: tuple[Target, ...] | None = None

    async def run(self, publish: Callable[[Sequence[Target]], None]) -> None:
        """Tell the whole fleet each time it changes, for ever; cancel it to end. Leaves no task and no connection behind."""

        def one(name: str, targets: Sequence[Target]) -> None:
            self._found[name] = targets
            fleet = self.merged()
            if fleet != self._last:
                self._last = fleet
                self.counters.published += 1
                publish(fleet)

        async with asyncio.TaskGroup() as group:
            for source in self.sources:
                group.create_task(source.run(one), name=f"discovery {source.name}")
            await asyncio.Event().wait()

    def merged(self) -> tuple[Target, ...]:
        """The union of what was last found, by id, and counts what did not fit."""
        fleet: dict[str, Target] = {}
        conflicts = 0
        for source in self.sources:
            for target in self._found.get(source.name, ()):
                known = fleet.setdefault(target.id, target)
                conflicts += known is not target and known != target
        most = self._settings.max_targets
        self.counters.conflicts = conflicts
        self.counters.over_limit = max(0, len(fleet) - most)
        return tuple(fleet[i] for i in sorted(fleet)[:most])

    def status(self) -> list[SourceStatus]:
        return [source.status() for source in self.sources]
