"""Fleet and service as plain data: who stands where, what is searched, what a picture's cells are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.formats.recording import write
from parkwarden.model import (
    FormatError,
    Incident,
    Instance,
    Named,
    Read,
    Reading,
    SiteCounts,
    Started,
    UsageError,
    Verdict,
)
from parkwarden.run.board.fleet import STATES, Fleet, Query
from parkwarden.run.board.recorded import Recorded
from parkwarden.run.board.service import PARTS, Services
from tests.run.board.build import BEGIN, HOUR, LEAK, SITES, Event, fleet

names = st.text(max_size=20)


@pytest.fixture(scope="module")
def host() -> Recorded:
    """30 instances of ten services over 15 minutes; the first one leaks."""
    return Recorded.of(fleet(30, 10, 15.0))


@given(
    q=names.map(lambda text: " ".join(text.split())),
    states=st.lists(st.sampled_from(STATES), unique=True),
    sort=st.sampled_from(["state", "-service", "label:team", "-label:a b&c"]),
    page=st.integers(1, 1000),
    opened=st.lists(st.tuples(names, names), unique=True, max_size=5),
)
def test_a_view_goes_through_its_url(
    q: str, states: list[Verdict], sort: str, page: int, opened: list[tuple[str, str]]
) -> None:
    """Whatever the names are: what a URL says is the view it was made of."""
    ordered = tuple(state for state in STATES if state in states)
    query = Query(q=q, states=ordered, sort=sort, page=page, opened=tuple(opened))
    url = query.url()
    assert Query.of(parse_qsl(url[1:], keep_blank_values=True)) == query
    assert url.isascii()


def test_a_service_is_ok_only_when_it_was_watched_long_enough() -> None:
    """Heard of for a minute: unknown, with the reason; never heard of: unknown; watched for three minutes: ok."""
    young = Fleet(Recorded.of(fleet(2, 2, 1.0, leaks=()))).page(Query())
    assert {row.verdict for row in young.rows} == {Verdict.UNKNOWN}
    assert "too short to judge" in young.rows[0].why
    assert {row.verdict for row in Fleet(Recorded.of(fleet(2, 2, 3.0, leaks=()))).page(Query()).rows} == {Verdict.OK}


def silent_from(minutes: float, whole: float) -> Iterator[tuple[float, Event]]:
    """Two services; the first one's only instance falls silent."""
    for at, event in fleet(2, 2, whole, leaks=()):
        name = getattr(event, "instance", None)
        if not (isinstance(event, Read | SiteCounts) and name == "10.0.0.0:6060" and at > BEGIN + 60 * minutes):
            yield at, event


def test_who_does_not_answer_is_unknown_and_counted() -> None:
    """A silent instance is blind in its row, in the sum and in the open row, and its service is no longer ok."""
    host = Recorded.of(silent_from(3.0, 6.0))
    page = Fleet(host).page(Query(opened=(("svc-0000", "prod"),)))
    row = page.rows[0]
    assert (row.key[0], row.verdict, row.blind, page.blind) == ("svc-0000", Verdict.UNKNOWN, 1, 1)
    assert row.opened is not None
    assert row.opened[0].state == "blind"
    assert row.opened[0].blind_s == pytest.approx(180.0, abs=10.0)


def test_the_roster_follows_who_comes_and_goes(host: Recorded) -> None:
    """The same roster as long as nothing changes; a changed label makes only its own service anew."""
    board = Fleet(host)
    first = board.picture().roster
    assert board.picture().roster is first
    known = host.engine.instances["10.0.0.1:6060"]
    try:
        host.engine.instances[known.id] = Instance(id=known.id, labels={**known.labels, "team": "new"})
        second = board.picture().roster
        assert second is not first
        assert [a is b for a, b in zip(first.services, second.services, strict=True)].count(False) == 1
        assert board.page(Query(q="team=new")).matching == 1
    finally:
        host.engine.instances[known.id] = known


def test_what_is_not_told_comes_last_in_either_direction(host: Recorded) -> None:
    """Sorting by growth, whichever way round, begins with the service that has one."""
    for sort in ("growth", "-growth"):
        assert Fleet(host).page(Query(sort=sort)).rows[0].key[0] == "svc-0000"


def test_the_picture_of_a_row_is_what_each_instance_had(host: Recorded) -> None:
    """Means per instance over the hour: rising where it leaks, level elsewhere."""
    rows = {row.key[0]: row.spark for row in Fleet(host).page(Query()).rows}
    assert rows["svc-0000"][-1] > 10 * rows["svc-0000"][0]
    assert max(rows["svc-0001"]) < 1.2 * min(rows["svc-0001"])


def test_the_heat_map_adds_up_what_every_instance_has(host: Recorded) -> None:
    """A pool of ten in each of three replicas is 30 in every slot but the first one's beginning; the leak is the first row and rises."""
    page = asyncio.run(Services(host, Fleet(host)).page(("svc-0000", "prod"), "24m"))
    assert page is not None
    assert page.heat is not None
    first, *others = page.heat.rows
    assert first.site == LEAK.id
    assert first.verdict is not None
    assert list(first.counts) == sorted(first.counts)
    assert {row.site for row in others} == {site.id for site in SITES}
    assert all(set(row.counts[1:]) == {30.0} for row in others)
    assert len(page.heat.times) == len(first.counts) == len(first.shades)
    assert first.shades[-1] > others[0].shades[-1] > 0


def test_a_service_is_told_in_parts(host: Recorded) -> None:
    """Only the pictures asked for are made; a service that is not there is None."""
    board = Services(host, Fleet(host))
    page = asyncio.run(board.page(("svc-0000", "prod"), "2h", ("sets",)))
    assert page is not None
    assert [getattr(page, part) is not None for part in PARTS] == [part == "sets" for part in PARTS]
    assert asyncio.run(board.page(("svc-0000", "dev"), "2h")) is None


def test_totals_and_the_largest_are_of_the_same_moment(host: Recorded) -> None:
    """All instances together are the sum of their means, the largest is the leak's."""
    page = asyncio.run(Services(host, Fleet(host)).page(("svc-0000", "prod"), "2h"))
    assert page is not None
    assert page.series is not None
    others = page.series.total["goroutines"] - page.series.largest
    assert ((others > 2 * 59) & (others < 2 * 66))[1:].all()
    assert (page.series.instances[1:] == 3).all()
    assert {mark.kind for mark in page.marks} == {"deploy", "incident"}


def test_replicas_lie_over_each_other_by_age(host: Recorded) -> None:
    """Ages are since each one's own start; the one that a finding names comes first."""
    page = asyncio.run(Services(host, Fleet(host)).page(("svc-0000", "prod"), "2h"))
    assert page is not None
    assert page.replicas is not None
    first, *others = page.replicas
    assert first.found
    assert not any(one.found for one in others)
    assert first.age_s[0] == pytest.approx(600.0, abs=10.0)
    assert all(list(one.age_s) == sorted(one.age_s) for one in page.replicas)


def test_a_recording_is_its_incidents_too(host: Recorded, tmp_path: Path) -> None:
    """Replayed from a file it says what it says from events: incidents with the same ids, which nobody can change any more."""
    file = tmp_path / "fleet.jsonl"
    file.write_bytes(b"".join(write(event) for _, event in fleet(30, 10, 15.0)))
    again = Recorded.opened([str(file)])
    assert [(row.id, row.key, row.state) for row in again.incidents()] == [
        (r.id, r.key, r.state) for r in host.incidents()
    ]
    [row] = host.incidents()
    assert isinstance(row, Incident)
    assert row.state.active
    assert asyncio.run(again.incident(row.id)) is not None
    with pytest.raises(UsageError, match="recording"):
        asyncio.run(again.acknowledge(row.id, "eva"))
    assert again.now() == host.now() > BEGIN + HOUR / 5


def test_what_is_no_recording_is_said(tmp_path: Path) -> None:
    """A scenario is named as one; a recording without anything to judge is refused."""
    scenario = tmp_path / "a.txt"
    scenario.write_text("instance a service=s\nuntil 1m\n")
    with pytest.raises(FormatError, match="scenario"):
        Recorded.opened([str(scenario)])
    empty = tmp_path / "b.jsonl"
    empty.write_bytes(write(Named(LEAK)))
    with pytest.raises(FormatError, match="nothing that could be judged"):
        Recorded.opened([str(empty)])


def test_labels_are_redacted_where_they_are_shown_and_searched() -> None:
    """A secret in a label is in no row and cannot be found by a search; the service is still reached under the name that is shown."""
    secret = "ghp_" + "a1B2" * 9
    who = Instance(id="i", labels={"service": f"shop {secret}", "team": secret}, start_time=BEGIN)
    host = Recorded.of(
        iter([(BEGIN, Started(who, BEGIN)), (BEGIN + 1, Read(BEGIN + 1, "i", Reading(at=BEGIN + 1, goroutines=5)))])
    )
    board = Fleet(host)
    page = board.page(Query())
    assert secret not in repr(page)
    assert board.page(Query(q=secret)).matching == 0
    shown = asyncio.run(Services(host, board).page(page.rows[0].key, "2h"))
    assert shown is not None
    assert secret not in repr(shown)
