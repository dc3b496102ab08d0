"""Traces of opened bags in tiles: every level tells the same trace, nothing is kept beyond its bounds."""

from __future__ import annotations

import asyncio
import json
import lzma
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import jsonschema
import numpy as np
import pytest

from parkwarden.collect.limits import quiet
from parkwarden.formats import trace
from parkwarden.model import UsageError
from parkwarden.run.board import traces
from parkwarden.run.board.dumps import Bags, BusyError
from parkwarden.run.board.traces import TILE_BINS, OpenedTrace, Traces

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "tests" / "data" / "trace" / "1.27" / "sample.trace"
DUMP = next((ROOT / "tests" / "data").glob("goroutine*/**/*.txt"))
T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def bags(*files: Path) -> tuple[Bags, str]:
    made = Bags(lambda: 1_700_000_000.0)
    return made, made.read_paths([str(f) for f in files], quiet).id


@pytest.fixture(scope="module")
def opened() -> OpenedTrace:
    made, bag = bags(SAMPLE)
    return run(Traces(made).get(bag))


def valid(schema: str, told: Any) -> None:
    jsonschema.validate(told, json.loads((ROOT / "docs" / "schema" / f"{schema}.json").read_text()))


def test_what_is_told_is_of_the_schemas(opened: OpenedTrace) -> None:
    """The view and tiles at every level are what docs/schema says, and JSON."""
    valid("trace-view-1", json.loads(json.dumps(opened.view(), allow_nan=False)))
    for level in range(opened.levels):
        for index in {0, (1 << level) - 1, (1 << level) // 2}:
            valid("trace-tile-1", json.loads(json.dumps(opened.tile(level, index), allow_nan=False)))


@pytest.mark.parametrize("level", range(9))
def test_tiles_of_a_level_are_the_whole_trace(opened: OpenedTrace, level: int) -> None:
    """They follow one another without a gap, and what is in them adds up to the trace, whatever the zoom."""
    tiles = [opened.tile(level, i) for i in range(1 << level)]
    line = opened.timeline
    assert sum(t["bins"] for t in tiles) == -(-line.bins // (1 << opened.levels - 1 - level))
    assert [t["from_s"] for t in tiles[1:]] == [t["to_s"] for t in tiles[:-1]]
    assert tiles[-1]["to_s"] == line.duration_ns / 1e9
    made = sum(sum(row) for t in tiles for row in t["created"].values())
    assert made == opened.trace.created
    for i, name in enumerate(opened.states):
        total = 0.0
        for t in tiles:
            row = t["states"].get(str(i))
            if row:
                edges = np.minimum(t["from_s"] + t["bin_s"] * np.arange(t["bins"] + 1), t["to_s"])
                total += float((np.diff(edges) * row).sum())
        # a tile rounds to a thousandth of a goroutine
        assert total == pytest.approx(line.spent[-1, i] / 1e9, abs=0.0006 * line.duration_ns / 1e9), name
    stopped = sum(sum(t["stopped_s"]) for t in tiles)
    assert stopped == pytest.approx(line.stopped[-1] / 1e9, abs=1e-6)


def test_alive_is_the_sum_over_states_at_every_edge(opened: OpenedTrace) -> None:
    """Mean numbers lie between those alive at the edges only where nothing happens; the edges themselves are exact."""
    tile = opened.tile(0, 0)
    assert len(tile["alive"]) == tile["bins"] + 1
    assert tile["alive"][0] == 0
    assert opened.trace.census is not None
    assert tile["alive"][-1] == opened.trace.census.total


def test_rows_and_states_add_up(opened: OpenedTrace) -> None:
    """The tables tell the numbers that the picture shows."""
    assert sum(row["created"] for row in opened.rows()) == opened.trace.created
    assert len(opened.rows()) == traces.ROWS
    mean = sum(mean for _, _, mean, _ in opened.in_states())
    by_rows = sum(
        (row["running"] + row["runnable"] + row["syscall"] + row["waiting"]) * (row["to_s"] - row["from_s"])
        for row in opened.rows()
    )
    assert mean * opened.trace.duration_s == pytest.approx(by_rows)


def test_what_is_not_there_is_said(opened: OpenedTrace) -> None:
    """Tiles beyond a level, names of nothing, bags that are gone: each a sentence and a next step."""
    for level, index in ((-1, 0), (opened.levels, 0), (0, 1), (3, 8)):
        with pytest.raises(UsageError, match="no tile"):
            opened.tile(level, index)
    made, bag = bags(DUMP)
    with pytest.raises(UsageError, match="no such execution trace"):
        run(Traces(made).get(bag))
    with pytest.raises(UsageError, match="not open"):
        run(Traces(made).get("nobody"))


def test_a_packed_trace_is_unpacked(tmp_path: Path) -> None:
    """`trace.out.xz` is shown as it is without xz."""
    packed = tmp_path / "trace.out.xz"
    packed.write_bytes(lzma.compress(SAMPLE.read_bytes()))
    made, bag = bags(packed)
    found = run(Traces(made).get(bag))
    assert found.trace.created == trace.read(SAMPLE.read_bytes()).trace.created  # type: ignore[union-attr]


def test_many_who_ask_at_once_have_it_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page and its tiles ask at the same time; who comes first starts reading, all get the same."""
    made, bag = bags(SAMPLE)
    kept = Traces(made)
    reads: list[str] = []
    read = traces._read
    monkeypatch.setattr(traces, "_read", lambda *a: (reads.append(a[1]), read(*a))[1])

    async def all_at_once() -> list[OpenedTrace]:
        return await asyncio.gather(*(kept.get(bag) for _ in range(20)))

    found = run(all_at_once())
    assert len({id(one) for one in found}) == 1
    assert reads == ["sample.trace"]


def test_who_comes_when_too_much_is_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a trace takes a place in the same line as uploads do."""
    made, bag = bags(SAMPLE)
    monkeypatch.setattr(made, "_waiting", 99)
    with pytest.raises(BusyError):
        run(Traces(made).get(bag))
    monkeypatch.setattr(made, "_waiting", 0)
    assert run(Traces(made).get(bag)).trace.created


def test_timelines_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """MAX_OPEN of them, those of forgotten bags first; who was let go is read again when asked for."""
    made = Bags(lambda: 1_700_000_000.0)
    kept = Traces(made)
    monkeypatch.setattr(traces, "MAX_OPEN", 3)
    ids = [made.read_paths([str(SAMPLE)], quiet).id for _ in range(5)]

    async def each() -> None:
        for bag in ids:
            await kept.get(bag)

    run(each())
    assert [key[0] for key in kept._kept] == ids[-3:]
    monkeypatch.setattr(traces, "MAX_KEPT_BYTES", 1)
    run(kept.get(ids[0]))
    assert [key[0] for key in kept._kept] == ids[:1]
    made.drop(ids[0])
    assert kept._kept == {}  # a forgotten bag is not kept in memory by its pictures
    with pytest.raises(UsageError):
        run(kept.get(ids[0]))


def test_a_tile_is_small(opened: OpenedTrace) -> None:
    """256 bins of every state and creation: some kilobytes, whatever the trace's size."""
    assert all(opened.tile(level, 0)["bins"] <= TILE_BINS for level in range(opened.levels))
    assert len(json.dumps(opened.tile(0, 0))) < 40_000
