"""Who waits for a peer for minutes at one line and never leaves; and who does so by design."""

from __future__ import annotations

import numpy as np
import pytest

from parkwarden.aggregate.sites import SiteWindows
from parkwarden.judge.fleet.waits_without_deadline import DeadlineRule, judge, signals, waits_for_peer
from parkwarden.model import Census, Frame, Instance, Named, Site, SiteCounts, Verdict

RULE = DeadlineRule()
READ = Site("read", "IO wait", "main.proxy", "/p.go", 57, (Frame("net.(*conn).Read"), Frame("main.proxy", "/p.go", 57)))


def site(*functions: str, reason: str = "IO wait") -> Site:
    return Site("x", reason, functions[0], "", 0, tuple(Frame(name) for name in functions))


@pytest.mark.parametrize(
    ("functions", "waits"),
    [
        (("net.(*conn).Read", "main.proxy"), True),
        (("net.(*conn).Write", "main.send"), True),
        (("internal/poll.(*FD).Accept", "net.(*netFD).accept"), False),
        (
            (
                "net.(*conn).Read",
                "net/http.(*persistConn).Read",
                "bufio.(*Reader).Peek",
                "net/http.(*persistConn).readLoop",
            ),
            False,
        ),
        (("net.(*conn).Read", "net/http.(*connReader).Read", "net/http.(*conn).serve"), False),
        (("net.(*conn).Read", "net/http.(*connReader).backgroundRead"), False),
        (("net.(*conn).Read", "google.golang.org/grpc/internal/transport.(*http2Client).reader"), False),
        (("net.(*conn).Read", "github.com/gorilla/websocket.(*Conn).ReadMessage", "main.hub"), False),
        (("os.(*File).Read", "main.child"), False),
    ],
)
def test_only_who_owes_the_wait_to_a_peer_is_watched(functions: tuple[str, ...], waits: bool) -> None:
    """Listeners, idle connections, one reader per multiplexed connection, websockets and pipes wait by design."""
    assert waits_for_peer(site(*functions)) is waits
    assert not waits_for_peer(site(*functions, reason="select"))


def watched(*censuses: range, every_s: float = 60.0) -> SiteWindows:
    """One instance whose censuses, a minute apart, name these ids at READ."""
    sites = SiteWindows()
    sites.started(Instance(id="i", start_time=-1e5), 0.0)
    sites.named(READ)
    for k, ids in enumerate(censuses):
        sites.census(Census(k * every_s, "i", {"read": np.array(ids, np.int64)}, 10_000 + k * 100))
    return sites


def found(sites: SiteWindows) -> list[tuple[int, bool]]:
    return [(one.count, one.growing) for one in judge(sites.tables["i"], sites, {}, RULE)]


def test_ten_that_stay_for_five_minutes_are_named() -> None:
    """Nine are a pool of subscribers, ten for four minutes may still have a deadline."""
    assert found(watched(*[range(10)] * 6)) == [(10, False)]
    assert found(watched(*[range(9)] * 6)) == []
    assert found(watched(*[range(10)] * 5)) == []


def test_who_leaves_in_time_has_a_deadline() -> None:
    """Every minute other ids: nobody stays."""
    assert found(watched(*[range(100 * k, 100 * k + 50) for k in range(12)])) == []


def test_who_leaves_after_long_has_a_living_peer() -> None:
    """A crowd of which some leave at that age is no crowd without a deadline."""
    assert found(watched(*[range(4 * k, 40 + 4 * k) for k in range(14)])) == []


def test_counts_alone_tell_it_where_nobody_takes_a_census() -> None:
    """Profiles: as many or more in every minute, and hardly any change from look to look; a queue of the same size changes."""
    rng = np.random.default_rng(1)
    for counts, named in (([30 + k for k in range(10)], True), (rng.poisson(60, 10).tolist(), False)):
        sites = SiteWindows()
        sites.started(Instance(id="i", start_time=-1e5), 0.0)
        sites.named(READ)
        for k, n in enumerate(counts):
            sites.counted(SiteCounts(60.0 * k, "i", {"read": n}))
        assert bool(found(sites)) is named


def test_it_is_a_suspicion_that_is_told_to_nobody() -> None:
    """Suspect, below the confidence from which an incident opens, at the site."""
    sites = watched(*[range(30)] * 8)
    table = sites.tables["i"]
    (said,) = signals(table, judge(table, sites, {}, RULE), 420.0)
    assert (said.verdict, said.site, said.count) == (Verdict.SUSPECT, "read", 30)
    assert said.confidence < 0.8
    assert "7 min or longer" in said.text


def test_named_sites_are_what_is_remembered() -> None:
    """A site that comes to stand for something else is asked again."""
    sites, known = watched(*[range(10)] * 6), {}
    assert judge(sites.tables["i"], sites, known, RULE) != []
    sites.named(Named(site("internal/poll.(*FD).Accept")).site)
    sites.named(Site("read", "IO wait", "", "", 0, (Frame("internal/poll.(*FD).Accept"),)))
    assert judge(sites.tables["i"], sites, known, RULE) == []
