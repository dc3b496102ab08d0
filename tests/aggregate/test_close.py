"""The rows of a close look: births by ids, departures kept, workers known by coming back, bounded."""

from __future__ import annotations

import numpy as np
import pytest

from parkwarden.aggregate.close import CLOSE_S, LONGEST_S, ROWS_PER_SITE, CloseLook


def _see(look: CloseLook, at: float, where: dict[int, int], ran: set[int] | None = None, highest: int = 0) -> None:
    """A census: goroutine -> site."""
    goids = np.array(list(where), np.int64)
    told = None if ran is None else np.array(sorted(ran), np.int64)
    look.update(at, np.array(list(where.values()), np.int32), goids, highest or int(at * 10), told)


def test_births_follow_from_the_ids() -> None:
    """Ten ids a second: number 105 was born at 10.5 s; who was there before the first look, too."""
    look = CloseLook(start_time=0.0)
    for at in (10.0, 12.0):
        _see(look, at, {50: 0, 105: 0} if at > 10 else {50: 0})
    assert sorted(look.rows().born) == pytest.approx([5.0, 10.5])


def test_the_start_is_told_by_the_pace_of_ids() -> None:
    """Nobody told when the process began: 20 ids in 2 s, and 100 before, say 10 s before the first census."""
    look = CloseLook()
    _see(look, 110.0, {3: 0}, highest=100)
    _see(look, 112.0, {3: 0}, highest=120)
    assert look.began_at == pytest.approx(100.0)


def test_the_departed_stay_with_their_last_sighting() -> None:
    """Who ended is gone, and was last seen in the census before."""
    look = CloseLook(0.0)
    for at, there in ((10.0, {1: 0, 2: 0}), (12.0, {1: 0, 2: 0}), (14.0, {1: 0})):
        _see(look, at, there)
    rows = look.rows()
    assert rows.gone.tolist() == [False, True]
    assert rows.last.tolist() == [14.0, 12.0]


def test_elsewhere_and_back_is_work_elsewhere_for_good_is_gone() -> None:
    """One is away for one census, one for two and back, one stays away: two have worked, one has left and begun anew, with its birth."""
    look = CloseLook(0.0)
    for at, places in ((10, (0, 0, 0)), (12, (1, 1, 1)), (14, (0, 1, 1)), (16, (0, 0, 1)), (18, (0, 0, 1))):
        _see(look, float(at), {k + 1: place for k, place in enumerate(places)})
    rows = look.rows()
    home = rows.of(rows.slot == 0)
    assert home.gone.tolist() == [False, False, True]
    assert home.worked.tolist() == [True, True, False]
    away = rows.of((rows.slot == 1) & ~rows.gone)
    assert away.born.tolist() == [home.born[2]]


def test_who_ran_has_worked_but_not_while_it_came() -> None:
    """Everybody runs when it begins; only a later census says that it works."""
    look = CloseLook(0.0)
    _see(look, 10.0, {1: 0, 2: 0}, ran={1, 2})
    _see(look, 12.0, {1: 0, 2: 0, 3: 0}, ran={2, 3})
    assert look.rows().worked.tolist() == [False, True, False]
    assert [(int(ran[0]), int(there[0])) for ran, there in look.worked] == [(1, 2)]


def test_many_are_followed_by_half_of_them() -> None:
    """A site with too many rows keeps one in two, then in four; the scale says so."""
    look = CloseLook(0.0)
    n = 3 * ROWS_PER_SITE
    _see(look, 10.0, dict.fromkeys(range(1, n), 0), highest=n)
    kept, scale = len(look.rows().slot), int(look.scales()[0])
    assert kept <= ROWS_PER_SITE
    assert scale in (4, 8)
    assert kept * scale == pytest.approx(n, rel=0.1)


def test_a_gap_or_a_long_watch_ends_it() -> None:
    """Censuses further apart, or for longer, are for the life table."""
    look = CloseLook(0.0)
    _see(look, 10.0, {1: 0})
    assert look.goes_on(10.0 + CLOSE_S)
    assert not look.goes_on(10.1 + CLOSE_S)
    for at in np.arange(10.0 + CLOSE_S, 10.0 + LONGEST_S, CLOSE_S).tolist():
        _see(look, at, {1: 0})
    assert not look.goes_on(10.1 + LONGEST_S)


def test_a_site_that_is_dropped_leaves_no_rows() -> None:
    """Its slot may stand for another from now on."""
    look = CloseLook(0.0)
    _see(look, 10.0, {1: 0, 2: 1})
    look.drop(0)
    assert look.rows().slot.tolist() == [1]


def test_who_ran_how_often_is_kept_and_who_was_back() -> None:
    """Two of three later censuses saw it run; the other was elsewhere once."""
    look = CloseLook(0.0)
    _see(look, 10.0, {1: 0, 2: 0}, ran=set())
    for at, where, ran in ((12.0, 0, {1}), (14.0, 1, {1}), (16.0, 0, set())):
        _see(look, at, {1: 0, 2: where}, ran=ran)
    rows = look.rows()
    home = rows.of(rows.slot == 0)
    assert (home.told.tolist(), home.runs.tolist(), home.back.tolist()) == ([3, 2], [2, 0], [False, True])
