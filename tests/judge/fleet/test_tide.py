"""Load told apart from leak: many small sites say together what none of them says alone, and how surely."""

from __future__ import annotations

import math

import numpy as np
import pytest

from parkwarden.aggregate.sites import SiteTable
from parkwarden.judge.fleet import tide
from tests.judge.fleet.places_cases import fed

HOUR = 3600.0


def _watched(seed: int, rise: float, sites: int = 15, stand: int = 5) -> SiteTable:
    """Three hours of small queues whose load rises `rise`-fold from the second hour to the third, beside sites that stand."""
    rng = np.random.default_rng(seed)
    busy = rng.uniform(2, 20, sites)

    def counts(t: float) -> dict[str, int]:
        load = rise ** min(max(t / HOUR - 1, 0.0), 1.0)
        queues = {f"q{k}": int(rng.poisson(n * load)) for k, n in enumerate(busy)}
        return queues | {f"s{k}": 8 for k in range(stand)}

    return fed(counts, 60.0, 3 * HOUR).tables["a"]


def test_no_tide_is_surely_none() -> None:
    """Without tide the lower end never passes 1.1 (nor 1.25, where others veto), and the interval holds 1 nearly always."""
    found = [tide.growth(_watched(seed, 1.0), HOUR, 3 * HOUR) for seed in range(25)]
    assert max(g.least for g in found) < 1.1
    assert sum(g.least <= 1 <= g.most for g in found) >= 23


def test_a_tide_is_seen_and_bounded() -> None:
    """A load that grows 1.8-fold is seen as surely more than 1.25, and the upper end is not below it."""
    found = [tide.growth(_watched(seed, 1.8), HOUR / 2, 3 * HOUR) for seed in range(8)]
    assert min(g.least for g in found) > 1.25
    assert sum(g.most >= 1.75 for g in found) >= 6
    assert np.median([g.about for g in found]) == pytest.approx(1.8, rel=0.1)


def test_requests_come_first() -> None:
    """Where requests are told, they are the load, whatever the sites do."""
    table = _watched(1, 1.8)
    table.load[:] = 100.0
    assert tide.growth(table, HOUR, 3 * HOUR).about == pytest.approx(1.0)
    assert tide.told(table)


def test_too_few_witnesses_say_nothing() -> None:
    """Three busy sites are no witness: not a number, so nobody is vetoed."""
    assert math.isnan(tide.factor(_watched(1, 1.8, sites=3, stand=0), 0, HOUR, 3 * HOUR))
    assert not tide.factor(SiteTable(_watched(1, 1.0).instance), 0, HOUR, 3 * HOUR) >= 1.0


def test_the_unseen_day_is_bounded() -> None:
    """Where nothing tells, a quarter an hour is allowed for, threefold at most."""
    assert tide.unseen(HOUR) == pytest.approx(1.25)
    assert tide.unseen(48 * HOUR) == 3.0


def test_a_flank_is_seen_whoever_tells_the_load() -> None:
    """A load that rises by a seventh an hour is a tide coming in, told by requests or by the sites; one that stands or falls is none."""

    def table(per_h: float, told: bool, seed: int) -> SiteTable:
        rng = np.random.default_rng(seed)
        busy = rng.uniform(2, 20, 15)

        def counts(t: float) -> dict[str, int]:
            return {f"q{k}": int(rng.poisson(n * (1 + per_h) ** (t / HOUR))) for k, n in enumerate(busy)}

        found = fed(counts, 60.0, 5 * HOUR).tables["a"]
        if told:
            slots = np.arange(found.load.shape[1])
            found.load[:] = (
                50.0 * (1 + per_h) ** (slots * tide.FLANK_LENGTH_S / HOUR) * rng.lognormal(0, 0.02, len(slots))
            )
        return found

    for told in (True, False):
        assert all(tide.flank(table(0.15, told, seed)).rising for seed in range(5))
        assert not any(tide.flank(table(rate, told, seed)).rising for rate in (0.0, -0.15) for seed in range(5))


def test_a_short_watch_knows_no_flank() -> None:
    """An hour of looks says nothing of a tide."""
    assert math.isnan(tide.flank(fed(lambda t: {f"q{k}": 9 for k in range(9)}, 60.0, HOUR).tables["a"]).per_h)


def _bursting(busy: float, crowds: int = 30) -> SiteTable:
    """Eight queues that are `busy`-fold for ten minutes that ended five minutes ago, beside crowds that stay whatever happens."""
    rng = np.random.default_rng(4)

    def counts(t: float) -> dict[str, int]:
        load = busy if 104 * 60 <= t < 114 * 60 else 1.0
        return {f"q{k}": int(rng.poisson(12 * load)) for k in range(8)} | {
            f"c{k}": 100 + int(rng.integers(0, 2)) for k in range(crowds)
        }

    return fed(counts, 60.0, 120 * 60.0).tables["a"]


def test_traffic_tells_the_load_not_the_crowd_that_stays() -> None:
    """The queues of a burst are heard, though crowds outnumber them."""
    table = _bursting(2.0)
    now = float(table.times[-1])
    assert tide.surge(table, now - 900, now) > 1.4
    assert tide.surge(_bursting(1.0), now - 900, now) < 1.1


def test_a_burst_that_is_over_was_a_burst() -> None:
    """Who came in a burst may be here when it has ended: growth until now sees nothing of it, the surge does."""
    table = _bursting(2.5)
    now = float(table.times[-1])
    assert tide.growth(table, now - 900, now).least < 1.1 < tide.surge(table, now - 900, now)
