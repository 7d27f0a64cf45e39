"""What ANALYZE has learnt about each column, without any value of the data.

pg_stats returns no row for a column that we may not read (`Column.statistics_readable` says which), pg_monitor
included; a row that is missing for a readable column means that nobody has analysed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnStatistics:
    """Statistics of one column; `table_oid` is an index's where the column is one of its expressions.

    `is_inherited` rows describe a table together with its children; a partitioned table has only those.
    `n_distinct` as pg_stats has it: negative means a share of the rows.  `correlation` is None where there is no order.
    `most_common_freqs` are the shares of the ten commonest values at most, commonest first, of `most_common_count`
    that are known; the element lists say the same of the elements of arrays (and of lexemes of tsvector).
    """

    table_oid: int
    name: str
    is_inherited: bool
    null_ratio: float
    average_width_bytes: int
    n_distinct: float
    correlation: float | None
    most_common_freqs: tuple[float, ...]
    most_common_count: int
    most_common_element_freqs: tuple[float, ...]
    most_common_element_count: int

    def distinct_values(self, rows: float) -> float:
        """How many distinct values a table of so many rows has, NULLs aside; at least 1."""
        return max(1.0, -self.n_distinct * rows if self.n_distinct < 0 else self.n_distinct)


COLUMN_STATISTICS = Question(name="column_statistics", row=ColumnStatistics, folder=Path(__file__).parent)
