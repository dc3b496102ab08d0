"""Bags: read in threads, bounded in number, bytes and age, redacted, compared."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from parkwarden.collect.limits import quiet
from parkwarden.model import ParkwardenError, UsageError
from parkwarden.run.board import dumps
from parkwarden.run.board.dumps import Bags, BusyError, Given, OpenedBag, reference

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests/data"


def dump(*goroutines: tuple[int, str, str]) -> bytes:
    """(id, state, function) as a text dump."""
    text = [f"goroutine {n} [{state}]:\n{fn}()\n\t/home/alice/src/{fn}.go:7 +0x1d\n\n" for n, state, fn in goroutines]
    return "".join(text).encode()


def given(name: str, body: bytes, modified: float | None = None) -> Given:
    return Given(name=name, file=io.BytesIO(body), modified=modified)


ONE = dump((1, "select", "main.main"), (5, "chan send", "main.leak"))
TWO = dump(
    (1, "select", "main.main"),
    (5, "chan send", "main.leak"),
    (9, "chan send", "main.leak"),
    (12, "IO wait", "main.fresh"),
)


class World:
    """Bags on a time of their own."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.bags = Bags(lambda: self.now)

    def run(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return asyncio.run(work())

    def open(self, *files: Given, **more: Any) -> OpenedBag:
        async def work() -> OpenedBag:
            with self.bags.admitted():
                return await self.bags.read(files, **more)

        return self.run(work)  # type: ignore[no-any-return]


@pytest.fixture
def world() -> Any:
    made = World()
    yield made
    made.bags.close()


def test_a_bag_is_read_judged_and_redacted(world: World) -> None:
    """Looks in the order of their times, sites with counts over them, and no person's name in any path."""
    bag = world.open(given("after", TWO, 200.0), given("before", ONE, 100.0))
    assert [(look.name, look.total) for look in bag.looks] == [("before", 2), ("after", 4)]
    leak = next(c for c in bag.clusters(bag.look("")) if c.site.function == "main.leak")
    assert leak.counts == (1, 2)
    assert "alice" not in str(bag.case.clusters) + str([look.snapshot.stacks for look in bag.looks])
    assert bag.report.redacted > 0
    assert [b.id for b in world.bags] == [bag.id]
    earlier = bag.clusters(bag.look("0"))
    assert sorted(c.count for c in earlier) == [0, 1, 1]


def test_search_cuts_and_counts(world: World) -> None:
    """A part of what matches, with how much there is; sites nobody is at in this look are not listed."""
    bag = world.open(given("before", ONE, 100.0), given("after", TWO, 200.0))
    found = bag.search(bag.look(""), "main", "-count", 1, 1)
    assert (found.found, found.sites, found.goroutines, len(found.rows), found.offset) == (3, 3, 4, 1, 1)
    assert bag.search(bag.look("0"), "", "-count", 0, 50).sites == 2
    assert bag.search(bag.look("0"), "fresh", "-count", 0, 50).rows == []


def test_raw_stacks_of_a_look(world: World) -> None:
    """The goroutines of one site in one look, with their ids."""
    bag = world.open(given("before", ONE, 100.0), given("after", TWO, 200.0))
    leak = bag.site(next(c.site.id for c in bag.case.clusters if c.site.function == "main.leak"))
    (raw,), left_out = bag.raw(leak, bag.look(""))
    assert (raw.count, raw.goids, raw.states, left_out) == (2, (5, 9), (("chan send", 2),), 0)
    assert bag.raw(leak, bag.look("0"))[0][0].goids == (5,)


def test_the_difference_follows_goroutines(world: World) -> None:
    """New sites first; born, died and stayed by ids within a bag."""
    bag = world.open(given("before", ONE, 100.0), given("after", TWO, 200.0))
    ends = reference(world.bags, bag, "", 0), reference(world.bags, bag, "", -1)
    difference = world.run(lambda: world.bags.difference(*ends))
    told = [(c.cluster.site.function, c.counts, c.born, c.died, c.stayed) for c in difference.changes]
    assert told == [
        ("main.fresh", (0, 1), 1, 0, 0),
        ("main.leak", (1, 2), 1, 0, 1),
        ("main.main", (1, 1), 0, 0, 1),
    ]
    assert difference.not_followed == ""
    assert world.run(lambda: world.bags.difference(*ends)) is difference


def test_other_processes_are_not_followed(world: World) -> None:
    """Across bags, after a restart and in profiles ids tell nothing, and it is said why; counts compare all the same."""
    first = world.open(given("before", TWO, 100.0), given("after", ONE, 200.0))
    other = world.open(given("other", TWO))
    profile = world.open(*[given(f"{n}.pb.gz", path.read_bytes(), float(n)) for n, path in enumerate(_profiles())])

    def why(*ends: Any) -> str:
        difference = world.run(lambda: world.bags.difference(*ends))
        assert {c.born for c in difference.changes} == {None}
        assert sum(c.delta for c in difference.changes) == ends[1][1].total - ends[0][1].total
        return str(difference.not_followed)

    assert "started anew" in why((first, first.looks[0]), (first, first.looks[1]))
    assert "two bags" in why((first, first.looks[0]), reference(world.bags, first, f"{other.id}:0", 0))
    assert "not which" in why((profile, profile.looks[0]), (profile, profile.looks[1]))


def _profiles() -> list[Path]:
    return [path for path in sorted((DATA / "profile_proto/go1.27").iterdir()) if "goroutine" in path.name][:1] * 2


@pytest.mark.parametrize("text", ["7", "-1", "x", "0x", "9999999999", "nobody:0"])
def test_a_look_that_is_not_there(world: World, text: str) -> None:
    """Is told as such."""
    bag = world.open(given("one", ONE))
    with pytest.raises(UsageError) as error:
        reference(world.bags, bag, text, 0)
    assert error.value.code in ("no-such-look", "no-such-bag")


def test_what_was_not_looked_at_for_longest_goes_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By number, by bytes and by age; who looks keeps; what was named on the command line stays."""
    monkeypatch.setattr(dumps, "MAX_BAGS", 2)
    first, second = world.open(given("1", ONE)), world.open(given("2", ONE))
    world.bags.get(first.id)
    third = world.open(given("3", ONE))
    assert [world.bags.known(b.id) is not None for b in (first, second, third)] == [True, False, True]
    monkeypatch.setattr(dumps, "MAX_KEPT_BYTES", len(ONE))
    fourth = world.open(given("4", ONE))
    assert [b.id for b in world.bags] == [fourth.id]
    fourth.pinned = True
    world.now += dumps.MAX_AGE_S + 1
    fifth = world.open(given("5", ONE))
    assert {b.id for b in world.bags} == {fourth.id, fifth.id}
    world.now += dumps.MAX_AGE_S + 1
    with pytest.raises(UsageError, match="not open"):
        world.bags.get(fifth.id)
    assert world.bags.forgotten == 4


def test_no_more_than_so_many_at_once(world: World) -> None:
    """WORKERS read, MAX_WAITING are in line, the next is refused; afterwards there is room again."""
    running: list[int] = []
    most = 0
    gate = threading.Event()

    def slow() -> None:
        nonlocal most
        running.append(1)
        most = max(most, len(running))
        gate.wait(10)
        running.pop()

    async def work() -> None:
        async def one() -> None:
            with world.bags.admitted():
                await world.bags.work(slow)

        tasks = [asyncio.ensure_future(one()) for _ in range(dumps.MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError), world.bags.admitted():
            pass
        gate.set()
        await asyncio.gather(*tasks)
        with world.bags.admitted():
            pass

    world.run(work)
    assert 1 <= most <= dumps.WORKERS


def test_files_that_are_too_large_or_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One bad file costs itself; where nothing at all could be read the error says why; every file is closed."""
    monkeypatch.setattr(dumps, "MAX_FILE_BYTES", len(TWO))
    big = given("big", TWO + b"x")
    bag = world.open(big, given("one", ONE))
    assert [(a.name, str(a.kind)) for a in bag.case.artefacts] == [("big", "unknown"), ("one", "goroutine-dump")]
    assert big.file.closed
    with pytest.raises(ParkwardenError, match="more than"):
        world.open(given("big", TWO + b"x"))
    nothing = world.open(given("empty", b""), given("noise", b"\x00\x01\x02"))
    assert (nothing.looks, nothing.case.clusters, nothing.goroutines) == ([], [], None)
    with pytest.raises(UsageError, match="no goroutines"):
        reference(world.bags, nothing, "", 0)


def test_heap_profiles_and_traces_in_a_bag(world: World) -> None:
    """A heap profile's functions by what they hold; a trace's bytes stay readable until the bag is forgotten."""
    heap = next(path for path in (DATA / "profile_proto/go1.27").iterdir() if "heap" in path.name)
    trace = next(path for path in (DATA / "trace").rglob("*") if path.is_file() and path.read_bytes()[:5] == b"go 1.")
    with trace.open("rb") as file:
        bag = world.open(given("heap", heap.read_bytes()), Given(name="trace", file=file))
        [(artefact, columns)] = bag.profiles(5)
        assert (artefact.name, columns[0].name) == ("heap", "inuse_space")
        assert columns[0].rows
        with bag.traces["trace"].mapped() as mapped:
            assert mapped[:] == trace.read_bytes()
        world.bags.drop(bag.id)
        assert file.closed


def test_paths_of_the_command_line(world: World, tmp_path: Path) -> None:
    """Files and folders are one bag that stays; two files of one name are told apart."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "dump.txt").write_bytes(ONE)
    bag = world.bags.read_paths([str(tmp_path)], quiet)
    assert (len(bag.looks), bag.pinned, bag.origin) == (2, True, "files")
    twice = world.open(given("dump", ONE), given("dump", TWO))
    assert [a.name for a in twice.case.artefacts] == ["dump", "dump (2)"]


def test_nothing_stays_open(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bags that come and go, and one that cannot be judged, leave no file open and no more than WORKERS threads."""
    trace = next(p for p in (DATA / "trace").rglob("*") if p.is_file() and p.read_bytes()[:5] == b"go 1.")

    def one() -> None:
        bag = world.open(Given(name="trace", file=trace.open("rb")), given("dump", TWO))
        world.bags.drop(bag.id)

    def broken(*_: Any) -> None:
        raise UsageError("broken", "cannot be judged")

    one()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        one()
    monkeypatch.setattr("parkwarden.run.diagnose.judge_bags", broken)
    with pytest.raises(UsageError):
        one()
    assert len(os.listdir("/proc/self/fd")) == before
    assert sum(thread.name.startswith("explore") for thread in threading.enumerate()) <= dumps.WORKERS
    world.bags.close()
