"""A query that users wait for.

Asks:    which statements are called again and again and take longer than a page may take?
Unit:    mean_ms a call; p95_ms is estimated from mean and standard deviation.
Source:  pg_stat_statements, in the window if there is one, else since its counters began.  Left out: what is called
         rarely (a report may take its time), utility statements, our own, and bulk writes at a good speed.
Blind:   no pg_stat_statements; without pg_read_all_stats.
Says:    A call takes {mean_ms}, about {p95_ms} in the slowest twentieth (estimated).
         {calls} calls took {total_ms} of the {window_s} that were watched.
         {calls} calls took {total_ms} in the {counters_age_s} that its counters cover.
         That is {time_ratio} of all query time.  It reads {touched_bytes} to give {rows_per_call} rows: {query}
Section: Query Optimization
Leads:   EXPLAIN; missing_index, wasteful_read, deep_offset and non_sargable_predicate name causes
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.query_texts import (
    COSTS,
    COSTS_LIKE,
    about,
    is_bulk_write,
    look_at_plan,
    often_enough,
    statement_costs,
    unsure,
)
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.workload.costs import BLOCK_BYTES, Cost
from pgrunbook.model import Finding, Kind, Severity, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a query is slow.

    `mean_ms`: from here pganalyze speaks of a slow query.  `calls`: what runs more rarely is a report or a job.
    `busy_mean_ms`, `busy_calls`: PgHero's limits; here the slowest twentieth must also take `p95_ms`, which is the
    runbook's target for all queries.
    """

    mean_ms: float = 50.0
    calls: int = 20
    busy_mean_ms: float = 20.0
    busy_calls: int = 100
    p95_ms: float = 100.0


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a statement."""
    yield from unsure(seen)
    costs = seen.derived(statement_costs)
    few, many = often_enough(costs, limits.calls), often_enough(costs, limits.busy_calls)
    for cost in costs.toplevel:
        is_slow = cost.calls >= few and cost.mean_ms >= limits.mean_ms
        is_busy = cost.calls >= many and cost.mean_ms >= limits.busy_mean_ms and cost.p95_ms >= limits.p95_ms
        if (is_slow or is_busy) and not is_bulk_write(cost):
            yield _finding(cost, seen)


def _finding(cost: Cost, seen: Seen) -> Finding:
    costs = seen.derived(statement_costs)
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.QUERY,
        object=cost.object,
        evidence=about(
            cost,
            costs,
            seen,
            p95_ms=round(cost.p95_ms, 1),
            time_ratio=round(cost.exec_ms / max(costs.exec_ms, cost.exec_ms, 1e-9), 4),
            rows_per_call=round(cost.rows_per_call, 1),
            touched_bytes=round(cost.blocks_per_call * BLOCK_BYTES),
        ),
        advice=look_at_plan(cost, seen),
    )


CHECK = Check(needs=COSTS, likes=COSTS_LIKE, judge=judge, limits=Limits())
