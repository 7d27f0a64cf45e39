"""stdout for data, stderr for words: colours only where they are wanted, files written whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from pgrunbook.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from pgrunbook.surfaces.cli.command import Invocation

DEFAULT_WIDTH = 80  # of text that does not go to a terminal
MAX_WIDTH = 110  # longer lines are hard to read


def settle_streams() -> None:
    """Write what the terminal's encoding lacks as an escape instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def quiet_broken_pipe() -> Iterator[None]:
    """End without a word when nobody reads stdout any more (`pgrunbook … | head`)."""
    try:
        yield
    except BrokenPipeError:
        _send_stdout_nowhere()


def write(text: str) -> None:
    """Write data to stdout; the command goes on to its exit code even when nobody reads."""
    try:
        sys.stdout.write(text if text.endswith("\n") or not text else text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _send_stdout_nowhere()


def _send_stdout_nowhere() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def write_file(path: Path, data: str | bytes, *, private: bool = False) -> None:
    """Write a file whole or not at all, readable by its owner only if `private`.  UsageError when it cannot be."""
    content = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    try:
        if path.exists() and not path.is_file():  # /dev/stdout, a named pipe
            path.write_bytes(content)
            return
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            if not private:
                Path(name).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as exc:
        raise UsageError(f"cannot write {path}: {exc.strerror or exc}") from exc


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def wants_color(color: str, stream: TextIO, environ: Mapping[str, str] | None = None) -> bool:
    """Whether text to this stream is coloured: the flag, then NO_COLOR, TERM=dumb, and whether it is a terminal."""
    env = os.environ if environ is None else environ
    if color != "auto":
        return color == "always"
    return stream.isatty() and not env.get("NO_COLOR") and env.get("TERM") != "dumb"


def live_console(invocation: Invocation) -> Console:
    """A console that draws on stdout at once, for what goes on while somebody watches."""
    from rich.console import Console  # noqa: PLC0415 - not needed for machine formats

    color = wants_color(invocation.color, sys.stdout)
    return Console(
        file=sys.stdout,
        width=None if sys.stdout.isatty() else DEFAULT_WIDTH,
        force_terminal=color or None,
        no_color=not color,
        highlight=False,
        emoji=False,
        markup=False,
    )


def text_console(
    invocation: Invocation, *, to_file: bool = False, widest: int = MAX_WIDTH
) -> tuple[Console, io.StringIO]:
    """A console that draws into a text, as wide as the terminal, but never wider than `widest`."""
    from rich.console import Console  # noqa: PLC0415 - not needed for machine formats

    drawn = io.StringIO()
    color = not to_file and wants_color(invocation.color, sys.stdout)
    width = DEFAULT_WIDTH
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        width = shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns
    console = Console(
        file=drawn,
        width=max(40, min(width, widest)),
        force_terminal=color,
        no_color=not color,
        color_system="standard" if color else None,
        highlight=False,
        emoji=False,
        markup=False,
        legacy_windows=False,
    )
    return console, drawn


def note(invocation: Invocation, text: str) -> None:
    """One line of words on stderr, unless --quiet."""
    if not invocation.quiet:
        click.echo(text, err=True)


@contextlib.contextmanager
def busy(invocation: Invocation, words: str) -> Iterator[None]:
    """A spinner on stderr while something takes its time; nothing off a terminal."""
    if invocation.quiet or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield
        return
    from rich.console import Console  # noqa: PLC0415 - only on a terminal

    console = Console(stderr=True, highlight=False, no_color=not wants_color(invocation.color, sys.stderr))
    with console.status(words, spinner="dots"):
        yield
