"""Artefacts -> a case: snapshots in time order, clusters over all of them, whose code is whose."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from parkwarden.model import Artefact, BuildInfo, Case, Look, Source, Stack, UsageError
from parkwarden.stacks.cluster import Grouping, group, of_grouping
from parkwarden.stacks.modules import guess_user_modules
from parkwarden.stacks.series import growth_per_min, since

if TYPE_CHECKING:
    from parkwarden.collect.source import SourceTree


def assemble(artefacts: list[Artefact], modules: tuple[str, ...], source: Path | None) -> tuple[Case, Grouping]:
    """The case and the grouping its clusters came from. Where a time is missing, looks stay in the order given."""
    looks = [
        Look(artefact=a, snapshot=a.snapshot, at=a.snapshot.taken_at or a.taken_at)
        for a in artefacts
        if a.snapshot is not None and a.snapshot.source is not Source.LEAK_PROFILE
    ]
    if all(look.at is not None for look in looks):
        looks.sort(key=lambda look: look.at or 0.0)
    leaks = [a.snapshot for a in artefacts if a.snapshot is not None and a.snapshot.source is Source.LEAK_PROFILE]
    grouping = group([look.snapshot for look in looks], leaks)
    clusters = of_grouping(grouping)
    times = [look.at for look in looks]
    if len(looks) > 1:
        by_site = {site.id: i for i, site in enumerate(grouping.named)}
        growth = growth_per_min(grouping.counts[:, : len(looks)], times)
        for cluster in clusters:
            cluster.since = since(cluster.counts, times)
            cluster.growth_per_min = None if growth is None else float(growth[by_site[cluster.site.id]])
    build = _build(artefacts)
    user_modules = _modules(artefacts, build, modules, source)
    return Case(artefacts=artefacts, looks=looks, clusters=clusters, build=build, user_modules=user_modules), grouping


def _build(artefacts: Sequence[Artefact]) -> BuildInfo:
    known = [a.build for a in artefacts if a.build is not None]
    versions = [a.reading.go_version for a in artefacts if a.reading is not None and a.reading.go_version]
    return BuildInfo(
        go_version=next((b.go_version for b in known if b.go_version), versions[0] if versions else "") or "",
        main_module=next((b.main_module for b in known if b.main_module), ""),
        modules=tuple(dict.fromkeys(m for b in known for m in b.modules)),
        binary=next((b.binary for b in known if b.binary), ""),
    )


def _modules(
    artefacts: Sequence[Artefact], build: BuildInfo, modules: tuple[str, ...], source: Path | None
) -> tuple[str, ...]:
    """What the user said, else what go.mod files below `source` declare, else what build info and paths tell."""
    if modules:
        return ("main", *modules)
    if source is not None:
        declared = tuple(module for module, _folder in source_tree(source).modules)
        if declared:
            return ("main", *declared)
    stacks: list[Stack] = []
    for artefact in artefacts:
        for holder in (artefact.snapshot, artefact.profile):
            if holder is not None:
                stacks += holder.stacks
        if artefact.trace is not None:
            stacks += [c.stack for c in artefact.trace.creations]
        stacks += [c.stack for c in artefact.crashes if c.stack is not None]
    return guess_user_modules(stacks, build)


@lru_cache(maxsize=4)
def source_tree(folder: Path) -> SourceTree:
    """The user's source tree, indexed once. Raises UsageError if it is no folder."""
    from parkwarden.collect.source import index

    try:
        return index(folder)
    except NotADirectoryError as error:
        raise UsageError(
            "no-source", f"--source {folder} is no folder", hint="name the root of your source tree"
        ) from error
