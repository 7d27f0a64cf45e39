"""Extended statistics objects, from the catalog alone: which columns' dependence the planner has been told to learn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question, dotted


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedStatistics:
    """One object of CREATE STATISTICS.  `kinds`: d distinct counts, f dependencies, m common values, e expressions."""

    oid: int
    schema: str
    name: str
    table_oid: int
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    has_expressions: bool

    @property
    def qualified(self) -> str:
        """`schema.name`, quoted as PostgreSQL would."""
        return dotted(self.schema, self.name)


EXTENDED_STATISTICS = Question(name="extended_statistics", row=ExtendedStatistics, folder=Path(__file__).parent)
