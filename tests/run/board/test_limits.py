"""What breaks first: the nearest replica of each service and limit, what will be reached before what is only nearly full."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from parkwarden.model import Event, Instance, Read, Reading, Started, Verdict
from parkwarden.run.board.limits import Headroom, Headrooms, as_json
from parkwarden.run.board.recorded import Recorded
from tests.run.board.build import BEGIN

GIB = float(1 << 30)
FDS = {"full": (0, 970), "half": (0, 512), "grows": (5, 300)}
"""Service -> descriptors more at each reading, and at the first, of 1,024."""


def lives(minutes: float = 10.0) -> Iterator[tuple[float, Event]]:
    names = [(f"{service}-{i}", service) for service in FDS for i in range(2)]
    for name, service in names:
        yield BEGIN, Started(Instance(id=name, labels={"service": service, "env": "prod"}), BEGIN)
    yield BEGIN, Started(Instance(id="silent", labels={"service": "silent"}), BEGIN)
    for step in range(int(minutes * 12)):
        at = BEGIN + 5.0 * step
        for name, service in names:
            rise, first = FDS[service]
            open_fds = first + rise * step if name.endswith("1") else 100
            reading = Reading(
                at=at, goroutines=10, open_fds=min(open_fds, 1024), max_fds=1024, rss=GIB / 4, mem_limit=GIB
            )
            yield at, Read(at, name, reading)


@pytest.fixture(scope="module")
def host() -> Recorded:
    return Recorded.of(lives())


def headrooms(host: Recorded, words: str = "") -> list[Headroom]:
    rows = Headrooms(host, words)
    every = rows.part(0, 1000)
    assert len(every) == len(rows)
    return every


def test_parts_are_the_whole_and_words_find(host: Recorded) -> None:
    """Cut anywhere, the parts make the list; words must all stand in a row's names."""
    rows = Headrooms(host)
    assert [row for at in range(0, len(rows), 2) for row in rows.part(at, 2)] == headrooms(host)
    assert rows.part(len(rows), 5) == []
    assert {(row.service, row.limit) for row in headrooms(host, "MEMORY half")} == {("half", "memory-limit")}
    assert {row.service for row in headrooms(host, "grows-1 descriptors")} == {"grows"}
    assert headrooms(host, "nowhere") == []


def test_what_will_be_reached_comes_first_then_what_is_nearly_full(host: Recorded) -> None:
    """Time left before share; each row is about the replica that is nearest, and says how many there are."""
    files = [row for row in headrooms(host) if row.limit == "fd-limit"]
    assert [(row.service, row.instance, row.instances) for row in files] == [
        *(("grows", "grows-1", 2), ("full", "full-1", 2), ("half", "half-1", 2))
    ]
    grows, full, half = files
    assert grows.verdict is Verdict.EXHAUSTING
    assert grows.low_s is not None
    assert grows.left_s is not None
    assert grows.high_s is not None
    # 1 a second from 300 on, seen for ten minutes
    assert grows.low_s <= 1024 - 300 - 600 <= grows.high_s
    assert grows.incident
    assert (full.verdict, full.left_s, full.used, full.most) == (Verdict.TIGHT, None, 970.0, 1024.0)
    assert (half.verdict, half.code, half.share) == (Verdict.OK, "", 0.5)


def test_a_limit_nobody_tells_is_no_row(host: Recorded) -> None:
    """Who tells no use or no limit has no row; whoever tells memory's has one in bytes."""
    rows = headrooms(host)
    assert not [row for row in rows if row.service == "silent"]
    assert {row.used for row in rows if row.limit == "memory-limit"} == {GIB / 4}


def test_nothing_is_infinite_in_json(host: Recorded) -> None:
    """Whatever is not known is null."""
    told = json.loads(json.dumps(as_json(headrooms(host), host.now()), allow_nan=False))
    assert told["limits"][0]["limit"] == "fd-limit"


def test_an_empty_fleet_has_no_rows() -> None:
    """Before anything was read."""
    assert headrooms(Recorded.of([])) == []
