"""Take back what was applied, newest first."""

from __future__ import annotations

import click

from pgrunbook.surfaces.cli.command import command
from pgrunbook.surfaces.cli.exits import UNDOES


@command(exits=UNDOES)
@click.argument("words", nargs=-1, metavar="[RUN|STEP] [DSN]")
@click.option("--dsn", "dsn_flag", metavar="DSN", help="The database, as DSN: URI or key=value pairs.")
@click.option("--all", "everything", is_flag=True, help="Every step that stands.")
@click.option("-y", "--yes", is_flag=True, help="Agree without being asked.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print the outcome.")
@click.pass_context
def undo(
    ctx: click.Context, /, words: tuple[str, ...], dsn_flag: str | None, *, everything: bool, yes: bool, form: str
) -> int:
    """Change the database back: undo a run, one step of it, or everything that stands.

    \b
      pgrunbook journal postgresql://app@db-1/shop                      runs and steps
      pgrunbook undo 20261124-093000-3f1a.2 postgresql://app@db-1/shop  one step

    What somebody else changed since is refused and stands.  It shows what it would do and asks.
    """  # noqa: D301 - \b is click's mark for text that is not wrapped
    from pgrunbook.surfaces.cli import acting  # noqa: PLC0415 - psycopg takes its time

    return acting.undo(ctx.obj, words, dsn_flag=dsn_flag, everything=everything, yes=yes, form=form)


COMMAND = undo
