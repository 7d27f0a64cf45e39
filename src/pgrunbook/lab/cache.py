"""Where installations are kept between runs: a folder that only its owner fills and whose entries are always whole."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from pgrunbook.errors import Unsupported
from pgrunbook.lab.account import Account

SHARED_CACHE = Path("/var/cache/pgrunbook")


def cache_folder() -> Path:
    """Return where this user keeps installations: one for the system as root, else the user's own."""
    if os.geteuid() == 0:
        return SHARED_CACHE
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "pgrunbook"


def keep(cache: Path, name: str, fill: Callable[[Path], None], *, account: Account) -> Path:
    """Return `cache/name`, which `account` can read; when missing, `fill` makes it under a passing name first."""
    entry = cache / name
    _trusted(cache, account)
    if entry.is_dir():
        return entry
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not entry.is_dir():
            for left_over in cache.glob(".partial-*"):
                shutil.rmtree(left_over)  # we hold the lock, so nobody works on it
            partial = cache / f".partial-{name}"
            fill(partial)
            _open_to_all(partial)
            partial.rename(entry)
    return entry


def _trusted(cache: Path, account: Account) -> None:
    """Make the cache, or refuse one that somebody else could have filled or that the account cannot enter."""
    cache.mkdir(mode=0o755, parents=True, exist_ok=True)
    info = cache.lstat()
    if info.st_uid != os.geteuid() or info.st_mode & 0o022 or not account.can_enter(cache):
        raise Unsupported(
            f"{cache} must be a directory of user {os.geteuid()} that nobody else may write "
            f"and {account.name} may enter (found owner {info.st_uid}, mode {info.st_mode & 0o7777:o})",
            hint=f"rm -rf {cache}   # it is a cache: it is made again",
        )


def _open_to_all(root: Path) -> None:
    """Set modes, whatever the umask and the original's were: all may read, programs stay programs."""
    for folder, _, files in os.walk(root):
        Path(folder).chmod(0o755)
        for file in files:
            path = Path(folder, file)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
