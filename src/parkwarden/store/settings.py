"""What is kept, where, and for how long: the `store:` part of the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from parkwarden.model.instance import Secret

DAY_S = 86_400.0
GIB = 1 << 30


class Sync(StrEnum):
    """When the journal is forced to the disk (fsync). Each append is flushed to the system at once in any case: a killed process
    loses nothing, only a machine that loses its power can."""

    APPEND = "append"
    """With each append: a dear choice (5-10 ms on a disk) for who must not lose a second of readings to a power cut."""
    INTERVAL = "interval"
    """At most `sync_interval_s` of readings are lost to a power cut."""
    CLOSE = "close"
    """Only when an hour is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Where and how long things are kept. Sizes in bytes, times in seconds, retention in days."""

    folder: str = "parkwarden-data"
    """State (SQLite), journal, history and evidence live in folders under it."""
    url: str = ""
    """State database: "" = SQLite in `folder`; `postgresql://user@host/db` for several machines (password apart)."""
    password: Secret | None = None
    """Of the database, where the URL has none."""
    evidence_url: str = ""
    """Evidence: "" = `folder`/evidence; `s3://bucket/prefix` or any other fsspec URL."""
    evidence_options: tuple[tuple[str, str | Secret], ...] = ()
    """Options of fsspec's file system for `evidence_url` (`key`, `secret`, `endpoint_url`)."""

    busy_timeout_s: float = 5.0
    """How long a write waits for another one to end: a backup takes seconds; longer would hold the watch up."""
    incident_days: float = 90.0
    """Resolved incidents: a quarter, for the review. Open ones are never pruned."""
    outbox_days: float = 7.0
    """Notifications delivered or given up: long enough to see what was sent over a weekend and a holiday."""

    sync: Sync = Sync.INTERVAL
    sync_interval_s: float = 1.0
    """A reading comes every 5 s: a second costs at most the newest."""
    journal_hours: float = 2.0
    """Closed journal hours kept after they became history: the warm start reads the longest window (an hour) from them."""
    journal_max_bytes: int = 4 * GIB
    """All journal segments; beyond it the oldest go. 1,000 instances write about 200 MB an hour."""

    history_days: float = 30.0
    """Readings and sites; a month shows a leak of a few goroutines a day."""
    history_max_bytes: int = 10 * GIB
    """All Parquet files; beyond it the oldest go, whatever their age."""
    fine_hours: float = 24.0
    """After it history is kept in steps of 5 minutes: floors and means tell a slow leak as well as every reading does."""
    query_timeout_s: float = 10.0
    """A page waits no longer; a query that takes more should ask for less."""
    query_memory: int = 256 << 20
    """DuckDB's memory; beyond it the query fails instead of the watch."""

    evidence_days: float = 30.0
    """Evidence; that of open incidents is kept as long as they are."""
    evidence_max_bytes: int = 5 * GIB
    """All evidence; beyond it the oldest goes. A look has 3 kB to 2 MB."""
    evidence_max_items: int = 20_000
    """Each item costs two files; a folder of 40,000 small files still lists in under a second."""
