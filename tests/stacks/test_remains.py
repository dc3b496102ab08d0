"""What a process has more of than it began with."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from parkwarden.model import Frame, Snapshot, Source, Stack, make_snapshot
from parkwarden.stacks.remains import passing, remains, standing


def stack(*functions: str, line: int = 1) -> Stack:
    return Stack(tuple(Frame(name, f"{name.rpartition('.')[0]}/x.go", line + i) for i, name in enumerate(functions)))


IDLE = stack("runtime.gopark", "example.com/shop.(*Pool).next", "example.com/shop.(*Pool).work")
BUSY = stack("example.com/shop.price", "example.com/shop.(*Pool).work", line=90)
LEAK = stack("runtime.gopark", "runtime.chansend1", "example.com/shop.quote.func1")


def snapshot(*rows: tuple[Stack, int]) -> Snapshot:
    return make_snapshot(
        Source.PROFILE, [s for s, _ in rows], list(range(len(rows))), count=[n for _, n in rows]
    )  # fmt: skip


def more(before: Sequence[tuple[Stack, int]], *ends: Sequence[tuple[Stack, int]]) -> list[tuple[str, int]]:
    found = remains(standing(snapshot(*before)), [standing(snapshot(*end)) for end in ends])
    return [(one.start.rpartition(".")[2], one.more) for one in found]


def test_a_worker_that_is_busy_now_is_no_new_one() -> None:
    """Goroutines are compared by where they began: the same crew at another line is the same crew."""
    assert more([(IDLE, 10)], [(IDLE, 6), (BUSY, 4)]) == []
    assert more([(IDLE, 10)], [(IDLE, 8), (BUSY, 4)]) == [("work", 2)]


def test_the_fewest_of_several_looks_count() -> None:
    """A burst has no floor: what is gone in one of the looks was not left behind."""
    assert more([], [(LEAK, 500)], [(LEAK, 3)], [(LEAK, 400)]) == [("func1", 3)]
    assert more([], [], [(LEAK, 400)]) == []
    assert remains([], []) == []


def test_new_sites_are_named_with_what_they_had() -> None:
    """Each new site says how many stand there and how many did."""
    (one,) = remains(standing(snapshot((IDLE, 4))), [standing(snapshot((IDLE, 5), (BUSY, 7)))])
    assert (one.before, one.now) == (4, 12)
    assert [(site.function.rpartition(".")[2], site.count, before) for site, before in one.sites] == [
        ("price", 7, 0),
        ("next", 5, 4),
    ]


@pytest.mark.parametrize(
    ("frames", "left_out"),
    [
        (("runtime.gopark", "runtime.bgsweep", "runtime.goexit"), True),
        (("runtime/pprof.writeGoroutine", "net/http/pprof.handler.ServeHTTP", "net/http.(*conn).serve"), True),
        (("expvar.Handler.func1", "net/http.HandlerFunc.ServeHTTP", "net/http.(*conn).serve"), True),
        (("internal/poll.(*FD).Read", "net.(*conn).Read", "net/http.(*connReader).Read", "net/http.(*conn).serve"), True),
        (("internal/poll.(*FD).Read", "net.(*conn).Read", "net/http.(*connReader).backgroundRead"), True),
        (("runtime.gopark", "os/signal.signal_recv", "os/signal.loop", "runtime.goexit"), True),
        (("sync.(*Mutex).Lock", "example.com/shop.buy", "net/http.(*conn).serve"), False),
        (("runtime.gopark", "net/http.(*persistConn).readLoop"), False),
        (("runtime.gopark", "main.main", "runtime.main"), False),
    ],
)  # fmt: skip
def test_looking_and_being_asked_leave_nothing_behind(frames: tuple[str, ...], left_out: bool) -> None:
    """The runtime's own, answers to a look and idle served connections do not count; a stuck handler and the service's own
    client connections do."""
    assert passing(stack(*frames)) is left_out
    assert bool(standing(snapshot((stack(*frames), 3)))) is not left_out


def test_a_goroutine_nobody_can_place_is_left_out() -> None:
    """Stacks without a frame to show name no site."""
    assert standing(snapshot((Stack(()), 2), (stack("runtime.goexit"), 1))) == []
