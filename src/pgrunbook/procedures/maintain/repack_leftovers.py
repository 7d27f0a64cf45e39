"""What killed runs of pg_repack left in this database: triggers that write a log which nobody reads."""

from __future__ import annotations

from pathlib import Path

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.sessions import SESSIONS
from pgrunbook.journey.steps.repack_client import Leftovers
from pgrunbook.model import Question, dotted

REPACK_LEFTOVERS = Question(name="repack_leftovers", row=Leftovers, folder=Path(__file__).parent)


def left_by_killed_runs(seen: Seen) -> dict[str, Leftovers]:
    """By table; nothing while a pg_repack is at work, for then they are its tools."""
    if any(backend.application == "pg_repack" for backend in seen.rows_or_none(SESSIONS) or ()):
        return {}
    return {dotted(row.schema, row.table): row for row in seen.rows_or_none(REPACK_LEFTOVERS) or ()}
