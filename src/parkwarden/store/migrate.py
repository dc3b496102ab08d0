"""Brings a state database to this version's shape, in one transaction, recorded in `alembic_version`.

Alembic is only imported when there is something to do: every other start pays one SELECT.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from parkwarden.model.errors import StoreError

HEAD = "0002"
"""Newest step in `migrations/versions` (a test holds the two equal)."""
_LOCK = 0x7061726B
"""Number of PostgreSQL's advisory lock: two processes that start at once migrate one after the other."""


def version(connection: Connection) -> str | None:
    """The database's recorded step, None = a new database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(connection: Connection, to: str = HEAD) -> bool:
    """Run the missing steps within the caller's transaction; whether there were any.

    Raises StoreError `state-newer` where a newer Parkwarden has been at this database.
    """
    if version(connection) == to:
        return False
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _LOCK})
    found = version(connection)
    if found == to:
        return False
    if found is not None and found > to:
        raise StoreError(
            "state-newer",
            "The state database was written by a newer Parkwarden.",
            context=f"its version is {found}, this program knows up to {to}",
            hint="Start the newer program, or give this one a database of its own (store.url).",
        )
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, to)
    return True
