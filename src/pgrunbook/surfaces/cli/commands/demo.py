"""See the whole road on a throw-away server."""

from __future__ import annotations

from pathlib import Path

import click

from pgrunbook.surfaces.cli.command import command
from pgrunbook.surfaces.cli.exits import CHANGES


@command(exits=CHANGES)
@click.option(
    "--users", type=click.IntRange(100, 1_000_000), default=20_000, show_default=True, help="Of the data set."
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same data.")
@click.option("--keep", is_flag=True, help="Leave the server running afterwards, and print its DSN.")
@click.option("--stop", is_flag=True, help="End what an earlier --keep left running, and do nothing else.")
@click.option("--result", type=click.Path(path_type=Path), metavar="FILE", help="Write the figures as JSON.")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE",
    default="pgrunbook-demo.html",
    show_default=True,
    help="Where the page with the report goes.",
)
@click.pass_context
def demo(
    ctx: click.Context,
    /,
    *,
    users: int,
    seed: int,
    keep: bool,
    stop: bool,
    result: Path | None,
    report: Path,
) -> int:
    """See the whole road on a throw-away server; nothing of yours is touched, and nothing is left behind.

    It starts PostgreSQL, fills it with a sick application, lets users work on it, diagnoses, rehearses and applies the
    cure while they work, and measures before and after.  It takes a few minutes.
    """
    from pgrunbook.surfaces.cli import demonstrating  # noqa: PLC0415 - takes its time

    if stop:
        return demonstrating.stop(ctx.obj)
    return demonstrating.run(ctx.obj, users=users, seed=seed, keep=keep, result=result, report=report)


COMMAND = demo
