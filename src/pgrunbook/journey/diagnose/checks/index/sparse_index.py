"""An index full of NULLs that nobody can look up by value.

Asks:    which B-trees without a predicate lead with a column that is mostly NULL?
Unit:    share of the rows in which the column is NULL, 0..1; estimated by ANALYZE.
Source:  pg_index; pg_stats.null_frac.
Blind:   where pg_stats hides the column, or nobody has analysed the table.
Says:    {column} is NULL in {null_ratio} of the rows, and {object} keeps an entry for each of them.
         With WHERE {column} IS NOT NULL it would serve the same look-ups.
         About {wasted_bytes} of its {size_bytes} are for NULLs.
Section: Indexing Strategies
Leads:   create_index, drop_index
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.column_facts import ColumnFacts
from pgrunbook.journey.diagnose.index_advice import Taken, definitions, replace_index, tail_of, taken_names
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import IndexTree, TableTree, index_trees, roots, table_trees
from pgrunbook.journey.observe.column_statistics import COLUMN_STATISTICS
from pgrunbook.journey.observe.columns import COLUMNS
from pgrunbook.journey.observe.indexes import INDEX_DEFINITIONS, INDEXES, Index
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY
from pgrunbook.model import Advice, Basis, Effect, Finding, Kind, Severity, Verdict, quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From `null_ratio` on a partial index is a fifth of the size or less; below `small_rows` nobody would notice.

    A waste of `warn_bytes` is worth somebody's attention; NULLs are deduplicated, six bytes a row.
    """

    null_ratio: float = 0.8
    small_rows: int = 1000
    warn_bytes: int = 1 << 20


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding an index; columns that nobody may look at are one Blind."""
    tables, facts, texts = seen.derived(table_trees), ColumnFacts(seen=seen), definitions(seen)
    taken = taken_names(seen)
    for tree in roots(seen.derived(index_trees).values()):
        table = tables.get(tree.root.table_oid)
        if table is None or not _is_candidate(tree.root) or table.rows < limits.small_rows:
            continue
        known = facts.of(table, tree.root.columns[0])
        if known is not None and known.null_ratio >= limits.null_ratio:
            advice = _advice(tree, table, texts.get(tree.root.oid), taken)
            yield _finding(tree, table, known.null_ratio, limits, advice)
    yield from facts.blind()


def _is_candidate(index: Index) -> bool:
    return (
        index.is_valid
        and index.access_method == "btree"
        and index.columns[0] != ""
        and index.predicate_tree is None
        and not index.backs_constraint
        and not index.is_replica_identity
        and not index.nulls_not_distinct
        and not index.of_extension
    )


def _advice(tree: IndexTree, table: TableTree, definition: str | None, taken: Taken) -> tuple[Advice, ...]:
    """A partial index in the place of the whole one; nothing while its definition cannot be read."""
    if definition is None:
        return ()
    tail = f"{tail_of(tree.root, definition)} WHERE ({quote(tree.root.columns[0])} IS NOT NULL)"
    return (replace_index(tree, table, definition, tail, taken, why="leave out the NULLs"),)


def _finding(
    tree: IndexTree, table: TableTree, null_ratio: float, limits: Limits, advice: tuple[Advice, ...]
) -> Finding:
    index = tree.root
    wasted_bytes = min(round(null_ratio * table.rows * 6), tree.size_bytes)
    return Finding(
        severity=Severity.WARNING if wasted_bytes >= limits.warn_bytes else Severity.NOTICE,
        kind=Kind.INDEX,
        object=index.qualified,
        related=(index.table,),
        evidence={
            "table": index.table,
            "column": index.columns[0],
            "null_ratio": round(null_ratio, 4),
            "rows": round(table.rows),
            "size_bytes": tree.size_bytes,
        },
        effect=Effect(basis=Basis.ESTIMATED, figures={"wasted_bytes": wasted_bytes}),
        advice=advice,
    )


CHECK = Check(
    needs=(INDEXES, RELATIONS, COLUMNS, COLUMN_STATISTICS),
    likes=(TABLE_ACTIVITY, INDEX_DEFINITIONS),
    judge=judge,
    limits=Limits(),
)
