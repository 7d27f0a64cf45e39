"""Two indexes that are the same but for their names.

Asks:    which valid indexes of one table agree in method, columns, order, operator classes, collations, INCLUDE,
         expressions, predicate and uniqueness?
Source:  pg_index, compared as the catalog's own trees; never as printed text.
Says:    {object} is the same as {related}.  Each write keeps both; the copy takes {size_bytes}.
Section: Indexing Strategies
Leads:   drop_index
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.indexes import INDEX_DEFINITIONS, INDEXES, Index
from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.drop_index import DropIndex
from pgrunbook.model import Finding, Kind, Severity, Verdict


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """Each copy that can be dropped is one finding; the one that is kept is its `related`."""
    definitions = {row.oid: row.definition for row in seen.rows_or_none(INDEX_DEFINITIONS) or ()}
    whole = [index for index in seen.rows(INDEXES) if index.is_valid and not index.is_partition]
    for _, group in groupby(sorted(whole, key=_identity_text), key=_identity_text):
        copies = sorted(group, key=_worth)
        for copy in copies[1:]:
            if not copy.backs_constraint and not copy.is_replica_identity:
                yield _finding(copy, copies[0], definitions.get(copy.oid))


def _finding(copy: Index, kept: Index, definition: str | None) -> Finding:
    step = DropIndex(schema=copy.schema, name=copy.name, definition=definition)
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.INDEX,
        object=copy.qualified,
        related=(kept.qualified,),
        evidence={"table": copy.table, "size_bytes": copy.size_bytes},
        advice=(advise(step),),
    )


def _identity_text(index: Index) -> str:
    """Everything that makes two indexes interchangeable; a plain index beside a unique one is a copy of it, too."""
    return repr(
        (
            index.table_oid,
            index.access_method,
            index.key_count,
            index.attnums[: index.key_count],
            sorted(index.attnums[index.key_count :]),
            index.opclass_oids,
            index.collation_oids,
            index.ordering,
            index.expression_tree,
            index.predicate_tree,
        )
    )


def _worth(index: Index) -> tuple[bool, bool, bool, bool, int]:
    """What is kept sorts first: constraints, replica identity, unique, clustered; then the older."""
    return (
        not index.backs_constraint,
        not index.is_replica_identity,
        not index.is_unique,
        not index.is_clustered,
        index.oid,
    )


CHECK = Check(needs=(INDEXES,), likes=(INDEX_DEFINITIONS,), judge=judge, limits=NoLimits())
