"""Scenarios: what a line means, and what is said of one that means nothing."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.formats import scenario
from parkwarden.formats.scenario import read
from parkwarden.model import (
    Census,
    Descriptors,
    Event,
    FormatError,
    Frame,
    Gone,
    Grade,
    LimitError,
    Named,
    ParkwardenError,
    Read,
    SiteCounts,
    Started,
    Verdict,
)

HEAD = 'instance a service=shop\nsite s "chan send" shop.f f.go:3\n'


def events(text: str) -> list[Event]:
    return list(read((HEAD + text).encode()).events())


def series(text: str) -> list[int | None]:
    """goroutines at 0 s, 1 s, 2 s ... as loaded; None = not told."""
    found = {e.at: e.reading.goroutines for e in events(f"load 1s goroutines {text}\n") if isinstance(e, Read)}
    return [found.get(float(t)) for t in range(int(max(found, default=-1)) + 1)]


def test_series_are_promtools() -> None:
    """a, axn, a+bxn, a-bxn make n+1 values, _ and stale none, a group is said n times."""
    assert series("7 8") == [7, 8]
    assert series("5x2") == [5, 5, 5]
    assert series("1+2x3 9-3x2") == [1, 3, 5, 7, 9, 6, 3]
    assert series("1 _ 2 _x2 stale 3") == [1, None, 2, None, None, None, 3]
    assert series("(1 2)x3 9") == [1, 2, 1, 2, 1, 2, 9]
    assert series("2k 1Ki") == [2000, 1024]


def test_noise_is_always_the_same_and_bounded() -> None:
    """~c adds noise of up to c, the same each time; it never goes below zero."""
    values = series("100~5x200")
    assert values == series("100~5x200")
    assert len(set(values)) > 5
    assert all(value is not None and 95 <= value <= 105 for value in values)
    assert min(value for value in series("1~5x200") if value is not None) == 0


def test_numbers_of_one_time_are_one_reading() -> None:
    """Several loads of an instance make one reading a time, its sites one profile."""
    found = events("load 5s goroutines 1x2\nload 5s open_fds 7x2\nload 1m site s 4x1\n")
    readings = [e for e in found if isinstance(e, Read)]
    assert [e.at for e in readings] == [0, 5, 10]
    assert all(e.reading.open_fds == 7 for e in readings)
    assert [e for e in found if isinstance(e, SiteCounts)] == [
        SiteCounts(0, "a", {"s": 4}),
        SiteCounts(60, "a", {"s": 4}),
    ]


def test_descriptors_are_told_by_kind() -> None:
    """Kinds of one time are one event, and what was not told is none."""
    found = [
        e
        for e in events("load 5s descriptors pipe 3 _ 5\nload 5s descriptors socket 7x1\n")
        if isinstance(e, Descriptors)
    ]
    assert found == [
        Descriptors(0, "a", {"pipe": 3, "socket": 7}),
        Descriptors(5, "a", {"socket": 7}),
        Descriptors(10, "a", {"pipe": 5}),
    ]


def test_crowds_are_seen_by_looks() -> None:
    """Who lives for ever stays in every census, who lives seconds goes; ids rise with birth and are never handed out again."""
    found = events(
        "crowd s initial 2 births 1/min lives forever\ncrowd s births 1/s lives 2s..5s\nlook census every 1m\nlook count every 30s\nuntil 5m\n"
    )
    censuses = [e for e in found if isinstance(e, Census)]
    assert [c.at for c in censuses] == [0, 60, 120, 180, 240, 300]
    first, last = (set(c.goids["s"].tolist()) for c in (censuses[1], censuses[-1]))
    assert len(first & last) == 3
    assert max(last) <= censuses[-1].max_goid == 2 + 5 + 300
    counts = {e.at: e.reading.goroutines for e in found if isinstance(e, Read)}
    assert all(counts[c.at] == len(c.goids["s"]) for c in censuses)


def test_a_restart_is_a_new_life() -> None:
    """After a restart ids begin anew, nobody of before is there, and the start time is the restart's; a deploy has new labels."""
    found = events(
        "crowd s initial 3 births 1/min\nlook census every 1m\nrestart a at 3m\ndeploy a at 6m version=2\ngone a at 8m\nuntil 10m\n"
    )
    starts = [e.instance for e in found if isinstance(e, Started)]
    assert [s.start_time for s in starts] == [0, 180, 360]
    assert [s.version for s in starts] == ["", "", "2"]
    sizes = {e.at: len(e.goids["s"]) for e in found if isinstance(e, Census)}
    assert sizes[120] == 5
    assert sizes[180] == 3
    assert found[-1] == Gone(480, "a")
    assert max(sizes) < 480


def test_events_come_in_time_order() -> None:
    """Several instances are merged by time; names and starts come first."""
    found = events("instance b\nload 5s on a goroutines 1x9\nload 3s on b goroutines 1x9\nload 7s on b site s 3x4\n")
    times = [e.at for e in found if isinstance(e, Read | SiteCounts)]
    assert times == sorted(times)
    assert isinstance(found[0], Started)
    assert any(isinstance(e, Named) and e.site.frames == (Frame("shop.f", "f.go", 3),) for e in found[:3])


def test_expectations_are_understood() -> None:
    """When, what, by whom, where, and the numbers."""
    text = (
        HEAD
        + "expect not before 2m leak survivors site s on a grade red rate 2..4 count 5.. time-left 10m..1h\nexpect never suspect\n"
    )
    first, never = read(text.encode()).expectations
    assert (first.when, first.at, first.negated, first.verdict, first.name) == (
        "before",
        120,
        True,
        Verdict.LEAK,
        "survivors",
    )
    assert (first.site, first.on, first.grade) == ("s", "a", Grade.RED)
    assert first.numbers == {"rate": (2, 4), "count": (5, math.inf), "time-left": (600, 3600)}
    assert (never.when, never.at, never.negated) == ("before", math.inf, True)


@pytest.mark.parametrize(
    ("line", "says", "hint"),
    [
        ("lod 5s goroutines 1", "no statement", "did you mean `load`?"),
        ("load 5s gorutines 1", "no number", "did you mean `goroutines`?"),
        ("load 5 goroutines 1", "is no time", "30s"),
        ("load 0s goroutines 1", "is no interval", "1ms"),
        ("load 5s goroutines 1+", "is no value", "100+2x60"),
        ("load 5s goroutines (1 2", "without `)`", ""),
        ("load 5s goroutines 1x99999999", "values", "MAX_SAMPLES"),
        ("load 5s site z 1", "no site", "known: s"),
        ("load 5s descriptors pype 1", "no kind of descriptor", "did you mean `pipe`?"),
        ("load 5s on b goroutines 1", "no instance", "known: a"),
        ("crowd s births 5", "rate like", "crowd SITE"),
        ("crowd s lives 5s..1s", "shorter", ""),
        ("look often every 5s", "no look", "known: census"),
        ("restart a", "too", "at 10m"),
        ("expect leak", "does not say when", "expect"),
        ("expect at 5m bad", "which verdict", "expect"),
        ("expect at 5m leak grade blue", "no grade", "known"),
        ("expect at 5m leak rate x..y", "no range", "rate 2..4"),
        ('site x "open', "quotes", "both quotes"),
        ("instance a", "declared twice", ""),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_line_and_cure(line: str, says: str, hint: str) -> None:
    """A line that means nothing is named with its number, what is wrong and what to write."""
    with pytest.raises(FormatError) as caught:
        read((HEAD + line + "\n").encode(), "mine.txt")
    assert caught.value.message.startswith("mine.txt: line 3: ")
    assert says in caught.value.message
    assert hint in caught.value.hint


def test_limits_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scenario cannot be made to take the machine: bytes, births and times have bounds."""
    with pytest.raises(LimitError, match="goroutines are born"):
        events("crowd s births 1000000/s\nuntil 1h\n")
    with pytest.raises(FormatError, match="longer than"):
        events("until 999d\n")
    with pytest.raises(LimitError, match="MAX_BYTES"):
        read(b"#" * (scenario.MAX_BYTES + 1))


WORDS = ["instance", "site", "load", "crowd", "look", "restart", "gone", "until", "expect", "a", "s", "5s", "1m", "goroutines",
         "1+2x3", "~", "(", ")x2", "_x2", "at", "by", "leak", "births", "6/h", "lives", "every", "census", "on", "x=y", '"', "#", "\n"]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=4), max_size=40))
def test_any_text_is_a_scenario_or_refused(words: list[str]) -> None:
    """Whatever is written, it is read or refused with a typed error; its events come in time order."""
    with contextlib.suppress(ParkwardenError):
        found = list(read((HEAD + " ".join(words)).encode("utf-8", "replace")).events())
        times = [e.at for e in found if isinstance(e, Read | SiteCounts | Census)]
        assert times == sorted(times)
