"""The true ends of columns: the planner looks them up in an index, and on the twin there is nothing to look up.

Where a B-tree leads with a column, its least and greatest value replace the ends of the histogram, as they do in the
source's planner (get_actual_variable_range).  Two probes of an index a column; statistics of tables that grow would
otherwise be as old as their last ANALYZE.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from pgrunbook.journey.observe.observer import LOCK_TIMEOUT_MS, Observer
from pgrunbook.journey.planner.twin.reading import TwinStatistics
from pgrunbook.model import Question, Unread
from pgrunbook.pg.connect import Session

AT_ONCE: Final = 40
MOST_COLUMNS: Final = 1000
TIMEOUT_MS: Final = 2_000
_BEGIN: Final = (
    "begin transaction read only; set local search_path = pg_catalog; set local datestyle = 'ISO';"
    f" set local timezone = 'UTC'; set local lock_timeout = {LOCK_TIMEOUT_MS}; set local enable_seqscan = off;"
    f" set local statement_timeout = {TIMEOUT_MS}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinIndexedColumn:
    """A column that leads a whole, valid B-tree of a table that we may read."""

    schema: str
    name: str
    column_name: str


INDEXED_COLUMNS = Question(name="twin_indexed_columns", row=TwinIndexedColumn, folder=Path(__file__).parent)


def with_true_ends(
    source: Session, observer: Observer, statistics: Sequence[TwinStatistics]
) -> tuple[TwinStatistics, ...]:
    """Replace what can be looked up in time; the histogram stays as it is elsewhere."""
    reading: Any = observer.ask(INDEXED_COLUMNS)
    if isinstance(reading, Unread):
        return tuple(statistics)
    histograms = {
        (row.schema, row.name, row.column_name)
        for row in statistics
        if row.histogram_bounds is not None and not row.is_inherited
    }
    wanted = [row for row in reading.rows if (row.schema, row.name, row.column_name) in histograms][:MOST_COLUMNS]
    ends: dict[tuple[str, str, str], tuple[str, str]] = {}
    for start in range(0, len(wanted), AT_ONCE):
        ends |= _ends(source, wanted[start : start + AT_ONCE])
    return tuple(
        replace(row, low=found[0], high=found[1])
        if not row.is_inherited and (found := ends.get((row.schema, row.name, row.column_name))) is not None
        else row
        for row in statistics
    )


def _ends(source: Session, columns: Iterable[TwinIndexedColumn]) -> dict[tuple[str, str, str], tuple[str, str]]:
    """One statement for many columns; when it takes too long, or meets a lock, none of them."""
    rows = list(columns)
    probes = [
        sql.SQL("select {}, min({})::text, max({})::text from only {}").format(
            sql.Literal(number),
            sql.Identifier(row.column_name),
            sql.Identifier(row.column_name),
            sql.Identifier(row.schema, row.name),
        )
        for number, row in enumerate(rows)
    ]
    try:
        source.execute(_BEGIN)
        found = source.execute(sql.SQL(" union all ").join(probes)).fetchall()
    except psycopg.Error:
        if source.closed:
            raise
        return {}
    finally:
        if not source.closed:
            source.execute("rollback")
    return {
        (rows[number].schema, rows[number].name, rows[number].column_name): (low, high)
        for number, low, high in found
        if low is not None and high is not None
    }
