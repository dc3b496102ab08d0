"""Headlines: each thing once, trouble when it begins and when it ends."""

from __future__ import annotations

from parkwarden.model import Capture, Finding, Signal, TimeLeft, Verdict
from parkwarden.run.headlines import QUIET_S, Headline, Headlines, time_left_words


def signal(verdict: Verdict = Verdict.SUSPECT) -> Signal:
    return Signal(
        detector="goroutine-trend",
        code="PW501",
        at=0.0,
        instance="i",
        site=None,
        verdict=verdict,
        confidence=0.5,
        text="rises",
    )


def test_a_suspicion_is_told_once_and_again_after_a_while() -> None:
    """The same statement at every beat is one headline; after QUIET_S without it, it is news again."""
    told: list[Headline] = []
    headlines = Headlines(told.append)
    for at in (0.0, 5.0, 10.0):
        headlines.suspicions(at, [signal()])
    assert [h.text for h in told] == ["i: goroutine-trend: rises"]
    headlines.suspicions(10.0 + QUIET_S + 1, [signal()])
    assert len(told) == 2


def test_a_worse_verdict_is_news() -> None:
    """Suspect, then leak: two headlines; unknown is none."""
    told: list[Headline] = []
    headlines = Headlines(told.append)
    for verdict in (Verdict.UNKNOWN, Verdict.SUSPECT, Verdict.LEAK, Verdict.LEAK):
        headlines.findings(0.0, [Finding(code="PW104", verdict=verdict, confidence=0.9, title="t", service="shop")])
    assert [h.text.split(" (")[0] for h in told] == ["shop: suspect", "shop: leak"]


def test_trouble_is_told_when_it_begins_changes_and_ends() -> None:
    """A full disk is one headline, not one per beat, and its end is one."""
    told: list[Headline] = []
    headlines = Headlines(told.append)
    for troubles in ({}, {"state": "full"}, {"state": "full"}, {"state": "read-only"}, {}, {}):
        headlines.troubles(1.0, troubles)
    assert [(h.kind, h.text) for h in told] == [
        ("trouble", "state: full"),
        ("trouble", "state: read-only"),
        ("recovered", "state: well again"),
    ]


def test_captures_of_a_kind_are_told_once_while_the_suspicion_lasts() -> None:
    """A profile every five seconds for a minute is one headline."""
    told: list[Headline] = []
    headlines = Headlines(told.append)
    for at in (0.0, 5.0, 10.0):
        headlines.captured(
            Capture(instance="i", service="s", kind="trace", at=at, body=b"x" * 2000, why="goroutine-trend")
        )
    assert len(told) == 1
    assert "2,000 bytes" in told[0].text


def test_a_time_left_without_an_end_says_never() -> None:
    """An interval that may be infinite is said as such."""
    left = TimeLeft(
        limit="fd-limit",
        at=0.0,
        seconds=720.0,
        low_s=540.0,
        high_s=float("inf"),
        value=1.0,
        limit_value=2.0,
        rate_per_s=1.0,
    )
    assert time_left_words(left) == "fd-limit in 12 min (9 min to never)"
