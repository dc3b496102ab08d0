"""Incidents, outbox, silences."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TIME = sa.Float(53)


def upgrade() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("service", sa.String, nullable=False),
        sa.Column("priority", sa.String, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("last_seen", _TIME, nullable=False),
        sa.Column("resolved_at", _TIME, nullable=False),
        sa.Column("acknowledged_by", sa.String, nullable=False),
        sa.Column("acknowledged_at", _TIME, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
    )
    op.create_index("incidents_state", "incidents", ["state"])
    unresolved = sa.text("state <> 'resolved'")
    op.create_index(
        "incidents_open_key", "incidents", ["key"], unique=True, sqlite_where=unresolved, postgresql_where=unresolved
    )
    op.create_table(
        "outbox",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("incident_id", sa.String, nullable=False),
        sa.Column("channel", sa.String, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("queued_at", _TIME, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", _TIME, nullable=False),
        sa.Column("delivered_at", _TIME),
        sa.Column("parked", sa.Boolean, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
    )
    waiting = sa.text("delivered_at IS NULL AND NOT parked")
    op.create_index("outbox_waiting", "outbox", ["next_at"], sqlite_where=waiting, postgresql_where=waiting)
    op.create_table(
        "silences",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("ends_at", _TIME, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
    )
