"""The tables of the state database, as the newest migration leaves them (a test holds the two equal).

A row's `body` holds the whole thing as JSON (`store/codec`), so that a new field of the model needs no migration; beside it stand
the columns that queries and constraints use.
"""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text, text

metadata = MetaData()

# Milliseconds do not matter here, but Unix seconds need all bits of a double on PostgreSQL too: Float(53).
_Time = Float(53)

incidents = Table(
    "incidents",
    metadata,
    Column("id", String, primary_key=True),
    Column("key", String, nullable=False),
    Column("state", String, nullable=False),
    Column("service", String, nullable=False),
    Column("priority", String, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("last_seen", _Time, nullable=False),
    Column("resolved_at", _Time, nullable=False),
    Column("acknowledged_by", String, nullable=False),
    Column("acknowledged_at", _Time, nullable=False),
    Column("acknowledged_why", String, nullable=False, server_default=""),
    Column("closed_by", String, nullable=False, server_default=""),
    Column("closed_at", _Time, nullable=False, server_default="0"),
    Column("closed_why", String, nullable=False, server_default=""),
    Column("body", JSON, nullable=False),
    Index("incidents_state", "state"),
)
# The model's rule: a key is unique among incidents that are not resolved. Two watchers on one database cannot open it twice.
_open = text("state <> 'resolved'")
Index("incidents_open_key", incidents.c.key, unique=True, sqlite_where=_open, postgresql_where=_open)

outbox = Table(
    "outbox",
    metadata,
    Column("key", String, primary_key=True),
    Column("incident_id", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("body", JSON, nullable=False),
    Column("queued_at", _Time, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", _Time, nullable=False),
    Column("delivered_at", _Time),
    Column("parked", Boolean, nullable=False),
    Column("error", Text, nullable=False),
    Index("outbox_incident", "incident_id"),
)
_waiting = text("delivered_at IS NULL AND NOT parked")
Index("outbox_waiting", outbox.c.next_at, sqlite_where=_waiting, postgresql_where=_waiting)

silences = Table(
    "silences",
    metadata,
    Column("id", String, primary_key=True),
    Column("ends_at", _Time, nullable=False),
    Column("body", JSON, nullable=False),
)

# What people did, in order; numbers are never given twice: who listens goes on from the last one.
actions = Table(
    "actions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("incident_id", String, nullable=False),
    Column("at", _Time, nullable=False),
    Column("body", JSON, nullable=False),
    Index("actions_incident", "incident_id"),
    sqlite_autoincrement=True,
)
