"""The state database: what was committed is there, once, whatever happened in between."""

from __future__ import annotations

import asyncio
import math
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

import parkwarden.store.migrations
from parkwarden.model import Act, Action, Incident, IncidentState, Notification, Secret, Silence, StoreError, Tell
from parkwarden.store import migrate
from parkwarden.store.settings import DAY_S, StoreSettings
from parkwarden.store.sql import database_url, open_engine
from parkwarden.store.state import MAX_ERROR, AsyncState, State, _incident_row
from parkwarden.store.tables import metadata
from tests.store.words import incident, notification

NOW = 1_700_000_000.0


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(str(tmp_path / "state.db"), lambda: NOW) as opened:
        yield opened


def reopened(state: State) -> State:
    state.close()
    return State.open(state.url.render_as_string(hide_password=False), lambda: NOW)


def silence(state: State, what: Silence, act: Act = Act.SILENCE) -> None:
    state.act(Action(act=act, at=NOW, by="ann", silence=what))


def test_an_incident_comes_back_whole(state: State) -> None:
    """Every field of an incident survives a restart, an infinite time left and odd text included."""
    full = incident(
        "i1",
        labels={"team": "支付 \x01"},
        instances=("a:1", "b:2"),
        time_left_s=12.5,
        time_left_high_s=math.inf,
        rate_per_min=-math.inf,
        transitions=(1.25, 2.5),
        evidence=("d1",),
        why=("one", "two"),
        acknowledged_by="ann",
        acknowledged_at=NOW,
    )
    state.commit([full])
    assert reopened(state).incidents() == [full]


def test_text_no_database_takes_is_made_harmless(state: State) -> None:
    """NUL and lone surrogates in a hostile label become U+FFFD; the commit does not fail."""
    state.commit([incident("i\x00", title="a\x00b\ud800c", labels={"k\x00": "\udfff"})])
    [kept] = state.incidents()
    assert (kept.id, kept.title, kept.labels) == ("i\ufffd", "a\ufffdb\ufffdc", {"k\ufffd": "\ufffd"})
    assert state.incident("i\x00") == kept


def test_one_key_is_one_row(state: State) -> None:
    """The same notification twice, in one commit or two, is queued once and sent once."""
    first = notification("k1")
    assert state.commit([first.incident], [first, first]) == 1
    assert state.commit([], [first, notification("k2")]) == 1
    assert [queued.notification.key for queued in state.due(NOW)] == ["k1", "k2"]


def test_a_commit_is_all_or_nothing(state: State) -> None:
    """A commit that fails halfway leaves neither the incident nor the notification."""
    state.commit([incident("i1", key="same")])
    with pytest.raises(StoreError) as failed:
        state.commit([incident("ok"), incident("i2", key="same")], [notification("k1")])
    assert failed.value.code == "state-conflict"
    assert [kept.id for kept in state.incidents()] == ["i1"]
    assert state.due(NOW) == []


def test_a_key_may_be_opened_anew_in_the_commit_that_resolves_it(state: State) -> None:
    """Resolved rows are written first, whatever the order given."""
    old = incident("i1", key="same")
    state.commit([old])
    state.commit([incident("i2", key="same"), old.changed(state=IncidentState.RESOLVED, resolved_at=NOW)])
    assert [kept.id for kept in state.incidents()] == ["i2"]
    assert {kept.id for kept in state.incidents(active=False)} == {"i1", "i2"}


def test_the_last_word_of_a_commit_counts(state: State) -> None:
    """An incident given twice in one commit is kept as given last."""
    state.commit([incident("i1", revision=1), incident("i1", revision=2)])
    assert [kept.revision for kept in state.incidents()] == [2]


def test_incidents_are_found_by_service_newest_first(state: State) -> None:
    """`service` filters, `limit` cuts after sorting by last seen."""
    state.commit([incident(f"i{n}", service="shop" if n % 2 else "pay", last_seen=float(n)) for n in range(6)])
    assert [kept.id for kept in state.incidents(service="shop")] == ["i5", "i3", "i1"]
    assert [kept.id for kept in state.incidents(limit=2)] == ["i5", "i4"]
    assert state.incident("nobody") is None


def test_the_outbox_waits_retries_and_parks(state: State) -> None:
    """A failed delivery is due again at its time with its attempts counted; a parked one never; a delivered one is done."""
    state.commit([], [notification("a", at=NOW - 3), notification("b", at=NOW - 2), notification("c", at=NOW + 60)])
    assert [q.notification.key for q in state.due(NOW)] == ["a", "b"]
    assert state.failed("a", NOW, "e" * 10_000, NOW + 30)
    assert state.failed("b", NOW, "refused", None)
    assert state.due(NOW) == []
    assert state.due(NOW + 29.9) == []
    [again] = state.due(NOW + 30)
    assert (again.notification.key, again.attempts, len(again.error)) == ("a", 1, MAX_ERROR)
    assert state.delivered("a", NOW + 31)
    assert not state.delivered("a", NOW + 32)
    assert not state.failed("a", NOW + 33, "late", NOW + 40)
    assert state.outbox_counts() == {"waiting": 1, "delivered": 1, "parked": 1}
    assert [q.notification.key for q in reopened(state).due(NOW + 60)] == ["c"]


def test_due_is_limited_and_by_channel(state: State) -> None:
    """`due` gives at most `limit`, the longest waiting first, and one channel's alone when asked."""
    state.commit([], [notification(f"k{n}", channel=f"c{n % 2}", at=NOW - n) for n in range(6)])
    assert [q.notification.key for q in state.due(NOW, 2)] == ["k5", "k4"]
    assert [q.notification.key for q in state.due(NOW, channel="c0")] == ["k4", "k2", "k0"]


def test_what_somebody_did_is_not_undone_by_who_has_not_heard_of_it(state: State) -> None:
    """A commit of the incident as it was before takes neither an acknowledgement nor a resolution away, nor the reason."""
    acts = {Act.ACKNOWLEDGE: "acknowledged", Act.RESOLVE: "closed"}
    rows = {act: incident(act.value) for act in acts}
    state.commit(rows.values())
    for act, before in rows.items():
        action = Action(act=act, at=NOW, by="ann", why="seen to", incident_id=before.id)
        done = state.act(action)
        assert done == before.after(action)
        assert done != before
    state.commit(row.changed(count=7) for row in rows.values())
    again = reopened(state)
    for act, what in acts.items():
        kept = again.incident(act.value)
        assert kept is not None
        assert [getattr(kept, f"{what}_{fact}") for fact in ("by", "at", "why")] == ["ann", NOW, "seen to"]
        assert kept.count == 7
    assert again.act(Action(act=Act.RESOLVE, at=NOW, by="ann", incident_id="nobody")) is None
    again.close()


def test_actions_are_listed_in_order_and_never_renumbered(state: State) -> None:
    """Who listens goes on after the last number; an incident's list has what was done about silences of no single one, too."""
    state.commit([incident("i1"), incident("i2")])
    silence = Silence(id="s1", matchers={"service": "pay"}, ends_at=NOW + 10)
    asked = [
        Action(act=Act.ACKNOWLEDGE, at=NOW, by="ann", incident_id="i1"),
        Action(act=Act.SILENCE, at=NOW, by="bob", silence=silence),
        Action(act=Act.RESOLVE, at=NOW, by="eve", incident_id="i2"),
    ]
    for action in asked:
        state.act(action)
    assert [one.by for one in state.actions()] == ["ann", "bob", "eve"]
    assert [one.by for one in state.actions(incident_id="i1")] == ["ann", "bob"]
    assert [one.by for one in state.actions(after=state.actions()[1].number)] == ["eve"]
    assert [one.by for one in state.actions(limit=1)] == ["eve"]
    last = state.last_action()
    assert state.prune(NOW + 200 * DAY_S) == 5
    assert state.last_action() == 0
    state.act(asked[1])
    assert state.last_action() > last


def test_rows_of_the_first_version_are_read(tmp_path: Path) -> None:
    """A database from before reasons were kept opens, and its rows say what they said."""
    path = tmp_path / "state.db"
    old = incident("i1", acknowledged_by="ann", acknowledged_at=NOW)
    new = {"acknowledged_why", "closed_by", "closed_at", "closed_why"}
    engine = open_engine(database_url(str(path)), busy_timeout_s=1)
    with engine.connect() as connection, connection.begin():
        migrate.upgrade(connection, "0001")
        row = {name: value for name, value in _incident_row(old).items() if name not in new}
        row["body"] = orjson.dumps({k: v for k, v in row["body"].items() if k not in {*new, "stack"}}).decode()
        connection.execute(
            text(f"INSERT INTO incidents ({', '.join(row)}) VALUES ({', '.join(':' + name for name in row)})"), row
        )
    engine.dispose()
    with State.open(str(path), lambda: NOW) as state:
        assert state.incidents() == [old]
        done = state.act(Action(act=Act.RESOLVE, at=NOW, by="eve", incident_id="i1"))
        assert done is not None
        assert state.incidents() == []


def test_silences_end(state: State) -> None:
    """A silence is listed until it ends or is taken back, and can be changed by its id."""
    silence(state, Silence(id="s1", matchers={"service": "~shop.*"}, ends_at=NOW + 10))
    silence(state, Silence(id="s2", matchers={"env": "dev"}, ends_at=NOW + 5))
    silence(state, Silence(id="s1", matchers={"service": "pay"}, ends_at=NOW + 20, comment="longer"))
    assert [(s.id, s.matchers, s.comment) for s in state.silences(NOW)] == [
        ("s2", {"env": "dev"}, ""),
        ("s1", {"service": "pay"}, "longer"),
    ]
    [kept] = state.silences(NOW + 5)
    silence(state, kept, Act.UNSILENCE)
    assert state.silences(NOW + 5) == []


def test_open_incidents_pin_their_evidence(state: State) -> None:
    """What an incident that is not resolved points to is not to be pruned."""
    state.commit(
        [
            incident("open", evidence=("d0", "d3")),
            incident("shut", state=IncidentState.RESOLVED, resolved_at=NOW, evidence=("d9",)),
        ]
    )
    assert state.pinned_evidence() == {"d0", "d3"}


def test_pruning_keeps_what_is_open(state: State) -> None:
    """Only resolved incidents, sent or parked notifications ended silences and what people did go, and only when old enough."""
    settings = StoreSettings()
    later = NOW + settings.incident_days * DAY_S + 1
    state.commit(
        [
            incident("open", last_seen=0.0),
            incident("old", state=IncidentState.RESOLVED, resolved_at=NOW),
            incident("new", state=IncidentState.RESOLVED, resolved_at=later - 5),
        ],
        [notification(key) for key in ("sent", "parked", "waits")],
    )
    state.delivered("sent", NOW)
    state.failed("parked", NOW, "", None)
    silence(state, Silence(id="s", matchers={}, ends_at=NOW))
    assert state.prune(NOW + DAY_S) == 0
    assert state.prune(later) == 5
    assert {kept.id for kept in state.incidents(active=False)} == {"open", "new"}
    assert [queued.notification.key for queued in state.outbox()] == ["waits"]


def test_close_is_final_and_may_be_repeated(tmp_path: Path) -> None:
    """close() twice is fine; a call afterwards is a typed error, not a new connection."""
    state = State.open(str(tmp_path / "state.db"))
    state.close()
    state.close()
    with pytest.raises(StoreError) as failed:
        state.ping()
    assert failed.value.code == "state-closed"


def test_opening_and_closing_leaks_nothing(tmp_path: Path) -> None:
    """100 times open, write, close: as many file descriptors and threads as before."""

    async def once() -> None:
        state = AsyncState(State.open(str(tmp_path / "state.db")))
        await state.run(lambda s: s.commit([incident("i1")]))
        await state.close()
        await state.close()

    def cycle(times: int) -> tuple[int, int]:
        for _ in range(times):
            with asyncio.Runner() as runner:
                runner.run(once())
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    assert cycle(3) == cycle(97)


def test_async_calls_run_in_order_on_one_thread(tmp_path: Path) -> None:
    """Calls given first are done first; all on the state's own thread; too many waiting is a typed error."""

    async def go() -> tuple[list[int], set[str], str]:
        state = AsyncState(State.open(str(tmp_path / "state.db")))
        done: list[int] = []
        threads: set[str] = set()

        def call(n: int) -> None:
            done.append(n)
            threads.add(threading.current_thread().name)

        async with asyncio.TaskGroup() as group:
            for n in range(1000):
                group.create_task(state.run(lambda _s, n=n: call(n)))  # type: ignore[misc]
            await asyncio.sleep(0)
            with pytest.raises(StoreError) as busy:
                await state.run(lambda s: s.ping())
        await state.close()
        return done, threads, busy.value.code

    done, threads, code = asyncio.run(go())
    assert done == list(range(1000))
    assert len(threads) == 1
    assert code == "state-busy"


def test_threads_may_share_a_state(state: State) -> None:
    """Calls from many threads wait for each other; none is lost and none fails."""

    def work(worker: int) -> None:
        for n in range(20):
            state.commit([], [notification(f"{worker}-{n}")])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state.outbox_counts()["waiting"] == 160


def test_a_killed_writer_holds_nobody_up(tmp_path: Path) -> None:
    """Another writer's open transaction is waited for, then told as locked (and passing), and works once it ended."""
    settings = StoreSettings(busy_timeout_s=0.05)
    with State.open(str(tmp_path / "state.db"), lambda: NOW, settings) as state:
        with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError) as locked:
                state.commit([incident("i1")])
            assert (locked.value.code, locked.value.passing) == ("state-locked", True)
        state.commit([incident("i1")])
        assert len(state.incidents()) == 1


def test_readers_never_wait_for_the_writer(tmp_path: Path) -> None:
    """A read-only state reads the last commit while a writer is within a transaction, and cannot write."""
    path = str(tmp_path / "state.db")
    settings = StoreSettings(busy_timeout_s=0.05)
    with State.open(path) as state:
        state.commit([incident("i1")])
        with (
            closing(sqlite3.connect(path, isolation_level=None)) as other,
            State.open(path, settings=settings, read_only=True) as reader,
        ):
            other.execute("BEGIN IMMEDIATE")
            assert [kept.id for kept in reader.incidents()] == ["i1"]
            with pytest.raises(StoreError) as refused:
                silence(reader, Silence(id="s1", matchers={}, ends_at=NOW))
            assert refused.value.code == "state-read-only"


@pytest.mark.parametrize("damage", ["header", "page", "not a database"])
def test_a_damaged_file_is_set_aside_and_told(tmp_path: Path, damage: str) -> None:
    """A corrupt SQLite file is renamed, never deleted, the notice names it, and a new database begins."""
    path = tmp_path / "state.db"
    with State.open(str(path), lambda: NOW) as state:
        state.commit([incident(f"i{n}", title="x" * 500) for n in range(200)])
    content = bytearray(path.read_bytes())
    if damage == "header":
        content[:32] = b"\xff" * 32
    elif damage == "page":
        content[4096 * 3 : 4096 * 12] = os.urandom(4096 * 9)
    else:
        content[:] = b"these are not the bytes of a database" * 300
    path.write_bytes(content)
    with State.open(str(path), lambda: NOW) as state:
        assert state.incidents() == []
        [notice] = state.notices
    aside = tmp_path / "state.db.corrupt-20231114T221320Z"
    assert aside.name in notice
    assert aside.read_bytes() == bytes(content)


def test_damage_met_while_running_is_typed(tmp_path: Path) -> None:
    """A page that breaks under a running process is told as `state-corrupt` with the next step."""
    path = tmp_path / "state.db"
    with State.open(str(path), lambda: NOW) as state:
        state.commit([incident(f"i{n}", title="x" * 500) for n in range(200)])
    state = State.open(str(path), lambda: NOW)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(StoreError) as failed:
        state.incidents(active=False)
    assert failed.value.code == "state-corrupt"
    assert "Restart" in failed.value.hint
    state.close()


def test_the_step_is_recorded(tmp_path: Path) -> None:
    """A new database knows its version, so the next start has nothing to do."""
    with State.open(str(tmp_path / "state.db")) as state, state._begin() as connection:
        assert migrate.version(connection) == migrate.HEAD
        assert not migrate.upgrade(connection)


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Migrations are one transaction: after a failure the database is as it was, and the next open succeeds."""
    from alembic import op

    path = str(tmp_path / "state.db")

    def broken(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(op, "create_index", broken)
        with pytest.raises(StoreError):
            State.open(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    State.open(path).close()


def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    """A database of a future version is refused with what to do, not written to."""
    path = str(tmp_path / "state.db")
    State.open(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(StoreError) as failed:
        State.open(path)
    assert failed.value.code == "state-newer"
    assert "store.url" in failed.value.hint


def test_the_migrations_end_where_the_tables_are(state: State) -> None:
    """`tables.py` and the sum of the migrations are the same schema, and HEAD is the newest step."""
    script = ScriptDirectory(str(Path(parkwarden.store.migrations.__file__).parent))
    assert script.get_current_head() == migrate.HEAD
    with state._begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_password_is_never_shown(tmp_path: Path) -> None:
    """An error about the database names host and user, not the password."""
    settings = StoreSettings(url="postgresql://ann@127.0.0.1:1/db", password=Secret("hunter2"))
    with pytest.raises(StoreError) as failed:
        State.open(settings=settings)
    said = f"{failed.value} {failed.value.context} {failed.value.hint} {settings!r}"
    assert failed.value.code == "state-away"
    assert failed.value.passing
    assert "ann" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("url", ["mysql://h/db", "://", "postgresql://h:port/db"])
def test_a_wrong_url_is_told(url: str) -> None:
    """A URL that names no database we know is a typed error with the ones that work."""
    with pytest.raises(StoreError) as failed:
        database_url(url)
    assert failed.value.code == "state-url"
    assert "sqlite" in failed.value.hint


def test_pending_incidents_are_active(state: State) -> None:
    """A restart must find pending incidents: their timers go on."""
    state.commit([incident("i1", state=IncidentState.PENDING)])
    assert [kept.state for kept in state.incidents()] == [IncidentState.PENDING]


def test_odd_rows_of_another_version_are_read(state: State) -> None:
    """Unknown fields of a newer version are ignored, missing ones of an older take their defaults."""
    state.commit([incident("i1")])
    with state._begin() as connection:
        connection.execute(
            text("UPDATE incidents SET body = json_remove(json_set(body, '$.newer', 1), '$.advice', '$.grade')")
        )
    [kept] = state.incidents()
    assert isinstance(kept, Incident)
    assert kept.advice == ""


def test_notifications_keep_the_incident_as_it_was(state: State) -> None:
    """What is told is the incident at the time, not as it is when delivery succeeds."""
    told = notification("k1", tell=Tell.FIRING)
    state.commit([told.incident], [told])
    state.commit([told.incident.changed(title="later")])
    [queued] = state.due(NOW)
    assert isinstance(queued.notification, Notification)
    assert queued.notification == told


def test_only_its_owner_may_look_into_the_file(tmp_path: Path) -> None:
    """SQLite's file and its journals are 0600 in a folder that was there before, whatever the umask is."""
    before = os.umask(0)
    try:
        with State.open(settings=StoreSettings(folder=str(tmp_path))) as opened:
            opened.silences()
            modes = {oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"0o600"}


def test_a_file_that_was_put_in_our_files_place_is_opened(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that was repaired and mounted again: one call fails, the next finds the new file, with tables made where it has none."""
    state.commit([incident("before")])
    connect, path = state._engine.connect, tmp_path / "state.db"

    def fails_once():
        monkeypatch.setattr(state._engine, "connect", connect)
        raise OperationalError("", {}, sqlite3.OperationalError("disk I/O error"))

    monkeypatch.setattr(state._engine, "connect", fails_once)
    (tmp_path / "new").touch()
    for log in tmp_path.glob("state.db-*"):
        log.unlink()
    os.replace(tmp_path / "new", path)
    with pytest.raises(StoreError, match="I/O"):
        state.commit([incident("lost")])
    state.commit([incident("after")], [notification("k1")])
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT id FROM incidents").fetchall() == [("after",)]


def test_what_waits_for_later_can_be_hastened(state: State) -> None:
    """After the clock was set back: what waits is due now, what was delivered or parked is left alone."""
    state.commit([incident("i1")], [notification(f"k{n}") for n in range(3)])
    state.delivered("k0", NOW)
    state.failed("k1", NOW, "no", None)
    state.failed("k2", NOW, "no", NOW + 60)
    state.hasten(NOW - 3600)
    assert [q.notification.key for q in state.due(NOW - 3600)] == ["k2"]
    assert state.outbox_counts() == {"waiting": 1, "delivered": 1, "parked": 1}
