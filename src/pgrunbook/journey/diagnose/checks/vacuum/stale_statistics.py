"""Statistics that describe a table as it was.

Asks:    which tables changed far more since ANALYZE than the number at which autovacuum analyzes them?
Unit:    modified_rows since the last ANALYZE; modified_ratio of the rows it counted (above 1 when they are many times).
Source:  pg_stat_user_tables.n_mod_since_analyze against threshold + scale factor × rows (autovacuum_analyze_*).
Blind:   on a standby; track_counts off.
Says:    {modified_rows} rows of {object} changed since its statistics were gathered; autovacuum gathers them at
         {trigger_rows}.  The planner reckons with {planned_rows} rows.
Section: Maintenance Operations
Leads:   analyze
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose import late_counts, mending
from pgrunbook.journey.diagnose.autovacuum import (
    NEEDS,
    Upkeep,
    by_tree,
    counting_blind,
    is_running,
    leaves_of,
    nap_s,
    server_now,
    standby_blind,
    upkeep,
)
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import TableTree
from pgrunbook.journey.observe.counters import COUNTERS
from pgrunbook.model import Finding, Kind, Severity, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When changed rows are a fault and not the ordinary swing between two visits of autovacuum.

    `min_rows`: a table that changed by less, or has fewer, is planned well enough by its pages alone.  `trigger_factor`
    × its trigger is 15 % of a table with the default scale factor; `far_factor` finds large tables with a small one.
    `modified_ratio` is the share below which estimates hardly move.  Where autovacuum analyzed within `recent_naps` of
    its naps, it is at work (a table that grows quickly is past its trigger most of the time) and gets its next turn.
    """

    min_rows: int = 1000
    trigger_factor: float = 1.5
    modified_ratio: float = 0.2
    far_factor: float = 5.0
    recent_naps: float = 2.0


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a table; partitions are gathered under their root.  Never analyzed is another check's."""
    if (blind := standby_blind(seen) or counting_blind(seen)) is not None:
        yield blind
        return
    running = is_running(seen)
    faulty = [
        table
        for table in seen.derived(upkeep)
        if not table.was_never_analyzed
        and table.relation.estimated_rows >= 0
        and _is_past(table, seen, limits)
        and not (running and table.is_enabled and _is_tended(table, seen, limits))
        and not late_counts.were_there_before(
            seen, table, _changed_rows(table, seen, limits), table.activity.last_analyze_at
        )
    ]
    for tree, tables in by_tree(seen, faulty):
        yield _finding(tree, tables, round(sum(_changed_rows(table, seen, limits) for table in tables)))


def _is_past(table: Upkeep, seen: Seen, limits: Limits) -> bool:
    changed = _changed_rows(table, seen, limits)
    if min(changed, max(table.rows, float(table.activity.live_rows))) < limits.min_rows:
        return False
    is_past = changed > limits.trigger_factor * table.analyze_trigger_rows
    is_far = changed > limits.far_factor * table.analyze_trigger_rows
    return is_far or (is_past and changed >= limits.modified_ratio * table.rows)


def _is_tended(table: Upkeep, seen: Seen, limits: Limits) -> bool:
    last = table.activity.last_autoanalyze_at
    return last is not None and (server_now(seen) - last).total_seconds() < limits.recent_naps * nap_s(seen)


def _changed_rows(table: Upkeep, seen: Seen, limits: Limits) -> float:
    """The changes that ANALYZE cannot have seen.

    A session hands in its counts once a second and at its end: rows loaded right before ANALYZE are counted after it,
    as if they had come since.  Where it counted more rows than could then have been there, the difference is such rows.
    Autovacuum corrects the count at its next visit, so older ones are believed (their rows may be older than counters).
    """
    counts = table.activity
    last = counts.last_analyze_at
    if last is None or (server_now(seen) - last).total_seconds() > limits.recent_naps * max(nap_s(seen), 60.0):
        return counts.modified_rows
    inserted_since = max(0, counts.modified_rows - counts.rows_updated - counts.rows_deleted)
    there_before = counts.rows_inserted - counts.rows_deleted - inserted_since
    seen_too_many = max(0.0, table.relation.estimated_rows - there_before)
    return counts.modified_rows - min(float(inserted_since), seen_too_many)


def _finding(tree: TableTree, tables: tuple[Upkeep, ...], changed: int) -> Finding:
    planned = sum(max(table.relation.estimated_rows, 0.0) for table in tables)
    analyzed = [
        at for table in tables for at in (table.activity.last_analyze_at, table.activity.last_autoanalyze_at) if at
    ]
    targets = [table.relation for table in tables] if len(tables) <= 5 else [tree.root]
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.TABLE,
        object=tree.qualified,
        related=leaves_of(tree, tables),
        evidence={
            "modified_rows": changed,
            "modified_ratio": round(changed / planned, 3) if planned else None,
            "planned_rows": round(planned),
            "live_rows": sum(table.activity.live_rows for table in tables),
            "trigger_rows": round(sum(table.analyze_trigger_rows for table in tables)),
            "last_analyze_at": max(analyzed).isoformat(timespec="seconds") if analyzed else None,
        },
        advice=tuple(mending.analyze(target) for target in targets),
    )


CHECK = Check(needs=NEEDS, likes=(COUNTERS, *late_counts.LIKES), judge=judge, limits=Limits())
