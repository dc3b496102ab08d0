"""Growth against load: at the numbers and one step beside them."""

from __future__ import annotations

import numpy as np
import pytest

from parkwarden.aggregate.sites import SiteTable
from parkwarden.judge.fleet import load_growth
from parkwarden.judge.fleet.load_growth import LoadRule
from parkwarden.judge.fleet.site_floor_growth import Rise
from parkwarden.model import Instance, Verdict


def _rise(factor: float, first: float, rise: float) -> Rise:
    return Rise(
        row=0, leak=False, held=False, p=1e-5, rise=rise, span_s=1200.0, first=first, since=0.0, per_s=0.02,
        factor=factor, filling=False, rising=factor >= 1.25,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("factor", "first", "rise", "fires"),
    [
        (1.1, 20, 10, True),
        (1.11, 20, 10, False),
        (1.0, 20, 9, False),
        (0.5, 0, 6, True),
        (float("nan"), 20, 40, False),
    ],
)
def test_flat_load_and_half_as_many_again_accuse(factor: float, first: float, rise: float, fires: bool) -> None:
    """Load up to 1.1-fold and the site 1.5-fold: suspect; more load, less growth or load not told: silent."""
    assert bool(load_growth.judge({0: _rise(factor, first, rise)}, LoadRule())) == fires


def test_it_says_both_numbers() -> None:
    """The sentence has the site's growth and the load's."""
    table = SiteTable(Instance(id="a"), rows={"s": 0})
    table.recent = np.full((1, 16), 30, np.int32)
    signal = load_growth.signals(table, [_rise(1.0, 20, 10)], 9.0)[0]
    assert signal.verdict is Verdict.SUSPECT
    assert "1.5-fold" in signal.text
    assert "100%" in signal.text
