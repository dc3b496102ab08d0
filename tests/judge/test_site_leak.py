"""Clusters accused or acquitted, in words."""

from __future__ import annotations

from parkwarden.judge import judge_case, site_leak
from parkwarden.judge.inputs import entries
from parkwarden.model import Frame, Grade, Mark, Source, SourceExcerpt, Stack, Verdict, make_snapshot
from tests.judge.cases import BLOCKED, case_of, look


def test_growth_with_survivors_is_a_leak() -> None:
    """Two censuses a minute apart: the old ones stayed, as many again came: leak, with rate, since, grade and culprit."""
    case, grouping = case_of([look("a", 1000.0, range(1, 201)), look("b", 1060.0, range(1, 401))])
    (finding,) = site_leak.judge(case, grouping)
    assert finding.verdict is Verdict.LEAK
    assert finding.pattern == "send-without-receiver"
    assert finding.culprit == Frame("example.com/shop/orders.(*Desk).notify", "/src/shop/orders/desk.go", 41)
    assert finding.rate_per_min == 200.0
    assert finding.grade is Grade.RED
    assert finding.count == 400
    assert {e.source for e in finding.evidence} == {"a", "b"}


def test_a_crowd_that_moves_is_acquitted() -> None:
    """As many as before, but other ones: load."""
    case, grouping = case_of([look("a", 1000.0, range(1, 201)), look("b", 1060.0, range(500, 700))])
    assert site_leak.judge(case, grouping) == []


def test_proof_is_enough() -> None:
    """What the leak profile names is leaked, however few looks there are; the profile is cited."""
    leak = make_snapshot(Source.LEAK_PROFILE, [BLOCKED], [0], count=[60], marks=[int(Mark.LEAKED)])
    case, grouping = case_of([look("a", 1000.0, range(1, 61))], (leak,))
    (finding,) = site_leak.judge(case, grouping)
    assert finding.verdict is Verdict.LEAK
    assert finding.confidence > 0.9
    assert "leak.pb.gz" in {e.source for e in finding.evidence}


def test_the_source_of_the_blocked_line_decides() -> None:
    """The caller's excerpts are asked for the blocked frame, and outweigh what the stack suggests."""
    asked: list[Frame] = []

    def excerpt(frame: Frame) -> SourceExcerpt:
        asked.append(frame)
        return SourceExcerpt(
            file="desk.go", first_line=41, lines=("d.slots <- struct{}{}",), statement=(41, 41), function=frame.function
        )

    case, grouping = case_of([look("a", 1000.0, range(1, 201)), look("b", 1060.0, range(1, 401))])
    (finding,) = judge_case(case, grouping, excerpt)
    assert finding.pattern == "semaphore-exhausted"
    assert asked == [Frame("example.com/shop/orders.(*Desk).notify", "/src/shop/orders/desk.go", 41)]


def test_a_few_that_never_leave_the_processor_are_mentioned() -> None:
    """A handful of busy goroutines, the same at both looks: too little to accuse, too much to be silent."""
    busy = Stack((Frame("main.crunch", "main.go", 7), Frame("main.work", "main.go", 3)))
    case, grouping = case_of(
        [look("a", 1000.0, range(1, 7), busy, "running"), look("b", 1004.0, range(1, 7), busy, "running")]
    )
    (finding,) = judge_case(case, grouping)
    assert (finding.pattern, finding.verdict) == ("spinning-loop", Verdict.UNKNOWN)


def test_small_crowds_are_silent() -> None:
    """Below MIN_UNKNOWN and without proof nothing is said."""
    case, grouping = case_of([look("a", 1000.0, range(1, 40))])
    assert judge_case(case, grouping) == []


def test_runnable_is_load() -> None:
    """A runnable crowd is said to be load, verdict ok."""
    busy = Stack((Frame("main.crunch", "main.go", 7), Frame("main.work", "main.go", 3)))
    case, grouping = case_of([look("a", 1000.0, range(1, 301), busy, "runnable")])
    (finding,) = judge_case(case, grouping)
    assert finding.code == "PW401"
    assert finding.verdict is Verdict.OK


def test_every_input_says_whether_it_helped() -> None:
    """The report's inputs: what was cited is used, the rest says why not."""
    case, grouping = case_of([look("a", 1000.0, range(1, 201)), look("b", 1060.0, range(1, 401))])
    rows = entries(case, judge_case(case, grouping))
    assert [(r.name, r.used) for r in rows] == [("a", True), ("b", True)]
    assert all("send-without-receiver" in r.why for r in rows)
