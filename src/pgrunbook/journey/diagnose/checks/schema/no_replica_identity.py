"""A published table whose updates and deletes fail, because subscribers could not find the rows.

Asks:    which tables whose updates or deletes are published have no usable replica identity?
Source:  pg_publication, pg_publication_rel, pg_publication_namespace; pg_class.relreplident, pg_index.
Says:    {publication} publishes {object}, which has no replica identity: every UPDATE and DELETE of it fails.
Section: Read Replica Implementation
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import TableTree, table_trees
from pgrunbook.journey.observe.columns import COLUMNS
from pgrunbook.journey.observe.indexes import INDEXES, Index
from pgrunbook.journey.observe.publications import PUBLICATIONS
from pgrunbook.journey.observe.relations import RELATIONS, Relation
from pgrunbook.model import Advice, Finding, Kind, Lock, Severity, Verdict, quote

WORDS = {"d": "DEFAULT", "n": "NOTHING", "i": "DEFAULT", "f": "FULL"}


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a table or tree of partitions."""
    trees = seen.derived(table_trees)
    indexes: dict[int, list[Index]] = defaultdict(list)
    for index in seen.rows(INDEXES):
        if index.is_valid:
            indexes[index.table_oid].append(index)
    never_null = {(column.table_oid, column.name) for column in seen.rows(COLUMNS) if column.not_null}
    lost: dict[int, list[Relation]] = defaultdict(list)
    by: dict[int, str] = {}
    for table, publication in _published(seen):
        if not _has_identity(table, indexes[table.oid]):
            root = trees[table.oid].root
            by.setdefault(root.oid, publication)
            lost[root.oid].append(table)
    for oid, tables in lost.items():
        yield _finding(trees[oid], tables, by[oid], [_key(indexes[table.oid], never_null) for table in tables])


def _published(seen: Seen) -> Iterator[tuple[Relation, str]]:
    """Each table that holds rows and whose changes are published, with the first publication that does it."""
    trees = seen.derived(table_trees)
    everything: str | None = None
    tables: dict[int, str] = {}
    schemas: dict[str, str] = {}
    for row in seen.rows(PUBLICATIONS):
        if row.publishes_updates or row.publishes_deletes:
            if row.all_tables:
                everything = everything or row.name
            if row.table_oid is not None:
                tables.setdefault(row.table_oid, row.name)
            if row.schema is not None:
                schemas.setdefault(row.schema, row.name)
    for relation in seen.rows(RELATIONS):
        if relation.kind != "r" or relation.persistence != "p" or relation.of_extension:
            continue
        root = trees[relation.oid].root
        above = (relation.oid, relation.parent_oid or relation.oid, root.oid)
        name = next((tables[oid] for oid in above if oid in tables), None)
        name = name or schemas.get(relation.schema) or schemas.get(root.schema) or everything
        if name is not None:
            yield relation, name


def _has_identity(table: Relation, indexes: list[Index]) -> bool:
    match table.replica_identity:
        case "f":
            return True
        case "d":
            return any(index.is_primary for index in indexes)
        case "i":
            return any(index.is_replica_identity for index in indexes)
        case _:
            return False


def _key(indexes: list[Index], never_null: set[tuple[int, str]]) -> Index | None:
    """A unique index that may be the replica identity."""
    return next(
        (
            index
            for index in indexes
            if index.is_unique
            and index.is_immediate
            and index.predicate_tree is None
            and all((index.table_oid, column) in never_null for column in index.key_columns)
        ),
        None,
    )


def _finding(tree: TableTree, tables: list[Relation], publication: str, keys: list[Index | None]) -> Finding:
    forth, back = [], []
    for table, key in zip(tables, keys, strict=True):
        alter = f"ALTER TABLE {table.qualified} REPLICA IDENTITY"
        if key is None:
            forth.append(f"{alter} FULL;")
        else:
            forth.append(f"{alter} DEFAULT;" if key.is_primary else f"{alter} USING INDEX {quote(key.name)};")
        back.append(f"{alter} {WORDS[table.replica_identity]};")
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.TABLE,
        object=tree.qualified,
        related=tuple(table.qualified for table in tables) if tree.is_partitioned else (),
        evidence={"publication": publication, "replica_identity": WORDS[tables[0].replica_identity]},
        advice=(
            Advice(
                title=f"Tell the rows of {tree.qualified} apart for subscribers",
                sql="\n".join(forth),
                undo_sql="\n".join(back),
                lock=Lock.ACCESS_EXCLUSIVE,
                risk="FULL writes every old row to the WAL; a primary key would be better." if None in keys else "",
            ),
        ),
    )


CHECK = Check(needs=(PUBLICATIONS, RELATIONS, INDEXES, COLUMNS), judge=judge, limits=NoLimits())
