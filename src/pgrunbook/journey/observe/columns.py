"""Columns of tables, partitioned tables, materialised views and foreign tables, from the catalog alone (no locks)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question, dotted


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    `type_name` is pg_type.typname (`int4`, `varchar`), `declared_type` what a person would write (`character
    varying(20)`); for a domain the base type stands beside it.  `generated` is '' or 's' (stored) or 'v' (virtual),
    `identity` '' or 'a' (always) or 'd' (by default); an identity column has no default.  `has_default` is also true
    for generated columns.  `collates_by_bytes`: the C collation, in which a plain B-tree serves LIKE 'abc%'.
    `statistics_readable` is false where pg_stats hides the column from us: no SELECT, or row security applies to us.
    """

    table_oid: int
    attnum: int
    schema: str
    table_name: str
    name: str
    type_oid: int
    type_name: str
    declared_type: str
    type_category: str
    type_kind: str
    base_type_oid: int
    base_type_name: str
    element_type_oid: int | None
    type_modifier: int
    type_length_bytes: int
    not_null: bool
    has_default: bool
    generated: str
    identity: str
    collation_oid: int
    collates_by_bytes: bool
    statistics_readable: bool

    @property
    def qualified(self) -> str:
        """`schema.table.name`, quoted as PostgreSQL would."""
        return dotted(self.schema, self.table_name, self.name)

    @property
    def table(self) -> str:
        """`schema.table`, quoted as PostgreSQL would."""
        return dotted(self.schema, self.table_name)


COLUMNS = Question(name="columns", row=Column, folder=Path(__file__).parent)
