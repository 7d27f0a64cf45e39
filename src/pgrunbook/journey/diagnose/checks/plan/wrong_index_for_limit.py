"""A query with LIMIT that walks an index in the order asked for, and finds few rows on the way.

Asks:    do plans walk the index of ORDER BY and filter, where an index on the filter leads to fewer rows?
Unit:    blocks_per_call, beside the rows that the other index leads to.
Source:  EXPLAIN of the dearest statements; blocks of pg_stat_statements; pg_index; ANALYZE's statistics.  The planner
         takes matching rows to lie evenly along the order; where they lie at its far end, it walks nearly all of it.
Blind:   no pg_stat_statements; statements that could not be planned.
Says:    A call reads {blocks_per_call} blocks along {index} to find {rows_per_call} rows, for it filters by {filtered}
         on the way; {other_index} leads to about {matching_rows} rows at once.
         {calls} calls took {mean_ms} each: {query}
Section: Query Optimization
Leads:   an index on the filter's column, then the order's
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.index_advice import taken_names
from pgrunbook.journey.diagnose.planned import LIKES, NEEDS, Planned, about, planned, unplanned
from pgrunbook.journey.diagnose.policy_columns import facts_of
from pgrunbook.journey.diagnose.proposed_index import advice_for
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import table_trees
from pgrunbook.journey.observe.plans import equal_columns
from pgrunbook.journey.workload.candidate import Candidate, IndexKey
from pgrunbook.journey.workload.existing import IndexFacts
from pgrunbook.journey.workload.expressions import column_key
from pgrunbook.journey.workload.facts import TableFacts
from pgrunbook.model import Advice, Finding, Kind, Severity, Verdict
from pgrunbook.model.query_plan import PlanNode, QueryPlan

_PASSING = frozenset({"Limit", "Result", "LockRows", "ProjectSet", "Subquery Scan", "Append", "Merge Append", "Unique"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When the walk is too long.

    `blocks`: 1.6 MB a call; less is cheap however it comes about.  `ratio`: blocks walked for a row that the other
    index leads to; a row of it costs a block or two.  `calls`: fewer are no workload.
    """

    blocks: float = 200.0
    ratio: float = 3.0
    calls: int = 5


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a statement."""
    facts = seen.derived(facts_of)
    by_name = {table.relation.qualified: oid for oid, table in facts.catalog.tables.items()}
    for one in seen.derived(planned):
        if one.row.calls < limits.calls or one.row.blocks_per_call < limits.blocks:
            continue
        scan = _walk(one.plan)
        oid = by_name.get(scan.relation) if scan is not None else None
        if scan is None or oid is None:
            continue
        found = _finding(seen, one, scan, facts.of(oid), limits)
        if found is not None:
            yield found
    yield from unplanned(seen)


def _walk(plan: QueryPlan) -> PlanNode | None:
    """The ordered index scan with a filter that a LIMIT stops."""
    for node in plan.nodes:
        if node.kind != "Limit":
            continue
        below = node
        while below.children and below.kind in _PASSING:
            below = below.children[0]
        if below.kind in {"Index Scan", "Index Only Scan"} and below.filter:
            return below
    return None


def _finding(seen: Seen, one: Planned, scan: PlanNode, table: TableFacts, limits: Limits) -> Finding | None:
    filtered = equal_columns(scan.filter, scan.alias) if " OR " not in scan.filter else {}
    others = [i for i in table.indexes if _leads_by(i, tuple(filtered)) and i.index.name != scan.index]
    walked = next((i for i in table.indexes if i.index.name == scan.index), None)
    if not others or walked is None:
        return None
    best = min(others, key=lambda index: _matching(one, table, index))
    rows = _matching(one, table, best)
    if one.row.blocks_per_call < limits.ratio * max(rows, 1.0):
        return None
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.QUERY,
        object=one.object,
        related=(table.qualified,),
        evidence=about(
            one,
            blocks_per_call=round(one.row.blocks_per_call, 1),
            rows_per_call=round(one.row.rows_per_call, 1),
            index=walked.index.qualified,
            other_index=best.index.qualified,
            filtered=tuple(filtered),
            matching_rows=round(rows),
            table=table.qualified,
        ),
        advice=_advice(seen, table, best, walked),
    )


def _leads_by(index: IndexFacts, columns: tuple[str, ...]) -> bool:
    """Whether a valid B-tree on all rows begins with one of the columns."""
    first = index.index.key_columns[:1]
    return (
        index.index.is_valid
        and not index.is_partial
        and index.index.access_method == "btree"
        and bool(first)
        and first[0] in columns
    )


def _matching(one: Planned, table: TableFacts, index: IndexFacts) -> float:
    """Rows that one value of the index's first column has: of a rare value, for those of a common one are met soon."""
    column = index.index.key_columns[0]
    known = table.statistics.get(column)
    average = table.rows / known.distinct_values(table.rows) if known is not None else table.rows
    rare = one.values.get("rare")
    if rare is not None and rare.columns == (column,):
        return min(average, rare.share * table.rows)
    return average


def _advice(seen: Seen, table: TableFacts, other: IndexFacts, walked: IndexFacts) -> tuple[Advice, ...]:
    """An index that does both: the filter's column first, then the order's."""
    tree = seen.derived(table_trees).get(table.table.oid)
    keys = [other.index.key_columns[0], *walked.index.key_columns]
    if tree is None or any(not name for name in keys):
        return ()
    order = [0, *walked.index.ordering[: walked.index.key_count]]
    made = tuple(
        IndexKey(key=column_key(name), descending=bool(flags & 1), nulls_first=bool(flags & 2))
        for name, flags in zip(keys, order, strict=True)
    )
    candidate = Candidate(table_oid=table.table.oid, equal=made[:1], tail=made[1:])
    return (advice_for(candidate, tree, taken_names(seen)),)


CHECK = Check(needs=NEEDS, likes=LIKES, judge=judge, limits=Limits())
