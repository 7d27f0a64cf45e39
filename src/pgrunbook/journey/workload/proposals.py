"""The indexes that could serve one access: the shapes to choose from, and why a condition gets none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pgrunbook.journey.workload.access import Access, Key, Operation, Predicate
from pgrunbook.journey.workload.candidate import (
    Candidate,
    Condition,
    IndexKey,
    condition_of,
    order_key,
    qualified_opclass,
)
from pgrunbook.journey.workload.estimate import usable
from pgrunbook.journey.workload.expressions import column_key
from pgrunbook.journey.workload.facts import TableFacts
from pgrunbook.journey.workload.operators import type_of
from pgrunbook.journey.workload.selectivity import null_share, share

_NO_BTREE = frozenset(
    """
    json xml point box line lseg path circle polygon tsvector tsquery geometry geography hstore jsonb refcursor
    """.split()
)
_JSON_PATH = frozenset({"@>", "@?", "@@"})
PARTIAL_SHARE_MAX = 0.5  # a partial index that holds more than half of the rows saves little
RECURRING_SHARE_MIN = 0.02  # a constant of fewer rows is a value somebody looked up, not a state that recurs
NULLS_SHARE_MIN = 0.5  # where NULLs dominate, an index that leaves them out is less than half as large


@dataclass(frozen=True, slots=True, kw_only=True)
class Extensions:
    """Where trigrams are, or (`trigram_schema_to_be`) would be put because the server has them on disk."""

    trigram_schema: str | None = None
    trigram_schema_to_be: str | None = None


def proposals(access: Access, facts: TableFacts, extensions: Extensions, *, max_width: int) -> Iterator[Candidate]:
    """Every index worth reckoning with for an access, from its conditions and its order."""
    asked = [p for p in usable(access, facts) if not p.key.refusal]
    known = [p for p in asked if p.key.is_known]
    where, equal = _split(known, facts, access)
    joined = [p for p in equal if p.joined is not None]
    constant = [p for p in equal if p.joined is None]
    for group in _groups(constant, joined):
        for keys, tail in _btrees(group, known, access, facts, max_width):
            yield Candidate(table_oid=facts.table.oid, equal=keys, tail=tail, where=where)
    if where and not equal:
        yield from _only_partial(where, access, facts)
    for predicate in asked:
        yield from _inverted(predicate, facts, extensions)
    for order in access.order[:1]:
        if order.nearest and access.limited and type_of(order.key, facts.table) == "geometry":
            yield Candidate(table_oid=facts.table.oid, method="gist", equal=(IndexKey(key=order.key),))


def _groups(constant: list[Predicate], joined: list[Predicate]) -> Iterator[list[Predicate]]:
    """Constants alone, look-ups of a join alone, and a join's key before constants."""
    yield constant
    for predicate in joined:
        yield [predicate]
        if constant:
            yield [predicate, *constant]


def _split(
    known: Iterable[Predicate], facts: TableFacts, access: Access
) -> tuple[tuple[Condition, ...], list[Predicate]]:
    """Conditions that never change go into WHERE (or are worth nothing); equalities that do are keys."""
    where: list[Condition] = []
    equal: list[Predicate] = []
    for p in known:
        if not p.is_equality:
            continue
        condition = condition_of(p)
        if condition is None or _is_one_of_many(p, facts):
            if is_ordered_type(p.key, facts):
                equal.append(p)
        elif _partial_share(p, facts, access) <= PARTIAL_SHARE_MAX:
            where.append(condition)
    return tuple(where), equal


def _is_one_of_many(predicate: Predicate, facts: TableFacts) -> bool:
    """Whether the constant is one of so many values that a partial index for each would be absurd."""
    return predicate.operation is Operation.EQUAL and share(predicate, facts) < RECURRING_SHARE_MIN


def _partial_share(predicate: Predicate, facts: TableFacts, access: Access) -> float:
    """What a fixed condition keeps; a boolean's share is unknown, and asking for the rare value is what is indexed."""
    if predicate.operation in {Operation.IS_TRUE, Operation.IS_FALSE}:
        return 0.0 if access.order or len(access.predicates) == 1 else share(predicate, facts)
    return share(predicate, facts)


def _btrees(
    equal: list[Predicate], known: list[Predicate], access: Access, facts: TableFacts, max_width: int
) -> Iterator[tuple[tuple[IndexKey, ...], tuple[IndexKey, ...]]]:
    """Equality first, most selective first; then the order, or a range, or nothing."""
    ranked = sorted(dict.fromkeys(equal), key=lambda p: share(p, facts)) if equal and equal[0].joined is None else equal
    keys = list(dict.fromkeys(IndexKey(key=p.key) for p in ranked))
    orders = _orders(access, facts)
    ends = [*_range_keys(known, facts)]
    for width in range(min(len(keys), max_width) + 1):
        chosen = tuple(keys[:width])
        if chosen:
            yield chosen, ()
        if width == max_width:
            return
        rest = tuple(o for o in orders if all(o.key.canonical != k.key.canonical for k in chosen))
        if rest:
            yield chosen, rest[: max_width - width]
        for end in ends:
            yield chosen, (end,)


def _orders(access: Access, facts: TableFacts) -> list[IndexKey]:
    """The keys of an ORDER BY … LIMIT, if an index can give all of them."""
    if not access.limited or any(o.nearest or o.key.refusal or not o.key.is_known for o in access.order):
        return []
    return [order_key(o) for o in access.order] if all(is_ordered_type(o.key, facts) for o in access.order) else []


def _range_keys(known: list[Predicate], facts: TableFacts) -> Iterator[IndexKey]:
    for p in known:
        if p.operation is Operation.RANGE and is_ordered_type(p.key, facts):
            yield IndexKey(key=p.key)
        elif p.operation is Operation.PREFIX:
            yield IndexKey(key=p.key, opclass=_pattern_class(p.key, facts))


def _only_partial(where: tuple[Condition, ...], access: Access, facts: TableFacts) -> Iterator[Candidate]:
    """A condition that never changes, and nothing else: the rows it keeps, by the primary key."""
    if access.order and access.limited:
        return  # _btrees has it, in that order
    keys = facts.primary_key or where[0].predicate.key.columns
    if len(keys) <= 2 and all(name for name in keys):
        yield Candidate(
            table_oid=facts.table.oid,
            equal=tuple(IndexKey(key=column_key(n)) for n in keys),
            where=where,
        )


def _inverted(predicate: Predicate, facts: TableFacts, extensions: Extensions) -> Iterator[Candidate]:
    """GIN and GiST, by what the operator needs."""
    base = Candidate(table_oid=facts.table.oid, method="gin")
    kind = type_of(predicate.key, facts.table)
    match predicate.operation:
        case Operation.CONTAINS if predicate.key.is_known:
            opclass = "jsonb_path_ops" if kind == "jsonb" and predicate.operator in _JSON_PATH else ""
            yield base.with_keys((IndexKey(key=predicate.key, opclass=opclass),), ())
        case Operation.SEARCH if predicate.key.is_known:
            yield base.with_keys((IndexKey(key=predicate.key),), ())
        case Operation.PATTERN if predicate.key.is_known:
            yield from _trigrams(predicate.key, base, extensions)
        case Operation.OVERLAPS if predicate.key.is_known:
            opclass = "inet_ops" if kind == "network" else ""
            yield replace(base, method="gist", equal=(IndexKey(key=predicate.key, opclass=opclass),))


def _trigrams(key: Key, base: Candidate, extensions: Extensions) -> Iterator[Candidate]:
    if extensions.trigram_schema is not None:
        opclass = qualified_opclass(extensions.trigram_schema, "gin_trgm_ops")
        yield base.with_keys((IndexKey(key=key, opclass=opclass),), ())
    elif extensions.trigram_schema_to_be is not None:
        opclass = qualified_opclass(extensions.trigram_schema_to_be, "gin_trgm_ops")
        yield replace(base, equal=(IndexKey(key=key, opclass=opclass),), extension="pg_trgm")


def is_ordered_type(key: Key, facts: TableFacts) -> bool:
    """Whether a B-tree can hold it (and people would want it to)."""
    if not key.is_column:
        return type_of(key, facts.table) not in {"jsonb", "tsvector"}
    column = facts.table.columns[key.columns[0]]
    return column.base_type_name not in _NO_BTREE and column.type_category not in {"A", "R", "G"}


def _pattern_class(key: Key, facts: TableFacts) -> str:
    column = facts.table.columns[key.columns[0]]
    return "" if column.collates_by_bytes else "text_pattern_ops"


def without_nulls(candidate: Candidate, facts: TableFacts, served: Iterable[Access]) -> Candidate:
    """Leave NULLs out where they dominate and no statement that is served could want them."""
    if candidate.method != "btree" or candidate.where:
        return candidate
    first = candidate.keys[0].key
    if not first.is_column or null_share(first, facts) < NULLS_SHARE_MIN:
        return candidate
    if not all(any(_is_strict(p, first) for p in access.predicates) for access in served):
        return candidate
    not_null = Predicate(key=first, operation=Operation.NOT_NULL)
    return replace(candidate, where=(Condition(sql=f"{first.sql} IS NOT NULL", predicate=not_null),))


def _is_strict(predicate: Predicate, key: Key) -> bool:
    return predicate.key.canonical == key.canonical and predicate.operation is not Operation.IS_NULL
