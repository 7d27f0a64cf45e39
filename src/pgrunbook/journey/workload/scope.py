"""Which column of which table a name means, level by level: FROM items, aliases, common table expressions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pgrunbook.journey.workload.access import Branch, Key, OrderKey, Predicate, Write
from pgrunbook.journey.workload.catalog import Table
from pgrunbook.pg.parse import Tree
from pgrunbook.pg.trees import names, nodes


@dataclass(slots=True, eq=False)
class Source:
    """One occurrence of a table while its statement is walked."""

    number: int
    table: Table
    is_secured: bool = False
    predicates: list[Predicate] = field(default_factory=list)
    alternatives: list[tuple[Branch, ...]] = field(default_factory=list)
    order: tuple[OrderKey, ...] = ()
    limited: bool = False
    has_offset: bool = False
    groups: tuple[Key, ...] = ()
    columns: set[str] | None = field(default_factory=set)
    is_sole: bool = False
    is_result: bool = False
    write: Write | None = None

    def has(self, column: str) -> bool:
        """Whether the table has this column."""
        return column in self.table.columns


@dataclass(slots=True, eq=False)
class Derived:
    """Something in FROM that is no table.  `columns` leads to table columns where rows pass through unchanged.

    `is_open`: it may have columns that are not listed.
    """

    number: int
    columns: dict[str, Ref | None] = field(default_factory=dict)
    is_open: bool = True

    def has(self, column: str) -> bool:
        """Whether it is known to have this column."""
        return column in self.columns


@dataclass(frozen=True, slots=True)
class Ref:
    """A column: of a table (`source`, `column`), or of something opaque (`derived`)."""

    source: Source | None = None
    column: str = ""
    derived: Derived | None = None


UNKNOWN = Ref()
Item: TypeAlias = Source | Derived


@dataclass(slots=True, eq=False)
class Level:
    """One SELECT (or UPDATE, DELETE) with its FROM.  `is_pulled_up`: a semijoin with the parent, not a subplan."""

    parent: Level | None = None
    is_pulled_up: bool = False
    items: dict[str, Item] = field(default_factory=dict)
    ctes: dict[str, Tree | Derived] = field(default_factory=dict)
    merged: set[str] = field(default_factory=set)  # by JOIN … USING
    outer: set[Item] = field(default_factory=set)
    outer_is_unknown: bool = False

    @property
    def sources(self) -> list[Source]:
        """The tables in FROM."""
        return [item for item in self.items.values() if isinstance(item, Source)]

    def add(self, name: str, item: Item) -> None:
        """Put an item under its name; a name that is taken (both in different schemas) is kept apart."""
        self.items[name if name not in self.items else f"{name}\0{item.number}"] = item

    def cte(self, name: str) -> Tree | Derived | None:
        """The common table expression of this name here or further out."""
        level: Level | None = self
        while level is not None:
            if name in level.ctes:
                return level.ctes[name]
            level = level.parent
        return None

    def define(self, name: str, derived: Derived) -> None:
        """Remember what a common table expression turned out to be."""
        level: Level | None = self
        while level is not None and name not in level.ctes:
            level = level.parent
        (level or self).ctes[name] = derived

    def resolve(self, node: Tree) -> Ref:
        """What a column_ref means; UNKNOWN when nothing here or further out has it."""
        parts = names(node.get("fields"))
        level: Level | None = self
        while level is not None:
            found = level.here(parts)
            if found is not None:
                if level is not self:
                    self._note_outer(found, level)
                return found
            level = level.parent
        self.outer_is_unknown = True
        return UNKNOWN

    def _note_outer(self, ref: Ref, where: Level) -> None:
        item = ref.source or ref.derived
        level: Level | None = self
        while level is not None and level is not where:
            if item is not None:
                level.outer.add(item)
            level = level.parent

    def here(self, parts: tuple[str, ...]) -> Ref | None:
        """What a name means on this level alone; None when nothing has it."""
        if len(parts) >= 2:
            item = self._named(parts)
            return _column_of(item, parts[-1]) if item is not None else None
        having = [item for item in self.items.values() if item.has(parts[0])]
        if having:
            is_one = len(having) == 1 or parts[0] in self.merged
            return _column_of(having[0], parts[0]) if is_one else UNKNOWN
        unlisted = [item for item in self.items.values() if isinstance(item, Derived) and item.is_open]
        if unlisted:
            return Ref(derived=unlisted[0], column=parts[0])
        return _column_of(self.items[parts[0]], "") if parts[0] in self.items else None

    def _named(self, parts: tuple[str, ...]) -> Item | None:
        schema, name = (parts[-3], parts[-2]) if len(parts) >= 3 else ("", parts[-2])
        if schema:
            for source in self.sources:
                if (source.table.relation.schema, source.table.relation.name) == (schema, name):
                    return source
        return self.items.get(name)


def _column_of(item: Item, column: str) -> Ref:
    if isinstance(item, Source):
        return Ref(source=item, column=column if item.has(column) else "")
    found = item.columns.get(column)
    return found if found is not None else Ref(derived=item, column=column)


def own_nodes(tree: Any) -> Iterator[tuple[str, Tree]]:
    """Every node of an expression but those inside its subselects; the sub_link nodes themselves are given."""
    stack = [tree]
    while stack:
        here = stack.pop()
        if isinstance(here, dict):
            for key, value in here.items():
                if isinstance(value, dict):
                    yield key, value
                if key == "sub_link":
                    stack.append(value.get("testexpr"))
                else:
                    stack.append(value)
        elif isinstance(here, list):
            stack.extend(reversed(here))


def count_references(tree: Any, name: str) -> int:
    """How often a statement names a relation without schema."""
    return sum(
        kind == "range_var" and node.get("relname") == name and "schemaname" not in node for kind, node in nodes(tree)
    )
