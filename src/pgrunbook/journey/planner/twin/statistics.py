"""Gives the twin the statistics of the source: row counts and what ANALYZE knows of each column.

All rows go in one statement (some thousands a second); when the server refuses, halves are tried, down to the one row
that it does not take, which is then named.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg

from pgrunbook.journey.planner.twin.reading import Facts, TwinRelation, TwinStatistics
from pgrunbook.model import Blind, dotted
from pgrunbook.pg import sqlfile
from pgrunbook.pg.connect import Session, first_line

_HERE = Path(__file__).parent
TWIN_MAJOR = 18


def restore_statistics(admin: Session, facts: Facts) -> list[Blind]:
    """Restore all in one transaction; says what the twin did not take."""
    blind: list[Blind] = []

    def relations(rows: Sequence[TwinRelation]) -> list[Blind]:
        return _restored(admin, "restore_relations", rows)

    def columns(rows: Sequence[TwinStatistics]) -> list[Blind]:
        return _restored(admin, "restore_columns", rows)

    with admin.transaction():
        # as they were printed on the source
        admin.execute("set local datestyle = 'ISO'; set local timezone = 'UTC'; set local client_min_messages = error")
        blind += _by_halves(admin, facts.relations, relations)
        blind += _by_halves(admin, facts.statistics, columns)
    return blind


def _by_halves(admin: Session, rows: Sequence[Any], restore: Callable[[Sequence[Any]], list[Blind]]) -> list[Blind]:
    if not rows:
        return []
    try:
        with admin.transaction():
            return restore(rows)
    except psycopg.Error as exc:
        if admin.closed:
            raise
        if len(rows) == 1:
            return [Blind(object=_object(rows[0]), reason=f"its statistics were not taken: {first_line(exc)}")]
    middle = len(rows) // 2
    return _by_halves(admin, rows[:middle], restore) + _by_halves(admin, rows[middle:], restore)


def _restored(admin: Session, name: str, rows: Sequence[Any]) -> list[Blind]:
    text: Any = sqlfile.load(_HERE, name).text_for(TWIN_MAJOR)
    fields = [field.name for field in dataclasses.fields(rows[0])]
    arrays = {field: [_text(getattr(row, field)) for row in rows] for field in fields}
    told = admin.execute(text, arrays).fetchall()
    return [
        Blind(object=dotted(*(part for part in found[1:] if part)), reason="the twin took its statistics in part only")
        for found in told
        if not found[0]
    ]


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _object(row: TwinRelation | TwinStatistics) -> str:
    column = (row.column_name,) if isinstance(row, TwinStatistics) else ()
    return dotted(row.schema, row.name, *column)
