"""Say what would help, what it costs and what it locks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pgrunbook.surfaces.cli.command import command
from pgrunbook.surfaces.cli.exits import LOOKS

FORMATS = ("text", "json", "markdown", "html", "sql", "ini")


@command(exits=LOOKS)
@click.argument("words", nargs=-1, metavar="[TOPIC] [DSN]")
@click.option("--dsn", "dsn_flag", metavar="DSN", help="The database, as DSN: URI or key=value pairs.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="Default: text, or what the name of --output says.")
@click.option("--window", "window_s", type=click.FloatRange(0, 86400), metavar="SECONDS", help="Watch for so long.")
@click.option("--since", type=click.Path(path_type=Path), metavar="FILE", help="Reckon rates from this older snapshot.")
@click.option("--snapshot", type=click.Path(path_type=Path), metavar="FILE", help="Judge a saved snapshot instead.")
@click.option("--memory", metavar="16GB", help="Of the server's machine, where the server does not tell.")
@click.option("--cores", type=click.IntRange(1, 1024), metavar="N", help="Of the server's machine.")
@click.option("--storage", type=click.Choice(["ssd", "hdd", "network"]), help="What the data lies on.")
@click.option("--role", type=click.Choice(["web", "mixed", "warehouse"]), help="What the database is for.")
@click.option("--plans", is_flag=True, default=None, help="Plan the dearest statements, too; none is run.")
@click.option(
    "--every", "every_h", type=click.FloatRange(0.1, 720), metavar="HOURS", help="How often to vacuum; default 6."
)
@click.option("--instances", type=click.IntRange(1, 100_000), metavar="N", help="Of the application.")
@click.option("--pool-size", type=click.IntRange(1, 100_000), metavar="M", help="Of each instance's own pool.")
@click.option("--pooler-version", metavar="1.22", help="Of the PgBouncer in front.")
@click.option("--workload", type=click.Path(path_type=Path), metavar="FILE.sql", help="Statements to make fast.")
@click.option("--budget", metavar="500MB", help="Of disk, for all new indexes together.")
@click.option("--max-width", type=click.IntRange(1, 16), metavar="N", help="Keys of an index at most; default 3.")
@click.option(
    "--engine",
    type=click.Choice(["auto", "twin", "hypopg", "statistics"]),
    help="What plans for indexes; default: auto.",
)
@click.option("--plan", type=click.Path(path_type=Path), metavar="FILE", help="Write the steps for `apply` there, too.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write there instead of stdout.")
@click.pass_context
def advise(ctx: click.Context, /, words: tuple[str, ...], dsn_flag: str | None, **options: Any) -> int:
    """Say what would help: the SQL, its effect as far as it can be reckoned, its lock, risk and undo.

    \b
      pgrunbook advise indexes postgresql://app@db-1/shop --budget 500MB
      pgrunbook advise indexes --workload app.sql --engine hypopg --format sql
      pgrunbook advise settings --memory 16GB --cores 4 --storage ssd
      pgrunbook advise vacuum --window 600 --plan plan.json
      pgrunbook advise pool --window 60 --instances 10 --pool-size 20 --format ini
      pgrunbook advise policies --format markdown -o policies.md

    TOPIC is indexes (a set that fits together, and those that can go, chosen by planning the workload on a twin of
    the database or with HypoPG; `-- weight: N` before a statement of the file counts it N times), settings (from
    the machine's size, corrected by what the server counted), policies (cheaper, provably the same), vacuum (what
    is due, and settings by real write rates), pool (sizes by real demand), or a family of checks (index, sessions,
    queries …); without it, all that has advice.  Changes nothing.
    """  # noqa: D301 - \b is click's mark for text that is not wrapped
    from pgrunbook.surfaces.cli.advising import run  # noqa: PLC0415 - psycopg takes its time

    return run(ctx.obj, words, dsn_flag=dsn_flag, **options)


COMMAND = advise
