"""A marked temporary directory in which one server or pooler lives, and which ends with the process that made it.

Its path is short (sockets must stay under 107 bytes).  Only the server's user and root can enter what is inside.  It
ends when asked to, at the end of the process, and at SIGTERM; after kill -9 the next `sweep` finds it by its mark.
"""

from __future__ import annotations

import atexit
import os
import secrets
import signal
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from types import FrameType

from pgrunbook.errors import Unsupported
from pgrunbook.lab import ending
from pgrunbook.lab import mark as marks
from pgrunbook.lab.account import Account
from pgrunbook.lab.mark import Mark

SHORT_BASE = Path("/tmp")  # noqa: S108 - names are unguessable, directories 0711 and what is inside 0700
SOCKET_PATH_MAX_BYTES = 106  # sun_path holds 108; PostgreSQL accepts 107 with the closing zero
LONGEST_SOCKET_NAME = "run/.s.PGSQL.65535.lock"


class Home:
    """One marked directory; `run_dir` holds sockets, `data_root` is the directory itself or one in TMPDIR."""

    def __init__(self, *, path: Path, mark: Mark, mark_fd: int, account: Account) -> None:
        self.path = path
        self.run_dir = path / "run"
        self.data_root = Path(mark.data_root)
        self.account = account
        self._mark = mark
        self._mark_fd = mark_fd

    @classmethod
    def create(cls, *, prefix: str, account: Account, program: Path) -> Home:
        """Make and mark a new home for `program`, to be used by `account`."""
        _end_at_exit()
        path = _make_directory(prefix, account)
        fd = marks.create(path)
        mark = Mark.of_this_process(account_uid=account.uid, program=program, data_root=_data_root(path, account))
        marks.write(fd, mark)
        home = cls(path=path, mark=mark, mark_fd=fd, account=account)
        _open_homes[id(home)] = home
        try:
            home.run_dir.mkdir(mode=0o700)
            account.give(home.run_dir)
            if home.data_root != path:
                home.data_root.mkdir(mode=0o711)
        except BaseException:
            home.end()
            raise
        return home

    def keep(self) -> None:
        """Leave everything running when this process ends; it goes with `stop_kept`, or once its server has ended."""
        self._mark = replace(self._mark, kept=True)
        marks.write(self._mark_fd, self._mark)
        _open_homes.pop(id(self), None)
        _kept_homes.append(self)

    def end_processes(self) -> None:
        """End what still works inside and keep the directory."""
        ending.end_processes(self.path, self._mark)

    def end(self) -> None:
        """End what still works inside and remove the directory.  May be called again."""
        if self._mark_fd < 0:
            return
        ending.end_and_remove(self.path, self._mark)
        os.close(self._mark_fd)
        self._mark_fd = -1
        _open_homes.pop(id(self), None)


_open_homes: dict[int, Home] = {}
_kept_homes: list[Home] = []  # of this process, which may still change its mind
_armed_for_pid: int | None = None


def end_kept(path: Path | None) -> int:
    """End and remove what this very process asked to keep: one home, or all; how many those were."""
    ending_now = [home for home in _kept_homes if path is None or home.path == path]
    for home in ending_now:
        home.end()
        _kept_homes.remove(home)
    return len(ending_now)


def _make_directory(prefix: str, account: Account) -> Path:
    tried: list[str] = []
    for base in dict.fromkeys((SHORT_BASE, Path(tempfile.gettempdir()))):
        path = base / f"{prefix}-{secrets.token_hex(4)}"
        if len(os.fsencode(path / LONGEST_SOCKET_NAME)) > SOCKET_PATH_MAX_BYTES:
            tried.append(f"{base} (socket path too long)")
        elif not base.is_dir() or not os.access(base, os.W_OK | os.X_OK):
            tried.append(f"{base} (not writable)")
        elif not account.can_enter(base):
            tried.append(f"{base} (user {account.name} cannot enter it)")
        else:
            path.mkdir(mode=0o700)
            path.chmod(0o711)  # the account passes through; others cannot list, and all inside is 0700
            return path
    raise Unsupported(
        f"no temporary directory is fit for a server; tried {', '.join(tried)}",
        hint="set TMPDIR to a short path that is writable and that the server's user can enter",
    )


def _data_root(home: Path, account: Account) -> Path:
    """Return where data goes: TMPDIR if the user set one that the server can reach, else the home."""
    wanted = Path(tempfile.gettempdir()).resolve()
    if wanted == home.parent.resolve() or not account.can_enter(wanted):
        return home
    return wanted / home.name


def _end_at_exit() -> None:
    """Arm the clean-up of this process once; a fork does not inherit the duty."""
    global _armed_for_pid  # noqa: PLW0603 - once a process
    if _armed_for_pid == os.getpid():
        return
    if _armed_for_pid is None:
        atexit.register(_end_open_homes)
    _open_homes.clear()  # in a fork: these are our parent's
    _armed_for_pid = os.getpid()
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, _frame: FrameType | None) -> None:
    """Turn a first SIGTERM into an orderly exit: context managers and atexit run; further ones are ignored."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _end_open_homes() -> None:
    if _armed_for_pid != os.getpid():
        return
    for home in list(reversed(_open_homes.values())):
        home.end()
