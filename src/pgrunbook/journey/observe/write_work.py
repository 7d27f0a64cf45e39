"""What writing costs: WAL with its whole-page images, and who writes dirty pages out (every role sees them)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class WalWork:
    """One row, since the counters began.

    `page_images` are whole pages that the first change after a checkpoint writes; `buffers_full` counts how often a
    session had to write WAL out itself because wal_buffers was full.
    """

    records: int
    page_images: int
    wal_bytes: int
    buffers_full: int
    counters_age_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferWrites:
    """One row: pages written by checkpoints, by the background writer, and by sessions that found no clean page.

    `background_stops` counts how often the background writer stopped at bgwriter_lru_maxpages.
    """

    checkpoint_pages: int
    background_pages: int
    session_pages: int
    background_stops: int
    counters_age_s: float | None


_HERE = Path(__file__).parent
WAL_WORK = Question(name="wal_work", row=WalWork, folder=_HERE, counters=True)
BUFFER_WRITES = Question(name="buffer_writes", row=BufferWrites, folder=_HERE, counters=True)
