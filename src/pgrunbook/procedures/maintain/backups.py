"""The place for a backup: runs the command that the configuration names, and believes nothing but its exit code.

A command that ends well is no proof of a backup; only a restore is.  The journal says what ran, not that it is good.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass

from pgrunbook.errors import ChangedInPart, Refused
from pgrunbook.pg.connect import connect
from pgrunbook.pg.environment import environment_of
from pgrunbook.report.words import duration, one_line

END_S = 60.0  # in which a command that was interrupted must have ended
TAIL_LINES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A command that ended with 0."""

    command: str
    duration_s: float


def refuse_without(command: tuple[str, ...]) -> None:
    """Raise Refused when no backup is configured, or its program is not there."""
    if not command:
        raise Refused(
            "no backup is configured; nothing was backed up",
            hint='pgrunbook makes none of its own yet.  Name yours: [maintain] backup_command = ["pgbackrest", …]',
        )
    if shutil.which(command[0]) is None:
        raise Refused(f"the backup's program {command[0]} is not there; nothing was backed up")


def run(command: tuple[str, ...], dsn: str) -> Ran:
    """Run it to its end; it finds the database in libpq's variables.  Raises ChangedInPart when it fails."""
    refuse_without(command)
    with connect(dsn, station="maintain") as conn:
        environment = environment_of(conn)
    started = time.monotonic()
    child = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # so that its workers end with it
    )
    try:
        said, _ = child.communicate()
    except BaseException:
        _end(child)
        raise
    took = time.monotonic() - started
    if child.returncode != 0:
        tail = "; ".join(one_line(line) for line in said.splitlines()[-TAIL_LINES:]) or "nothing"
        raise ChangedInPart(
            f"the backup command ended with {child.returncode} after {duration(took)} and said: {tail}",
            hint="There is no backup of today.  What it left lies where it writes.",
        )
    return Ran(command=shlex.join(command), duration_s=round(took, 3))


def _end(child: subprocess.Popen[str]) -> None:
    """End it with all it started."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.communicate(timeout=END_S)
            return
