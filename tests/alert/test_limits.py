"""What runs out is a story of its own beside the leak that drives it, and reads as one."""

from __future__ import annotations

from parkwarden.alert.text import plain, title
from parkwarden.model import Finding, Grade, Priority, TimeLeft, Verdict
from tests.alert.build import T0, World, leak, trend


def runs_out(**fields: object) -> Finding:
    """Descriptors that a site holds."""
    left = TimeLeft(
        limit="fd-limit",
        at=T0,
        seconds=2460.0,
        low_s=1500.0,
        high_s=4200.0,
        value=640,
        limit_value=1024,
        rate_per_s=0.16,
    )
    given: dict[str, object] = {
        "code": "PW520",
        "pattern": "fd-exhaustion",
        "verdict": Verdict.EXHAUSTING,
        "title": "file descriptors run out in 41 min (25-70), held by os/exec pipes from main.transcode main.go:88",
        "count": 640,
        "rate_per_min": 9.4,
        "grade": Grade.NONE,
        "time_left": left,
    }
    return leak(**(given | fields))  # type: ignore[arg-type]


def test_a_limit_and_the_leak_of_the_same_site_are_two_incidents() -> None:
    """One says which line leaks, the other when the process ends: neither takes the other's place, neither silences it."""
    world = World()
    world.run(leak(), runs_out(), for_s=60)
    assert {row.detector for row in world.open} == {"send-without-receiver", "fd-exhaustion"}
    assert {n.incident.detector for n in world.sent} == {"send-without-receiver", "fd-exhaustion"}
    assert all(row.inhibited_by == "" for row in world.open)


def test_a_limit_without_a_holder_is_told_beside_a_firing_site() -> None:
    """A process-level finding is explained by a site; a limit is not."""
    world = World()
    world.run(leak(), for_s=60)
    world.run(leak(), runs_out(site=None, culprit=None), for_s=60)
    assert "fd-exhaustion" in {n.incident.detector for n in world.sent}


def test_a_limit_explains_nothing() -> None:
    """That descriptors run out does not keep the growth of goroutines quiet, nor does it take its incident over."""
    world = World()
    world.run(trend(), for_s=60)
    world.run(trend(), runs_out(), for_s=60)
    assert {row.detector for row in world.open} == {"goroutine-trend", "fd-exhaustion"}
    assert all(row.inhibited_by == "" for row in world.open)


def test_it_reads_as_what_it_is() -> None:
    """Title with minutes and interval, descriptors counted as descriptors, the time left in words, as urgent as half an hour is."""
    world = World()
    world.run(runs_out(), for_s=20)
    told = world.sent[-1]
    assert "file descriptors run out in 41 min (25-70), held by os/exec pipes from main.transcode main.go:88" in title(
        told
    )
    lines = plain(told).splitlines()
    assert "Open descriptors: 640" in lines
    assert "Time left: 41 min until file descriptors run out (25 min to 70 min)" in lines
    assert told.incident.priority is Priority.P0


def test_tight_alone_is_told_to_nobody() -> None:
    """A limit that is merely near opens no incident; near together with memory it does, after the time of a slow suspect."""
    world = World()
    world.run(runs_out(verdict=Verdict.TIGHT, confidence=0.6, time_left=None), for_s=300)
    assert world.open == []
    both = runs_out(
        code="PW523", pattern="memory-and-descriptors", verdict=Verdict.TIGHT, confidence=0.85, time_left=None
    )
    world.run(both, for_s=300)
    assert [row.detector for row in world.open] == ["memory-and-descriptors"]
