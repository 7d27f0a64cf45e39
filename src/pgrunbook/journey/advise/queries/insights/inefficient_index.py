"""Index scans that read many rows and throw most of them away: the index does not hold what the filter asks."""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.advise.queries.context import Context, insight
from pgrunbook.journey.advise.queries.cures import vacuum_advice
from pgrunbook.model.explanation import Insight

REMOVED_ROWS_MIN = 1000.0
REMOVED_RATIO = 0.9
SAYS = (
    "{index} gave {rows_read} rows, and the filter kept {rows_kept} of them: {filter}.  An index that holds the"
    " filter's columns, too, reads only those: {index_reason}."
)
HEAP_SAYS = (
    "{index} was to answer without the table, and {heap_fetches} rows had to be looked up there, for their pages are"
    " not marked all-visible.  VACUUM marks them."
)


def find(context: Context) -> Iterator[Insight]:
    """One insight a scan; measured only, for estimates do not say what a filter removes."""
    for node in context.plan.nodes:
        actual = node.actual
        if actual is None or (not node.index and node.kind != "Bitmap Heap Scan"):
            continue
        read = actual.total_rows + actual.filter_removed_rows
        table = context.table_of(node)
        if actual.filter_removed_rows >= max(REMOVED_ROWS_MIN, REMOVED_RATIO * read) and table is not None:
            indexes = context.indexes_for(table)
            below = next((child.index for child in node.walk() if child.index), node.index)
            yield insight(
                "inefficient_index",
                f"The index {below} leads to many rows that the filter throws away",
                SAYS,
                node,
                plan=context.plan,
                cures=tuple(index.advice for index in indexes),
                index=below,
                table=node.relation,
                rows_read=round(read),
                rows_kept=round(actual.total_rows),
                filter=node.filter,
                index_reason=indexes[0].reason if indexes else None,
            )
        if node.kind == "Index Only Scan" and actual.heap_fetches >= max(REMOVED_ROWS_MIN, actual.total_rows / 2):
            yield insight(
                "heap_fetches",
                f"An index-only scan of {node.index} looks into the table nevertheless",
                HEAP_SAYS,
                node,
                plan=context.plan,
                cures=(vacuum_advice(node.relation),),
                index=node.index,
                table=node.relation,
                heap_fetches=actual.heap_fetches,
            )
