"""An old snapshot that keeps VACUUM from removing dead rows.

Asks:    who holds the oldest snapshot, since when, and how many transactions behind?
Unit:    held_transactions begun since; held_s by the server's clock.
Source:  backend_xmin and backend_xid of pg_stat_activity (walsenders: a standby's feedback), xmin and catalog_xmin of
         pg_replication_slots, pg_prepared_xacts.
Blind:   backends of other roles without pg_read_all_stats.
Says:    {holder} {object} has held a snapshot for {held_s}.  {held_transactions} transactions have begun since.
         {dead_rows} overdue dead rows lie in this database; those
         that died since must stay as long.  It runs as {role}, called {application}.
Section: Maintenance Operations
Leads:   end_session, drop_slot
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.autovacuum import Upkeep, upkeep
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.horizon import Holder, HolderType, holders
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.sessions import hidden_blind, is_tool, who
from pgrunbook.journey.observe.prepared_transactions import PREPARED_TRANSACTIONS
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.replication_slots import REPLICATION_SLOTS
from pgrunbook.journey.observe.sessions import SESSIONS
from pgrunbook.journey.observe.settings import SETTINGS
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY
from pgrunbook.model import Advice, Finding, NotRead, Severity, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When an old snapshot is a fault.

    Either it hurts already: it is the oldest, and VACUUM has come since it began (`proven_s` ago or longer) and left
    `proven_rows` dead; or it has been held for `hurting_s`, and tables of this database hold `dead_rows` past their
    triggers.  Or it is old by itself: `old_s` (the runbook ends statements after five minutes)
    and `old_transactions` behind.  Programs that copy (pg_dump and its kin) need their snapshot for `tool_s`: a dump of
    some hundred gigabytes.  A slot or prepared transaction counts from `old_transactions` on whatever the time.
    Critical from `critical_transactions`, half of the default autovacuum_freeze_max_age, or `critical_s`.
    """

    proven_s: float = 1.0
    proven_rows: int = 1000
    hurting_s: float = 5.0
    dead_rows: int = 10_000
    old_s: float = 300.0
    old_transactions: int = 1000
    tool_s: float = 4 * 3600.0
    critical_transactions: int = 100_000_000
    critical_s: float = 86_400.0


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a holder that is old enough, the oldest first."""
    if (blind := hidden_blind(seen)) is not None:
        yield blind
    overdue = _overdue(seen)
    dead = sum(table.activity.dead_rows for table in overdue)
    reported: set[str] = set()
    oldest = next((h for h in seen.derived(holders) if h.holds_rows_of(seen.server.database)), None)
    for holder in seen.derived(holders):
        hurts = holder is oldest and holder.xid_age > 0 and _hurts(holder, overdue, limits)
        if holder.object not in reported and _is_old(holder, limits, hurts=hurts):
            reported.add(holder.object)
            yield _finding(seen, holder, dead if hurts else 0, limits)


def _held_s(holder: Holder) -> float:
    """How long it is held; a slot before 17 does not say, and one without a reader has no reason to end."""
    if holder.held_s is not None:
        return holder.held_s
    return 0.0 if holder.is_active else float("inf")


def _is_old(holder: Holder, limits: Limits, *, hurts: bool) -> bool:
    if holder.backend is not None and is_tool(holder.backend):
        return _held_s(holder) >= limits.tool_s
    if holder.type in {HolderType.SLOT, HolderType.CATALOG_SLOT, HolderType.PREPARED} and not holder.is_active:
        return hurts or holder.xid_age >= limits.old_transactions
    if holder.type in {HolderType.SLOT, HolderType.CATALOG_SLOT, HolderType.STANDBY}:
        # a reader that keeps up moves its horizon; only the distance tells
        return holder.xid_age >= limits.critical_transactions / 100
    return hurts or (_held_s(holder) >= limits.old_s and holder.xid_age >= limits.old_transactions)


def _hurts(holder: Holder, overdue: Sequence[Upkeep], limits: Limits) -> bool:
    stuck = sum(table.activity.dead_rows for table in overdue if _was_vacuumed_since(table, holder.since_at))
    if stuck >= limits.proven_rows and _held_s(holder) >= limits.proven_s:
        return True
    dead = sum(table.activity.dead_rows for table in overdue)
    return dead >= limits.dead_rows and _held_s(holder) >= limits.hurting_s


def _was_vacuumed_since(table: Upkeep, since: datetime | None) -> bool:
    """Whether VACUUM came when the snapshot was already held, and so could not remove what died after it."""
    times = (table.activity.last_vacuum_at, table.activity.last_autovacuum_at)
    return since is not None and any(at is not None and at > since for at in times)


def _overdue(seen: Seen) -> tuple[Upkeep, ...]:
    """Tables that autovacuum should have cleaned by their own options."""
    try:
        return tuple(table for table in seen.derived(upkeep) if table.needs_vacuum)
    except NotRead:
        return ()


def _finding(seen: Seen, holder: Holder, dead_rows: int, limits: Limits) -> Finding:
    is_urgent = holder.xid_age >= limits.critical_transactions or (
        holder.held_s is not None and holder.held_s >= limits.critical_s
    )
    session = who(holder.backend) if holder.backend is not None else {"database": holder.database}
    return Finding(
        severity=Severity.CRITICAL if is_urgent else Severity.WARNING,
        kind=holder.kind,
        object=holder.object,
        evidence={
            **session,
            "holder": holder.type.value,
            "held_transactions": holder.xid_age,
            "held_s": round(holder.held_s, 1) if holder.held_s is not None else None,
            "dead_rows": dead_rows or None,
        },
        advice=_advice(seen, holder),
    )


def _advice(seen: Seen, holder: Holder) -> tuple[Advice, ...]:
    if holder.type is HolderType.PREPARED:
        return (mending.roll_back(holder.object),)
    if holder.type in {HolderType.SLOT, HolderType.CATALOG_SLOT}:
        slots = [slot for slot in seen.rows_or_none(REPLICATION_SLOTS) or () if slot.name == holder.object.strip('"')]
        return tuple(mending.drop_slot(slot) for slot in slots if not slot.is_active)
    if holder.backend is None or holder.type is HolderType.STANDBY or holder.backend.state is None:
        return ()
    return (mending.end_session(holder.backend),)


CHECK = Check(
    needs=(SESSIONS,),
    likes=(REPLICATION_SLOTS, PREPARED_TRANSACTIONS, RELATIONS, TABLE_ACTIVITY, SETTINGS),
    judge=judge,
    limits=Limits(),
)
