"""Nodes whose rows were many times more or fewer than planned, where it began, and why."""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.advise.queries.context import Context, insight
from pgrunbook.journey.advise.queries.cures import analyze_advice, target_advice
from pgrunbook.journey.advise.queries.insights.stale_statistics import staleness
from pgrunbook.journey.diagnose.statistics_advice import expression_statistics_advice, statistics_advice
from pgrunbook.journey.workload.facts import TableFacts
from pgrunbook.model import Advice
from pgrunbook.model.explanation import Insight
from pgrunbook.model.query_plan import PlanNode

FACTOR = 10.0  # less seldom changes a plan
ROWS_MIN = 100.0  # 1 row instead of 12 costs nothing
SAYS = (
    "{rows_actual} rows a loop came where {rows_planned} were expected, {factor} times {direction}.  {cause}"
    "  Plans above it were chosen for the wrong number."
)
GENERIC_SAYS = (
    "A call gave {rows_per_call} rows on average, and the plan for any value of the parameters expects {rows_planned}:"
    " {factor} times {direction}.  {cause}"
)


def find(context: Context) -> Iterator[Insight]:
    """Where it begins: the deepest nodes, for what stands above only inherits it."""
    if not context.plan.is_measured:
        yield from _of_counters(context)
        return
    for node in context.plan.nodes:
        if _is_wrong(node) and not any(_is_wrong(child) for child in _inputs(node)):
            yield _said(context, node)


def _inputs(node: PlanNode) -> Iterator[PlanNode]:
    for child in node.children:
        if child.relationship not in {"InitPlan", "SubPlan"}:
            yield from child.walk()


def _is_wrong(node: PlanNode) -> bool:
    factor, actual = node.misestimate, node.actual
    if factor is None or actual is None or node.kind in {"Limit", "Hash", "Sort", "Materialize", "Memoize", "Gather"}:
        return False
    if factor < 1 and node.is_cut_short:
        return False
    return max(factor, 1 / factor) >= FACTOR and max(actual.total_rows, node.rows * actual.loops) >= ROWS_MIN


def _said(context: Context, node: PlanNode) -> Insight:
    factor = node.misestimate or 1.0
    cause, cures = _cause(context, node, too_few=factor > 1)
    return insight(
        "misestimate",
        f"{node.kind}{f' on {node.relation}' if node.relation else ''}: rows misestimated",
        SAYS,
        node,
        plan=context.plan,
        cures=cures,
        share=context.plan.inclusive_share(node),
        rows_actual=round(node.actual.loop_rows, 2) if node.actual is not None else None,
        rows_planned=round(node.rows),
        factor=round(max(factor, 1 / factor)),
        direction="more" if factor > 1 else "fewer",
        cause=cause,
        table=node.relation or None,
    )


def _of_counters(context: Context) -> Iterator[Insight]:
    """A generic plan beside what the server has counted."""
    root, asked = context.plan.root, context.query.asked
    if asked.rows_per_call is None or root.kind in {"Limit", "ModifyTable"} or not context.query.is_read:
        return
    factor = max(asked.rows_per_call, 1.0) / max(root.rows, 1.0)
    if max(factor, 1 / factor) < FACTOR or max(asked.rows_per_call, root.rows) < ROWS_MIN:
        return
    cause = "A generic plan knows no values: those that are asked for are commoner than the average value."
    if factor < 1:
        cause = "A generic plan knows no values: those that are asked for are rarer than the average value."
    yield insight(
        "misestimate",
        "The generic plan expects another number of rows than calls give",
        GENERIC_SAYS,
        root,
        plan=context.plan,
        share=1.0,
        cures=(
            Advice(
                title="Let it be planned for each value",
                sql="SET plan_cache_mode = 'force_custom_plan';",
                undo_sql="RESET plan_cache_mode;",
                risk="Each call is planned anew; for statements of less than a millisecond that may cost more.",
            ),
        ),
        rows_per_call=asked.rows_per_call,
        rows_planned=round(root.rows),
        factor=round(max(factor, 1 / factor)),
        direction="more" if factor > 1 else "fewer",
        cause=cause,
    )


def _cause(context: Context, node: PlanNode, *, too_few: bool) -> tuple[str, tuple[Advice, ...]]:
    table = context.table_of(node)
    if table is None:
        below = "joins of columns that depend on each other" if node.join_cond or node.join else "what it computes"
        return f"Statistics are of single tables: nothing is known of {below}.", ()
    old = staleness(context, node)
    if old:
        return f"The statistics are old: {old}.", (analyze_advice(table),)
    columns = correlated(context, table, node)
    if too_few and len(columns) > 1:
        names = ", ".join(columns)
        return (
            f"The conditions on {names} are multiplied as if they were independent, and they are not.",
            (statistics_advice(table.table.relation, columns),),
        )
    expressions = _expressions(context, table)
    if expressions:
        shown = ", ".join(expressions)
        return (
            f"Nothing is known of the values of {shown}: a share of the rows is assumed.",
            (expression_statistics_advice(table.table.relation, expressions),),
        )
    known = next((c for c in _columns_of(context, table) if c in table.statistics), None)
    if known is None:
        return "Its columns have no statistics.", (analyze_advice(table),)
    return f"The statistics of {known} are too coarse for it.", (target_advice(table, known),)


def correlated(context: Context, table: TableFacts, node: PlanNode) -> tuple[str, ...]:
    """Columns compared by equality together, of which no extended statistics know."""
    told = f"{node.index_cond} {node.filter} {node.recheck_cond}"
    for access in context.accesses_of_table(table):
        columns = context.equal_columns(access)
        shown = tuple(c for c in columns if c in told) or columns
        if len(shown) > 1 and not _is_covered(context, table, shown):
            return shown
    return ()


def _is_covered(context: Context, table: TableFacts, columns: tuple[str, ...]) -> bool:
    oids = {member.oid for member in table.members} | {table.table.oid}
    return any(
        one.table_oid in oids and set(columns) <= set(one.columns) and set(one.kinds) & {"f", "m"}
        for one in context.extended
    )


def _expressions(context: Context, table: TableFacts) -> tuple[str, ...]:
    keys = (p.key for a in context.accesses_of_table(table) for p in a.predicates)
    return tuple(dict.fromkeys(key.sql for key in keys if not key.is_column and not key.refusal and key.sql))


def _columns_of(context: Context, table: TableFacts) -> tuple[str, ...]:
    keys = (p.key for a in context.accesses_of_table(table) for p in a.predicates)
    return tuple(dict.fromkeys(column for key in keys for column in key.columns))
