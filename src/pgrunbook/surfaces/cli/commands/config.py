"""Show the configuration that holds here, and who set what."""

from __future__ import annotations

import click

from pgrunbook.surfaces.cli.command import command, group
from pgrunbook.surfaces.cli.exits import READS_FILES


@group(exits=READS_FILES)
@click.pass_context
def config(ctx: click.Context, /) -> None:
    """Show the configuration that holds here: flag > environment > project file > user file > default."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command(exits=READS_FILES)
@click.option("--origin", is_flag=True, help="Say of each key who set it.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print it.")
@click.pass_context
def show(ctx: click.Context, /, *, origin: bool, form: str) -> None:
    """Print every key with its value, in the file's own language (or as JSON)."""
    from pgrunbook.surfaces.cli.config_page import run  # noqa: PLC0415 - imports every check to know its thresholds

    run(ctx.obj, origin=origin, form=form)


config.add_command(show)
COMMAND = config
