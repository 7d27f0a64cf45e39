"""An index that was never finished: each write pays for it, no query may use it.

Asks:    which indexes are invalid although nobody builds, rebuilds or drops them now?
Source:  pg_index.indisvalid; pg_locks and pg_stat_progress_create_index say who is at work.
Blind:   on a standby, which cannot see whether the primary is still building.
Says:    {object} is invalid: {cause}.  Queries cannot use it; it takes {size_bytes}.
Section: Indexing Strategies
Leads:   drop_index
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.index_advice import (
    Taken,
    build_on_partitions,
    definitions,
    drop_index,
    tail_of,
    taken_names,
)
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import IndexTree, TableTree, index_trees, roots, table_trees
from pgrunbook.journey.observe.index_work import INDEX_WORK
from pgrunbook.journey.observe.indexes import INDEX_DEFINITIONS, INDEXES, Index
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.model import Advice, Blind, Finding, Kind, Lock, ServerRole, Severity, Verdict

_LEFTOVER = re.compile(r"_cc(new|old)\d*\Z")
"""The names that REINDEX CONCURRENTLY gives: the new index until the swap, the old one after it."""


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding an index, or a partitioned index with all that should be attached to it."""
    work = seen.rows(INDEX_WORK)
    touched = {row.oid for row in work}
    built = {row.oid for row in work if row.is_build}
    texts, taken = definitions(seen), taken_names(seen)
    for tree in roots(seen.derived(index_trees).values()):
        broken = [index for index in tree.members if not index.is_valid]
        if not broken or any(index.oid in touched or index.table_oid in built for index in broken):
            continue
        if seen.server.role is ServerRole.STANDBY:
            yield Blind(
                object=tree.root.qualified,
                reason="it is invalid here; only the primary knows whether it is still being built",
                cure="Ask the primary.",
            )
        else:
            table = seen.derived(table_trees).get(tree.root.table_oid)
            if tree.is_partitioned:
                advice = _attach(tree, table, texts, seen.derived(_spare), taken)
            else:
                advice = _drop_or_finish(tree, texts)
            yield _finding(tree, tuple(advice))


def _finding(tree: IndexTree, advice: tuple[Advice, ...]) -> Finding:
    index = tree.root
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.INDEX,
        object=index.qualified,
        related=(index.table,),
        evidence={"table": index.table, "cause": _cause(tree), "size_bytes": tree.size_bytes},
        advice=advice,
    )


def _cause(tree: IndexTree) -> str:
    if tree.is_partitioned:
        return "not every partition has a valid index that is attached to it"
    if (match := _LEFTOVER.search(tree.root.name)) is not None:
        return f"a REINDEX CONCURRENTLY was cut short and left its {match[1]} copy behind"
    if not tree.root.is_live:
        return "a DROP INDEX CONCURRENTLY was cut short"
    return "a CREATE INDEX CONCURRENTLY failed or was cut short"


def _drop_or_finish(tree: IndexTree, texts: dict[int, str]) -> Iterator[Advice]:
    index = tree.root
    yield drop_index(tree, texts.get(index.oid))
    if _LEFTOVER.search(index.name) is None and index.is_live:
        yield Advice(
            title=f"Or finish it: rebuild index {index.qualified}",
            sql=f"REINDEX INDEX CONCURRENTLY {index.qualified};",
            lock=Lock.SHARE_UPDATE_EXCLUSIVE,
            risk="It fails again while rows violate the uniqueness." if index.is_unique else "",
        )


def _attach(
    tree: IndexTree, table: TableTree | None, texts: dict[int, str], spare: Mapping[int, Sequence[Index]], taken: Taken
) -> Iterator[Advice]:
    """Build what is missing on each partition, then attach it; the last one makes the parent valid."""
    definition = texts.get(tree.root.oid)
    if table is None or definition is None:
        return
    mended = [f"REINDEX INDEX CONCURRENTLY {m.qualified};" for m in tree.members if _is_broken_leaf(m)]
    have = [*tree.members, *_fitting(tree, table, spare)]
    made = build_on_partitions(
        table, tree.root.name, tail_of(tree.root, definition), taken, unique=tree.root.is_unique, have=have
    )
    yield Advice(
        title=f"Complete partitioned index {tree.root.qualified}",
        sql="\n".join((*mended, *made)),
        lock=Lock.SHARE,
        risk="Each partition is built on its own; the index counts once the last one is attached.",
    )


def _fitting(tree: IndexTree, table: TableTree, spare: Mapping[int, Sequence[Index]]) -> Iterator[Index]:
    """Indexes of partitions that need only be attached."""
    done = {index.table_oid for index in tree.members}
    wanted = _looks(tree.root)
    for leaf in table.leaves:
        if leaf.oid not in done:
            fits = [index for index in spare.get(leaf.oid, ()) if _looks(index) == wanted]
            yield from fits[:1]


def _looks(index: Index) -> object:
    """What must agree for an attachment, columns by name (their numbers may differ); expressions are built anew."""
    if index.expression_tree is not None or index.predicate_tree is not None:
        return index.oid
    return (
        index.access_method,
        index.is_unique,
        index.columns,
        index.key_count,
        index.opclass_oids,
        index.collation_oids,
        index.ordering,
    )


def _spare(seen: Seen) -> dict[int, list[Index]]:
    """Valid indexes of partitions that hang on no partitioned index, by table."""
    found: dict[int, list[Index]] = {}
    for index in seen.rows(INDEXES):
        if index.is_valid and not index.is_partition:
            found.setdefault(index.table_oid, []).append(index)
    return found


def _is_broken_leaf(index: Index) -> bool:
    return not index.is_valid and index.table_kind != "p"


CHECK = Check(
    needs=(INDEXES, INDEX_WORK, RELATIONS),
    likes=(INDEX_DEFINITIONS,),
    judge=judge,
    limits=NoLimits(),
)
