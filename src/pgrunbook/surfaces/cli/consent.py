"""Nothing is changed before somebody said so: --yes, or the database's name typed on a terminal."""

from __future__ import annotations

import sys

import click

from pgrunbook.errors import Refused


def ask(question: str, database: str, *, yes: bool) -> None:
    """Return when there is consent.  Raises Refused when there is none, or nobody who could give it."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused(
            f"{question}  Nobody is there to agree, so nothing was changed.",
            hint="Run it with --yes when the plan above is what you want.",
        )
    click.echo(f"{question}  Type the name of the database, {database}, to go on: ", nl=False, err=True)
    typed = sys.stdin.readline()
    if not typed:
        click.echo("", err=True)
    if typed.rstrip("\n") != database:
        raise Refused("that was not the database's name; nothing was changed")
