"""How many transactions this database ran in the time in which its statements were counted."""

from __future__ import annotations

from collections.abc import Sequence

from pgrunbook.journey.diagnose.query_texts import statement_costs
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.databases import DATABASES, Database

SLACK_S = 60.0  # two resets that were meant as one


def transactions(seen: Seen) -> int | None:
    """Commits and rollbacks in the window, else since the counters began; None when that is another time.

    Without a window the database's counters must reach as far back as those of the statements, or a ratio of the two
    would mean nothing.
    """
    rows = seen.rows_or_none(DATABASES)
    now = _own(rows or ())
    if now is None:
        return None
    costs = seen.derived(statement_costs)
    if costs.is_window:
        window = seen.window(DATABASES)
        before = _own(window.before) if window is not None else None
        if before is None or _done(before) > _done(now):
            return None
        return _done(now) - _done(before)
    is_younger = (now.counters_age_s or 0.0) + SLACK_S < (costs.period_s or 0.0)
    return None if is_younger else _done(now)


def _own(rows: Sequence[Database]) -> Database | None:
    return next((row for row in rows if row.is_current), None)


def _done(row: Database) -> int:
    return row.commits + row.rollbacks
