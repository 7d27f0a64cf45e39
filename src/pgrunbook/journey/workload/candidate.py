"""A proposed index as a value: its keys, the part that may be reordered, and the SQL of each."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pgrunbook.journey.workload.access import Key, Operation, OrderKey, Predicate
from pgrunbook.journey.workload.paths import Slot
from pgrunbook.model import dotted


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexKey:
    """One key of an index.  `opclass` is written out where it is not the default."""

    key: Key
    descending: bool = False
    nulls_first: bool = False
    opclass: str = ""

    @property
    def sql(self) -> str:
        """The key in CREATE INDEX; expressions in parentheses."""
        text = self.key.sql if self.key.is_column or self.key.sql.startswith("(") else f"({self.key.sql})"
        if self.opclass:
            text += f" {self.opclass}"
        if self.descending:
            text += " DESC"
        if self.nulls_first != self.descending:
            text += " NULLS FIRST" if self.nulls_first else " NULLS LAST"
        return text

    @property
    def name(self) -> str:
        """The column's name, or the expression's text."""
        return self.key.columns[0] if self.key.is_column else self.key.sql

    @property
    def slot(self) -> Slot:
        """As a B-tree's scan sees it."""
        return Slot(
            key=self.key,
            descending=self.descending,
            nulls_first=self.nulls_first,
            is_pattern=self.opclass.endswith("pattern_ops"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition of a partial index."""

    sql: str
    predicate: Predicate


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An index that could be made.  Keys in `equal` are compared with = and may come in any order; `tail` may not.

    `include` are columns that a B-tree carries besides, so that a scan need not look into the table.
    `extension` must be created first where it is not "".
    """

    table_oid: int
    method: str = "btree"
    equal: tuple[IndexKey, ...] = ()
    tail: tuple[IndexKey, ...] = ()
    where: tuple[Condition, ...] = ()
    include: tuple[str, ...] = ()
    extension: str = ""

    @property
    def keys(self) -> tuple[IndexKey, ...]:
        """All keys in order."""
        return self.equal + self.tail

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its keys: columns, or expressions."""
        return tuple(key.name for key in self.keys)

    @property
    def base_columns(self) -> tuple[str, ...]:
        """Every column that it holds or asks for."""
        asked = [c for condition in self.where for c in condition.predicate.key.columns]
        return tuple(dict.fromkeys([c for key in self.keys for c in key.key.columns] + [*self.include, *asked]))

    @property
    def where_sql(self) -> str | None:
        """The WHERE of a partial index."""
        return " AND ".join(condition.sql for condition in self.where) or None

    @property
    def leading(self) -> str:
        """What it is found by first."""
        return f"{self.method}:{self.keys[0].key.canonical}"

    def with_keys(self, equal: tuple[IndexKey, ...], tail: tuple[IndexKey, ...]) -> Candidate:
        """The same on other keys."""
        return replace(self, equal=equal, tail=tail)


def order_key(order: OrderKey) -> IndexKey:
    """The index key that gives an ORDER BY's key as it is asked for."""
    return IndexKey(key=order.key, descending=order.descending, nulls_first=order.nulls_first)


def condition_of(predicate: Predicate) -> Condition | None:
    """The condition as a partial index would state it; None when its text hides the constant."""
    sql = predicate.key.sql
    text = {
        Operation.IS_NULL: f"{sql} IS NULL",
        Operation.NOT_NULL: f"{sql} IS NOT NULL",
        Operation.IS_TRUE: sql,
        Operation.IS_FALSE: f"NOT {sql}",
    }.get(predicate.operation)
    is_one = predicate.operation is Operation.EQUAL and predicate.values == 1 and predicate.joined is None
    if is_one and predicate.constant is not None:
        text = f"{sql} = {predicate.constant}"
    return Condition(sql=text, predicate=predicate) if text is not None and not predicate.key.refusal else None


def qualified_opclass(schema: str, name: str) -> str:
    """An operator class that an extension brought, with its schema."""
    return dotted(schema, name)
