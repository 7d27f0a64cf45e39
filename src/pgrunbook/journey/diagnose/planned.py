"""What checks of plans share: each explained statement with its plan, and the plans that its values would get."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pgrunbook.journey.diagnose.query_texts import shown
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.plan_tree import plan_of
from pgrunbook.journey.observe.plans import PLANS, VALUE_PLANS, StatementPlan, ValuePlan, plan_in
from pgrunbook.journey.observe.statements import STATEMENTS
from pgrunbook.journey.workload import facts as table_facts
from pgrunbook.model import Blind, Question, Value
from pgrunbook.model.query_plan import PlanNode, QueryPlan

NEEDS: Final[tuple[Question[Any], ...]] = (STATEMENTS, PLANS, VALUE_PLANS, *table_facts.NEEDS)
LIKES: Final[tuple[Question[Any], ...]] = table_facts.LIKES
FEW = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One statement with its plan for any value; `common` and `rare` are those for such values of all its columns."""

    row: StatementPlan
    plan: QueryPlan
    common: QueryPlan | None = None
    rare: QueryPlan | None = None
    values: Mapping[str, ValuePlan]

    @property
    def object(self) -> str:
        """The queryid, as findings name it."""
        return str(self.row.queryid)

    @property
    def is_open(self) -> bool:
        """Whether values were tried for every parameter."""
        return self.common is not None and self.rare is not None


def planned(seen: Seen) -> tuple[Planned, ...]:
    """Every statement that could be planned."""
    values: dict[int, dict[str, ValuePlan]] = {}
    for one in seen.rows(VALUE_PLANS):
        values.setdefault(one.queryid, {})[one.which] = one
    found = []
    for row in seen.rows(PLANS):
        if not row.plan:
            continue
        tried = values.get(row.queryid, {})
        plans = {which: plan_of(plan_in(one.plan)) for which, one in tried.items()}
        found.append(
            Planned(
                row=row,
                plan=plan_of(plan_in(row.plan), is_generic=row.parameters > 0, role=row.planned_as),
                common=plans.get("commonest"),
                rare=plans.get("rare"),
                values=tried,
            )
        )
    return tuple(found)


def unplanned(seen: Seen) -> Iterator[Blind]:
    """A Blind for statements that could not be planned: each by itself where they are few."""
    broken = [row for row in seen.rows(PLANS) if row.trouble]
    if len(broken) > FEW:
        yield Blind(
            reason=f"{len(broken)} statements could not be planned, such as: {broken[0].trouble}",
            cure="Ask as a member of the roles that run them, or as one that may read their tables.",
        )
        return
    for row in broken:
        yield Blind(
            object=str(row.queryid),
            reason=f"it could not be planned: {row.trouble}",
            cure="Ask as a member of the role that runs it, or as one that may read its tables.",
        )


def about(one: Planned, **figures: Value) -> dict[str, Value]:
    """The evidence about a statement: what it is, how often it ran, and what a finding adds."""
    row = one.row
    return {
        "calls": row.calls,
        "mean_ms": round(row.mean_ms, 3),
        "total_ms": round(row.calls * row.mean_ms, 1),
        **figures,
        "counted": "cumulative",
        "roles": (row.role,) if row.role is not None else (),
        "planned_as": row.planned_as,
        "query": shown(row.query),
    }


def scans(node: PlanNode) -> Iterator[PlanNode]:
    """Every scan of a table in a plan."""
    return (one for one in node.walk() if one.is_scan_of_table)


def shape(plan: QueryPlan) -> tuple[tuple[str, str, str], ...]:
    """What kind of nodes on which tables and indexes a plan is made of."""
    return tuple((node.kind, node.relation, node.index) for node in plan.nodes)
