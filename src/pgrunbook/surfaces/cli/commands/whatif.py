"""Say what queries would cost with other indexes, without building any."""

from __future__ import annotations

from typing import Any

import click

from pgrunbook.surfaces.cli.command import command, target
from pgrunbook.surfaces.cli.exits import PLANS


@command(exits=PLANS)
@target
@click.option("--index", "indexes", multiple=True, metavar="SQL", help='An index to try: "CREATE INDEX ON t (a, b)".')
@click.option("--drop", "dropped", multiple=True, metavar="NAME", help="An existing index to leave out.")
@click.option(
    "--query",
    "queries",
    multiple=True,
    metavar="FILE|QUERYID|SQL",
    help="What to plan: a file of statements, a queryid of pg_stat_statements, a statement; - is standard input.",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "twin", "hypopg"]),
    default="auto",
    show_default=True,
    help="Plan on a twin of the database, or in it with HypoPG.",
)
@click.option("--role", metavar="NAME", help="Plan as this role: its rights and policies count.")
@click.option("--read-rows", is_flag=True, help="Read a sample of a table to estimate an expression over it.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def whatif(ctx: click.Context, /, dsn: str | None, dsn_flag: str | None, **options: Any) -> int:
    """Say what queries would cost with other indexes.  None is built in the database, which is only read.

    \b
      pgrunbook whatif postgresql://app@db-1/shop --index "create index on orders (status, at)" --query orders.sql
      pgrunbook whatif --drop orders_status_idx --query "select * from orders where status = 'open'"

    The twin is a throw-away server of this machine with the database's schema, statistics and sizes, without its rows.
    First the queries are planned on both as they are: how far they agree is said with the result.
    """  # noqa: D301 - \b is click's mark for text that is not wrapped
    from pgrunbook.surfaces.cli.trying import run  # noqa: PLC0415 - psycopg takes its time

    return run(ctx.obj, dsn, dsn_flag=dsn_flag, **options)


COMMAND = whatif
