"""How a marked directory ends: its processes first, then their shared memory, then its files, the mark last.

Whether a process is ours is judged by where it works, which program it is and whose it is, never by a stored process id
alone: ids are used again.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import time
from pathlib import Path

from pgrunbook.lab import proc
from pgrunbook.lab.account import server_account
from pgrunbook.lab.mark import MARK_NAME, Mark

# Only these are ended: a person's shell that stands in the directory is not ours.
OUR_PROGRAMS = frozenset({"postgres", "initdb", "cp", "pg_basebackup", "pgbouncer"})
QUIT_LIMIT_S = 5.0
KILL_LIMIT_S = 10.0
POLL_S = 0.01
REMOVALS, AGAIN_S = 10, 0.1


def lodgers(path: Path, mark: Mark) -> list[int]:
    """Return the processes of ours that work inside: right user, right program, working directory inside."""
    roots = tuple(str(root.resolve()) for root in (path, Path(mark.data_root)))
    return [
        pid
        for pid in proc.all_pids()
        if proc.owner_uid(pid) == mark.account_uid
        and proc.command_name(pid) in OUR_PROGRAMS
        and (cwd := proc.working_directory(pid)) is not None
        and any(cwd == root or cwd.startswith(root + "/") for root in roots)
    ]


def end_processes(path: Path, mark: Mark) -> None:
    """Ask all inside to quit at once, then force them; a postmaster that quits frees its shared memory."""
    for number, limit_s in ((signal.SIGQUIT, QUIT_LIMIT_S), (signal.SIGKILL, KILL_LIMIT_S)):
        deadline = time.monotonic() + limit_s
        left = lodgers(path, mark)
        for pid in left:
            proc.send(pid, number)
        while left and time.monotonic() < deadline:
            time.sleep(POLL_S)
            left = lodgers(path, mark)
        if not left:
            return


def end_and_remove(path: Path, mark: Mark) -> None:
    """End everything inside and remove the directory, and its data where they lie elsewhere.

    An interrupt can fall between the fork and the exec of a program that we start: it is none of ours yet when we look,
    and writes when we remove.  So what finds itself not empty is looked at again.
    """
    for _ in range(REMOVALS - 1):
        try:
            return _end_and_remove(path, mark)
        except OSError as exc:
            if exc.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            time.sleep(AGAIN_S)
    return _end_and_remove(path, mark)


def _end_and_remove(path: Path, mark: Mark) -> None:
    end_processes(path, mark)
    data_root = Path(mark.data_root)
    _free_shared_memory(data_root, mark)
    if data_root != path and data_root.name == path.name and _is_own_directory(data_root):
        remove_tree(data_root)
    remove_tree(path)


def remove_tree(root: Path) -> None:
    """Remove a directory, its mark last, so that a removal that is interrupted is found again."""
    for entry in list(os.scandir(root)):
        if entry.name == MARK_NAME:
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            Path(entry.path).unlink(missing_ok=True)
    (root / MARK_NAME).unlink(missing_ok=True)
    root.rmdir()


def _free_shared_memory(data_root: Path, mark: Mark) -> None:
    """Let PostgreSQL itself free the segments of a postmaster that was killed.

    A starting postmaster removes its predecessor's segments, in /dev/shm and System V's, before it reads pg_hba.conf;
    one that cannot read that file then gives up and removes its own.  (Tried on 14 to 18: 0.03 s, no recovery is run.)
    """
    account = server_account()
    if account.uid != mark.account_uid or not os.access(mark.program, os.X_OK):
        return
    for pid_file in data_root.glob("*/postmaster.pid"):
        data_dir = pid_file.parent
        without_clients = ["-c", "listen_addresses=", "-c", "hba_file=/nonexistent"]
        account.run([mark.program, "-D", data_dir, *without_clients], cwd=data_dir)


def _is_own_directory(path: Path) -> bool:
    try:
        info = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid()
