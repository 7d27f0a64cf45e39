"""Indexes: what they are (from the catalog, no locks), how they are used, and their definitions (second pass)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pgrunbook.model import Question, dotted


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """One index.  Its per-column tuples are parallel; where an expression stands, `columns` has '' and `attnums` 0.

    `ordering` is pg_index.indoption: bit 1 descending, bit 2 nulls first.  INCLUDE columns follow the `key_count` keys.
    `expression_tree` and `predicate_tree` are node texts without locations and other traces of how they were typed:
    equal trees are equal expressions.  Of TOAST tables (`table_kind` t) only the invalid ones are here, which
    REINDEX CONCURRENTLY may leave.  `nulls_not_distinct` is known from 15 on.
    """

    oid: int
    table_oid: int
    schema: str
    name: str
    table_name: str
    table_kind: str
    access_method: str
    is_unique: bool
    is_primary: bool
    is_exclusion: bool
    is_valid: bool
    is_ready: bool
    is_live: bool
    is_replica_identity: bool
    is_clustered: bool
    is_immediate: bool
    nulls_not_distinct: bool
    key_count: int
    attnums: tuple[int, ...]
    columns: tuple[str, ...]
    opclass_oids: tuple[int, ...]
    opclasses: tuple[str, ...]
    opclass_is_default: tuple[bool, ...]
    opclass_options: tuple[str, ...]
    collation_oids: tuple[int, ...]
    ordering: tuple[int, ...]
    expression_tree: str | None
    predicate_tree: str | None
    options: tuple[str, ...]
    is_partition: bool
    parent_oid: int | None
    constraint_name: str | None
    pages: int
    estimated_rows: float
    size_bytes: int
    of_extension: bool

    @property
    def qualified(self) -> str:
        """`schema.name`, quoted as PostgreSQL would."""
        return dotted(self.schema, self.name)

    @property
    def table(self) -> str:
        """`schema.table`, quoted as PostgreSQL would (an index lives in its table's schema)."""
        return dotted(self.schema, self.table_name)

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The key columns in order; '' where an expression stands."""
        return self.columns[: self.key_count]

    @property
    def included_columns(self) -> tuple[str, ...]:
        """The INCLUDE columns."""
        return self.columns[self.key_count :]

    @property
    def backs_constraint(self) -> bool:
        """Whether a primary key, unique or exclusion constraint stands on it."""
        return self.is_primary or self.is_exclusion or self.constraint_name is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexUsage:
    """Scans of one index since its counters began.  `last_scan_at` is known from PostgreSQL 16 on.

    `blocks_touched` counts the buffers of the index that were asked for: writes to its table touch it, and so does the
    first plan of each session that looks at the table, though nothing scans it.  `age_xids` is how many transaction ids
    were spent since the index was made, rebuilt or last altered.
    """

    oid: int
    scans: int
    rows_read: int
    rows_fetched: int
    blocks_touched: int
    age_xids: int
    last_scan_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexDefinition:
    """The statement that makes the index, as PostgreSQL prints it."""

    oid: int
    table_oid: int
    definition: str
    predicate: str | None
    expressions: str | None


_HERE = Path(__file__).parent
INDEXES = Question(name="indexes", row=Index, folder=_HERE)
INDEX_USAGE = Question(name="index_usage", row=IndexUsage, folder=_HERE, counters=True)
INDEX_DEFINITIONS = Question(name="index_definitions", row=IndexDefinition, folder=_HERE, reads_definitions=True)
