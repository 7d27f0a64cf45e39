"""List what needs a vacuum, and set autovacuum by real write rates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pgrunbook.surfaces.cli.command import command, group, target
from pgrunbook.surfaces.cli.exits import LOOKS


@group(exits=LOOKS)
@click.pass_context
def vacuum(ctx: click.Context, /) -> None:
    """What needs a vacuum, what keeps it from working, and how often it should come by itself."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command(exits=LOOKS)
@target
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown", "html", "sql"]),
    help="Default: text, or what the name of --output says.",
)
@click.option("--window", "window_s", type=click.FloatRange(0, 86400), metavar="SECONDS", help="Watch for so long.")
@click.option("--since", type=click.Path(path_type=Path), metavar="FILE", help="Reckon rates from this older snapshot.")
@click.option("--snapshot", type=click.Path(path_type=Path), metavar="FILE", help="Judge a saved snapshot instead.")
@click.option(
    "--every", "every_h", type=click.FloatRange(0.1, 720), metavar="HOURS", help="How often to vacuum; default 6."
)
@click.option("--plan", type=click.Path(path_type=Path), metavar="FILE", help="Write the steps for `apply` there, too.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write there instead of stdout.")
@click.pass_context
def strategy(ctx: click.Context, /, dsn: str | None, dsn_flag: str | None, **options: Any) -> int:
    """List the tables that need a vacuum with the reason, and autovacuum settings from their real write rates.

    \b
      pgrunbook vacuum strategy postgresql://app@db-1/shop
      pgrunbook vacuum strategy --window 600 --every 4 --plan plan.json
      pgrunbook apply plan.json postgresql://app@db-1/shop

    Dead rows, rows only added, old transaction numbers, the visibility map, bloat, and who holds an old snapshot.
    Without --window or --since, rates are since the last vacuum or the counters' reset, and say so.  Changes nothing.
    """  # noqa: D301 - \b is click's mark for text that is not wrapped
    from pgrunbook.surfaces.cli.counselling import Wish, run  # noqa: PLC0415 - psycopg takes its time

    return run(Wish(topic="vacuum", dsn=dsn, dsn_flag=dsn_flag, **options), ctx.obj)


vacuum.add_command(strategy)
COMMAND = vacuum
