"""A foreign key whose referencing columns no index serves.

Asks:    has the referencing table a valid index that leads with the columns of the foreign key, in any order?
Unit:    rows of the referencing table, partitions included; estimated.
Source:  pg_constraint and pg_index; rows from pg_class.reltuples and pg_stat_user_tables.
Says:    No index of {object} leads with {columns}.  Each delete or key change in {referenced} reads the whole table,
         about {rows} rows.  Joins along the foreign key do the same.
Section: Indexing Strategies
Leads:   create_index
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.foreign_keys import serves
from pgrunbook.journey.diagnose.index_advice import create_index, taken_names
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import TableTree, table_trees
from pgrunbook.journey.observe.constraints import CONSTRAINTS, Constraint
from pgrunbook.journey.observe.indexes import INDEXES, Index
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY
from pgrunbook.model import Basis, Effect, Finding, Kind, Severity, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Below `small_rows` a scan of the whole table costs no more than a look into an index (a few pages)."""

    small_rows: int = 1000


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a table and set of columns, however many foreign keys share them."""
    trees = seen.derived(table_trees)
    taken = taken_names(seen)
    by_table: dict[int, list[Index]] = {}
    for index in seen.rows(INDEXES):
        by_table.setdefault(index.table_oid, []).append(index)
    said: set[tuple[str, frozenset[str]]] = set()
    for key in seen.rows(CONSTRAINTS):
        tree = trees.get(key.table_oid)
        if not key.is_foreign_key or tree is None or tree.root.of_extension:
            continue
        identity = (tree.qualified, frozenset(key.columns))
        if identity not in said and not is_served(key, tree, by_table):
            said.add(identity)
            yield _finding(key, tree, limits, taken)


def is_served(key: Constraint, tree: TableTree, by_table: dict[int, list[Index]]) -> bool:
    """Whether an index of the table serves the key, or each leaf of the tree has one that does."""
    if any(serves(index, key) for index in by_table.get(key.table_oid, ())):
        return True
    below = [leaf for leaf in tree.leaves if leaf.oid != key.table_oid and leaf.kind == "r"]
    return (
        tree.root.oid == key.table_oid
        and tree.is_partitioned
        and bool(below)
        and all(any(serves(index, key) for index in by_table.get(leaf.oid, ())) for leaf in below)
    )


def _finding(key: Constraint, tree: TableTree, limits: Limits, taken: dict[str, set[str]]) -> Finding:
    rows = round(tree.rows)
    return Finding(
        severity=Severity.NOTICE if rows < limits.small_rows else Severity.WARNING,
        kind=Kind.TABLE,
        object=tree.qualified,
        related=(key.referenced,),
        evidence={
            "columns": key.columns,
            "constraint": key.name,
            "referenced": key.referenced,
            "rows": rows,
            "size_bytes": tree.size_bytes,
        },
        effect=Effect(basis=Basis.ESTIMATED, figures={"rows_read_per_delete": rows}),
        advice=(create_index(tree, key.columns, taken),),
    )


CHECK = Check(
    needs=(CONSTRAINTS, INDEXES, RELATIONS),
    likes=(TABLE_ACTIVITY,),
    judge=judge,
    limits=Limits(),
)
