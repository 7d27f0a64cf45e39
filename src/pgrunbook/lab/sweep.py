"""Finding what killed processes of ours left behind, and ending it.

What carries no mark, or the mark of another user, is never touched.
"""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pgrunbook.lab import mark as marks
from pgrunbook.lab.ending import end_and_remove, lodgers, remove_tree
from pgrunbook.lab.home import SHORT_BASE, end_kept

UNFINISHED_MARK_AGE_S = 60.0


def sweep() -> int:
    """End and remove what killed processes of this user left behind; return how many directories that were."""
    return sum(_sweep_one(path, kept_too=False) for path in _homes_of_this_user())


def stop_kept(home: Path | None = None) -> int:
    """End and remove what this user asked to keep (`Cluster.keep`): one home, or all.  How many that were.

    Those of other processes that are still alive stay: they may be at work on them.
    """
    return end_kept(home) + sum(
        _sweep_one(path, kept_too=True) for path in _homes_of_this_user() if home is None or path == home
    )


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
                    mark = os.lstat(Path(entry.path) / marks.MARK_NAME)
                    if stat.S_ISREG(mark.st_mode) and mark.st_uid == os.geteuid():
                        yield Path(entry.path)
            except OSError:
                continue  # went away meanwhile, or carries no mark


def _sweep_one(path: Path, *, kept_too: bool) -> bool:
    fd = marks.take(path)
    if fd is None:
        return False
    try:
        mark = marks.read(fd)
        if mark is None:
            return _remove_unfinished(path, age_s=time.time() - os.fstat(fd).st_mtime)
        if not mark.is_abandoned() or (mark.kept and not kept_too and lodgers(path, mark)):
            return False
        end_and_remove(path, mark)
    except OSError:
        return False  # another sweep was faster, or something still works inside: the next sweep looks again
    finally:
        os.close(fd)
    return True


def _remove_unfinished(path: Path, *, age_s: float) -> bool:
    """Remove a directory whose owner died before it wrote its mark: nothing was started there yet."""
    if age_s < UNFINISHED_MARK_AGE_S:
        return False
    remove_tree(path)
    return True
