"""Two indexes that are the same but for their names.

Asks:    which valid indexes of one table agree in method, columns, order, operator classes, collations, INCLUDE,
         expressions and predicate, so that one of them enforces and serves all that the other does?
Source:  pg_index, compared as the catalog's own trees; never as printed text.
Says:    {object} is the same as {related}.  Each write keeps both; the copy takes {size_bytes}.
         Each of {copies} partitions has such a copy.
Section: Indexing Strategies
Leads:   drop_index
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.index_advice import definitions, drop_index
from pgrunbook.journey.diagnose.index_copies import superfluous
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.constraints import CONSTRAINT_DEFINITIONS, CONSTRAINTS
from pgrunbook.journey.observe.indexes import INDEX_DEFINITIONS, INDEX_USAGE, INDEXES, Index
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.model import Advice, Finding, Kind, Lock, Severity, Verdict, quote


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """Each copy that can be dropped is one finding; the one that is kept is its `related`."""
    texts = definitions(seen)
    for found in seen.derived(superfluous):
        if found.is_copy:
            yield Finding(
                severity=Severity.WARNING,
                kind=Kind.INDEX,
                object=found.first.qualified,
                related=(found.kept.root.qualified,),
                evidence={
                    "table": found.first.table,
                    "size_bytes": found.size_bytes,
                    "copies": len(found.indexes) if len(found.indexes) > 1 else None,
                },
                advice=tuple(
                    drop_index(tree, texts.get(tree.root.oid))
                    if tree.root.constraint_name is None
                    else _drop_constraint(seen, tree.root, tree.root.constraint_name)
                    for tree in found.indexes
                ),
            )


def _drop_constraint(seen: Seen, index: Index, name: str) -> Advice:
    """A unique constraint that another one enforces goes with its index."""
    alter = f"ALTER TABLE {index.table}"
    oid = next((row.oid for row in seen.rows(CONSTRAINTS) if row.index_oid == index.oid and row.kind == "u"), None)
    texts = {row.oid: row.definition for row in seen.rows_or_none(CONSTRAINT_DEFINITIONS) or ()}
    definition = texts.get(oid) if oid is not None else None
    return Advice(
        title=f"Drop unique constraint {quote(name)} of {index.table}",
        sql=f"{alter} DROP CONSTRAINT {quote(name)};",
        undo_sql=f"{alter} ADD CONSTRAINT {quote(name)} {definition};" if definition else None,
        lock=Lock.ACCESS_EXCLUSIVE,
        risk="The table is locked for a moment; an ON CONFLICT ON CONSTRAINT must not name it.",
    )


CHECK = Check(
    needs=(INDEXES, RELATIONS, CONSTRAINTS),
    likes=(INDEX_DEFINITIONS, INDEX_USAGE, CONSTRAINT_DEFINITIONS),
    judge=judge,
    limits=NoLimits(),
)
