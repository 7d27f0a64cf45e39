"""Hold a database against the runbook's targets and best practices."""

from __future__ import annotations

from pathlib import Path

import click

from pgrunbook.surfaces.cli.command import command, target
from pgrunbook.surfaces.cli.exits import LOOKS


@command(exits=LOOKS)
@target
@click.option("--format", "form", type=click.Choice(["text", "json", "markdown"]), help="Default: text, or as -o says.")
@click.option(
    "--window",
    "window_s",
    type=click.FloatRange(0, 86400),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Watch for so long; 0: cumulative figures.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write there, not to stdout.")
@click.pass_context
def health(
    ctx: click.Context,
    /,
    dsn: str | None,
    dsn_flag: str | None,
    *,
    form: str | None,
    window_s: float,
    output: Path | None,
) -> None:
    """Hold a database against the runbook: its key metrics with their targets, its load capacity, its best practices.

    \b
      pgrunbook health postgresql://app@db-1/shop
      pgrunbook health --window 60 --format markdown -o health.md

    Each is met, not met, or cannot be told, with what it was judged by.  It watches for ten seconds and changes
    nothing.  Processors, memory and disks: from the node exporter or Supabase metrics endpoint that metrics_url in
    pgrunbook.toml names (its password: PGRUNBOOK_METRICS_PASSWORD), else from the server's kernel where the role may
    read it, or from this machine when the server runs on it.
    """  # noqa: D301 - \b is click's mark for text that is not wrapped
    from pgrunbook.surfaces.cli.scoring import run  # noqa: PLC0415 - psycopg takes its time

    run(ctx.obj, dsn=dsn, dsn_flag=dsn_flag, form=form, window_s=window_s, output=output)


COMMAND = health
