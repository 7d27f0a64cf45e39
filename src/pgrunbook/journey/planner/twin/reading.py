"""What the twin reads of a database: sizes, row counts, statistics with their values, planner settings.

All of it are questions as observation has them: read-only, in bounded time, around locks, with whatever rights the
role has.  Statistics are kept as the text that the server prints, for the twin reads them in again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pgrunbook.journey.observe.observer import Observer
from pgrunbook.model import Blind, Question, Unread, dotted

Row = TypeVar("Row")
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinRelation:
    """A table, partitioned table, materialised view or index.

    `estimated_rows` is -1 if never counted.
    """

    oid: int
    schema: str
    name: str
    kind: str
    pages: int
    estimated_rows: float
    all_visible_pages: int
    access_method: str
    statistics_readable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinSize:
    """The length of a relation's file now."""

    oid: int
    pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinStatistics:
    """What ANALYZE knows of one column (of a table, or of an index where that is an expression), as text.

    `low` and `high` are the column's true ends where an index told them.
    """

    schema: str
    name: str
    column_name: str
    is_inherited: bool
    null_ratio: str
    average_width_bytes: str
    n_distinct: str
    most_common_values: str | None
    most_common_ratios: str | None
    histogram_bounds: str | None
    correlation: str | None
    most_common_elements: str | None
    most_common_element_ratios: str | None
    element_count_histogram: str | None
    range_length_histogram: str | None
    range_empty_ratio: str | None
    range_bounds_histogram: str | None
    low: str | None = None
    high: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinRangeColumn:
    """A column of a range type whose histograms pg_stats does not show; none from 17 on."""

    schema: str
    name: str
    column_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinRanges:
    """The histograms of a range column, which pg_stats shows only from 17 on."""

    schema: str
    name: str
    column_name: str
    is_inherited: bool
    range_length_histogram: str | None
    range_empty_ratio: str | None
    range_bounds_histogram: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinExtended:
    """One object of CREATE STATISTICS.  `most_common_values` holds one row of columns' values an item."""

    schema: str
    name: str
    table_schema: str
    table_name: str
    attnums: tuple[int, ...]
    is_inherited: bool
    is_readable: bool
    n_distinct: str | None
    dependencies: str | None
    most_common_values: tuple[tuple[str | None, ...], ...] | None
    most_common_ratios: tuple[float, ...] | None
    most_common_base_ratios: tuple[float, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinExtendedExpression:
    """What ANALYZE knows of one expression of a statistics object, as text."""

    schema: str
    name: str
    table_schema: str
    table_name: str
    is_inherited: bool
    expression: str
    null_ratio: str | None
    average_width_bytes: str | None
    n_distinct: str | None
    most_common_values: str | None
    most_common_ratios: str | None
    histogram_bounds: str | None
    correlation: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinSetting:
    """A setting that planning depends on, as a session starts with it."""

    name: str
    value: str


TWIN_RELATIONS = Question(name="twin_relations", row=TwinRelation, folder=_HERE)
TWIN_SIZES = Question(name="twin_sizes", row=TwinSize, folder=_HERE, reads_definitions=True)
TWIN_STATISTICS = Question(name="twin_statistics", row=TwinStatistics, folder=_HERE)
TWIN_RANGES = Question(name="twin_ranges", row=TwinRanges, folder=_HERE)
TWIN_RANGE_COLUMNS = Question(name="twin_range_columns", row=TwinRangeColumn, folder=_HERE)
TWIN_EXTENDED = Question(name="twin_extended", row=TwinExtended, folder=_HERE)
TWIN_EXTENDED_EXPRESSIONS = Question(name="twin_extended_expressions", row=TwinExtendedExpression, folder=_HERE)
TWIN_SETTINGS = Question(name="twin_settings", row=TwinSetting, folder=_HERE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that was read; `blind` names what was not, and why."""

    relations: tuple[TwinRelation, ...]
    pages: dict[int, int]
    statistics: tuple[TwinStatistics, ...]
    extended: tuple[TwinExtended, ...]
    expressions: tuple[TwinExtendedExpression, ...]
    settings: dict[str, str]
    blind: tuple[Blind, ...]


def read_facts(observer: Observer) -> Facts:
    """Ask everything, one question after the other."""
    blind: list[Blind] = []
    relations = _rows(observer, TWIN_RELATIONS, blind)
    sizes = {row.oid: row.pages for row in _rows(observer, TWIN_SIZES, blind)}
    for row in relations:
        if row.kind in {"r", "m", "i"} and row.oid not in sizes:
            sizes[row.oid] = row.pages
            reason = "it is locked: its size is that of its last VACUUM or ANALYZE"
            blind.append(Blind(object=dotted(row.schema, row.name), reason=reason))
    statistics = _rows(observer, TWIN_STATISTICS, blind)
    extended = _rows(observer, TWIN_EXTENDED, blind)
    expressions = _rows(observer, TWIN_EXTENDED_EXPRESSIONS, blind) if extended else ()
    settings = {row.name: row.value for row in _rows(observer, TWIN_SETTINGS, blind)}
    user = dotted(observer.server.user)
    blind += [
        Blind(
            object=dotted(row.schema, row.name),
            reason=f"{user} may not read its statistics",
            cure=f"GRANT SELECT ON {dotted(row.schema, row.name)} TO {user};   -- and BYPASSRLS under row security",
        )
        for row in relations
        if not row.statistics_readable
    ]
    blind += [
        Blind(
            object=dotted(row.schema, row.name),
            reason=f"statistics object: only the owner of {dotted(row.table_schema, row.table_name)} sees its content",
            cure=f"Connect as the owner of {dotted(row.table_schema, row.table_name)}, or ANALYZE if nobody has.",
        )
        for row in extended
        if not row.is_readable
    ]
    return Facts(
        relations=relations,
        pages=sizes,
        statistics=_with_ranges(observer, statistics, blind),
        extended=extended,
        expressions=expressions,
        settings=settings,
        blind=tuple(blind),
    )


def _with_ranges(
    observer: Observer, statistics: tuple[TwinStatistics, ...], blind: list[Blind]
) -> tuple[TwinStatistics, ...]:
    """Before 17 only pg_statistic has the histograms of ranges, and only superusers may read that."""
    if not _rows(observer, TWIN_RANGE_COLUMNS, blind):
        return statistics
    missing: list[Blind] = []
    rows = _rows(observer, TWIN_RANGES, missing)
    blind += [replace(item, reason=f"histograms of range columns: {item.reason}") for item in missing]
    found = {(row.schema, row.name, row.column_name, row.is_inherited): row for row in rows}
    return tuple(
        replace(
            row,
            range_length_histogram=more.range_length_histogram,
            range_empty_ratio=more.range_empty_ratio,
            range_bounds_histogram=more.range_bounds_histogram,
        )
        if (more := found.get((row.schema, row.name, row.column_name, row.is_inherited))) is not None
        else row
        for row in statistics
    )


def _rows(observer: Observer, question: Question[Row], blind: list[Blind]) -> tuple[Row, ...]:
    reading: Any = observer.ask(question)
    if isinstance(reading, Unread):
        blind.append(Blind(reason=f"{question.name} could not be read: {reading.reason}", cure=reading.cure))
        return ()
    rows: tuple[Row, ...] = reading.rows
    return rows
