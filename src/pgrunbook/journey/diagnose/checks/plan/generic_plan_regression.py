"""A query that runs by a plan for any value, where the values that it is asked for would get a far cheaper one.

Asks:    do statements read as much as their generic plan does, where a plan for their values would read little?
Unit:    cost_generic and cost_custom in the planner's units; blocks_per_call as counted.
Source:  EXPLAIN (GENERIC_PLAN) of the dearest statements, and EXPLAIN for a rare and for the commonest value of the
         columns that their parameters are compared with; rows and blocks of pg_stat_statements tell which of them run.
Blind:   no pg_stat_statements; statements that could not be planned.
Says:    A call reads {blocks_per_call} blocks by a plan for any value, of cost {cost_generic}; for values as {which} as
         those that it is asked for, a plan of cost {cost_custom} would do.  plan_cache_mode is {plan_cache_mode}.
         {calls} calls took {mean_ms} each: {query}
Section: Query Optimization
Leads:   plan_cache_mode = force_custom_plan for the role or the statement
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.planned import LIKES, NEEDS, Planned, about, planned, scans, shape, unplanned
from pgrunbook.journey.diagnose.policy_columns import facts_of
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.settings import ROLE_SETTINGS, SETTINGS, by_name
from pgrunbook.journey.workload.facts import Facts
from pgrunbook.model import Advice, Finding, Kind, Severity, Verdict, quote
from pgrunbook.model.query_plan import PlanNode, QueryPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a generic plan costs too much.

    `ratio`: how many times dearer than the plan for the values at hand.  `read_ratio`: a block costs at least one unit,
    so that so many times the cost of that plan in blocks shows that another one runs.  `whole_ratio`: of tables that a
    plan for common values reads whole, how many times their blocks are touched by a plan that goes row by row.
    `rows_ratio`: how near the rows of a call must be to what the value's plan expects.  `blocks`: 1.6 MB a call; less
    is cheap either way.
    """

    ratio: float = 5.0
    read_ratio: float = 2.0
    whole_ratio: float = 2.0
    rows_ratio: float = 5.0
    blocks: float = 200.0
    calls: int = 5


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a statement."""
    facts = seen.derived(facts_of)
    for one in seen.derived(planned):
        if one.row.calls < limits.calls or one.row.blocks_per_call < limits.blocks or not one.is_open:
            continue
        found = _for_rare(one, limits) or _for_common(one, facts, limits)
        if found is not None:
            yield _finding(seen, one, *found)
    yield from unplanned(seen)


def _for_rare(one: Planned, limits: Limits) -> tuple[str, float, float] | None:
    """The calls read far more than the plan for rare values, which they ask for, would cost."""
    rare = one.rare
    if rare is None or shape(rare) == shape(one.plan):
        return None
    custom, generic = rare.root.total_cost, max(one.plan.root.total_cost, one.row.blocks_per_call)
    runs = one.row.blocks_per_call >= limits.read_ratio * custom  # the plan for the value would not have read so much
    if not runs or generic < limits.ratio * custom or not _asks_for(one, rare, limits):
        return None
    return "rare", generic, custom


def _for_common(one: Planned, facts: Facts, limits: Limits) -> tuple[str, float, float] | None:
    """The generic plan goes row by row; for the common value, which the calls ask for, tables would be read whole."""
    common = one.common
    if common is None or shape(common) == shape(one.plan) or not _asks_for(one, common, limits):
        return None
    generic = one.plan.root.total_cost * max(one.row.rows_per_call, 1.0) / max(one.plan.root.rows, 1.0)
    custom = common.root.total_cost
    pages = sum(_pages(node, facts) for node in scans(common.root))
    if pages <= 0 or one.row.blocks_per_call < limits.whole_ratio * pages or generic < limits.ratio * custom:
        return None
    return "common", generic, custom


def _asks_for(one: Planned, plan: QueryPlan, limits: Limits) -> bool:
    """Whether calls return about as many rows as the plan for these values expects, and not as many as any value's.

    Under LIMIT all return the same; there only reading far more than planned tells.  Of one that returns a single row
    whatever it reads, only that it was prepared by name.
    """
    root = plan.root
    if root.kind == "Limit":
        return one.row.blocks_per_call >= limits.ratio * one.plan.root.total_cost
    if root.kind == "Aggregate" and not root.group_keys:
        return one.row.is_prepared
    rows = max(one.row.rows_per_call, 1.0)
    off, generic_off = _off(root.rows, rows), _off(one.plan.root.rows, rows)
    return off <= limits.rows_ratio and off < generic_off


def _off(expected: float, rows: float) -> float:
    return max(max(expected, 1.0) / rows, rows / max(expected, 1.0))


def _pages(node: PlanNode, facts: Facts) -> float:
    oid = next((o for o, t in facts.catalog.tables.items() if t.relation.qualified == node.relation), None)
    return float(facts.of(oid).scan_pages) if oid is not None else 0.0


def _finding(seen: Seen, one: Planned, which: str, generic: float, custom: float) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.QUERY,
        object=one.object,
        related=tuple(dict.fromkeys(node.relation for node in scans(one.plan.root) if node.relation)),
        evidence=about(
            one,
            which=which,
            cost_generic=round(generic, 1),
            cost_custom=round(custom, 1),
            blocks_per_call=round(one.row.blocks_per_call, 1),
            rows_per_call=round(one.row.rows_per_call, 1),
            rows_planned=round(one.plan.root.rows),
            plan_cache_mode=_mode(seen, one.row.role),
        ),
        advice=_advice(seen, one),
    )


def _mode(seen: Seen, role: str | None) -> str:
    """plan_cache_mode as the statement's role gets it."""
    set_for = [
        row.value
        for row in seen.rows_or_none(ROLE_SETTINGS) or ()
        if row.name == "plan_cache_mode" and row.role in {None, role} and row.database in {None, seen.server.database}
    ]
    if set_for:
        return set_for[-1]
    found = by_name(seen.rows_or_none(SETTINGS) or ()).get("plan_cache_mode")
    return found.value if found is not None else "auto"


def _advice(seen: Seen, one: Planned) -> tuple[Advice, ...]:
    if one.row.role is None:
        return ()
    where = f"ALTER ROLE {quote(one.row.role)} IN DATABASE {quote(seen.server.database)}"
    return (
        Advice(
            title="Let the role's statements be planned for their values",
            sql=f"{where} SET plan_cache_mode = 'force_custom_plan';",
            undo_sql=f"{where} RESET plan_cache_mode;",
            risk="New sessions only.  Each call is planned anew: for statements of less than a millisecond that may"
            " cost more than it brings; those can SET LOCAL it by themselves.",
        ),
    )


CHECK = Check(needs=NEEDS, likes=(*LIKES, ROLE_SETTINGS), judge=judge, limits=Limits())
