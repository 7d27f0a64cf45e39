"""One query takes most of the database's time.

Asks:    does a single statement take more time than all others together?
Unit:    time_ratio, 0..1 of the execution time of all that clients sent.
Source:  pg_stat_statements, in the window if there is one, else since its counters began.  Left out: what is fast or
         rarely called, and bulk writes at a good speed.
Blind:   no pg_stat_statements; without pg_read_all_stats.
Says:    It takes {time_ratio} of all query time: {calls} calls of {mean_ms} each in the {window_s} watched.
         It takes {time_ratio} of all query time: {calls} calls of {mean_ms} each in {counters_age_s}.
         {query}
Section: Query Optimization
Leads:   EXPLAIN; caching its result
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
from pgrunbook.model import Finding, Kind, Severity, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a query dominates.

    `time_ratio`: more than all others together.  `mean_ms`, `calls`: below them it is fast, or a job that runs alone at
    night.  `total_ms`: less is no load at all.  `load_ratio`: of the time that the counters cover; below it the whole
    database idles, and nothing need be won.
    """

    time_ratio: float = 0.5
    mean_ms: float = 2.0
    calls: int = 20
    total_ms: float = 2000.0
    load_ratio: float = 0.00001


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """At most one finding."""
    yield from unsure(seen)
    costs = seen.derived(statement_costs)
    for cost in costs.toplevel[:1]:
        time_ratio = cost.exec_ms / max(costs.exec_ms, 1e-9)
        period_ms = 1000 * (costs.period_s or 0.0)
        if (
            time_ratio >= limits.time_ratio
            and cost.mean_ms >= limits.mean_ms
            and cost.calls >= often_enough(costs, limits.calls)
            and cost.exec_ms >= limits.total_ms
            and cost.exec_ms >= limits.load_ratio * period_ms
            and not is_bulk_write(cost)
        ):
            yield Finding(
                severity=Severity.WARNING,
                kind=Kind.QUERY,
                object=cost.object,
                evidence=about(
                    cost,
                    costs,
                    seen,
                    time_ratio=round(time_ratio, 4),
                    load_ratio=round(cost.exec_ms / period_ms, 6) if period_ms else None,
                    statements=len(costs.toplevel),
                ),
                advice=look_at_plan(cost, seen),
            )


CHECK = Check(needs=COSTS, likes=COSTS_LIKE, judge=judge, limits=Limits())
