"""Do what the maintenance calendar asks for, when it is quiet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pgrunbook.surfaces.cli.command import command, group
from pgrunbook.surfaces.cli.exits import CHANGES, LOOKS, PLANS, Exit

_CALENDAR_FILE = click.option(
    "--file", "calendar_file", type=click.Path(path_type=Path), metavar="YAML", help="The calendar, instead of the"
    " configuration's or the runbook's own.",
)  # fmt: skip
_RUNS = tuple(code for code in CHANGES if code is not Exit.UNDONE)


@group(exits=PLANS)
@click.pass_context
def maintain(ctx: click.Context, /) -> None:
    """Do what a database needs again and again: show the calendar, see whether now is a good time, run a task.

    \b
      pgrunbook maintain run vacuum postgresql://app@db-1/shop
      pgrunbook maintain calendar --format systemd
      pgrunbook maintain window postgresql://app@db-1/shop
    """  # noqa: D301 - \b is click's mark for text that is not wrapped
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command(exits=_RUNS)
@click.argument("words", nargs=-1, metavar="[TASK] [DSN]")
@click.option("--dsn", "dsn_flag", metavar="DSN", help="The database, as DSN: URI or key=value pairs.")
@click.option("--due", is_flag=True, help="Every task that the calendar has planned for now and that has not run.")
@click.option("-y", "--yes", is_flag=True, help="Agree to what is shown without being asked.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--force", is_flag=True, help="Also in a blackout, and when the database is under pressure.")
@click.option("--by", type=click.Choice(["auto", "vacuum", "pg_repack"]), default="auto", help="How to rewrite tables.")
@click.option("--window", "window_s", type=click.FloatRange(0, 86400), metavar="SECONDS", help="How long a review"
              " watches; without it statements count since the last review.")  # fmt: skip
@_CALENDAR_FILE
@click.option("--format", "form", type=click.Choice(["text", "json", "markdown", "html"]), help="How to print the"
              " outcome (text, json) or a review (markdown, html).")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Where to write a review.")
@click.pass_context
def run(ctx: click.Context, /, **options: Any) -> int:
    """Change the database: run one task, or all that are due.

    \b
      vacuum        vacuum and analyze the tables that are written most
      statistics    gather statistics where much has changed, also of partitioned tables
      reindex       rebuild bloated indexes while the application works
      vacuum-full   rewrite bloated tables that are hardly used (or by pg_repack)
      slow-queries, indexes, capacity   write a review; nothing is changed
      backup        run the configured backup command

    It shows what it would do and why, and asks.  It is refused in a blackout and when the database is under pressure.
    Each step waits for its lock a short time only, and is written into the journal.  Interrupted, run it again.
    """  # noqa: D301 - \b is click's mark for text that is not wrapped
    from pgrunbook.surfaces.cli.maintaining import Wish, run  # noqa: PLC0415 - psycopg takes its time

    return run(Wish(**options), ctx.obj)


@command(exits=PLANS)
@click.argument("dsn", required=False, metavar="[DSN]")
@click.option("--dsn", "dsn_flag", metavar="DSN", help="With a database: when each task ran there, and what is due.")
@_CALENDAR_FILE
@click.option("--format", "form", type=click.Choice(["text", "json", "cron", "systemd"]), default="text",
              help="cron and systemd print what to install.")  # fmt: skip
@click.pass_context
def calendar(
    ctx: click.Context, /, dsn: str | None, dsn_flag: str | None, calendar_file: Path | None, form: str
) -> None:
    """Show when each task is planned, with the next three dates; without a DSN no database is asked.

    \b
      pgrunbook maintain calendar --file maintenance.yaml
      pgrunbook maintain calendar --format cron postgresql://app@db-1/shop
    """  # noqa: D301 - \b is click's mark for text that is not wrapped
    from pgrunbook.surfaces.cli import calendar_pages  # noqa: PLC0415 - psycopg takes its time

    calendar_pages.run(ctx.obj, dsn or dsn_flag, calendar_file=calendar_file, form=form)


@command(exits=LOOKS)
@click.argument("dsn", required=False, metavar="[DSN]")
@click.option("--dsn", "dsn_flag", metavar="DSN", help="The database, as DSN: URI or key=value pairs.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print it.")
@click.pass_context
def window(ctx: click.Context, /, dsn: str | None, dsn_flag: str | None, form: str) -> None:
    """Say whether now is a good time: blackout, pressure, long transactions, running backups, the next quiet hour."""
    from pgrunbook.surfaces.cli import window_page  # noqa: PLC0415 - psycopg takes its time

    window_page.run(ctx.obj, dsn, dsn_flag, form=form)


for _command in (run, calendar, window):
    maintain.add_command(_command)
COMMAND = maintain
