"""What somebody says is over: it is told once, stays so while the windows show the rest, and does not hide a leak that goes on."""

from __future__ import annotations

from parkwarden.model import Act, Grade, IncidentState
from tests.alert.build import World, leak, left, trend

RESOLVED, FIRING = IncidentState.RESOLVED, IncidentState.FIRING


def fired() -> World:
    world = World()
    world.run(leak(), for_s=60)
    assert world.rows["i1"].state is FIRING
    world.act(Act.RESOLVE, "i1", why="rolled back")
    return world


def test_it_is_told_with_who_and_why_and_stays_resolved_while_the_rest_is_seen() -> None:
    """At the next beat everybody who was told of it is told; for almost an hour of the same finding nothing more is."""
    world = fired()
    [told] = world.tick(leak())
    assert (told.tell, told.news) == ("resolved", ("resolved by ada: rolled back",))
    assert world.run(leak(), for_s=3500) == []
    assert [row.state for row in world.rows.values()] == [RESOLVED]


def test_a_leak_that_goes_on_opens_again_under_its_id() -> None:
    """Somebody's word hides nothing for ever: what was found all the time is told again after `believe_s`, and who had said so."""
    world = fired()
    assert world.run(leak(), for_s=3700) == ["resolved", "firing"]
    assert (world.rows["i1"].state, len(world.rows)) == (FIRING, 1)
    assert world.sent[-1].news == ("resolved by ada: rolled back, and is found",)


def test_more_urgent_than_it_was_is_told_at_once() -> None:
    """A limit that comes near is news, whatever was said."""
    world = fired()
    assert world.run(leak(), for_s=60) == ["resolved"]
    assert world.run(leak(time_left=left(600.0)), for_s=20) == ["firing"]
    assert (world.rows["i1"].state, world.rows["i1"].priority, len(world.rows)) == (FIRING, "P0", 1)


def test_what_was_away_and_comes_back_is_told() -> None:
    """Once it was judged gone for `keep_firing_s`, coming back is coming back: under its id while `reopen_s` lasts."""
    world = fired()
    assert world.run(leak(), for_s=60) == ["resolved"]
    assert world.run(for_s=400) == []
    assert world.run(leak(), for_s=30) == ["firing"]
    assert (world.rows["i1"].state, len(world.rows)) == (FIRING, 1)


def test_a_gap_between_two_looks_is_not_away() -> None:
    """A minute without the finding, or a restart that is not judged yet, begins nothing anew."""
    world = fired()
    world.run(leak(), for_s=60)
    world.run(for_s=60)
    assert world.run(leak(), for_s=120) == []
    assert world.run(blind={("orders", "prod"): world.now - 10}, for_s=60) == []
    assert world.run(leak(), for_s=120) == []


def test_the_growth_of_a_site_that_was_seen_to_is_no_other_incident() -> None:
    """The service's goroutines still grow for a while: no second story opens of it, and one that was kept quiet stays quiet."""
    world = World()
    world.run(trend(), for_s=60)
    world.run(leak(), trend(), for_s=60)
    world.act(Act.RESOLVE, next(row.id for row in world.open if row.site_id))
    assert set(world.run(leak(), trend(), for_s=600)) == {"resolved"}
    assert world.run(leak(), trend(grade=Grade.RED), for_s=60) == ["firing"]


def test_resolved_by_another_process_while_the_row_was_written() -> None:
    """A row that says it fires although somebody resolved it is resolved at the next beat: the last kill came in between."""
    world = fired()
    world.rows["i1"] = world.rows["i1"].changed(state=FIRING, resolved_at=0.0)
    assert world.run(leak(), for_s=60) == ["resolved"]
    assert world.rows["i1"].state is RESOLVED


def test_an_action_heard_twice_is_one() -> None:
    """Hearing again of what was done in an earlier life of an incident does nothing to this one."""
    world = fired()
    assert world.run(leak(), for_s=3700) == ["resolved", "firing"]
    now, world.now = world.now, world.rows["i1"].closed_at
    again = world.rows["i1"]
    world.act(Act.RESOLVE, "i1")
    world.now = now
    assert world.rows["i1"] == again
