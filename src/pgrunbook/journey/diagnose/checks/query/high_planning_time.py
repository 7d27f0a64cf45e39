"""A query whose planning takes as long as running it.

Asks:    which statements spend more time in the planner than in the executor?
Unit:    mean_plan_ms of one planning.
Source:  pg_stat_statements: total_plan_time and plans, which count only with pg_stat_statements.track_planning.
Blind:   track_planning is off: nobody measures planning.
Says:    Planning takes {mean_plan_ms}, running {mean_ms}.
         {plans} plannings took {total_plan_ms} in the {window_s} watched.
         {plans} plannings took {total_plan_ms} in the {counters_age_s} that its counters cover: {query}
Section: Query Optimization
Leads:   prepared statements; fewer joins, partitions or indexes
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.query_texts import (
    COSTS,
    COSTS_LIKE,
    about,
    in_application,
    often_enough,
    statement_costs,
    unsure,
)
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.settings import SETTINGS, by_name
from pgrunbook.model import Blind, Finding, Kind, Severity, Verdict

TRACK_PLANNING = "pg_stat_statements.track_planning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When planning is a burden.

    `mean_plan_ms`: a join of two or three tables is planned in less than a millisecond.  `plans`: the first ones of a
    session read the catalog and are slow.  `plan_ratio`: of planning and running together.
    """

    mean_plan_ms: float = 2.0
    plans: int = 20
    plan_ratio: float = 0.5


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a statement; Blind when planning is not measured."""
    yield from unsure(seen)
    costs = seen.derived(statement_costs)
    setting = by_name(seen.rows_or_none(SETTINGS) or ()).get(TRACK_PLANNING)
    if (setting is None or not setting.is_on) and not any(cost.plans for cost in costs.costs):
        yield Blind(
            reason="planning time is not measured: pg_stat_statements.track_planning is off",
            cure=f"ALTER SYSTEM SET {TRACK_PLANNING} = on; SELECT pg_reload_conf(); -- for a while: it costs a little",
        )
        return
    for cost in costs.toplevel:
        mean_plan_ms = cost.plan_ms / max(cost.plans, 1)
        if (
            cost.plans >= often_enough(costs, limits.plans)
            and mean_plan_ms >= limits.mean_plan_ms
            and cost.plan_ms >= limits.plan_ratio * (cost.plan_ms + cost.exec_ms)
        ):
            yield Finding(
                severity=Severity.NOTICE,
                kind=Kind.QUERY,
                object=cost.object,
                evidence=about(
                    cost,
                    costs,
                    seen,
                    plans=cost.plans,
                    mean_plan_ms=round(mean_plan_ms, 2),
                    total_plan_ms=round(cost.plan_ms, 1),
                ),
                advice=(
                    in_application(
                        "Prepare it once and execute it often",
                        "Let the driver prepare it (through PgBouncer from 1.21 on: max_prepared_statements).",
                        "Partitions that its conditions cannot exclude, and indexes beyond need, are planned with it.",
                    ),
                ),
            )


CHECK = Check(needs=COSTS, likes=(*COSTS_LIKE, SETTINGS), judge=judge, limits=Limits())
