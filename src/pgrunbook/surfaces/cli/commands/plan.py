"""Write down the steps that would mend the findings."""

from __future__ import annotations

from pathlib import Path

import click

from pgrunbook.surfaces.cli.command import command
from pgrunbook.surfaces.cli.exits import PLANS


@command(exits=PLANS)
@click.argument("words", nargs=-1, metavar="[FINDING-ID...] [DSN]")
@click.option("--dsn", "dsn_flag", metavar="DSN", help="The database, as DSN: URI or key=value pairs.")
@click.option("--only", multiple=True, metavar="NAME", help="Only findings of this check or family.")
@click.option(
    "--from",
    "source",
    type=click.Choice(["diagnose", "advise"]),
    default="diagnose",
    help="Mend findings (the default), or make and drop indexes as `advise indexes` says.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the plan as JSON.")
@click.pass_context
def plan(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    dsn_flag: str | None,
    only: tuple[str, ...],
    output: Path | None,
    *,
    source: str,
) -> int:
    """Show the steps that would mend the findings: SQL, lock, time, risk and undo of each.  Changes nothing.

    \b
      pgrunbook plan postgresql://app@db-1/shop -o plan.json
      pgrunbook apply plan.json postgresql://app@db-1/shop
      pgrunbook plan --from advise postgresql://app@db-1/shop

    The file can be reviewed, and whole steps be left out.  It is bound to its database: apply refuses another one.
    """  # noqa: D301 - \b is click's mark for text that is not wrapped
    from pgrunbook.surfaces.cli import acting  # noqa: PLC0415 - psycopg takes its time

    return acting.plan(ctx.obj, words, dsn_flag=dsn_flag, only=only, output=output, source=source)


COMMAND = plan
