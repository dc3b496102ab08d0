"""A close look: half a minute of censuses tells a leak from what fills, serves, works or goes again."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from parkwarden.aggregate.sites import SiteWindows
from parkwarden.aggregate.windows import Windows
from parkwarden.judge.fleet.places import judge_places
from parkwarden.judge.fleet.rules import Rules
from parkwarden.judge.fleet.serving import READER
from parkwarden.model import Census, Frame, Instance, Signal, Site, Verdict

PER_S = 40.0
"""Goroutines the rest of the process starts a second: the clock of the ids."""
START = 12.0
"""The first census, seconds after the process began."""

Life = tuple[float, float]


def _judged(
    lives: list[Life],
    *,
    length: float = 30.0,
    beat: float = 2.0,
    ran: dict[float, set[int]] | None = None,
    told: bool = True,
    wait: str = "chan receive",
    frames: tuple[Frame, ...] = (),
    away: dict[float, set[int]] | None = None,
    readers: list[Life] | None = None,
) -> list[Signal]:
    """Signals of the close look at the end; lives are (born, died), `ran` who ran, by number of life, at which census, `away` who was elsewhere;
    `readers` read beside handlers to see their client go."""
    sites = SiteWindows()
    sites.started(Instance(id="a", labels={"service": "pay"}), START)
    sites.named(Site("s", wait, "main.wait", "main.go", 1, frames))
    sites.named(Site("read", "IO wait", READER, "server.go", 7, (Frame(READER, "server.go", 7),)))
    sites.named(Site("elsewhere", "select", "main.call", "main.go", 9, ()))
    at = START
    while at <= START + length:
        ids = {k: int(PER_S * born) * 8 + k % 8 for k, (born, died) in enumerate(lives) if born < at < died}
        gone = sorted(ids.pop(k) for k in (away or {}).get(round(at, 1), set()) & ids.keys())
        read = [int(PER_S * born) * 8 + 4 for born, died in readers or () if born < at < died]
        rising = sorted(ids.values())
        who = [ids[k] for k in sorted((ran or {}).get(round(at, 1), ())) if k in ids]
        sites.census(
            Census(
                at,
                "a",
                {
                    "s": np.array(rising, np.int64),
                    "elsewhere": np.array(gone, np.int64),
                    "read": np.array(sorted(read), np.int64),
                },
                int(PER_S * at) * 8 + 8,
                ran={"s": np.array(sorted(who), np.int64)} if told else None,
            )
        )
        at += beat
    return [s for s in judge_places(sites, Windows(), at, Rules()) if s.detector == "close-look" and s.site == "s"]


def _line(rate: float, until: float = 60.0, begin: float = 0.5) -> list[Life]:
    return [(begin + k / rate, 1e9) for k in range(int((until - begin) * rate))]


def _verdicts(found: list[Signal]) -> list[Verdict]:
    return [s.verdict for s in found]


@pytest.mark.parametrize("rate", [0.2, 1.0, 5.0, 50.0])
def test_a_straight_line_without_leavers_is_a_leak(rate: float) -> None:
    """From one in five seconds to fifty a second: who came before the first look counts by the id."""
    found = _judged(_line(rate))
    assert _verdicts(found) == [Verdict.LEAK]
    assert found[0].rate_per_min == pytest.approx(60 * rate, rel=0.25)


def test_what_slows_down_may_be_filling() -> None:
    """A pool with a time constant of twenty seconds: no leak, however many came."""
    lives = [(-20.0 * math.log(1 - k / 131), 1e9) for k in range(1, 131)]
    assert Verdict.LEAK not in _verdicts(_judged(lives))


def test_what_has_stopped_is_not_mentioned() -> None:
    """Two a second until it was full, ten seconds before the end."""
    assert not _judged(_line(2.0, until=30.0))


def test_a_crew_hired_at_once_is_no_line() -> None:
    """Sixty at the start and nobody since: nothing."""
    assert not _judged([(0.5 + k / 1000, 1e9) for k in range(60)])


def test_the_young_may_leave_the_old_may_not() -> None:
    """Traffic of two seconds beside one leak a second is a leak; where one in three of the old leaves it is none."""
    traffic = [(k / 3.0, k / 3.0 + 1 + k % 3) for k in range(140)]
    assert _verdicts(_judged(traffic + _line(1.0))) == [Verdict.LEAK]
    crowd = [(k / 3.0, k / 3.0 + (8.0 + k % 17 if k % 3 else 1e9)) for k in range(140)]
    lasting = [(k / 3.0, k / 3.0 + 6.0 + (k * 7) % 30) for k in range(140)]
    assert Verdict.LEAK in _verdicts(_judged(crowd))  # one in three of a mixed line stays for good
    assert not _judged(lasting)


def test_workers_that_share_their_work_are_suspects() -> None:
    """Forty came in a line, one of them runs in each census: a pool that fills would look like that."""
    lives = _line(1.0)
    looks = [round(START + 2 * k, 1) for k in range(16)]
    ran = {at: {i % 12} for i, at in enumerate(looks)}
    assert _verdicts(_judged(lives, ran=ran)) == [Verdict.SUSPECT]


def test_workers_that_each_run_for_themselves_are_accused() -> None:
    """The more there are, the more run: tickers nobody stops."""
    lives = _line(2.0)
    looks = [round(START + 2 * k, 1) for k in range(16)]
    ran = {at: {i for i in range(len(lives)) if (i + k) % 5 == 0} for k, at in enumerate(looks)}
    assert _verdicts(_judged(lives, ran=ran)) == [Verdict.LEAK]


LOOKS = [round(START + 2 * k, 1) for k in range(16)]


def test_a_few_with_clocks_of_their_own_are_accused() -> None:
    """Nine tickers whose period divides ours: always the same three run, the others never. Workers who take turns are suspects."""
    lives = _line(0.2)
    own = {at: {0, 2, 5} for at in LOOKS}
    turns = {at: {k % 9} for k, at in enumerate(LOOKS)}
    assert _verdicts(_judged(lives, ran=own)) == [Verdict.LEAK]
    assert _verdicts(_judged(lives, ran=turns)) == [Verdict.SUSPECT]


def test_news_for_all_tells_no_worker() -> None:
    """Twice all of them ran, else nobody: an event for each. Where some run now and then, so many jobs may have come at once."""
    lives = _line(0.2)
    everybody = set(range(len(lives)))
    told = {LOOKS[9]: everybody, LOOKS[13]: everybody}
    assert _verdicts(_judged(lives, ran=told)) == [Verdict.LEAK]
    assert _verdicts(_judged(lives, ran={**told, LOOKS[11]: {1, 3}})) == [Verdict.SUSPECT]


def test_where_nobody_idles_fewer_are_asked_for() -> None:
    """Five in a line: for a lock or a group it is a leak, in a select it may be quiet listeners."""
    lives = _line(0.2, begin=13.0)
    assert _verdicts(_judged(lives, wait="sync.Mutex.Lock")) == [Verdict.LEAK]
    assert _verdicts(_judged(lives, wait="select")) == [Verdict.SUSPECT]


def test_who_is_found_elsewhere_at_times_works() -> None:
    """Callers of a back end, each in a loop of its own: they run the more the more they are, and are seen at their calls."""
    lives = _line(0.7)
    ran = {at: {i for i in range(len(lives)) if (i + k) % 3 == 0} for k, at in enumerate(LOOKS)}
    assert _verdicts(_judged(lives, ran=ran)) == [Verdict.LEAK]
    assert _verdicts(_judged(lives, ran=ran, away={LOOKS[7]: {3}, LOOKS[12]: {8}})) == [Verdict.SUSPECT]


def test_handlers_without_a_client_are_accused_beside_those_with_one() -> None:
    """Traffic of some seconds has its readers; of those who stay nobody has."""
    serve = (Frame("main.serve", "main.go", 3), Frame("net/http.(*conn).serve", "server.go", 9))
    traffic = [(k / 1.5, k / 1.5 + 3.0 + (k * 7) % 5) for k in range(66)]
    found = _judged(traffic + _line(0.5), frames=serve, readers=traffic)
    assert _verdicts(found) == [Verdict.LEAK]
    waiting = _judged(traffic + _line(0.5), frames=serve, readers=traffic + _line(0.5))
    assert _verdicts(waiting) == [Verdict.SUSPECT]


def test_sleepers_may_wake() -> None:
    """Who sleeps and was never seen to wake may sleep for 45 s, once."""
    assert _verdicts(_judged(_line(2.0), wait="sleep")) == [Verdict.SUSPECT]


def test_long_polls_are_suspects() -> None:
    """Their clients may be waiting."""
    handler = (Frame("main.poll", "main.go", 3), Frame("google.golang.org/grpc.(*Server).handleStream", "server.go", 9))
    assert _verdicts(_judged(_line(2.0), frames=handler)) == [Verdict.SUSPECT]


def test_four_looks_say_nothing() -> None:
    """Too few looks are no verdict."""
    assert not _judged(_line(5.0), length=6.0)


@pytest.mark.parametrize("stay", [10.0, 30.0])
def test_lives_that_end_are_seldom_accused(stay: float) -> None:
    """Exponential lives as long as the watch, at any rate: the stated error is 1 in `leak_odds` sites."""
    draw = random.Random(7)
    wrong = 0
    for _ in range(100):
        rate, t, lives = draw.choice((0.3, 1.0, 4.0)), 0.0, []
        while (t := t + draw.expovariate(rate)) < 45:
            lives.append((t, t + draw.expovariate(1 / stay)))
        wrong += Verdict.LEAK in _verdicts(_judged(lives))
    assert wrong <= 5
