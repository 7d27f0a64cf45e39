"""A table with rows that a crash empties.

Asks:    which unlogged tables hold rows?
Unit:    rows; estimated.
Source:  pg_class.relpersistence; rows from pg_class.reltuples and pg_stat_user_tables.
Blind:   an unlogged table that was never analysed while counters are off.
Says:    {object} is unlogged and holds about {rows} rows.  A crash empties it, and no standby or backup of files has
         it.
Section: Backup and Recovery
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import TableTree, row_count, table_trees
from pgrunbook.journey.observe.counters import COUNTERS
from pgrunbook.journey.observe.relations import RELATIONS, Relation
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY
from pgrunbook.model import Advice, Blind, Finding, Kind, Lock, Severity, Verdict


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a table or tree of partitions."""
    trees, counting = seen.derived(table_trees), seen.rows(COUNTERS)[0].is_counting
    activity = {row.oid: row for row in seen.rows(TABLE_ACTIVITY)}
    unlogged: dict[int, list[Relation]] = defaultdict(list)
    for relation in seen.rows(RELATIONS):
        if relation.persistence == "u" and relation.kind == "r" and not relation.of_extension:
            unlogged[trees[relation.oid].root.oid].append(relation)
    for oid, leaves in unlogged.items():
        rows = sum(row_count(leaf, activity.get(leaf.oid)) for leaf in leaves)
        if rows > 0:
            yield _finding(trees[oid], leaves, rows)
        elif not counting and any(leaf.estimated_rows < 0 for leaf in leaves):
            yield Blind(
                object=trees[oid].qualified,
                reason="nobody knows whether it holds rows: counters are off and it was never analysed",
                cure=f"ANALYZE {trees[oid].qualified};",
            )


def _finding(tree: TableTree, leaves: Sequence[Relation], rows: float) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.TABLE,
        object=tree.qualified,
        related=tuple(leaf.qualified for leaf in leaves) if tree.is_partitioned else (),
        evidence={"rows": round(rows), "size_bytes": sum(leaf.size_bytes for leaf in leaves)},
        advice=(
            Advice(
                title=f"Make {tree.qualified} safe from crashes",
                sql="\n".join(f"ALTER TABLE {leaf.qualified} SET LOGGED;" for leaf in leaves),
                undo_sql="\n".join(f"ALTER TABLE {leaf.qualified} SET UNLOGGED;" for leaf in leaves),
                lock=Lock.ACCESS_EXCLUSIVE,
                risk="It writes the whole table to the WAL, and nobody can use it meanwhile.",
            ),
        ),
    )


CHECK = Check(needs=(RELATIONS, TABLE_ACTIVITY, COUNTERS), judge=judge, limits=NoLimits())
