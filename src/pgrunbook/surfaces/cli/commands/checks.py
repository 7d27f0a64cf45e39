"""What each check asks, and its thresholds and how to change them."""

from __future__ import annotations

import click

from pgrunbook.surfaces.cli.command import command, group
from pgrunbook.surfaces.cli.exits import READS_FILES


@group(exits=READS_FILES)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print them.")
@click.pass_context
def checks(ctx: click.Context, /, form: str) -> None:
    """List the checks by family; `pgrunbook checks show NAME` tells all about one."""
    if ctx.invoked_subcommand is None:
        from pgrunbook.surfaces.cli import check_pages  # noqa: PLC0415 - imports every check

        check_pages.overview(ctx.obj, form)


@command(exits=READS_FILES)
@click.argument("name")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print it.")
@click.pass_context
def show(ctx: click.Context, /, name: str, form: str) -> None:
    """Tell what a check asks, where it looks, when it is blind, and its thresholds."""
    from pgrunbook.surfaces.cli import check_pages  # noqa: PLC0415 - imports every check

    check_pages.page(ctx.obj, name, form)


checks.add_command(show)
COMMAND = checks
