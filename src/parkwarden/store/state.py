"""State: incidents, the outbox of notifications, silences, and what people did.

The transactional outbox: `commit` writes changed incidents and the notifications about them in one transaction, so that a process
killed at any moment has either told nobody and remembers nothing, or remembers both and delivers later. A notification's key is its
identity: committing it twice is one row, delivering it is at least once, and a receiver tells repeats by the key.

All calls are synchronous, quick (a few rows by index) and safe from several threads; one connection writes. In asyncio code
`AsyncState` runs them on one thread of their own. Errors are `StoreError`s; `passing` ones may be tried again.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Row,
    Select,
    and_,
    case,
    delete,
    func,
    insert,
    not_,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from parkwarden.model.errors import StoreError
from parkwarden.model.incident import Act, Action, Incident, IncidentState, Notification, Silence
from parkwarden.store.codec import clean, from_plain, to_plain
from parkwarden.store.migrate import upgrade
from parkwarden.store.settings import DAY_S, StoreSettings
from parkwarden.store.sql import database_url, open_engine, set_aside_if_corrupt, told
from parkwarden.store.tables import actions, incidents, outbox, silences

T = TypeVar("T")

MAX_QUEUED = 1000
"""Calls waiting for the writer's thread; at 1,000 commits a second one second of work. More means the database hangs."""
MAX_ERROR = 500
"""Characters kept of a delivery's error: it comes from a receiver we do not trust."""
_BATCH = 500
"""Rows named in one statement: SQLite and PostgreSQL take 32,766 variables and more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A notification as it stands in the outbox. `delivered_at` None and `parked` False = to be sent at `next_at`."""

    notification: Notification
    attempts: int = 0
    next_at: float = 0.0
    delivered_at: float | None = None
    parked: bool = False
    error: str = ""


class State:
    """The state database; made by `State.open`. `notices` tells what opening had to do (a damaged file set aside)."""

    def __init__(self, engine: Engine, clock: Callable[[], float], settings: StoreSettings) -> None:
        self._engine = engine
        self._clock = clock
        self._settings = settings
        self._lock = threading.RLock()
        self._closed = False
        self._sqlite = engine.dialect.name == "sqlite"
        self._file: tuple[int, int] | None = None
        self.notices: list[str] = []

    @classmethod
    def open(
        cls,
        url: str = "",
        clock: Callable[[], float] = time.time,
        settings: StoreSettings | None = None,
        *,
        read_only: bool = False,
    ) -> State:
        """Open (and, unless `read_only`, make or migrate) the database at `url`, "" = the settings'."""
        settings = settings or StoreSettings()
        password = settings.password.reveal() if settings.password else ""
        parsed = database_url(url or settings.url or str(Path(settings.folder) / "state.db"), password)
        notices = [] if read_only else _prepare(parsed, clock())
        state = cls(open_engine(parsed, busy_timeout_s=settings.busy_timeout_s, read_only=read_only), clock, settings)
        state.notices += [notice for notice in notices if notice]
        if not read_only:
            try:
                with state._begin() as connection:
                    upgrade(connection)
            except BaseException:
                state.close()
                raise
            state._file = _identity(parsed)
        return state

    def close(self) -> None:
        """Let the database go. A second call does nothing; other calls after it raise StoreError `state-closed`."""
        with self._lock:
            self._closed = True
            self._engine.dispose()

    def __enter__(self) -> State:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> URL:
        return self._engine.url

    @contextmanager
    def _begin(self, *, safe: bool = False) -> Iterator[Connection]:
        """One transaction. `safe`: it is on the disk when this returns (SQLite; PostgreSQL always does so)."""
        with self._lock:
            if self._closed:
                raise StoreError("state-closed", "The state database was closed already.")
            try:
                with told(self._engine.url), self._engine.connect() as connection:
                    if self._sqlite:
                        driver = connection.connection.dbapi_connection
                        assert driver is not None
                        driver.execute(f"PRAGMA synchronous={'FULL' if safe else 'NORMAL'}")
                    with connection.begin():
                        yield connection
            except StoreError:
                self._reopen_if_replaced()
                raise

    def _reopen_if_replaced(self) -> None:
        """A file that is not the one we opened any more (its disk was repaired and mounted again, somebody put a copy back)
        is opened instead; the next call finds it."""
        now = _identity(self._engine.url)
        if self._file is None or now is None or now == self._file:
            return
        self._engine.dispose()
        with suppress(StoreError), told(self._engine.url), self._engine.begin() as connection:
            upgrade(connection)
            self._file = now

    def _insert(self, table: Any) -> Any:
        """An INSERT that can say ON CONFLICT; the two dialects' words for it are the same."""
        return sqlite.insert(table) if self._sqlite else postgresql.insert(table)

    # ---- incidents and the outbox

    def commit(self, changed: Iterable[Incident], notifications: Iterable[Notification] = ()) -> int:
        """Keep changed incidents and queue notifications, all or nothing; how many notifications were new.

        On the disk when it returns if anything is told or acknowledged: an alert that went out, or an acknowledgement that
        somebody saw, must not be undone by a power cut. Mere updates of counts may be.
        """
        changed, notifications = list(changed), list(notifications)
        if not changed and not notifications:
            return 0
        now = self._clock()
        safe = bool(notifications) or any(row.acknowledged_at or row.closed_at for row in changed)
        with self._begin(safe=safe) as connection:
            if changed:
                # resolved ones first: their key may be opened anew in the same commit
                rows = sorted(map(_incident_row, _newest(changed)), key=lambda row: row["state"] != "resolved")
                connection.execute(self._upsert_incident(), rows)
            if not notifications:
                return 0
            statement = self._insert(outbox).on_conflict_do_nothing(index_elements=["key"])
            before = connection.execute(_count_keys(notifications)).scalar_one()
            connection.execute(statement, [_outbox_row(notification, now) for notification in notifications])
            return int(connection.execute(_count_keys(notifications)).scalar_one() - before)

    def _upsert_incident(self) -> Any:
        statement = self._insert(incidents)
        new = statement.excluded
        columns = {column.name: new[column.name] for column in incidents.c if column.name != "id"}
        # what somebody did through another process since is not undone by a writer that has not heard of it
        for what in ("acknowledged", "closed"):
            heard = new[f"{what}_at"] >= incidents.c[f"{what}_at"]
            for name in (f"{what}_by", f"{what}_at", f"{what}_why"):
                columns[name] = case((heard, new[name]), else_=incidents.c[name])
        return statement.on_conflict_do_update(index_elements=["id"], set_=columns)

    def incidents(self, active: bool = True, *, service: str | None = None, limit: int | None = None) -> list[Incident]:
        """Incidents that are not resolved (pending ones too: their timers go on), or all; newest first."""
        query = select(incidents).order_by(incidents.c.last_seen.desc(), incidents.c.id)
        if active:
            query = query.where(incidents.c.state != IncidentState.RESOLVED.value)
        if service is not None:
            query = query.where(incidents.c.service == clean(service))
        return [_incident(row) for row in self._rows(query.limit(limit) if limit is not None else query)]

    def past(self, limit: int, service: str | None = None) -> list[Incident]:
        """Incidents that are resolved, the last one to end first."""
        query = select(incidents).where(incidents.c.state == IncidentState.RESOLVED.value)
        if service is not None:
            query = query.where(incidents.c.service == clean(service))
        return [_incident(row) for row in self._rows(query.order_by(incidents.c.resolved_at.desc()).limit(limit))]

    def incident(self, incident_id: str) -> Incident | None:
        rows = self._rows(select(incidents).where(incidents.c.id == clean(incident_id)))
        return _incident(rows[0]) if rows else None

    def act(self, action: Action) -> Incident | None:
        """Write down what somebody did: the action, the incident after it (`Incident.after`) and the silence begun or ended, all or
        nothing. The incident as it is now; None if the action is about none, or there is none of that id (then nothing is done).
        On the disk when it returns."""
        row = None
        with self._begin(safe=True) as connection:
            if action.incident_id:
                query = select(incidents).where(incidents.c.id == clean(action.incident_id)).with_for_update()
                kept = connection.execute(query).first()
                if kept is None:
                    return None
                row = _incident(kept).after(action)
                connection.execute(self._upsert_incident(), [_incident_row(row)])
            if action.silence is not None and action.act is Act.SILENCE:
                connection.execute(self._upsert_silence(action.silence))
            elif action.silence is not None:
                connection.execute(delete(silences).where(silences.c.id == clean(action.silence.id)))
            told = {"incident_id": clean(action.incident_id), "at": action.at, "body": to_plain(action)}
            connection.execute(insert(actions).values(told))
        return row

    def actions(self, *, after: int = 0, incident_id: str | None = None, limit: int = 1_000) -> list[Action]:
        """What people did, oldest first: after the one of this number, about this incident or about silences of no single one; of more
        than `limit` the newest."""
        query = select(actions).where(actions.c.number > after).order_by(actions.c.number.desc()).limit(limit)
        if incident_id is not None:
            query = query.where(actions.c.incident_id.in_(("", clean(incident_id))))
        rows = self._rows(query)[::-1]
        return [from_plain(Action, {**row.body, "number": row.number}) for row in rows]

    def last_action(self) -> int:
        """The number of the last action, 0 = nobody has done anything yet."""
        return int(self._rows(select(func.coalesce(func.max(actions.c.number), 0)))[0][0])

    def due(self, now: float, limit: int = 100, channel: str | None = None) -> list[Queued]:
        """Notifications to send now, those that wait longest first."""
        query = select(outbox).where(_WAITING, outbox.c.next_at <= now).order_by(outbox.c.next_at, outbox.c.key)
        if channel is not None:
            query = query.where(outbox.c.channel == clean(channel))
        return [_queued(row) for row in self._rows(query.limit(limit))]

    def outbox(self, limit: int = 100) -> list[Queued]:
        """What was queued last, delivered or not."""
        return [_queued(row) for row in self._rows(select(outbox).order_by(outbox.c.queued_at.desc()).limit(limit))]

    def told(self, incident_id: str, limit: int = 500) -> list[Queued]:
        """What was queued about an incident, oldest first; of more than `limit` the newest."""
        query = (
            select(outbox)
            .where(outbox.c.incident_id == clean(incident_id))
            .order_by(outbox.c.queued_at.desc(), outbox.c.key)
        )
        return [_queued(row) for row in self._rows(query.limit(limit))[::-1]]

    def outbox_counts(self) -> dict[str, int]:
        """How many notifications are `waiting`, `delivered` and `parked`."""
        state = case((outbox.c.delivered_at.is_not(None), "delivered"), (outbox.c.parked, "parked"), else_="waiting")
        rows = self._rows(select(state.label("state"), func.count().label("n")).group_by(state))
        return {"waiting": 0, "delivered": 0, "parked": 0} | {row.state: int(row.n) for row in rows}

    def delivered(self, key: str, at: float) -> bool:
        """A receiver took it; False if the key is unknown or was delivered already. May be undone by a power cut: then it is sent
        again with the same key, which at-least-once allows."""
        done = update(outbox).where(outbox.c.key == clean(key), outbox.c.delivered_at.is_(None))
        return self._changed(done.values(delivered_at=at, parked=False, error="", attempts=outbox.c.attempts + 1)) > 0

    def hasten(self, now: float) -> None:
        """What waits for a later time is due at `now`: when the clock was set back, that time may be hours away."""
        self._changed(update(outbox).where(_WAITING, outbox.c.next_at > now).values(next_at=now))

    def failed(self, key: str, at: float, error: str, next_at: float | None) -> bool:
        """It was not taken: try again at `next_at`, None = never (parked: kept and shown, not sent)."""
        values: dict[str, Any] = {"attempts": outbox.c.attempts + 1, "error": clean(error)[:MAX_ERROR]}
        values |= {"parked": True, "next_at": at} if next_at is None else {"next_at": next_at}
        still = update(outbox).where(outbox.c.key == clean(key), outbox.c.delivered_at.is_(None))
        return self._changed(still.values(values)) > 0

    # ---- silences

    def silences(self, now: float | None = None) -> list[Silence]:
        """Those that have not ended by `now` (None = the clock's)."""
        now = self._clock() if now is None else now
        rows = self._rows(select(silences).where(silences.c.ends_at > now).order_by(silences.c.ends_at, silences.c.id))
        return [from_plain(Silence, row.body) for row in rows]

    def _upsert_silence(self, silence: Silence) -> Any:
        statement = self._insert(silences).values(id=clean(silence.id), ends_at=silence.ends_at, body=to_plain(silence))
        new = statement.excluded
        return statement.on_conflict_do_update(index_elements=["id"], set_={"ends_at": new.ends_at, "body": new.body})

    # ---- upkeep

    def pinned_evidence(self) -> set[str]:
        """Digests that incidents which are not resolved point to: never pruned."""
        return {digest for incident in self.incidents() for digest in incident.evidence}

    def prune(self, now: float) -> int:
        """Let go what is older than the settings keep: resolved incidents, what people did, sent or parked notifications, ended
        silences."""
        old_incident = now - self._settings.incident_days * DAY_S
        old_sent = now - self._settings.outbox_days * DAY_S
        with self._begin() as connection:
            statements = (
                delete(incidents).where(
                    incidents.c.state == IncidentState.RESOLVED.value, incidents.c.resolved_at < old_incident
                ),
                delete(outbox).where(
                    or_(outbox.c.delivered_at < old_sent, and_(outbox.c.parked, outbox.c.next_at < old_sent))
                ),
                delete(silences).where(silences.c.ends_at < old_sent),
                delete(actions).where(actions.c.at < old_incident),
            )
            return sum(connection.execute(statement).rowcount for statement in statements)

    def ping(self) -> None:
        """Raises StoreError unless the database answers: for /readyz and `doctor`."""
        self._rows(select(text("1")))

    def _rows(self, query: Select[Any]) -> list[Row[Any]]:
        with self._begin() as connection:
            return list(connection.execute(query).all())

    def _changed(self, statement: Any) -> int:
        with self._begin() as connection:
            return int(connection.execute(statement).rowcount)


_WAITING = and_(outbox.c.delivered_at.is_(None), not_(outbox.c.parked))


class AsyncState:
    """A `State` for asyncio code: every call runs on one thread, in order; at most MAX_QUEUED wait.

    `await state.run(lambda s: s.commit(changed, notifications))`. A call that is cancelled while it waits may still be done.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="parkwarden-state")
        self._queued = 0

    async def run(self, call: Callable[[State], T]) -> T:
        """Do `call(state)` on the thread. Raises StoreError `state-busy` when too many calls wait."""
        if self._queued >= MAX_QUEUED:
            raise StoreError(
                "state-busy",
                f"{MAX_QUEUED} calls wait for the state database.",
                hint="It hangs: check the disk or the database server.",
                passing=True,
            )
        self._queued += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, call, self.state)
        finally:
            self._queued -= 1

    async def close(self) -> None:
        """Finish what waits, end the thread, close the database. A second call does nothing."""
        await asyncio.to_thread(self._thread.shutdown)
        self.state.close()


def _prepare(url: URL, now: float) -> list[str]:
    """SQLite: the folder there, a damaged file set aside. Notices."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return []
    file = Path(url.database)
    with told(url):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        notice = set_aside_if_corrupt(file, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now)))
        os.close(
            os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        )  # SQLite's own files take their mode from it
        return [notice]


def _identity(url: URL) -> tuple[int, int] | None:
    """Device and number of SQLite's file; None where there is none."""
    try:
        found = os.stat(url.database or "") if url.get_backend_name() == "sqlite" else None
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found else None


def _newest(changed: Sequence[Incident]) -> list[Incident]:
    """One per id, the last: a statement may not touch a row twice."""
    return list({incident.id: incident for incident in changed}.values())


def _count_keys(notifications: Sequence[Notification]) -> Select[Any]:
    keys = [clean(notification.key) for notification in notifications]
    return select(func.count()).select_from(outbox).where(or_(*(outbox.c.key.in_(batch) for batch in _batches(keys))))


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


def _incident_row(incident: Incident) -> dict[str, Any]:
    return {
        "id": clean(incident.id),
        "key": clean(incident.key),
        "state": incident.state.value,
        "service": clean(incident.service),
        "priority": incident.priority.value,
        "revision": incident.revision,
        "last_seen": incident.last_seen,
        "resolved_at": incident.resolved_at,
        "acknowledged_by": clean(incident.acknowledged_by),
        "acknowledged_at": incident.acknowledged_at,
        "acknowledged_why": clean(incident.acknowledged_why),
        "closed_by": clean(incident.closed_by),
        "closed_at": incident.closed_at,
        "closed_why": clean(incident.closed_why),
        "body": to_plain(incident),
    }


_BY_PEOPLE = tuple(f"{what}_{fact}" for what in ("acknowledged", "closed") for fact in ("by", "at", "why"))
"""Columns that say more than the row's body: `commit` does not undo them."""


def _incident(row: Row[Any]) -> Incident:
    return from_plain(Incident, {**row.body, **{name: getattr(row, name) for name in _BY_PEOPLE}})


def _outbox_row(notification: Notification, now: float) -> dict[str, Any]:
    return {
        "key": clean(notification.key),
        "incident_id": clean(notification.incident_id),
        "channel": clean(notification.channel),
        "body": to_plain(notification),
        "queued_at": now,
        "attempts": 0,
        "next_at": notification.at,
        "delivered_at": None,
        "parked": False,
        "error": "",
    }


def _queued(row: Row[Any]) -> Queued:
    return Queued(
        notification=from_plain(Notification, row.body),
        attempts=row.attempts,
        next_at=row.next_at,
        delivered_at=row.delivered_at,
        parked=row.parked,
        error=row.error,
    )
