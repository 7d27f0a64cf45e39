"""Partition trees: tables and indexes rolled up to their root, because a defect is counted once, where it is mended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.indexes import INDEX_USAGE, INDEXES, Index
from pgrunbook.journey.observe.relations import RELATIONS, Relation
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY, TableActivity

Member = TypeVar("Member", Relation, Index)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableTree:
    """A table, or a partitioned table with all its leaves (`leaves` of an ordinary table is itself)."""

    root: Relation
    members: tuple[Relation, ...]
    leaves: tuple[Relation, ...]
    rows: float
    size_bytes: int
    scans: int
    writes: int
    vacuums: int

    @property
    def qualified(self) -> str:
        """`schema.name` of the root, quoted as PostgreSQL would."""
        return self.root.qualified

    @property
    def is_partitioned(self) -> bool:
        """Whether its rows lie in partitions."""
        return self.root.kind == "p"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexTree:
    """An index, or a partitioned index with all that is attached to it."""

    root: Index
    members: tuple[Index, ...]
    size_bytes: int
    scans: int | None
    last_scan_at: datetime | None
    blocks_touched: int
    age_xids: int

    @property
    def is_partitioned(self) -> bool:
        """Whether it is dropped and made at the partitioned table."""
        return self.root.table_kind == "p"


def table_trees(seen: Seen) -> Mapping[int, TableTree]:
    """Every tree by the OID of each of its tables.  Needs RELATIONS; counts rows better with TABLE_ACTIVITY."""
    relations = {relation.oid: relation for relation in seen.rows(RELATIONS)}
    activity = {row.oid: row for row in seen.rows_or_none(TABLE_ACTIVITY) or ()}
    groups: dict[int, list[Relation]] = defaultdict(list)
    for relation in relations.values():
        groups[_root(relation, relations).oid].append(relation)
    found: dict[int, TableTree] = {}
    for root_oid, members in groups.items():
        leaves = tuple(relation for relation in members if relation.kind != "p")
        seen_here = [activity[leaf.oid] for leaf in leaves if leaf.oid in activity]
        tree = TableTree(
            root=relations[root_oid],
            members=tuple(members),
            leaves=leaves,
            rows=sum(row_count(leaf, activity.get(leaf.oid)) for leaf in leaves),
            size_bytes=sum(leaf.size_bytes for leaf in leaves),
            scans=sum(row.seq_scans + row.index_scans for row in seen_here),
            writes=sum(row.rows_inserted + row.rows_updated + row.rows_deleted for row in seen_here),
            vacuums=sum(row.vacuums + row.autovacuums for row in seen_here),
        )
        for member in members:
            found[member.oid] = tree
    return found


def row_count(relation: Relation, activity: TableActivity | None) -> float:
    """The rows of one table as ANALYZE knew them, or as the counters do where it never ran or much changed since."""
    known = max(relation.estimated_rows, 0.0)
    if activity is not None and activity.live_rows == 0 and activity.rows_deleted > 0:
        return 0.0
    if activity is None or (known > 0 and activity.modified_rows <= known):
        return known
    return max(known, float(activity.live_rows))


def index_trees(seen: Seen) -> Mapping[int, IndexTree]:
    """Every tree by the OID of each of its indexes.  Needs INDEXES; knows scans with INDEX_USAGE."""
    indexes = {index.oid: index for index in seen.rows(INDEXES)}
    usage = {row.oid: row for row in seen.rows_or_none(INDEX_USAGE) or ()}
    groups: dict[int, list[Index]] = defaultdict(list)
    for index in indexes.values():
        groups[_root(index, indexes).oid].append(index)
    found: dict[int, IndexTree] = {}
    for root_oid, members in groups.items():
        used = [usage[index.oid] for index in members if index.oid in usage]
        tree = IndexTree(
            root=indexes[root_oid],
            members=tuple(members),
            size_bytes=sum(index.size_bytes for index in members),
            scans=sum(row.scans for row in used) if used else None,
            last_scan_at=max((row.last_scan_at for row in used if row.last_scan_at is not None), default=None),
            blocks_touched=sum(row.blocks_touched for row in used),
            age_xids=max((row.age_xids for row in used), default=0),
        )
        for member in members:
            found[member.oid] = tree
    return found


def roots(trees: Iterable[IndexTree]) -> tuple[IndexTree, ...]:
    """Each tree once, in the order of the reading."""
    return tuple({tree.root.oid: tree for tree in trees}.values())


def _root(member: Member, known: Mapping[int, Member]) -> Member:
    while member.parent_oid is not None and member.parent_oid in known:
        member = known[member.parent_oid]
    return member
