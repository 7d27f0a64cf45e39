"""Rows that are joined or gathered first and thrown away afterwards."""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.advise.queries.context import Context, insight
from pgrunbook.model.explanation import Insight
from pgrunbook.model.query_plan import PlanNode

REMOVED_ROWS_MIN = 10_000.0
REMOVED_RATIO = 0.9
_SCANS_ABOVE = frozenset({"Subquery Scan", "CTE Scan", "Hash Join", "Merge Join", "Nested Loop", "WindowAgg"})
SAYS = (
    "{rows_removed} rows were made, and thrown away by {condition} only after that; {rows_kept} remained."
    "  A condition that holds columns of several tables, an OR of them above all, cannot be asked before they are"
    " joined: its branches can, each by itself."
)
FENCE_SAYS = (
    "{rows_removed} rows were made, and thrown away by {condition} only after that; {rows_kept} remained."
    "  Nothing from outside reaches into it to leave them out sooner."
)


def find(context: Context) -> Iterator[Insight]:
    """One insight a node."""
    for node in context.plan.nodes:
        actual = node.actual
        if actual is None:
            continue
        removed, condition = actual.join_filter_removed_rows, node.join_filter
        if node.kind in _SCANS_ABOVE and actual.filter_removed_rows > removed:
            removed, condition = actual.filter_removed_rows, node.filter
        if removed < max(REMOVED_ROWS_MIN, REMOVED_RATIO * (removed + actual.total_rows)):
            continue
        yield insight(
            "late_filter",
            f"{node.kind}: rows are thrown away late",
            FENCE_SAYS if _is_fence(node) else SAYS,
            node,
            plan=context.plan,
            share=context.plan.inclusive_share(node),
            rows_removed=round(removed),
            rows_kept=round(actual.total_rows),
            condition=condition,
        )


def _is_fence(node: PlanNode) -> bool:
    return node.kind in {"CTE Scan", "Subquery Scan", "WindowAgg"}
