"""A library's constructor built per request, seen by a trace."""

from __future__ import annotations

from parkwarden.judge import creation_burst
from parkwarden.judge.fuse import fuse
from parkwarden.model import Case, Creation, Frame, Stack, Verdict
from tests.judge.cases import USER, trace

WHEEL = Frame("github.com/zeromicro/go-zero/core/collection.NewTimingWheelWithTicker", "timingwheel.go", 87)
BOOK = Frame("example.com/shop/pricing.NewBook", "book.go", 22)
CHAIN = Stack(
    (
        WHEEL,
        Frame("github.com/zeromicro/go-zero/core/collection.NewCache", "cache.go", 60),
        BOOK,
        Frame("example.com/shop/api.(*Server).price", "api.go", 40),
        Frame("net/http.HandlerFunc.ServeHTTP", "server.go", 2294),
    )
)
RUN = Frame("github.com/zeromicro/go-zero/core/collection.(*TimingWheel).run", "timingwheel.go", 250)


def made(count: int, alive: int) -> Case:
    creation = Creation(
        stack=CHAIN, start=RUN, count=count, first_s=0.0, last_s=2.0, peak_per_s=count, alive=alive, parents=count
    )
    return Case(artefacts=[trace("trace.out", [creation])], user_modules=USER)


def test_the_caller_in_user_code_is_the_culprit() -> None:
    """Creating line is the library's, culprit the user's constructor, with the rate and the pattern."""
    (finding,) = creation_burst.judge(made(20_000, 20_000))
    assert finding.pattern == "constructor-per-request"
    assert finding.verdict is Verdict.LEAK
    assert finding.culprit == BOOK
    assert finding.site is not None
    assert finding.site.created_by == WHEEL
    assert finding.rate_per_min == 600_000.0
    assert finding.title.startswith("10,000 goroutines/s by")


def test_workers_that_end_are_no_burst() -> None:
    """Created in numbers and gone again is a service at work; half of them staying is a suspicion."""
    assert creation_burst.judge(made(20_000, 100)) == []
    (finding,) = creation_burst.judge(made(200, 120))
    assert finding.verdict is Verdict.SUSPECT


def test_few_are_start_up() -> None:
    """Below MIN_ALIVE nobody is accused."""
    assert creation_burst.judge(made(49, 49)) == []
    assert len(creation_burst.judge(made(50, 50))) == 1


def test_fused_it_comes_first() -> None:
    """Ranked with nothing else it stays what it was."""
    findings = creation_burst.judge(made(1000, 1000))
    assert fuse(findings) == findings
