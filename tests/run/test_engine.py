"""The engine: the same events and ticks give the same findings, wherever they come from."""

from __future__ import annotations

from parkwarden.model import (
    Finding,
    Frame,
    Gone,
    Instance,
    Named,
    Read,
    Reading,
    Site,
    SiteCounts,
    Started,
    Verdict,
)  # fmt: skip
from parkwarden.run.engine import BLIND_AFTER_S, MODULE_STACKS, Engine

FRAMES = (Frame("main.quote", "/src/shop/price.go", 42),)
SITE = Site("s1", "chan send", "main.quote", "/src/shop/price.go", 42, FRAMES, Frame("main.buy", "/src/shop/buy.go", 7))


def fast_leak(
    engine: Engine, until: float, *, instance: str = "i1", sites: bool = True, begins: float = 60.0
) -> list[Finding]:
    """50 goroutines a second from `begins` on; the findings of the last tick."""
    engine.feed(Started(Instance(id=instance, labels={"service": "shop", "version": "v7"}, start_time=0.0), 0.0))
    engine.feed(Named(SITE))
    findings: list[Finding] = []
    at = 0.0
    while at <= until:
        leaked = int(max(0.0, at - begins) * 50)
        engine.feed(Read(at, instance, Reading(at=at, goroutines=100 + leaked, threads=9)))
        if sites:
            engine.feed(SiteCounts(at, instance, {"s1": leaked}))
        findings = engine.tick(at).findings
        at += 5.0
    return findings


def test_a_fast_leak_is_told_by_process_then_by_line() -> None:
    """Without profiles the process is accused; with them the line is, and the process is its evidence."""
    (process,) = [f for f in fast_leak(Engine(), 120.0, sites=False) if f.pattern == "goroutine-trend"]
    assert process.site is None
    assert process.rate_per_min is not None
    places = [f for f in fast_leak(Engine(), 120.0) if f.verdict.rank >= Verdict.SUSPECT.rank]
    assert [f.site.id for f in places if f.site] == ["s1"]
    assert any(e.what == "goroutine-trend" for e in places[0].evidence)
    assert places[0].since_version == "v7"


def test_it_is_told_within_fifteen_seconds_of_what_the_rule_allows() -> None:
    """50 a second: 30 s after the first leaked goroutine deviation and slope have passed the rule, and it is told."""
    assert fast_leak(Engine(), 90.0, sites=False)
    assert not fast_leak(Engine(), 60.0, sites=False)


def test_who_falls_silent_keeps_what_was_said_of_it() -> None:
    """A process that died of its leak is not cured of it: its findings stay until it answers or is gone."""
    engine = Engine()
    before = fast_leak(engine, 120.0)
    silent = engine.tick(120.0 + 10 * BLIND_AFTER_S)
    assert list(silent.blind) == ["i1"]
    assert [f.site for f in silent.findings] == [f.site for f in before]
    engine.feed(Gone(2000.0, "i1"))
    gone = engine.tick(2000.0)
    assert (gone.findings, dict(gone.blind)) == ([], {})


def test_we_were_away_not_they() -> None:
    """After our own restart nobody is blind because of the time we did not look."""
    engine = Engine()
    fast_leak(engine, 120.0)
    engine.resumed(4000.0)
    assert not engine.tick(4000.0).blind
    assert engine.tick(4000.0 + BLIND_AFTER_S + 1).blind


def test_two_engines_agree() -> None:
    """Pure in what it is fed: two runs give equal findings."""
    assert fast_leak(Engine(), 150.0) == fast_leak(Engine(), 150.0)


def test_news_of_somebody_unknown_introduces_him() -> None:
    """A reading before any header is not lost."""
    engine = Engine()
    engine.feed(Read(1.0, "stranger", Reading(at=1.0, goroutines=5)))
    assert engine.instance("stranger").service == "stranger"
    assert engine.windows.last("stranger", "goroutines") == 5


def test_a_clock_that_was_set_back_blinds_nobody() -> None:
    """An hour back in the middle of a leak: the windows begin anew by themselves and the leak is found again, with its line."""
    engine = Engine()
    fast_leak(engine, 3700.0, begins=3600.0)
    found: list[Finding] = []
    for k in range(60):
        at = 100.0 + 5.0 * k
        engine.feed(Read(at, "i1", Reading(at=at, goroutines=5000 + 250 * k)))
        engine.feed(SiteCounts(at, "i1", {"s1": 4900 + 250 * k}))
        found = engine.tick(at).findings
    assert [f.site.id for f in found if f.site and f.verdict.rank >= Verdict.SUSPECT.rank] == ["s1"]


def test_services_and_sites_that_never_end_are_bounded() -> None:
    """New services at each refresh and new sites in each profile: what is remembered of them does not grow for ever."""
    engine = Engine()
    for i in range(30):
        at = i * 60.0
        for n in range(20):
            name = f"i{i}-{n}"
            engine.feed(Started(Instance(id=name, labels={"service": name}, start_time=0.0), at))
            engine.feed(SiteCounts(at, name, {f"s{i}-{k}": 5 for k in range(10)}))
        engine.feed(SiteCounts(at, "always", {f"s{i}-{k}": 5 for k in range(MODULE_STACKS // 4)}))
        engine.tick(at)
        for n in range(20):
            engine.feed(Gone(at, f"i{i}-{n}"))
    assert len(engine._services) <= 2 * len(engine.instances) + 100 + 20
    assert max(len(service.sites) for service in engine._services.values()) < 2 * MODULE_STACKS


def test_who_is_expected_and_never_answers_is_blind() -> None:
    """A target that is down from the start is a silence like any other; being expected again changes nothing."""
    engine = Engine()
    engine.expect(Instance(id="i1", labels={"service": "shop"}), 100.0)
    assert not engine.tick(100.0 + BLIND_AFTER_S).blind
    engine.expect(Instance(id="i1", labels={"service": "shop"}), 125.0)
    assert dict(engine.tick(101.0 + BLIND_AFTER_S).blind) == {"i1": 100.0}
    assert engine.instance("i1").service == "shop"


def test_who_is_read_once_a_minute_is_not_blind_in_between() -> None:
    """Patience follows the pace of the readings; a hole does not become the pace."""
    engine = Engine()
    for at in (0.0, 60.0, 120.0):
        engine.feed(Read(at, "i1", Reading(at=at, goroutines=5)))
    assert not engine.tick(120.0 + 179.0).blind
    assert engine.tick(120.0 + 181.0).blind
    engine.feed(Read(1320.0, "i1", Reading(at=1320.0, goroutines=5)))  # twenty minutes were missed
    assert engine.tick(1320.0 + 230.0).blind
