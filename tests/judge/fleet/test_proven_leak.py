"""Proof: one is enough, silence takes nothing back, departures do."""

from __future__ import annotations

import pytest

from parkwarden.judge.fleet.proven_leak import ProofRule
from parkwarden.judge.fleet.rules import Rules
from parkwarden.model import Instance, Leaked, Verdict
from tests.judge.fleet.places_cases import fed, said


@pytest.mark.parametrize(("proven", "asked", "fires"), [(1, 1, True), (0, 1, False), (2, 3, False), (3, 3, True)])
def test_at_the_number_and_one_below(proven: int, asked: int, fires: bool) -> None:
    """As many proven as the rule asks for, one by default."""
    sites = fed(lambda t: {"s": 9}, 60.0, 300.0)
    sites.leaked(Leaked(301.0, "a", {"s": proven}))
    found = said(sites, 302.0, "proven-leak", Rules(proof=ProofRule(count=asked)))
    assert bool(found) == fires
    if fires:
        assert found[0].verdict is Verdict.LEAK
        assert found[0].numbers["proven"] == proven


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
