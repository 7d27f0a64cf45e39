"""What pgstattuple measures on the tables that most likely hold air.

It reads pages that are not all-visible, so only five tables are measured, of at most 1 GB; it opens them, and therefore
leaves out those with a lock held or awaited.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredBloat:
    """What pgstattuple_approx found in one table; of all-visible pages it knows the free space map only."""

    oid: int
    size_bytes: int
    free_bytes: int
    dead_bytes: int
    scanned_ratio: float


MEASURED_BLOAT = Question(
    name="measured_bloat",
    row=MeasuredBloat,
    folder=Path(__file__).parent,
    extension="pgstattuple",
    needs="pg_stat_scan_tables",
    reads_definitions=True,
)
