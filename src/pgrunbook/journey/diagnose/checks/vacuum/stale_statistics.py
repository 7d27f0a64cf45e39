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

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.autovacuum import (
    NEEDS,
    Upkeep,
    by_tree,
    counting_blind,
    is_running,
    leaves_of,
    nap_s,
    standby_blind,
    upkeep,
)
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import TableTree
from pgrunbook.model import Finding, Kind, Severity, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When changed rows are a fault and not the ordinary swing between two visits of autovacuum.

    `min_rows`: a table that changed by less is planned well enough by its pages alone.  `trigger_factor` × its trigger
    is 15 % of a table with the default scale factor; `far_factor` finds large tables with a small one.
    `modified_ratio` is the share below which estimates hardly move.  Where autovacuum analyzed within `recent_naps` of its naps, it is
    at work (a table that grows quickly is past its trigger most of the time) and gets its next turn first.
    """

    min_rows: int = 1000
    trigger_factor: float = 1.5
    modified_ratio: float = 0.12
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
        if table.relation.estimated_rows >= 0
        and _is_past(table, limits)
        and not (running and table.is_enabled and _is_tended(table, seen, limits))
    ]
    for tree, tables in by_tree(seen, faulty):
        yield _finding(tree, tables)


def _is_past(table: Upkeep, limits: Limits) -> bool:
    changed = table.activity.modified_rows
    if changed < limits.min_rows:
        return False
    is_past = changed > limits.trigger_factor * table.analyze_trigger_rows
    is_far = changed > limits.far_factor * table.analyze_trigger_rows
    return is_far or (is_past and changed >= limits.modified_ratio * table.rows)


def _is_tended(table: Upkeep, seen: Seen, limits: Limits) -> bool:
    last = table.activity.last_autoanalyze_at
    return last is not None and (seen.at - last).total_seconds() < limits.recent_naps * nap_s(seen)


def _finding(tree: TableTree, tables: tuple[Upkeep, ...]) -> Finding:
    changed = sum(table.activity.modified_rows for table in tables)
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


CHECK = Check(needs=NEEDS, judge=judge, limits=Limits())
