"""The life of incidents, tick by tick."""

from __future__ import annotations

import pytest

from parkwarden.alert.advance import advance
from parkwarden.alert.policy import Policy, Route, Runbook
from parkwarden.alert.presence import Presence
from parkwarden.alert.story import MAX_EVIDENCE, MAX_HAPPENED, MAX_SAVED
from parkwarden.model import Act, EvidenceItem, Grade, Happening, IncidentState, Priority, Silence, Verdict
from parkwarden.model.capture import LAST_CHANCE
from tests.alert.build import T0, World, leak, left, trend

ORDERS = ("orders", "prod")


def test_a_leak_is_told_once_after_for_s() -> None:
    """Pending is not told; firing is told once per channel, and standing still is no news."""
    world = World()
    assert world.tick(leak()) == []
    assert world.open[0].state is IncidentState.PENDING
    assert world.tick(leak()) == []
    [told] = world.tick(leak())
    assert (told.tell, told.channel, told.key) == ("firing", "hook", "i1.1.hook")
    assert told.incident.line == "main.Serve /src/serve.go:7"
    assert told.incident.since == T0 - 300
    assert world.run(leak(), for_s=600) == []


def test_a_flicker_is_never_told() -> None:
    """A condition that is gone before for_s has passed leaves no word."""
    world = World()
    world.tick(leak())
    assert world.run(for_s=60) == []
    assert world.open == []


@pytest.mark.parametrize(("confidence", "told"), [(0.79, []), (0.8, ["firing"])])
def test_suspects_need_confidence_and_time(confidence: float, told: list[str]) -> None:
    """A suspect opens an incident from the stated confidence on and after its own longer time; below it never."""
    world = World()
    suspect = leak(verdict=Verdict.SUSPECT, confidence=confidence)
    assert world.run(suspect, for_s=120) == []
    assert world.run(suspect, for_s=600) == told


def test_resolved_after_keep_firing_and_told_so() -> None:
    """Only a condition judged gone for keep_firing_s resolves; the end is told once."""
    world = World()
    world.run(leak(), for_s=60)
    assert world.run(for_s=300) == []
    assert world.run(for_s=10) == ["resolved"]
    assert world.run(for_s=600) == []


def test_coming_back_soon_is_the_same_incident() -> None:
    """Within reopen_s the old id goes on; later it is a new incident."""
    world = World()
    world.run(leak(), for_s=60)
    world.run(for_s=400)
    assert world.run(leak(), for_s=30) == ["firing"]
    assert list(world.rows) == ["i1"]
    world.run(for_s=2000)
    world.run(leak(), for_s=30)
    assert list(world.rows) == ["i1", "i2"]


def test_one_incident_over_replicas_and_one_per_site_and_env() -> None:
    """Grouping is (service, env, site): replicas share one, another site or env has its own."""
    world = World()
    both = [leak(instances=("a",)), leak(instances=("b",)), leak("s2"), leak(env="test")]
    world.run(*both, for_s=20)
    assert len(world.open) == 3
    assert world.open[0].instances == ("a", "b")


# --- no data ---------------------------------------------------------------------------------------------------------------


def test_silence_resolves_nothing_and_is_a_state_of_its_own() -> None:
    """A service that stops answering: its incident waits as no-data, one message says so, and hours later it is still open."""
    world = World()
    world.run(leak(), for_s=60)
    since = world.now
    told = world.run(for_s=6 * 3600, step=60, blind={ORDERS: since, "a:6060": since})
    assert told[0] == "no-data"
    assert "resolved" not in told
    states = {row.detector: (row.state, row.inhibited_by) for row in world.open}
    assert states["send-without-receiver"] == (IncidentState.NO_DATA, "i2")
    assert states["no-data"] == (IncidentState.NO_DATA, "")


def test_data_that_comes_back_with_the_leak_goes_on_and_without_it_resolves() -> None:
    """After silence the condition is judged anew: there -> firing on, judged ok for long enough -> resolved."""
    for again in ((leak(),), ()):
        world = World()
        world.run(leak(), for_s=60)
        since = world.now
        world.run(for_s=300, blind={ORDERS: since, "a:6060": since})
        told = world.run(*again, for_s=400)
        assert told.count("resolved") == (1 if again else 2)
        assert [row.state for row in world.open] == ([IncidentState.FIRING] if again else [])


def test_findings_kept_of_the_blind_are_no_news() -> None:
    """What an engine still holds of an instance that does not answer neither opens nor confirms an incident."""
    world = World()
    assert world.run(leak(), for_s=60, blind={"a:6060": T0}) == []
    assert world.open == []
    world.run(leak(), for_s=60)
    told = world.run(leak(), for_s=200, blind={"a:6060": world.now})
    assert told == ["no-data"]


def test_unknown_and_weak_suspicion_hold() -> None:
    """A detector's exception or doubt does not resolve what fires."""
    world = World()
    world.run(leak(), for_s=60)
    assert world.run(leak(verdict=Verdict.UNKNOWN), for_s=3000) == []
    assert world.run(leak(verdict=Verdict.SUSPECT, confidence=0.3), for_s=3000) == []
    assert world.open[0].state is IncidentState.FIRING


def test_a_restart_cures_nothing_until_judged() -> None:
    """While the new life is too young to be judged the incident stays; then keep_firing_s must pass too."""
    world = World()
    world.run(leak(), for_s=60)
    young = Presence({}, frozenset(["a:6060"]), {}, {})
    assert world.run(for_s=3000, blind=young) == []
    assert world.run(for_s=300) == []
    assert world.run(for_s=10) == ["resolved"]


def test_new_pods_only_do_not_resolve() -> None:
    """A deploy replaces every pod under new names: until one of them can be judged nothing is resolved."""
    world = World()
    world.run(leak(), for_s=60)
    assert world.run(for_s=3000, blind=Presence({}, frozenset([ORDERS, "new:1"]), {}, {})) == []
    assert world.open


def test_a_service_that_is_gone_closes_late() -> None:
    """No target left is neither failure nor recovery: no-data, and closed after gone_after_s."""
    world = World()
    world.run(leak(), for_s=60)
    gone = Presence({}, frozenset(), {ORDERS: world.now}, {})
    assert world.run(for_s=80_000, step=100, blind=gone).count("no-data") == 1
    assert "resolved" in world.run(for_s=10_000, step=100, blind=gone)


def test_a_silent_service_is_an_incident_by_itself() -> None:
    """Silence is told though nothing was wrong before, unless the policy says not to; it ends when somebody answers."""
    world = World()
    assert world.run(for_s=300, blind={ORDERS: T0}) == ["no-data"]
    assert world.run(for_s=300) == ["resolved"]
    quiet = World(Policy(channels=("hook",), no_data_alone=False))
    assert quiet.run(for_s=300, blind={ORDERS: T0}) == []


def test_silence_is_as_urgent_as_what_was_wrong_before() -> None:
    """A P0 service that dies of its leak stays P0."""
    world = World()
    world.run(leak(tier="critical"), for_s=60)
    world.run(for_s=200, blind={ORDERS: world.now, "a:6060": world.now})
    assert [row.priority for row in world.open if row.detector == "no-data"] == [Priority.P0]


# --- one story -------------------------------------------------------------------------------------------------------------


def test_a_process_incident_is_adopted_by_its_site() -> None:
    """goroutine-trend told first, then its site accused: same id, an update that names the line at once."""
    world = World()
    assert world.run(trend(), for_s=30) == ["firing"]
    [told] = world.tick(trend(), leak())
    assert (told.tell, told.incident_id) == ("update", "i1")
    assert told.news == ("the line is named: main.Serve /src/serve.go:7",)
    assert next(row for row in world.open if row.id == "i1").site_id == "s1"
    assert world.run(trend(), leak(), for_s=120) == []


def test_adopting_takes_over_a_site_still_pending() -> None:
    """A site that was pending when the process fired does not become a second story."""
    world = World()
    suspect = leak(verdict=Verdict.SUSPECT, confidence=0.9)
    world.run(suspect, for_s=10)
    world.run(suspect, trend(), for_s=15)
    world.run(suspect, trend(), for_s=600)
    told = {n.incident_id for n in world.sent}
    assert len(told) == 1


def test_a_site_that_fires_keeps_the_processes_quiet_unless_more_urgent() -> None:
    """Inhibition: a process-level incident beside a firing site is kept, not told; a more urgent one is."""
    world = World()
    world.run(leak(), for_s=60)
    jump = trend(pattern="heap-jump", code="PW502")
    assert world.run(leak(), jump, for_s=60) == []
    assert [row.inhibited_by for row in world.open] == ["", "i1"]
    urgent = trend(pattern="heap-jump", code="PW502", time_left=left(900))
    assert world.run(leak(), urgent, for_s=60) == ["firing"]


# --- what is news ----------------------------------------------------------------------------------------------------------


def test_worse_is_told_and_rate_limited() -> None:
    """A faster grade is news, but not within update_min_s of the last word."""
    world = World()
    world.run(leak(), for_s=15)
    amber = leak(grade=Grade.AMBER, rate_per_min=12.0)
    assert world.run(amber, for_s=55) == []
    assert world.run(amber, for_s=10) == ["update"]
    assert world.run(amber, for_s=600) == []


def test_a_raised_priority_does_not_wait() -> None:
    """P2 -> P0 because the limit is near is told at the next tick."""
    world = World()
    world.run(leak(), for_s=15)
    [told] = world.tick(leak(time_left=left(1000)))
    assert told.incident.priority is Priority.P0
    assert "more urgent: P2 -> P0" in told.news


def test_time_left_halved_is_news() -> None:
    """Time left is told again when it has halved, never while it only creeps."""
    world = World()
    world.run(leak(time_left=left(80_000)), for_s=15)
    assert world.run(leak(time_left=left(50_000)), for_s=100) == []
    assert world.run(leak(time_left=left(40_000)), for_s=100) == ["update"]


def test_evidence_and_replicas_are_news_once() -> None:
    """Evidence attached and a doubling of instances are told; more of the same is not."""
    world = World()
    world.run(leak(), for_s=100)
    item = EvidenceItem(
        digest="d1",
        kind="goroutine-profile",
        instance="a:6060",
        service="orders",
        at=T0,
        bytes=1,
        stored_bytes=1,
        site_ids=("s1",),
    )
    [told] = world.tick(leak(), evidence=[item])
    assert told.incident.evidence == ("d1",)
    assert world.run(leak(), for_s=100) == []
    assert world.run(leak(instances=("a:6060", "b")), for_s=100) == ["update"]
    assert world.run(leak(instances=("a:6060", "b", "c")), for_s=100) == []


# --- priorities, reminders, acknowledging ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "grade", "tier", "low_s", "priority"),
    [
        (Verdict.LEAK, Grade.YELLOW, "critical", None, "P0"),
        (Verdict.SUSPECT, Grade.YELLOW, "Critical", None, "P1"),
        (Verdict.LEAK, Grade.RED, "", None, "P1"),
        (Verdict.LEAK, Grade.YELLOW, "", None, "P2"),
        (Verdict.LEAK, Grade.YELLOW, "low", None, "P3"),
        (Verdict.LEAK, Grade.NONE, "low", 1800.0, "P0"),
        (Verdict.LEAK, Grade.NONE, "", 1801.0, "P1"),
        (Verdict.LEAK, Grade.NONE, "", 14_401.0, "P2"),
        (Verdict.SUSPECT, Grade.RED, "low", 60.0, "P1"),
        (Verdict.SUSPECT, Grade.NONE, "", None, "P3"),
        (Verdict.UNKNOWN, Grade.NONE, "", None, "P2"),
    ],
)
def test_priorities(verdict: Verdict, grade: Grade, tier: str, low_s: float | None, priority: str) -> None:
    """P0 for leaks of critical tiers and for a process about to die, and not one step below."""
    assert Policy().priority(verdict, grade, tier, low_s) == priority


def test_unanswered_goes_to_the_next_in_line() -> None:
    """P0: nobody acknowledged within 5 minutes -> a reminder to `unanswered` too, then every 15 minutes."""
    route = Route(matchers={"priority": "~P0|P1"}, channels=("pager",), unanswered=("boss",))
    world = World(Policy(for_s=10.0, routes=(route,), channels=("mail",)))
    critical = leak(tier="critical")
    world.run(critical, for_s=15)
    assert world.run(critical, for_s=295) == []
    assert [(n.tell.value, n.channel) for n in world.tick(critical)] == [("reminder", "pager"), ("reminder", "boss")]
    assert world.run(critical, for_s=1800) == ["reminder"] * 4


def test_acknowledged_is_told_and_quiet_until_worse() -> None:
    """An acknowledgement is told once, stops reminders, and what is more urgent is told all the same."""
    world = World()
    critical = leak(tier="critical", verdict=Verdict.SUSPECT, confidence=0.9)
    world.run(critical, for_s=140)
    world.act(Act.ACKNOWLEDGE, "i1")
    [told] = world.tick(critical)
    assert (told.tell, told.news) == ("acknowledged", ("acknowledged by ada",))
    assert world.run(critical, for_s=3600) == []
    assert world.run(leak(tier="critical"), for_s=10) == ["update"]


def test_routes_take_the_first_match_and_default_channels_the_rest() -> None:
    """A route may end the search with nobody to tell; `more` goes on; no match goes to the default channels."""
    policy = Policy(
        routes=(
            Route(matchers={"env": "test"}, channels=()),
            Route(matchers={"service": "~ord.*"}, channels=("a",), more=True),
            Route(matchers={"code": "PW104"}, channels=("b", "a")),
        ),
        channels=("d",),
    )
    world = World(policy)
    world.run(leak(), leak(env="test"), leak(service="pay", code="PW105", site=leak("x").site), for_s=20)
    assert sorted((n.incident.service, n.channel) for n in world.sent) == [
        ("orders", "a"),
        ("orders", "b"),
        ("pay", "d"),
    ]


def test_runbooks_by_code_or_pattern() -> None:
    """The first match by code or pattern wins; without one the finding code is the runbook."""
    policy = Policy(channels=("hook",), runbooks=(Runbook(match="send-*", id="RB-7"),), link="https://pw.example/")
    world = World(policy)
    world.run(leak(), leak("s2", pattern="goroutine-leak", code="PW100"), for_s=20)
    assert [(n.runbook, n.evidence_url) for n in world.sent] == [
        ("RB-7", "https://pw.example/incidents/i1"),
        ("PW100", "https://pw.example/incidents/i2"),
    ]


# --- silences, flapping, limits ---------------------------------------------------------------------------------------------


def test_silenced_lives_on_and_is_told_when_the_silence_ends() -> None:
    """Nothing is told under a silence; what still fires when it ends is."""
    world = World()
    world.silences = [Silence(id="q", matchers={"service": "~ord.*"}, ends_at=T0 + 600)]
    assert world.run(leak(), for_s=590) == []
    assert world.open[0].silenced_until == T0 + 600
    assert world.run(leak(), for_s=20) == ["firing"]
    assert world.open[0].silenced_until == 0


def test_a_silence_without_matchers_or_with_a_broken_regex_covers_nothing() -> None:
    """An empty or broken silence must not hide the fleet."""
    world = World()
    world.silences = [
        Silence(id="q", matchers={}, ends_at=T0 + 600),
        Silence(id="r", matchers={"service": "~("}, ends_at=T0 + 600),
    ]
    assert world.run(leak(), for_s=20) == ["firing"]


def test_flapping_is_said_once_then_quiet_until_calm() -> None:
    """Five firings and resolutions within an hour are flapping; later cycles are silent, and calm is resolved."""
    world = World(Policy(channels=("hook",), keep_firing_s=30, reopen_s=900))
    told = []
    for _ in range(12):
        told += world.run(leak(), for_s=60)
        told += world.run(for_s=60)
    assert told == ["firing", "resolved", "firing", "resolved", "flapping"]
    assert world.run(for_s=1900) == ["resolved"]


def test_storms_are_bounded_and_counted() -> None:
    """Past max_per_service new incidents are dropped, worst kept, and the drops counted."""
    world = World(Policy(channels=("hook",), max_per_service=3))
    out = world.ask([leak(f"s{i}", confidence=0.5 + i / 100) for i in range(10)], {})
    assert out.dropped == 7
    assert sorted(row.site_id for row in out.changed) == ["s7", "s8", "s9"]


def test_hostile_labels_are_capped() -> None:
    """A service that sends endless labels, names and sentences makes a small row."""
    hostile = leak(
        service="x" * 10**6,
        title="\x1b[31m" * 10**5,
        labels={f"l{i}": "v" * 10**5 for i in range(500)},
        instances=tuple(f"i{i}" for i in range(10_000)),
    )
    out = World().ask([hostile], {})
    row = out.changed[0]
    assert len(row.key) <= 512
    assert len(row.service) <= 200
    assert len(row.labels) <= 40
    assert len(row.title) <= 2_000
    assert len(row.instances) <= 50
    assert max(map(len, row.labels.values())) <= 200


def test_a_clock_set_back_does_not_stop_timers() -> None:
    """Times from the future count from now on: after the jump a resolution still comes."""
    world = World()
    world.run(leak(), for_s=60)
    world.run(for_s=100)
    world.now -= 100_000
    assert world.run(for_s=310) == ["resolved"]


def test_moving_numbers_are_written_down_rarely() -> None:
    """A row whose numbers only move on is written every touch_s, not at every tick."""
    world = World()
    world.run(leak(), for_s=60)
    writes = 0
    for i in range(60):
        world.now += 5
        out = world.ask([leak(count=200 + i, title=f"{i}")], {})
        world.commit(out)
        writes += len(out.changed)
    assert writes == 20


def _item(digest: str, at: float, why: str) -> EvidenceItem:
    return EvidenceItem(
        digest=digest, kind="heap-profile", instance="a:6060", service="orders", at=at, bytes=1, stored_bytes=1, why=why
    )


def test_what_was_saved_before_a_limit_is_not_pushed_out_by_newer_evidence() -> None:
    """Looks at the next life of a process must not take the place of what the last one left behind."""
    world = World()
    world.tick(leak(), evidence=[_item("last", T0, f"{LAST_CHANCE} memory-limit")])
    for n in range(2 * MAX_EVIDENCE):
        world.tick(leak(), evidence=[_item(f"d{n}", T0 + n, "survivors")])
    [row] = world.rows.values()
    assert len(row.evidence) == MAX_EVIDENCE
    assert row.evidence[0] == f"d{2 * MAX_EVIDENCE - 1}"
    assert row.evidence[-1] == "last"
    assert row.saved == ("last",)
    world.tick(leak(), evidence=[_item(f"l{n}", T0 + n, f"{LAST_CHANCE} fd-limit") for n in range(2 * MAX_SAVED)])
    [row] = world.rows.values()
    assert len(row.saved) == MAX_SAVED
    assert "last" not in row.saved


def test_an_incident_opened_later_has_what_was_saved_before_it() -> None:
    """Evidence is often saved on the first suspicion, before anybody is told; rows that are open already are not given it twice."""
    world = World()
    item = _item("last", T0, f"{LAST_CHANCE} memory-limit")
    out = advance([], [leak()], {}, T0, world.policy, [], lambda: "1", saved=[item])
    assert [row.evidence for row in out.changed] == [("last",)]
    later = advance(out.changed, [leak()], {}, T0 + 5, world.policy, [], lambda: "2", saved=[_item("more", T0, "x")])
    assert all(row.evidence == ("last",) for row in later.changed)


def test_what_befalls_instances_is_told_in_their_incidents() -> None:
    """A death and a restart belong to the story of who was wrong with them, and to no other; the newest are kept."""
    world = World()
    world.tick(leak())
    [row] = world.rows.values()
    died = [Happening(at=world.now + n, instance="a:6060", text=f"died {n}") for n in range(MAX_HAPPENED + 5)]
    other = Happening(at=world.now, instance="b:6060", text="another")
    early = Happening(at=row.pending_since - 100, instance="a:6060", text="before it began")
    out = advance(
        world.rows.values(), [leak()], {}, world.now, world.policy, [], lambda: "2", happened=[early, other, *died]
    )
    [row] = out.changed
    assert [one.text for one in row.happened] == [one.text for one in died[-MAX_HAPPENED:]]
