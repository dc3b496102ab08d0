"""Recordings: what is written is read back, and what is broken costs only itself."""

from __future__ import annotations

import json
import random
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.formats import recording
from parkwarden.formats.recording import Reader, sniff, write
from parkwarden.model import (
    Census,
    Event,
    FormatError,
    Frame,
    Gone,
    Instance,
    Leaked,
    Named,
    Read,
    Reading,
    Site,
    SiteCounts,
    Started,
)
from tests.fuzz.mutate import _mutate

ISSUE = b"""{"v":1,"instance":"gw-1","labels":{"service":"gateway"},"start_time":5.5}
{"site":{"id":"s1","wait_reason":"chan send","function":"main.f","file":"hub.go","line":42,"created_by":{"function":"main.g","file":"hub.go","line":7}}}
{"site":{"id":"s2","wait_reason":"select","function":"main.h","file":"h.go","line":1,"created_by":null}}
{"t":10,"instance":"gw-1","goroutines":100,"heap_inuse":1,"next_gc":2,"gc_cpu_s":0.5,"cpu_s":9,"open_fds":3,"max_fds":4,"threads":5,"requests_total":6,"rss":7,"mem_limit":8}
{"t":10,"instance":"gw-1","sites":{"s1":90,"s2":10}}
{"t":11,"instance":"gw-1","census":{"s1":[3,7,9],"s2":[1]},"max_goid":9}
{"t":12,"instance":"gw-1","leaked":{"s1":3}}
{"v":1,"instance":"gw-1","labels":{"service":"gateway"},"start_time":15}
"""


def read(data: bytes) -> tuple[list[Event], Reader]:
    reader = Reader()
    return [*reader.feed(data), *reader.close()], reader


def codes(reader: Reader) -> list[str]:
    return [problem.code for problem in reader.problems]


def lists(census: Census) -> tuple[object, ...]:
    goids, ran = (None if of is None else {k: v.tolist() for k, v in of.items()} for of in (census.goids, census.ran))
    return census.at, census.instance, census.max_goid, census.unknown, goids, ran


def same(a: Event, b: Event) -> bool:
    """Equality that looks into a census' arrays."""
    if isinstance(a, Census) and isinstance(b, Census):
        return lists(a) == lists(b)
    return a == b


def test_the_issues_lines_are_read_as_they_are_meant() -> None:
    """Every line of the format v1 becomes its event, number by number."""
    events, reader = read(ISSUE)
    assert reader.problems == []
    started, named, _, reading, counts, census, leaked, again = events
    assert started == Started(Instance(id="gw-1", labels={"service": "gateway"}, start_time=5.5))
    assert isinstance(named, Named)
    assert named.site.created_by == Frame("main.g", "hub.go", 7)
    assert isinstance(reading, Read)
    assert (reading.at, reading.reading.goroutines, reading.reading.gc_cpu_s, reading.reading.mem_limit) == (
        10,
        100,
        0.5,
        8,
    )
    assert counts == SiteCounts(10, "gw-1", {"s1": 90, "s2": 10})
    assert isinstance(census, Census)
    assert census.goids["s1"].tolist() == [3, 7, 9]
    assert census.max_goid == 9
    assert leaked == Leaked(12, "gw-1", {"s1": 3})
    assert isinstance(again, Started)
    assert again.instance.start_time == 15


def test_who_ran_is_among_those_who_were_there() -> None:
    """Sites and ids that the census itself does not have are nobody; a wrong `ran` costs itself, not the census."""
    head = b'{"t":1,"instance":"a","census":{"s":[3,5,9]},"max_goid":9,"ran":'
    for ran, found in ((b'{"s":[5,7],"x":[1]}', {"s": [5]}), (b"[1]", None), (b"null", None)):
        events, reader = read(head + ran + b"}\n")
        census = events[-1]
        assert isinstance(census, Census)
        assert census.goids["s"].tolist() == [3, 5, 9]
        assert (None if census.ran is None else {k: v.tolist() for k, v in census.ran.items()}) == found
        assert ("bad-census" in codes(reader)) == (ran == b"[1]")


def test_chunks_may_break_anywhere() -> None:
    """Byte by byte, in pieces or whole: the same events."""
    whole, _ = read(ISSUE)
    for size in (1, 7, 100):
        reader = Reader()
        events: list[Event] = []
        for at in range(0, len(ISSUE), size):
            events += reader.feed(ISSUE[at : at + size])
        events += reader.close()
        assert len(events) == len(whole)
        assert all(map(same, events, whole))
        assert reader.problems == []


names = st.text(min_size=1, max_size=20)
times = st.floats(0, 1e9, allow_nan=False)
numbers = st.none() | st.integers(0, 2**63)
sites = st.dictionaries(names, st.integers(0, 2**53), max_size=5)
frames = st.builds(Frame, st.text(max_size=30), st.text(max_size=30), st.integers(0, 2**31 - 1))


def readings(at: float) -> st.SearchStrategy[Reading]:
    columns: dict[str, Any] = {}
    for one in fields(Reading):
        kind = str(one.type)
        columns[one.name] = (
            numbers if "int" in kind else st.none() | times if "float" in kind else st.none() | st.text(max_size=20)
        )
    columns["at"] = st.just(at)
    return st.builds(Reading, **columns)


@st.composite
def events(draw: st.DrawFn) -> Event:
    kind = draw(st.integers(0, 6))
    at, name = draw(times), draw(names)
    if kind == 0:
        reading = draw(readings(at))
        return Read(at, name, reading)
    if kind == 1:
        return SiteCounts(at, name, draw(sites))
    if kind == 2:
        ids = draw(st.dictionaries(names, st.lists(st.integers(1, 2**62), max_size=6, unique=True), max_size=4))
        goids = {site: np.array(sorted(found), np.int64) for site, found in ids.items()}
        highest = max((int(g[-1]) for g in goids.values() if len(g)), default=0)
        ran = {site: ids[:1] for site, ids in goids.items()} if draw(st.booleans()) else None
        return Census(at, name, goids, highest + draw(st.integers(0, 99)), draw(st.integers(0, 9)), ran)
    if kind == 3:
        return Leaked(at, name, draw(sites))
    if kind == 4:
        return Gone(at, name)
    if kind == 5:
        site = Site(
            name,
            draw(st.text(max_size=9)),
            *draw(frames),
            tuple(draw(st.lists(frames, max_size=3))),
            draw(st.none() | frames),
        )
        return Named(site)
    labels = draw(st.dictionaries(names, st.text(max_size=20), max_size=3))
    instance = Instance(id=name, labels=labels, address=draw(st.text(max_size=9)), start_time=draw(st.none() | times))
    return Started(instance, draw(st.none() | times))


@given(events())
def test_what_is_written_is_read_back(event: Event) -> None:
    """read(write(event)) is the event (after the starts and names that it lacked), and writing it again makes the same line."""
    line = write(event)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    back, _ = read(line)
    assert same(back[-1], event)
    assert write(back[-1]) == line


@given(st.lists(events(), max_size=8), st.integers(0, 2**32))
def test_mutations_cost_lines_not_files(found: list[Event], seed: int) -> None:
    """Whatever is done to the bytes, reading ends, and what is told holds: events are well-formed, each lost line is a problem."""
    data = bytearray(ISSUE + b"".join(map(write, found)))
    rng = random.Random(seed)
    for _ in range(rng.choice((1, 2, 5, 20))):
        _mutate(data, [("issue", ISSUE)], rng)
    try:
        back, reader = read(bytes(data))
    except FormatError as error:
        if error.code == "recording-version":
            return
        raise
    assert reader.lost <= reader.lines
    assert reader.events == len(back)
    assert bool(reader.lost) <= bool(reader.problems)
    for event in back:
        assert write(event)
        if isinstance(event, Census):
            assert all((np.diff(g) > 0).all() and g.dtype == np.int64 for g in event.goids.values())
        if isinstance(event, SiteCounts | Leaked):
            assert all(type(n) is int and n >= 0 for n in event.counts.values())


def test_one_bad_line_costs_one_line() -> None:
    """Broken JSON, lists, wrong types and wild numbers are problems with their line; all other lines are read."""
    lines = ISSUE.splitlines()
    for bad in (b"{", b"[1]", b'"x"', b'{"t":"x","instance":"gw-1"}', b'{"t":1e999,"instance":"gw-1"}', b'{"t":11,"instance":7}',
                b'{"t":11,"instance":""}', b'{"site":{"id":3}}', b'{"site":7}', b'{"v":1,"instance":[]}', b'{"what":1}',
                b'{"t":11,"instance":"gw-1","sites":[]}', b'{"t":11,"instance":"gw-1","census":5}', b"\xff\xfe", b"[" * 3000):  # fmt: skip
        data = b"\n".join([*lines[:5], bad, *lines[5:]])
        found, reader = read(data)
        assert len(found) == 8, bad
        assert reader.lost == 1
        assert reader.problems[0].where == "line 6"


def test_bad_numbers_cost_only_themselves() -> None:
    """A negative or textual number is not told; whole floats are counts; the line's other numbers stand."""
    line = b'{"t":10,"instance":"a","goroutines":12.0,"rss":-3,"threads":"x","open_fds":true,"cpu_s":4,"heap_inuse":null}\n'
    found, reader = read(line)
    reading = found[-1].reading  # type: ignore[union-attr]
    assert (reading.goroutines, reading.rss, reading.threads, reading.open_fds, reading.cpu_s) == (
        12,
        None,
        None,
        None,
        4.0,
    )
    assert codes(reader) == ["no-header", "bad-number", "bad-number", "bad-number"]


def test_who_was_never_named_is_made_so() -> None:
    """An instance without a header and a site used before it is named are there, nameless, rather than dropped."""
    found, reader = read(b'{"t":10,"instance":"a","sites":{"s9":4}}\n')
    assert found == [
        Started(Instance(id="a")),
        Named(Site("s9", "", "", "", 0, ())),
        SiteCounts(10, "a", {"s9": 4}),
    ]
    assert codes(reader) == ["no-header", "site-not-named"]


def test_unknown_keys_are_kept_out_and_counted() -> None:
    """Keys of later versions cost nothing; how many there were is told once."""
    found, reader = read(b'{"t":1,"instance":"a","goroutines":3,"mood":"fine"}\n' * 3)
    assert sum(isinstance(e, Read) for e in found) == 3
    assert reader.unknown_keys == {"mood": 3}
    assert codes(reader)[-1] == "unknown-keys"
    assert read(b'{"t":1,"instance":"a","at":5.0,"goroutines":3}\n')[1].unknown_keys == {"at": 1}
    many = json.dumps({"t": 1, "instance": "a", **{f"k{i}": 1 for i in range(500)}}).encode()
    assert len(read(many)[1].unknown_keys) == recording.MAX_UNKNOWN_KEYS + 1


def test_time_goes_forward() -> None:
    """A line whose time goes back for its instance is lost, others are not; another instance has its own time."""
    found, reader = read(
        b"".join(
            b'{"t":%d,"instance":"%b","goroutines":1}\n' % (t, n)
            for t, n in ((9, b"a"), (8, b"a"), (8, b"b"), (9, b"a"))
        )
    )
    assert [e.at for e in found if isinstance(e, Read)] == [9, 8, 9]
    assert codes(reader) == ["no-header", "time-goes-back", "no-header"]


def test_one_wild_time_does_not_make_all_others_late() -> None:
    """A leap ahead that the next line does not confirm costs that line; a real gap is believed."""
    lines = b'{"t":%d,"instance":"a","goroutines":1}\n'
    found, reader = read(b"".join(lines % t for t in (5, 10, 999_999_999, 15, 20)))
    assert [e.at for e in found if isinstance(e, Read)] == [5, 10, 15, 20]
    assert codes(reader) == ["no-header", "time-leaps"]
    found, reader = read(b"".join(lines % t for t in (5, 10, 90_000, 90_005)))
    assert [e.at for e in found if isinstance(e, Read)] == [5, 10, 90_000, 90_005]
    assert codes(reader) == ["no-header"]
    found, _ = read(b"".join(lines % t for t in (5, 90_000)))
    assert [e.at for e in found if isinstance(e, Read)] == [5, 90_000]


def test_a_torn_last_line_is_told() -> None:
    """A recorder that was killed leaves half a line: one problem; a whole line without its newline is read."""
    found, reader = read(ISSUE + b'{"t":20,"instance":"gw-1","gorou')
    assert len(found) == 8
    assert codes(reader) == ["torn-line"]
    assert len(read(ISSUE.rstrip())[0]) == 8


def test_census_ids_rise() -> None:
    """Ids out of order or given twice are put right; what is no id costs its site only."""
    found, reader = read(
        b'{"t":1,"instance":"a","census":{"s":[9,3,3,5],"e":[],"x":["y"],"n":[[1]],"f":[1.5],"z":[0],"u":[9999999999999999999]},"max_goid":1}\n'
    )
    census = found[-1]
    assert isinstance(census, Census)
    assert {k: v.tolist() for k, v in census.goids.items()} == {"s": [3, 5, 9], "e": []}
    assert census.max_goid == 9
    assert codes(reader).count("bad-census") == 5


@pytest.mark.parametrize("limit", ["MAX_LINE", "MAX_GOIDS", "MAX_SITES", "MAX_SITES_PER_LINE", "MAX_INSTANCES"])
def test_limits_are_kept(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What passes a limit is refused with a problem that names it, and reading goes on."""
    monkeypatch.setattr(recording, limit, 300 if limit == "MAX_LINE" else 2)
    ids = b",".join(b'"s%d":[%d]' % (i, i + 1) for i in range(200 if limit == "MAX_LINE" else 3))
    extra = b"".join(b'{"v":1,"instance":"i%d"}\n' % i for i in range(3)) if limit == "MAX_INSTANCES" else b""
    found, reader = read(
        extra + b'{"t":1,"instance":"i0","census":{%b}}\n{"t":2,"instance":"i0","goroutines":4}\n' % ids
    )
    assert isinstance(found[-1], Read)
    assert any(limit in p.text for p in reader.problems)


def test_a_line_too_long_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless line takes no memory: only its beginning is remembered, and the next line is read."""
    monkeypatch.setattr(recording, "MAX_LINE", 1000)
    reader = Reader()
    for _ in range(1000):
        assert reader.feed(b"x" * 100) == []
        assert sum(map(len, reader._rest)) <= 1000
    assert len(reader.feed(b"\n" + ISSUE)) == 8
    assert codes(reader) == ["line-too-long"]


def test_hostile_names_are_only_names() -> None:
    """Escapes, markup and right-to-left marks stay what they are in events and are inert in problems; names have a length."""
    evil = "\x1b[31m\u202e<script>"
    found, reader = read(json.dumps({"t": 1, "instance": evil, "sites": {evil: 1}}).encode())
    assert found[-1] == SiteCounts(1, evil, {evil: 1})
    assert all(p.text.isascii() and p.text.isprintable() for p in reader.problems)
    assert codes(read(json.dumps({"v": 1, "instance": "x" * 600}).encode())[1]) == ["bad-instance"]


def test_other_versions_are_refused_at_once() -> None:
    """A recording of version 2 says so in its first line; the same later on costs its line."""
    with pytest.raises(FormatError, match="version 2"):
        read(b'{"v":2,"instance":"a"}\n')
    assert codes(read(ISSUE + b'{"v":2,"instance":"a"}\n')[1]) == ["bad-version"]


def test_text_that_is_no_unicode_can_be_written() -> None:
    """Lone surrogates (a name that was cut in the middle) become replacement characters; numbers that are none are left out."""
    line = write(Read(1.0, "a\ud800", Reading(at=1.0, cpu_s=float("nan"), goroutines=3, rss=2**70)))
    assert json.loads(line) == {"t": 1.0, "instance": "a?", "goroutines": 3, "rss": None}


def test_sniff() -> None:
    """A recording is known by its first key; JSON of other kinds is not one."""
    assert all(sniff(line) for line in ISSUE.splitlines())
    assert not sniff(b'{"memstats":{}}')
    assert not sniff(b"goroutine 1 [running]:")
