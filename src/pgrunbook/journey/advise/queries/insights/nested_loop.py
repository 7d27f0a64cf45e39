"""Nested loops whose inner side runs far more often than was planned, or reads a whole table each time."""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.advise.queries.context import Context, insight
from pgrunbook.model import Advice
from pgrunbook.model.explanation import Insight
from pgrunbook.model.query_plan import PlanNode

LOOPS_MIN = 1000.0
SCAN_LOOPS_MIN = 20.0  # a whole table, read so often
FACTOR = 10.0
SHARE_MIN = 0.25
ROWS_MIN = 1000.0
BLOWN = (
    "The inner side ran {loops} times where {loops_planned} were planned, and took {share_ratio} of the time."
    "  A hash or merge join would have been chosen had the number been known."
)
SCANS = "{table} is read from end to end {loops} times, {rows_read} rows in all, for want of an index on the join."


def find(context: Context) -> Iterator[Insight]:
    """One insight a loop."""
    for node in context.plan.nodes:
        if node.kind != "Nested Loop" or len(node.children) < 2:
            continue
        outer, inner = _sides(node)
        if inner is None or outer is None:
            continue
        scanned = _whole_scan(inner)
        loops = inner.loops if context.plan.is_measured else outer.rows
        if scanned is not None and loops >= SCAN_LOOPS_MIN and loops * _read(scanned) >= LOOPS_MIN * ROWS_MIN:
            yield _scans(context, node, scanned, loops)
        elif context.plan.is_measured:
            yield from _blown(context, node, outer, inner)


def _sides(node: PlanNode) -> tuple[PlanNode | None, PlanNode | None]:
    by_side = {child.relationship: child for child in node.children}
    return by_side.get("Outer"), by_side.get("Inner")


def _whole_scan(inner: PlanNode) -> PlanNode | None:
    """The sequential scan that each loop runs (one kept by Materialize or Memoize is run once)."""
    return inner if inner.kind == "Seq Scan" else None


def _read(scan: PlanNode) -> float:
    if scan.actual is None or scan.actual.loops == 0:
        return max(scan.rows, scan.total_cost)
    return (scan.actual.total_rows + scan.actual.filter_removed_rows) / scan.actual.loops


def _scans(context: Context, node: PlanNode, scanned: PlanNode, loops: float) -> Insight:
    table = context.table_of(scanned)
    indexes = context.indexes_for(table) if table is not None else ()
    return insight(
        "nested_loop_blowup",
        f"A loop reads the whole of {scanned.relation} each time",
        SCANS,
        node,
        scanned,
        plan=context.plan,
        share=context.plan.inclusive_share(node),
        cures=tuple(index.advice for index in indexes),
        table=scanned.relation,
        loops=round(loops),
        rows_read=round(loops * _read(scanned)),
    )


def _blown(context: Context, node: PlanNode, outer: PlanNode, inner: PlanNode) -> Iterator[Insight]:
    if inner.actual is None or outer.actual is None or outer.actual.loops == 0:
        return
    planned = max(outer.rows * outer.actual.loops, 1.0)
    share = context.plan.inclusive_share(inner)
    if inner.loops < max(LOOPS_MIN, FACTOR * planned) or share < SHARE_MIN:
        return
    yield insight(
        "nested_loop_blowup",
        "A nested loop runs far more often than was planned",
        BLOWN,
        node,
        inner,
        plan=context.plan,
        share=share,
        cures=(
            Advice(
                title="Mend the estimate of the outer side; to see what it would bring, try the plan without the loop",
                sql="BEGIN;\nSET LOCAL enable_nestloop = off;\nEXPLAIN ANALYZE -- the statement\nROLLBACK;",
                undo_sql="-- SET LOCAL ends with the transaction",
                risk="For looking only: switched off for good it makes other statements slow.",
            ),
        ),
        loops=round(inner.loops),
        loops_planned=round(planned),
        share_ratio=round(share, 3),
    )
