"""bench.time_left: what is drawn, how a run is judged from its recording, and what the table says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import time_left
from bench.time_left import CASES, Run, Score, drawn, jobs_seed, judged, page, scored, write_page
from parkwarden.formats import recording
from parkwarden.model import Descriptors, Frame, Instance, Named, Read, Reading, Site, SiteCounts, Started

T0 = 1_700_000_000.0
HOLDER = Frame("main.(*gateway).quote", "/src/main.go", 54)
SITE = Site("s1", "IO wait", *HOLDER, (Frame("net.(*conn).Read", "net/net.go", 194), HOLDER), None)


def recorded(folder: Path, *, line: int = 54) -> Run:
    """A run that loses a descriptor a second from the 20th second on, to 200 at the 200th."""
    site = Site(
        "s1", "IO wait", "net.(*conn).Read", "net/net.go", 194, SITE.frames, Frame("main.ask", "/src/main.go", 9)
    )
    with (folder / "run.jsonl").open("wb") as out:
        out.write(recording.write(Started(Instance(id="i1", labels={"service": "no-deadline"}, start_time=T0), T0)))
        out.write(recording.write(Named(site)))
        for beat in range(80):
            at, n = T0 + 2.5 * beat, max(0, round(2.5 * beat - 20))
            out.write(recording.write(Read(at, "i1", Reading(at=at, goroutines=5 + n, open_fds=20 + n, max_fds=200))))
            out.write(recording.write(Descriptors(at, "i1", {"socket": 14 + n, "file": 6})))
            if beat % 4 == 0:
                out.write(recording.write(SiteCounts(at, "i1", {"s1": n} if n else {})))
    run = Run(case="no-deadline/silent-partner", seed=1, limit="fd-limit", limit_value=200, per_s=1.0)
    run.recording, run.leak_at, run.broke_at = "run.jsonl", T0 + 20, T0 + 200
    run.holder = {"function": HOLDER.function, "line": line}
    return run


def test_the_same_seed_draws_the_same_run() -> None:
    """A failure can be looked at again; another seed is another run."""
    for case in CASES:
        assert drawn(case, 7) == drawn(case, 7)
        assert drawn(case, 7) != drawn(case, 8)
        assert case.lowest <= drawn(case, 7).limit_value <= case.highest


def test_each_way_of_a_seed_has_its_own_moments() -> None:
    """A lull in one way's leaks is none in another's, and the same run can be had again."""
    seeds = [jobs_seed(drawn(case, seed)) for case in CASES for seed in (7, 8)]
    assert len(set(seeds)) == len(seeds)
    assert seeds[0] == jobs_seed(drawn(CASES[0], 7))


def test_a_run_is_judged_by_what_really_happened(tmp_path: Path) -> None:
    """A steady leak's end lies within the interval at every moment asked, and the planted line is the culprit."""
    row = judged(recorded(tmp_path), tmp_path)
    for moment in time_left.ASKED_AT:
        assert row[moment]["within"], row[moment]
        assert row[moment]["code"] == "PW520"
    assert row["late"]["holder"]
    assert row["first"]["left_s"] > row["half"]["left_s"] > row["late"]["left_s"] > 0


def test_another_line_is_not_the_holder(tmp_path: Path) -> None:
    """The function alone is not enough: the line must be the one of /truth."""
    assert not judged(recorded(tmp_path, line=55), tmp_path)["late"]["holder"]


def test_what_did_not_break_counts_against_nobody_and_what_was_not_told_does(tmp_path: Path) -> None:
    """Runs without an end are told as such; runs without a time left are missed."""
    good = judged(recorded(tmp_path), tmp_path)
    untold = {**good, "told": 0, "others_told": 0, "others_within": 0}
    endless = {"broke_at": 0.0, "told": 0, "others_told": 0}
    score = scored("case", [good, untold, endless])
    assert (score.runs, score.unbroken, score.named) == (2, 1, 1)
    assert score.within == {"first": 1, "half": 1, "late": 1}


@pytest.fixture
def score(tmp_path: Path) -> Score:
    return scored("fd-leak/child-pipes", [judged(recorded(tmp_path), tmp_path)])


def test_the_page_is_written_between_its_marks(tmp_path: Path, score: Score, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what was measured is replaced; a page without the marks gets the section at its end."""
    file = tmp_path / "limits.md"
    monkeypatch.setattr(time_left, "PAGE", file)
    file.write_text("# Limits\n\nOther things.\n")
    text = page([score], range(1, 2))
    write_page(text)
    write_page(text.replace("1 runs", "one run"))
    told = file.read_text()
    assert told.startswith("# Limits\n\nOther things.\n\n## How often the time left is right")
    assert told.count("| fd-leak/child-pipes | 1 |") == 1
    assert told.count(time_left.END) == 1
    assert "in 100% when first told" in told
