"""Show, verify or export what was done to a database."""

from __future__ import annotations

from pathlib import Path

import click

from pgrunbook.surfaces.cli.command import command
from pgrunbook.surfaces.cli.exits import READS_JOURNAL


@command(exits=READS_JOURNAL)
@click.argument("words", nargs=-1, metavar="[show|verify|export] [DSN]")
@click.option("--dsn", "dsn_flag", metavar="DSN", help="The database, as DSN: URI or key=value pairs.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The journal's folder, when the database cannot be asked which it is.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How `show` prints it.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write there instead of stdout.")
@click.pass_context
def journal(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    dsn_flag: str | None,
    folder: Path | None,
    *,
    form: str,
    output: Path | None,
) -> int:
    """Show what was done to a database; verify that nobody edited it; export it as Markdown.

    \b
      pgrunbook journal postgresql://app@db-1/shop
      pgrunbook journal verify postgresql://app@db-1/shop
      pgrunbook journal export postgresql://app@db-1/shop -o changes.md
    """  # noqa: D301 - \b is click's mark for text that is not wrapped
    from pgrunbook.surfaces.cli import journaling  # noqa: PLC0415 - psycopg takes its time

    return journaling.run(ctx.obj, words, dsn_flag=dsn_flag, folder=folder, form=form, output=output)


COMMAND = journal
