"""A query that reads far into a list to show one page of it.

Asks:    which statements with OFFSET read many times the rows that they return?
Unit:    rows_read a call, estimated from the blocks that a call touched and how densely rows lie in them.
Source:  pg_stat_statements, parsed for OFFSET; the order's index and the column's correlation say how rows are read.
         The offset itself is hidden there.  Where the rows are sorted first, all of them are read whatever the page.
Blind:   no pg_stat_statements; texts that cannot be parsed.
Says:    A call reads about {rows_read} rows of {table} to return {rows_per_call}: it counts its way to the page.
         {calls} calls took {mean_ms} each in the {window_s} watched.
         {calls} calls took {mean_ms} each in the {counters_age_s} that its counters cover: {query}
Section: Query Optimization
Leads:   keyset pagination: continue after the last row seen
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.narrowing import rows_led_to
from pgrunbook.journey.diagnose.query_shape import gathers, has_offset, selects
from pgrunbook.journey.diagnose.query_texts import (
    TEXTS,
    TEXTS_LIKE,
    about,
    in_application,
    often_enough,
    query_texts,
    statement_costs,
    unreadable,
    unsure,
)
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.workload.access import Access
from pgrunbook.journey.workload.costs import Cost
from pgrunbook.journey.workload.existing import IndexFacts
from pgrunbook.journey.workload.facts import TableFacts
from pgrunbook.journey.workload.paths import path_of
from pgrunbook.model import Advice, Finding, Kind, Severity, Verdict

CORRELATED = 0.9  # rows that follow each other in such an index mostly share a block
UNKNOWN_ROWS_PER_BLOCK = 50.0  # of a table that nobody has analysed: rows of 160 bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When an offset is deep.

    `rows_read`: page 50 of twenty rows each.  `read_ratio`: rows read for a row returned.  `blocks`: 800 kB a page of
    results; less is cheap however it comes about.  `sorted_rows`: where all rows are sorted first, the depth cannot be
    told; so many rows are too many for each page.  `calls`: somebody leafs through it, not once only.
    """

    rows_read: int = 1000
    read_ratio: float = 20.0
    blocks: int = 100
    sorted_rows: int = 10_000
    calls: int = 10


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a statement."""
    yield from unsure(seen)
    costs, texts = seen.derived(statement_costs), seen.derived(query_texts)
    paged = [
        cost
        for cost in costs.costs
        if "offset" in cost.query.lower()
        and cost.calls >= often_enough(costs, limits.calls)
        and cost.blocks_per_call + cost.temp_read_blocks / cost.calls >= limits.blocks
    ]
    for cost in paged:
        tree, accesses = texts.tree(cost), texts.accesses(cost)
        if tree is None or accesses is None or gathers(tree) or not any(map(has_offset, selects(tree))):
            continue
        for access in accesses.accesses:
            if access.has_offset and access.order:
                found = _finding(cost, access, texts.facts.of(access.table_oid), seen, limits)
                if found is not None:
                    yield found
                    break
    yield from unreadable(seen, paged)


def _finding(cost: Cost, access: Access, table: TableFacts, seen: Seen, limits: Limits) -> Finding | None:
    index = _index_in_order(access, table)
    if index is None:
        rows_read, enough = _sorted_rows(cost, table), limits.sorted_rows
    else:
        rows_read, enough = cost.blocks_per_call * _rows_per_block(index, access, table), limits.rows_read
    rows_read = max(min(rows_read, rows_led_to(access, table)), cost.blocks_per_call)
    if rows_read < max(enough, limits.read_ratio * cost.rows_per_call):
        return None
    columns = tuple(order.key.sql for order in access.order)
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.QUERY,
        object=cost.object,
        related=(table.qualified,),
        evidence=about(
            cost,
            seen.derived(statement_costs),
            seen,
            table=table.qualified,
            order=columns,
            order_index=index.index.qualified if index is not None else None,
            rows_read=round(rows_read),
            rows_per_call=round(cost.rows_per_call, 1),
            blocks_per_call=round(cost.blocks_per_call, 1),
        ),
        advice=(_advice(access, table),),
    )


def _index_in_order(access: Access, table: TableFacts) -> IndexFacts | None:
    """An index that gives the rows in the order asked for."""
    correlation = {name: row.correlation for name, row in table.statistics.items() if row.correlation is not None}
    return next((i for i in table.indexes if path_of(i, access, table.table, correlation).is_ordered), None)


def _rows_per_block(index: IndexFacts, access: Access, table: TableFacts) -> float:
    """Rows that one block of such a scan gives: as they lie in the table where the index follows it, else one.

    Without statistics only a primary key is taken to follow the table.
    """
    used = access.columns_used
    if used is not None and used <= set(index.index.columns) and index.index.pages > 0:
        return max(1.0, table.rows / index.index.pages)
    first = access.order[0].key
    known = table.statistics.get(first.columns[0]) if first.is_column else None
    follows = abs(known.correlation or 0.0) >= CORRELATED if known is not None else first.columns == table.primary_key
    if not follows:
        return 1.0
    return max(1.0, table.rows / (table.pages + index.index.pages)) if table.pages else UNKNOWN_ROWS_PER_BLOCK


def _sorted_rows(cost: Cost, table: TableFacts) -> float:
    """Rows that are sorted for each page: the part of the table that a call reads."""
    if not table.pages:
        return min(table.rows, cost.blocks_per_call * UNKNOWN_ROWS_PER_BLOCK)
    return table.rows * min(1.0, cost.blocks_per_call / table.scan_pages)


def _advice(access: Access, table: TableFacts) -> Advice:
    keys = [order.key.sql for order in access.order]
    unique = [name for name in table.primary_key if name not in keys]
    keys += unique
    direction = "DESC" if access.order[0].descending else "ASC"
    sign = "<" if access.order[0].descending else ">"
    last = ", ".join(f"last_{number}" for number in range(1, len(keys) + 1))
    order = ", ".join(f"{key} {direction}" for key in keys)
    return in_application(
        "Continue after the last row seen instead of counting",
        "Send the last row's values with the next page's request, and drop OFFSET:",
        f"WHERE ({', '.join(keys)}) {sign} ({last}) ORDER BY {order} LIMIT …",
        f"It needs an index on {table.qualified} ({', '.join(keys)}).",
        risk="A reader can go to the next and the previous page, not to page 2500.",
    )


CHECK = Check(needs=TEXTS, likes=TEXTS_LIKE, judge=judge, limits=Limits())
