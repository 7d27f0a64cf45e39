"""Look at a database and say what is wrong with it, worst first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pgrunbook.surfaces.cli.command import command, target
from pgrunbook.surfaces.cli.exits import JUDGES

FORMATS = ("text", "json", "markdown", "html", "sarif", "junit", "github")


@command(exits=JUDGES)
@target
@click.option("--format", "form", type=click.Choice(FORMATS), help="Default: text, or what the name of --output says.")
@click.option("--only", multiple=True, metavar="NAME", help="Only this check or family; repeat it, or use commas.")
@click.option("--skip", multiple=True, metavar="NAME", help="Leave out this check or family.")
@click.option("--schema", "schemas", multiple=True, metavar="NAME", help="Only objects of this schema.")
@click.option("--fail-on", type=click.Choice(["critical", "warning", "never"]), help="What ends with 2 or 1.")
@click.option("--window", "window_s", type=click.FloatRange(0, 86400), metavar="SECONDS", help="Read counters twice.")
@click.option("--plans", is_flag=True, help="Explain the dearest statements, too, and judge their plans.")
@click.option("--since", type=click.Path(path_type=Path), metavar="FILE", help="Reckon rates from this older snapshot.")
@click.option("--snapshot", type=click.Path(path_type=Path), metavar="FILE", help="Diagnose a saved snapshot instead.")
@click.option("--all", "show_all", is_flag=True, help="Every finding in full, and what is muted.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write there instead of stdout.")
@click.pass_context
def diagnose(ctx: click.Context, /, dsn: str | None, dsn_flag: str | None, form: str | None, **options: Any) -> int:
    """Look at a database and say what is wrong with it, worst first.  Changes nothing.

    \b
      pgrunbook diagnose postgresql://app@db-1/shop
      pgrunbook diagnose --only index,vacuum --window 10
      pgrunbook diagnose --format sarif -o findings.sarif --fail-on warning

    The DSN is taken from the argument, --dsn, PGRUNBOOK_DSN, DATABASE_URL, or libpq's own PG* variables, service
    file and .pgpass.  It cannot harm: read-only transactions that give up instead of waiting for a lock.
    """  # noqa: D301 - \b is click's mark for text that is not wrapped
    from pgrunbook.surfaces.cli.diagnosing import Wish, run  # noqa: PLC0415 - psycopg takes its time

    wish = Wish(dsn=dsn, dsn_flag=dsn_flag, form=form, **options)
    return run(wish, ctx.obj)


COMMAND = diagnose
