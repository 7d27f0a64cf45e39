"""Databases of the cluster: their counters, their age in transactions, their limits (every role sees them)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One database.  Counters are cumulative; `counters_age_s` is how far back they reach at most.

    A database that was never reset counts from the server's own first statistics (`reset_at` is None then).
    `checksum_failures` is None where data checksums are off.  `connection_limit` is -1 when there is none.
    `catalog_xid_age` and `catalog_mxid_age` are the oldest system tables' of this database; None for the others.
    """

    name: str
    is_current: bool
    is_template: bool
    allows_connections: bool
    connection_limit: int
    frozen_xid_age: int
    min_mxid_age: int
    catalog_xid_age: int | None
    catalog_mxid_age: int | None
    backends: int
    commits: int
    rollbacks: int
    blocks_read: int
    blocks_hit: int
    rows_returned: int
    rows_fetched: int
    rows_inserted: int
    rows_updated: int
    rows_deleted: int
    conflicts: int
    temp_files: int
    temp_bytes: int
    deadlocks: int
    checksum_failures: int | None
    last_checksum_failure_age_s: float | None
    sessions: int
    session_time_s: float
    active_time_s: float
    idle_in_transaction_time_s: float
    sessions_abandoned: int
    sessions_fatal: int
    sessions_killed: int
    reset_at: datetime | None
    counters_age_s: float | None


DATABASES = Question(name="databases", row=Database, folder=Path(__file__).parent, counters=True)
