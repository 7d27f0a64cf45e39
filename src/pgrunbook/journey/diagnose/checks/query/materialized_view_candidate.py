"""A summary that is reckoned anew each time although its tables hardly change.

Asks:    which dear statements gather many rows into few, again and again, from tables that are seldom written?
Unit:    mean_ms a call; changed_ratio is the share of the tables' rows written since they were last analysed.
Source:  pg_stat_statements, parsed for GROUP BY, DISTINCT and aggregates; pg_stat_user_tables.
Blind:   no pg_stat_statements; texts that cannot be parsed.
Says:    It gathers {touched_bytes} into {rows_per_call} rows in {mean_ms} a call, while {changed_ratio} of the rows
         of {tables} changed.  {calls} calls took {total_ms} of the {window_s} watched.
         {calls} calls took {total_ms} in the {counters_age_s} that its counters cover: {query}
Section: Query Optimization
Leads:   CREATE MATERIALIZED VIEW and REFRESH … CONCURRENTLY; a cache in the application
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.query_shape import gathers, top_select
from pgrunbook.journey.diagnose.query_texts import (
    TEXTS,
    TEXTS_LIKE,
    about,
    in_application,
    often_enough,
    query_texts,
    statement_costs,
    unreadable,
    unsure,
)
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY, TableActivity
from pgrunbook.journey.workload.costs import BLOCK_BYTES, Cost
from pgrunbook.journey.workload.facts import TableFacts
from pgrunbook.model import Finding, Kind, Severity, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When keeping a result beats reckoning it.

    `mean_ms`: pganalyze's slow query.  `calls`: a nightly report is reckoned once a night anyhow.  `rows`: what is kept
    must be small.  `blocks`: 4 MB a call.  `changed_ratio`: tables that change faster need the fresh answer.
    """

    mean_ms: float = 50.0
    calls: int = 20
    rows: float = 1000.0
    blocks: int = 500
    changed_ratio: float = 0.1


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a statement."""
    yield from unsure(seen)
    costs = seen.derived(statement_costs)
    dear = [
        cost
        for cost in costs.toplevel
        if cost.calls >= often_enough(costs, limits.calls)
        and cost.mean_ms >= limits.mean_ms
        and cost.rows_per_call <= limits.rows
        and cost.blocks_per_call >= limits.blocks
    ]
    for cost in dear:
        tables = _gathered(cost, seen)
        if not tables:
            continue
        changed = _changed_ratio(tables, seen)
        if changed is not None and changed <= limits.changed_ratio:
            yield Finding(
                severity=Severity.NOTICE,
                kind=Kind.QUERY,
                object=cost.object,
                related=tuple(table.qualified for table in tables),
                evidence=about(
                    cost,
                    costs,
                    seen,
                    tables=tuple(table.qualified for table in tables),
                    changed_ratio=round(changed, 4),
                    rows_per_call=round(cost.rows_per_call, 1),
                    touched_bytes=round(cost.blocks_per_call * BLOCK_BYTES),
                ),
                advice=(
                    in_application(
                        "Keep the result",
                        "CREATE MATERIALIZED VIEW … AS the summary for all parameters, with a unique index,",
                        "and REFRESH MATERIALIZED VIEW CONCURRENTLY as often as it must be fresh",
                        risk="Readers see the state of the last refresh.",
                    ),
                ),
            )
    yield from unreadable(seen, dear)


def _gathered(cost: Cost, seen: Seen) -> list[TableFacts]:
    """The tables that it reads, if it is a reading statement that gathers, and all of them are known."""
    texts = seen.derived(query_texts)
    tree, found = texts.tree(cost), texts.accesses(cost)
    if tree is None or found is None or found.unknown or top_select(tree) is None or not gathers(tree):
        return []
    if any(access.write is not None for access in found.accesses):
        return []
    return list({id(t): t for t in (texts.facts.of(access.table_oid) for access in found.accesses)}.values())


def _changed_ratio(tables: list[TableFacts], seen: Seen) -> float | None:
    """The share of the rows that changed: in the window, else since the last ANALYZE; None when nobody knows."""
    window = seen.window(TABLE_ACTIVITY) if seen.snapshot.earlier is not None else None
    now = {row.oid: row for row in seen.rows_or_none(TABLE_ACTIVITY) or ()}
    before = {row.oid: row for row in window.before} if window is not None else None
    changed = rows = 0.0
    for table in tables:
        for member in table.members:
            row = now.get(member.oid)
            if row is not None:
                changed += _changed(row, before, member.estimated_rows)
        rows += table.rows
    return changed / rows if rows and now else None


def _changed(row: TableActivity, before: Mapping[int, TableActivity] | None, analyzed_rows: float) -> float:
    """Rows written in the window, else since ANALYZE.

    A session that fills a table and analyses it hands in its inserts afterwards, so that they count as later ones (and
    as live rows twice); but inserts that ANALYZE has seen are in `analyzed_rows` already.
    """
    earlier = before.get(row.oid) if before is not None else None
    if earlier is not None:
        return max(0, _writes(row) - _writes(earlier))
    if analyzed_rows < 0:
        return row.modified_rows
    unseen = max(0.0, row.rows_inserted - row.rows_deleted - analyzed_rows)
    grown = min(abs(row.live_rows - analyzed_rows), unseen)
    return min(row.modified_rows, grown + row.rows_updated + row.rows_deleted)


def _writes(row: TableActivity) -> int:
    return row.rows_inserted + row.rows_updated + row.rows_deleted


CHECK = Check(needs=TEXTS, likes=(*TEXTS_LIKE, TABLE_ACTIVITY), judge=judge, limits=Limits())
