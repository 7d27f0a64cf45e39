"""How an index, existing or proposed, serves an access: what bounds its scan, and whether it gives the order.

Where we cannot be sure that an existing index does not serve (a constant that the statement's text hides, a predicate
that could not be read), it is taken to serve: advice for an index that is there already is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pgrunbook.journey.workload.access import Access, Key, Operation, OrderKey, Predicate
from pgrunbook.journey.workload.catalog import Table
from pgrunbook.journey.workload.existing import IndexFacts

_PATTERN_CLASSES = frozenset({"text_pattern_ops", "varchar_pattern_ops", "bpchar_pattern_ops"})
_TRIGRAM = frozenset({"gin_trgm_ops", "gist_trgm_ops"})
_JSON_PATH: Final = frozenset({"@>", "@?", "@@"})
BRIN_CORRELATION_MIN = 0.9  # below it a block range holds values from everywhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """What an index does for an access: the conditions that bound the scan, and whether rows come in order."""

    bounded: tuple[Predicate, ...] = ()
    is_ordered: bool = False

    @property
    def is_useful(self) -> bool:
        """Whether it does anything at all."""
        return bool(self.bounded) or self.is_ordered


def matches(key: Key | None, wanted: Key) -> bool:
    """Whether an index's key is the one that a condition is on; hidden constants are given the benefit of the doubt."""
    if key is None:
        return not wanted.is_column
    if wanted.is_guess and key.canonical.startswith("to_tsvector("):
        return key.columns == wanted.columns
    if wanted.is_known:
        return key.canonical == wanted.canonical
    pattern = ".*".join(re.escape(part) for part in wanted.canonical.split("$"))
    return re.fullmatch(pattern, key.canonical) is not None


def path_of(existing: IndexFacts, access: Access, table: Table, correlation: dict[str, float]) -> Path:
    """What an existing index does for an access."""
    index = existing.index
    if not index.is_valid or not index.is_ready or not _applies(existing, access):
        return Path()
    usable = [p for p in access.predicates if not access.is_secured or is_leakproof(p, table)]
    method = index.access_method
    if method == "btree":
        return btree_path(
            [
                Slot(
                    key=key,
                    descending=bool(index.ordering[i] & 1),
                    nulls_first=bool(index.ordering[i] & 2),
                    is_pattern=index.opclasses[i] in _PATTERN_CLASSES,
                    collates=_collates(index.collation_oids[i], key, table),
                    by_bytes=_by_bytes(key, table),
                )
                for i, key in enumerate(existing.keys)
            ],
            usable,
            access,
            fixed=_fixed(existing),
        )
    if method == "hash":
        return Path(bounded=tuple(_on(existing.keys[0], usable, {Operation.EQUAL})[:1]))
    if method == "brin":
        return _brin(existing, usable, correlation)
    found = [
        p
        for place, key in enumerate(existing.keys)
        for p in usable
        if matches(key, p.key) and _inverted_serves(method, index.opclasses[place], p)
    ]
    nearest = access.order[:1] if method in {"gist", "spgist"} and access.order and access.order[0].nearest else ()
    is_ordered = any(matches(key, o.key) for key in existing.keys for o in nearest)
    return Path(bounded=tuple(dict.fromkeys(found)), is_ordered=is_ordered)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One key of a B-tree.  `by_bytes`: the column's collation is C, so that LIKE 'a%' needs no pattern class."""

    key: Key | None
    descending: bool = False
    nulls_first: bool = False
    is_pattern: bool = False
    collates: bool = True
    by_bytes: bool = False

    def takes(self, predicate: Predicate) -> bool:
        """Whether the condition can bound a scan at this key."""
        if not matches(self.key, predicate.key):
            return False
        if predicate.operation is Operation.PREFIX:
            return self.is_pattern or self.by_bytes
        if predicate.operation is Operation.RANGE:
            return self.collates and not self.is_pattern
        return predicate.is_equality and self.collates


def btree_path(
    slots: Sequence[Slot], usable: Sequence[Predicate], access: Access, *, fixed: Iterable[Key] = ()
) -> Path:
    """Equalities from the first key on, then one range; the order from where the equalities end."""
    bounded: list[Predicate] = []
    constants: list[Key] = [*fixed, *(p.key for p in access.predicates if _pins(p))]
    place = 0
    is_single = True
    for slot in slots:
        equal = [p for p in usable if p.is_equality and slot.takes(p)]
        if not equal:
            break
        bounded += equal[:1] if equal[0].joined is None else equal
        is_single = is_single and all(p.values == 1 for p in equal)
        place += 1
    is_ordered = is_single and _gives_order(slots[place:], slots[:place], access.order, constants)
    if place < len(slots):
        bounded += [p for p in usable if not p.is_equality and slots[place].takes(p)]
    return Path(bounded=tuple(dict.fromkeys(bounded)), is_ordered=is_ordered)


def _pins(predicate: Predicate) -> bool:
    return predicate.is_equality and predicate.values == 1 and predicate.joined is None


def _gives_order(
    rest: Sequence[Slot], before: Sequence[Slot], order: Sequence[OrderKey], constants: Sequence[Key]
) -> bool:
    """Whether what follows the equalities comes in the order asked for, forwards or backwards (the first key counts).

    Later keys that are missing are sorted within equal first keys (incremental sort, from 13 on).
    """
    wanted = [o for o in order if not any(matches(k, o.key) for k in constants)]
    wanted = [o for o in wanted if not any(matches(s.key, o.key) for s in before)]
    if not order or any(o.nearest for o in order):
        return False
    if not wanted:
        return True
    rest = [slot for slot in rest if slot.key is None or not any(matches(k, slot.key) for k in constants)]
    if not rest or not matches(rest[0].key, wanted[0].key) or rest[0].is_pattern:
        return False
    first, asked = rest[0], wanted[0]
    forward = (first.descending, first.nulls_first) == (asked.descending, asked.nulls_first)
    backward = (first.descending, first.nulls_first) == (not asked.descending, not asked.nulls_first)
    return forward or backward


def _brin(existing: IndexFacts, usable: Sequence[Predicate], correlation: dict[str, float]) -> Path:
    found = []
    for key in existing.keys:
        near = abs(correlation.get(key.canonical, 0.0)) >= BRIN_CORRELATION_MIN if key is not None else False
        if near:
            found += _on(key, usable, {Operation.EQUAL, Operation.RANGE})
    return Path(bounded=tuple(found))


def _on(key: Key | None, usable: Iterable[Predicate], operations: set[Operation]) -> list[Predicate]:
    return [p for p in usable if p.operation in operations and matches(key, p.key)]


def _inverted_serves(method: str, opclass: str, predicate: Predicate) -> bool:
    """Whether a GIN, GiST or SP-GiST key of this class answers the condition."""
    operation, operator = predicate.operation, predicate.operator
    if opclass in _TRIGRAM:
        return operation in {Operation.PATTERN, Operation.PREFIX}
    if opclass == "jsonb_path_ops":
        return operation is Operation.CONTAINS and operator in _JSON_PATH
    if operation in {Operation.CONTAINS, Operation.SEARCH, Operation.OVERLAPS}:
        return True
    if method == "spgist" and opclass == "text_ops":
        return operation in {Operation.PREFIX, Operation.EQUAL}
    is_scalar = opclass.startswith("gist_") or method == "gin"  # btree_gist, btree_gin
    return is_scalar and operation in {Operation.EQUAL, Operation.RANGE}


def _collates(collation_oid: int, key: Key | None, table: Table) -> bool:
    """Whether the index's collation is its column's; expressions keep that of their column."""
    if collation_oid == 0 or key is None or not key.columns:
        return True
    column = table.columns.get(key.columns[0])
    return column is None or column.collation_oid in {0, collation_oid} or not key.is_column


def _by_bytes(key: Key | None, table: Table) -> bool:
    column = table.columns.get(key.columns[0]) if key is not None and key.columns else None
    return column is not None and column.collates_by_bytes


def _fixed(existing: IndexFacts) -> list[Key]:
    """Keys that have one value in a partial index."""
    return [p.key for p in existing.predicates if _pins(p)]


def _applies(existing: IndexFacts, access: Access) -> bool:
    """Whether a partial index holds every row that the access asks for, as far as its conditions show."""
    if not existing.is_partial or not existing.is_read:
        return True
    asked = [*access.predicates, *(p for group in access.alternatives for branch in group for p in branch)]
    if not all(_touches(_flat(group), asked) for group in existing.alternatives):
        return False
    return all(implied(p, access) for p in existing.predicates)


def _flat(group: tuple[tuple[Predicate, ...], ...]) -> list[Predicate]:
    return [p for branch in group for p in branch]


def _touches(wanted: Iterable[Predicate], asked: Sequence[Predicate]) -> bool:
    columns = {c for p in asked for c in p.key.columns}
    return any(columns & set(p.key.columns) for p in wanted)


def implied(wanted: Predicate, access: Access) -> bool:
    """Whether the access's own conditions include this one of an index; where a constant is hidden, they may."""
    on_key = [p for p in access.predicates if matches(wanted.key, p.key) or matches(p.key, wanted.key)]
    if wanted.operation is Operation.NOT_NULL:
        return any(p.operation is not Operation.IS_NULL for p in on_key)
    if wanted.operation is Operation.OTHER:
        columns = set(wanted.key.columns)
        return bool(columns) and columns <= {c for p in access.predicates for c in p.key.columns}
    return any(_may_be_same(wanted, p) for p in on_key)


def _may_be_same(wanted: Predicate, asked: Predicate) -> bool:
    """Whether one condition on a key may imply the other; a hidden constant may be any."""
    is_hidden = asked.constant is None
    if wanted.operation in {Operation.IS_TRUE, Operation.IS_FALSE}:
        is_same = asked.constant == _boolean(wanted.operation)
        return asked.operation is wanted.operation or (asked.operation is Operation.EQUAL and (is_hidden or is_same))
    if asked.operation is Operation.EQUAL and (wanted.values > 1 or wanted.operation is Operation.RANGE):
        return is_hidden or wanted.values > 1
    return asked.operation is wanted.operation and (is_hidden or asked.constant == wanted.constant)


def _boolean(operation: Operation) -> str:
    return "true" if operation is Operation.IS_TRUE else "false"


# Types whose B-tree comparisons PostgreSQL marks leakproof (pg_proc.proleakproof, 14 to 18): under row security only
# these may bound an index scan before the policy has been asked.
_LEAKPROOF = frozenset(
    """
    bit bool bpchar bytea char date float4 float8 inet int2 int4 int8 interval macaddr macaddr8 money name oid pg_lsn
    text tid time timestamp timestamptz timetz uuid varbit varchar xid8
    """.split()
)


def is_leakproof(predicate: Predicate, table: Table) -> bool:
    """Whether a condition may be looked up in an index although a policy stands before it."""
    if predicate.by_policy:
        return True
    if not predicate.key.is_column:
        return False
    simple = predicate.is_equality or predicate.operation in {Operation.RANGE, Operation.NOT_NULL}
    return simple and table.columns[predicate.key.columns[0]].base_type_name in _LEAKPROOF
