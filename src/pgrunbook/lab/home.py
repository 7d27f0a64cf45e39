"""A marked temporary directory, and what makes sure that none is ever left behind.

Each server or pooler lives in a `Home`: a short path (sockets must stay under 107 bytes) that carries a mark file.
The owner holds a lock on the mark; the kernel lets go of it when the owner dies, in whatever way.  `sweep` looks for
marks that nobody holds, ends the processes that work inside and removes the directory.  What carries no mark of ours is
never touched.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import secrets
import shutil
import signal
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType

from pgrunbook.errors import Unsupported
from pgrunbook.lab import proc
from pgrunbook.lab.account import Account

MARK_NAME = ".pgrunbook-lab.json"
SHORT_BASE = Path("/tmp")  # noqa: S108 - names are unguessable, directories 0711 and what is inside 0700
SOCKET_PATH_MAX_BYTES = 106  # sun_path holds 108; PostgreSQL accepts 107 with the closing zero
LONGEST_SOCKET_NAME = "run/.s.PGSQL.65535.lock"
UNFINISHED_MARK_AGE_S = 60.0
# Only these are ended by a sweep: a person's shell that stands in the directory is not ours.
OUR_PROGRAMS = frozenset({"postgres", "initdb", "pg_basebackup", "pgbouncer"})
END_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Who made a home, so that another process can tell whether its owner is gone."""

    owner_pid: int
    owner_started: int  # clock ticks since boot, field 22 of /proc/PID/stat
    boot_id: str
    pid_namespace: str
    hostname: str
    account_uid: int
    program: str
    data_root: str
    kept: bool = False


class Home:
    """One marked directory; `run_dir` (sockets) and `data_root` are below it, or data_root in TMPDIR."""

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
        path = _make_marked_directory(prefix, account)
        fd = os.open(path / MARK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        mark = Mark(
            owner_pid=os.getpid(),
            owner_started=proc.started(os.getpid()) or 0,
            boot_id=proc.boot_id(),
            pid_namespace=proc.pid_namespace(),
            hostname=os.uname().nodename,
            account_uid=account.uid,
            program=str(program),
            data_root=str(_data_root(path, account)),
        )
        _write_mark(fd, mark)
        home = cls(path=path, mark=mark, mark_fd=fd, account=account)
        _open_homes[id(home)] = home
        home.run_dir.mkdir(mode=0o700)
        account.give(home.run_dir)
        if home.data_root != path:
            home.data_root.mkdir(mode=0o711)
        return home

    def keep(self) -> None:
        """Leave everything running when this process ends; `sweep` then waits until its server has stopped."""
        self._mark = replace(self._mark, kept=True)
        _write_mark(self._mark_fd, self._mark)
        _open_homes.pop(id(self), None)

    def end(self) -> None:
        """End what still works inside and remove the directories.  May be called again."""
        if self._mark_fd < 0:
            return
        _end_and_remove(self.path, self._mark)
        os.close(self._mark_fd)
        self._mark_fd = -1
        _open_homes.pop(id(self), None)


_open_homes: dict[int, Home] = {}
_armed_for_pid: int | None = None


def sweep() -> int:
    """End and remove what killed processes of this user left behind; return how many homes that were."""
    return sum(_sweep_one(path) for path in _homes_of_this_user())


def stop_kept() -> int:
    """End and remove what this user asked to keep (`Home.keep`), except what a live process still owns."""
    return sum(_sweep_one(path, kept_too=True) for path in _homes_of_this_user())


def _homes_of_this_user() -> Iterator[Path]:
    """Yield directories of this user that carry a mark file of this user.  Others' marks are not believed."""
    for base in dict.fromkeys((SHORT_BASE, Path(tempfile.gettempdir()))):
        try:
            entries = list(os.scandir(base))
        except OSError:
            continue
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                    mark = os.lstat(Path(entry.path) / MARK_NAME)
                    if stat.S_ISREG(mark.st_mode) and mark.st_uid == os.geteuid():
                        yield Path(entry.path)
            except OSError:
                continue  # went away meanwhile, or carries no mark


def _sweep_one(path: Path, *, kept_too: bool = False) -> int:
    try:
        fd = os.open(path / MARK_NAME, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return 0
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mark = _read_mark(fd)
        if mark is None:
            age_s = time.time() - os.fstat(fd).st_mtime
            if age_s > UNFINISHED_MARK_AGE_S:
                _remove_tree(path)
                return 1
            return 0
        if not _is_abandoned(mark) or (mark.kept and not kept_too and _lodgers(path, mark)):
            return 0
        _end_and_remove(path, mark)
    except OSError:  # the lock is held, or the file system has no locks: then the owner cannot be judged
        return 0
    else:
        return 1
    finally:
        os.close(fd)


def _is_abandoned(mark: Mark) -> bool:
    """Judge a mark whose lock we hold.  In doubt it is alive."""
    if mark.hostname != os.uname().nodename:
        return False  # another machine or container that shares this folder
    if mark.boot_id != proc.boot_id():
        return True  # from before a restart of this machine
    if mark.pid_namespace != proc.pid_namespace():
        return False  # its processes are not visible from here
    return proc.started(mark.owner_pid) != mark.owner_started


def _lodgers(path: Path, mark: Mark) -> list[int]:
    """Return the processes of ours that work inside: right user, right program, working directory inside."""
    roots = tuple(str(root) for root in (path, Path(mark.data_root)))
    return [
        pid
        for pid in proc.all_pids()
        if proc.owner_uid(pid) == mark.account_uid
        and proc.command_name(pid) in OUR_PROGRAMS
        and (cwd := proc.working_directory(pid)) is not None
        and any(cwd == root or cwd.startswith(root + "/") for root in roots)
    ]


def _end_and_remove(path: Path, mark: Mark) -> None:
    _end_lodgers(path, mark)
    data_root = Path(mark.data_root)
    if data_root != path and data_root.name == path.name and _is_own_directory(data_root):
        _remove_tree(data_root)
    _remove_tree(path)


def _end_lodgers(path: Path, mark: Mark) -> None:
    """Ask all inside to quit at once, then force them; a postmaster that quits frees its shared memory."""
    for number, limit_s in ((signal.SIGQUIT, END_LIMIT_S / 2), (signal.SIGKILL, END_LIMIT_S)):
        deadline = time.monotonic() + limit_s
        lodgers = _lodgers(path, mark)
        for pid in lodgers:
            proc.send(pid, number)
        while lodgers and time.monotonic() < deadline:
            time.sleep(0.01)
            proc.reap(lodgers)
            lodgers = _lodgers(path, mark)
        if not lodgers:
            return


def _is_own_directory(path: Path) -> bool:
    try:
        info = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid()


def _remove_tree(root: Path) -> None:
    """Remove a home, its mark last, so that a removal that is interrupted is found again."""
    for entry in list(os.scandir(root)):
        if entry.name == MARK_NAME:
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            Path(entry.path).unlink(missing_ok=True)
    (root / MARK_NAME).unlink(missing_ok=True)
    root.rmdir()


def _make_marked_directory(prefix: str, account: Account) -> Path:
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
    """Return where data goes: TMPDIR if its owner asked for one that the server can reach, else the home."""
    wanted = Path(tempfile.gettempdir()).resolve()
    if wanted == home.parent.resolve() or not account.can_enter(wanted):
        return home
    return wanted / home.name


def _write_mark(fd: int, mark: Mark) -> None:
    """Write in one piece and at a fixed size, so that a reader never sees half a mark."""
    os.pwrite(fd, json.dumps(asdict(mark)).encode().ljust(4096), 0)


def _read_mark(fd: int) -> Mark | None:
    try:
        return Mark(**json.loads(os.pread(fd, 8192, 0)))
    except (ValueError, TypeError):
        return None


def _end_at_exit() -> None:
    """Arm the clean-up of this process once; a fork does not inherit the duty."""
    global _armed_for_pid  # noqa: PLW0603 - once a process
    if _armed_for_pid == os.getpid():
        return
    if _armed_for_pid is not None:
        _open_homes.clear()  # we are a fork: these belong to our parent
    else:
        atexit.register(_end_open_homes)
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
