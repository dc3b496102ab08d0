"""Who holds what runs out: a library's goroutines lead to the user's that grow with them."""

from __future__ import annotations

from parkwarden.model import Descriptors, Finding, Frame, Instance, Named, Read, Reading, Site, SiteCounts, Started
from parkwarden.run.engine import Engine

T0 = 1_700_000_000.0
READ = Frame("net/http.(*persistConn).readLoop", "net/http/transport.go", 2616)
LISTEN = Frame("main.(*media).listen", "/src/bodies.go", 28)
OTHER = Frame("main.(*pool).work", "/src/pool.go", 9)
SITES = {
    "reader": Site("reader", "select", *READ, (READ,), Frame("net/http.(*Transport).dialConn", "transport.go", 2123)),
    "listener": Site(
        "listener", "chan receive", *LISTEN, (LISTEN,), Frame("main.(*media).relay", "/src/bodies.go", 20)
    ),
    "pool": Site("pool", "select", *OTHER, (OTHER,), Frame("main.main", "/src/main.go", 3)),
}


def found(*, per_connection: int) -> Finding:
    """What is said of descriptors after three minutes: a connection every two seconds, each with so many goroutines of the user's."""
    engine = Engine()
    engine.feed(Started(Instance(id="i1", labels={"service": "media"}, start_time=T0), T0))
    for site in SITES.values():
        engine.feed(Named(site))
    said: list[Finding] = []
    for beat in range(37):
        at, n = T0 + 5.0 * beat, 2 * beat + beat // 2
        engine.feed(Read(at, "i1", Reading(at=at, goroutines=60 + 3 * n, open_fds=20 + n, max_fds=150)))
        engine.feed(Descriptors(at, "i1", {"socket": 14 + n, "file": 6}))
        if beat % 2 == 0:
            counts = {"reader": n, "listener": n * per_connection, "pool": 50}
            engine.feed(SiteCounts(at, "i1", {name: count for name, count in counts.items() if count}))
        said = [f for f in engine.tick(at).findings if f.code == "PW520"] or said
    return said[0]


def test_connections_of_a_client_lead_to_whoever_keeps_their_answers_open() -> None:
    """The HTTP client's own goroutine holds the socket; the line to be mended is the user's that waits beside each of them."""
    finding = found(per_connection=1)
    assert finding.culprit == LISTEN
    assert "main.(*media).listen" in finding.title


def test_who_does_not_grow_with_them_is_not_accused() -> None:
    """A standing pool of the user's, and one that grows at another pace, have no part in it: then the library's line is told."""
    for other in (0, 4):
        finding = found(per_connection=other)
        assert "net/http.(*persistConn).readLoop" in finding.title


def test_our_own_looks_hold_nothing() -> None:
    """A trace is taken because the limit is near: the goroutine that writes it grew from none to one, and is no holder of anything."""
    tracing = Frame("runtime/trace.(*traceMultiplexer).startLocked.func1", "runtime/trace/subscribe.go", 167)
    render = Frame("main.render", "/src/report.go", 12)
    for frame, named in ((tracing, False), (render, True)):
        engine = Engine()
        engine.feed(Started(Instance(id="i1", labels={"service": "reports"}, start_time=T0), T0))
        engine.feed(Named(Site("one", "syscall", *frame, (frame,), None)))
        said: list[Finding] = []
        for beat in range(37):
            at = T0 + 5.0 * beat
            used = (20 << 20) + beat * (3 << 20)
            engine.feed(Read(at, "i1", Reading(at=at, goroutines=60, mem_used=used, mem_limit=160 << 20)))
            engine.feed(SiteCounts(at, "i1", {"one": beat // 3} if beat > 5 else {}))
            said = [f for f in engine.tick(at).findings if f.code == "PW522"] or said
        assert said
        assert (frame.function in said[0].title) == named


def test_who_held_what_ran_out_is_still_known_at_the_limit() -> None:
    """Where descriptors are refused nothing grows any more: the line that grew with them on the way there is named, until there is room again."""
    engine = Engine()
    engine.feed(Started(Instance(id="i1", labels={"service": "media"}, start_time=T0), T0))
    engine.feed(Named(SITES["listener"]))
    titles: dict[int, str] = {}
    for beat in range(200):
        at, n = T0 + 5.0 * beat, min(2 * beat, 130) if beat < 180 else 20
        engine.feed(Read(at, "i1", Reading(at=at, goroutines=20 + n, open_fds=20 + n, max_fds=150)))
        engine.feed(Descriptors(at, "i1", {"socket": 4, "file": 16 + n}))
        if beat % 2 == 0:
            engine.feed(SiteCounts(at, "i1", {"listener": n}))
        for f in engine.tick(at).findings:
            if f.code == "PW520":
                titles[beat] = f.title
    assert "run out now" in titles[179]
    assert all("main.(*media).listen" in titles[beat] for beat in range(60, 180))
    assert 190 not in titles
