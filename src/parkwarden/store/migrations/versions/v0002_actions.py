"""What people do: why somebody acknowledged, who resolved by hand, and everything that was done, in order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TIME = sa.Float(53)


def upgrade() -> None:
    for name in ("acknowledged_why", "closed_by", "closed_why"):
        op.add_column("incidents", sa.Column(name, sa.String, nullable=False, server_default=""))
    op.add_column("incidents", sa.Column("closed_at", _TIME, nullable=False, server_default="0"))
    op.create_table(
        "actions",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("incident_id", sa.String, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("actions_incident", "actions", ["incident_id"])
    op.create_index("outbox_incident", "outbox", ["incident_id"])
