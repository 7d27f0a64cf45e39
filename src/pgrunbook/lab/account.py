"""The operating system user that servers run as.

PostgreSQL refuses to run as root, so root hands its servers to an existing or new unprivileged account; an ordinary
user keeps them.  Nothing here changes the mode of a folder: what the account cannot reach is found out, not opened up.
"""

from __future__ import annotations

import functools
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pgrunbook.errors import Unsupported

# The first account that exists wins; the second is made when root may make it.
DEBIAN_NAME = "postgres"
OWN_NAME = "pgrunbook"
LAST_RESORT_NAME = "nobody"
RUN_LIMIT_S = 600.0  # initdb takes half a second; a busy machine may need many


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user with an entry in the password database (initdb and postgres look themselves up there)."""

    name: str
    uid: int
    gid: int

    @property
    def is_other(self) -> bool:
        """Tell whether we have to change identity to become this account."""
        return self.uid != os.geteuid()

    def popen(
        self,
        argv: Sequence[str | Path],
        *,
        cwd: Path,
        log: IO[bytes] | int,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program as this account, in a session of its own, so that Ctrl-C reaches only us."""
        return subprocess.Popen(
            [str(part) for part in argv],
            cwd=cwd,
            env=clean_environment(env),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            umask=0o077,
            user=self.uid if self.is_other else None,
            group=self.gid if self.is_other else None,
            extra_groups=[] if self.is_other else None,
        )

    def run(
        self, argv: Sequence[str | Path], *, cwd: Path, stdin: IO[bytes] | int = subprocess.DEVNULL
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as this account to its end; the caller judges the exit code and the output."""
        return subprocess.run(
            [str(part) for part in argv],
            cwd=cwd,
            env=clean_environment(None),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            text=True,
            errors="replace",
            timeout=RUN_LIMIT_S,
            start_new_session=True,
            umask=0o077,
            user=self.uid if self.is_other else None,
            group=self.gid if self.is_other else None,
            extra_groups=[] if self.is_other else None,
        )

    def give(self, path: Path) -> None:
        """Make this account the owner of a file or directory that we have just made."""
        if self.is_other:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def _may(self, info: os.stat_result, bits: int) -> bool:
        """Judge by the mode alone; access lists that forbid more are found when the program is started."""
        if self.uid == 0:
            return True
        if info.st_uid == self.uid:
            return (info.st_mode >> 6) & bits == bits
        groups = {self.gid} if self.is_other else {self.gid, *os.getgroups()}
        shift = 3 if info.st_gid in groups else 0
        return (info.st_mode >> shift) & bits == bits

    def can_enter(self, directory: Path) -> bool:
        """Tell whether the account may pass through the directory and everything above it."""
        resolved = directory.resolve()
        return all(self._may(part.stat(), 0o1) for part in (resolved, *resolved.parents))

    def can_use_tree(self, root: Path) -> bool:
        """Tell whether the account may read every file and enter every directory below `root`."""
        if not self.can_enter(root):
            return False
        for folder, folders, files in os.walk(root):
            if not self._may(Path(folder).stat(), 0o5):
                return False
            for name in (*folders, *files):
                info = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118 - two thousand files, twice as fast
                if not self._may(info, 0o5 if stat.S_ISDIR(info.st_mode) else 0o4):
                    return False
        return True


def clean_environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """Return what a server needs from our environment; our PG* variables would lead it astray."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {"LC_ALL": "C", "TZ": "UTC", **kept, **(extra if extra is not None else {})}


@functools.lru_cache(maxsize=8)
def server_account(euid: int | None = None) -> Account:
    """Return the account that servers run as: ourselves, or an unprivileged one when we are root."""
    uid = euid if euid is not None else os.geteuid()
    if uid != 0:
        return _own_account(uid)
    for name in (DEBIAN_NAME, OWN_NAME):
        if (found := _lookup(name)) is not None:
            return found
    return _made_account() or _last_resort()


def _own_account(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise Unsupported(
            f"user id {uid} has no entry in the password database, and PostgreSQL refuses to run without one",
            hint=f"add a line such as 'app:x:{uid}:{uid}::/tmp:/bin/sh' to /etc/passwd, or run as a named user",
        ) from None
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=os.getegid())


def _lookup(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid) if entry.pw_uid != 0 else None


def _made_account() -> Account | None:
    """Make a system user without home and shell; None when the system does not let us."""
    attempts = (
        ("useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", OWN_NAME),
        ("adduser", "--system", "--group", "--no-create-home", OWN_NAME),
        ("adduser", "-S", "-D", "-H", OWN_NAME),  # busybox
    )
    for argv in attempts:
        if shutil.which(argv[0]) is None:
            continue
        subprocess.run(argv, check=False, capture_output=True, stdin=subprocess.DEVNULL)
        if (found := _lookup(OWN_NAME)) is not None:  # the result counts, also when another process made it meanwhile
            return found
    return None


def _last_resort() -> Account:
    found = _lookup(LAST_RESORT_NAME)
    if found is None:
        raise Unsupported(
            "PostgreSQL refuses to run as root, and no unprivileged user exists: "
            f"looked for {DEBIAN_NAME}, {OWN_NAME} and {LAST_RESORT_NAME}, and could not make one",
            hint=f"useradd --system {OWN_NAME}",
        )
    return found
