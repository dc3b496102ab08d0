"""Alembic's entry: `store/migrate.py` hands over a connection that is already in a transaction; both databases can undo DDL."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
