"""How fast each table is written, and so how often autovacuum comes to it.

In a window: the difference of its counters.  Without one: what gathered since the last vacuum, or since the counters
began; both are labelled.  Dead rows that ordinary reads prune away never reach a trigger, so that what really gathered
says more than what was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pgrunbook.journey.diagnose.autovacuum import Upkeep, server_now, upkeep
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.counters import COUNTERS
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY, TableActivity
from pgrunbook.model import NotRead
from pgrunbook.report.words import duration

SINCE_VACUUM_MIN_S = 600.0  # what gathered in less is chance
COUNTED_MIN_S = 86_400.0  # without a window: a day has its busy and its quiet hours, and loads of data
_WRITES = ("rows_inserted", "rows_updated", "rows_deleted", "rows_hot_updated", "autovacuums")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """One table and what is written to it a second.  `words` say where the figures come from.

    `vacuums` is how often autovacuum came in `seconds`.
    """

    table: Upkeep
    dead_per_s: float
    inserted_per_s: float
    changed_per_s: float
    vacuums: int
    seconds: float
    words: str

    @property
    def time_to_vacuum_s(self) -> float | None:
        """From one visit for dead rows to the next at this rate; None where nothing dies."""
        return self.table.vacuum_trigger_rows / self.dead_per_s if self.dead_per_s > 0 else None

    @property
    def row_bytes(self) -> float:
        """A row with its share of the page."""
        return self.table.relation.size_bytes / max(self.table.rows + self.table.activity.dead_rows, 1.0)


def rates(seen: Seen) -> tuple[Rates, ...]:
    """Every table whose rate is known, the most written first."""
    before = _before(seen)
    counters = seen.rows_or_none(COUNTERS)
    age_s = counters[0].age_s if counters else 0.0
    found = []
    for table in seen.derived(upkeep):
        if before is not None:
            earlier, seconds = before
            one = _in_window(table, earlier.get(table.activity.oid), seconds)
        else:
            one = _since(table, server_now(seen), age_s)
        if one is not None:
            found.append(one)
    return tuple(sorted(found, key=lambda r: (-(r.dead_per_s + r.inserted_per_s), r.table.relation.qualified)))


def _before(seen: Seen) -> tuple[Mapping[int, TableActivity], float] | None:
    try:
        window = seen.window(TABLE_ACTIVITY)
    except NotRead:
        return None
    if window is None or window.seconds <= 0:
        return None
    return {row.oid: row for row in window.before}, window.seconds


def _in_window(table: Upkeep, before: TableActivity | None, seconds: float) -> Rates | None:
    """None for a table that is new, or whose counters were reset in between."""
    now = table.activity
    if before is None or any(getattr(now, name) < getattr(before, name) for name in _WRITES):
        return None
    vacuums = now.autovacuums - before.autovacuums
    was_vacuumed = vacuums or now.vacuums != before.vacuums
    gathered = now.dead_rows - before.dead_rows
    died = now.rows_updated - before.rows_updated + now.rows_deleted - before.rows_deleted
    not_pruned = died - (now.rows_hot_updated - before.rows_hot_updated)
    inserted = now.rows_inserted - before.rows_inserted
    return Rates(
        table=table,
        dead_per_s=max(0, not_pruned if was_vacuumed else min(died, max(gathered, 0))) / seconds,
        inserted_per_s=inserted / seconds,
        changed_per_s=(inserted + died) / seconds,
        vacuums=vacuums,
        seconds=seconds,
        words=f"in the {duration(seconds)} watched",
    )


def _since(table: Upkeep, now: datetime, age_s: float) -> Rates | None:
    """By what gathered since the last vacuum where that is long enough, else by all that was counted."""
    counts = table.activity
    if age_s < COUNTED_MIN_S:
        return None
    not_pruned = counts.rows_updated + counts.rows_deleted - counts.rows_hot_updated
    dead_per_s, words = not_pruned / age_s, f"in {duration(age_s)}, cumulative"
    last = max((at for at in (counts.last_vacuum_at, counts.last_autovacuum_at) if at is not None), default=None)
    if last is not None and (since_s := (now - last).total_seconds()) >= SINCE_VACUUM_MIN_S:
        dead_per_s = counts.dead_rows / since_s
        words = f"since the last vacuum {duration(since_s)} ago, writes in {duration(age_s)}, cumulative"
    written = counts.rows_inserted + counts.rows_updated + counts.rows_deleted
    return Rates(
        table=table,
        dead_per_s=max(0.0, dead_per_s),
        inserted_per_s=counts.rows_inserted / age_s,
        changed_per_s=written / age_s,
        vacuums=counts.autovacuums,
        seconds=age_s,
        words=words,
    )
