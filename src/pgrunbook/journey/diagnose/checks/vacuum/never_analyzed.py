"""A table without any statistics.

Asks:    which tables of some size were never analyzed, so that the planner guesses?
Unit:    rows, by the counters where nobody ever counted them otherwise.
Source:  pg_class.reltuples (-1 when never counted), and no ANALYZE on record in pg_stat_user_tables.
Blind:   on a standby.
Says:    {object} has about {rows} rows and no statistics: the planner guesses how many rows a condition leaves.
         Its {partitions} partitions have statistics; the whole has none.  {related} are meant.
Section: Maintenance Operations
Leads:   analyze
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.autovacuum import NEEDS, Upkeep, by_tree, leaves_of, standby_blind, upkeep
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import TableTree, table_trees
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY
from pgrunbook.model import Finding, Kind, Severity, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From how many rows on guesses hurt.

    Below `rows` any plan answers in milliseconds.  A partitioned table needs statistics of its own only for joins and
    groups over all partitions, and autovacuum never gathers them: a notice from `partitioned_rows` on.
    """

    rows: int = 5000
    partitioned_rows: int = 100_000


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a table; partitions are gathered under their root."""
    if (blind := standby_blind(seen)) is not None:
        yield blind
        return
    never = [table for table in seen.derived(upkeep) if table.was_never_analyzed and _rows(table) > 0]
    found = set()
    for tree, tables in by_tree(seen, never):
        rows = sum(_rows(table) for table in tables)
        if rows >= limits.rows:
            found.add(tree.root.oid)
            yield _finding(tree, tables, rows)
    for tree in _parents(seen):
        if tree.root.oid not in found and tree.rows >= limits.partitioned_rows:
            yield Finding(
                severity=Severity.NOTICE,
                kind=Kind.TABLE,
                object=tree.qualified,
                evidence={"rows": round(tree.rows), "partitions": len(tree.leaves)},
                advice=(mending.analyze(tree.root),),
            )


def _rows(table: Upkeep) -> int:
    return max(table.activity.live_rows, 0)


def _parents(seen: Seen) -> Iterator[TableTree]:
    """Partitioned tables that nobody analyzed, of which all partitions with rows were."""
    analyzed = {
        row.oid
        for row in seen.rows(TABLE_ACTIVITY)
        if row.last_analyze_at is not None or row.last_autoanalyze_at is not None
    }
    for oid, tree in seen.derived(table_trees).items():
        if oid == tree.root.oid and tree.is_partitioned and tree.root.estimated_rows < 0 and oid not in analyzed:
            yield tree


def _finding(tree: TableTree, tables: tuple[Upkeep, ...], rows: int) -> Finding:
    targets = [table.relation for table in tables] if len(tables) <= 5 else [tree.root]
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.TABLE,
        object=tree.qualified,
        related=leaves_of(tree, tables),
        evidence={"rows": rows, "modified_rows": sum(table.activity.modified_rows for table in tables)},
        advice=tuple(mending.analyze(target) for target in targets),
    )


CHECK = Check(needs=NEEDS, judge=judge, limits=Limits())
