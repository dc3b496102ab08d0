"""Proof: what keeps coming is a leak, what stands is suspect; silence takes nothing back, departures do."""

from __future__ import annotations

import numpy as np
import pytest

from parkwarden.aggregate.sites import SiteWindows
from parkwarden.judge.fleet.proven_leak import ProofRule
from parkwarden.judge.fleet.rules import Rules
from parkwarden.model import Census, Instance, Leaked, Verdict
from tests.judge.fleet.places_cases import fed, said


def growing(until: float = 300.0) -> SiteWindows:
    """Looks every minute from 60 s on; one more goroutine at each, nine in the end."""
    return fed(lambda t: {"s": int(10 - (until - t) / 60)}, 60.0, until)


@pytest.mark.parametrize(("proven", "asked", "fires"), [(2, 1, True), (0, 1, False), (2, 3, False), (3, 3, True)])
def test_at_the_number_and_one_below(proven: int, asked: int, fires: bool) -> None:
    """As many proven as the rule asks for, one by default."""
    sites = fed(lambda t: {"s": 1 + (t > 200)}, 60.0, 300.0)
    sites.leaked(Leaked(301.0, "a", {"s": proven}))
    found = said(sites, 302.0, "proven-leak", Rules(proof=ProofRule(count=asked)))
    assert bool(found) == fires
    if fires:
        assert found[0].verdict is Verdict.LEAK
        assert found[0].numbers["proven"] == proven


@pytest.mark.parametrize("crowd", [1, 2, 300])
def test_what_stands_since_the_process_began_is_suspect(crowd: int) -> None:
    """main parked in `select {}`, or a crowd parked on purpose, can never run again either, and is nobody's leak."""
    sites = fed(lambda t: {"s": crowd}, 60.0, 300.0)
    sites.leaked(Leaked(301.0, "a", {"s": crowd}))
    (found,) = said(sites, 302.0, "proven-leak")
    assert found.verdict is Verdict.SUSPECT


def test_a_single_one_is_suspect_until_there_is_another() -> None:
    """One goroutine may be parked on purpose, whenever it came; a second one at the same line is no accident."""
    sites = fed(lambda t: {"s": int(t > 200)}, 60.0, 300.0)
    sites.leaked(Leaked(301.0, "a", {"s": 1}))
    assert said(sites, 302.0, "proven-leak")[0].verdict is Verdict.SUSPECT
    fed(lambda t: {"s": 2}, 360.0, 400.0, sites=sites)
    sites.leaked(Leaked(401.0, "a", {"s": 2}))
    assert said(sites, 402.0, "proven-leak")[0].verdict is Verdict.LEAK


@pytest.mark.parametrize(("began", "verdict"), [(5, Verdict.SUSPECT), (15, Verdict.LEAK)])
def test_a_crowd_that_is_started_slowly_stands(began: int, verdict: Verdict) -> None:
    """What came in the first third of the time watched came with the process; what came after that keeps coming."""
    sites = fed(lambda t: {"s": 2 + 8 * (t > began)}, 0.0, 31.0, beat_s=1.0)
    sites.leaked(Leaked(31.0, "a", {"s": 10}))
    assert said(sites, 32.0, "proven-leak")[0].verdict is verdict


def test_a_leak_that_has_ended_stays_one() -> None:
    """What was seen to come is not parked on purpose, however long nothing comes after it."""
    sites = growing()
    sites.leaked(Leaked(301.0, "a", {"s": 9}))
    assert said(sites, 302.0, "proven-leak")[0].verdict is Verdict.LEAK
    fed(lambda t: {"s": 9}, 360.0, 36_000.0, sites=sites)
    assert said(sites, 36_001.0, "proven-leak")[0].verdict is Verdict.LEAK


def test_silence_takes_nothing_back_but_departure_does() -> None:
    """golang/go#79452: the same goroutine comes and goes between leak profiles; the site's own count decides."""
    sites = fed(lambda t: {"s": 6}, 60.0, 300.0)
    sites.leaked(Leaked(301.0, "a", {"s": 6}))
    sites.leaked(Leaked(310.0, "a", {}))
    assert "silent" in said(sites, 311.0, "proven-leak")[0].text
    fed(lambda t: {"s": 6}, 360.0, 400.0, sites=sites)
    assert said(sites, 361.0, "proven-leak")
    fed(lambda t: {"s": 5}, 420.0, 440.0, sites=sites)
    assert not said(sites, 421.0, "proven-leak")


def test_proof_ends_with_the_life() -> None:
    """A restarted process has leaked nothing yet; the service remembers."""
    sites = fed(lambda t: {"s": 6}, 60.0, 300.0)
    sites.leaked(Leaked(301.0, "a", {"s": 6}))
    sites.started(Instance(id="a", labels={"service": "pay"}, start_time=400.0), 400.0)
    fed(lambda t: {"s": 6}, 460.0, 500.0, sites=sites)
    assert not said(sites, 461.0, "proven-leak")
    assert sites.memory(sites.tables["a"].instance, "s").proven_at is not None


@pytest.mark.parametrize(("before", "verdict"), [(2, Verdict.LEAK), (6, Verdict.SUSPECT)])
def test_a_close_look_tells_who_of_the_proven_came(before: int, verdict: Verdict) -> None:
    """Six are proven among traffic as large: of the first census two are still there, so four have come; or all six are."""
    sites = SiteWindows()
    sites.started(Instance(id="a", labels={"service": "pay"}), 10.0)
    for k in range(16):
        at = 10.0 + 2 * k
        stuck = list(range(1, before + 1)) + ([] if before == 6 else list(range(100, 100 + k // 3)))
        passing = [1000 * (k + 1) + i for i in range(12)]
        sites.census(Census(at, "a", {"s": np.array(sorted(stuck + passing), np.int64)}, 1000 * (k + 2)))
    sites.leaked(Leaked(41.0, "a", {"s": 6}))
    assert [s.verdict for s in said(sites, 42.0, "proven-leak")] == [verdict]
