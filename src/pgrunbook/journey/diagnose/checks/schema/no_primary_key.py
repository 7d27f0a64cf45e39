"""A table whose rows nothing tells apart.

Asks:    which tables have no primary key?
Source:  pg_constraint; for the cure pg_index and pg_attribute.
Says:    {object} has no primary key.  Duplicates cannot be told apart, and logical replication cannot follow updates.
         It has about {rows} rows.  {candidate} is unique over columns that are never null.
Section: Best Practices Summary
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.index_advice import definitions, rebuilt
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import TableTree, table_trees
from pgrunbook.journey.observe.columns import COLUMNS, Column
from pgrunbook.journey.observe.constraints import CONSTRAINTS
from pgrunbook.journey.observe.indexes import INDEX_DEFINITIONS, INDEXES, Index
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY
from pgrunbook.model import Advice, Finding, Kind, Lock, Severity, Verdict, quote


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a table or tree of partitions; a notice where a unique index over NOT NULL columns does the work."""
    keyed = {constraint.table_oid for constraint in seen.rows(CONSTRAINTS) if constraint.kind == "p"}
    columns: dict[int, list[Column]] = defaultdict(list)
    for column in seen.rows(COLUMNS):
        columns[column.table_oid].append(column)
    candidates = _candidates(seen, columns)
    texts = definitions(seen)
    for tree in {tree.root.oid: tree for tree in seen.derived(table_trees).values()}.values():
        root = tree.root
        if root.kind not in {"r", "p"} or root.of_extension or root.oid in keyed or not columns[root.oid]:
            continue
        if tree.is_partitioned and tree.leaves and all(leaf.oid in keyed for leaf in tree.leaves):
            continue  # each partition has a key of its own
        candidate = candidates.get(root.oid)
        yield Finding(
            severity=Severity.WARNING if candidate is None else Severity.NOTICE,
            kind=Kind.TABLE,
            object=root.qualified,
            evidence={
                "rows": round(tree.rows),
                "size_bytes": tree.size_bytes,
                "candidate": candidate.qualified if candidate is not None else None,
            },
            advice=tuple(_advice(tree, columns[root.oid], candidate, texts)),
        )


def _candidates(seen: Seen, columns: Mapping[int, list[Column]]) -> dict[int, Index]:
    """A unique index of each table that could be its primary key."""
    found: dict[int, Index] = {}
    for index in seen.rows(INDEXES):
        never_null = {column.name for column in columns.get(index.table_oid, ()) if column.not_null}
        if (
            index.is_unique
            and index.is_valid
            and index.is_immediate
            and index.predicate_tree is None
            and set(index.key_columns) <= never_null
        ):
            found.setdefault(index.table_oid, index)
    return found


def _advice(
    tree: TableTree, columns: list[Column], candidate: Index | None, texts: Mapping[int, str]
) -> Iterator[Advice]:
    root = tree.root
    if tree.is_partitioned:
        return  # its key must hold the partition key; which columns beside it is for people
    if candidate is not None:
        yield from _promote(candidate, texts.get(candidate.oid))
        return
    names = {column.name for column in columns}
    name = next(name for name in ("id", f"{root.name[:40]}_id", "row_id", "row_id_") if name not in names)
    yield Advice(
        title=f"Number the rows of {root.qualified}",
        sql=f"ALTER TABLE {root.qualified} ADD COLUMN {quote(name)} bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;",
        undo_sql=f"ALTER TABLE {root.qualified} DROP COLUMN {quote(name)};",
        lock=Lock.ACCESS_EXCLUSIVE,
        risk="It rewrites the table, and nobody can use it meanwhile.  Better where one exists: a natural key.",
    )


def _promote(index: Index, definition: str | None) -> Iterator[Advice]:
    """Make the unique index the primary key (it cannot be one and back another constraint)."""
    if index.backs_constraint:
        return
    if not all(index.opclass_is_default) or any(index.ordering):
        return
    table = index.table
    yield Advice(
        title=f"Make {index.qualified} the primary key",
        sql=f"ALTER TABLE {table} ADD PRIMARY KEY USING INDEX {quote(index.name)};",
        undo_sql=f"ALTER TABLE {table} DROP CONSTRAINT {quote(index.name)};\n{rebuilt(definition)}"
        if definition
        else None,
        lock=Lock.ACCESS_EXCLUSIVE,
        risk="The lock is held for a moment.",
    )


CHECK = Check(
    needs=(RELATIONS, CONSTRAINTS, COLUMNS, INDEXES),
    likes=(TABLE_ACTIVITY, INDEX_DEFINITIONS),
    judge=judge,
    limits=NoLimits(),
)
