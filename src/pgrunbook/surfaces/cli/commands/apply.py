"""Mend findings behind guard rails, with proof and undo."""

from __future__ import annotations

import click

from pgrunbook.surfaces.cli.command import command
from pgrunbook.surfaces.cli.exits import CHANGES


@command(exits=CHANGES)
@click.argument("words", nargs=-1, metavar="[FINDING-ID...|PLAN] [DSN]")
@click.option("--dsn", "dsn_flag", metavar="DSN", help="The database, as DSN: URI or key=value pairs.")
@click.option("--only", multiple=True, metavar="NAME", help="Only findings of this check or family.")
@click.option("-y", "--yes", is_flag=True, help="Agree to the plan without being asked.")
@click.option("--rehearse/--no-rehearse", "rehearse_first", default=True, help="Try it on a copy first (the default).")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print the outcome.")
@click.pass_context
def apply(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    dsn_flag: str | None,
    only: tuple[str, ...],
    *,
    yes: bool,
    rehearse_first: bool,
    form: str,
) -> int:
    """Change the database: mend findings (all warnings and worse by default), or carry out a plan.

    \b
      pgrunbook apply 3fa9c1d2 postgresql://app@db-1/shop
      pgrunbook apply plan.json --yes
      pgrunbook apply --only index

    It shows what it would do and asks.  Each step takes its lock with a short timeout and retries, is measured before
    and after, undone again when it does not help, and written into the journal with its undo.  Killed half-way, run it
    again: it finds out what stands and goes on.
    """  # noqa: D301 - \b is click's mark for text that is not wrapped
    from pgrunbook.surfaces.cli import acting  # noqa: PLC0415 - psycopg takes its time

    return acting.apply(ctx.obj, words, dsn_flag=dsn_flag, only=only, yes=yes, rehearse_first=rehearse_first, form=form)


COMMAND = apply
