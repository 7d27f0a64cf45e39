"""TOAST tables: where long values lie, in chunks of at most 2 kB, with upkeep of their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Toast:
    """The TOAST table of one table.  `chunks` is -1 until the first vacuum; `size_bytes` is as of then, too."""

    table_oid: int
    oid: int
    pages: int
    chunks: float
    size_bytes: int
    live_chunks: int
    dead_chunks: int
    last_vacuum_at: datetime | None
    last_autovacuum_at: datetime | None
    frozen_xid_age: int


TOAST = Question(name="toast", row=Toast, folder=Path(__file__).parent)
