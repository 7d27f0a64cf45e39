"""The mark that every temporary directory of ours carries, and how another process tells that its owner is gone.

The owner holds a lock (flock) on the mark file for as long as it lives; the kernel lets go of it however the owner
dies.  The lock works across containers and users that share the directory; process ids in the mark do not, and are
believed only where they mean something.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from pgrunbook.lab import proc

MARK_NAME = ".pgrunbook-lab.json"
# Written in one piece of this size, so that a reader never sees half a mark.
MARK_SIZE_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Who made a directory, for which server, and where else its data lies."""

    owner_pid: int
    owner_started: int  # clock ticks since boot, field 22 of /proc/PID/stat
    boot_id: str
    pid_namespace: str
    hostname: str
    account_uid: int
    program: str
    data_root: str
    kept: bool = False

    @classmethod
    def of_this_process(cls, *, account_uid: int, program: Path, data_root: Path) -> Mark:
        """Return a mark that names us as the owner."""
        return cls(
            owner_pid=os.getpid(),
            owner_started=proc.started(os.getpid()) or 0,
            boot_id=proc.boot_id(),
            pid_namespace=proc.pid_namespace(),
            hostname=os.uname().nodename,
            account_uid=account_uid,
            program=str(program),
            data_root=str(data_root),
        )

    def is_abandoned(self) -> bool:
        """Judge a mark whose lock nobody holds.  In doubt its owner is alive."""
        if self.hostname != os.uname().nodename:
            return False  # another machine or container that shares this folder
        if self.boot_id != proc.boot_id():
            return True  # from before a restart of this machine
        if self.pid_namespace != proc.pid_namespace():
            return False  # its processes are not visible from here
        return proc.started(self.owner_pid) != self.owner_started


def create(directory: Path) -> int:
    """Make the mark file of a new directory and take its lock; return the open file."""
    fd = os.open(directory / MARK_NAME, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def take(directory: Path) -> int | None:
    """Open a mark and take its lock if nobody holds it; None when somebody does or locks do not work there."""
    try:
        fd = os.open(directory / MARK_NAME, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd


def write(fd: int, mark: Mark) -> None:
    """Write the mark over what was there."""
    os.pwrite(fd, json.dumps(asdict(mark)).encode().ljust(MARK_SIZE_BYTES), 0)


def read(fd: int) -> Mark | None:
    """Return what the mark says; None while its owner has not yet written it, or when a newer program did."""
    try:
        return Mark(**json.loads(os.pread(fd, 2 * MARK_SIZE_BYTES, 0)))
    except (ValueError, TypeError):
        return None
