"""What happened to each table since its counters began: scans, writes, dead rows, vacuums."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class TableActivity:
    """Counters of one table, cumulative since the statistics were reset."""

    oid: int
    seq_scans: int
    seq_rows_read: int
    index_scans: int
    index_rows_fetched: int
    rows_inserted: int
    rows_updated: int
    rows_deleted: int
    rows_hot_updated: int
    live_rows: int
    dead_rows: int
    modified_rows: int
    inserted_since_vacuum_rows: int
    last_vacuum_at: datetime | None
    last_autovacuum_at: datetime | None
    last_analyze_at: datetime | None
    last_autoanalyze_at: datetime | None
    vacuums: int
    autovacuums: int
    analyzes: int
    autoanalyzes: int


TABLE_ACTIVITY = Question(name="table_activity", row=TableActivity, folder=Path(__file__).parent, counters=True)
