"""The words of an alert."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.alert.text import MAX_BODY, MAX_TITLE, markdown, plain, time_left, title
from parkwarden.model import EvidenceItem, Notification, Tell
from tests.alert.build import T0, World, leak, left


def told(**fields: object) -> Notification:
    world = World()
    world.run(leak(**fields), for_s=20)  # type: ignore[arg-type]
    return world.sent[-1]


def test_plain_text_says_everything_a_person_needs() -> None:
    """What, which line, since which version and when, rate, time left with interval, what to do, runbook, evidence."""
    n = told(time_left=left(15_000, 10_800))
    assert title(n) == "[P1] FIRING orders (prod): send without receiver: 120 goroutines"
    assert plain(n).splitlines() == [
        "Service: orders (prod)",
        "Line: main.Serve /src/serve.go:7",
        "Since: version v7, 2023-11-14 22:08:20 UTC",
        "Growth: 6.0/min (yellow)",
        "Goroutines here: 120",
        "Time left: 4 h 10 min until memory limit (3 h to 8 h 20 min)",
        "Instances: a:6060",
        "Verdict: leak, 95 % sure (PW104 send-without-receiver)",
        "Runbook: PW104",
        "Incident: i1",
        "- 118 of 120 goroutines survived 3 censuses",
        "",
        "What to do: Close the channel.",
    ]


def test_resolved_says_how_long_and_gives_no_advice() -> None:
    """The last word tells when it was over and after how long; advice would only confuse."""
    world = World()
    world.run(leak(), for_s=60)
    world.run(for_s=400)
    n = world.sent[-1]
    assert n.tell is Tell.RESOLVED
    assert "RESOLVED" in title(n)
    assert any(line.startswith("Over: ") and line.endswith("after 6 min") for line in plain(n).splitlines())
    assert "What to do" not in plain(n)


def test_evidence_is_named_even_without_a_page() -> None:
    """Without a web page the command that shows the evidence is told."""
    world = World()
    item = EvidenceItem(
        digest="ab" * 32, kind="trace", instance="a:6060", service="orders", at=T0, bytes=1, stored_bytes=1
    )
    world.run(leak(), for_s=20)
    world.run(leak(), for_s=100, evidence=[item])
    assert "Evidence: parkwarden evidence show abababababababab" in plain(world.sent[-1])


@pytest.mark.parametrize(
    ("high", "words"),
    [(float("inf"), "(10 min to never)"), (1800.0, "(10 min to 30 min)"), (None, "(10 min to never)")],
)
def test_the_interval_of_time_left_may_be_open(high: float | None, words: str) -> None:
    """Growth that may be none ends never, in words."""
    row = told().incident.changed(time_left_s=1200.0, time_left_low_s=600.0, time_left_high_s=high, limit="fd-limit")
    assert time_left(row) == f"20 min until file descriptors run out {words}"


HOSTILE = "\x1b[2J\u202e[click](http://evil) @everyone <!channel> `x` \n# heading\r**bold** <script>"


def test_hostile_names_are_inert() -> None:
    """No control character, no line of their own, no mention and no Markdown comes from a watched process."""
    n = told(title=HOSTILE, service=HOSTILE, instances=(HOSTILE,), advice=HOSTILE, culprit=None)
    for text in (title(n), plain(n), markdown(n)):
        assert not any(ord(char) < 32 and char != "\n" for char in text)
        assert "\u202e" not in text
        assert "@everyone" not in text
        assert "<!channel>" not in text
        assert "\n# heading" not in text
    assert "\n" not in title(n)
    assert "[click](" not in markdown(n)
    assert "<script>" not in markdown(n)
    assert " `x` " not in markdown(n)


@given(st.text(max_size=50), st.integers(0, 10**6), st.floats(allow_nan=True))
def test_text_is_bounded_whatever_it_tells(piece: str, times: int, number: float) -> None:
    """Title and body have an end, and no input makes them raise."""
    long = piece * (1 + times % 3000)
    n = told()
    row = n.incident.changed(
        title=long,
        service=long,
        line=long,
        advice=long,
        why=(long,) * 100,
        instances=(long,) * 100,
        since=number,
        time_left_s=number,
        time_left_low_s=number,
        time_left_high_s=number,
        rate_per_min=number,
        acknowledged_by=long,
    )
    n = Notification(key="k", incident_id="i", channel="c", tell=Tell.FIRING, at=T0, incident=row, news=(long,) * 3)
    assert len(title(n)) <= MAX_TITLE + 10
    assert len(plain(n)) <= MAX_BODY
    assert len(markdown(n)) <= MAX_BODY
