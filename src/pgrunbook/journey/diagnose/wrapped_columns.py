"""Conditions that an existing index cannot serve because its column is wrapped in a function or a cast.

The cast may stand in the text, or PostgreSQL adds it because the other side's type belongs to another family.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pgrunbook.journey.observe.columns import Column
from pgrunbook.journey.workload.access import Access, Accesses, Key, Operation, Predicate
from pgrunbook.journey.workload.existing import IndexFacts
from pgrunbook.journey.workload.facts import Facts, TableFacts
from pgrunbook.journey.workload.paths import matches
from pgrunbook.pg.parse import Tree
from pgrunbook.pg.trees import names, nodes

_COMPARED: Final = frozenset(
    {Operation.EQUAL, Operation.RANGE, Operation.PREFIX, Operation.IS_NULL, Operation.NOT_NULL}
)
_NARROW: Final = frozenset({Operation.EQUAL, Operation.PREFIX})
_ORDERED_METHODS: Final = frozenset({"btree", "hash", "brin"})
# How PostgreSQL resolves an operator between two families: the type further right wins, the other side is cast.
_NUMBERS: Final = ("int", "numeric", "float")
_TEXTS: Final = ("bpchar", "citext", "text")
_FAMILY: Final = {
    "int2": "int",
    "int4": "int",
    "int8": "int",
    "numeric": "numeric",
    "float4": "float",
    "float8": "float",
    "bpchar": "bpchar",
    "citext": "citext",
    "text": "text",
    "varchar": "text",
    "name": "text",
}
_SIGNS: Final = frozenset({"=", "<", "<=", ">", ">="})
_DATE_CALL: Final = re.compile(r"\bdate\(([^()]+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapped:
    """One condition: what stands around the column, and the index that would serve the column itself.

    `is_narrow` is false where it may keep most rows, and the rows that come out do not tell how many it kept.
    """

    access: Access
    table: TableFacts
    index: IndexFacts
    column: str
    condition: str
    key: Key | None = None
    is_narrow: bool = True


def wrapped_columns(accesses: Accesses, tree: Tree, facts: Facts) -> Iterator[Wrapped]:
    """Every such condition of a statement."""
    by_number = {access.number: access for access in accesses.accesses}
    is_selective = any(p.joined is None for access in accesses.accesses for p in access.predicates)
    for access in accesses.accesses:
        table = facts.of(access.table_oid)
        for predicate in _conditions(access):
            found = _in_text(predicate, access, table)
            if found is None and is_selective:
                found = _by_join(predicate, access, table, by_number, facts)
            if found is not None:
                yield found
    yield from _by_constant(accesses, tree, facts)


def _conditions(access: Access) -> Iterator[Predicate]:
    yield from access.predicates
    for group in access.alternatives:
        for branch in group:
            yield from branch


def _in_text(predicate: Predicate, access: Access, table: TableFacts) -> Wrapped | None:
    """`lower(email) = …`, `created_at::date = …`: an expression that no index holds."""
    key = predicate.key
    if key.is_column or not key.sql or predicate.operation not in _COMPARED:
        return None
    if any(_is_held(key, index) for index in table.indexes):
        return None
    for column in key.columns:
        index = _index_on(column, table)
        if index is not None:
            sign = predicate.operator or predicate.operation.value
            return Wrapped(
                access=access,
                table=table,
                index=index,
                column=column,
                condition=f"{key.sql} {sign} …",
                key=key,
                is_narrow=access.is_result or predicate.operation in _NARROW,
            )
    return None


def _is_held(key: Key, index: IndexFacts) -> bool:
    """Whether an index has this very expression; one that could not be read may have it."""
    if not index.index.is_valid:
        return False
    alike = Key(
        sql=key.sql,
        canonical=_DATE_CALL.sub(r"cast(\1,date)", key.canonical),
        columns=key.columns,
        is_column=False,
    )
    return any(
        held is None or matches(held, key) or _DATE_CALL.sub(r"cast(\1,date)", held.canonical) == alike.canonical
        for held in index.keys
    )


def _index_on(column: str, table: TableFacts) -> IndexFacts | None:
    """A valid index on all rows that begins with the plain column."""
    for facts in table.indexes:
        first = facts.keys[0] if facts.keys else None
        if (
            facts.index.is_valid
            and not facts.is_partial
            and facts.index.access_method in _ORDERED_METHODS
            and first is not None
            and first.is_column
            and first.columns == (column,)
        ):
            return facts
    return None


def _by_join(
    predicate: Predicate, access: Access, table: TableFacts, by_number: dict[int, Access], facts: Facts
) -> Wrapped | None:
    """`a.id = b.code` where PostgreSQL must cast this side to the other one's type."""
    other = by_number.get(predicate.joined) if predicate.joined is not None else None
    joined = predicate.joined_key
    if other is None or joined is None or not joined.is_column or not predicate.key.is_column:
        return None
    column = predicate.key.columns[0]
    mine = table.table.columns.get(column)
    theirs = facts.of(other.table_oid).table.columns.get(joined.columns[0])
    index = _index_on(column, table)
    if mine is None or theirs is None or index is None or not is_cast(mine, theirs.base_type_name):
        return None
    condition = f"{column} ({mine.declared_type}) = {theirs.table_name}.{theirs.name} ({theirs.declared_type})"
    return Wrapped(access=access, table=table, index=index, column=column, condition=condition)


def is_cast(column: Column, other_type: str) -> bool:
    """Whether a comparison with this type makes PostgreSQL cast the column."""
    mine, theirs = _FAMILY.get(column.base_type_name), _FAMILY.get(other_type)
    for ladder in (_NUMBERS, _TEXTS):
        if mine in ladder and theirs in ladder:
            return ladder.index(mine) < ladder.index(theirs)
    return False


def _by_constant(accesses: Accesses, tree: Tree, facts: Facts) -> Iterator[Wrapped]:
    """`id = $1::numeric`: the constant's own cast is of a wider family than the column."""
    tables = [(access, facts.of(access.table_oid)) for access in accesses.accesses]
    for kind, node in nodes(tree):
        if kind != "a_expr" or (names(node.get("name")) or ("",))[-1] not in _SIGNS:
            continue
        for side, other in (("lexpr", "rexpr"), ("rexpr", "lexpr")):
            reference = node.get(side, {}).get("column_ref")
            cast = node.get(other, {}).get("type_cast")
            if reference is None or cast is None or not {"param_ref", "a_const"} & cast.get("arg", {}).keys():
                continue
            wanted = (names(cast.get("type_name", {}).get("names")) or ("",))[-1]
            column = (names(reference.get("fields")) or ("",))[-1]
            for access, table in tables:
                mine, index = table.table.columns.get(column), _index_on(column, table)
                if mine is not None and index is not None and is_cast(mine, wanted):
                    condition = f"{column} ({mine.declared_type}) = constant of type {wanted}"
                    yield Wrapped(access=access, table=table, index=index, column=column, condition=condition)
