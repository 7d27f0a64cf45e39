"""Replication slots: who reads from them, and what they hold back (every role sees them)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicationSlot:
    """One slot.  `retained_bytes` is the WAL between it and now; None when it holds none back.

    Ages of xmins count transactions.  `inactive_s` is known from PostgreSQL 17 on, `is_conflicting` from 16.
    `safe_wal_bytes` may still be written before it is lost; None without max_slot_wal_keep_size.
    `is_synced` slots of a standby are copies of the primary's and inactive by design.
    """

    name: str
    type: str
    plugin: str | None
    database: str | None
    is_temporary: bool
    is_active: bool
    active_pid: int | None
    xmin_age: int | None
    catalog_xmin_age: int | None
    restart_lsn: str | None
    confirmed_flush_lsn: str | None
    retained_bytes: int | None
    wal_status: str | None
    safe_wal_bytes: int | None
    inactive_s: float | None
    is_conflicting: bool
    invalidation_reason: str | None
    is_synced: bool
    max_slot_wal_keep_size: str

    @property
    def is_lost(self) -> bool:
        """Whether nobody can ever continue from it."""
        return self.wal_status == "lost" or self.is_conflicting or self.invalidation_reason is not None


REPLICATION_SLOTS = Question(name="replication_slots", row=ReplicationSlot, folder=Path(__file__).parent, counters=True)
