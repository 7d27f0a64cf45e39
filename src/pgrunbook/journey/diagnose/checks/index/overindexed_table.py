"""A table with so many indexes that its writes suffer.

Asks:    which tables have many indexes, and updates that had to write to all of them (not heap-only), or many more
         rows written than scans that read them?
Unit:    share of updates that were heap-only, 0..1, since the counters began.
Source:  pg_index; pg_stat_user_tables.n_tup_hot_upd, n_tup_upd, n_tup_ins, n_tup_del.
Blind:   counters that hardly saw a write.
Says:    {object} has {indexes} indexes, which take {index_bytes} beside {table_bytes} of rows.  Only {hot_ratio} of its
         {rows_updated} updates were heap-only; each other one wrote to every index.  {rows_written} rows were written
         for {scans} scans.
Section: Indexing Strategies
Leads:   drop_index
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.foreign_keys import serving_indexes
from pgrunbook.journey.diagnose.index_advice import definitions, drop_index
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import IndexTree, TableTree, index_trees, roots, table_trees
from pgrunbook.journey.observe.constraints import CONSTRAINTS
from pgrunbook.journey.observe.counters import COUNTERS
from pgrunbook.journey.observe.indexes import INDEX_DEFINITIONS, INDEX_USAGE, INDEXES, Index
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY, TableActivity
from pgrunbook.model import Advice, Blind, Finding, Kind, Severity, Verdict
from pgrunbook.report.words import duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`indexes` is where one more is hard to explain; a heap-only share below `hot_ratio` says they cost.

    `writes` rows must have been written before a ratio means anything; `writes_per_scan` is a table that is hardly
    read (seeding a new table is not counted: only updates and deletes are).
    """

    indexes: int = 8
    hot_ratio: float = 0.5
    writes: int = 1000
    writes_per_scan: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Writes:
    """What was written to a tree of tables."""

    updated: int
    hot: int
    deleted: int

    @property
    def hot_ratio(self) -> float | None:
        """The share of updates that were heap-only."""
        return self.hot / self.updated if self.updated else None


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a table, partitions added up."""
    tables = seen.derived(table_trees)
    by_table: dict[int, list[IndexTree]] = defaultdict(list)
    for tree in roots(seen.derived(index_trees).values()):
        if tree.root.is_ready and not tree.root.of_extension:
            by_table[tree.root.table_oid].append(tree)
    activity = {row.oid: row for row in seen.rows(TABLE_ACTIVITY)}
    quiet: list[str] = []
    for oid, indexes in by_table.items():
        table = tables.get(oid)
        if table is None or len(indexes) < limits.indexes:
            continue
        writes = _writes(activity, table)
        if writes.updated + writes.deleted < limits.writes:
            quiet.append(table.qualified)
        elif _suffers(table, writes, limits):
            yield _finding(seen, table, indexes, writes, limits)
    if quiet:
        yield _too_quiet(seen, quiet, limits)


def _writes(activity: Mapping[int, TableActivity], table: TableTree) -> Writes:
    rows = [activity[leaf.oid] for leaf in table.leaves if leaf.oid in activity]
    return Writes(
        updated=sum(row.rows_updated for row in rows),
        hot=sum(row.rows_hot_updated for row in rows),
        deleted=sum(row.rows_deleted for row in rows),
    )


def _suffers(table: TableTree, writes: Writes, limits: Limits) -> bool:
    low_hot = writes.updated >= limits.writes and writes.hot < limits.hot_ratio * writes.updated
    return low_hot or writes.updated + writes.deleted > limits.writes_per_scan * max(table.scans, 1)


def _too_quiet(seen: Seen, quiet: Sequence[str], limits: Limits) -> Blind:
    some = ", ".join(quiet[:3]) + (" …" if len(quiet) > 3 else "")
    return Blind(
        object=quiet[0] if len(quiet) == 1 else None,
        reason=f"{limits.indexes} or more indexes on {some}, yet the counters saw under {limits.writes} updates and"
        f" deletes in {duration(seen.rows(COUNTERS)[0].age_s)}",
        cure="Ask again when the application has run for longer.",
    )


def _finding(seen: Seen, table: TableTree, indexes: Sequence[IndexTree], writes: Writes, limits: Limits) -> Finding:
    ratio = writes.hot_ratio
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.TABLE,
        object=table.qualified,
        related=tuple(tree.root.qualified for tree in indexes),
        evidence={
            "indexes": len(indexes),
            "index_bytes": sum(tree.size_bytes for tree in indexes),
            "table_bytes": table.size_bytes,
            "hot_ratio": None if ratio is None else round(ratio, 3),
            "rows_updated": writes.updated,
            "rows_written": table.writes,
            "scans": table.scans,
            "counters_age_s": round(seen.rows(COUNTERS)[0].age_s),
        },
        advice=tuple(_advice(seen, indexes, limits)),
    )


def _advice(seen: Seen, indexes: Sequence[IndexTree], limits: Limits) -> Iterator[Advice]:
    """Drop those that nothing has read, as many as are too many; which of the others to give up is for people."""
    texts, needed = definitions(seen), seen.derived(serving_indexes)
    idle = [tree for tree in indexes if tree.scans == 0 and tree.root.oid not in needed and _may_go(tree.root)]
    too_many = len(indexes) - limits.indexes + 1
    for tree in sorted(idle, key=lambda tree: (-tree.size_bytes, tree.root.qualified))[:too_many]:
        yield drop_index(tree, texts.get(tree.root.oid))


def _may_go(index: Index) -> bool:
    return not (index.is_unique or index.backs_constraint or index.is_replica_identity or index.is_clustered)


CHECK = Check(
    needs=(INDEXES, RELATIONS, TABLE_ACTIVITY, COUNTERS, CONSTRAINTS),
    likes=(INDEX_USAGE, INDEX_DEFINITIONS),
    judge=judge,
    limits=Limits(),
)
