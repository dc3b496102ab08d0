"""The state database on a real PostgreSQL: the same rules as on SQLite, and what only a server can do to us."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test

from parkwarden.model import StoreError
from parkwarden.store.settings import StoreSettings
from parkwarden.store.state import State
from tests.e2e.postgres import postgres
from tests.store import test_state as rules
from tests.store.state_machine import machine
from tests.store.words import NOW, incident, notification

pytestmark = pytest.mark.e2e

SHARED: list[Callable[[State], None]] = [
    rules.test_an_incident_comes_back_whole,
    rules.test_text_no_database_takes_is_made_harmless,
    rules.test_one_key_is_one_row,
    rules.test_a_commit_is_all_or_nothing,
    rules.test_a_key_may_be_opened_anew_in_the_commit_that_resolves_it,
    rules.test_the_last_word_of_a_commit_counts,
    rules.test_incidents_are_found_by_service_newest_first,
    rules.test_the_outbox_waits_retries_and_parks,
    rules.test_due_is_limited_and_by_channel,
    rules.test_what_somebody_did_is_not_undone_by_who_has_not_heard_of_it,
    rules.test_actions_are_listed_in_order_and_never_renumbered,
    rules.test_silences_end,
    rules.test_open_incidents_pin_their_evidence,
    rules.test_pruning_keeps_what_is_open,
    rules.test_threads_may_share_a_state,
    rules.test_the_migrations_end_where_the_tables_are,
    rules.test_pending_incidents_are_active,
    rules.test_notifications_keep_the_incident_as_it_was,
]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres() as url:
        yield url


def wipe(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")


@pytest.fixture
def state(server: str) -> Iterator[State]:
    wipe(server)
    with State.open(server, lambda: NOW) as opened:
        yield opened


@pytest.mark.parametrize("rule", SHARED, ids=lambda rule: rule.__name__)
def test_the_rules_of_sqlite_hold(rule: Callable[[State], None], state: State) -> None:
    """Every rule of the state that does not speak of files holds on PostgreSQL."""
    rule(state)


def test_postgresql_does_as_the_model(server: str) -> None:
    """Any order of calls, as the plain model says; restarts included."""
    run = machine(lambda clock: State.open(server, clock), lambda: wipe(server))
    run_state_machine_as_test(run, settings=hypothesis_settings(max_examples=15, stateful_step_count=20))
    with psycopg.connect(server) as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_two_may_migrate_at_once(server: str) -> None:
    """Several processes that open an empty database together: one migrates, the others wait, all work."""
    wipe(server)
    failed: list[BaseException] = []

    def work(n: int) -> None:
        try:
            with State.open(server, lambda: NOW) as state:
                state.commit([incident(f"i{n}")], [notification(f"k{n}")])
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with State.open(server, lambda: NOW) as state:
        assert len(state.incidents()) == 4


def test_a_lost_connection_is_made_anew(state: State, server: str) -> None:
    """The server ends our connection (a restart, a proxy): the next call works."""
    state.commit([incident("i1")])
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'park'"
        )
    assert [kept.id for kept in state.incidents()] == ["i1"]


def test_a_locked_table_is_told(state: State, server: str) -> None:
    """A lock somebody holds too long is typed and passing, and the call works afterwards."""
    settings = StoreSettings(busy_timeout_s=0.3)
    with State.open(server, lambda: NOW, settings) as other:
        with psycopg.connect(server) as holder:
            holder.execute("LOCK TABLE incidents IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(StoreError) as locked:
                other.commit([incident("i1")])
            assert (locked.value.code, locked.value.passing) == ("state-locked", True)
        other.commit([incident("i1")])
        assert len(other.incidents()) == 1


def test_a_server_that_is_gone_is_told_and_comes_back() -> None:
    """A stopped server is typed and passing; the state opens again when it runs."""
    with postgres() as url:
        State.open(url).close()
    with pytest.raises(StoreError) as away:
        State.open(url)
    assert (away.value.code, away.value.passing) == ("state-away", True)
