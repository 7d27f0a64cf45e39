"""A B-tree on an array, a JSON document or a text search vector, where it serves only comparisons of whole values.

Asks:    which B-tree or hash indexes order or hash arrays, jsonb or tsvector values as a whole?
Source:  pg_index, pg_opclass; pg_stat_user_indexes says whether one is used for equality all the same.
Says:    {object} is a {method} on {column} ({operator_class}): it finds whole values that are equal, but no element,
         key or word in them.  Operators such as @> need GIN.  It takes {size_bytes}.
Section: Indexing Strategies
Leads:   create_index, drop_index
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.index_advice import Taken, definitions, replace_index, tail_of, taken_names
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import IndexTree, TableTree, index_trees, roots, table_trees
from pgrunbook.journey.observe.indexes import INDEX_DEFINITIONS, INDEX_USAGE, INDEXES, Index
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY
from pgrunbook.model import Advice, Finding, Kind, Severity, Verdict, quote

WHOLE_VALUE = frozenset({"array_ops", "jsonb_ops", "tsvector_ops"})
"""Operator classes of B-tree and hash that compare a composite value as a whole; GIN has one for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """An index that was scanned `used_scans` times and gave `selective_ratio` of the table or less is used for `=`."""

    used_scans: int = 10
    selective_ratio: float = 0.01


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding an index; those that enforce uniqueness are meant to compare whole values."""
    tables, texts, taken = seen.derived(table_trees), definitions(seen), taken_names(seen)
    usage = {row.oid: row for row in seen.rows_or_none(INDEX_USAGE) or ()}
    for tree in roots(seen.derived(index_trees).values()):
        table = tables.get(tree.root.table_oid)
        place = _wrong_place(tree.root)
        if table is None or place is None:
            continue
        read = sum(usage[index.oid].rows_read for index in tree.members if index.oid in usage)
        scans = tree.scans or 0
        if scans >= limits.used_scans and read <= limits.selective_ratio * scans * table.rows:
            continue
        yield _finding(tree, place, tuple(_advice(tree, table, texts.get(tree.root.oid), taken)))


def _wrong_place(index: Index) -> int | None:
    """The first key column with such an operator class, in an index that enforces nothing."""
    if index.access_method not in {"btree", "hash"} or not index.is_valid or index.of_extension:
        return None
    if index.is_unique or index.backs_constraint or index.is_replica_identity:
        return None
    return next((place for place, name in enumerate(index.opclasses) if name in WHOLE_VALUE), None)


def _advice(tree: IndexTree, table: TableTree, definition: str | None, taken: Taken) -> Iterator[Advice]:
    """A GIN index in its place; none where the definition is not known, or an expression is one of several keys."""
    index = tree.root
    if definition is None:
        return
    columns = [column for column, name in zip(index.columns, index.opclasses, strict=False) if name in WHOLE_VALUE]
    if all(columns):
        tail = f"USING gin ({', '.join(quote(column) for column in columns)})"
    elif index.key_count == len(index.attnums) == 1 and index.ordering == (0,):
        tail = tail_of(index, definition).replace(f"USING {index.access_method} ", "USING gin ", 1)
    else:
        return
    _, where, predicate = tail_of(index, definition).partition(" WHERE ")
    if where and where not in tail:
        tail += where + predicate
    yield replace_index(tree, table, definition, tail, taken, why="GIN finds what is inside the values")


def _finding(tree: IndexTree, place: int, advice: tuple[Advice, ...]) -> Finding:
    index = tree.root
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.INDEX,
        object=index.qualified,
        related=(index.table,),
        evidence={
            "table": index.table,
            "column": index.columns[place] or "an expression",
            "method": {"btree": "B-tree", "hash": "hash index"}[index.access_method],
            "operator_class": index.opclasses[place],
            "size_bytes": tree.size_bytes,
            "scans": tree.scans,
        },
        advice=advice,
    )


CHECK = Check(
    needs=(INDEXES, RELATIONS),
    likes=(INDEX_USAGE, TABLE_ACTIVITY, INDEX_DEFINITIONS),
    judge=judge,
    limits=Limits(),
)
