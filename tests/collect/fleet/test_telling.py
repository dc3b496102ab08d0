"""telling: from what a look saw to events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from parkwarden.collect.fleet.sites import Sites
from parkwarden.collect.fleet.telling import Teller
from parkwarden.model import Census, Event, Frame, Leaked, Named, Site, SiteCounts, Source

SITE = Site("s", "select", "main.f", "main.go", 7, (Frame("main.f", "main.go", 7),))
FOUND = Sites({"s": SITE}, {"s": 2}, {"s": np.array([4, 9])}, 9, 0, 0, 2)


def test_every_kind_of_look_makes_its_event() -> None:
    """Sites are named once, before their first use, and once more when their creator is told."""
    events: list[Event] = []
    teller = Teller(events.append)
    for at, source in enumerate((Source.PROFILE, Source.CENSUS, Source.DUMP, Source.LEAK_PROFILE)):
        assert teller.sites("a", source, FOUND, float(at))
    assert [type(event) for event in events] == [Named, SiteCounts, Census, Census, Leaked]
    made = replace(FOUND, named={"s": replace(SITE, created_by=Frame("main.up", "main.go", 1))})
    teller.sites("a", Source.PROFILE, made, 9.0)
    assert isinstance(events[-2], Named)


def test_the_highest_id_never_falls_within_a_life() -> None:
    """The newest goroutine may have ended by the next census; a new life begins at one again."""
    events: list[Event] = []
    teller = Teller(events.append)
    for highest in (9, 5):
        teller.sites("a", Source.CENSUS, replace(FOUND, max_goid=highest), 1.0)
    teller.new_life("a")
    teller.sites("a", Source.CENSUS, replace(FOUND, max_goid=5), 2.0)
    assert [event.max_goid for event in events if isinstance(event, Census)] == [9, 9, 5]


def test_a_look_that_leaves_goroutines_out_names_nobody() -> None:
    """A census without stacks (Go 1.22), a dump that was cut: those it leaves out have not ended."""
    events: list[Event] = []
    teller = Teller(events.append)
    assert not teller.sites("a", Source.CENSUS, replace(FOUND, unknown=2, total=3), 1.0)
    assert not teller.sites("a", Source.DUMP, replace(FOUND, lost=1), 2.0)
    assert teller.sites("a", Source.PROFILE, replace(FOUND, lost=1), 3.0)
    assert events
    assert not any(isinstance(event, Census) for event in events)


def test_what_a_dump_marks_as_leaked_is_proof() -> None:
    """After a leak profile the runtime writes (leaked) into every dump."""
    events: list[Event] = []
    Teller(events.append).sites("a", Source.DUMP, replace(FOUND, leaked={"s": 2}), 1.0)
    assert events[-1] == Leaked(1.0, "a", {"s": 2})
