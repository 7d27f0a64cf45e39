"""The entry point: parses, calls the command, and turns every end into one of the promised exit codes.

Errors raised on purpose become one message and a hint on stderr.  Nothing heavy is imported here: `pgrunbook --help`
answers at once.
"""

from __future__ import annotations

import re
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from pgrunbook import __version__
from pgrunbook.errors import RunbookError
from pgrunbook.surfaces.cli.command import SETTINGS, Commands, Invocation
from pgrunbook.surfaces.cli.exits import Exit, epilog
from pgrunbook.surfaces.cli.output import quiet_broken_pipe, settle_streams

ISSUES = "https://github.com/pgrunbook/pgrunbook/issues"
_SECRETS = (
    (re.compile(r"(://[^\s/:@]*:)\S*(?=@)"), r"\1***"),
    (re.compile(r"((?:password|sslpassword)\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)", re.IGNORECASE), r"\1***"),
)


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: the same clean-up as Ctrl-C."""


@click.group(
    cls=Commands,
    context_settings=SETTINGS,
    invoke_without_command=True,
    epilog=epilog(tuple(Exit)),
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The project's configuration file instead of the nearest pgrunbook.toml.",
)
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Colours in text output.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no notes on stderr; errors still.")
@click.version_option(__version__, "-V", "--version", message="pgrunbook %(version)s")
@click.pass_context
def cli(ctx: click.Context, config_file: Path | None, color: str, *, quiet: bool) -> None:
    """Find what is wrong with a PostgreSQL database, rehearse the cure, apply it, prove it, write it down.

    \b
      pgrunbook demo                             the whole road on a throw-away server
      pgrunbook diagnose postgresql://db-1/shop  look, change nothing
      pgrunbook apply 3fa9c1d2 postgresql://…    mend one finding, with its undo recorded

    Every command looks only, unless it says that it changes something; those show their plan and ask first.
    """  # noqa: D301 - \b is click's mark for text that is not wrapped
    ctx.obj = Invocation(config_file=config_file, color=color, quiet=quiet)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> NoReturn:
    """Run the command line of this process."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _terminate)
    sys.unraisablehook = _deliver_again
    settle_streams()
    sys.exit(run(sys.argv[1:]))


def _deliver_again(unraisable: sys.UnraisableHookArgs) -> None:
    """An interrupt that fell into a destructor or a callback, where Python prints it and goes on, comes once more."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        again = threading.Timer(0.02, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(unraisable)


def _terminate(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
    raise Terminated


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code."""
    try:
        with quiet_broken_pipe():
            result: Any = cli.main(args=list(arguments), prog_name="pgrunbook", standalone_mode=False)
            sys.stdout.flush()
    except RunbookError as exc:
        _complain(exc.message, exc.hint)
        return exc.exit_code
    except click.ClickException as exc:
        _complain(_first_lower(exc.format_message()), _usage_hint(exc))
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        _complain("interrupted", "")
        return Exit.INTERRUPTED
    except Exception as exc:  # noqa: BLE001 - the one place where our own bugs end (STYLE.md, 5)
        _confess(exc)
        return Exit.BUG
    return int(result) if isinstance(result, int) else Exit.FINE


def redact(text: str) -> str:
    """The text without the passwords that a DSN in it holds.

    >>> redact("to postgresql://app:s3cret@db/shop"), redact("host=db password='a b' dbname=x")
    ('to postgresql://app:***@db/shop', 'host=db password=*** dbname=x')
    """
    for pattern, shown in _SECRETS:
        text = pattern.sub(shown, text)
    return text


def _complain(message: str, hint: str) -> None:
    click.echo(click.style("error: ", fg="red", bold=True) + redact(message), err=True)
    if hint:
        click.echo(click.style("hint: ", fg="cyan") + redact(hint), err=True)


def _confess(exc: Exception) -> None:
    click.echo(redact("".join(traceback.format_exception(exc))), err=True, nl=False)
    _complain(
        f"this is a bug of pgrunbook {__version__} itself: {type(exc).__name__}: {exc}",
        f"Please report it with the traceback above: {ISSUES}",
    )


def _first_lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _usage_hint(exc: click.ClickException) -> str:
    ctx = exc.ctx if isinstance(exc, click.UsageError) else None
    return f"{ctx.command_path} --help" if ctx is not None else ""


if __name__ == "__main__":
    main()
