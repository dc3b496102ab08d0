"""The state database against a plain model of it, under any order of calls, restarts included: on SQLite here, on PostgreSQL in e2e."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from parkwarden.model import Act, Action, Incident, IncidentState, Notification, StoreError
from parkwarden.store.settings import DAY_S, StoreSettings
from parkwarden.store.state import Queued, State
from tests.store.words import incident, notification

IDS = st.sampled_from([f"i{n}" for n in range(5)])
KEYS = st.sampled_from(["shop|s1", "shop|s2", "pay|s1"])
CHANNELS = st.sampled_from(["webhook", "mail"])
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)
TIMES = st.floats(0, 2e9, allow_nan=False)
MAYBE = st.none() | st.floats(allow_nan=False)


def machine(
    open_state: Callable[[Callable[[], float]], State], wipe: Callable[[], None]
) -> type[RuleBasedStateMachine]:
    """A test whose databases come from `open_state(clock)`; `wipe` empties the place before each example."""

    class StateMachine(RuleBasedStateMachine):
        now = 1_700_000_000.0

        @initialize()
        def begin(self) -> None:
            wipe()
            self.incidents: dict[str, Incident] = {}
            self.outbox: dict[str, Queued] = {}
            self.state = open_state(lambda: self.now)

        def teardown(self) -> None:
            if hasattr(self, "state"):
                self.state.close()

        @rule()
        def restart(self) -> None:
            self.state.close()
            self.state = open_state(lambda: self.now)

        @rule(seconds=st.floats(0, 40 * DAY_S))
        def time_goes_by(self, seconds: float) -> None:
            self.now += seconds

        @rule(
            changes=st.lists(
                st.tuples(IDS, KEYS, st.sampled_from(IncidentState), TEXT, MAYBE, st.booleans()), max_size=4
            ),
            told=st.lists(st.tuples(st.integers(0, 12), CHANNELS), max_size=4),
        )
        def commit(
            self,
            changes: list[tuple[str, str, IncidentState, str, float | None, bool]],
            told: list[tuple[int, str]],
        ) -> None:
            changed = [
                incident(
                    name,
                    key=key,
                    state=state,
                    title=title,
                    time_left_s=left,
                    resolved_at=self.now if state is IncidentState.RESOLVED else 0.0,
                    acknowledged_at=self.now if acknowledged else 0.0,
                    acknowledged_by="ann" if acknowledged else "",
                )
                for name, key, state, title, left, acknowledged in changes
            ]
            notes = [notification(f"{n}-{channel}", channel=channel, at=self.now) for n, channel in told]
            after = dict(self.incidents)
            for one in changed:
                known = after.get(one.id)
                first = self.incidents.get(one.id)
                if first is not None:
                    one = one.changed(closed_by=first.closed_by, closed_at=first.closed_at, closed_why=first.closed_why)
                if known is not None and first is not None and not one.acknowledged_at:
                    one = one.changed(
                        acknowledged_by=first.acknowledged_by,
                        acknowledged_at=first.acknowledged_at,
                        acknowledged_why=first.acknowledged_why,
                    )
                after[one.id] = one
            open_keys = [one.key for one in after.values() if one.state is not IncidentState.RESOLVED]
            try:
                new = self.state.commit(changed, notes)
            except StoreError as error:
                # SQLite and PostgreSQL look at each row: a key may also collide on the way to a sound end
                if error.code != "state-conflict":
                    raise
                return
            assert len(open_keys) == len(set(open_keys))
            assert new == len({note.key for note in notes} - set(self.outbox))
            self.incidents = after
            for note in notes:
                self.outbox.setdefault(note.key, Queued(notification=note, next_at=note.at))

        @precondition(lambda self: self.outbox)
        @rule(data=st.data(), outcome=st.sampled_from(["delivered", "again", "parked"]))
        def send(self, data: st.DataObject, outcome: str) -> None:
            key = data.draw(st.sampled_from(sorted(self.outbox)))
            before = self.outbox[key]
            done = before.delivered_at is not None
            if outcome == "delivered":
                assert self.state.delivered(key, self.now) is not done
                if not done:
                    self.outbox[key] = Queued(
                        notification=before.notification,
                        attempts=before.attempts + 1,
                        next_at=before.next_at,
                        delivered_at=self.now,
                    )
                return
            next_at = None if outcome == "parked" else self.now + 30
            assert self.state.failed(key, self.now, "no", next_at) is not done
            if not done:
                self.outbox[key] = Queued(
                    notification=before.notification,
                    attempts=before.attempts + 1,
                    next_at=self.now if next_at is None else next_at,
                    parked=before.parked or next_at is None,
                    error="no",
                )

        @precondition(lambda self: self.incidents)
        @rule(data=st.data())
        def act(self, data: st.DataObject) -> None:
            name = data.draw(st.sampled_from(sorted(self.incidents)))
            act = data.draw(st.sampled_from([Act.ACKNOWLEDGE, Act.RESOLVE]))
            action = Action(act=act, at=self.now, by="bob", why="seen", incident_id=name)
            expected = self.incidents[name].after(action)
            assert self.state.act(action) == expected
            assert self.state.actions()[-1] == replace(action, number=self.state.last_action())
            self.incidents[name] = expected

        @rule()
        def prune(self) -> None:
            settings = StoreSettings()
            self.state.prune(self.now)
            old, sent = self.now - settings.incident_days * DAY_S, self.now - settings.outbox_days * DAY_S
            for name, one in list(self.incidents.items()):
                if one.state is IncidentState.RESOLVED and one.resolved_at < old:
                    del self.incidents[name]
            for key, queued in list(self.outbox.items()):
                delivered = queued.delivered_at is not None and queued.delivered_at < sent
                if delivered or (queued.parked and queued.next_at < sent):
                    del self.outbox[key]

        @invariant()
        def the_same(self) -> None:
            if not hasattr(self, "state"):
                return
            assert {one.id: one for one in self.state.incidents(active=False)} == self.incidents
            unresolved = {name for name, one in self.incidents.items() if one.state is not IncidentState.RESOLVED}
            assert {one.id for one in self.state.incidents()} == unresolved
            waiting = {k: q for k, q in self.outbox.items() if q.delivered_at is None and not q.parked}
            due = self.state.due(self.now, 1000)
            assert {q.notification.key: q for q in due} == {k: q for k, q in waiting.items() if q.next_at <= self.now}
            assert [q.next_at for q in due] == sorted(q.next_at for q in due)
            assert {q.notification.key: q for q in self.state.outbox(1000)} == self.outbox
            assert all(isinstance(q.notification, Notification) for q in due)

    return StateMachine
