"""What `pgrunbook health` does: watch, judge, print the scorecard."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from pgrunbook import config
from pgrunbook.errors import RunbookError
from pgrunbook.journey.diagnose.health import ask
from pgrunbook.journey.diagnose.request import request_from
from pgrunbook.journey.observe.exporter import PASSWORD_VARIABLE, Endpoint
from pgrunbook.model import Snapshot
from pgrunbook.model.health import Health
from pgrunbook.model.plan import TargetPrint
from pgrunbook.pg.connect import resolve_dsn
from pgrunbook.record import fold, folder_for, read
from pgrunbook.report import health as reports
from pgrunbook.report.words import duration
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.output import busy, note, text_console, write, write_file

_FORM_OF_SUFFIX = {".json": "json", ".md": "markdown"}


def run(
    invocation: Invocation,
    *,
    dsn: str | None,
    dsn_flag: str | None,
    form: str | None,
    window_s: float,
    output: Path | None,
) -> None:
    """Print the scorecard."""
    settings = config.load(file=invocation.config_file)
    request = dataclasses.replace(request_from(settings), only=(), skip=(), schemas=(), window_s=window_s)

    def journalled(snapshot: Snapshot) -> int | None:
        return _journalled(invocation, snapshot)

    url = settings.metrics_url
    exporter = Endpoint(url=url, password=os.environ.get(PASSWORD_VARIABLE, "")) if url else None
    with busy(invocation, f"watching for {duration(window_s)} …" if window_s else "looking …"):
        found = ask(request, resolve_dsn(dsn, dsn_flag), journalled=journalled, exporter=exporter)
    chosen = form or (_FORM_OF_SUFFIX.get(output.suffix.lower(), "text") if output is not None else "text")
    text = _rendered(found, chosen, invocation, to_file=output is not None)
    if output is None:
        write(text)
    else:
        write_file(output, text)


def _journalled(invocation: Invocation, snapshot: Snapshot) -> int | None:
    """How many steps the journal of this database holds; a journal that is damaged is said, not counted."""
    try:
        return len(fold(read(folder_for(TargetPrint.of(snapshot.server)))).steps)
    except RunbookError as exc:
        note(invocation, f"the journal cannot be read: {exc.message}")
        return None


def _rendered(found: Health, form: str, invocation: Invocation, *, to_file: bool) -> str:
    if form == "json":
        return reports.render_json(found)
    if form == "markdown":
        return reports.render_markdown(found)
    from pgrunbook.report import health_terminal  # noqa: PLC0415 - rich is needed for this format only

    console, drawn = text_console(invocation, to_file=to_file)
    health_terminal.render(found, console)
    return drawn.getvalue()
