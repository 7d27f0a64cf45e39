"""An index on a column with so few values that a look-up returns a large part of the table.

Asks:    which plain B-tree or hash indexes on one column know only values that each fill much of the table?
Unit:    share of the rows that the rarest value has, 0..1; estimated by ANALYZE.
Source:  pg_index; pg_stats.n_distinct and most_common_freqs.
Blind:   where pg_stats hides the column, or nobody has analysed the table.
Says:    Distinct values of {column}: {distinct_values}, and even the rarest fills {rarest_ratio} of the table, so
         reading the table is cheaper than {object}.  Each write keeps it, and it takes {size_bytes}.
Section: Indexing Strategies
Leads:   drop_index
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.column_facts import ColumnFacts, columns_by_name
from pgrunbook.journey.diagnose.foreign_keys import serving_indexes
from pgrunbook.journey.diagnose.index_advice import definitions, drop_index
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import IndexTree, TableTree, index_trees, roots, table_trees
from pgrunbook.journey.observe.column_statistics import COLUMN_STATISTICS, ColumnStatistics
from pgrunbook.journey.observe.columns import COLUMNS
from pgrunbook.journey.observe.constraints import CONSTRAINTS
from pgrunbook.journey.observe.indexes import INDEX_DEFINITIONS, INDEX_USAGE, INDEXES, Index
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY
from pgrunbook.model import Basis, Effect, Finding, Kind, Severity, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From `rarest_ratio` on, the planner prefers to read the table: a tenth of the rows touches about every page.

    Where each value fills `even_ratio` the index can hardly ever help, and on `warn_rows` rows it costs.  An index
    whose scans return less than `selective_ratio` of the table is used well, whatever the statistics say.  A
    column with one value only is a notice: the others may be yet to come.
    """

    distinct_values: float = 20.0
    rarest_ratio: float = 0.05
    even_ratio: float = 0.1
    small_rows: int = 1000
    warn_rows: int = 10_000
    selective_ratio: float = 0.02


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding an index; columns that nobody may look at are one Blind."""
    tables, facts, texts = seen.derived(table_trees), ColumnFacts(seen=seen), definitions(seen)
    needed = seen.derived(serving_indexes)
    usage = {row.oid: row for row in seen.rows_or_none(INDEX_USAGE) or ()}
    for tree in roots(seen.derived(index_trees).values()):
        table = tables.get(tree.root.table_oid)
        if table is None or not _is_candidate(tree.root) or tree.root.oid in needed or table.rows < limits.small_rows:
            continue
        known = facts.of(table, tree.root.columns[0])
        if (
            known is None
            or _is_one_load(seen, tree.root, known, table.rows)
            or not _has_few_values(known, table.rows, limits)
        ):
            continue
        read = sum(usage[index.oid].rows_read for index in tree.members if index.oid in usage)
        if tree.scans and read / tree.scans < limits.selective_ratio * table.rows:
            continue
        yield _finding(tree, table, known, limits, texts.get(tree.root.oid))
    yield from facts.blind()


def _is_candidate(index: Index) -> bool:
    return (
        index.is_valid
        and not index.is_unique
        and not index.backs_constraint
        and not index.of_extension
        and index.access_method in {"btree", "hash"}
        and len(index.attnums) == 1
        and index.columns[0] != ""
        and index.predicate_tree is None
    )


def _is_one_load(seen: Seen, index: Index, known: ColumnStatistics, rows: float) -> bool:
    """Whether the column is a point in time at which everything was loaded: it will have other values tomorrow."""
    column = seen.derived(columns_by_name).get((index.table_oid, index.columns[0]))
    return column is not None and column.type_category == "D" and known.distinct_values(rows) <= 1


def _rarest_ratio(known: ColumnStatistics, rows: float) -> float | None:
    """The share of the rarest value; None when ANALYZE did not see every value."""
    distinct = known.distinct_values(rows)
    if known.most_common_count >= distinct and known.most_common_freqs:
        return min(known.most_common_freqs)
    return None


def _has_few_values(known: ColumnStatistics, rows: float, limits: Limits) -> bool:
    if known.distinct_values(rows) > limits.distinct_values or known.null_ratio > 0.5:
        return False
    rarest = _rarest_ratio(known, rows)
    return rarest is not None and rarest >= limits.rarest_ratio


def _finding(
    tree: IndexTree, table: TableTree, known: ColumnStatistics, limits: Limits, definition: str | None
) -> Finding:
    index, rarest = tree.root, _rarest_ratio(known, table.rows) or 0.0
    is_heavy = limits.even_ratio <= rarest < 1 and table.rows >= limits.warn_rows
    return Finding(
        severity=Severity.WARNING if is_heavy else Severity.NOTICE,
        kind=Kind.INDEX,
        object=index.qualified,
        related=(index.table,),
        evidence={
            "table": index.table,
            "column": index.columns[0],
            "distinct_values": round(known.distinct_values(table.rows)),
            "rarest_ratio": round(rarest, 4),
            "rows": round(table.rows),
            "size_bytes": tree.size_bytes,
            "scans": tree.scans,
        },
        effect=Effect(basis=Basis.ESTIMATED, figures={"freed_bytes": tree.size_bytes}),
        advice=(drop_index(tree, definition),),
    )


CHECK = Check(
    needs=(INDEXES, RELATIONS, COLUMNS, COLUMN_STATISTICS, CONSTRAINTS),
    likes=(TABLE_ACTIVITY, INDEX_USAGE, INDEX_DEFINITIONS),
    judge=judge,
    limits=Limits(),
)
