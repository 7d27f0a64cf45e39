"""What /proc says about processes, as far as a sweep has to know it.

Every function answers None, or nothing, for a process that has gone meanwhile.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
from pathlib import Path


def started(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; with the pid it is an identity."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    after_name = text.rpartition(")")[2].split()
    if after_name[0] in {"Z", "X"}:
        return None  # dead already, only not yet collected by its parent
    return int(after_name[19])


@functools.lru_cache(maxsize=1)
def boot_id() -> str:
    """Return the identity of this run of the kernel."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def pid_namespace() -> str:
    """Return the identity of the space in which our process ids are valid (a container has its own)."""
    return str(Path("/proc/self/ns/pid").readlink())


def all_pids() -> list[int]:
    """Return the ids of all processes that are visible from here."""
    return [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdecimal()]


def owner_uid(pid: int) -> int | None:
    """Return the effective user id of a process."""
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None


def command_name(pid: int) -> str | None:
    """Return the short name of the program, which a server's process titles do not change."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").rstrip("\n")
    except OSError:
        return None


def working_directory(pid: int) -> str | None:
    """Return where the process works; None too when we may not look."""
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink()).removesuffix(" (deleted)")
    except OSError:
        return None


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal; a process that has gone needs none."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
