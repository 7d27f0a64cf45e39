"""Show a statement's plan, what is wrong with it, and a better way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pgrunbook.surfaces.cli.command import SETTINGS, command
from pgrunbook.surfaces.cli.exits import PLANS


@command(exits=PLANS)
@click.argument("words", nargs=-1, metavar="[DSN] QUERY|FILE|QUERYID")
@click.option("--dsn", "dsn_flag", metavar="DSN", help="The database, as DSN: URI or key=value pairs.")
@click.option("--analyze", is_flag=True, help="Run the statement and measure it; refused when it could write.")
@click.option("--compare", is_flag=True, help="Run it and each rewrite, and compare their rows.")
@click.option("--role", metavar="NAME", help="Plan as this role: its rights and policies count.")
@click.option("--as-superuser", is_flag=True, help="Plan as the superuser that is connected.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1, 3600),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a statement may run with --analyze and --compare.",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "twin", "hypopg", "none"]),
    default="auto",
    show_default=True,
    help="What estimates the indexes that are proposed, if any are; none of them is built.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown", "html"]),
    help="Default: text, or what the name of --output says.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write there instead of stdout.")
@click.pass_context
def explain(ctx: click.Context, /, words: tuple[str, ...], dsn_flag: str | None, **options: Any) -> int:
    """Show a statement's plan, what is wrong with it, and what else would give the same rows for less.

    \b
      pgrunbook explain postgresql://app@db-1/shop "select * from orders where status = 'open'"
      pgrunbook explain query.sql --analyze
      pgrunbook explain -5127749023110321337 --format html -o plan.html

    Without --analyze it is only planned.  All happens in read-only transactions that are rolled back, and never as a
    superuser unless asked: one that connects plans as the statement's role, or as pg_read_all_data.  "-" reads the
    statement from standard input.
    """  # noqa: D301 - \b is click's mark for text that is not wrapped
    from pgrunbook.surfaces.cli.explaining import run  # noqa: PLC0415 - psycopg takes its time

    return run(ctx.obj, words, dsn_flag=dsn_flag, **options)


explain.context_settings = {**SETTINGS, "ignore_unknown_options": True}  # a queryid may be negative
COMMAND = explain
