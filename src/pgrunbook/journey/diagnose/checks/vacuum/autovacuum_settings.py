"""A table that autovacuum visits too late, by its options or its size.

Asks:    how many dead or changed rows must a table have before autovacuum comes, and how long does that take at the
         rate at which it is written?
Unit:    trigger_ratio of the table's rows; time_to_trigger_s at the measured rate of updates and deletes.
Source:  pg_class.reloptions, pg_settings, pg_stat_user_tables (in the window, else since the counters began).
Blind:   on a standby.
Says:    Autovacuum comes to {object} when {trigger_rows} of its {rows} rows are dead, {trigger_bytes} of it.
         It gathers statistics when {analyze_trigger_rows} rows have changed.
         At the present rate that takes {time_to_trigger_s}.
Section: Maintenance Operations
Leads:   set_autovacuum
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.autovacuum import NEEDS, Upkeep, by_tree, is_running, leaves_of, standby_blind, upkeep
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import TableTree
from pgrunbook.journey.observe.counters import COUNTERS
from pgrunbook.journey.observe.relations import Relation
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY
from pgrunbook.model import Finding, Kind, Severity, Verdict

_VACUUM = ("autovacuum_vacuum_threshold", "autovacuum_vacuum_scale_factor", "autovacuum_vacuum_max_threshold")
_ANALYZE = ("autovacuum_analyze_threshold", "autovacuum_analyze_scale_factor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a trigger is too far away.

    `unreachable_ratio`: a table that must be half dead before autovacuum comes is read at half speed for most of its
    life; the default is a fifth.  It matters from `rows` on, and is a warning where `writes` rows were updated or
    deleted, a notice where the table rests.  `large_bytes`: with a scale factor a large table gathers as much dead room
    before each visit, and each visit is long; a warning where that happens within `often_s`, else a notice.
    """

    unreachable_ratio: float = 0.5
    rows: int = 10_000
    writes: int = 1000
    large_bytes: int = 1024**3
    often_s: float = 7 * 86400.0


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a table; partitions are gathered under their root.  Switched off is another check's."""
    if (blind := standby_blind(seen)) is not None:
        yield blind
        return
    if not is_running(seen):
        return
    late = [table for table in seen.derived(upkeep) if table.is_enabled and _is_late(table, limits)]
    for tree, tables in by_tree(seen, late):
        yield _finding(seen, tree, tables, limits)


def _is_late(table: Upkeep, limits: Limits) -> bool:
    if table.rows < limits.rows:
        return False
    return _is_unreachable(table, limits) or _trigger_bytes(table) >= limits.large_bytes


def _is_unreachable(table: Upkeep, limits: Limits) -> bool:
    return max(table.vacuum_trigger_rows, table.analyze_trigger_rows) >= limits.unreachable_ratio * table.rows


def _trigger_bytes(table: Upkeep) -> float:
    return table.relation.size_bytes * table.vacuum_trigger_rows / max(table.rows, 1.0)


def _dead_per_s(seen: Seen, table: Upkeep) -> float | None:
    """Rows that die a second: in the window, else since the counters began."""
    counts = table.activity
    window = seen.window(TABLE_ACTIVITY)
    if window is not None and window.seconds > 0:
        before = next((row for row in window.before if row.oid == counts.oid), None)
        if before is None:
            return None
        died = counts.rows_updated + counts.rows_deleted - before.rows_updated - before.rows_deleted
        return died / window.seconds if died >= 0 else None
    counters = seen.rows_or_none(COUNTERS)
    age_s = counters[0].age_s if counters else 0.0
    return (counts.rows_updated + counts.rows_deleted) / age_s if age_s > 0 else None


def _finding(seen: Seen, tree: TableTree, tables: tuple[Upkeep, ...], limits: Limits) -> Finding:
    worst = max(tables, key=lambda table: table.vacuum_trigger_rows / max(table.rows, 1.0))
    writes = sum(table.activity.rows_updated + table.activity.rows_deleted for table in tables)
    rate = _dead_per_s(seen, worst)
    time_s = worst.vacuum_trigger_rows / rate if rate else None
    is_busy = (
        writes >= limits.writes
        if any(_is_unreachable(table, limits) for table in tables)
        else time_s is not None and time_s <= limits.often_s
    )
    return Finding(
        severity=Severity.WARNING if is_busy else Severity.NOTICE,
        kind=Kind.TABLE,
        object=tree.qualified,
        related=leaves_of(tree, tables),
        evidence={
            "rows": round(sum(table.rows for table in tables)),
            "trigger_rows": round(sum(table.vacuum_trigger_rows for table in tables)),
            "trigger_ratio": round(worst.vacuum_trigger_rows / max(worst.rows, 1.0), 3),
            "trigger_bytes": round(sum(_trigger_bytes(table) for table in tables)),
            "analyze_trigger_rows": round(sum(table.analyze_trigger_rows for table in tables)),
            "writes": writes,
            "time_to_trigger_s": round(time_s) if time_s is not None else None,
        },
        advice=tuple(
            mending.set_table_options(table.relation, _better(table.relation, table)) for table in tables[:20]
        ),
    )


def _better(relation: Relation, table: Upkeep) -> dict[str, str]:
    """A scale factor that brings autovacuum after a fiftieth of a large table, a tenth of another."""
    factor = "0.02" if table.rows >= 1_000_000 else "0.1"
    better = {"autovacuum_vacuum_scale_factor": factor, "autovacuum_analyze_scale_factor": factor}
    for name in (*_VACUUM, *_ANALYZE):
        if name.endswith("_threshold") and relation.option(name) is not None:
            better[name] = "100000000" if name.endswith("max_threshold") else "1000"
    return better


CHECK = Check(needs=NEEDS, likes=(COUNTERS,), judge=judge, limits=Limits())
