"""VACUUMs that run now, by people or by autovacuum, and how far they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class VacuumProgress:
    """One running VACUUM.  `table_oid` means a table of `database`; `phase` is None where we may not see it."""

    pid: int
    database: str | None
    table_oid: int | None
    phase: str | None
    heap_pages: int | None
    heap_pages_scanned: int | None
    index_passes: int | None


VACUUM_PROGRESS = Question(name="vacuum_progress", row=VacuumProgress, folder=Path(__file__).parent)
