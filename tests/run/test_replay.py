"""Replay: virtual time, worst verdicts with their first time, two sets of rules in one pass, expectations."""

from __future__ import annotations

import gzip
import io
import json
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest
import zstandard
from rich.console import Console

from parkwarden.formats import scenario
from parkwarden.formats.recording import write
from parkwarden.judge.fleet.goroutine_trend import TrendRule
from parkwarden.judge.fleet.rules import Rules
from parkwarden.model import FormatError, Instance, ParkwardenError, Read, Reading, Started, Verdict
from parkwarden.report.json import report_to_json
from parkwarden.report.terminal import print_replay
from parkwarden.run import replay as module
from parkwarden.run.config import load_rules
from parkwarden.run.replay import Options, Replayed, replay

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schema/report-1.json").read_text())

LEAK = b"""
instance gw-1 service=gateway env=prod version=1.4.0 started=-1h
site hub "chan send" shop/cart.(*Hub).Publish hub.go:42 by shop/cart.New hub.go:30
load 5s goroutines 300x24 300+250x24 6300x60
load 10m leaked hub 0 6x1
crowd hub initial 5 lives forever
crowd hub births 1/min lives forever from 6m until 7m
look profile every 1m
"""


def recorded(text: bytes) -> bytes:
    return b"".join(map(write, scenario.read(text).events()))


@pytest.fixture
def night(tmp_path: Path) -> Path:
    file = tmp_path / "night.jsonl"
    file.write_bytes(recorded(LEAK))
    return file


def seen(result: Replayed) -> dict[str, tuple[Verdict, float | None, float | None]]:
    return {f.pattern or f.code: (f.verdict, f.first_seen, f.last_seen) for f in result.report.findings}


def beats(times: list[float], stops: list[float] | None = None, until: float = 0.0) -> list[float]:
    ticks: list[float] = []
    beat = module.Beat(stops or [], ticks.append)
    for at in times:
        beat.before(at)
    beat.finish(until)
    return ticks


def test_ticks_follow_what_happens() -> None:
    """Every 5 s in which something happened, after it; nothing that is not there yet is judged."""
    assert beats([0, 3, 5, 7, 12]) == [0, 5, 10, 15]
    assert beats([1.5, 2]) == [5]


def test_gaps_are_crossed_on_a_coarser_beat() -> None:
    """A gap is ticked through every minute, a long one every hour, and one longer than any window is leapt over."""
    assert beats([0, 200]) == [0, 60, 120, 180, 200]
    day = beats([0, 86_400.0])
    assert len(day) < 160
    assert max(b - a for a, b in pairwise(day)) == 3600
    assert len(beats([0, 3e8])) < 160


def test_expected_times_are_ticked_at() -> None:
    """An expectation's time is judged exactly then, also off the beat and after the last event."""
    assert beats([0, 60], stops=[7.0, 90.0]) == [0, 7, 60, 90]
    assert beats([0], until=130.0)[-1] in (120, 130)


def test_findings_have_the_worst_verdict_and_its_first_time(night: Path) -> None:
    """Each finding tells the worst verdict ever reached, when it was first and last reached, in the recording's own seconds."""
    result = replay([str(night)], Options())
    found = result.report.findings[0]
    assert (found.verdict, found.instance, found.service) == (Verdict.LEAK, "gw-1", "gateway")
    assert found.site is not None
    assert found.site.id == "hub"
    assert found.first_seen == 600.0
    assert found.last_seen is not None
    assert found.last_seen >= 600.0
    assert found.since_version == "1.4.0"
    trend = seen(result)["goroutine-trend"]
    assert trend[0] is Verdict.SUSPECT
    assert 125 < (trend[1] or 0) <= 150  # 23.5 s after the rise began, by the rule's arithmetic
    assert result.failed


def test_unix_times_are_judged_alike(tmp_path: Path) -> None:
    """A recording in Unix seconds gives the same findings, shifted."""
    events = []
    for event in scenario.read(LEAK).events():
        lines = json.loads(write(event))
        if "t" in lines:
            lines["t"] += 1_790_000_000
        if "start_time" in lines:
            lines["start_time"] += 1_790_000_000
            lines["at"] += 1_790_000_000
        events.append(json.dumps(lines))
    file = tmp_path / "unix.jsonl"
    file.write_text("\n".join(events))
    assert replay([str(file)], Options()).report.findings[0].first_seen == 1_790_000_600


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, lambda data: data])
def test_packed_recordings_are_read_as_they_are(pack: object, night: Path, tmp_path: Path) -> None:
    """gz, zst and plain give the same; packed by content, whatever the name."""
    file = tmp_path / "night.bin"
    file.write_bytes(pack(night.read_bytes()))  # type: ignore[operator]
    plain, packed = (replay([str(f)], Options()) for f in (night, file))
    assert seen(packed) == seen(plain)
    assert packed.report.inputs[0].bytes == plain.report.inputs[0].bytes == night.stat().st_size


def test_a_torn_file_is_judged_as_far_as_it_goes(night: Path, tmp_path: Path) -> None:
    """Half a compressed file: what was unpacked is judged, the rest is a problem of the input."""
    whole = gzip.compress(night.read_bytes())
    torn = tmp_path / "torn.gz"
    torn.write_bytes(whole[: len(whole) // 2])
    problems = replay([str(torn)], Options()).report.inputs[0].problems
    assert "truncated" in [p.code for p in problems]


def test_standard_input(night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording may come by pipe."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(night.read_bytes())))
    assert replay(["-"], Options()).report.findings[0].verdict is Verdict.LEAK


def test_several_recordings_are_one_fleet(tmp_path: Path) -> None:
    """Two files are merged by time: instances of one service are one finding."""
    files = []
    for name in ("a", "b"):
        files.append(str(tmp_path / f"{name}.jsonl"))
        Path(files[-1]).write_bytes(recorded(LEAK.replace(b"gw-1", name.encode())))
    found = replay(files, Options()).report.findings[0]
    assert set(found.instances) == {"a", "b"}
    assert found.instance is None


def test_two_sets_of_rules_in_one_pass(night: Path) -> None:
    """--compare shows who found what, and who was earlier; both judge the same data."""
    late = Rules(trend=TrendRule(slope_per_s=40.0))
    never = Rules(trend=TrendRule(slope_per_s=9999.0))
    result = replay([str(night)], Options(other=late, rules_name="A", other_name="late.yaml"))
    assert result.comparison is not None
    rows = {row.either.pattern: row for row in result.comparison.rows}
    assert rows["goroutine-trend"].earlier == "a"
    assert rows[result.report.findings[0].pattern].earlier == "same"
    missed = replay([str(night)], Options(other=never, other_name="never.yaml")).comparison
    assert missed is not None
    assert [r.either.pattern for r in missed.rows if r.b is None] == ["goroutine-trend"]


def test_both_sets_of_a5_side_by_side() -> None:
    """A5: 50 / 0.7 and 80 / 0.5 over the same data; each finds what the other does not."""
    folder = Path(__file__).parent.parent / "scenarios"
    other = load_rules(folder / "stack-persistence-set-a.yaml")
    comparison = replay([str(folder / "stack-persistence.txt")], Options(other=other, other_name="80 / 0.5")).comparison
    assert comparison is not None
    sites = [(row.either.site.id, row.a is not None, row.b is not None) for row in comparison.rows if row.either.site]
    assert sorted(sites) == [("half", False, True), ("often", True, False), ("stuck", True, False)]


def test_json_follows_its_schema(night: Path) -> None:
    """The report of a replay validates, with comparison and expectations; the times are numbers."""
    result = replay([str(night)], Options(other=Rules(trend=TrendRule(slope_per_s=9999.0)), other_name="b"))
    document = json.loads(report_to_json(result.report, comparison=result.comparison, checked=result.checked))
    jsonschema.validate(document, SCHEMA)
    assert document["findings"][0]["first_seen"] == 600.0
    assert document["compare"]["rows"]


def test_text_shows_both_sides(night: Path) -> None:
    """The terminal shows the findings with their virtual times and the two sets of rules beside each other."""
    result = replay([str(night)], Options(other=Rules(trend=TrendRule(slope_per_s=9999.0)), other_name="b.yaml"))
    out = io.StringIO()
    print_replay(result.report, Console(file=out, width=120, no_color=True), comparison=result.comparison)
    assert "first seen 10m" in out.getvalue()
    assert "only A" in out.getvalue()
    assert "b.yaml" in out.getvalue()


def test_expectations_decide_the_exit(tmp_path: Path) -> None:
    """A scenario's expectations decide, not its leak; one that is not met says what was judged instead."""
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_bytes(
        LEAK + b"expect at 10m leak proven-leak site hub\nexpect not before 10m leak\nexpect always ok heap-jump\n"
    )
    bad.write_bytes(
        LEAK + b"expect at 5m leak site hub\nexpect never leak proven-leak\nexpect at 10m leak count 99..\n"
    )
    assert not replay([str(good)], Options()).failed
    result = replay([str(good), str(bad)], Options())
    assert result.failed
    assert [(one.file, one.met) for one in result.checked] == [("good.txt", True)] * 3 + [("bad.txt", False)] * 3
    assert "proven-leak" in result.checked[4].told
    assert "at 10m" in result.checked[4].told


def test_unknown_detectors_are_refused(tmp_path: Path) -> None:
    """An expectation of a detector that is none is an error with the nearest name, before anything is judged."""
    file = tmp_path / "x.txt"
    file.write_bytes(LEAK + b"expect at 10m leak proven-leek\n")
    with pytest.raises(FormatError, match="line 9") as caught:
        replay([str(file)], Options())
    assert "proven-leak" in caught.value.hint


@pytest.mark.parametrize("data", [b"", b"\x00\x01\x02", b"\n\n", gzip.compress(b"", mtime=0)])
def test_what_is_neither_is_refused(data: bytes, tmp_path: Path) -> None:
    """Empty and binary files are refused with what to give instead."""
    file = tmp_path / "x"
    file.write_bytes(data)
    with pytest.raises(FormatError):
        replay([str(file)], Options())
    with pytest.raises(ParkwardenError, match="cannot be read"):
        replay([str(tmp_path / "nowhere")], Options())


def test_hostile_recordings_are_judged_and_inert(tmp_path: Path) -> None:
    """Names that would act on a terminal are redacted and inert in the report; nothing raises."""
    evil = "\x1b[31mgw password=hunter2secret\u202e"
    lines = [write(Started(Instance(id=evil, labels={"service": evil})))]
    lines += [write(Read(5.0 * i, evil, Reading(goroutines=300 + 300 * i))) for i in range(40)]
    file = tmp_path / "evil.jsonl"
    file.write_bytes(b"".join(lines))
    result = replay([str(file)], Options())
    out = io.StringIO()
    print_replay(result.report, Console(file=out, width=100, no_color=True))
    text = out.getvalue() + report_to_json(result.report)
    assert result.report.findings
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "hunter2secret" not in text


def test_rules_come_from_a_file(tmp_path: Path) -> None:
    """The `rules:` section, or the same alone; a key nobody knows is told with the nearest one."""
    file = tmp_path / "rules.yaml"
    file.write_text("rules:\n  trend:\n    slope_per_s: 7\n")
    assert load_rules(str(file)).trend.slope_per_s == 7
    file.write_text("trend: {slope_per_s: 8}\n")
    assert load_rules(str(file)).trend.slope_per_s == 8
    file.write_text("trend: {slope: 8}\n")
    with pytest.raises(ParkwardenError, match="slope_per_s"):
        load_rules(str(file))


def test_time_may_begin_anywhere(tmp_path: Path) -> None:
    """The same life told from 0 and in Unix seconds ends in the same verdicts, at the same moments of it."""
    text = b"""
instance app service=app started=-2d
site leak "chan send" shop.f hub.go:42
site req "IO wait" shop.g conn.go:1
crowd leak births 12/h lives forever
crowd req births 1/s lives 1s..9s
look count every 1m
look profile every 1m
look census every 5m
until 4h
"""
    shift = 1_790_000_400.0
    files = (tmp_path / "zero.jsonl", tmp_path / "unix.jsonl")
    for file, by in zip(files, (0.0, shift), strict=True):
        lines = [json.loads(write(event)) for event in scenario.read(text).events()]
        file.write_text(
            "\n".join(
                json.dumps({k: v + by if k in ("t", "at", "start_time") else v for k, v in line.items()})
                for line in lines
            )
        )
    zero, unix = (replay([str(file)], Options()) for file in files)
    assert zero.report.findings[0].verdict is Verdict.LEAK
    assert [(f.code, f.verdict, (f.first_seen or 0) + shift) for f in zero.report.findings] == [
        (f.code, f.verdict, f.first_seen) for f in unix.report.findings
    ]
