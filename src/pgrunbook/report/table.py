"""A plain table: values in rows, the columns' names ending in their units; as JSON, CSV or Markdown.

The machine formats hold the bare values; Markdown (and table_terminal) show them with their units.
"""

from __future__ import annotations

import csv as csv_format
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pgrunbook import __version__
from pgrunbook.errors import UsageError
from pgrunbook.model import Server, Value
from pgrunbook.report import json
from pgrunbook.report.markdown import plain
from pgrunbook.report.words import clean, counted, figure, label, one_line, short

SCHEMA_VERSION = 1
TEXT_MAX_CHARS = 300  # of one cell where people read


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.  `is_long`: a text that takes what room is left and is cut there; `title` stands above it."""

    name: str
    title: str = ""
    is_long: bool = False
    is_text: bool = False

    @property
    def heading(self) -> str:
        """What stands above it where people read."""
        return self.title or label(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of values; `notes` say since when figures count and what could not be seen, `empty` what no row means."""

    name: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    notes: tuple[str, ...] = ()
    empty: str = "Nothing."
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A table of one database at one time."""

    table: Table
    server: Server
    taken_at: datetime


def sorted_by(table: Table, name: str) -> Table:
    """The rows in the order of a column: numbers largest first, texts from A to Z, what is unknown last."""
    names = [column.name for column in table.columns]
    if name not in names:
        raise UsageError(f"table {table.name} has no column {name!r}", hint=f"It has: {', '.join(names)}.")
    place = names.index(name)
    known = [row for row in table.rows if row[place] is not None]
    if all(isinstance(row[place], int | float) for row in known):
        known.sort(key=lambda row: -float(row[place]))  # type: ignore[arg-type]  # numbers, as asked just now
    else:
        known.sort(key=lambda row: figure("", row[place]))
    return replace(table, rows=(*known, *(row for row in table.rows if row[place] is None)))


def limited(table: Table, rows: int) -> Table:
    """The first rows only; 0 means all."""
    if rows <= 0 or len(table.rows) <= rows:
        return table
    return replace(table, rows=table.rows[:rows], left_out=len(table.rows) - rows)


def without_empty_columns(table: Table) -> Table:
    """Only the columns that say something, for people."""
    kept = [place for place in range(len(table.columns)) if any(row[place] is not None for row in table.rows)]
    return replace(
        table,
        columns=tuple(table.columns[place] for place in kept),
        rows=tuple(tuple(row[place] for place in kept) for row in table.rows),
    )


def as_dict(sheet: Sheet) -> dict[str, Any]:
    """The table as one JSON object: the rows as objects by column name."""
    names = [column.name for column in sheet.table.columns]
    server = sheet.server
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": "pgrunbook",
        "version": __version__,
        "taken_at": json.utc(sheet.taken_at),
        "server": {
            "database": server.database,
            "version": server.version,
            "major": server.major,
            "role": server.role.value,
            "service": server.service.value,
        },
        "table": sheet.table.name,
        "columns": names,
        "rows": [dict(zip(names, map(json.plain_value, row), strict=True)) for row in sheet.table.rows],
        "left_out": sheet.table.left_out,
        "notes": list(sheet.table.notes),
    }


def render_json(sheet: Sheet) -> str:
    """JSON text."""
    return json.dumps(as_dict(sheet))


def render_csv(sheet: Sheet) -> str:
    """A header and the bare values; several values in one cell are parted by spaces, what is unknown is empty."""
    drawn = io.StringIO()
    writer = csv_format.writer(drawn, lineterminator="\n")
    writer.writerow([column.name for column in sheet.table.columns])
    writer.writerows([[_bare(value) for value in row] for row in sheet.table.rows])
    return drawn.getvalue()


def _bare(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return " ".join(_bare(item) for item in value)
    return clean(value) if isinstance(value, str) else str(value)


def render_markdown(sheet: Sheet) -> str:
    """A table that nothing in a database can break out of."""
    table = without_empty_columns(sheet.table)
    parts = [f"# {plain(sheet.server.database)}: {table.name}"]
    if table.rows:
        lines = [
            "| " + " | ".join(plain(column.heading) for column in table.columns) + " |",
            "|" + "|".join("---" if is_text(table, place) else "--:" for place in range(len(table.columns))) + "|",
        ]
        lines += ["| " + " | ".join(plain(cell(c, v)) for c, v in cells(table, row)) + " |" for row in table.rows]
        parts.append("\n".join(lines))
    else:
        parts.append(table.empty)
    parts += [plain(note) for note in notes(table)]
    parts.append(f"---\npgrunbook {__version__}, {json.utc(sheet.taken_at)}")
    return "\n\n".join(parts) + "\n"


def cells(table: Table, row: Sequence[Value]) -> Iterator[tuple[Column, Value]]:
    """A row's values with their columns."""
    return zip(table.columns, row, strict=True)


def cell(column: Column, value: Value) -> str:
    """A value as people read it, on one line."""
    if value is None:
        return ""
    if column.name.endswith("id") and isinstance(value, int):
        return str(value)
    return one_line(short(figure(column.name, value), TEXT_MAX_CHARS))


def is_text(table: Table, place: int) -> bool:
    """Whether a column stands left, as words do."""
    column = table.columns[place]
    values = [row[place] for row in table.rows]
    return column.is_long or column.is_text or any(isinstance(value, str | tuple | bool) for value in values)


def notes(table: Table) -> list[str]:
    """What stands below the table."""
    more = [f"{counted(table.left_out, 'more row')}: --limit 0 shows all."] if table.left_out else []
    return [*more, *table.notes]


RENDERERS: dict[str, Callable[[Sheet], str]] = {
    "json": render_json,
    "csv": render_csv,
    "markdown": render_markdown,
}
