"""Sequences: their limits, the columns they feed (from the catalog, no locks), and how far they are (second pass)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question, dotted


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """One sequence and one column that it feeds; a sequence that feeds several columns has a row for each.

    It feeds a column that it is the identity of, is owned by, or that has it in its default.  Without any, `table_oid`
    is None and the names are ''.  `column_type` is the base type where the column is of a domain.
    """

    oid: int
    schema: str
    name: str
    type_name: str
    min_value: int
    max_value: int
    increment: int
    cycles: bool
    table_oid: int | None
    table_schema: str
    table_name: str
    attnum: int
    column_name: str
    column_type: str
    identity: str
    is_partition: bool

    @property
    def qualified(self) -> str:
        """`schema.name`, quoted as PostgreSQL would."""
        return dotted(self.schema, self.name)

    @property
    def table(self) -> str:
        """`schema.table` of the column, quoted as PostgreSQL would."""
        return dotted(self.table_schema, self.table_name)

    @property
    def column(self) -> str:
        """`schema.table.column`, quoted as PostgreSQL would."""
        return dotted(self.table_schema, self.table_name, self.column_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceValue:
    """How far a sequence is: `last_value` is None before its first use, and where we may not look.

    Asking takes a lock on each sequence, so at most 2,000 are asked, those of small types first.
    """

    oid: int
    is_readable: bool
    last_value: int | None


_HERE = Path(__file__).parent
SEQUENCES = Question(name="sequences", row=Sequence, folder=_HERE)
SEQUENCE_VALUES = Question(
    name="sequence_values", row=SequenceValue, folder=_HERE, reads_definitions=True, counters=True
)
