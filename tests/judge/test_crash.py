"""Crash causes become findings."""

from __future__ import annotations

from parkwarden.judge import crash as judge
from parkwarden.model import Crash, Frame, Stack, Verdict
from tests.judge.cases import crashed

CYCLE = (
    Frame("example.com/shop/report.(*Queue).push", "queue.go", 12),
    Frame("example.com/shop/report.(*Logger).Warn", "log.go", 30),
)


def test_recursion_is_named_in_calling_order() -> None:
    """A stack overflow names its cycle, outermost first, closed by where it began."""
    (finding,) = judge.judge(
        crashed(
            Crash(
                cause="stack-overflow", message="stack overflow", stack=Stack(CYCLE * 3), cycle=CYCLE, rounds=3, goid=7
            )
        )
    )
    assert finding.code == "PW201"
    assert finding.verdict is Verdict.LEAK
    assert finding.title.endswith(
        "Logger).Warn -> example.com/shop/report.(*Queue).push -> example.com/shop/report.(*Logger).Warn"
    )
    assert finding.culprit == CYCLE[0]
    assert {e.what for e in finding.evidence} >= {"cycle", "goroutine", "message"}


def test_a_signal_is_no_accusation() -> None:
    """SIGQUIT was asked for: told with verdict ok."""
    (finding,) = judge.judge(crashed(Crash(cause="signal", message="SIGQUIT: quit")))
    assert finding.verdict is Verdict.OK


def test_a_recovered_panic_killed_nobody() -> None:
    """net/http recovers a handler's panic: told, with verdict ok."""
    (finding,) = judge.judge(crashed(Crash(cause="panic", message="boom", details={"recovered_by": "net/http"})))
    assert finding.verdict is Verdict.OK


def test_a_crash_loop_is_told_once() -> None:
    """The same crash again and again is one finding that says how often."""
    case = crashed(Crash(cause="panic", message="boom"))
    case.artefacts[0].crashes *= 80
    (finding,) = judge.judge(case)
    assert finding.count == 80


def test_an_unknown_cause_is_kept() -> None:
    """Causes a later reader may name are reported as a fatal error, never dropped."""
    (finding,) = judge.judge(crashed(Crash(cause="something-new", message="fatal error: new")))
    assert finding.code == "PW208"
