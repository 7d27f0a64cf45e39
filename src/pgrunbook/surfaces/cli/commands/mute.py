"""Leave a finding or a check out, with a reason and an end."""

from __future__ import annotations

from datetime import datetime

import click

from pgrunbook.surfaces.cli.command import command
from pgrunbook.surfaces.cli.exits import READS_FILES


@command(exits=READS_FILES)
@click.argument("what", metavar="FINGERPRINT|CHECK")
@click.option("--reason", required=True, help="Why; those who read the file want to know.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD", help="The last day; else for ever.")
@click.pass_context
def mute(ctx: click.Context, /, what: str, reason: str, until: datetime | None) -> None:
    """Mute a finding (by its fingerprint) or a whole check, in the project's pgrunbook.toml, where it can be reviewed.

    \b
      pgrunbook mute 3fa9c1d2 --reason "goes with release 12" --until 2026-12-31
      pgrunbook mute discouraged_type --reason "the schema is imported"

    Muted findings are counted in every output and shown by `diagnose --all`; they are not lost.
    """  # noqa: D301 - \b is click's mark for text that is not wrapped
    from pgrunbook.surfaces.cli.muting import run  # noqa: PLC0415 - imports every check to know its name

    run(ctx.obj, what, reason=reason, until=until.date() if until is not None else None)


COMMAND = mute
