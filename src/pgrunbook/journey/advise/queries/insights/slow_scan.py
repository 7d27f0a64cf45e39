"""Sequential scans that throw nearly all rows away, where an index would lead to the others."""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.advise.queries.context import Context, insight
from pgrunbook.model.explanation import Insight
from pgrunbook.model.query_plan import PlanNode

KEPT_RATIO_MAX = 0.1  # an index on more than a tenth of the rows seldom beats reading them all
REMOVED_ROWS_MIN = 1000.0
SAYS = (
    "{rows_read} rows of {table} were read and {rows_kept} kept.  {rows_read_planned} rows of {table} are read and"
    " {rows_planned} expected to remain.  An index leads to them at once: {index_reason}."
    "  It would take about {index_size_bytes}.  {no_index}"
)


def find(context: Context) -> Iterator[Insight]:
    """One insight a scan."""
    for node in context.plan.nodes:
        if node.kind != "Seq Scan" or not node.filter:
            continue
        table = context.table_of(node)
        if table is None:
            continue
        read, kept = _figures(context, node, table.rows)
        if read - kept < REMOVED_ROWS_MIN or kept > KEPT_RATIO_MAX * read:
            continue
        indexes = context.indexes_for(table)
        best = indexes[0] if indexes else None
        measured = context.plan.is_measured
        yield insight(
            "slow_scan",
            f"A sequential scan of {node.relation} throws nearly all rows away",
            SAYS,
            node,
            plan=context.plan,
            cures=tuple(index.advice for index in indexes),
            table=node.relation,
            rows_read=round(read) if measured else None,
            rows_kept=round(kept) if measured else None,
            rows_read_planned=round(read) if not measured else None,
            rows_planned=round(kept) if not measured else None,
            index_size_bytes=best.size_bytes if best is not None else None,
            index_reason=best.reason if best is not None else None,
            no_index=None if best is not None else "No index would serve the condition as it is written.",
        )


def _figures(context: Context, node: PlanNode, rows: float) -> tuple[float, float]:
    """Rows read and kept, over all loops: counted, or as planned."""
    if context.plan.is_measured and node.actual is not None:
        return node.actual.total_rows + node.actual.filter_removed_rows, node.actual.total_rows
    return max(rows, node.rows), node.rows
