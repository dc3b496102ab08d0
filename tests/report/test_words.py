"""Numbers and prose in words, the same in every report."""

from __future__ import annotations

import math

import pytest

from parkwarden.model import Frame, TimeLeft
from parkwarden.model.words import sparkline, time_left, within
from parkwarden.report import words
from tests.report import samples


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (0.00035, "350 µs"),
        (0.036, "36 ms"),
        (2.5, "2.5 s"),
        (420, "7 min"),
        (12000, "3 h 20 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_seconds(value: float, wanted: str) -> None:
    """Durations in the unit a person would use."""
    assert words.seconds(value) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"), [(0, "0.0 %"), (0.0004, "< 0.1 %"), (0.92, "92 %"), (0.9999, "99 %"), (1, "100 %")]
)
def test_percent_never_rounds_up_to_all(value: float, wanted: str) -> None:
    """Nearly all is not all, nearly none is not none."""
    assert words.percent(value) == wanted


def test_rates_and_sizes() -> None:
    """Per minute, per second where that is easier to grasp; binary units."""
    assert [words.rate(n) for n in (3.25, 402.5, 220_800)] == ["3.2/min", "402/min", "3,680/s"]
    assert [words.size(n) for n in (4, 2700, 46_600_000)] == ["4 B", "2.6 KiB", "44.4 MiB"]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("github.com/a/b/v2/pkg.(*T[github.com/x/y.Z]).m.func1", "pkg.(*T[github.com/x/y.Z]).m.func1"),
        ("main.main", "main.main"),
        ("gopkg.in/yaml%2ev3.(*d).f", "yaml%2ev3.(*d).f"),
        ("", ""),
    ],
)
def test_short_function_keeps_receiver_and_type_arguments(name: str, wanted: str) -> None:
    """Only the package's directories go."""
    assert words.short_function(name) == wanted


def test_long_paths_fold_in_the_middle() -> None:
    """A path of 40 frames is drawn in at most MAX_STEPS + 2 boxes; culprit, go statement and blocked line stay."""
    finding = samples.leak()
    middle = tuple(Frame(f"lib.f{i}", "lib.go", i) for i in range(40))
    finding.path = (samples.QUOTE, *middle, samples.NEW_WHEEL, samples.RUN)
    steps = words.leak_path(finding)
    assert len(steps) <= words.MAX_STEPS + 2
    roles = " ".join(step.role for step in steps)
    assert all(role in roles for role in ("culprit", "starts", "blocked", "gap"))
    assert sum(step.skipped or 1 for step in steps) == 43


def test_path_is_made_from_the_site_where_none_was_judged() -> None:
    """Without a path: culprit, go statement, frames outermost first."""
    finding = samples.leak()
    finding.path = ()
    assert [step.frame for step in words.leak_path(finding)] == [samples.QUOTE, samples.NEW_WHEEL, samples.RUN]


def test_prose_knows_code_items_and_paragraphs() -> None:
    """Fences, four-blank indents and `- ` items; wrapped lines join."""
    text = "one\ntwo\n\n- item\n\n    code()\n      more()\n\nlast\n```go\n\tx := 1\n```"
    blocks = words.prose(text)
    assert [(b.kind, b.lines) for b in blocks] == [
        ("text", ("one two",)),
        ("item", ("item",)),
        ("code", ("code()", "  more()")),
        ("text", ("last",)),
        ("code", ("\tx := 1",)),
    ]


def test_titles_use_short_names_of_their_own_functions() -> None:
    """Directories of packages go from the title: the full name stands beside it as the culprit."""
    finding = samples.leak()
    finding.title = f"{samples.NEW_WHEEL.function} -> {samples.QUOTE.function} and github.com/other/x.Y"
    wanted = "collection.NewTimingWheelWithTicker → pricing.(*Service).Quote and github.com/other/x.Y"
    assert words.title(finding) == wanted


def test_words_fit_the_kind_of_finding() -> None:
    """Goroutines are stuck, memory is allocated, processes die, cycles have no last line."""
    finding = samples.leak()
    blocked = words.leak_path(finding)[-1]
    assert words.role_words(blocked, finding) == "stuck here: select, ≥ 47 min"
    finding.code = "PW301"
    assert words.role_words(blocked, finding) == "allocates here"
    assert words.facts(finding)[0].name == "objects here"
    finding.code = "PW206"
    assert words.role_words(blocked, finding) == "died here"
    assert not any("blocked" in step.role for step in words.leak_path(samples.recursion()))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_none_are_a_question_mark(value: float) -> None:
    """Inputs may lie; no report dies of it."""
    assert {words.count(value), words.size(value), words.seconds(value), words.rate(value), words.percent(value)} == {
        "?"
    }


def test_a_recordings_own_time_is_no_year() -> None:
    """Virtual seconds read as a scenario writes them, Unix times as moments; the time left names its limit."""
    assert words.time_of(0) == "0s"
    assert words.time_of(3725) == "1h2m5s"
    assert words.time_of(-3600) == "-1h"
    assert words.time_of(1_790_000_600) == "2026-09-21 14:23:20 UTC"
    assert words.since("1970-01-01T00:20:00Z") == "20m"
    left = TimeLeft(
        limit="fd-limit", at=0, seconds=600, low_s=420, high_s=float("inf"), value=1, limit_value=2, rate_per_s=1
    )
    assert words.time_left(left) == "10 min until file descriptors run out (7 min to never)"


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([], ""),
        ([5], ""),
        ([0, 0], "▁▁"),
        ([8, 9, 10], "▄▄▄"),
        ([1, 2, 4, 8], "▂▃▅█"),
        ([8.0, float("nan"), 4.0, -1.0], "█▅"),
        (range(160), "▁▁▂▂▃▃▄▄▅▅▆▆▇▇██"),
    ],
)
def test_counts_over_time_are_a_picture(values: list[float], wanted: str) -> None:
    """From zero to the largest, so that noise looks like noise; what is none is left out; never wider than asked."""
    assert sparkline(values) == wanted


@pytest.mark.parametrize(
    ("value", "low", "high", "wanted"),
    [
        (2460.0, 1500.0, 4200.0, "41 min (25-70)"),
        (12.0, 9.5, math.inf, "12 s (9.5-never)"),
        (99.9, 50.0, 200.0, "100 s (50-200)"),
        (100.0, 60.0, 300.0, "1.7 min (1-5)"),
        (20_000.0, 9_000.0, 40_000.0, "5.6 h (2.5-11)"),
        (400_000.0, 200_000.0, 900_000.0, "4.6 d (2.3-10)"),
    ],
)
def test_a_time_and_its_interval_share_a_unit(value: float, low: float, high: float, wanted: str) -> None:
    """Minutes beside minutes: what is read at a glance at night."""
    assert within(value, low, high) == wanted


def test_time_left_that_is_over_is_now() -> None:
    """What runs out at once is told so, and nobody is told microseconds to act in."""
    assert time_left(0.0, "fd-limit", 0.0, 0.0) == "now: file descriptors run out"
    assert time_left(0.7, "thread-limit", 0.0, 3.8) == "1 s until threads run out (0 s to 3.8 s)"
    assert time_left(90.0, "memory-limit", 0.2, 120.0) == "90 s until memory limit (0 s to 2 min)"
