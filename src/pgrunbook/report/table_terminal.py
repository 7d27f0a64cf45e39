"""A plain table on a terminal: side by side where it fits, a record a row where it does not."""

from __future__ import annotations

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Drawn
from rich.text import Text

from pgrunbook.report.lines import Lines
from pgrunbook.report.table import Sheet, Table, cell, cells, is_text, notes, without_empty_columns

NARROWEST = 12  # columns of a long text
GAP = 3  # between two columns, as rich draws them


def render(sheet: Sheet, console: Console) -> None:
    """The table on a terminal: columns side by side, long texts cut; a record a row where they do not fit."""
    table = without_empty_columns(sheet.table)
    lines = Lines(console)
    if not table.rows:
        lines.paragraph(table.empty)
    elif _width(table) <= console.width:
        _draw(table, console)
        lines.blank()
    else:
        _records(table, lines)
    for note in notes(table):
        lines.paragraph(note, style="dim")


def _draw(table: Table, console: Console) -> None:
    drawn = Drawn(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False, header_style="bold")
    widths = _widths(table, console.width)
    for place, column in enumerate(table.columns):
        drawn.add_column(
            Text(column.heading),
            justify="left" if is_text(table, place) else "right",
            no_wrap=True,
            width=widths[place],
        )
    for row in table.rows:
        shown = [Text(cell(column, value)) for column, value in cells(table, row)]
        for text, width in zip(shown, widths, strict=True):
            text.truncate(width, overflow="ellipsis")
        drawn.add_row(*shown)
    with console.capture() as captured:
        console.print(drawn)
    for line in captured.get().splitlines():
        console.print(Text.from_ansi(line.rstrip()), soft_wrap=True)


def _widths(table: Table, room: int) -> list[int]:
    """Each column as wide as its widest cell; long texts share what room is left."""
    widest = [_widest(table, place) for place in range(len(table.columns))]
    long = [place for place, column in enumerate(table.columns) if column.is_long]
    left = room - GAP * (len(widest) - 1) - sum(width for place, width in enumerate(widest) if place not in long)
    for number, place in enumerate(sorted(long, key=lambda place: widest[place])):
        widest[place] = min(widest[place], max(NARROWEST, left // (len(long) - number)))
        left -= widest[place]
    return widest


def _width(table: Table) -> int:
    """Columns that the table needs at least."""
    needed = 0
    for place, column in enumerate(table.columns):
        widest = _widest(table, place)
        needed += min(widest, NARROWEST) if column.is_long else widest
    return needed + GAP * (len(table.columns) - 1)


def _widest(table: Table, place: int) -> int:
    column = table.columns[place]
    return max(cell_len(column.heading), *(cell_len(cell(column, row[place])) for row in table.rows))


def _records(table: Table, lines: Lines) -> None:
    """A paragraph a row: the first column as its head, then every figure with its name."""
    for row in table.rows:
        shown = list(cells(table, row))
        lines.heading(cell(*shown[0]))
        known = [(c, v) for c, v in shown[1:] if v is not None and not c.is_long]
        lines.paragraph("  ".join(f"{c.heading} {cell(c, v)}" for c, v in known), indent=2)
        for column, value in shown[1:]:
            if column.is_long and value is not None:
                lines.paragraph(cell(column, value), indent=2, style="cyan")
        lines.blank()
