"""Peers' rules behave as published, on hand-made series."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from bench.leakbench.peers import WHOLE, Peer, peers
from bench.leakbench.peers.base import Beat
from bench.leakbench.peers.eve_watcher import EveWatcher, grows
from bench.leakbench.peers.goroutinedumper import GoroutineDumper
from bench.leakbench.peers.holmes import README, Holmes
from bench.leakbench.peers.leakprof import LeakProf
from bench.leakbench.peers.monigo import MoniGoGrowing, MoniGoStale
from bench.leakbench.peers.prometheus import Rule, Series, above, grown, rising
from bench.leakbench.peers.recurrence import Goleaked, Goroscope
from parkwarden.model import Census, Instance, Named, Read, Reading, Site, SiteCounts, Started

HOUR, DAY = 3600.0, 86_400.0


def fired(peer: Peer, step_s: float, counts: Iterable[float], begin: float = 0.0) -> list[float]:
    """Times at which the peer accuses the process, read every `step_s`."""
    found = []
    for k, n in enumerate(counts):
        at = begin + k * step_s
        peer.feed(Read(at, "i", Reading(at=at, goroutines=round(n))))
        if peer.tick(at) == {WHOLE}:
            found.append(at)
    return found


def accused(peer: Peer, looks: Iterable[dict[str, int]], step_s: float = 60.0) -> list[set[str]]:
    """What the peer accuses after each goroutine profile."""
    found = []
    for k, counts in enumerate(looks):
        peer.feed(SiteCounts(k * step_s, "i", counts))
        found.append(peer.tick(k * step_s))
    return found


def restart(peer: Peer, at: float) -> None:
    peer.feed(Started(Instance(id="i", start_time=at), at))


def test_a_beat_lets_one_look_through_per_interval() -> None:
    """Readings of 5 s are thinned to the peer's minute; an early one by a tick is still the next; after a hole the beat starts anew."""
    beat = Beat(60.0)
    assert [at for at in range(0, 200, 5) if beat.due(at)] == [0, 60, 120, 180]
    assert beat.due(239.9)
    assert beat.due(1000.0)
    assert not beat.due(1059.0)


def test_every_peer_has_its_own_name_and_is_silent_about_nothing() -> None:
    """Names are unique, and a process with one steady goroutine count is accused by nobody but the recurrence rule."""
    names = [peer.name for peer in peers()]
    assert len(set(names)) == len(names)
    for peer in peers():
        said = accused(peer, [{"a": 10}] * 30)
        assert said[-1] == ({"a"} if peer.name == "goleaked" else set()), peer.name


def test_leakprof_adds_up_sites_of_one_line() -> None:
    """More than 10,000 blocked at one source line, however many stacks lead there; 10,000 is not more; other reasons do not count."""
    peer = LeakProf()
    for name, line, reason in (("a", 7, "chan send"), ("b", 7, "chan send"), ("c", 9, "sync.Mutex.Lock")):
        peer.feed(Named(Site(id=name, wait_reason=reason, function="f", file="f.go", line=line, frames=())))
    assert accused(peer, [{"a": 6000, "b": 4001, "c": 20_000}]) == [{"a", "b"}]
    assert accused(LeakProf(), [{"a": 10_000}]) == [set()]


def test_leakprof_looks_once_a_day_unless_lowered() -> None:
    """A line that passes the threshold at noon is told by the next day's profile; our lowered variants look at each."""
    peer = LeakProf()
    assert accused(peer, [{"a": 1}, {"a": 20_000}], step_s=HOUR) == [set(), set()]
    peer.feed(SiteCounts(DAY, "i", {"a": 20_000}))
    assert peer.tick(DAY) == {"a"}
    assert accused(LeakProf("low", 100, 0.0), [{"a": 1}, {"a": 101}]) == [set(), {"a"}]


@pytest.mark.parametrize(("percent", "fires"), [(3.5, False), (3.9, True)])
def test_holmes_needs_3_7_percent_per_sample_of_linear_growth(percent: float, fires: bool) -> None:
    """c >= 1.2 (c - 4.5 d) only if d >= c / 27 = 3.7 % of the present count per 5 s sample."""
    last = 200_000 / 2
    step = last * percent / 100
    counts = [last - step * (9 - k) for k in range(10)]
    assert bool(fired(Holmes(), 5, counts)) == fires


def test_holmes_with_defaults_never_tells_a_slow_leak() -> None:
    """One goroutine a second on top of 3,000 for a day passes neither the 20 % nor the 200,000."""
    assert fired(Holmes(), 5, (3000 + 5 * k for k in range(17_280))) == []


def test_holmes_warms_up_cools_down_and_forgets_at_a_restart() -> None:
    """No dump before the tenth sample; none within ten minutes of the last; a new process warms up again."""
    spiky = [3000] * 9 + [9000] + [3000] * 60 + [9000] + [3000] * 60 + [9000]
    peer = Holmes()
    assert fired(peer, 5, spiky) == [45.0, 655.0]
    restart(peer, 0.0)
    restart(peer, 10_000.0)
    assert fired(peer, 5, [3000, 9000], begin=10_000.0) == []


def test_holmes_with_a_maximum_is_blind_above_it() -> None:
    """With the README's max of 10,000 a process above never dumps, at any rate, though abs is 2,000."""
    assert fired(Holmes("readme", README), 5, (10_000 * 1.1**k for k in range(100))) == []
    assert fired(Holmes("readme", README), 5, [2001] * 10) == [45.0]


def test_holmes_dumps_at_every_hourly_burst() -> None:
    """Healthy bursts to twice 4,000 for two minutes each hour are a dump each."""
    day = [8000 if (5 * k) % 3600 < 120 else 4000 for k in range(720, 17_280)]
    assert len(fired(Holmes(), 5, [4000] * 720 + day)) == 23


def test_goroutinedumper_only_ratchets_up() -> None:
    """At the first count above 1,000, then at twice the largest dumped: 8,000 to 15,999 never; a restart forgets."""
    peer = GoroutineDumper()
    assert fired(peer, 10, [1000, 1001, 2001, 2002, 8000, 15_999, 100, 15_999, 16_000]) == [10.0, 30.0, 40.0, 80.0]
    restart(peer, 0.0)
    restart(peer, 1000.0)
    assert fired(peer, 10, [1001], begin=1000.0) == [1000.0]


def test_eve_fires_on_a_healthy_day() -> None:
    """A daily swing of 400 to 1,600 without a leak is an alarm wherever its ramp is steadier than its scatter."""
    rng = np.random.default_rng(1)
    day = 1000 + 600 * np.sin(2 * np.pi * np.arange(1440) / 1440) + rng.normal(0, 0.5, 1440)
    assert len(fired(EveWatcher(), 60, day)) > 100
    assert fired(EveWatcher(), 60, [1000.0] * 1440) == []


def test_eve_misses_a_leak_in_noise() -> None:
    """A goroutine a minute under a scatter of 17 never stands out from the differences' deviation."""
    rng = np.random.default_rng(2)
    assert fired(EveWatcher(), 60, 300 + np.arange(1440) + rng.normal(0, 17, 1440)) == []
    assert fired(EveWatcher(), 60, 300 + np.arange(30))[0] == 600.0


def test_eve_alarms_above_its_threshold_whatever_the_trend() -> None:
    """5,001 goroutines are an alarm at the first look, 5,000 steady ones are none."""
    assert fired(EveWatcher(), 60, [5000] * 20 + [5001]) == [1200.0]
    assert not grows([5000] * 10)


def test_monigo_needs_five_rising_looks_and_one_dip_resets_it() -> None:
    """In the oldest of five looks and higher in each later one; an equal look or a dip starts it over."""
    rising_counts = [{"a": n} for n in (1, 2, 3, 4, 5)]
    assert accused(MoniGoGrowing(), rising_counts, 300.0)[-1] == {"a"}
    dipped = [{"a": n} for n in (1, 2, 3, 4, 3, 4, 5, 6)]
    assert all(not said for said in accused(MoniGoGrowing(), dipped, 300.0))
    assert accused(MoniGoGrowing(), [{}, *rising_counts[:4]], 300.0)[-1] == set()


def test_monigo_looks_every_five_minutes_and_forgets_at_a_restart() -> None:
    """Rising profiles of 60 s are five looks only after twenty minutes; a restart begins anew."""
    said = accused(MoniGoGrowing(), [{"a": n + 1} for n in range(21)], 60.0)
    assert [k for k, who in enumerate(said) if who] == [20]
    peer = MoniGoGrowing()
    restart(peer, 0.0)
    accused(peer, [{"a": n + 1} for n in range(5)], 300.0)
    restart(peer, 2000.0)
    assert peer.tick(2000.0) == set()


def test_monigo_stale_is_a_day_without_work() -> None:
    """A goroutine there for 24 h is stale, unless a census saw it at work since."""
    idle, busy = MoniGoStale(), MoniGoStale()
    one = np.array([7])
    for k in range(289):
        idle.feed(Census(k * 300.0, "i", {"a": one}, 7))
        busy.feed(Census(k * 300.0, "i", {"a": one}, 7, ran={"a": one} if k == 100 else {}))
    assert (idle.tick(DAY), busy.tick(DAY)) == ({"a"}, set())


def test_goroscope_marks_what_is_above_its_first_sight() -> None:
    """More than when first seen and at least three; it is no mark any more once it is back."""
    assert accused(Goroscope(), [{"a": 1, "b": 5}, {"a": 2, "b": 5}, {"a": 3, "b": 6}, {"a": 3, "b": 5}]) == [
        set(),
        set(),
        {"a", "b"},
        {"a"},
    ]


def test_goleaked_marks_every_permanent_worker() -> None:
    """Recurrence is not growth: a ticker that is always there is marked, a stack seen now and then is not."""
    assert accused(Goleaked(), [{"ticker": 1} | ({"rare": 1} if k == 1 else {}) for k in range(5)])[-1] == {"ticker"}


def test_prometheus_deriv_is_the_least_squares_slope() -> None:
    """On a line the slope itself; fewer than two samples in the range give none; the range's begin is open."""
    series = Series()
    series.add(0.0, 100.0)
    assert series.deriv(0.0, 300.0) is None
    for k in range(1, 41):
        series.add(15.0 * k, 100.0 + 30.0 * k)
    assert series.deriv(600.0, 300.0) == pytest.approx(2.0)
    assert series.offset(600.0, 300.0) == 100.0 + 30.0 * 20
    assert series.offset(600.0, 3600.0) is None


def test_a_rule_fires_when_it_has_held_for_long_enough() -> None:
    """`for: 5m` needs the condition at every evaluation of five minutes; one that fails starts over."""
    rule = Rule("r", above(1000), 300.0)
    counts = [1001] * 16 + [1000] * 4 + [1001] * 21 + [0] * 4
    assert fired(rule, 15, counts)[0] == 600.0
    assert rule.tick(math.inf) == set()


@pytest.mark.parametrize(
    ("make", "per_hour", "hours", "fires"),
    [
        (lambda: Rule("r", rising(300, 10.0), 300), 35_000, 1, False),
        (lambda: Rule("r", rising(300, 10.0), 300), 37_000, 1, True),
        (lambda: Rule("r", grown(3600, 1.2, 100), 900), 59, 5, False),
        (lambda: Rule("r", grown(3600, 1.2, 100), 900), 70, 5, True),
        (lambda: Rule("r", rising(3600, 0.0), 6 * 3600), 6, 8, True),
    ],
)
def test_prometheus_rules_see_the_rates_their_numbers_say(
    make: Callable[[], Rule], per_hour: float, hours: float, fires: bool
) -> None:
    """deriv > 10/s is 36,000 an hour; +20 % on 300 is 60 an hour; deriv[1h] > 0 sees 6 an hour where nothing else moves."""
    counts = (300 + per_hour * 15 * k / HOUR for k in range(int(hours * 240)))
    assert bool(fired(make(), 15, counts)) == fires


def test_a_series_goes_on_over_a_restart() -> None:
    """Prometheus does not know a new process from the old one: the rule keeps its hour."""
    rule = Rule("r", grown(3600, 1.2, 100), 0.0)
    restart(rule, 0.0)
    assert fired(rule, 15, [200] * 300) == []
    restart(rule, 4500.0)
    assert fired(rule, 15, [300] * 5, begin=4500.0)
