"""The archiver: what it was told to do, what it has done, and what waits for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question

_SEGMENT = re.compile(r"[0-9A-F]{24}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Archiver:
    """One row (every role sees it).

    `command` is what the configuration says, also while archive_mode is off (the server itself then says only
    `(disabled)`); `library` exists from PostgreSQL 15 on.  `current_wal` is None on a standby.
    """

    mode: str
    command: str | None
    library: str | None
    segment_bytes: int
    archived: int
    last_archived_wal: str | None
    last_archived_age_s: float | None
    failed: int
    last_failed_wal: str | None
    last_failed_age_s: float | None
    counters_age_s: float | None
    current_wal: str | None

    @property
    def is_at_work(self) -> bool:
        """Whether this server archives: on a standby only with archive_mode = always."""
        return self.mode == "always" or (self.mode == "on" and self.current_wal is not None)

    @property
    def last_try_failed(self) -> bool:
        """Whether nothing was archived since the last failure."""
        if self.last_failed_age_s is None:
            return False
        return self.last_archived_age_s is None or self.last_failed_age_s <= self.last_archived_age_s

    @property
    def segments_behind(self) -> int | None:
        """Full segments that were written after the last archived one; None when that cannot be told."""
        last, current = self._number(self.last_archived_wal), self._number(self.current_wal)
        return None if last is None or current is None else max(0, current - last - 1)

    def _number(self, name: str | None) -> int | None:
        """A segment's place in the WAL, whatever its timeline; also of names that go on, as `….00000028.backup`."""
        if name is None or _SEGMENT.match(name) is None:
            return None
        return int(name[8:16], 16) * (2**32 // self.segment_bytes) + int(name[16:24], 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveQueue:
    """One row: the segments that are ready to be archived, and how old the first of them is."""

    waiting: int
    oldest_age_s: float | None


_HERE = Path(__file__).parent
ARCHIVER = Question(name="archiver", row=Archiver, folder=_HERE, counters=True)
ARCHIVE_QUEUE = Question(name="archive_queue", row=ArchiveQueue, folder=_HERE, needs="pg_monitor")
