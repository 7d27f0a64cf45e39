"""What `pgrunbook queries`, `sessions`, `tables` and their kin do: readings → a table → one of the formats."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgrunbook import config
from pgrunbook.errors import Unsupported, UsageError
from pgrunbook.journey.diagnose.request import everything
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe import observe, snapshot_file
from pgrunbook.journey.observe.windowed import observe_window
from pgrunbook.model import NotRead, Question, Snapshot
from pgrunbook.pg.connect import resolve_dsn
from pgrunbook.pg.parse import Parser
from pgrunbook.report.table import RENDERERS, Sheet, limited, sorted_by
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.output import busy, text_console, write, write_file

READABLE_ROWS = 25
WIDEST = 220  # a table may be wider than text
_FORM_OF_SUFFIX: Mapping[str, str] = {".json": "json", ".csv": "csv", ".md": "markdown"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The command line."""

    table: str
    dsn: str | None
    dsn_flag: str | None
    form: str | None
    order: str | None
    limit: int | None
    window_s: float | None
    snapshot: Path | None
    output: Path | None


def run(wish: Wish, invocation: Invocation) -> None:
    """Print one table."""
    made = importlib.import_module(f"pgrunbook.journey.diagnose.tables.{wish.table}")
    form = wish.form or (_FORM_OF_SUFFIX.get(wish.output.suffix.lower(), "text") if wish.output else "text")
    snapshot = _look(wish, (*made.NEEDS, *made.LIKES), invocation)
    with Parser() as parser:
        try:
            table = made.table(Seen(snapshot=snapshot, parser=parser))
        except NotRead as exc:
            raise Unsupported(f"{wish.table} cannot be shown: {exc.unread.reason}", hint=exc.unread.cure) from exc
    if wish.order is not None:
        table = sorted_by(table, wish.order)
    rows = wish.limit if wish.limit is not None else (READABLE_ROWS if form in {"text", "markdown"} else 0)
    sheet = Sheet(table=limited(table, rows), server=snapshot.server, taken_at=snapshot.taken_at)
    text = _text(sheet, wish, invocation) if form == "text" else RENDERERS[form](sheet)
    if wish.output is None:
        write(text)
    else:
        write_file(wish.output, text)


def _look(wish: Wish, questions: tuple[Question[Any], ...], invocation: Invocation) -> Snapshot:
    if wish.snapshot is not None:
        if wish.dsn or wish.dsn_flag or wish.window_s:
            raise UsageError("--snapshot is shown without a database: give no DSN and no --window with it")
        return snapshot_file.load(wish.snapshot, everything())
    settings = config.load(flags={"window_s": wish.window_s}, file=invocation.config_file)
    dsn = resolve_dsn(wish.dsn, wish.dsn_flag)
    with busy(invocation, "looking …"):
        if settings.window_s > 0:
            return observe_window(dsn, questions, window_s=settings.window_s)
        return observe(dsn, questions)


def _text(sheet: Sheet, wish: Wish, invocation: Invocation) -> str:
    from pgrunbook.report import table_terminal  # noqa: PLC0415 - rich is needed for this format only

    console, drawn = text_console(invocation, to_file=wish.output is not None, widest=WIDEST)
    table_terminal.render(sheet, console)
    return drawn.getvalue()
