"""What is known of each table that an index could stand on: size, statistics, indexes; by partition root."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pgrunbook.journey.observe.column_statistics import COLUMN_STATISTICS, ColumnStatistics
from pgrunbook.journey.observe.columns import COLUMNS
from pgrunbook.journey.observe.functions import FUNCTIONS
from pgrunbook.journey.observe.indexes import INDEX_DEFINITIONS, INDEXES
from pgrunbook.journey.observe.relations import RELATIONS, Relation
from pgrunbook.journey.observe.settings import SETTINGS, by_name
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY, TableActivity
from pgrunbook.journey.workload.catalog import Table, catalog_of
from pgrunbook.journey.workload.existing import IndexFacts, IndexReader
from pgrunbook.model import NotRead, Question, Snapshot
from pgrunbook.pg.parse import Parser

Row = TypeVar("Row")

NEEDS: tuple[Question[Any], ...] = (RELATIONS, COLUMNS, COLUMN_STATISTICS, INDEXES)
LIKES: tuple[Question[Any], ...] = (INDEX_DEFINITIONS, FUNCTIONS, TABLE_ACTIVITY, SETTINGS)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """A table, or a whole partition tree (`table` is its root).

    `scan_pages` is what one scan reads at least: the largest partition's pages, for the others may be pruned.
    """

    table: Table
    members: tuple[Relation, ...]
    rows: float
    pages: int
    scan_pages: int
    statistics: Mapping[str, ColumnStatistics]
    indexes: tuple[IndexFacts, ...]

    @property
    def qualified(self) -> str:
        """`schema.name` of the root."""
        return self.table.relation.qualified

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The columns of the primary key."""
        return next((f.index.key_columns for f in self.indexes if f.index.is_primary), ())

    def hidden(self, columns: Iterable[str]) -> tuple[str, ...]:
        """Those of the columns whose statistics we may not see."""
        return tuple(c for c in columns if c in self.table.columns and not self.table.columns[c].statistics_readable)

    def unanalyzed(self, columns: Iterable[str]) -> tuple[str, ...]:
        """Those of the columns that have no statistics although we could see them."""
        hidden = set(self.hidden(columns))
        return tuple(c for c in columns if c not in self.statistics and c not in hidden)


class Facts:
    """Every table's facts, gathered when they are asked for.  `locked`: definitions there could not be read."""

    def __init__(self, snapshot: Snapshot, parser: Parser) -> None:
        self.catalog = catalog_of(snapshot.rows(RELATIONS), snapshot.rows(COLUMNS), _optional(snapshot, FUNCTIONS))
        self._activity = {row.oid: row for row in _optional(snapshot, TABLE_ACTIVITY)}
        self._statistics = _grouped(snapshot.rows(COLUMN_STATISTICS))
        self._indexes = _grouped(snapshot.rows(INDEXES))
        self._members: dict[int, list[Table]] = defaultdict(list)
        for table in self.catalog.tables.values():
            self._members[self.catalog.root(table.oid)].append(table)
        definitions, self.locked = _definitions(snapshot)
        self._reader = IndexReader(self.catalog, definitions, parser)
        self._known: dict[int, TableFacts] = {}
        trigrams = snapshot.server.extensions.get("pg_trgm")
        self.trigram_schema = trigrams.schema if trigrams is not None else None
        settings = by_name(_optional(snapshot, SETTINGS))
        configuration = settings.get("default_text_search_config")
        self.search_configuration = configuration.value.removeprefix("pg_catalog.") if configuration else None

    def of(self, table_oid: int) -> TableFacts:
        """The facts of the tree that a table belongs to."""
        root = self.catalog.root(table_oid)
        if root not in self._known:
            self._known[root] = self._gather(self.catalog.tables[root], self._members[root])
        return self._known[root]

    def _gather(self, root: Table, members: list[Table]) -> TableFacts:
        leaves = [table.relation for table in members if table.relation.kind != "p"]
        largest = max(leaves, key=lambda leaf: leaf.pages, default=root.relation)
        statistics: dict[str, ColumnStatistics] = {}
        for row in (*self._statistics.get(largest.oid, ()), *self._statistics.get(root.oid, ())):
            if row.table_oid != root.oid or row.is_inherited == (root.relation.kind == "p"):
                statistics[row.name] = row
        return TableFacts(
            table=root,
            members=tuple(table.relation for table in members),
            rows=sum(row_count(leaf, self._activity.get(leaf.oid)) for leaf in leaves),
            pages=sum(leaf.pages for leaf in leaves),
            scan_pages=largest.pages,
            statistics=statistics,
            indexes=tuple(self._existing(root, largest.oid)),
        )

    def _existing(self, root: Table, largest_oid: int) -> Iterable[IndexFacts]:
        """The root's indexes; of a partition tree also those that its largest partition has beside them."""
        for index in self._indexes.get(root.oid, ()):
            yield self._reader.read(index, root)
        if largest_oid != root.oid:
            for index in self._indexes.get(largest_oid, ()):
                if index.parent_oid is None:
                    yield self._reader.read(index, root)


def row_count(relation: Relation, activity: TableActivity | None) -> float:
    """The rows of one table as ANALYZE knew them, or as the counters do where it never ran or much changed since."""
    known = max(relation.estimated_rows, 0.0)
    if activity is None or (known > 0 and activity.modified_rows <= known):
        return known
    return max(known, float(activity.live_rows))


def _optional(snapshot: Snapshot, question: Question[Row]) -> tuple[Row, ...]:
    try:
        return snapshot.rows(question)
    except NotRead:
        return ()


def _definitions(snapshot: Snapshot) -> tuple[dict[int, tuple[str | None, str | None]], frozenset[int]]:
    """Predicate and expressions of each index; and the tables that were locked."""
    try:
        reading = snapshot.reading(INDEX_DEFINITIONS)
    except NotRead:
        return {}, frozenset()
    return {row.oid: (row.predicate, row.expressions) for row in reading.rows}, reading.skipped


def _grouped(rows: Iterable[Any]) -> dict[int, list[Any]]:
    groups: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        groups[row.table_oid].append(row)
    return groups
