"""Help a server out of an overload, runaways, full or idle connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from pgrunbook.surfaces.cli.command import command, group, target
from pgrunbook.surfaces.cli.exits import UNDOES

FORMATS = ("text", "json", "markdown")
PROCEDURES = {
    "overload": (
        "Free locks, stop what is too old, end who idles.",
        ("older_than", "idle_for", "blocking_for", "saturation"),
    ),
    "runaway": ("Stop the statements that have run longest.", ("older_than", "top", "blocking_for")),
    "exhaustion": ("Make room when connections run out.", ("older_than", "idle_for", "saturation")),
    "idle": ("End sessions and transactions that idle.", ("older_than", "idle_for", "saturation")),
}
THRESHOLDS = {
    "older_than": ("TIME", "From when on a statement, or an idle transaction, is touched.  As 5min, 90s."),
    "idle_for": ("TIME", "From when on an idle session is ended."),
    "blocking_for": ("TIME", "From when on it is touched whoever holds others up."),
    "saturation": ("SHARE", "From which share of taken connections on idle sessions are ended.  As 80%."),
    "top": ("N", "How many of the longest; 0: all."),
    "max_sessions": ("N", "No more sessions than that in one run."),
    "max_share": ("SHARE", "No more of the connections than that in one run."),
    "cancel_wait": ("TIME", "How long a cancelled statement may take to end before its session is ended."),
    "connect_wait": ("TIME", "How long to wait for a connection where they have run out."),
    "cool_down": ("TIME", "How long after the last run the next is refused."),
}
EVERYWHERE = ("max_sessions", "max_share", "cancel_wait", "cool_down", "connect_wait")
WHOLE = ("top", "max_sessions")


@group(exits=UNDOES)
@click.pass_context
def emergency(ctx: click.Context, /) -> None:
    """Help a server out: show who is in the way and why the others are not.  With --yes, stop them.

    \b
      pgrunbook emergency overload postgresql://operator@db-1/shop         look, change nothing
      pgrunbook emergency overload postgresql://operator@db-1/shop --yes   act
      pgrunbook emergency runaway --explain                                the runbook's page

    Thresholds are the runbook's; flags and the tables [emergency], [emergency.overload] … of pgrunbook.toml change
    them.  Superusers, replication, autovacuum, backups, dumps and index builds are never touched.
    """  # noqa: D301 - \b is click's mark for text that is not wrapped
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _options(names: tuple[str, ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The thresholds of these names as options, in this order."""

    def wrap(body: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(names):
            metavar, words = THRESHOLDS[name]
            kind = click.IntRange(min=0) if name in WHOLE else None
            body = click.option(f"--{name.replace('_', '-')}", name, metavar=metavar, type=kind, help=words)(body)
        return body

    return wrap


def _procedure(name: str) -> click.Command:
    summary, thresholds = PROCEDURES[name]
    words = f"""{summary}  Shows who would be touched; changes nothing without --yes.

    \b
      pgrunbook emergency {name} postgresql://operator@db-1/shop
      pgrunbook emergency {name} --explain

    Give the DSN of the server itself, not of a pooler."""

    @command(exits=UNDOES, name=name, help=words)
    @target
    @click.option("-y", "--yes", is_flag=True, help="Act.  Without it nothing is changed.")
    @click.option("--explain", is_flag=True, help="Print the runbook's page with the thresholds that hold, and stop.")
    @_options((*thresholds, *EVERYWHERE))
    @click.option("--spare-role", "spared_roles", multiple=True, metavar="NAME", help="Never touch this role.")
    @click.option(
        "--spare-application", "spared_applications", multiple=True, metavar="NAME", help="Nor this application; etl*."
    )
    @click.option("--all-databases", is_flag=True, help="Sessions of the server's other databases, too.")
    @click.option("--prevent", is_flag=True, help="Give the roles of who was stopped time limits; can be undone.")
    @click.option("--vacuum/--no-vacuum", default=name == "overload", help="Vacuum afterwards, if the pressure is off.")
    @click.option(
        "--pooler", "poolers", multiple=True, metavar="DSN", help="PgBouncer's admin console: RECONNECT afterwards."
    )
    @click.option("--pause", metavar="TIME", help="PAUSE it meanwhile; so long may it take to come to rest.")
    @click.option("--format", "form", type=click.Choice(FORMATS), default="text", help="How to print the report.")
    @click.pass_context
    def run(ctx: click.Context, /, **options: Any) -> int:
        from pgrunbook.surfaces.cli.responding import Call, respond  # noqa: PLC0415 - psycopg takes its time

        given = {key: options.pop(key) for key in (*thresholds, *EVERYWHERE, "spared_roles", "spared_applications")}
        return respond(ctx.obj, Call(procedure=name, thresholds=given, **options))

    return run


for _name in PROCEDURES:
    emergency.add_command(_procedure(_name))
COMMAND = emergency
