"""Counts that came too late: rows that a session changed right before it vacuumed or analyzed their table.

A session hands in its counts once a second and at its end.  What it changed within the last second is added after its
own VACUUM has set the counters, as if it had come since.  The table's pages tell the difference: had the rows been
changed afterwards, the pages that were counted then would be full of the rows that were counted then.
"""

from __future__ import annotations

from datetime import datetime

from pgrunbook.journey.diagnose.autovacuum import Upkeep, server_now
from pgrunbook.journey.diagnose.heap_size import packed_bytes
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.column_statistics import COLUMN_STATISTICS
from pgrunbook.journey.observe.columns import COLUMNS

LIKES = (COLUMNS, COLUMN_STATISTICS)
RECENT_S = 120.0  # later, autovacuum has come or the application has written: the counters are believed
ROOM_RATIO = 0.5  # of the old versions; some of their room may have been used again


def were_there_before(seen: Seen, table: Upkeep, rows: float, last_at: datetime | None) -> bool:
    """Whether so many dead or changed rows were there already when it was vacuumed or analyzed at `last_at`."""
    relation = table.relation
    if last_at is None or (server_now(seen) - last_at).total_seconds() > RECENT_S or relation.estimated_rows < 0:
        return False
    if seen.rows_or_none(COLUMNS) is None or seen.rows_or_none(COLUMN_STATISTICS) is None:
        return False
    packed = packed_bytes(seen, relation)
    share = rows / max(relation.estimated_rows, 1.0)
    return packed is not None and relation.size_bytes >= packed * (1.0 + ROOM_RATIO * share)
