"""Statements that one transaction runs again and again, seen by looking twenty times within a tenth of a second.

The activity is sampled inside one statement of ours, so that it costs one round trip.  Needs compute_query_id, which
pg_stat_statements switches on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """One statement within one transaction.  `starts` is how many times it was seen to have begun anew."""

    pid: int
    role: str | None
    application: str | None
    queryid: int
    starts: int
    samples: int


REPEATS = Question(name="repeats", row=Repeat, folder=Path(__file__).parent, needs="pg_read_all_stats", counters=True)
