"""New since the last deploy: only beside a suspicion, only where the version before was watched."""

from __future__ import annotations

import pytest

from parkwarden.aggregate.sites import SiteWindows
from parkwarden.judge.fleet.new_since_deploy import DeployRule, judge
from parkwarden.model import Instance
from tests.judge.fleet.places_cases import fed


def _deployed(at: float, before: str = "old", after: str = "new") -> SiteWindows:
    """v1 from 0 on, v2 from `at`; each with its own site."""
    sites = SiteWindows()
    sites.started(Instance(id="a", labels={"service": "pay", "version": "v1"}, start_time=0.0), 0.0)
    fed(lambda t: {before: 5}, 60.0, at, sites=sites)
    sites.started(Instance(id="a", labels={"service": "pay", "version": "v2"}, start_time=at), at)
    return fed(lambda t: {before: 5, after: 9}, at + 60, at + 600, sites=sites)


@pytest.mark.parametrize(("at", "fires"), [(3600.0, True), (3599.0, False)])
def test_the_version_before_was_there_for_an_hour(at: float, fires: bool) -> None:
    """An hour of the version before, and not a second less."""
    sites = _deployed(at)
    table = sites.tables["a"]
    found = judge(sites, table, [table.rows["new"]], at + 600, DeployRule())
    assert bool(found) == fires
    if fires:
        assert (found[0].version, found[0].deployed_at, found[0].new_line) == ("v2", at, True)


def test_a_line_that_leaked_before_is_not_new() -> None:
    """The old line began to grow with v2: new; the same line judged a leak under v1 is not v2's."""
    sites = _deployed(7200.0)
    table = sites.tables["a"]
    row = table.rows["old"]
    assert not judge(sites, table, [row], 7800.0, DeployRule())[0].new_line
    sites.memory(table.instance, "old").leak_at = 3000.0
    assert not judge(sites, table, [row], 7800.0, DeployRule())


def test_nobody_suspected_nothing_said() -> None:
    """A moved line number alone is no fault; a deploy of last week explains nothing."""
    sites = _deployed(7200.0)
    table = sites.tables["a"]
    assert not judge(sites, table, [], 7800.0, DeployRule())
    assert not judge(sites, table, [table.rows["new"]], 7200.0 + 8 * 86_400, DeployRule())
