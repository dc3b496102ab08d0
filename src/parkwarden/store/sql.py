"""Opening the state database: SQLite by default, PostgreSQL by URL; a driver's errors in the user's words.

SQLite runs in WAL mode: readers never wait for the writer, and a process killed at any point leaves a database that heals on the
next open. `synchronous` is chosen per transaction (`State`): FULL forces the commit to the disk, NORMAL leaves that to the next
checkpoint, so that a power cut may undo the last commits but never tears one.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from parkwarden.model.errors import StoreError

CONNECT_TIMEOUT_S = 5
"""PostgreSQL: a database that does not answer by then is away, and the caller is told."""
STATEMENT_TIMEOUT_S = 10
"""PostgreSQL: each statement here touches a few rows by index; what takes longer waits for a lock."""


def database_url(url: str, password: str = "") -> URL:
    """A SQLAlchemy URL from ours: a path or `sqlite://...`, `postgresql://...` (always with psycopg 3)."""
    if "://" not in url:
        return URL.create("sqlite", database=url)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise StoreError("state-url", "The state database's URL cannot be read.", hint=_URL_HINT) from error
    if parsed.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        parsed = parsed.set(drivername="postgresql+psycopg")
        return parsed.set(password=password) if password else parsed
    if parsed.drivername == "sqlite":
        return parsed
    raise StoreError("state-url", f"State cannot be kept in {parsed.drivername!r}.", hint=_URL_HINT)


_URL_HINT = "Use a file path, sqlite:///FILE or postgresql://user@host/database."


def open_engine(url: URL, *, busy_timeout_s: float, read_only: bool = False) -> Engine:
    """One connection, made anew when it breaks; nothing is touched before the first use."""
    common: dict[str, Any] = {
        "pool_size": 1,
        "max_overflow": 0,
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        # SQLite gives a bare number back as one: its JSON columns have numeric affinity
        "json_deserializer": lambda value: orjson.loads(value) if isinstance(value, str | bytes) else value,
        "hide_parameters": True,
    }
    if url.get_backend_name() == "postgresql":
        try:
            return create_engine(
                url,
                pool_pre_ping=True,
                connect_args={
                    "connect_timeout": CONNECT_TIMEOUT_S,
                    "options": f"-c statement_timeout={STATEMENT_TIMEOUT_S}s -c lock_timeout={busy_timeout_s}s",
                },
                **common,
            )
        except ModuleNotFoundError as error:
            raise StoreError(
                "state-driver",
                "PostgreSQL needs the psycopg package.",
                hint="Install it with: pip install 'parkwarden[postgres]'",
            ) from error
    from sqlalchemy.pool import QueuePool

    engine = create_engine(
        url,
        poolclass=QueuePool,
        connect_args={"timeout": busy_timeout_s, "check_same_thread": False},
        **common,
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves; the driver's own habit commits before DDL
        if read_only:
            connection.execute("PRAGMA query_only=ON")
            return
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _begun(connection: Any) -> None:
        # a transaction that reads first and writes later would fail at once, not wait, if another one wrote in between
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def set_aside_if_corrupt(file: Path, when: str) -> str:
    """Move a SQLite file that is damaged out of the way (with its WAL); what was done in words, "" = the file is sound.

    Nothing is deleted: `state.db.corrupt-<when>` can be looked at, and `sqlite3 FILE .recover` may get most of it back.
    """
    if not file.exists() or not file.stat().st_size:
        return ""
    try:
        with closing(sqlite3.connect(file, timeout=1)) as connection:
            said = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if not _is_corrupt(str(error)):
            return ""  # locked, read-only, full: the real open tells it
        said = str(error)
    if said == "ok":
        return ""
    aside = file.with_name(f"{file.name}.corrupt-{when}")
    for suffix in ("-wal", "-shm", ""):
        part = file.with_name(file.name + suffix)
        if part.exists():
            os.replace(part, f"{aside}{suffix}")
    return (
        f"{file.name} was damaged ({said.splitlines()[0][:200]}) and was set aside as {aside.name}; a new one was begun. "
        f"`sqlite3 {aside.name} .recover` may get its incidents back."
    )


def _is_corrupt(text: str) -> bool:
    return "malformed" in text or "not a database" in text or "corrupt" in text


@contextmanager
def told(url: URL) -> Iterator[None]:
    """Turn what the driver raises into StoreError, without the URL's password and without values."""
    try:
        yield
    except PoolTimeoutError as error:
        raise _locked(url) from error
    except IntegrityError as error:
        raise StoreError(
            "state-conflict",
            "Two incidents that are not resolved have the same key.",
            context=_where(url),
            hint="Another watcher writes to this database; give each its own, or stop one.",
        ) from error
    except DBAPIError as error:
        raise _driver_error(url, error) from error
    except SQLAlchemyError as error:
        raise StoreError(
            "state-error", f"The state database failed: {_first_line(error)}", context=_where(url)
        ) from error
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise _read_only(url, error.strerror or str(error)) from error
        raise StoreError(
            "state-unreadable", f"The state database cannot be opened: {error.strerror}", context=_where(url)
        ) from error


def _read_only(url: URL, text: str) -> StoreError:
    return StoreError(
        "state-read-only",
        f"State cannot be written: {text}.",
        context=_where(url),
        hint="Let the user who runs Parkwarden write to this folder, or choose another one (store.folder).",
        passing=True,
    )


def _driver_error(url: URL, error: DBAPIError) -> StoreError:
    text, where = _first_line(error.orig), _where(url)
    if _is_corrupt(text):
        return StoreError(
            "state-corrupt",
            f"The state database is damaged: {text}.",
            context=where,
            hint="Restart Parkwarden: it sets the file aside, says so, and begins a new one.",
        )
    if "is full" in text or "No space left" in text or "disk I/O error" in text:
        return StoreError(
            "disk-full" if "I/O" not in text else "disk-error",
            f"State cannot be written: {text}.",
            context=where,
            hint="Make room on the disk; writing goes on by itself.",
            passing=True,
        )
    if "is locked" in text or "lock timeout" in text or "statement timeout" in text:
        return _locked(url)
    if "readonly" in text or "read-only" in text or "unable to open" in text:
        return _read_only(url, text)
    if error.connection_invalidated or type(error.orig).__name__ in (
        "OperationalError",
        "AdminShutdown",
        "InterfaceError",
    ):
        return StoreError(
            "state-away",
            f"The state database does not answer: {text}",
            context=where,
            hint="Check that it runs and that the URL, user and password are right; writing goes on by itself.",
            passing=True,
        )
    return StoreError("state-error", f"The state database failed: {text}", context=where)


def _locked(url: URL) -> StoreError:
    return StoreError(
        "state-locked",
        "Another process holds the state database.",
        context=_where(url),
        hint="Wait for it (a backup?) or end it; writing goes on by itself.",
        passing=True,
    )


def _where(url: URL) -> str:
    return url.render_as_string(hide_password=True)


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
