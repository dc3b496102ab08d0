"""Findings about the same place become one, and are ranked."""

from __future__ import annotations

from dataclasses import replace

from parkwarden.judge.fuse import fuse
from parkwarden.model import Evidence, Finding, Frame, Site, Verdict

CULPRIT = Frame("example.com/shop/stream.(*Session).Write", "session.go", 28)
WHEEL = Frame("example.org/lib/wheel.NewWheel", "wheel.go", 94)
STAT = Frame("example.org/lib/wheel.newStat", "stat.go", 12)


def site(name: str, created_by: Frame | None = None) -> Site:
    return Site(name, "select", f"lib.{name}", "f.go", 1, (Frame(f"lib.{name}", "f.go", 1),), created_by)


def finding(
    code: str, pattern: str, verdict: Verdict = Verdict.LEAK, confidence: float = 0.9, **more: object
) -> Finding:
    made = Finding(code=code, verdict=verdict, confidence=confidence, title=pattern, pattern=pattern)
    made.evidence = [Evidence("a", "count", "9")]
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_worst_first() -> None:
    """Verdict before confidence, causes of death before leaks of the same verdict."""
    suspect = finding("PW104", "x", Verdict.SUSPECT, 0.99)
    leak = finding("PW105", "y", Verdict.LEAK, 0.8)
    crash = finding("PW201", "stack-overflow", Verdict.LEAK, 0.7)
    assert fuse([suspect, leak, crash]) == [crash, leak, suspect]


def test_a_burst_takes_in_its_crowd() -> None:
    """The crowd whose `go` statement the burst names is told once, its evidence kept."""
    burst = finding(
        "PW119", "constructor-per-request", site=site("run", WHEEL), rate_per_min=600.0, culprit=CULPRIT, count=90
    )
    crowd = finding("PW107", "select-without-exit", site=site("run", WHEEL), evidence=[Evidence("b", "census", "90")])
    assert fuse([crowd, burst]) == [burst]
    assert Evidence("b", "census", "90") in burst.evidence


def test_one_call_that_starts_several_is_one_finding() -> None:
    """Equal bursts behind one call: the exported constructor speaks, the other is evidence."""
    wheel = finding(
        "PW119", "constructor-per-request", site=site("a", WHEEL), rate_per_min=600.0, culprit=CULPRIT, count=90
    )
    stat = finding(
        "PW119", "constructor-per-request", site=site("b", STAT), rate_per_min=602.0, culprit=CULPRIT, count=91
    )
    assert fuse([stat, wheel]) == [wheel]
    assert "newStat" in wheel.evidence[-1].value
    other = replace(stat, culprit=replace_frame(CULPRIT, 99), evidence=[Evidence("a", "count", "9")])
    assert len(fuse([wheel, other])) == 2


def replace_frame(frame: Frame, line: int) -> Frame:
    return Frame(frame.function, frame.file, line)


def test_both_ends_of_a_connection_are_one_finding() -> None:
    """Same pattern, same creating function: the larger end speaks."""
    dial = Frame("net/http.(*Transport).dialConn", "transport.go", 1)
    ends = [
        finding("PW101", "http-connection-not-closed", site=site(n, dial), count=c)
        for n, c in (("read", 60), ("write", 61))
    ]
    (one,) = fuse(ends)
    assert one.count == 61
    assert "60 at lib.read" in one.evidence[1].value


def test_a_heap_bears_out_a_crowd() -> None:
    """Held memory and stuck goroutines in one package: both surer, the unknown crowd a suspect, the cause first."""
    heap = finding("PW301", "heap-retained", Verdict.SUSPECT, 0.7, culprit=CULPRIT, share=0.93)
    serve = Frame("example.com/shop/stream.ServeHTTP", "s.go", 4)
    copying = finding("PW114", "io-copy-slow-client", Verdict.UNKNOWN, 0.3, culprit=serve, count=63, site=site("s"))
    waiting = finding("PW115", "child-process-pipe", Verdict.UNKNOWN, 0.3, culprit=serve, count=72, site=site("w"))
    assert fuse([waiting, copying, heap]) == [heap, copying, waiting]
    assert abs(heap.confidence - 0.8) < 1e-9
    assert copying.verdict is Verdict.SUSPECT
    assert heap.title.endswith("where 63 goroutines are stuck (io-copy-slow-client)")


def test_system_calls_a_pattern_explains_are_not_told_twice() -> None:
    """A crowd in system calls with a leak pattern keeps only the pattern."""
    crowd = finding("PW402", "syscall-crowd", Verdict.SUSPECT, site=site("w"))
    pattern = finding("PW115", "child-process-pipe", site=site("w"))
    assert fuse([crowd, pattern]) == [pattern]
