"""Limits over a fleet: boundaries, who holds, what bears growth out, deploys, and how often ordinary services are accused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from bench.limits_quiet import simulate
from parkwarden.judge.fleet import fd_exhaustion
from parkwarden.judge.fleet.limits import Limits
from parkwarden.judge.fleet.nearing import near, numbers
from parkwarden.judge.fleet.rules import Rules
from parkwarden.model import Descriptors, Frame, Instance, Read, Reading, Signal, Site, SiteCounts, Started, Verdict
from parkwarden.model.events import Named
from parkwarden.run.engine import Engine, Tick

RULE = fd_exhaustion.FdRule()
COPY = Site("copy", "IO wait", "", "", 0, (Frame("os/exec.(*Cmd).writerDescriptor.func1", "exec.go", 560),))
WAIT = Site(
    "wait", "chan receive", "main.transcode", "/src/main.go", 88,
    (Frame("os/exec.(*Cmd).Wait", "exec.go", 930), Frame("main.transcode", "/src/main.go", 88)),
)  # fmt: skip
POOL = Site("pool", "select", "main.work", "/src/pool.go", 7, (Frame("main.work", "/src/pool.go", 7),))
UPLOAD = Site("up", "semacquire", "main.upload", "/src/up.go", 5, (Frame("main.upload", "/src/up.go", 5),))
ASK = Site("ask", "syscall", "main.lookup", "/src/dns.go", 31, (Frame("main.lookup", "/src/dns.go", 31),))


def series(values: Sequence[float], every_s: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(len(values)) * every_s, np.asarray(values, dtype=float)


def verdict(values: Sequence[float], limit: float = 1000.0, **more: float) -> tuple[Verdict, str]:
    times, told = series(values)
    found = near(times, told, limit, times[-1], RULE, **more)
    return found.verdict, found.why


def test_standing_is_tight_from_the_share_on() -> None:
    """799 of 1,000 is fine, 800 is tight, 995 is refused; nothing that stands is forecast."""
    assert verdict([799.0] * 40) == (Verdict.OK, "")
    assert verdict([800.0] * 40) == (Verdict.TIGHT, "near")
    assert verdict([994.0] * 40) == (Verdict.TIGHT, "near")
    assert verdict([995.0] * 40) == (Verdict.EXHAUSTING, "refused")


def test_a_peak_is_not_standing() -> None:
    """One reading above the share is a burst: the median of the last half minute counts."""
    assert verdict([500.0] * 39 + [900.0])[0] is Verdict.OK


def test_growth_is_believed_from_half_of_its_way() -> None:
    """From 0 of 1,000: a word from a quarter on, somebody is woken from a half on."""
    assert verdict([4.0 * i for i in range(50)])[0] is Verdict.OK
    assert verdict([4.0 * i for i in range(80)]) == (Verdict.TIGHT, "grows")
    assert verdict([4.0 * i for i in range(123)]) == (Verdict.TIGHT, "grows")
    assert verdict([4.0 * i for i in range(127)]) == (Verdict.EXHAUSTING, "grows")


def test_who_has_half_a_minute_is_told_within_it() -> None:
    """Growth since 20 s that arrives within 20 s is told, one that has longer waits for its 45 s; and none is told sooner."""
    flat = [20.0] * 9
    assert verdict(flat + [20 + 130.0 * i for i in range(7)])[1] == "grows"
    assert verdict(flat + [20 + 60.0 * i for i in range(7)])[0] is Verdict.UNKNOWN
    assert verdict([20 + 190.0 * i for i in range(5)])[0] is Verdict.UNKNOWN


def test_refused_below_the_limit_has_a_late_end() -> None:
    """996 of 1,000 and rising is told as now, and at the latest when the last four are gone; at the limit it is now."""
    times, rising = series([1000 - 8.0 * i for i in range(60)][::-1])
    below = numbers(near(times, rising - 4, 1000, times[-1], RULE))
    assert (below["left_s"], below["left_low_s"]) == (0.0, 0.0)
    assert 0.0 < below["left_high_s"] < 30.0
    assert numbers(near(times, rising, 1000, times[-1], RULE))["left_high_s"] == 0.0


def test_where_growth_began_before_the_ring_is_remembered() -> None:
    """From 600 on to 700 is a quarter of that way; having begun at 100 it is two thirds."""
    ramp = [600 + 0.8 * i for i in range(128)]
    assert verdict(ramp)[0] is Verdict.TIGHT or verdict(ramp)[0] is Verdict.OK
    assert verdict(ramp, start=100.0) == (Verdict.EXHAUSTING, "grows")


def test_a_leak_that_holds_it_bears_growth_out() -> None:
    """What is judged a leak by itself needs no part of the way."""
    ramp = [100 + 2.0 * i for i in range(100)]
    assert verdict(ramp)[0] is not Verdict.EXHAUSTING
    assert verdict(ramp, borne_out=True) == (Verdict.EXHAUSTING, "grows")


def test_too_little_and_too_old_are_unknown_with_a_cause() -> None:
    """Few readings, a gap and nothing told: unknown, and why."""
    times, values = series([10.0 * i for i in range(5)])
    assert near(times, values, 1000, times[-1], RULE).cause == "too short a span"
    assert near(times, values, 1000, times[-1] + 61, RULE).cause == "a gap in the readings"
    empty = np.empty(0)
    assert near(empty, empty, 1000, 0.0, RULE).cause == "the number is not told"


def test_a_near_limit_is_told_at_once() -> None:
    """A process that is seen for the first time near its limit needs no history for that to be said."""
    assert verdict([900.0, 900.0]) == (Verdict.TIGHT, "near")


class Service:
    """One instance told to a real engine, minute by minute."""

    def __init__(self, *sites: Site) -> None:
        self.engine, self.now = Engine(), 0.0
        self.engine.feed(Started(Instance(id="i", labels={"service": "s", "version": "1"}, start_time=-9e4), 0.0))
        for site in sites:
            self.engine.feed(Named(site))

    def minute(self, readings: Sequence[Reading], counts: dict[str, int], kinds: dict[str, int] | None = None) -> Tick:
        for reading in readings:
            self.engine.feed(Read(self.now, "i", reading))
            if kinds is not None:
                self.engine.feed(Descriptors(self.now, "i", kinds))
            self.now += 5.0
        self.engine.feed(SiteCounts(self.now - 5.0, "i", counts))
        return self.engine.tick(self.now - 5.0)


def fds(first: int, per_reading: int, limit: int = 1024) -> list[Reading]:
    return [Reading(open_fds=first + per_reading * i, max_fds=limit) for i in range(12)]


def test_the_finding_says_what_runs_out_when_and_who_holds_it() -> None:
    """As an engineer at 2 a.m. reads it: descriptors, minutes with interval, os/exec pipes, the line that waits for the commands."""
    service = Service(COPY, WAIT, POOL)
    for m in range(8):
        tick = service.minute(
            fds(50 + 96 * m, 8),
            {"copy": 10 + 96 * m, "wait": 5 + 48 * m, "pool": 64},
            {"pipe": 20 + 96 * m, "socket": 30},
        )
    found = next(f for f in tick.findings if f.pattern == "fd-exhaustion")
    assert found.verdict is Verdict.EXHAUSTING
    left = found.time_left
    assert left is not None
    assert left.limit == "fd-limit"
    truth = (1024 - (50 + 96 * 7 + 8 * 11)) / 1.6
    assert left.low_s <= truth <= left.high_s
    assert found.title.startswith("file descriptors run out in ")
    assert found.title.endswith(", held by os/exec pipes from main.transcode main.go:88")
    assert found.culprit == Frame("main.transcode", "/src/main.go", 88)
    assert found.site == COPY
    assert "pipe 692 (+" in found.evidence[0].value
    assert found.grade.value == ""  # descriptors a minute are not goroutines a minute


def test_what_no_frame_tells_is_found_by_growth_in_step() -> None:
    """Temporary files that somebody keeps while waiting for a lock: the site that grows with the kind, named as such."""
    service = Service(UPLOAD, POOL)
    for m in range(8):
        tick = service.minute(fds(50 + 96 * m, 8), {"up": 3 + 96 * m, "pool": 64}, {"deleted-file": 3 + 96 * m})
    found = next(f for f in tick.findings if f.pattern == "fd-exhaustion")
    assert found.title.endswith("held by deleted temporary files from main.upload up.go:5")
    assert "by growth in step" in found.evidence[0].value


def test_what_nobody_waits_for_is_named_by_kind_alone() -> None:
    """Files kept in a map: no goroutine holds them, and none is accused."""
    service = Service(POOL)
    for m in range(8):
        tick = service.minute(fds(50 + 96 * m, 8), {"pool": 64}, {"deleted-file": 3 + 96 * m})
    found = next(f for f in tick.findings if f.pattern == "fd-exhaustion")
    assert found.title.endswith(", held by deleted temporary files")
    assert found.site is None


def test_threads_are_held_by_system_calls() -> None:
    """The line in system calls that grows with the threads; the system's own limit where it is lower than Go's."""
    service = Service(ASK, POOL)
    for m in range(8):
        told = [Reading(threads=20 + 60 * m + 5 * i, max_threads=1000) for i in range(12)]
        tick = service.minute(told, {"ask": 10 + 60 * m, "pool": 64})
    found = next(f for f in tick.findings if f.pattern == "thread-exhaustion")
    assert found.verdict is Verdict.EXHAUSTING
    assert found.title.endswith("held by system calls from main.lookup dns.go:31")
    assert "the system's limit" in found.evidence[0].value


def test_a_deploy_under_the_same_name_begins_the_window_anew() -> None:
    """Growth of the old version is not the new one's."""
    service = Service(POOL)
    for m in range(8):
        service.minute(fds(50 + 96 * m, 8), {"pool": 64})
    service.engine.feed(Started(Instance(id="i", labels={"service": "s", "version": "2"}), service.now))
    tick = service.minute(fds(60, 0), {"pool": 64})
    assert [f for f in tick.findings if f.pattern == "fd-exhaustion"] == []


def test_a_limit_is_a_finding_beside_the_leak_that_drives_it() -> None:
    """The leak keeps its own finding, and its time left; neither swallows the other."""
    service = Service(COPY, WAIT, POOL)
    for m in range(40):
        tick = service.minute(fds(50 + 24 * m, 2), {"copy": 10 + 24 * m, "wait": 5 + 12 * m, "pool": 64})
    names = [(f.pattern, f.site.id if f.site else "") for f in tick.findings if f.verdict.rank >= Verdict.SUSPECT.rank]
    assert ("fd-exhaustion", "copy") in names
    assert any(site == "copy" and name != "fd-exhaustion" for name, site in names)
    assert all(f.time_left is not None for f in tick.findings if f.site is not None and f.verdict.certain)


def test_rows_beyond_the_budget_are_counted() -> None:
    """A fleet that moves as a whole is not looked at as a whole."""
    engine = Engine()
    for k in range(20):
        for i in range(100):
            engine.feed(Read(5.0 * k, f"i{i}", Reading(open_fds=500 + 10 * k, max_fds=1024)))
    engine.tick(95.0)
    assert engine.limits.put_off == 36


def test_nobody_with_numbers_costs_nothing() -> None:
    """Recordings of profiles alone have no limits."""
    engine = Engine()
    assert engine.limits.judge(0.0, Rules()) == []
    assert isinstance(engine.limits, Limits)


def tight(detector: str, share: float) -> Signal:
    return Signal(
        detector=detector, code="PW5", at=0.0, instance="i", site=None, verdict=Verdict.TIGHT, confidence=0.5, text=detector,
        numbers={"share": share, "value": share, "limit": 1.0},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fd_share", "memory_share", "n"), [(0.7, 0.7, 1), (0.69, 0.9, 0), (0.9, 0.69, 0), (0.9, 0.9, 1)]
)
def test_both_together_need_their_share_of_both(fd_share: float, memory_share: float, n: int) -> None:
    """From 0.7 of both limits on; load that rises takes more of both and is no matter below."""
    from parkwarden.judge.fleet import memory_and_descriptors

    said = [tight("fd-exhaustion", fd_share), tight("memory-exhaustion", memory_share)]
    assert len(memory_and_descriptors.signals(said, 0.0, memory_and_descriptors.TogetherRule())) == n
    assert memory_and_descriptors.signals(said[:1], 0.0, memory_and_descriptors.TogetherRule()) == []


def test_ordinary_services_are_hardly_ever_accused() -> None:
    """Ten days of ramps, storms, pools, caches and saw teeth sized tightly: at most one false `exhausting` (bench.limits_quiet counts more)."""
    told = simulate(10, 1.0, seed=5)
    episodes = told["episodes"]
    assert isinstance(episodes, dict)
    assert sum(n for name, n in episodes.items() if "exhausting" in name) <= 1
