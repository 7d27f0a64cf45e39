"""Plain tables: every format holds every value, and nothing from a database breaks out of one."""

from __future__ import annotations

import csv
import io
import json

import pytest
from rich.console import Console
from tests.fix import diagnoses

from pgrunbook.errors import UsageError
from pgrunbook.report import table_terminal
from pgrunbook.report.table import (
    Column,
    Sheet,
    Table,
    limited,
    render_csv,
    render_json,
    render_markdown,
    sorted_by,
)

TABLE = Table(
    name="things",
    columns=(
        Column(name="queryid"),
        Column(name="size_bytes", title="size"),
        Column(name="share_ratio", title="share"),
        Column(name="never"),
        Column(name="roles"),
        Column(name="query", is_long=True),
    ),
    rows=(
        ("-77", 2048, 0.25, None, ("app", "web"), "select 1"),
        ("5", None, 0.5, None, None, "select " + "x, " * 60 + "y"),
        ("12", 16384, 0.125, None, (), diagnoses.HOSTILE),
    ),
    notes=("Counted for 3 d.",),
)


def sheet(table: Table = TABLE) -> Sheet:
    return Sheet(table=table, server=diagnoses.server(), taken_at=diagnoses.TAKEN_AT)


def text(table: Table = TABLE, width: int = 100) -> str:
    drawn = io.StringIO()
    table_terminal.render(sheet(table), Console(file=drawn, width=width, no_color=True, markup=False, emoji=False))
    return drawn.getvalue()


def test_json_holds_the_bare_values_by_name() -> None:
    rows = json.loads(render_json(sheet()))["rows"]
    assert rows[0] == {
        "queryid": "-77",
        "size_bytes": 2048,
        "share_ratio": 0.25,
        "never": None,
        "roles": ["app", "web"],
        "query": "select 1",
    }


def test_csv_can_be_read_again_by_any_reader() -> None:
    header, first, second, third = list(csv.reader(io.StringIO(render_csv(sheet()))))
    assert header == [column.name for column in TABLE.columns]
    assert first == ["-77", "2048", "0.25", "", "app web", "select 1"]
    assert second[1] == ""
    assert "\x1b" not in third[-1]


def test_people_see_units_and_no_empty_column() -> None:
    shown = text()
    assert "2 kB" in shown
    assert "25 %" in shown
    assert "never" not in shown
    assert shown.splitlines()[-1] == "Counted for 3 d."


def test_lines_are_as_wide_as_the_terminal_and_end_without_spaces() -> None:
    for width in (60, 80, 140):
        lines = text(width=width).splitlines()
        assert max(len(line) for line in lines) <= width
        assert not [line for line in lines if line != line.rstrip()]


def test_a_long_text_is_cut_with_a_mark_where_it_does_not_fit() -> None:
    (line,) = [line for line in text().splitlines() if line.startswith("5 ")]
    assert line.endswith("…")


def test_what_is_too_wide_becomes_a_record_a_row() -> None:
    shown = text(width=40)
    assert shown.startswith("-77\n")
    assert "size 2 kB" in shown


def test_nothing_breaks_out_of_markdown_or_the_terminal() -> None:
    drawn = render_markdown(sheet())
    body = [line for line in drawn.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in body} == {6}
    assert "<script>" not in drawn.replace("\\<script\\>", "")
    for shown in (drawn, text()):
        assert "\x1b" not in shown
        assert "\x07" not in shown


def test_rows_are_sorted_by_any_column_with_the_unknown_last() -> None:
    assert [row[0] for row in sorted_by(TABLE, "size_bytes").rows] == ["12", "-77", "5"]
    assert [row[0] for row in sorted_by(TABLE, "share_ratio").rows] == ["5", "-77", "12"]
    with pytest.raises(UsageError, match="no column 'weight'"):
        sorted_by(TABLE, "weight")


def test_what_is_left_out_is_said() -> None:
    assert limited(TABLE, 0) is TABLE
    cut = limited(TABLE, 1)
    assert len(cut.rows) == 1
    assert "2 more rows" in text(cut)
    assert json.loads(render_json(sheet(cut)))["left_out"] == 2


def test_a_table_without_rows_says_what_that_means() -> None:
    none = Table(name="locks", columns=TABLE.columns, rows=(), empty="Nobody waits.")
    assert text(none).startswith("Nobody waits.")
    assert "Nobody waits." in render_markdown(sheet(none))
    assert json.loads(render_json(sheet(none)))["rows"] == []
