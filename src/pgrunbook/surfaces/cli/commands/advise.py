"""Say what would help, what it costs and what it locks."""

from __future__ import annotations

import click

from pgrunbook.surfaces.cli.command import command
from pgrunbook.surfaces.cli.exits import LOOKS


@command(exits=LOOKS)
@click.argument("words", nargs=-1, metavar="[TOPIC] [DSN]")
@click.option("--dsn", "dsn_flag", metavar="DSN", help="The database, as DSN: URI or key=value pairs.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "markdown", "html"]), default="text", help="How to print it."
)
@click.pass_context
def advise(ctx: click.Context, /, words: tuple[str, ...], dsn_flag: str | None, form: str) -> int:
    """Say what would help: the SQL, its effect as far as it can be reckoned, its lock, risk and undo.

    \b
      pgrunbook advise indexes postgresql://app@db-1/shop
      pgrunbook advise postgresql://app@db-1/shop

    TOPIC is a family of checks (indexes, vacuum, config …); without it, all that has advice.  Changes nothing.
    """  # noqa: D301 - \b is click's mark for text that is not wrapped
    from pgrunbook.surfaces.cli.advising import run  # noqa: PLC0415 - psycopg takes its time

    return run(ctx.obj, words, dsn_flag=dsn_flag, form=form)


COMMAND = advise
