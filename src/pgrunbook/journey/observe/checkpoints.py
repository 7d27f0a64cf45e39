"""Checkpoints since the counters began, and the WAL that this server wrote meanwhile (every role sees them)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoints:
    """One row.  `requested` are those by WAL volume, but also by CHECKPOINT, backups, CREATE DATABASE and shutdown."""

    timed: int
    requested: int
    counters_age_s: float | None
    wal_bytes: int
    wal_counters_age_s: float | None


CHECKPOINTS = Question(name="checkpoints", row=Checkpoints, folder=Path(__file__).parent, counters=True)
