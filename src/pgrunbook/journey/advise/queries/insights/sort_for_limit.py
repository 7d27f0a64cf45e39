"""A whole table that is sorted to give its first rows, where an index would give them in order."""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.advise.queries.context import Context, insight
from pgrunbook.model.explanation import Insight
from pgrunbook.model.query_plan import PlanNode

SORTED_ROWS_MIN = 1000.0
RATIO = 10.0  # rows sorted for a row returned
SAYS = (
    "{rows_sorted} rows of {table} are read and sorted by {order} for the first {rows_wanted}.  An index gives them in"
    " order: {index_reason}.  It would take about {index_size_bytes}."
)


def find(context: Context) -> Iterator[Insight]:
    """One insight a sort right below a LIMIT."""
    for limit in context.plan.nodes:
        if limit.kind != "Limit":
            continue
        sort = _sort_below(limit)
        scan = sort.children[0] if sort is not None and sort.children else None
        table = context.table_of(scan) if scan is not None and scan.kind == "Seq Scan" else None
        if sort is None or scan is None or table is None:
            continue
        rows, wanted = _rows(scan), _rows(limit)
        worth = [index for index in context.indexes_for(table) if index.size_bytes is not None]
        if rows < max(SORTED_ROWS_MIN, RATIO * wanted) or not worth:
            continue
        yield insight(
            "sort_for_limit",
            f"All of {scan.relation} is sorted for its first rows",
            SAYS,
            sort,
            plan=context.plan,
            share=context.plan.inclusive_share(sort),
            cures=tuple(index.advice for index in worth),
            table=scan.relation,
            rows_sorted=round(rows),
            rows_wanted=round(wanted),
            order=", ".join(sort.sort_keys),
            index_reason=worth[0].reason,
            index_size_bytes=worth[0].size_bytes,
        )


def _sort_below(limit: PlanNode) -> PlanNode | None:
    """The sort that a LIMIT cuts short, through what gathers workers' rows."""
    below = limit.children[0] if limit.children else None
    while below is not None and below.kind in {"Gather Merge", "Result", "LockRows"} and below.children:
        below = below.children[0]
    return below if below is not None and below.kind == "Sort" else None


def _rows(node: PlanNode) -> float:
    return node.actual.total_rows if node.actual is not None else node.rows
