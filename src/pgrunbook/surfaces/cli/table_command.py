"""Declares the commands that print a plain table; all of them take the same options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pgrunbook.surfaces.cli.command import command, target
from pgrunbook.surfaces.cli.exits import LOOKS

FORMATS = ("text", "json", "csv", "markdown")


def table_command(name: str, words: str) -> click.Command:
    """The command that prints the table of this name; `words` is its help."""

    @command(exits=LOOKS, name=name, help=words)
    @target
    @click.option("--format", "form", type=click.Choice(FORMATS), help="Default: text, or what the name of -o says.")
    @click.option("--sort", "order", metavar="COLUMN", help="By this column: numbers largest first, texts from A.")
    @click.option("--limit", type=click.IntRange(min=0), metavar="ROWS", help="0: all.  Default: 25 where people read.")
    @click.option(
        "--window", "window_s", type=click.FloatRange(0, 86400), metavar="SECONDS", help="Count for so long, where that"
        " makes sense, instead of since the counters began.",
    )  # fmt: skip
    @click.option("--snapshot", type=click.Path(path_type=Path), metavar="FILE", help="Of a saved snapshot instead.")
    @click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write there, not to stdout.")
    @click.pass_context
    def print_table(ctx: click.Context, /, **options: Any) -> None:
        from pgrunbook.surfaces.cli.tabling import Wish, run  # noqa: PLC0415 - psycopg takes its time

        run(Wish(table=name, **options), ctx.obj)

    return print_table
