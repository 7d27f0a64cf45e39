"""Which indexes another index of the same table makes superfluous: copies, and left prefixes of longer ones.

Reckoned once; three checks look at it, so that none gives advice against another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pgrunbook.journey.diagnose.index_shape import begins_like, included, key_parts
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import IndexTree, TableTree, index_trees, table_trees
from pgrunbook.journey.observe.constraints import CONSTRAINTS
from pgrunbook.journey.observe.indexes import INDEXES, Index


@dataclass(frozen=True, slots=True, kw_only=True)
class Superfluous:
    """`indexes` can go because `kept` does their work; more than one where each partition has its own copy."""

    indexes: tuple[IndexTree, ...]
    kept: IndexTree
    is_copy: bool

    @property
    def first(self) -> Index:
        """The index that the finding is about."""
        return self.indexes[0].root

    @property
    def size_bytes(self) -> int:
        """What all of them take."""
        return sum(tree.size_bytes for tree in self.indexes)


def superfluous(seen: Seen) -> tuple[Superfluous, ...]:
    """Every index that another one makes superfluous, once.  Needs INDEXES, RELATIONS and CONSTRAINTS."""
    trees, tables = seen.derived(index_trees), seen.derived(table_trees)
    targets = frozenset(key.index_oid for key in seen.rows(CONSTRAINTS) if key.kind == "f")
    by_table: dict[int, list[Index]] = defaultdict(list)
    for index in seen.rows(INDEXES):
        if index.is_valid and not index.of_extension:
            by_table[index.table_oid].append(index)
    pairs = [pair for indexes in by_table.values() if len(indexes) > 1 for pair in _pairs(indexes, targets)]
    return tuple(_rolled_up(pairs, trees, tables))


def keepers(seen: Seen) -> Mapping[int, int]:
    """How often the indexes were read whose work falls to another one, by the OID of that one's root."""
    scans: dict[int, int] = defaultdict(int)
    for found in seen.derived(superfluous):
        scans[found.kept.root.oid] += sum(tree.scans or 0 for tree in found.indexes)
    return scans


def _pairs(indexes: Sequence[Index], targets: frozenset[int]) -> Iterator[tuple[Index, Index, bool]]:
    """Index, the one that is kept for it, and whether the first is a copy."""
    gone: set[int] = set()
    groups: dict[object, list[Index]] = defaultdict(list)
    for index in indexes:
        groups[_likeness(index)].append(index)
    for group in groups.values():
        kept, *rest = sorted(group, key=lambda index: (not index.is_primary, index.oid not in targets, _worth(index)))
        for copy in rest:
            if _stands_free(copy, targets) and (not copy.is_unique or _enforces(kept, copy)):
                gone.add(copy.oid)
                yield copy, kept, True
    left = [index for index in indexes if index.oid not in gone and index.access_method == "btree"]
    covered = {
        index.oid: [longer for longer in left if longer is not index and _covers(longer, index)]
        for index in left
        if _may_go(index, targets) and not index.is_unique and not index.is_clustered
    }
    for index in left:
        longer = [other for other in covered.get(index.oid, ()) if not covered.get(other.oid)]
        if longer:
            yield index, min(longer, key=lambda other: (other.size_bytes, other.oid)), False


def _stands_free(index: Index, targets: frozenset[int]) -> bool:
    """Whether a copy of it could take over: no key, no reference, no identity; a unique constraint goes with it."""
    is_needed = index.is_primary or index.is_exclusion or index.is_replica_identity or index.oid in targets
    return not (is_needed or index.is_partition)


def _may_go(index: Index, targets: frozenset[int]) -> bool:
    """Whether it can be dropped at all: nothing stands on it, and it is no part of a partitioned index."""
    return _stands_free(index, targets) and not index.backs_constraint


def _enforces(kept: Index, copy: Index) -> bool:
    """Whether `kept` refuses every row that `copy` would, at the same moment."""
    return (
        kept.is_unique
        and kept.is_immediate >= copy.is_immediate
        and (kept.nulls_not_distinct or kept.is_primary or not copy.nulls_not_distinct)
    )


def _covers(longer: Index, index: Index) -> bool:
    """Whether whoever reads `index` could read `longer` instead, which has more."""
    return (
        longer.attnums[: index.key_count] == index.attnums[: index.key_count]  # the cheapest question first
        and longer.predicate_tree == index.predicate_tree
        and longer.key_count >= index.key_count
        and (longer.key_count > index.key_count or included(longer) > included(index))
        and begins_like(index, longer)
        and included(index) <= set(longer.attnums)
    )


def _likeness(index: Index) -> object:
    """Everything that makes two indexes interchangeable; a plain index beside a unique one is a copy of it, too."""
    return (
        index.access_method,
        key_parts(index),
        included(index),
        index.predicate_tree,
        index.options if index.access_method in {"brin", "bloom"} else (),
    )


def _worth(index: Index) -> tuple[bool, bool, bool, bool, bool, bool, int]:
    """What is kept sorts first: parts of a partitioned index, constraints, replica identity, unique; then the older."""
    return (
        not index.is_partition,
        not index.backs_constraint,
        not index.is_replica_identity,
        not (index.is_unique and index.is_immediate),
        not index.is_unique,
        not index.is_clustered,
        index.oid,
    )


def _rolled_up(
    pairs: Sequence[tuple[Index, Index, bool]], trees: Mapping[int, IndexTree], tables: Mapping[int, TableTree]
) -> Iterator[Superfluous]:
    """Copies that each partition has for itself are one defect of the whole tree."""
    groups: dict[object, list[tuple[Index, Index, bool]]] = defaultdict(list)
    for index, kept, is_copy in pairs:
        table = tables.get(index.table_oid)
        in_tree = table is not None and table.is_partitioned and index.table_oid != table.root.oid
        groups[(trees[kept.oid].root.oid, key_parts(index), included(index)) if in_tree else index.oid].append(
            (index, kept, is_copy)
        )
    for group in groups.values():
        yield Superfluous(
            indexes=tuple(trees[index.oid] for index, _, _ in group),
            kept=trees[group[0][1].oid],
            is_copy=group[0][2],
        )
