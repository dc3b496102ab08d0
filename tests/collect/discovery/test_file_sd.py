"""Targets from files: live reload, and a broken file keeps what it said last."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

from parkwarden.collect.discovery import Discovery, DiscoverySettings, StaticTargets
from parkwarden.collect.discovery.file_sd import FileDiscovery
from parkwarden.collect.discovery.settings import FileSd
from parkwarden.collect.discovery.source import Publish, Source
from parkwarden.model.instance import Target


class Heard:
    """What was published, by source."""

    def __init__(self) -> None:
        self.all: list[list[str]] = []

    def __call__(self, _name: str, targets: Sequence[Target]) -> None:
        self.all.append([t.id for t in targets])


def put(path: Path, *addresses: str) -> None:
    """As careful programs write it: a new file renamed over the old one."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps([{"targets": addresses}]))
    new.rename(path)


def test_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    """New, changed, broken, mended and removed files; published only when the set is another one."""
    heard = Heard()
    source = FileDiscovery(FileSd(files=(f"{tmp_path}/*.json", f"{tmp_path}/x.yml")), now=lambda: 7.0)

    async def story() -> None:
        await source.look(heard)
        assert {p.code for p in source.status().problems} == {"file-unreadable"}
        put(tmp_path / "a.json", "a:1")
        (tmp_path / "x.yml").write_text("- targets: ['x:1']\n")
        await source.look(heard)
        assert source.status().healthy
        await source.look(heard)
        put(tmp_path / "a.json", "a:1", "b:1")
        await source.look(heard)
        (tmp_path / "a.json").write_text("[{")
        await source.look(heard)
        (problem,) = source.status().problems
        assert problem.code == "not-json"
        assert "its last good 2 targets stay" in problem.text
        assert not source.status().healthy
        put(tmp_path / "a.json", "b:1")
        await source.look(heard)
        assert source.status().healthy
        (tmp_path / "a.json").unlink()
        await source.look(heard)

    asyncio.run(story())
    assert heard.all == [[], ["a:1", "x:1"], ["a:1", "b:1", "x:1"], ["b:1", "x:1"], ["x:1"]]


def test_what_is_no_file_is_a_problem(tmp_path: Path) -> None:
    """A pipe would block, a folder cannot be read, a file may be forbidden: told, never waited for."""
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    source = FileDiscovery(FileSd(files=(f"{tmp_path}/*.json",)))
    asyncio.run(source.look(Heard()))
    assert [p.code for p in source.status().problems] == ["file-unreadable"] * 2
    assert source.status().failures == 1


class Fixed(Source):
    def __init__(self, name: str, *targets: Target) -> None:
        super().__init__(name)
        self.targets = targets

    async def run(self, publish: Publish) -> None:
        self.published(publish, self.targets)


def test_the_fleet_is_the_union(tmp_path: Path) -> None:
    """Equal ids are one target, the first source's; contradictions and what is over the limit are counted."""
    one, other = Target(id="a", url="http://a:1"), Target(id="a", url="http://b:1")
    rest = [Target(id=f"t{i}", url="http://t:1") for i in range(5)]
    discovery = Discovery(
        settings=DiscoverySettings(max_targets=3), sources=[Fixed("x", one), Fixed("y", one), Fixed("z", other, *rest)]
    )
    fleets: list[Sequence[Target]] = []

    async def story() -> None:
        task = asyncio.create_task(discovery.run(fleets.append))
        while len(fleets) < 2:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())
    assert list(fleets[0]) == [one]
    assert [t.id for t in fleets[-1]] == ["a", "t0", "t1"]
    assert fleets[-1][0].url == "http://a:1"
    assert (discovery.counters.conflicts, discovery.counters.over_limit, discovery.counters.published) == (1, 3, 2)


def test_a_whole_configuration_makes_its_sources(tmp_path: Path) -> None:
    """Static targets are there at once, beside files."""
    put(tmp_path / "a.json", "b:1")
    settings = DiscoverySettings(file_sd=(FileSd(files=(f"{tmp_path}/a.json",)),))
    discovery = Discovery((StaticTargets(urls=("a:1", "bad url")),), settings)
    assert [s.name for s in discovery.sources] == ["static", "file_sd[0]"]
    fleets: list[Sequence[Target]] = []

    async def story() -> None:
        task = asyncio.create_task(discovery.run(fleets.append))
        async with asyncio.timeout(10):
            while len(fleets) < 2:
                await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())
    assert [t.id for t in fleets[-1]] == ["a:1", "b:1"]
    assert discovery.status()[0].problems[0].where == "targets[0].urls[1]"
