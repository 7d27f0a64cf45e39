"""A replication slot that nobody reads from.

Asks:    which slots have no reader, and what do they hold back?
Unit:    retained_bytes of WAL between the slot and now; ages of its xmins in transactions.
Source:  pg_replication_slots (inactive_since from 17); growth over the window between two readings, else (from 17)
         since the slot rests; room on the disk from [expect] wal_disk_free_bytes in pgrunbook.toml.
Says:    Nobody reads from slot {object}.  It has been so for {inactive_s}.  It keeps {retained_bytes} of WAL.
         That grows by {growth_bytes_per_s}.  It is lost after another {safe_wal_bytes}.
         At this pace that is in {time_to_lost_s}.  At this pace the disk of pg_wal is full in {time_to_full_s}.
         It keeps VACUUM from removing rows that died in the last {held_transactions} transactions.
Section: Read Replica Implementation
Leads:   drop_slot, or let its reader in again where blocked_output_plugin keeps it out
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pgrunbook.journey.diagnose import mending, output_plugins
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.replication_slots import REPLICATION_SLOTS, ReplicationSlot
from pgrunbook.journey.observe.settings import SETTINGS
from pgrunbook.model import Advice, Finding, Kind, Severity, Verdict, dotted

MEAN_MIN_S = 600.0  # of rest, before its mean growth says anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Degrees.  A slot without a reader is a warning at once: WAL piles up from the first second, without a limit.

    Critical from `critical_bytes` (10 GiB: ten times the default max_wal_size, a quarter of a small cloud disk), from
    `critical_transactions` (half of the default autovacuum_freeze_max_age), or when the server is about to give the
    slot up (wal_status unreserved), or the disk of pg_wal is full within a day.  A slot that has reserved nothing holds
    nothing back: a notice.
    """

    critical_bytes: int = 10 * 1024**3
    critical_transactions: int = 100_000_000
    critical_full_s: float = 86_400.0


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a slot.  Lost slots are another check's; a standby's copies of its primary's are meant to rest."""
    growth, free_bytes = _growth_bytes_per_s(seen), seen.expectations.get("wal_disk_free_bytes")
    allowances = _allowances(seen)
    for slot in seen.rows(REPLICATION_SLOTS):
        if not (slot.is_active or slot.is_temporary or slot.is_lost or slot.is_synced):
            finding = _finding(slot, growth.get(slot.name, _mean_growth(slot)), free_bytes, limits)
            yield replace(finding, advice=allowances.get(slot.name, finding.advice))


def _allowances(seen: Seen) -> dict[str, tuple[Advice, ...]]:
    """What to do instead for slots that nobody reads because the server forbids it."""
    if seen.rows_or_none(SETTINGS) is None:
        return {}
    return {
        slot.name: (output_plugins.allow(setting, str(slot.plugin)),) for slot, setting in output_plugins.blocked(seen)
    }


def _mean_growth(slot: ReplicationSlot) -> float | None:
    """Since it rests, if that is long enough; it may have been a little behind by then."""
    if slot.retained_bytes is None or slot.inactive_s is None or slot.inactive_s < MEAN_MIN_S:
        return None
    return slot.retained_bytes / slot.inactive_s


def _growth_bytes_per_s(seen: Seen) -> dict[str, float]:
    window = seen.window(REPLICATION_SLOTS)
    if window is None or window.seconds <= 0:
        return {}
    before = {slot.name: slot.retained_bytes for slot in window.before}
    return {
        slot.name: (slot.retained_bytes - earlier) / window.seconds
        for slot in window.after
        if slot.retained_bytes is not None
        and (earlier := before.get(slot.name)) is not None
        and slot.retained_bytes >= earlier
    }


def _finding(slot: ReplicationSlot, growth: float | None, free_bytes: int | None, limits: Limits) -> Finding:
    held = max((age for age in (slot.xmin_age, slot.catalog_xmin_age) if age is not None), default=None)
    holds_nothing = slot.retained_bytes is None and held is None
    time_to_full_s = free_bytes / growth if free_bytes is not None and growth else None
    is_urgent = (
        slot.wal_status == "unreserved"
        or (time_to_full_s is not None and time_to_full_s < limits.critical_full_s)
        or (slot.retained_bytes or 0) >= limits.critical_bytes
        or (held or 0) >= limits.critical_transactions
    )
    return Finding(
        severity=Severity.NOTICE if holds_nothing else Severity.CRITICAL if is_urgent else Severity.WARNING,
        kind=Kind.SLOT,
        object=dotted(slot.name),
        evidence={
            "type": slot.type,
            "plugin": slot.plugin,
            "database": slot.database,
            "retained_bytes": slot.retained_bytes,
            "wal_status": slot.wal_status,
            "inactive_s": round(slot.inactive_s, 1) if slot.inactive_s is not None else None,
            "growth_bytes_per_s": round(growth) if growth is not None else None,
            "safe_wal_bytes": slot.safe_wal_bytes,
            "time_to_lost_s": round(slot.safe_wal_bytes / growth) if growth and slot.safe_wal_bytes else None,
            "time_to_full_s": round(time_to_full_s) if time_to_full_s is not None else None,
            "max_slot_wal_keep_size": slot.max_slot_wal_keep_size,
            "held_transactions": held,
        },
        advice=(mending.drop_slot(slot),),
    )


CHECK = Check(needs=(REPLICATION_SLOTS,), likes=(SETTINGS,), judge=judge, limits=Limits())
