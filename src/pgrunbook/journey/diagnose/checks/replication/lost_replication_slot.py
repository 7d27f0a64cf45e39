"""A replication slot whose WAL is gone.

Asks:    which slots did the server give up (too much WAL, idle too long, a conflict on a standby)?
Source:  pg_replication_slots: wal_status lost; conflicting from 16, invalidation_reason from 17.
Says:    The server gave slot {object} up, because {reason}.  Its reader can never continue from it.  A standby that
         finds the missing WAL in no archive must be copied anew, a subscriber must copy its tables again.
Section: Read Replica Implementation
Leads:   drop_slot, then build its reader anew
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.replication_slots import REPLICATION_SLOTS, ReplicationSlot
from pgrunbook.model import Finding, Kind, Severity, Verdict, quote

_REASONS = {
    "wal_removed": "the WAL that it needs was removed (max_slot_wal_keep_size)",
    "rows_removed": "rows that it needs were removed",
    "wal_level_insufficient": "wal_level of the primary is not logical",
    "idle_timeout": "nobody read from it for idle_replication_slot_timeout",
}


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a slot.  A standby mends its copies of the primary's slots by itself."""
    for slot in seen.rows(REPLICATION_SLOTS):
        if slot.is_lost and not slot.is_synced:
            yield Finding(
                severity=Severity.CRITICAL,
                kind=Kind.SLOT,
                object=quote(slot.name),
                evidence={
                    "reason": _reason(slot),
                    "type": slot.type,
                    "plugin": slot.plugin,
                    "database": slot.database,
                    "wal_status": slot.wal_status,
                    "inactive_s": round(slot.inactive_s, 1) if slot.inactive_s is not None else None,
                    "max_slot_wal_keep_size": slot.max_slot_wal_keep_size,
                },
                advice=(mending.drop_slot(slot),),
            )


def _reason(slot: ReplicationSlot) -> str:
    """In words; before 17 the server tells conflicts of a standby from all the rest, and no more."""
    if slot.invalidation_reason is not None:
        return _REASONS.get(slot.invalidation_reason, slot.invalidation_reason)
    return "replay needed what it held" if slot.is_conflicting else _REASONS["wal_removed"]


CHECK = Check(needs=(REPLICATION_SLOTS,), judge=judge, limits=NoLimits())
