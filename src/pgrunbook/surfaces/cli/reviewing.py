"""The tasks of maintenance that change nothing: reviews, which are printed or kept, and the configured backup."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from pgrunbook.errors import Refused, RunbookError, UsageError
from pgrunbook.journey.diagnose.request import Request
from pgrunbook.model.plan import TargetPrint
from pgrunbook.pg.connect import describe
from pgrunbook.procedures.maintain import backups, ledger, reviews
from pgrunbook.procedures.maintain.arrangements import Arrangements
from pgrunbook.procedures.maintain.ledger import End
from pgrunbook.procedures.maintain.tasks import Task
from pgrunbook.record import Journal, folder_for
from pgrunbook.report import review as pages
from pgrunbook.report.words import duration
from pgrunbook.surfaces.cli import consent
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.exits import Exit
from pgrunbook.surfaces.cli.output import busy, note, write, write_file

REVIEWS = "reviews"  # the folder beside the journal in which --due keeps them
_FORM_OF_SUFFIX = {".md": "markdown", ".html": "html", ".htm": "html"}
_RENDERERS = {"markdown": pages.render_markdown, "html": pages.render_html}
_SUFFIXES = {"markdown": "md", "html": "html"}


def review(
    invocation: Invocation,
    task: Task,
    request: Request,
    dsn: str,
    *,
    form: str | None,
    output: Path | None,
    keep: bool,
    dry_run: bool,
) -> int:
    """Make a review and print it, write it where it was wished, or keep it beside the journal."""
    if form == "json":
        raise UsageError("a review is written as markdown or html", hint="pgrunbook queries --format json has rows.")
    suffix = output.suffix.lower() if output is not None else ""
    chosen = form if form in _RENDERERS else _FORM_OF_SUFFIX.get(suffix, "html" if keep else "markdown")
    with busy(invocation, "looking …"):
        observed = reviews.ask(task, request, dsn)
        folder = folder_for(TargetPrint.of(observed.snapshot.server))
        made = reviews.make(task, request, observed, ledger.load(folder))
    text = _RENDERERS[chosen](made.review)
    if dry_run:
        write(text)
        return Exit.FINE
    kept = reviews.to_keep(task, made)
    with Journal(folder) as journal:
        key = ledger.begin(journal, task)
        if kept is not None:
            write_file(*kept, private=True)
        place = output if output is not None else _place(folder, task, made.snapshot.taken_at, chosen) if keep else None
        if place is not None:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(place, text, private=output is None)
            note(invocation, f"wrote {place}")
        ledger.finish(journal, key, End.DONE, figures=made.figures)
    if place is None:
        write(text)
    return Exit.FINE


def _place(folder: Path, task: Task, at: datetime, form: str) -> Path:
    return folder / REVIEWS / f"{at:%Y-%m-%d}-{task}.{_SUFFIXES[form]}"


def back_up(
    invocation: Invocation,
    arrangements: Arrangements,
    dsn: str,
    target: TargetPrint,
    *,
    yes: bool,
    dry_run: bool,
) -> int:
    """Run the configured command.  The journal is not held meanwhile: a backup takes hours."""
    folder = folder_for(target)
    try:
        backups.refuse_without(arrangements.backup_command)
    except Refused as refused:
        _write_down(folder, None, End.REFUSED, reason=refused.message)
        raise
    command = " ".join(arrangements.backup_command)
    click.echo(f"backup: {command}", err=True)
    if dry_run:
        return Exit.FINE
    consent.ask(f"Run the backup command for {describe(dsn)}?", target.database, yes=yes)
    key = _write_down(folder, None, None)
    try:
        with busy(invocation, "backing up …"):
            ran = backups.run(arrangements.backup_command, dsn)
    except KeyboardInterrupt:
        _write_down(folder, key, End.INTERRUPTED)
        raise
    except RunbookError as exc:
        _write_down(folder, key, End.FAILED, reason=exc.message)
        raise
    _write_down(folder, key, End.DONE, reason=f"the command ended well: {ran.command}")
    write(f"backup: the command ended well after {duration(ran.duration_s)}; only a restore proves what it is worth")
    return Exit.FINE


def _write_down(folder: Path, key: str | None, end: End | None, *, reason: str = "") -> str:
    """Write a beginning, an end, or both."""
    with Journal(folder) as journal:
        known = key if key is not None else ledger.begin(journal, Task.BACKUP)
        if end is not None:
            ledger.finish(journal, known, end, reason=reason)
    return known
