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
from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.index_advice import definitions, drop_index
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import IndexTree, TableTree, index_trees, roots, table_trees
from pgrunbook.journey.observe.index_work import INDEX_WORK
from pgrunbook.journey.observe.indexes import INDEX_DEFINITIONS, INDEXES, Index
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.model import Advice, Blind, Finding, Kind, Lock, ServerRole, Severity, Verdict, quote

_LEFTOVER = re.compile(r"_cc(new|old)\d*\Z")
"""The names that REINDEX CONCURRENTLY gives: the new index until the swap, the old one after it."""


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding an index, or a partitioned index with all that should be attached to it."""
    work = seen.rows(INDEX_WORK)
    touched = {row.oid for row in work}
    built = {row.oid for row in work if row.is_build}
    texts = definitions(seen)
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
            yield _finding(tree, seen.derived(table_trees).get(tree.root.table_oid), texts)


def _finding(tree: IndexTree, table: TableTree | None, texts: dict[int, str]) -> Finding:
    index = tree.root
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.INDEX,
        object=index.qualified,
        related=(index.table,),
        evidence={"table": index.table, "cause": _cause(tree), "size_bytes": tree.size_bytes},
        advice=tuple(_advice(tree, table, texts)),
    )


def _cause(tree: IndexTree) -> str:
    if tree.is_partitioned:
        return "not every partition has a valid index that is attached to it"
    if (match := _LEFTOVER.search(tree.root.name)) is not None:
        return f"a REINDEX CONCURRENTLY was cut short and left its {match[1]} copy behind"
    if not tree.root.is_live:
        return "a DROP INDEX CONCURRENTLY was cut short"
    return "a CREATE INDEX CONCURRENTLY failed or was cut short"


def _advice(tree: IndexTree, table: TableTree | None, texts: dict[int, str]) -> Iterator[Advice]:
    index = tree.root
    if tree.is_partitioned:
        yield _attach(tree, table, texts)
        return
    yield drop_index(tree, texts.get(index.oid))
    if _LEFTOVER.search(index.name) is None and index.is_live:
        yield Advice(
            title=f"Or finish it: rebuild index {index.qualified}",
            sql=f"REINDEX INDEX CONCURRENTLY {index.qualified};",
            lock=Lock.SHARE_UPDATE_EXCLUSIVE,
            risk="It fails again while rows violate the uniqueness." if index.is_unique else "",
        )


def _attach(tree: IndexTree, table: TableTree | None, texts: dict[int, str]) -> Advice:
    """Build what is missing on each partition, then attach it; the last one makes the parent valid."""
    members = {member.table_oid: member for member in tree.members}
    statements = [f"REINDEX INDEX CONCURRENTLY {m.qualified};" for m in tree.members if _is_broken_leaf(m)]
    undo: list[str] = []
    parent = texts.get(tree.root.oid, "")
    _, found, keys = parent.partition(" USING ")
    for leaf in table.leaves if table is not None and found else ():
        above = members.get(leaf.parent_oid) if leaf.parent_oid is not None else None
        if leaf.kind == "r" and leaf.oid not in members and above is not None:
            name = _child_name(tree.root, leaf.name)
            unique = "UNIQUE " if tree.root.is_unique else ""
            statements.append(f"CREATE {unique}INDEX CONCURRENTLY {quote(name)} ON {leaf.qualified} USING {keys};")
            statements.append(f"ALTER INDEX {above.qualified} ATTACH PARTITION {quote(leaf.schema)}.{quote(name)};")
    return Advice(
        title=f"Complete partitioned index {tree.root.qualified}",
        sql="\n".join(statements),
        undo_sql="\n".join(undo) or None,
        lock=Lock.SHARE_UPDATE_EXCLUSIVE,
        risk="Each partition is built on its own; the index counts once the last one is attached.",
    )


def _is_broken_leaf(index: Index) -> bool:
    return not index.is_valid and index.table_kind != "p"


def _child_name(root: Index, table_name: str) -> str:
    return f"{table_name[:40]}_{root.name[:20]}"


CHECK = Check(
    needs=(INDEXES, INDEX_WORK, RELATIONS),
    likes=(INDEX_DEFINITIONS,),
    judge=judge,
    limits=NoLimits(),
)
