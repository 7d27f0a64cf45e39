"""How full the pages of the larger B-trees are, measured with pgstattuple.

It reads the whole index, so only those are measured that most likely hold air, and 128 MB of them in all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexDensity:
    """What pgstatindex saw of one B-tree of at least 512 kB.  Only this index can use its `empty_pages` again."""

    oid: int
    size_bytes: int
    leaf_pages: int
    internal_pages: int
    empty_pages: int
    leaf_density_ratio: float


INDEX_DENSITY = Question(
    name="index_density",
    row=IndexDensity,
    folder=Path(__file__).parent,
    extension="pgstattuple",
    reads_definitions=True,
    needs="pg_stat_scan_tables",
)
