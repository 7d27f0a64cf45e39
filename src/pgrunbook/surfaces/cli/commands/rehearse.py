"""Try the steps and their undo on a copy of the schema."""

from __future__ import annotations

import click

from pgrunbook.surfaces.cli.command import command
from pgrunbook.surfaces.cli.exits import PLANS


@command(exits=PLANS)
@click.argument("words", nargs=-1, metavar="[FINDING-ID...|PLAN] [DSN]")
@click.option("--dsn", "dsn_flag", metavar="DSN", help="The database, as DSN: URI or key=value pairs.")
@click.option("--only", multiple=True, metavar="NAME", help="Only findings of this check or family.")
@click.option("--data", "with_data", is_flag=True, help="Copy the rows of the tables concerned too, and measure.")
@click.option("--max-size", default="1GB", metavar="SIZE", help="Copy no more rows than this (default: 1GB).")
@click.pass_context
def rehearse(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    dsn_flag: str | None,
    only: tuple[str, ...],
    *,
    with_data: bool,
    max_size: str,
) -> int:
    """Run the steps and their undo on a throw-away server with a copy of the schema.  The database is only read.

    With --data the tables concerned come with their rows: durations and disk are then measured, on this machine.

    \b
      pgrunbook rehearse postgresql://app@db-1/shop
      pgrunbook rehearse plan.json postgresql://app@db-1/shop
    """  # noqa: D301 - \b is click's mark for text that is not wrapped
    from pgrunbook.surfaces.cli import acting  # noqa: PLC0415 - psycopg takes its time

    limit = acting.size_given(max_size) if with_data else None
    return acting.rehearsal(ctx.obj, words, dsn_flag=dsn_flag, only=only, data_limit_bytes=limit)


COMMAND = rehearse
