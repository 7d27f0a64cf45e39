"""Save what a database says of itself, to diagnose it later."""

from __future__ import annotations

from pathlib import Path

import click

from pgrunbook.surfaces.cli.command import command, group, target
from pgrunbook.surfaces.cli.exits import LOOKS


@group(exits=LOOKS)
@click.pass_context
def snapshot(ctx: click.Context, /) -> None:
    """Save what a database says of itself, to be diagnosed elsewhere or later (`diagnose --snapshot`, `--since`)."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command(exits=LOOKS)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@target
@click.option("--window", "window_s", type=click.FloatRange(0, 86400), metavar="SECONDS", help="Read counters twice.")
@click.pass_context
def save(ctx: click.Context, /, file: Path, dsn: str | None, dsn_flag: str | None, window_s: float | None) -> None:
    """Save every reading of a database into FILE (gzipped if its name ends in .gz).  Changes nothing.

    \b
      pgrunbook snapshot save monday.json.gz postgresql://app@db-1/shop
      pgrunbook diagnose --snapshot monday.json.gz
      pgrunbook diagnose --since monday.json.gz postgresql://app@db-1/shop

    The file holds no password and no rows of tables; it does hold names, settings and normalised query texts.
    """  # noqa: D301 - \b is click's mark for text that is not wrapped
    from pgrunbook.surfaces.cli.snapshotting import run  # noqa: PLC0415 - psycopg takes its time

    run(ctx.obj, file, dsn=dsn, dsn_flag=dsn_flag, window_s=window_s)


snapshot.add_command(save)
COMMAND = snapshot
