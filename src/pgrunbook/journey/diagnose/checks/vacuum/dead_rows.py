"""Dead rows that autovacuum should have removed.

Asks:    which tables hold far more dead rows than the number at which autovacuum comes, by their own options?
Unit:    dead_rows as the server counts them; dead_ratio of all rows, 0..1.
Source:  pg_stat_user_tables against threshold + scale factor × rows (autovacuum_vacuum_*), and who holds old snapshots.
Blind:   on a standby; track_counts off.
Says:    {object} holds {dead_rows} dead rows, {dead_ratio} of it; autovacuum comes at {trigger_rows}.
         Every scan reads the dead rows, about {dead_bytes}.
         VACUUM cannot remove those that {held_by} may still see.
Section: Maintenance Operations
Leads:   vacuum
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose import late_counts, mending
from pgrunbook.journey.diagnose.autovacuum import (
    NEEDS,
    Upkeep,
    by_tree,
    counting_blind,
    is_running,
    leaves_of,
    nap_s,
    server_now,
    standby_blind,
    upkeep,
)
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.horizon import Holder, holders
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import TableTree
from pgrunbook.journey.observe.counters import COUNTERS
from pgrunbook.journey.observe.prepared_transactions import PREPARED_TRANSACTIONS
from pgrunbook.journey.observe.replication_slots import REPLICATION_SLOTS
from pgrunbook.journey.observe.sessions import SESSIONS
from pgrunbook.journey.observe.vacuum_progress import VACUUM_PROGRESS
from pgrunbook.model import Basis, Effect, Finding, Kind, Severity, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When dead rows are a fault and not the ordinary swing between two visits of autovacuum.

    `min_rows`: below, they fill some ten pages, and one scan costs nothing.  A table is at fault when it is past
    `trigger_factor` × its trigger and `dead_ratio` of it is dead (with the default scale factor the trigger alone means
    17 % dead), or past `far_factor` × its trigger whatever the share (large tables with a small scale factor).
    Where autovacuum was there within `recent_naps` of its naps, it is at work and gets its next turn first, unless
    somebody holds an older snapshot.  `holder_s`: a snapshot that is younger will be gone before VACUUM comes.
    """

    min_rows: int = 1000
    trigger_factor: float = 1.2
    dead_ratio: float = 0.12
    far_factor: float = 5.0
    recent_naps: float = 2.0
    holder_s: float = 5.0


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a table; partitions are gathered under their root."""
    if (blind := standby_blind(seen) or counting_blind(seen)) is not None:
        yield blind
        return
    holder = _holder(seen, limits)
    busy = {row.table_oid for row in seen.rows_or_none(VACUUM_PROGRESS) or () if row.database == seen.server.database}
    running = is_running(seen)
    faulty = [
        table
        for table in seen.derived(upkeep)
        if _is_past(table, limits)
        and (
            holder is not None
            or not (
                table.relation.oid in busy
                or _is_tended(table, seen, limits, running=running)
                or late_counts.were_there_before(seen, table, table.activity.dead_rows, table.activity.last_vacuum_at)
            )
        )
    ]
    for tree, tables in by_tree(seen, faulty):
        yield _finding(tree, tables, holder, running=running)


def _is_past(table: Upkeep, limits: Limits) -> bool:
    dead = table.activity.dead_rows
    if dead < limits.min_rows:
        return False
    is_past = dead > limits.trigger_factor * table.vacuum_trigger_rows and table.dead_ratio >= limits.dead_ratio
    return is_past or dead > limits.far_factor * table.vacuum_trigger_rows


def _is_tended(table: Upkeep, seen: Seen, limits: Limits, *, running: bool) -> bool:
    """Autovacuum was just there and will come again."""
    last = table.activity.last_autovacuum_at
    if not (running and table.is_enabled) or last is None:
        return False
    return (server_now(seen) - last).total_seconds() < limits.recent_naps * nap_s(seen)


def _holder(seen: Seen, limits: Limits) -> Holder | None:
    """The oldest snapshot that keeps dead rows of this database."""
    for holder in seen.derived(holders):
        is_old = holder.held_s is None or holder.held_s >= limits.holder_s
        if holder.holds_rows_of(seen.server.database) and is_old and holder.xid_age > 0:
            return holder
    return None


def _finding(tree: TableTree, tables: tuple[Upkeep, ...], holder: Holder | None, *, running: bool) -> Finding:
    dead = sum(table.activity.dead_rows for table in tables)
    live = sum(table.activity.live_rows for table in tables)
    dead_bytes = round(sum(table.dead_bytes for table in tables))
    is_off = not running or any(not table.is_enabled for table in tables)
    last = max(
        (table.activity.last_autovacuum_at for table in tables if table.activity.last_autovacuum_at), default=None
    )
    targets = [table.relation for table in tables] if len(tables) <= 5 else [tree.root]
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.TABLE,
        object=tree.qualified,
        related=leaves_of(tree, tables),
        evidence={
            "dead_rows": dead,
            "live_rows": live,
            "dead_ratio": round(dead / (dead + live), 3) if dead else 0.0,
            "trigger_rows": round(sum(table.vacuum_trigger_rows for table in tables)),
            "last_autovacuum_at": last.isoformat(timespec="seconds") if last is not None else None,
            "autovacuum_is_off": is_off,
            "held_by": f"{holder.type} {holder.object}" if holder is not None else None,
            "held_transactions": holder.xid_age if holder is not None else None,
        },
        effect=Effect(basis=Basis.ESTIMATED, figures={"dead_bytes": dead_bytes}) if dead_bytes else None,
        advice=tuple(mending.vacuum(target) for target in targets),
    )


CHECK = Check(
    needs=NEEDS,
    likes=(COUNTERS, SESSIONS, REPLICATION_SLOTS, PREPARED_TRANSACTIONS, VACUUM_PROGRESS, *late_counts.LIKES),
    judge=judge,
    limits=Limits(),
)
