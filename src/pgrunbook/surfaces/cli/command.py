"""How commands are declared, and the group that finds them: a module in commands/ is a command, there is no other list.

The group reads a command's summary from the first line of its file, so that `pgrunbook --help` imports none of them.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click

from pgrunbook.surfaces.cli import commands
from pgrunbook.surfaces.cli.exits import Exit, epilog

SECTIONS = {
    "Look": ("diagnose", "health", "checks", "advise", "vacuum", "explain", "whatif", "snapshot"),
    "Tables": ("queries", "sessions", "locks", "tables", "indexes", "bloat", "replication", "roles"),
    "Change": ("plan", "rehearse", "apply", "undo", "maintain", "journal"),
    "Help out": ("emergency",),
    "Arrange": ("config", "mute"),
    "Try": ("demo",),
}
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What the options before the command said."""

    config_file: Path | None
    color: str
    quiet: bool


def command(*, exits: tuple[Exit, ...], **attributes: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Declare a command; its help ends with the exit codes it can end with."""
    return click.command(epilog=epilog(exits), context_settings=SETTINGS, **attributes)


def group(*, exits: tuple[Exit, ...], **attributes: Any) -> Callable[[Callable[..., Any]], click.Group]:
    """Declare a command with commands of its own; without one of them it does its first thing."""
    return click.group(
        epilog=epilog(exits),
        context_settings=SETTINGS,
        invoke_without_command=True,
        subcommand_metavar="[COMMAND]",
        **attributes,
    )


def target(body: Callable[..., Any]) -> Callable[..., Any]:
    """The DSN as an argument or as --dsn."""
    with_flag = click.option("--dsn", "dsn_flag", metavar="DSN", help="The database, as DSN: URI or key=value pairs.")(
        body
    )
    return click.argument("dsn", required=False, metavar="[DSN]")(with_flag)


@cache
def summaries() -> dict[str, str]:
    """Every command with the first line of its module."""
    found = {}
    for module in pkgutil.iter_modules(commands.__path__):
        file = Path(commands.__path__[0], f"{module.name}.py")
        first = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        found[module.name.replace("_", "-")] = first
    return found


class Commands(click.Group):
    """Finds the commands in their folder."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Every name, in the order of the sections."""
        listed = [name for names in SECTIONS.values() for name in names if name in summaries()]
        return listed + sorted(set(summaries()) - set(listed))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Import one module, when it is needed."""
        if cmd_name not in summaries():
            return None
        module = importlib.import_module(f"{commands.__name__}.{cmd_name.replace('-', '_')}")
        found: click.Command = module.COMMAND
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a name that is nearly one is answered with it."""
        name = args[0]
        if name not in summaries() and not name.startswith("-"):
            near = difflib.get_close_matches(name, summaries(), n=1)
            raise click.UsageError(
                f"there is no command {name!r}" + (f"; did you mean {near[0]}?" if near else ""), ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by section without importing them."""
        rest = [name for name in self.list_commands(ctx) if not any(name in names for names in SECTIONS.values())]
        width = max(map(len, summaries()))
        for title, names in (*SECTIONS.items(), ("More", tuple(rest))):
            rows = [(name.ljust(width), summaries()[name].rstrip(".")) for name in names if name in summaries()]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
