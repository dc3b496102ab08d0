"""One incident as its page shows it: the story in order, the picture of its time left, what opens its evidence."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.model import Act, Action, EvidenceItem, Happening, IncidentState, Silence, StoreError, Tell
from parkwarden.run.board import incident as board
from parkwarden.run.board.host import Story
from parkwarden.run.board.incident import WIDTH, left, opened_with, shown
from parkwarden.run.board.recorded import Recorded
from parkwarden.store.state import Queued
from tests.store.words import incident, notification

NOW = 1_700_000_000.0
ITEM = EvidenceItem(
    digest="d" * 64, kind="goroutine-profile", instance="a:1", service="shop", at=NOW + 30, bytes=1, stored_bytes=1,
    why="goroutine-trend", file="goroutine.pb.gz",
)  # fmt: skip


class Told(Recorded):
    """A recording whose story and evidence are given."""

    story_: Story = Story()
    items: tuple[EvidenceItem, ...] = ()
    away = False

    async def story(self, incident_id: str) -> Story:
        if self.away:
            raise StoreError("state-away", "The database is away.")
        return self.story_

    async def evidence(self, **_: Any) -> list[EvidenceItem]:
        return list(self.items)


def a_row(**fields: Any) -> Any:
    given: dict[str, Any] = {
        "service": "shop", "since": NOW - 600, "pending_since": NOW, "firing_since": NOW + 10, "since_version": "v2",
        "evidence": (ITEM.digest, "gone"), "happened": (Happening(at=NOW + 50, instance="a:1", text="died"),),
    }  # fmt: skip
    return incident("i1", **(given | fields))


def test_the_story_is_in_order_and_says_who_and_how_it_went() -> None:
    """What began, was found, looked at, told, done, died: oldest first; one telling to several channels is one entry."""
    host = Told()
    host.items = (ITEM,)
    ack = Action(act=Act.ACKNOWLEDGE, at=NOW + 40, by="eva", why="mine", incident_id="i1")
    other = Silence(id="s", matchers={"service": "other"}, ends_at=NOW + 100)
    mine = replace(other, matchers={"service": "~sh.*"}, created_by="ada")
    notes = [notification(f"k{n}", channel=f"c{n}", at=NOW + 11, tell=Tell.FIRING) for n in range(2)]
    host.story_ = Story(
        actions=[ack, *(Action(act=Act.SILENCE, at=NOW + 60, by="ada", silence=one) for one in (other, mine))],
        told=[
            Queued(notification=notes[0], delivered_at=NOW + 11.2),
            Queued(notification=notes[1], parked=True, error="404"),
        ],
    )
    found = asyncio.run(shown(host, a_row()))
    assert [(one.kind, one.at - NOW) for one in found.entries] == [
        *(("began", -600), ("found", 0), ("firing", 10), ("told", 11), ("look", 30), ("action", 40), ("death", 50)),
        ("action", 60),
    ]
    told, acted, silenced = (found.entries[i] for i in (3, 5, 7))
    assert told.more == ("c0: delivered", "c1: given up: 404")
    assert (acted.text, acted.who, acted.why) == ("acknowledged", "eva", "mine")
    assert silenced.more == ("service=~sh.*",)
    assert (found.gone, found.explorable) == (1, (ITEM.digest,))


def test_a_close_watch_is_one_entry() -> None:
    """Looks that say the same in a row are told once: from when to when, how many; what comes between parts them."""
    host = Told()
    looks = [replace(ITEM, digest=f"{n:064}", at=NOW + 20 + 5 * n) for n in range(8)]
    host.items = tuple(looks)
    row = a_row(
        evidence=tuple(item.digest for item in looks), happened=(Happening(at=NOW + 41, instance="a:1", text="died"),)
    )
    found = asyncio.run(shown(host, row))
    told = [(one.times, one.at - NOW, one.until - NOW, one.digest) for one in found.entries if one.kind == "look"]
    assert told == [(5, 20, 40, looks[4].digest), (3, 45, 55, looks[7].digest)]


def test_what_cannot_be_asked_is_said_and_the_rest_is_shown() -> None:
    """A database that is away costs the story, not the page."""
    host = Told()
    host.away = True
    found = asyncio.run(shown(host, a_row()))
    assert found.trouble == "The database is away."
    assert [one.kind for one in found.entries] == ["began", "found", "firing", "death"]


def test_long_stories_are_cut_at_their_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are shown, and how many are not."""
    monkeypatch.setattr(board, "MAX_ENTRIES", 2)
    found = asyncio.run(shown(Told(), a_row()))
    assert ([one.kind for one in found.entries], found.left_out) == (["firing", "death"], 2)


@given(
    seconds=st.floats(0, 1e12),
    low=st.none() | st.floats(0, 1),
    high=st.none() | st.floats(1, 1e6) | st.just(math.inf),
    gone=st.floats(-10, 1e12),
)
def test_the_picture_keeps_its_frame(seconds: float, low: float | None, high: float | None, gone: float) -> None:
    """Whatever the interval: low <= guess <= high within the picture, and a handful of ticks."""
    row = a_row(
        time_left_s=seconds,
        time_left_low_s=None if low is None else seconds * low,
        time_left_high_s=None if high is None else seconds * high,
        limit="memory-limit",
        last_seen=NOW,
    )
    picture = left(row, NOW + gone)
    assert picture is not None
    assert 0 <= picture.low <= picture.at <= picture.high <= WIDTH
    assert 1 <= len(picture.ticks) <= 5
    assert "memory limit" in picture.text
    if high is None or not math.isfinite(high):
        assert picture.open or seconds * 3 < 1


def test_no_end_no_picture() -> None:
    """Where no limit is near, or it is over, there is none."""
    assert left(a_row(time_left_s=None), NOW) is None
    over = a_row(time_left_s=5.0, state=IncidentState.RESOLVED, resolved_at=NOW)
    assert asyncio.run(shown(Told(), over)).left is None


def test_every_kind_opens_in_a_tool_of_its_own() -> None:
    """Profiles in pprof and speedscope, traces in go tool trace, all else here."""
    assert opened_with(ITEM) == ("go tool pprof -http=: goroutine.pb.gz", "speedscope goroutine.pb.gz")
    assert opened_with(replace(ITEM, kind="trace", file="trace.out")) == ("go tool trace trace.out",)
    assert opened_with(replace(ITEM, kind="goroutine-dump", file="d.txt")) == ("parkwarden diagnose d.txt",)
