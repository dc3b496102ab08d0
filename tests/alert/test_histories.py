"""Random histories of a fleet: whatever happens, and wherever the watcher is killed, the same words are told, each under one key."""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from parkwarden.alert.policy import Policy, Route
from parkwarden.alert.presence import Presence
from parkwarden.model import Act, EvidenceItem, Finding, Grade, IncidentState, Notification, Silence, Tell, Verdict
from parkwarden.store.codec import from_plain, to_plain
from tests.alert.build import World, leak, left, trend

POLICY = Policy(
    routes=(
        Route(matchers={"priority": "~P0|P1"}, channels=("pager", "log"), unanswered=("boss",)),
        Route(channels=("log",)),
    ),
    max_per_service=4,
)
SERVICES = [("orders", "prod"), ("pay", "")]
INSTANCES = ["a:6060", "b:6060"]

FINDINGS = st.lists(
    st.builds(
        lambda make, service, verdict, confidence, grade, seconds, instances: make(
            service=service[0],
            env=service[1],
            verdict=verdict,
            confidence=confidence,
            grade=grade,
            time_left=None if seconds is None else left(seconds),
            instances=instances,
        ),
        st.sampled_from(
            [
                lambda **f: leak("s1", **f),
                lambda **f: leak("s2", tier="critical", **f),
                lambda **f: trend(f.pop("service"), **f),
            ]
        ),
        st.sampled_from(SERVICES),
        st.sampled_from([Verdict.LEAK, Verdict.LEAK, Verdict.SUSPECT, Verdict.UNKNOWN]),
        st.sampled_from([0.3, 0.85, 0.99]),
        st.sampled_from(Grade),
        st.sampled_from([None, None, 900.0, 9_000.0, 80_000.0]),
        st.sampled_from([("a:6060",), ("a:6060", "b:6060")]),
    ),
    max_size=4,
)


class Histories(RuleBasedStateMachine):
    """`steady` lives through; `killed` dies and comes back around every tick, with rows that went through the store's codec."""

    def __init__(self) -> None:
        super().__init__()
        self.steady = World(POLICY)
        self.killed = World(POLICY)
        self.findings: list[Finding] = []
        self.presence = Presence({}, frozenset(), {}, {})

    def _tick(self, after: float, evidence: list[EvidenceItem]) -> None:
        told = self.steady.tick(*self.findings, after=after, blind=self.presence, evidence=evidence)
        ids = copy.copy(self.steady.ids)
        again = self.steady.ask(self.findings, self.presence)
        self.steady.ids = ids  # only asked, not done
        twice = [
            (n.key, n.tell.value, n.news) for n in again.notifications if n.tell not in (Tell.UPDATE, Tell.ACKNOWLEDGED)
        ]
        assert twice == [], "the same tick told twice"
        self.killed.now += after
        for _ in range(2):  # killed before the commit: the tick is done again
            ids = copy.copy(self.killed.ids)
            out = self.killed.ask(self.findings, self.presence, evidence)
            self.killed.ids = ids
        out = self.killed.ask(self.findings, self.presence, evidence)
        self.killed.commit(out)
        rows = self.killed.rows.values()
        self.killed.rows = {row.id: from_plain(type(row), to_plain(row)) for row in rows}  # killed after the commit
        for n in told:
            if n.tell is Tell.RESOLVED and n.incident.detector != "no-data" and not n.incident.closed:
                service = (n.incident.service, n.incident.env)
                assert service not in self.presence.blind, "silence has resolved an incident"
                assert not any(i in self.presence.blind for i in n.incident.instances)

    @rule(findings=FINDINGS)
    def judge(self, findings: list[Finding]) -> None:
        """The judges say something else from here on."""
        self.findings = findings
        self._tick(5.0, [])

    @rule(times=st.integers(1, 30), after=st.sampled_from([5.0, 30.0, 300.0]))
    def wait(self, times: int, after: float) -> None:
        """Time goes by."""
        for _ in range(times):
            self._tick(after, [])

    @rule(
        dark=st.sets(st.sampled_from([*SERVICES, *INSTANCES])), young=st.sets(st.sampled_from([*SERVICES, *INSTANCES]))
    )
    def silence_falls(self, dark: set[Any], young: set[Any]) -> None:
        """Some stop answering, some restart, all others answer."""
        blind = {key: self.presence.blind.get(key, self.steady.now) for key in dark}
        self.presence = Presence(blind, frozenset(young), {}, {})
        self._tick(5.0, [])

    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        """Somebody takes an incident on."""
        if self.steady.open:
            row = data.draw(st.sampled_from(sorted(row.id for row in self.steady.open)))
            for world in (self.steady, self.killed):
                world.act(Act.ACKNOWLEDGE, row)

    @rule(data=st.data())
    def resolve(self, data: st.DataObject) -> None:
        """Somebody says that an incident is over."""
        if self.steady.open:
            row = data.draw(st.sampled_from(sorted(row.id for row in self.steady.open)))
            for world in (self.steady, self.killed):
                world.act(Act.RESOLVE, row)
                assert world.rows[row].state is IncidentState.RESOLVED

    @rule(service=st.sampled_from(SERVICES), lasts=st.sampled_from([60.0, 3_600.0]))
    def be_quiet(self, service: tuple[str, str], lasts: float) -> None:
        """A silence is set on a service."""
        silence = Silence(id="q", matchers={"service": service[0]}, ends_at=self.steady.now + lasts)
        for world in (self.steady, self.killed):
            world.silences = [silence]

    @rule(site=st.sampled_from(["s1", "s2"]))
    def evidence(self, site: str) -> None:
        """A look brought evidence."""
        item = EvidenceItem(
            digest=f"{site}{self.steady.now}",
            kind="trace",
            instance="a:6060",
            service="orders",
            at=self.steady.now,
            bytes=1,
            stored_bytes=1,
            site_ids=(site,),
        )
        self._tick(5.0, [item])

    @invariant()
    def the_same_is_told(self) -> None:
        """A watcher that was killed around every tick has told what an undisturbed one told, and knows what it knows."""
        assert [_words(n) for n in self.killed.sent] == [_words(n) for n in self.steady.sent]
        assert self.killed.rows == self.steady.rows

    @invariant()
    def keys_are_unique(self) -> None:
        """An idempotency key stands for one notification, and revisions rise one by one."""
        keys = [n.key for n in self.steady.sent]
        assert len(keys) == len(set(keys))
        revisions: dict[str, list[int]] = defaultdict(list)
        for n in self.steady.sent:
            if not revisions[n.incident_id] or revisions[n.incident_id][-1] != n.incident.revision:
                revisions[n.incident_id].append(n.incident.revision)
        assert all(seen == list(range(1, len(seen) + 1)) for seen in revisions.values())

    @invariant()
    def stories_begin_before_they_end(self) -> None:
        """Nobody hears `resolved`, an update or a reminder of what they were never told, nor the same beginning twice."""
        begun: set[str] = set()
        for (incident_id, _), tell in {(n.incident_id, n.incident.revision): n.tell for n in self.steady.sent}.items():
            if tell in (Tell.RESOLVED, Tell.UPDATE, Tell.REMINDER, Tell.ACKNOWLEDGED):
                assert incident_id in begun, tell
            (begun.discard if tell is Tell.RESOLVED else begun.add)(incident_id)

    @invariant()
    def limits_hold(self) -> None:
        """Open incidents per service stay within the policy (beside its no-data incident)."""
        per: dict[tuple[str, str], int] = defaultdict(int)
        for row in self.steady.open:
            per[row.service, row.env] += row.detector != "no-data"
            assert row.state is not IncidentState.RESOLVED
            assert len(row.transitions) <= 32
        assert all(count <= POLICY.max_per_service for count in per.values())


def _words(n: Notification) -> tuple[str, str, tuple[str, ...], str]:
    return n.key, n.tell.value, n.news, n.incident.title


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=40, stateful_step_count=25, deadline=None, phases=[Phase.generate])
