"""ladder: what is asked when, without a clock."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parkwarden.collect.fleet.ladder import LAST_CHANCES_S, ON_BEAT, STALE_S, Ask, Facts, Ladder, refusal
from parkwarden.collect.fleet.prices import Look
from parkwarden.collect.fleet.settings import CollectSettings
from parkwarden.model.capture import LAST_CHANCE

SETTINGS = CollectSettings()
PROFILES = frozenset(["goroutine", "heap", "goroutineleak", "trace"])
FEW = Facts(goroutines=500, profiles=PROFILES, go_minor=27)
NOW = 1_000.0


def taken(ladder: Ladder, begin: float, end: float, facts: Facts = FEW) -> list[tuple[float, Look, str]]:
    """All looks due between two times, asked every second."""
    found = []
    for second in range(int(begin), int(end)):
        while (ask := ladder.due(float(second), facts)) is not None:
            found.append((second - NOW, ask.look, ask.why))
    return found


def test_beats() -> None:
    """A profile a minute and a census every five, at the instance's own phase."""
    looks = taken(Ladder(SETTINGS, 0.5, NOW), NOW, NOW + 600)
    assert [t for t, look, _ in looks if look is Look.PROFILE] == [30 + 60 * i for i in range(10)]
    assert [t for t, look, _ in looks if look is Look.CENSUS] == [150, 450]
    assert {why for _, _, why in looks} == {ON_BEAT}


@pytest.mark.parametrize(("goroutines", "dumps"), [(500, [150, 450]), (501, []), (None, [])])
def test_a_small_process_with_an_old_go_is_dumped_on_beat(goroutines: int | None, dumps: list[int]) -> None:
    """Go before 1.23 names nobody in a trace: who stays is told by text dumps, while they are cheap."""
    old = replace(FEW, go_minor=22, goroutines=goroutines)
    looks = taken(Ladder(SETTINGS, 0.5, NOW), NOW, NOW + 600, old)
    assert [t for t, look, _ in looks if look is Look.DUMP] == dumps
    assert Look.CENSUS not in [look for _, look, _ in looks]
    off = replace(SETTINGS, text_dump=False)
    assert {look for _, look, _ in taken(Ladder(off, 0.5, NOW), NOW, NOW + 600, old)} == {Look.PROFILE}


def test_beats_that_were_missed_are_not_made_up_for() -> None:
    """After an hour of silence one profile and one census are due, not sixty."""
    ladder = Ladder(SETTINGS, 0.0, NOW)
    assert len(taken(ladder, NOW + 3600, NOW + 3601)) == 2


def test_beats_can_be_switched_off() -> None:
    """0 seconds mean never."""
    assert taken(Ladder(replace(SETTINGS, profile_every_s=0, census_every_s=0), 0.0, NOW), NOW, NOW + 900) == []


def test_a_suspicion_climbs_the_ladder() -> None:
    """Profile now and every 5 s for a minute, two censuses 10 s apart, leak profile, longer trace and text dump once each."""
    ladder = Ladder(SETTINGS, 0.9, NOW)
    assert ladder.wanted("goroutine-trend", NOW)
    assert ladder.suspect("goroutine-trend", NOW, FEW) == {}
    assert ladder.suspected(NOW + 59)
    assert not ladder.suspected(NOW + 60)
    looks = [(t, look) for t, look, why in taken(ladder, NOW, NOW + 62) if why != ON_BEAT]
    assert [t for t, look in looks if look is Look.PROFILE] == list(range(0, 61, 5))
    assert [t for t, look in looks if look is Look.CENSUS] == [0, 10]
    assert [look for t, look in looks if t == 0] == [Look.PROFILE, Look.CENSUS, Look.LEAK, Look.TRACE]
    assert [t for t, look in looks if look is Look.DUMP] == [10]


def test_heap_only_where_the_reason_says_heap() -> None:
    """A second reason during close watch adds only what it alone calls for; the same one nothing for ten minutes."""
    ladder = Ladder(SETTINGS, 0.9, NOW)
    ladder.suspect("goroutine-trend", NOW, FEW)
    assert Look.HEAP not in {look for _, look, _ in taken(ladder, NOW, NOW + 3)}
    assert not ladder.wanted("goroutine-trend", NOW + 599)
    assert ladder.wanted("goroutine-trend", NOW + 600)
    ladder.suspect("heap-jump", NOW + 3, FEW)
    assert {look for _, look, _ in taken(ladder, NOW + 3, NOW + 4)} == {Look.PROFILE, Look.HEAP}


@pytest.mark.parametrize("why", ["heap-jump", "gc-pressure"])
def test_a_suspicion_about_memory_alone_calls_for_nothing_dear(why: str) -> None:
    """The collector's saw tooth makes heaps jump in many a healthy service: one heap and one goroutine profile, no close watch."""
    ladder = Ladder(SETTINGS, 0.9, NOW)
    assert ladder.suspect(why, NOW, FEW) == {}
    assert [(t, look) for t, look, _ in taken(ladder, NOW, NOW + 50)] == [(0, Look.PROFILE), (0, Look.HEAP)]
    assert not ladder.suspected(NOW + 1)


@pytest.mark.parametrize(
    ("facts", "refused"),
    [
        (replace(FEW, goroutines=6_000), {Look.TRACE: "too-many-goroutines", Look.DUMP: "too-many-goroutines"}),
        (
            replace(FEW, goroutines=20_000),
            dict.fromkeys((Look.TRACE, Look.DUMP, Look.LEAK), "too-many-goroutines"),
        ),
        (replace(FEW, go_minor=22), {Look.CENSUS: "old-go", Look.TRACE: "old-go"}),
        (replace(FEW, no_census=True), {Look.CENSUS: "old-go", Look.TRACE: "old-go"}),
        (replace(FEW, profiles=PROFILES - {"goroutineleak"}), {Look.LEAK: "not-there"}),
        (replace(FEW, goroutines=None), dict.fromkeys((Look.CENSUS, Look.TRACE, Look.DUMP, Look.LEAK), "goroutines-unknown")),
    ],
)  # fmt: skip
def test_what_is_too_dear_or_not_there_is_refused(facts: Facts, refused: dict[Look, str]) -> None:
    """Each refusal has its reason; everything else is still taken."""
    ladder = Ladder(SETTINGS, 0.9, NOW)
    assert ladder.suspect("goroutine-trend", NOW, facts) == refused
    looks = {look for _, look, _ in taken(ladder, NOW, NOW + 20, facts)}
    assert looks == {Look.PROFILE, Look.CENSUS, Look.LEAK, Look.TRACE, Look.DUMP} - refused.keys()


def test_switched_off_looks_are_refused_as_such() -> None:
    """Every dear look has a switch."""
    off = replace(SETTINGS, leak_profile=False, census=False, text_dump=False, heap=False)
    reasons = {look: refusal(look, FEW, off) for look in Look}
    assert reasons == dict.fromkeys(Look, "switched-off") | {Look.PROFILE: ""}


def test_no_pprof_no_looks() -> None:
    """Where the index is not there nothing is asked, on beat or else."""
    nothing = replace(FEW, profiles=frozenset())
    ladder = Ladder(SETTINGS, 0.0, NOW)
    ladder.suspect("goroutine-trend", NOW, nothing)
    assert taken(ladder, NOW, NOW + 400, nothing) == []


def test_tracing_by_another() -> None:
    """A census waits for somebody else's trace twice, then a text dump takes its place while it is cheap; a beat just ends."""
    ladder = Ladder(SETTINGS, 0.9, NOW)
    ask = Ask(NOW, 1, Look.CENSUS, "goroutine-trend", 0.05)
    for i in range(2):
        assert ladder.tracing_busy(ask, NOW + i * 5, FEW) == ""
        again = ladder.due(NOW + i * 5 + 5, FEW)
        assert again is not None
        ask = again
    assert (ask.look, ask.tries) == (Look.CENSUS, 2)
    assert ladder.tracing_busy(ask, NOW + 10, FEW) == ""
    dump = ladder.due(NOW + 10, FEW)
    assert dump is not None
    assert dump.look is Look.DUMP
    assert ladder.tracing_busy(ask, NOW + 10, replace(FEW, goroutines=9_000)) == "too-many-goroutines"
    beat = Ask(NOW, 1, Look.CENSUS, ON_BEAT, 0.05, tries=2)
    assert ladder.tracing_busy(beat, NOW, FEW) == "traced-by-another"


def test_what_was_held_back_too_long_is_dropped() -> None:
    """A look postponed again and again ends as stale instead of telling of another time."""
    ladder = Ladder(replace(SETTINGS, profile_every_s=0, census_every_s=0), 0.9, NOW)
    ask = Ask(NOW, 2, Look.LEAK, "goroutine-trend", wanted=NOW)
    ladder.postpone(ask, NOW + STALE_S - 1)
    kept = ladder.due(NOW + STALE_S - 1, FEW)
    assert kept is not None
    ladder.postpone(kept, NOW + STALE_S + 1)
    assert ladder.next_at() == NOW + STALE_S + 1
    assert ladder.due(NOW + STALE_S + 1, FEW) is None


def test_old_go_gets_two_text_dumps() -> None:
    """Who stays takes two looks that name ids: where no census does and the dump is cheap, it is taken twice."""
    ladder = Ladder(SETTINGS, 0.9, NOW)
    ladder.suspect("goroutine-trend", NOW, replace(FEW, go_minor=22))
    assert [t for t, look, _ in taken(ladder, NOW, NOW + 20) if look is Look.DUMP] == [0, 10]
    ladder = Ladder(SETTINGS, 0.9, NOW)
    ladder.old_go(Ask(NOW, 1, Look.CENSUS, ON_BEAT), NOW, FEW)
    assert ladder.next_at() is None
    ladder.old_go(Ask(NOW, 1, Look.CENSUS, "goroutine-trend"), NOW, replace(FEW, goroutines=9_000))
    assert ladder.next_at() is None
    ladder.old_go(Ask(NOW, 1, Look.CENSUS, "goroutine-trend"), NOW, FEW)
    assert ladder.next_at() == NOW


def test_pprof_that_does_not_answer_is_left_alone() -> None:
    """The pause doubles with each look that got no answer, up to half an hour, and ends with the first that got one."""
    ladder = Ladder(SETTINGS, 0.0, NOW)
    ladder.failed(NOW)
    assert taken(ladder, NOW, NOW + 30) == []
    assert taken(ladder, NOW + 30, NOW + 31) != []
    for _ in range(30):
        ladder.failed(NOW + 31)
    assert taken(ladder, NOW + 31, NOW + 1831) == []
    assert taken(ladder, NOW + 1831, NOW + 1832) != []
    ladder.answered()
    ladder.failed(NOW + 2000)
    assert taken(ladder, NOW + 2030, NOW + 2031) != []


def test_late_profiles_come_to_one() -> None:
    """After a pause in the middle of a close watch one profile is taken, not all that were missed."""
    ladder = Ladder(SETTINGS, 0.9, NOW)
    ladder.suspect("goroutine-trend", NOW, FEW)
    assert [look for _, look, _ in taken(ladder, NOW + 30, NOW + 31)].count(Look.PROFILE) == 1


def test_a_restart_forgets_the_plan() -> None:
    """What was planned for the old life is of no use, and the new one may be suspected at once."""
    ladder = Ladder(SETTINGS, 0.9, NOW)
    ladder.suspect("goroutine-trend", NOW, FEW)
    ladder.forget()
    assert ladder.next_at() is None
    assert not ladder.suspected(NOW)
    assert ladder.wanted("goroutine-trend", NOW)


def test_reasons_are_bounded() -> None:
    """Whoever invents reasons pushes out the oldest, and the plan stays small."""
    ladder = Ladder(SETTINGS, 0.9, NOW)
    for i in range(1_000):
        ladder.suspect(f"why-{i}", NOW, FEW)
    assert ladder.wanted("why-0", NOW)
    assert not ladder.wanted("why-999", NOW)
    assert len(taken(ladder, NOW, NOW + 70)) < 40


def chances(ladder: Ladder, low_s: float, now: float, facts: Facts = FEW) -> list[Look]:
    """The looks a time left with this early end brings at once."""
    if not ladder.nearing("memory-limit", low_s, now):
        return []
    ladder.last_chance("memory-limit", low_s, now, facts)
    return [look for _, look, why in taken(ladder, now, now + 1, facts) if why == f"{LAST_CHANCE} memory-limit"]


def test_what_a_process_takes_with_it_is_saved_while_it_is_there() -> None:
    """Goroutines, heap and a trace once when the early end is minutes away, once shortly before, and not at every beat."""
    ladder = Ladder(SETTINGS, 0.9, NOW)
    early, late = LAST_CHANCES_S
    assert chances(ladder, early, NOW) == []
    assert chances(ladder, early - 1, NOW + 5) == [Look.PROFILE, Look.HEAP, Look.TRACE]
    assert chances(ladder, late, NOW + 10) == []
    assert chances(ladder, late - 1, NOW + 15) == [Look.PROFILE, Look.HEAP, Look.TRACE]
    assert chances(ladder, 0.0, NOW + 20) == []
    assert chances(ladder, early - 1, NOW + 15 + SETTINGS.suspect_again_s) != []


def test_each_limit_has_chances_of_its_own_and_each_life_begins_anew() -> None:
    """Descriptors that run out are no reason to miss the heap; a new process owes nothing to the dead one."""
    ladder = Ladder(SETTINGS, 0.9, NOW)
    assert chances(ladder, 1.0, NOW)
    assert ladder.nearing("fd-limit", 1.0, NOW)
    assert not ladder.nearing("memory-limit", 1.0, NOW)
    ladder.forget()
    assert ladder.nearing("memory-limit", 1.0, NOW)


def test_a_last_chance_takes_the_cheaper_trace_where_there_are_many() -> None:
    """Above the longer trace's limit a census tells who is there; what may not be taken at all is refused with its reason."""
    many = replace(FEW, goroutines=SETTINGS.trace_max_goroutines + 1)
    assert chances(Ladder(SETTINGS, 0.9, NOW), 1.0, NOW, many) == [Look.PROFILE, Look.CENSUS, Look.HEAP]
    off = replace(SETTINGS, heap=False)
    assert Ladder(off, 0.9, NOW).last_chance("memory-limit", 1.0, NOW, FEW) == {Look.HEAP: "switched-off"}
