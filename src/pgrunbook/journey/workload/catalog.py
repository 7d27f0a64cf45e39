"""Names → tables and columns: schema as written, else along the search path, else the only one of that name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pgrunbook.journey.observe.columns import Column
from pgrunbook.journey.observe.functions import Function
from pgrunbook.journey.observe.relations import Relation

_TABLES = frozenset("rpmf")
_IGNORED = frozenset({"pg_catalog", "information_schema"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table with its columns by name."""

    relation: Relation
    columns: Mapping[str, Column]

    @property
    def oid(self) -> int:
        """The table's OID."""
        return self.relation.oid


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """What names mean in one database, along one search path."""

    tables: Mapping[int, Table]
    by_name: Mapping[str, tuple[Table, ...]]
    others: frozenset[str]
    immutable_functions: frozenset[str] = field(default=frozenset())
    volatile_functions: frozenset[str] = field(default=frozenset())
    path: tuple[str, ...] = ("public",)

    def find(self, schema: str, name: str) -> Table | None:
        """The table that is meant; None where there is none, a view has the name, or several off the path have it."""
        named = self.by_name.get(name, ())
        if schema:
            return next((t for t in named if t.relation.schema == schema), None)
        for place in self.path:
            found = next((t for t in named if t.relation.schema == place), None)
            if found is not None:
                return found
        return named[0] if len(named) == 1 and name not in self.others else None

    def along(self, path: tuple[str, ...]) -> Catalog:
        """The same names along another search path."""
        return replace(self, path=path) if path else self

    def root(self, oid: int) -> int:
        """The root of the partition tree that the table belongs to; the table itself elsewhere."""
        while oid in self.tables and self.tables[oid].relation.is_partition:
            parent = self.tables[oid].relation.parent_oid
            if parent is None or parent not in self.tables:
                break
            oid = parent
        return oid


def catalog_of(
    relations: Iterable[Relation], columns: Iterable[Column], functions: Iterable[Function] | None = None
) -> Catalog:
    """Arrange the readings by name."""
    of_table: dict[int, dict[str, Column]] = {}
    for column in columns:
        of_table.setdefault(column.table_oid, {})[column.name] = column
    tables: dict[int, Table] = {}
    by_name: dict[str, list[Table]] = {}
    others: set[str] = set()
    for relation in relations:
        if relation.schema in _IGNORED:
            continue
        if relation.kind in _TABLES:
            table = Table(relation=relation, columns=of_table.get(relation.oid, {}))
            tables[relation.oid] = table
            by_name.setdefault(relation.name, []).append(table)
        else:
            others.add(relation.name)
    known = tuple(functions or ())
    return Catalog(
        tables=tables,
        by_name={name: tuple(found) for name, found in by_name.items()},
        others=frozenset(others),
        immutable_functions=_all_of(known, "i"),
        volatile_functions=_all_of(known, "v"),
    )


def _all_of(functions: Iterable[Function], volatility: str) -> frozenset[str]:
    """Names of which every overload has this volatility."""
    kinds: dict[str, set[str]] = {}
    for function in functions:
        kinds.setdefault(function.name, set()).add(function.volatility)
    return frozenset(name for name, found in kinds.items() if found == {volatility})
