"""Site windows: counts and floors per site, gaps, lives, memory of lives, limits."""

from __future__ import annotations

import numpy as np
import pytest

from parkwarden.aggregate import sites as module
from parkwarden.aggregate.sites import FLOORS, LEVELS_S, NOT_TOLD, SiteWindows
from parkwarden.model import Census, Instance, Leaked, Site, SiteCounts


def _windows(start: float | None = 0.0, **labels: str) -> SiteWindows:
    windows = SiteWindows()
    windows.started(Instance(id="a", labels={"service": "pay", **labels}, start_time=start), start)
    return windows


def _row(windows: SiteWindows, site: str) -> int:
    return windows.tables["a"].rows[site]


def test_a_site_absent_from_a_profile_has_none() -> None:
    """Absent = 0, also in looks before the site was first seen; slots without any look are not told."""
    windows = _windows()
    windows.counted(SiteCounts(60.0, "a", {"s": 3}))
    windows.counted(SiteCounts(120.0, "a", {"t": 5}))
    table = windows.tables["a"]
    assert table.recent[_row(windows, "s"), -3:].tolist() == [NOT_TOLD, 3, 0]
    assert table.recent[_row(windows, "t"), -3:].tolist() == [NOT_TOLD, 0, 5]
    assert table.floors[0, _row(windows, "t"), -3:].tolist() == [NOT_TOLD, 0, 5]


def test_a_floor_is_the_least_of_its_slot() -> None:
    """Counts of one time slot leave their minimum, whatever their order."""
    windows = _windows()
    for at, n in ((301.0, 9), (330.0, 4), (400.0, 7), (601.0, 8)):
        windows.counted(SiteCounts(at, "a", {"s": n}))
    assert windows.tables["a"].floors[1, _row(windows, "s"), -2:].tolist() == [4, 8]


def test_a_gap_is_not_told() -> None:
    """Slots without a look are marked."""
    windows = _windows()
    windows.counted(SiteCounts(60.0, "a", {"s": 3}))
    windows.counted(SiteCounts(60.0 + 20 * 60, "a", {"s": 3}))
    table = windows.tables["a"]
    assert table.floors[0, _row(windows, "s"), -3:].tolist() == [NOT_TOLD, NOT_TOLD, 3]


def test_the_floors_of_a_day_reach_back_a_day() -> None:
    """`counts` joins hours, 20, 5 and single minutes and the last looks, in rising time without overlap."""
    windows = _windows()
    for k in range(1440):
        windows.counted(SiteCounts(60.0 * k + 1, "a", {"s": k}))
    times, counts = windows.counts("a", "s")
    assert (np.diff(times) > 0).all()
    assert (np.diff(counts) > 0).all()
    assert times[0] <= 86_400 - (FLOORS - 1) * LEVELS_S[-1]
    assert counts[-1] == 1439
    assert [len(x) for x in windows.counts("a", "unknown")] == [0, 0]


def test_late_looks_are_dropped_and_counted() -> None:
    """Times that do not rise are not taken."""
    windows = _windows()
    windows.counted(SiteCounts(60.0, "a", {"s": 3}))
    windows.counted(SiteCounts(60.0, "a", {"s": 4}))
    windows.counted(SiteCounts(59.0, "a", {"s": 5}))
    assert windows.dropped["late"] == 2
    assert windows.tables["a"].recent[_row(windows, "s"), -1] == 3


def test_a_census_counts_too_and_feeds_the_life_table() -> None:
    """A census is a look like a profile; one at the very time of a profile only tells who."""
    windows = _windows()
    windows.counted(SiteCounts(60.0, "a", {"s": 2}))
    windows.census(Census(60.0, "a", {"s": np.array([5, 7])}, 9))
    windows.census(Census(120.0, "a", {"s": np.array([5, 7, 11])}, 12))
    table = windows.tables["a"]
    assert table.looks == 2
    assert table.recent[_row(windows, "s"), -2:].tolist() == [2, 3]
    assert table.life.present(_row(windows, "s")).goid.tolist() == [5, 7, 11]


def test_a_restart_begins_a_new_life_and_remembers() -> None:
    """A new start time clears the series; proofs and verdicts are the service's to remember."""
    windows = _windows()
    for k in range(20):
        windows.counted(SiteCounts(60.0 * k + 1, "a", {"pool": 30, "bad": 5}))
    windows.leaked(Leaked(1200.0, "a", {"bad": 4}))
    restarted = Instance(id="a", labels={"service": "pay"}, start_time=5000.0)
    windows.started(restarted, 5000.0)
    table = windows.tables["a"]
    assert table.lives == 2
    assert table.looks == 0
    assert not table.proofs
    assert (table.recent == NOT_TOLD).all()
    assert windows.memory(restarted, "bad").proven_at == 1200.0
    assert windows.memory(restarted, "pool").proven_at is None


def test_start_times_that_jitter_are_one_life() -> None:
    """Exporters derive start times from clock ticks: a second is no restart, two are."""
    windows = _windows(100.0)
    windows.started(Instance(id="a", labels={"service": "pay"}, start_time=101.0), 200.0)
    assert windows.tables["a"].lives == 1
    windows.started(Instance(id="a", labels={"service": "pay"}, start_time=103.0), 200.0)
    assert windows.tables["a"].lives == 2


def test_ids_that_fall_are_a_restart_nobody_told() -> None:
    """A highest id below the last one cannot be of the same process."""
    windows = _windows(None)
    windows.census(Census(60.0, "a", {"s": np.array([500])}, 600))
    windows.census(Census(120.0, "a", {"s": np.array([20])}, 30))
    assert windows.dropped["unannounced"] == 1
    assert windows.tables["a"].life.censuses == 1


def test_a_new_version_is_a_deploy() -> None:
    """Each version is remembered once, with the time it was first seen at the service."""
    windows = _windows(version="v1")
    windows.started(Instance(id="b", labels={"service": "pay", "version": "v1"}, start_time=50.0), 50.0)
    windows.started(Instance(id="b", labels={"service": "pay", "version": "v2"}, start_time=900.0), 900.0)
    assert windows.deploys(("pay", "")) == [(0.0, "v1"), (900.0, "v2")]
    assert windows.instances_of(("pay", "")) == ["a", "b"]
    windows.gone("b")
    assert windows.instances_of(("pay", "")) == ["a"]


def test_what_is_proven_stays_until_they_leave() -> None:
    """A silent leak profile takes nothing back (golang/go#79452); a count below what was proven does."""
    windows = _windows()
    windows.counted(SiteCounts(60.0, "a", {"s": 6}))
    windows.leaked(Leaked(61.0, "a", {"s": 6}))
    windows.leaked(Leaked(70.0, "a", {}))
    windows.counted(SiteCounts(120.0, "a", {"s": 6}))
    assert windows.tables["a"].proofs[_row(windows, "s")].count == 6
    windows.counted(SiteCounts(180.0, "a", {"s": 5}))
    assert not windows.tables["a"].proofs


def test_too_many_sites_cost_the_smallest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile profile with endless sites is bounded; the large ones stay and the loss is counted."""
    monkeypatch.setattr(module, "SITES_PER_INSTANCE", 16)
    windows = _windows()
    windows.counted(SiteCounts(60.0, "a", {"big": 1000}))
    for k in range(50):
        windows.counted(SiteCounts(120.0 + 60 * k, "a", {"big": 1000, f"x{k}": 1, f"y{k}": 1}))
    table = windows.tables["a"]
    assert len(table.rows) <= 16
    assert "big" in table.rows
    assert windows.dropped["site"] > 0


def test_all_sites_of_a_first_look_are_held() -> None:
    """Making room for a look's next site takes no row from one that the same look has just brought."""
    windows = _windows()
    counts = {f"s{k}": k + 1 for k in range(40)}
    windows.counted(SiteCounts(60.0, "a", counts))
    table = windows.tables["a"]
    assert {site: int(table.recent[row, -1]) for site, row in table.rows.items()} == counts
    windows.counted(SiteCounts(120.0, "a", counts | {f"t{k}": 1 for k in range(9)}))
    assert len(table.rows) == 49
    assert all((table.recent[table.rows[site], -2:] == n).all() for site, n in counts.items())


def test_where_there_is_no_room_it_is_for_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one look with too many sites the largest are held, and a site that grows pushes out a smaller one."""
    monkeypatch.setattr(module, "SITES_PER_INSTANCE", 16)
    windows = _windows()
    windows.counted(SiteCounts(60.0, "a", {f"s{k}": k + 1 for k in range(20)}))
    assert sorted(windows.tables["a"].rows) == sorted(f"s{k}" for k in range(4, 20))
    windows.counted(SiteCounts(120.0, "a", {f"s{k}": k + 1 for k in range(4, 20)} | {"new": 9, "least": 1}))
    assert "new" in windows.tables["a"].rows
    assert "least" not in windows.tables["a"].rows
    assert windows.dropped["site"] == 6


def test_a_usual_instance_fits_into_50_kib() -> None:
    """40 sites, 300 goroutines, a day of profiles and censuses."""
    windows = _windows()
    ids = np.arange(300, dtype=np.int64)
    for k in range(300):
        windows.counted(SiteCounts(300.0 * k + 1, "a", {f"s{i}": 7 for i in range(40)}))
        windows.census(Census(300.0 * k + 2, "a", {f"s{i}": ids[i::40] + 100 * k for i in range(40)}, 100 * k + 400))
    assert windows.tables["a"].nbytes <= 50 * 1024


def test_names_are_kept_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A site in use keeps its name; spare names go first."""
    monkeypatch.setattr(module, "SITES_NAMED", 8)
    windows = _windows()
    windows.named(Site("used", "select", "main.f", "f.go", 3, ()))
    windows.counted(SiteCounts(1.0, "a", {"used": 1}))
    for k in range(20):
        windows.named(Site(f"spare{k}", "", "x", "", 0, ()))
    assert windows.site("used").function == "main.f"
    assert windows.site("nobody").id == "nobody"
    assert windows.dropped["named"] > 0


def test_gone_gives_everything_back() -> None:
    """Instances that come and go leave no tables, members or remembered signals."""
    windows = SiteWindows()
    for k in range(50):
        windows.started(Instance(id=f"i{k}", labels={"service": f"s{k}"}), 1.0)
        windows.counted(SiteCounts(2.0, f"i{k}", {"s": 1}))
        windows.gone(f"i{k}")
    assert not windows.tables
    assert windows.instances_of(("s1", "")) == []
    windows.gone("never there")


def test_a_clock_that_was_set_back_does_not_shut_looks_out() -> None:
    """After it was told, looks at earlier times count again, and the series begins anew; it is no new life."""
    windows = _windows()
    windows.counted(SiteCounts(7200.0, "a", {"s": 3}))
    windows.counted(SiteCounts(3660.0, "a", {"s": 4}))
    assert windows.dropped["late"] == 1
    windows.set_back("a")
    windows.census(Census(3720.0, "a", {"s": np.array([1, 2, 3, 4, 5])}, 5))
    table = windows.tables["a"]
    assert table.recent[_row(windows, "s"), -2:].tolist() == [NOT_TOLD, 5]
    assert (table.lives, table.watched_since) == (1, 3720.0)


def test_services_that_come_and_go_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions are remembered of so many services; those longest unheard of are forgotten first."""
    monkeypatch.setattr(module, "DEPLOYED", 2)
    windows = SiteWindows()
    for at, service in enumerate(("a", "b", "a", "c")):
        windows.started(Instance(id=service, labels={"service": service, "version": "v1"}), float(at))
    assert windows.deploys(("a", "")) == [(0.0, "v1")]
    assert windows.deploys(("b", "")) == []
    assert windows.deploys(("c", "")) == [(3.0, "v1")]
