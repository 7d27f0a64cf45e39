"""Tables with their sizes, use, dead rows and last maintenance."""

from __future__ import annotations

from datetime import datetime

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import TableTree, index_trees, roots, table_trees
from pgrunbook.journey.observe.counters import COUNTERS
from pgrunbook.journey.observe.indexes import INDEXES
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY, TableActivity
from pgrunbook.model import Value
from pgrunbook.report.table import Column, Table
from pgrunbook.report.words import duration

NEEDS = (RELATIONS, TABLE_ACTIVITY)
LIKES = (INDEXES, COUNTERS)
BLOCK_BYTES = 8192

COLUMNS = (
    Column(name="table"),
    Column(name="partitions"),
    Column(name="rows"),
    Column(name="size_bytes", title="size"),
    Column(name="index_bytes", title="indexes"),
    Column(name="toast_bytes", title="TOAST"),
    Column(name="seq_scans", title="seq scans"),
    Column(name="index_scans", title="index scans"),
    Column(name="rows_written", title="written"),
    Column(name="hot_ratio", title="HOT"),
    Column(name="dead_rows"),
    Column(name="dead_ratio", title="dead share"),
    Column(name="vacuum_age_s", title="vacuumed ago"),
    Column(name="analyze_age_s", title="analysed ago"),
)


def table(seen: Seen) -> Table:
    """Largest first; partitions are added up."""
    trees = {tree.root.oid: tree for tree in seen.derived(table_trees).values() if tree.root.kind in {"r", "p", "m"}}
    activity = {row.oid: row for row in seen.rows(TABLE_ACTIVITY)}
    indexed: dict[int, int] = {}
    if seen.rows_or_none(INDEXES) is not None:
        members = seen.derived(table_trees)
        for index in roots(seen.derived(index_trees).values()):
            owner = members.get(index.root.table_oid)
            if owner is not None:
                indexed[owner.root.oid] = indexed.get(owner.root.oid, 0) + index.size_bytes
    rows = [
        _row(tree, [activity[m.oid] for m in tree.leaves if m.oid in activity], indexed, seen)
        for tree in trees.values()
    ]
    place = [column.name for column in COLUMNS].index("size_bytes")
    rows.sort(key=lambda row: (-_number(row[place]) - _number(row[place + 1]), str(row[0])))
    counters = seen.rows_or_none(COUNTERS)
    since = f"Scans and writes are counted for {duration(counters[0].age_s)}.  " if counters else ""
    return Table(
        name="tables",
        columns=COLUMNS,
        rows=tuple(rows),
        notes=(f"{since}Sizes and rows are what the last VACUUM or ANALYZE saw.",),
        empty="There is no table.",
    )


def _row(tree: TableTree, activity: list[TableActivity], indexed: dict[int, int], seen: Seen) -> tuple[Value, ...]:
    updated = sum(row.rows_updated for row in activity)
    dead = sum(row.dead_rows for row in activity)
    toast = [leaf.toast_pages for leaf in tree.leaves if leaf.toast_pages is not None]
    return (
        tree.qualified,
        len(tree.leaves) if tree.is_partitioned else None,
        round(tree.rows),
        tree.size_bytes,
        indexed.get(tree.root.oid),
        sum(toast) * BLOCK_BYTES if toast else None,
        sum(row.seq_scans for row in activity),
        sum(row.index_scans for row in activity),
        sum(row.rows_inserted + row.rows_updated + row.rows_deleted for row in activity),
        round(sum(row.rows_hot_updated for row in activity) / updated, 3) if updated else None,
        dead,
        round(dead / (dead + tree.rows), 4) if dead else None,
        _age_s([(row.last_vacuum_at, row.last_autovacuum_at) for row in activity], seen),
        _age_s([(row.last_analyze_at, row.last_autoanalyze_at) for row in activity], seen),
    )


def _age_s(times: list[tuple[datetime | None, datetime | None]], seen: Seen) -> int | None:
    """How long ago the last of the partitions was done that was done longest ago; None while one never was."""
    last = [max((at for at in pair if at is not None), default=None) for pair in times]
    done = [at for at in last if at is not None]
    if not done or len(done) < len(last):
        return None
    return max(0, round((seen.at - min(done)).total_seconds()))


def _number(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
