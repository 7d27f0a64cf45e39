"""A query that returns many times more or fewer rows than the planner expects, whatever its values are.

Asks:    do statements give a number of rows that the planner expects for none of their values?
Unit:    factor, rows of a call beside the nearest estimate.
Source:  EXPLAIN of the dearest statements for the commonest and for a rare value of each column they compare, beside
         rows and calls of pg_stat_statements.  Statements that end in LIMIT or one aggregate say nothing of it.
Blind:   no pg_stat_statements; statements that could not be planned.
Says:    A call returns {rows_per_call} rows, and the planner expects {rows_planned} even where that is nearest:
         {factor} times {direction}.  {calls} calls took {mean_ms} each: {query}
Section: Query Optimization
Leads:   extended statistics, ANALYZE, a finer statistics target
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.planned import LIKES, NEEDS, Planned, about, planned, scans, unplanned
from pgrunbook.journey.diagnose.policy_columns import facts_of
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.statistics_advice import statistics_advice
from pgrunbook.journey.observe.plans import equal_columns
from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.analyze import Analyze
from pgrunbook.journey.workload.facts import TableFacts
from pgrunbook.model import Advice, Finding, Kind, Severity, Verdict
from pgrunbook.model.query_plan import PlanNode

_SAYS_NOTHING = frozenset({"Limit", "ModifyTable", "LockRows", "Result", "ProjectSet", "WindowAgg"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When an estimate is wrong enough.

    `factor`: less seldom changes a plan.  `rows_min`: below it any plan is fast.  `mean_ms`: a call that takes less
    has no time to win.  `calls`: a mean of fewer is one value's.
    """

    factor: float = 10.0
    rows_min: float = 100.0
    mean_ms: float = 0.5
    calls: int = 5


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a statement."""
    for one in seen.derived(planned):
        if one.row.calls < limits.calls or one.row.mean_ms < limits.mean_ms or not _tells(one):
            continue
        bounds = _bounds(one)
        if bounds is None:
            continue
        low, high = bounds
        rows = one.row.rows_per_call
        if rows >= limits.factor * max(high, 1.0) and rows >= limits.rows_min:
            yield _finding(seen, one, high, rows / max(high, 1.0), direction="more")
        elif low >= limits.factor * max(rows, 1.0) and low >= limits.rows_min:
            yield _finding(seen, one, low, low / max(rows, 1.0), direction="fewer")
    yield from unplanned(seen)


def _tells(one: Planned) -> bool:
    """Whether its number of rows depends on what was estimated."""
    root = one.plan.root
    is_one_row = root.kind == "Aggregate" and not root.group_keys
    return root.kind not in _SAYS_NOTHING and not is_one_row and not any(n.kind == "Limit" for n in one.plan.nodes)


def _bounds(one: Planned) -> tuple[float, float] | None:
    """The fewest and the most rows that the planner expects for any values; None where not all of them were tried."""
    if one.row.parameters == 0:
        return one.plan.root.rows, one.plan.root.rows
    if one.common is None or one.rare is None:
        return None
    found = (one.plan.root.rows, one.common.root.rows, one.rare.root.rows)
    return min(found), max(found)


def _finding(seen: Seen, one: Planned, expected: float, factor: float, *, direction: str) -> Finding:
    scan, columns = _suspect(one)
    facts = seen.derived(facts_of)
    by_name = {table.relation.qualified: oid for oid, table in facts.catalog.tables.items()}
    oid = by_name.get(scan.relation) if scan is not None else None
    table = facts.of(oid) if oid is not None else None
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.QUERY,
        object=one.object,
        related=(table.qualified,) if table is not None else (),
        evidence=about(
            one,
            rows_per_call=round(one.row.rows_per_call, 1),
            rows_planned=round(expected),
            factor=round(factor),
            direction=direction,
            compared=columns or None,
        ),
        advice=_advice(table, columns) if table is not None else (),
    )


def _suspect(one: Planned) -> tuple[PlanNode | None, tuple[str, ...]]:
    """The scan that compares most columns at once, and those columns."""
    found = [
        (node, tuple(equal_columns(f"{node.index_cond} {node.recheck_cond} {node.filter}", node.alias)))
        for node in scans(one.plan.root)
    ]
    return max(found, key=lambda pair: len(pair[1]), default=(None, ()))


def _advice(table: TableFacts, columns: tuple[str, ...]) -> tuple[Advice, ...]:
    relation = table.table.relation
    fresh = advise(Analyze(schema=relation.schema, table=relation.name))
    known = tuple(column for column in table.table.columns if column in columns)
    return (statistics_advice(relation, known), fresh) if len(known) > 1 else (fresh,)


CHECK = Check(needs=NEEDS, likes=LIKES, judge=judge, limits=Limits())
